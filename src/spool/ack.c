#include "spool/ack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/io.h"

#define PATH_SIZE   4352u
#define SUFFIX      ".ack"
#define RUN_MAX     64u /* slots written at once */
#define SWEEP_AFTER 10  /* seconds: who waits looks more often */
#define MAGIC       0x01544101u

_Static_assert(TL_ACK_LEN == 8 * 12, "slots have no padding");

static void encode(uint8_t out[TL_ACK_LEN], const struct tl_ack *ack)
{
    memset(out, 0, TL_ACK_LEN);
    tl_put_be32(out, MAGIC);
    tl_put_be32(out + 4, ack->index);
    tl_put_be32(out + 8, (uint32_t)ack->status);
    tl_put_be32(out + 12, ack->flags);
    tl_put_be64(out + 16, ack->seq);
    tl_put_be64(out + 24, (uint64_t)ack->recorded_us);
    tl_put_be64(out + 32, ack->checkpoint_size);
    memcpy(out + 40, ack->leaf_hash, sizeof(ack->leaf_hash));
    tl_put_be32(out + 92, tl_crc32c(0, out, 92));
}

static bool decode(struct tl_ack *ack, const uint8_t in[TL_ACK_LEN])
{
    if (tl_get_be32(in) != MAGIC || tl_get_be32(in + 92) != tl_crc32c(0, in, 92)) {
        return false;
    }
    ack->index = tl_get_be32(in + 4);
    ack->status = (int32_t)tl_get_be32(in + 8);
    ack->flags = tl_get_be32(in + 12);
    ack->seq = tl_get_be64(in + 16);
    ack->recorded_us = (int64_t)tl_get_be64(in + 24);
    ack->checkpoint_size = tl_get_be64(in + 32);
    memcpy(ack->leaf_hash, in + 40, sizeof(ack->leaf_hash));
    return true;
}

static tally_status path_of(char out[PATH_SIZE], const char *dir, const char *segment,
                            struct tally_error *err)
{
    int n = snprintf(out, PATH_SIZE, "%s/%s" SUFFIX, dir, segment);
    return n > 0 && (size_t)n < PATH_SIZE
               ? TALLY_OK
               : tl_fail(err, TALLY_EINVAL, "the path of the spool is too long");
}

static tally_status write_runs(int fd, const struct tl_ack *acks, size_t count,
                               struct tally_error *err)
{
    uint8_t run[RUN_MAX * TL_ACK_LEN];
    for (size_t i = 0; i < count;) {
        size_t n = 0;
        uint32_t first = acks[i].index;
        while (n < RUN_MAX && i + n < count && acks[i + n].index == first + n) {
            encode(run + n * TL_ACK_LEN, &acks[i + n]);
            n++;
        }
        tl_assert(n > 0);
        TL_TRY(tl_io_write_at(fd, run, n * TL_ACK_LEN, (uint64_t)first * TL_ACK_LEN, err));
        i += n;
    }
    return TALLY_OK;
}

tally_status tl_ack_write(const char *dir, const char *segment, const struct tl_ack *acks,
                          size_t count, struct tally_error *err)
{
    char path[PATH_SIZE];
    TL_TRY(path_of(path, dir, segment, err));
    TL_CLEANUP(tl_io_closep)
    int fd = tl_io->open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot open '%s'", path);
    }
    return write_runs(fd, acks, count, err);
}

tally_status tl_ack_read(const char *dir, const char *segment, uint32_t index, struct tl_ack *out)
{
    char path[PATH_SIZE];
    uint8_t slot[TL_ACK_LEN];
    TL_TRY(path_of(path, dir, segment, NULL));
    TL_CLEANUP(tl_io_closep) int fd = tl_io->open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd < 0) {
        return errno == ENOENT ? TALLY_ENOTFOUND : TALLY_EIO;
    }
    /* A file that ends before the slot, and a slot that is being written, are no answer yet. */
    if (tl_io_read_at(fd, slot, sizeof(slot), (uint64_t)index * TL_ACK_LEN, NULL) != TALLY_OK ||
        !decode(out, slot) || out->index != index) {
        return TALLY_ENOTFOUND;
    }
    return TALLY_OK;
}

static bool is_there(const char *path)
{
    TL_CLEANUP(tl_io_closep) int fd = tl_io->open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    return fd >= 0;
}

static bool is_old(const char *path)
{
    struct stat st;
    TL_CLEANUP(tl_io_closep) int fd = tl_io->open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    return fd >= 0 && tl_io->fstat(fd, &st) == 0 &&
           tl_clock->wall_us() / 1000000 - st.st_mtime > SWEEP_AFTER;
}

static tally_status sweep_one(void *ctx, const char *name)
{
    const char *dir = ctx;
    size_t len = strlen(name);
    char path[PATH_SIZE];
    if (len < sizeof(SUFFIX) || strcmp(name + len - (sizeof(SUFFIX) - 1), SUFFIX) != 0 ||
        snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path) || !is_old(path)) {
        return TALLY_OK;
    }
    size_t end = strlen(path) - (sizeof(SUFFIX) - 1);
    path[end] = '\0';
    bool segment_is_there = is_there(path);
    path[end] = SUFFIX[0];
    if (!segment_is_there) {
        (void)tl_io->unlink(path); /* seen again the next time */
    }
    return TALLY_OK;
}

void tl_ack_sweep(const char *dir)
{
    char copy[PATH_SIZE];
    if (snprintf(copy, sizeof(copy), "%s", dir) < (int)sizeof(copy)) {
        (void)tl_io_each_entry(dir, sweep_one, copy, NULL); /* tried again later */
    }
}
