/*
 * server/exports.h - the directory in which the files of exports lie until they are fetched.
 *
 * It is this server's alone, and what is in it ends with the server: jobs are kept in memory, so
 * nobody could ask for it afterwards.
 */
#ifndef TL_SERVER_EXPORTS_H
#define TL_SERVER_EXPORTS_H

#include "base/base.h"
#include "crypto/crypto.h"

#define TL_EXPORT_PATH_SIZE 4096u

/* Immutable while it is open. */
struct tl_exports {
    char dir[TL_EXPORT_PATH_SIZE - 64]; /* "": there is none */
    int fd;                             /* has the lock */
};

/* The directory exports/ beside the file of tokens; removes what a server left that was killed.
 * Errors: TALLY_EBUSY another server uses it; TALLY_EINVAL others may look into it; TALLY_EIO */
tally_status tl_exports_open(struct tl_exports *exports, const char *token_path,
                             struct tally_error *err);
void tl_exports_close(struct tl_exports *exports);

/* Whether there is room on the disk: an eighth of it stays free, which is more than a ledger's
 * `disk.soft` ever is. TALLY_EIO, with ENOSPC, if not. */
tally_status tl_exports_room(const struct tl_exports *exports, struct tally_error *err);

/* Removes a file, or a directory with all that is in it; nothing if it is not there. */
void tl_exports_remove(const char *path);

/* A new file in the making. Confined to one thread. */
struct tl_export_file {
    const struct tl_exports *exports;
    int fd;
    uint64_t bytes, bytes_max, looked_at;
    struct tl_sha256 hash;
    struct tally_error err; /* why a write failed: those who write between do not tell */
};

tally_status tl_export_file_begin(struct tl_export_file *file, const struct tl_exports *exports,
                                  const char *path, uint64_t bytes_max, struct tally_error *err);
/* Is a tl_tar_write_fn. Any failure is TALLY_EIO here; file->err says which. */
tally_status tl_export_file_write(void *ctx, const char *bytes, size_t len);
/* After success and after failure alike. */
tally_status tl_export_file_end(struct tl_export_file *file, struct tally_error *err);

#endif /* TL_SERVER_EXPORTS_H */
