/* The files of archives: lines, compressed. */
#include <errno.h>
#include <fcntl.h>

#include "base/io.h"
#include "evidence/opening.h"
#include "ledger/purge_archive.h"

tally_status tl_archive_create(struct tl_archive_writer *writer, const char *path,
                               struct tally_error *err)
{
    writer->fd = tl_io->open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (writer->fd < 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot make the archive '%s'", path);
    }
    return tl_zstd_writer_new(&writer->zstd, err);
}

static tally_status write_piece(struct tl_archive_writer *writer, struct tl_zstd_piece *piece,
                                bool end, bool *done_out, struct tally_error *err)
{
    piece->out = writer->out;
    piece->out_size = sizeof(writer->out);
    TL_TRY(tl_zstd_write(writer->zstd, piece, end, done_out, err));
    TL_TRY(tl_io_write_at(writer->fd, writer->out, piece->out_len, writer->at, err));
    writer->at += piece->out_len;
    return TALLY_OK;
}

tally_status tl_archive_add(struct tl_archive_writer *writer, const char *text, size_t len,
                            struct tally_error *err)
{
    struct tl_zstd_piece piece = { .in = text, .in_len = len };
    bool done = false;
    while (piece.in_len > 0) {
        TL_TRY(write_piece(writer, &piece, false, &done, err));
    }
    return TALLY_OK;
}

tally_status tl_archive_end(struct tl_archive_writer *writer, struct tally_error *err)
{
    struct tl_zstd_piece piece = { .in = "" };
    bool done = false;
    while (!done) {
        TL_TRY(write_piece(writer, &piece, true, &done, err));
    }
    return tl_io->fsync(writer->fd) == 0
               ? TALLY_OK
               : tl_fail_errno(err, TALLY_EIO, errno, "cannot sync the archive");
}

void tl_archive_writer_close(struct tl_archive_writer *writer)
{
    tl_zstd_writer_free(writer->zstd);
    tl_io_closep(&writer->fd); /* it was synced, or is thrown away */
    writer->zstd = NULL;
    writer->fd = -1;
}

tally_status tl_archive_open(struct tl_archive_reader *reader, const char *path,
                             struct tally_error *err)
{
    tl_buf_init(&reader->line, TL_OPENING_LEN_MAX);
    reader->fd = tl_io->open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (reader->fd < 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot read the archive '%s'", path);
    }
    return tl_zstd_reader_new(&reader->zstd, err);
}

static tally_status read_file(struct tl_archive_reader *reader, struct tally_error *err)
{
    ssize_t got = 0;
    do {
        got = tl_io->pread(reader->fd, reader->in, sizeof(reader->in), (off_t)reader->at);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot read the archive");
    }
    reader->ended = got == 0;
    reader->at += (uint64_t)got;
    reader->piece.in = reader->in;
    reader->piece.in_len = (size_t)got;
    return TALLY_OK;
}

/* Decodes more. *end_out: there is no more. */
static tally_status decode(struct tl_archive_reader *reader, bool *end_out, struct tally_error *err)
{
    reader->out_at = 0;
    reader->piece.out_len = 0;
    while (reader->piece.out_len == 0) {
        if (reader->piece.in_len == 0 && !reader->ended) {
            TL_TRY(read_file(reader, err));
        }
        size_t before = reader->piece.in_len;
        reader->piece.out = reader->out;
        reader->piece.out_size = sizeof(reader->out);
        if (tl_zstd_read(reader->zstd, &reader->piece, err) != TALLY_OK) {
            return tl_fail(err, TALLY_ECORRUPT, "the archive is damaged");
        }
        bool idle = reader->piece.out_len == 0 && reader->piece.in_len == before;
        if (idle && reader->ended) {
            *end_out = true;
            return tl_zstd_is_complete(reader->zstd)
                       ? TALLY_OK
                       : tl_fail(err, TALLY_ECORRUPT, "the end of the archive is missing");
        }
    }
    return TALLY_OK;
}

tally_status tl_archive_line(struct tl_archive_reader *reader, struct tl_str *line_out,
                             struct tally_error *err)
{
    bool end = false;
    tl_buf_clear(&reader->line);
    for (;;) {
        const char *from = reader->out + reader->out_at;
        size_t there = reader->piece.out_len - reader->out_at;
        const char *newline = there == 0 ? NULL : memchr(from, '\n', there);
        size_t len = newline == NULL ? there : (size_t)(newline - from);
        tl_buf_add(&reader->line, from, len);
        if (tl_buf_status(&reader->line) != TALLY_OK) {
            return tl_fail(err, tl_buf_status(&reader->line), "a line of the archive is too long");
        }
        reader->out_at += len + (newline != NULL ? 1 : 0);
        if (newline != NULL) {
            *line_out = tl_buf_str(&reader->line);
            return TALLY_OK;
        }
        TL_TRY(decode(reader, &end, err));
        if (end) {
            return reader->line.len == 0
                       ? TALLY_ENOTFOUND
                       : tl_fail(err, TALLY_ECORRUPT, "the archive ends within a line");
        }
    }
}

void tl_archive_reader_close(struct tl_archive_reader *reader)
{
    tl_zstd_reader_free(reader->zstd);
    tl_io_closep(&reader->fd);
    tl_buf_release(&reader->line);
    reader->zstd = NULL;
    reader->fd = -1;
}
