/*
 * tests/support/image.h - a ledger as plain arrays that a test may change at will, and a store that
 * reads them.
 */
#ifndef TESTS_IMAGE_H
#define TESTS_IMAGE_H

#include <tally/store.h>

#include "base/base.h"

/* Owned bytes; NULL is SQL NULL. */
struct image_bytes {
    uint8_t *data;
    size_t len;
};

struct image_record {
    uint64_t seq;
    struct image_bytes leaf;
    struct image_bytes event;
    struct image_bytes seed;
    struct image_bytes opened;
};

struct image_tile {
    uint32_t level;
    uint64_t n;
    uint8_t data[TALLY_TILE_LEN];
};

struct image_checkpoint {
    uint64_t size;
    struct image_bytes note;
};

/* Zeroed is empty. */
struct image {
    struct tally_store store; /* what tl_store_*() take */
    struct image_record *records;
    size_t record_count;
    struct image_tile *tiles;
    size_t tile_count;
    struct image_checkpoint *checkpoints;
    size_t checkpoint_count;
    struct tally_head head;
    size_t reads_left;        /* calls until one fails with TALLY_EIO; 0: none does */
    const char *self_finding; /* a code that self_check() reports, or NULL */
};

void image_init(struct image *image);
void image_release(struct image *image);
void image_copy(struct image *to, const struct image *from);

void image_set(struct image_bytes *bytes, const void *data, size_t len);
void image_clear(struct image_bytes *bytes); /* to NULL */
void image_add(struct image *image, const struct tally_record *record);
void image_insert(struct image *image, size_t at, const struct tally_record *record);
void image_remove(struct image *image, size_t at);
void image_add_tile(struct image *image, uint32_t level, uint64_t n, const uint8_t *data);
void image_add_checkpoint(struct image *image, uint64_t size, const char *note, size_t len);
void image_remove_checkpoint(struct image *image, size_t at);

/* Appends all that the image holds to a store that is empty. */
tally_status image_store(const struct image *image, struct tally_store *store);

#endif /* TESTS_IMAGE_H */
