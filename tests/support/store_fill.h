/* tests/support/store_fill.h - batches of made-up records, and checks that they are there. */
#ifndef TESTS_STORE_FILL_H
#define TESTS_STORE_FILL_H

#include <tally/store.h>

#include "base/base.h"

/* What record `seq` looks like follows from its seq: every fifth is a control record. */
#define FILL_LEAF_MAX  128
#define FILL_EVENT_MAX 128

struct fill_record {
    uint8_t leaf[FILL_LEAF_MAX];
    char event[FILL_EVENT_MAX];
    uint8_t seed[TALLY_SEED_LEN];
    uint8_t opened[8];
    struct tally_record record; /* points to the rest */
};

void fill_record(struct fill_record *fill, uint64_t seq);
void fill_id(uint8_t id[TALLY_LEAF_ID_LEN], uint64_t seq); /* all zero for a control record */
void fill_tile(uint8_t data[TALLY_TILE_LEN], uint32_t level, uint64_t n);

/*
 * Appends `count` records on top of `head`, with the tiles they fill, which becomes the new head if
 * that succeeds. The one before the last checkpoint is dropped, but for every hundredth.
 */
tally_status fill_append(struct tally_store *store, struct tally_head *head, size_t count,
                         struct tally_error *err);

/* Checks that `store` holds what filling it up to `size` has put there, and nothing else. */
void fill_check(struct tally_store *store, uint64_t size);

#endif /* TESTS_STORE_FILL_H */
