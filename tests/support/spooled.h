/*
 * tests/support/spooled.h - segments of a spool made by hand, and what a drain takes of them.
 *
 * The text of a record tells its index, so that every record that is taken is checked. The fake
 * clock has to be in use.
 */
#ifndef TESTS_SPOOLED_H
#define TESTS_SPOOLED_H

#include "check.h"
#include "spool/drain.h"

#define SPOOLED_PATH_LEN 512
#define SPOOLED_NONCE    UINT64_C(0xfeedfacecafebeef)
#define DRAINED_MAX      70000

/* A segment as its writer would leave it; ended by spooled_end(). */
struct spooled {
    uint8_t *bytes;
    uint32_t size;
    size_t at; /* of the next record */
    uint32_t index;
};

struct spooled spooled_begin(uint32_t size);
void spooled_end(struct spooled *image);

/* The text of length `len` of the record with this index. */
void spooled_text(char *out, uint32_t index, uint32_t len);

/* These return where the record stands. */
size_t spooled_add_kind(struct spooled *image, enum tl_spool_kind kind, uint32_t len);
size_t spooled_add(struct spooled *image, uint32_t len); /* an event */

void spooled_add_hole(struct spooled *image, uint32_t len); /* reserved and not written */

void spooled_write_bytes(const char *dir, const char *name, const void *bytes, size_t len);
void spooled_write(const char *dir, const char *name, const struct spooled *image);

/* Holds a segment as its writer would. Close it to let go. */
int spooled_lock(const char *dir, const char *name);

bool spooled_exists(const char *dir, const char *name);

/* Whether a file is in quarantine; it is not any more after that. */
bool spooled_take_kept(const char *dir, const char *name);

/* What was taken since `count` was set to 0. */
struct drained {
    uint32_t index[DRAINED_MAX];
    char name[DRAINED_MAX]; /* the first letter of each one's segment */
    size_t count;
};
extern struct drained drained;

struct tl_drain *drained_open(const char *dir);
void drained_check_text(const struct tl_drain_item *item);
size_t drained_take(struct tl_drain *drain, size_t max, size_t bytes_max); /* max <= 256 */

/* Takes until there is nothing now, after the time in which locks and directory may be old. */
void drained_take_all(struct tl_drain *drain);

/* Wants "a0 a1 b0": these records of these segments, and no others. */
void drained_check(const char *want);

void drained_check_lost(const struct tl_drain_segment *segment, uint64_t in_flight, uint64_t torn,
                        uint64_t damaged);

/* Drains one final segment to its end, and checks what it gives, what is lost (as above), and
 * whether the file is kept. */
void drained_final(const char *dir, const struct spooled *image, const char *want,
                   const uint64_t lost[3], bool is_kept);

#endif /* TESTS_SPOOLED_H */
