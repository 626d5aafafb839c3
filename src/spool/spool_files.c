#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/random.h"
#include "spool/spool_impl.h"

/* What a segment is called until it is locked and has a header: no reader looks at it. */
static const char new_suffix[] = ".new";
_Static_assert(sizeof(new_suffix) == sizeof(TL_SPOOL_SUFFIX), "both names take the same room");
_Static_assert(TL_SPOOL_ID_TEXT_LEN + sizeof(TL_SPOOL_SUFFIX) <= TL_SPOOL_NAME_SIZE, "names fit");

/* A sweep of another process takes a file that is not locked yet for one that was left behind. */
#define MAKE_ATTEMPTS   3
#define GIVE_BACK_ALIGN 4096u
#define GIVE_BACK_MIN   65536u /* less is not worth a call */

size_t tl_spool_path_size(const struct tl_spool *spool)
{
    return strlen(spool->dir) + 1 + TL_SPOOL_ID_TEXT_LEN + sizeof(TL_SPOOL_SUFFIX);
}

static void put_path(char *out, const struct tl_spool *spool, const uint8_t id[TL_SPOOL_ID_LEN],
                     const char *suffix)
{
    size_t dir_len = strlen(spool->dir);
    memcpy(out, spool->dir, dir_len);
    out[dir_len] = '/';
    tl_hex_encode(out + dir_len + 1, id, TL_SPOOL_ID_LEN);
    memcpy(out + dir_len + 1 + TL_SPOOL_ID_TEXT_LEN, suffix, sizeof(new_suffix));
}

/* A UUIDv7 (RFC 9562): milliseconds, version and 12 bits of the fraction, variant and chance. */
static void put_name(const struct tl_spool *spool, struct tl_spool_segment *segment)
{
    uint64_t us = segment->created_us > 0 ? (uint64_t)segment->created_us : 0;
    uint8_t *id = segment->id;
    tl_random_bytes(id, TL_SPOOL_ID_LEN);
    uint64_t random_b = tl_get_be64(id + 8);
    tl_put_be64(id, us / 1000 << 16 | UINT64_C(7) << 12 | us % 1000 * 4096 / 1000);
    tl_put_be64(id + 8, (random_b & UINT64_MAX >> 2) | UINT64_C(1) << 63);
    put_path(segment->path, spool, id, TL_SPOOL_SUFFIX);
    put_path(segment->path_new, spool, id, new_suffix);
}

/* Returns 0 or errno. */
static int create(struct tl_spool *spool, struct tl_spool_segment *segment)
{
    const int flags = O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW;
    tl_mutex_lock(&spool->files);
    segment->fd = tl_io->open(segment->path_new, flags, 0600);
    int os_errno = segment->fd < 0 ? errno : 0;
    tl_mutex_unlock(&spool->files);
    return os_errno;
}

static int lock_file(int fd)
{
    int rc = 0;
    do {
        rc = tl_io->flock(fd, LOCK_EX | LOCK_NB);
    } while (rc != 0 && errno == EINTR);
    return rc;
}

/* So that a full disk is met here, and not when a record is written. */
static int allocate(int fd, uint32_t size)
{
    int rc = tl_io->fallocate(fd, 0, 0, size);
    return rc != 0 && errno == EOPNOTSUPP ? tl_io->ftruncate(fd, size) : rc;
}

static int write_header(struct tl_spool *spool, struct tl_spool_segment *segment)
{
    tl_random_bytes(&segment->nonce, sizeof(segment->nonce));
    uint8_t header[TL_SEGMENT_HEADER_LEN];
    tl_segment_encode(header, &(struct tl_segment){ .nonce = segment->nonce,
                                                    .created_us = tl_clock->wall_us(),
                                                    .size = spool->size,
                                                    .pid = (uint32_t)getpid() });
    struct tally_error err = TALLY_ERROR_INIT;
    tally_status status = tl_io_write_at(segment->fd, header, sizeof(header), 0, &err);
    errno = err.os_errno;
    return status == TALLY_OK ? 0 : -1;
}

