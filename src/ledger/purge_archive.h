/*
 * ledger/purge_archive.h - the insides of an archive of contents that are about to be purged: how it is
 * written and read, a line at a time.
 *
 * Lines of openings.ndjson (docs/evidence.md, "Evidence bundle"), and then what proves that their leaves
 * are in the tree: {"checkpoint":…,"count":…,"format":"tallystick/v1 proofs","size":…} and a line
 * {"proof":[…],"seq":…} for each of them. All of it is one Zstandard frame.
 */
#ifndef TL_LEDGER_PURGE_ARCHIVE_H
#define TL_LEDGER_PURGE_ARCHIVE_H

#include "base/buf.h"
#include "codec/zstd.h"

#define TL_ARCHIVE_PIECE 65536u

/* A file that is written through a compressor. Zeroed to begin with, and fd -1. */
struct tl_archive_writer {
    int fd;
    uint64_t at;
    struct tl_zstd_writer *zstd;
    char out[TL_ARCHIVE_PIECE];
};

tally_status tl_archive_create(struct tl_archive_writer *writer, const char *path,
                               struct tally_error *err);
tally_status tl_archive_add(struct tl_archive_writer *writer, const char *text, size_t len,
                            struct tally_error *err);
/* Ends the frame and syncs the file. */
tally_status tl_archive_end(struct tl_archive_writer *writer, struct tally_error *err);
void tl_archive_writer_close(struct tl_archive_writer *writer);

/* The same file, read back. */
struct tl_archive_reader {
    int fd;
    uint64_t at;
    struct tl_zstd_reader *zstd;
    struct tl_buf line;
    struct tl_zstd_piece piece;
    size_t out_at; /* of what was decoded and not given out */
    bool ended;    /* the file */
    char in[TL_ARCHIVE_PIECE];
    char out[TL_ARCHIVE_PIECE];
};

tally_status tl_archive_open(struct tl_archive_reader *reader, const char *path,
                             struct tally_error *err);
/* The next line without its newline, borrowed until the next call. TALLY_ENOTFOUND at a proper end;
 * TALLY_ECORRUPT */
tally_status tl_archive_line(struct tl_archive_reader *reader, struct tl_str *line_out,
                             struct tally_error *err);
void tl_archive_reader_close(struct tl_archive_reader *reader);

#endif /* TL_LEDGER_PURGE_ARCHIVE_H */
