#include "ledger/disk.h"

#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/io.h"

#define LOOK_US 1000000

static const char *const names[] = {
    [TL_DISK_ROOM] = "room",
    [TL_DISK_SOFT] = "soft",
    [TL_DISK_HARD] = "hard",
    [TL_DISK_RESERVE] = "reserve",
};

const char *tl_disk_level_name(enum tl_disk_level level)
{
    return names[level];
}

/* The bound for `level`, as far as a disk of this size allows. */
static uint64_t bound_of(const struct tl_config *config, enum tl_disk_level level, uint64_t total)
{
    const struct {
        uint64_t bytes, part;
    } bounds[] = {
        [TL_DISK_SOFT] = { config->disk_soft_bytes, total / 10 },
        [TL_DISK_HARD] = { config->disk_hard_bytes, total / 20 },
        [TL_DISK_RESERVE] = { config->disk_reserve_bytes, total / 50 },
    };
    return bounds[level].bytes < bounds[level].part ? bounds[level].bytes : bounds[level].part;
}

enum tl_disk_level tl_disk_level_of(const struct tl_config *config, uint64_t free_bytes,
                                    uint64_t total_bytes, enum tl_disk_level now)
{
    for (unsigned i = TL_DISK_RESERVE; i > TL_DISK_ROOM; i--) {
        enum tl_disk_level level = (enum tl_disk_level)i;
        uint64_t bound = bound_of(config, level, total_bytes);
        if (free_bytes < bound || (level <= now && free_bytes < bound + bound / 8)) {
            return level;
        }
    }
    return TL_DISK_ROOM;
}

enum tl_disk_level tl_disk_level_now(struct tl_disk *disk)
{
    uint64_t level = tl_counter_get(&disk->level);
    return (enum tl_disk_level)level;
}

bool tl_disk_look(struct tl_disk *disk, const char *dir, const struct tl_config *config,
                  uint64_t *free_out)
{
    int64_t now_us = tl_clock->steady_us();
    struct statvfs fs;
    if (disk->looked_us != 0 && now_us - disk->looked_us < LOOK_US) {
        return false;
    }
    disk->looked_us = now_us;
    if (tl_io->statvfs(dir, &fs) != 0) {
        return false;
    }
    enum tl_disk_level now = tl_disk_level_now(disk);
    *free_out = (uint64_t)fs.f_bavail * fs.f_frsize;
    tl_counter_set(&disk->level,
                   tl_disk_level_of(config, *free_out, (uint64_t)fs.f_blocks * fs.f_frsize, now));
    return true;
}
