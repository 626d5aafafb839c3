#include "spool/segment_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/io.h"
#include "base/str.h"
#include "spool/spool.h"

#define EXTENTS_MAX 256 /* more are not looked at: the whole file is read */

tally_status tl_spool_dir_init(struct tl_spool_dir *dir, const char *path, const char *sub,
                               struct tally_error *err)
{
    struct tl_str parts[] = { tl_str_of(path), TL_STR("/"), tl_str_of(sub) };
    size_t count = sub == NULL ? 1 : TL_ARRAY_LEN(parts);
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        len += parts[i].len;
    }
    char *room = tl_alloc_array(len + 1 + TL_DRAIN_NAME_SIZE, 1);
    if (room == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a path");
    }
    dir->path = room;
    dir->len = len;
    for (size_t i = 0; i < count; i++) {
        memcpy(room, parts[i].text, parts[i].len);
        room += parts[i].len;
    }
    return TALLY_OK;
}

void tl_spool_dir_release(struct tl_spool_dir *dir)
{
    tl_free(dir->path);
    *dir = (struct tl_spool_dir){ 0 };
}

const char *tl_spool_dir_path(struct tl_spool_dir *dir, const char *name)
{
    char *end = dir->path + dir->len;
    *end = '\0';
    if (name != NULL) {
        *end = '/';
        tl_str_copy(end + 1, TL_DRAIN_NAME_SIZE, tl_str_of(name));
    }
    return dir->path;
}

static bool has_suffix(struct tl_str name, struct tl_str suffix)
{
    return name.len > suffix.len && name.len < TL_DRAIN_NAME_SIZE &&
           memcmp(name.text + name.len - suffix.len, suffix.text, suffix.len) == 0;
}

bool tl_spool_is_name(const char *name)
{
    return name[0] != '.' && has_suffix(tl_str_of(name), TL_STR(TL_SPOOL_SUFFIX));
}

bool tl_spool_is_new_name(const char *name)
{
    return name[0] != '.' && has_suffix(tl_str_of(name), TL_STR(TL_SEGMENT_NEW_SUFFIX));
}

int tl_segment_file_open(struct tl_spool_dir *dir, const char *name)
{
    /* Without O_NONBLOCK, a pipe of this name would wait for a writer that never comes. */
    int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    int fd = tl_io->open(tl_spool_dir_path(dir, name), flags, 0);
    if (fd < 0) {
        return -1;
    }
    struct stat st;
    int os_errno = tl_io->fstat(fd, &st) != 0 ? errno : S_ISREG(st.st_mode) ? 0 : EINVAL;
    if (os_errno != 0) {
        (void)tl_io->close(fd); /* nothing was read */
        errno = os_errno;
        return -1;
    }
    return fd;
}

tally_status tl_segment_file_size(int fd, uint64_t *size_out, struct tally_error *err)
{
    struct stat st;
    if (tl_io->fstat(fd, &st) != 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot stat a spool segment");
    }
    *size_out = (uint64_t)st.st_size;
    return TALLY_OK;
}

uint64_t tl_segment_file_data_end(int fd, uint64_t size)
{
    off_t end = 0;
    for (int i = 0; i < EXTENTS_MAX; i++) {
        off_t data = tl_io->seek(fd, end, SEEK_DATA);
        if (data < 0) {
            return errno == ENXIO ? (uint64_t)end : size; /* no more; or it cannot tell */
        }
        end = tl_io->seek(fd, data, SEEK_HOLE);
        if (end < 0) {
            return size;
        }
    }
    return size;
}

bool tl_segment_file_is_final(int fd)
{
    /* Shared, so that those who ask do not take each other for the writer. */
    if (tl_io->flock(fd, LOCK_SH | LOCK_NB) != 0) {
        return false;
    }
    (void)tl_io->flock(fd, LOCK_UN); /* else it goes with the descriptor */
    return true;
}

tally_status tl_segment_file_read(int fd, uint8_t *out, size_t len, uint64_t offset,
                                  size_t *len_out, struct tally_error *err)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = tl_io->pread(fd, out + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return tl_fail_errno(err, TALLY_EIO, errno, "cannot read a spool segment");
        }
        if (n == 0) {
            break;
        }
        done += (size_t)n;
    }
    *len_out = done;
    return TALLY_OK;
}
