#include "bundle/openings.h"

#include <errno.h>
#include <fcntl.h>

#include "base/io.h"

#define READ_BYTES ((size_t)64 << 10)
#define ARENA_MAX  ((size_t)96 << 20) /* a line, taken apart */

/* Drops what was taken, and reads more. *more_out is false at the end of the file. */
static tally_status read_more(struct tl_openings *openings, bool *more_out, struct tally_error *err)
{
    struct tl_buf *buf = &openings->buf;
    if (openings->at > 0 && buf->data != NULL) {
        memmove(buf->data, buf->data + openings->at, buf->len - openings->at);
        buf->len -= openings->at;
        openings->at = 0;
    }
    char *to = tl_buf_reserve(buf, READ_BYTES);
    if (to == NULL) {
        *more_out = false;
        openings->torn = true;
        return tl_buf_status(buf) == TALLY_ENOMEM
                   ? tl_fail(err, TALLY_ENOMEM, "cannot allocate a line of the openings")
                   : TALLY_OK;
    }
    ssize_t n = -1;
    do {
        n = tl_io->pread(openings->fd, to, READ_BYTES, (off_t)openings->offset);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot read the openings");
    }
    tl_buf_commit(buf, (size_t)n);
    openings->offset += (uint64_t)n;
    *more_out = n > 0;
    return TALLY_OK;
}

/* The next line without its newline. TALLY_ENOTFOUND at the end of the file. */
static tally_status take_line(struct tl_openings *openings, struct tl_str *line_out,
                              struct tally_error *err)
{
    size_t searched = 0;
    bool more = true;
    while (more && !openings->torn) {
        struct tl_buf *buf = &openings->buf;
        if (buf->data != NULL) {
            const char *from = buf->data + openings->at;
            size_t len = buf->len - openings->at;
            const char *end = memchr(from + searched, '\n', len - searched);
            if (end != NULL) {
                *line_out = (struct tl_str){ .text = from, .len = (size_t)(end - from) };
                openings->at += line_out->len + 1;
                return TALLY_OK;
            }
            searched = len;
        }
        TL_TRY(read_more(openings, &more, err));
    }
    openings->torn = openings->torn || openings->buf.len > openings->at;
    return TALLY_ENOTFOUND;
}

tally_status tl_openings_open(struct tl_openings *openings, const char *path,
                              struct tally_error *err)
{
    struct stat st;
    *openings = (struct tl_openings){ .fd = -1 };
    tl_buf_init(&openings->buf, TL_OPENING_LEN_MAX + READ_BYTES);
    tl_arena_init(&openings->arena, ARENA_MAX);
    int fd = tl_io->open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
    if (fd < 0) {
        return errno == ENOENT ? TALLY_ENOTFOUND
                               : tl_fail_errno(err, TALLY_EIO, errno, "cannot open '%s'", path);
    }
    openings->fd = fd;
    if (tl_io->fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return tl_fail(err, TALLY_EIO, "'%s' is not a regular file", path);
    }
    openings->line = tl_alloc_array(1, sizeof(*openings->line));
    if (openings->line == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a line of the openings");
    }
    return tl_openings_rewind(openings, err);
}

void tl_openings_close(struct tl_openings *openings)
{
    if (openings->fd > 0) { /* of a zeroed one it is 0, which is never ours */
        tl_io_closep(&openings->fd);
    }
    openings->fd = -1;
    tl_buf_release(&openings->buf);
    tl_arena_release(&openings->arena);
    tl_free(openings->line);
    openings->line = NULL;
}

tally_status tl_openings_rewind(struct tl_openings *openings, struct tally_error *err)
{
    struct tl_str line = { 0 };
    openings->offset = 0;
    openings->at = 0;
    openings->torn = false;
    openings->has_line = false;
    openings->ended = false;
    openings->passed = 0;
    tl_buf_clear(&openings->buf);
    tl_arena_reset(&openings->arena);
    tally_status status = take_line(openings, &line, err);
    if (status == TALLY_OK) {
        status = tl_openings_head_parse(&openings->head, &openings->arena, line, NULL);
    }
    openings->head_read =
        status == TALLY_OK && openings->head.origin.len < sizeof(openings->origin);
    tl_str_copy(openings->origin, sizeof(openings->origin),
                openings->head_read ? openings->head.origin : TL_STR(""));
    openings->head.origin = tl_str_of(openings->origin);
    return status == TALLY_ENOTFOUND || status == TALLY_ECORRUPT ? TALLY_OK : status;
}

tally_status tl_openings_next(struct tl_openings *openings, struct tally_error *err)
{
    struct tl_str line = { 0 };
    openings->has_line = false;
    TL_TRY(take_line(openings, &line, err));
    tl_arena_reset(&openings->arena);
    TL_TRY(tl_opening_parse(openings->line, &openings->arena, line, err));
    openings->has_line = true;
    return TALLY_OK;
}

tally_status tl_openings_find(struct tl_openings *openings, uint64_t seq,
                              const struct tl_opening **opening_out, struct tally_error *err)
{
    *opening_out = NULL;
    if (openings->fd < 0 || !openings->head_read) {
        return TALLY_OK;
    }
    bool at_it = openings->has_line && openings->line->seq == seq;
    if (seq < openings->passed && !at_it) {
        TL_TRY(tl_openings_rewind(openings, err));
    }
    if (openings->ended) {
        return TALLY_OK;
    }
    while (!openings->has_line || openings->line->seq < seq) {
        uint64_t passed = openings->has_line ? openings->line->seq + 1 : openings->passed;
        tally_status status = tl_openings_next(openings, NULL);
        openings->passed = passed > openings->passed ? passed : openings->passed;
        if (status == TALLY_ENOTFOUND) {
            openings->ended = true;
            return TALLY_OK;
        }
        if (status != TALLY_OK && status != TALLY_ECORRUPT) {
            return tl_fail(err, status, "cannot read the openings");
        }
        /* A line that does not come after those before it is none. */
        openings->has_line = openings->has_line && openings->line->seq >= openings->passed;
    }
    *opening_out = openings->line->seq == seq ? openings->line : NULL;
    return TALLY_OK;
}
