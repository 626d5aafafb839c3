/*
 * ledger/disk.h - the ladder down to a full disk: warn, then drop what may be dropped, then keep the
 * last room for strict events and for the record of what was lost.
 *
 * Each process looks once a second, and climbs up again by itself.
 */
#ifndef TL_LEDGER_DISK_H
#define TL_LEDGER_DISK_H

#include "base/counter.h"
#include "model/config.h"

enum tl_disk_level {
    TL_DISK_ROOM = 0,
    TL_DISK_SOFT,    /* people are warned */
    TL_DISK_HARD,    /* best_effort events are lost, counted and declared */
    TL_DISK_RESERVE, /* durable ones as well: strict ones alone are taken */
};

struct tl_disk {
    struct tl_counter level; /* enum tl_disk_level; any thread reads it */
    int64_t looked_us;       /* steady clock; confined, as what follows, to the thread that looks */
    enum tl_disk_level told; /* the last one that was recorded */
};

/* The level for so much free room of so much. From `now` it climbs up only with an eighth to spare, so
 * that it does not flutter. A bound is never more than a small part of the whole: 1/10, 1/20, 1/50. */
enum tl_disk_level tl_disk_level_of(const struct tl_config *config, uint64_t free_bytes,
                                    uint64_t total_bytes, enum tl_disk_level now);

/* Looks at most once a second; true if it did. A file system that cannot be asked changes nothing. */
bool tl_disk_look(struct tl_disk *disk, const char *dir, const struct tl_config *config,
                  uint64_t *free_out);

enum tl_disk_level tl_disk_level_now(struct tl_disk *disk); /* any thread */
const char *tl_disk_level_name(enum tl_disk_level level);   /* "soft" */

#endif /* TL_LEDGER_DISK_H */
