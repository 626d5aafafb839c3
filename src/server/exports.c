#include "server/exports.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/io.h"

#define FILES_OPEN 16
#define LOOK_BYTES ((uint64_t)8 << 20) /* between two looks at the disk */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    (void)(type == FTW_DP ? rmdir(path)
                          : tl_io->unlink(path)); /* what stays goes at the next start */
    return 0;
}

void tl_exports_remove(const char *path)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): it is safe without FTW_CHDIR */
    (void)nftw(path, remove_entry, FILES_OPEN, FTW_DEPTH | FTW_PHYS);
}

/* What jobs name so; whatever else lies there is not ours. */
static tally_status remove_leftover(void *ctx, const char *name)
{
    const struct tl_exports *exports = ctx;
    char path[TL_EXPORT_PATH_SIZE + 256];
    if (name[0] == 'j' && name[1] >= '0' && name[1] <= '9') {
        (void)snprintf(path, sizeof(path), "%s/%s", exports->dir, name);
        tl_exports_remove(path);
    }
    return TALLY_OK;
}

static tally_status name_directory(struct tl_exports *exports, const char *token_path,
                                   struct tally_error *err)
{
    static const char name[] = "exports";
    const char *last = strrchr(token_path, '/');
    size_t len = last == NULL ? 0 : (size_t)(last + 1 - token_path);
    if (len + sizeof(name) > sizeof(exports->dir)) {
        return tl_fail(err, TALLY_EINVAL, "the path of the tokens is too long");
    }
    memcpy(exports->dir, token_path, len);
    memcpy(exports->dir + len, name, sizeof(name));
    return TALLY_OK;
}

static tally_status take_directory(struct tl_exports *exports, struct tally_error *err)
{
    struct stat st;
    TL_TRY(tl_io_make_directory(exports->dir, 0700, err));
    exports->fd = tl_io->open(exports->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (exports->fd < 0 || tl_io->fstat(exports->fd, &st) != 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot open '%s'", exports->dir);
    }
    if (st.st_uid != geteuid() || (st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return tl_fail(err, TALLY_EINVAL, "others may look into '%s'", exports->dir);
    }
    if (tl_io->flock(exports->fd, LOCK_EX | LOCK_NB) != 0) {
        return tl_fail_errno(err, TALLY_EBUSY, errno, "another server uses '%s'", exports->dir);
    }
    return tl_io_each_entry(exports->dir, remove_leftover, exports, err);
}

tally_status tl_exports_open(struct tl_exports *exports, const char *token_path,
                             struct tally_error *err)
{
    exports->fd = -1;
    tally_status status = name_directory(exports, token_path, err);
    if (status == TALLY_OK) {
        status = take_directory(exports, err);
    }
    if (status != TALLY_OK) {
        tl_exports_close(exports);
    }
    return status;
}

void tl_exports_close(struct tl_exports *exports)
{
    if (exports->dir[0] != '\0') {
        tl_io_closep(&exports->fd);
    }
    exports->dir[0] = '\0';
}

tally_status tl_exports_room(const struct tl_exports *exports, struct tally_error *err)
{
    struct statvfs fs;
    if (tl_io->statvfs(exports->dir, &fs) != 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot see how much room '%s' has",
                             exports->dir);
    }
    return fs.f_bavail >= fs.f_blocks / 8
               ? TALLY_OK
               : tl_fail_errno(err, TALLY_EIO, ENOSPC, "the disk has no room for exports");
}

tally_status tl_export_file_begin(struct tl_export_file *file, const struct tl_exports *exports,
                                  const char *path, uint64_t bytes_max, struct tally_error *err)
{
    *file = (struct tl_export_file){ .exports = exports, .bytes_max = bytes_max };
    file->err = (struct tally_error)TALLY_ERROR_INIT;
    tl_sha256_init(&file->hash);
    file->fd = tl_io->open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return file->fd >= 0 ? TALLY_OK
                         : tl_fail_errno(err, TALLY_EIO, errno, "cannot make '%s'", path);
}

static tally_status write_part(struct tl_export_file *file, const char *bytes, size_t len)
{
    if (len > file->bytes_max - file->bytes) {
        return tl_fail(&file->err, TALLY_ELIMIT,
                       "the exports that are kept would be too large: delete those that are done "
                       "with, or download this one as it is made");
    }
    if (file->bytes >= file->looked_at) {
        TL_TRY(tl_exports_room(file->exports, &file->err));
        file->looked_at = file->bytes + LOOK_BYTES;
    }
    TL_TRY(tl_io_write_at(file->fd, bytes, len, file->bytes, &file->err));
    tl_sha256_add(&file->hash, bytes, len);
    file->bytes += len;
    return TALLY_OK;
}

tally_status tl_export_file_write(void *ctx, const char *bytes, size_t len)
{
    struct tl_export_file *file = ctx;
    return write_part(file, bytes, len) == TALLY_OK ? TALLY_OK : TALLY_EIO;
}

tally_status tl_export_file_end(struct tl_export_file *file, struct tally_error *err)
{
    if (file->err.status != TALLY_OK) {
        tl_io_closep(&file->fd);
        return tl_fail_with(err, file->err.status, &file->err);
    }
    return tl_io->close(file->fd) == 0
               ? TALLY_OK
               : tl_fail_errno(err, TALLY_EIO, errno, "cannot end the file of an export");
}
