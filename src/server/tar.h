/* server/tar.h - a directory as one stream of bytes: POSIX ustar. */
#ifndef TL_SERVER_TAR_H
#define TL_SERVER_TAR_H

#include "base/base.h"

typedef tally_status tl_tar_write_fn(void *ctx, const char *bytes, size_t len);

/* What becomes of an archive. */
struct tl_tar_options {
    const char *name; /* of the directory in the archive */
    int64_t time_s;   /* of all that is in it; not before 1970 */
    tl_tar_write_fn *write;
    void *ctx;
};

/*
 * Writes the directories and regular files below `dir`. Errors: those of write; TALLY_ELIMIT a path
 * has more than 99 bytes in the archive, or a file 8 GiB; TALLY_EINVAL something else lies there;
 * TALLY_EIO
 */
tally_status tl_tar_directory(const char *dir, const struct tl_tar_options *options,
                              struct tally_error *err);

#endif /* TL_SERVER_TAR_H */