/* Returns 0 or errno. */
static int make_once(struct tl_spool *spool, struct tl_spool_segment *segment)
{
    put_name(spool, segment);
    int os_errno = create(spool, segment);
    if (os_errno != 0) {
        return os_errno;
    }
    if (lock_file(segment->fd) != 0 || allocate(segment->fd, spool->size) != 0 ||
        write_header(spool, segment) != 0 || tl_io->rename(segment->path_new, segment->path) != 0) {
        os_errno = errno;
        (void)tl_io->unlink(segment->path_new);    /* if it is there; else swept up one day */
        tl_spool_file_close(spool, segment, true); /* the rename may have been done all the same */
    }
    return os_errno;
}

tally_status tl_spool_file_make(struct tl_spool *spool, struct tl_spool_segment *segment,
                                struct tally_error *err)
{
    int os_errno = make_once(spool, segment);
    for (int i = 1; i < MAKE_ATTEMPTS && (os_errno == ENOENT || os_errno == EWOULDBLOCK); i++) {
        os_errno = make_once(spool, segment);
    }
    if (os_errno != 0) {
        return tl_fail_errno(err, TALLY_EIO, os_errno, "cannot make a spool segment in '%s'",
                             spool->dir);
    }
    return TALLY_OK;
}

/* A segment may wait for long, and many short programs leave one each. The file keeps its size, and
 * what nobody wrote to still reads as zeros; a file system that cannot do it loses nothing. */
void tl_spool_file_give_back(const struct tl_spool *spool, const struct tl_spool_segment *segment,
                             uint64_t used)
{
    uint64_t from = (used + GIVE_BACK_ALIGN - 1) / GIVE_BACK_ALIGN * GIVE_BACK_ALIGN;
    if (from + GIVE_BACK_MIN <= spool->size) {
        (void)tl_io->fallocate(segment->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
                               (off_t)(spool->size - from));
    }
}

/*
 * The lock is given back in so many words: a child that was forked a moment ago may have a copy of
 * the descriptor. Nothing can be lost by a close that fails: what had to be synced was.
 */
void tl_spool_file_close(struct tl_spool *spool, struct tl_spool_segment *segment, bool removes)
{
    if (removes) {
        (void)tl_io->unlink(segment->path); /* if it stays, it is an empty one for the reader */
    }
    (void)tl_io->flock(segment->fd, LOCK_UN); /* closing does it too */
    tl_mutex_lock(&spool->files);
    (void)tl_io->close(segment->fd);
    segment->fd = -1;
    tl_mutex_unlock(&spool->files);
}

int tl_spool_file_sync(const struct tl_spool *spool, const struct tl_spool_segment *segment)
{
    if (tl_io->fdatasync(segment->fd) != 0) {
        return errno;
    }
    return !segment->has_name_synced && tl_io->fsync(spool->dir_fd) != 0 ? errno : 0;
}

/* Whoever makes a segment holds its lock until it has its name. */
static void remove_unlocked(const char *path)
{
    int fd = tl_io->open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0) {
        return;
    }
    if (tl_io->flock(fd, LOCK_EX | LOCK_NB) == 0) {
        (void)tl_io->unlink(path); /* if it stays, there will be another sweep */
    }
    tl_io_closep(&fd);
}

static tally_status sweep_entry(void *ctx, const char *name)
{
    const struct tl_spool *spool = ctx;
    uint8_t id[TL_SPOOL_ID_LEN];
    if (strlen(name) == TL_SPOOL_ID_TEXT_LEN + sizeof(new_suffix) - 1 &&
        strcmp(name + TL_SPOOL_ID_TEXT_LEN, new_suffix) == 0 &&
        tl_hex_decode(id, sizeof(id), name, TL_SPOOL_ID_TEXT_LEN) == TALLY_OK) {
        put_path(spool->closed_path, spool, id, new_suffix);
        remove_unlocked(spool->closed_path);
    }
    return TALLY_OK;
}

void tl_spool_files_sweep(struct tl_spool *spool)
{
    /* What cannot be removed takes space, and is tried again when the next spool is opened. */
    (void)tl_io_each_entry(spool->dir, sweep_entry, spool, NULL);
}

bool tl_spool_file_exists(const struct tl_spool *spool, const uint8_t id[TL_SPOOL_ID_LEN])
{
    put_path(spool->closed_path, spool, id, TL_SPOOL_SUFFIX);
    return tl_io->access(spool->closed_path, F_OK) == 0 || errno != ENOENT;
}
