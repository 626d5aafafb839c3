/* server/job_export.h - what an export as a job makes: one file, which is kept for a day. */
#ifndef TL_SERVER_JOB_EXPORT_H
#define TL_SERVER_JOB_EXPORT_H

#include "server/exports.h"
#include "server/server_impl.h"

#define TL_EXPORTS_MAX       16u                 /* kept, or to be made */
#define TL_EXPORTS_BYTES_MAX ((uint64_t)8 << 30) /* of all that are kept */

/* Immutable. */
struct tl_export_format {
    const char *name;
    const char *file_name; /* for who downloads it */
    const char *content_type;
    bool is_directory; /* a bundle or a tlog directory, as one tar file */
    bool has_contents;
    enum tally_format format; /* of records */
};

/* Set by the thread that works until the job has ended; then immutable but for is_kept. */
struct tl_export {
    const struct tl_export_format *format;
    char path[TL_EXPORT_PATH_SIZE];
    uint64_t records, bytes, tree_size;
    char sha256[2 * TL_SHA256_LEN + 1];
    char manifest[sizeof(((struct tally_export_result *)0)->manifest)]; /* "": of directories */
    int64_t until_us;
    bool is_kept; /* guarded by the lock of the jobs */
};

/* Removes the file, if there is one. NULL is allowed. */
void tl_export_drop(struct tl_export *export);

#endif /* TL_SERVER_JOB_EXPORT_H */
