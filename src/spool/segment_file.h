/* spool/segment_file.h - segments as files of a directory, for those who read them. */
#ifndef TL_SPOOL_SEGMENT_FILE_H
#define TL_SPOOL_SEGMENT_FILE_H

#include "spool/drain.h"

/* Makes paths of one directory. Confined to one thread; a zeroed one is released. */
struct tl_spool_dir {
    char *path; /* owned; the directory, or a path in it */
    size_t len; /* of the directory's own */
};

/* "dir", or "dir/sub". Errors: TALLY_ENOMEM */
tally_status tl_spool_dir_init(struct tl_spool_dir *dir, const char *path, const char *sub,
                               struct tally_error *err);
void tl_spool_dir_release(struct tl_spool_dir *dir);

/* Borrowed until the next call for this directory; `name` NULL is the directory itself. */
const char *tl_spool_dir_path(struct tl_spool_dir *dir, const char *name);

/* Whether a name is that of a segment, or (tl_spool_is_new_name) of one that is being made. */
bool tl_spool_is_name(const char *name);
bool tl_spool_is_new_name(const char *name);

/* Opens a segment for reading; negative with errno after a failure, EINVAL for what is no regular
 * file. */
int tl_segment_file_open(struct tl_spool_dir *dir, const char *name);

/* Errors: TALLY_EIO */
tally_status tl_segment_file_size(int fd, uint64_t *size_out, struct tally_error *err);

/* Where the last byte is that may be no zero, of a file with `size` bytes. For who only counts: file
 * systems have been wrong about what is a hole. */
uint64_t tl_segment_file_data_end(int fd, uint64_t size);

/*
 * Whether nobody holds the segment locked: then its writer is gone and it will never change. Who
 * wants to know what is in it reads it after that, again if need be: what the writer wrote before
 * it went is there then.
 */
bool tl_segment_file_is_final(int fd);

/* Reads up to `len` bytes; fewer only if the file ends there. Errors: TALLY_EIO */
tally_status tl_segment_file_read(int fd, uint8_t *out, size_t len, uint64_t offset,
                                  size_t *len_out, struct tally_error *err);

#endif /* TL_SPOOL_SEGMENT_FILE_H */
