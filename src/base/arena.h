/*
 * base/arena.h - memory that is released all at once. Never for secrets.
 *
 * Blocks are kept over tl_arena_reset(), so that a loop which parses one event after the other
 * soon allocates nothing.
 */
#ifndef TL_BASE_ARENA_H
#define TL_BASE_ARENA_H

#include "base/base.h"

struct tl_arena_block;

/* Confined to one thread. A zeroed one must be initialised. */
struct tl_arena {
    struct tl_arena_block *first;
    struct tl_arena_block *current;
    size_t bytes;     /* in blocks */
    size_t bytes_max; /* tl_arena_alloc() gives NULL where the blocks would hold more */
};

void tl_arena_init(struct tl_arena *arena, size_t bytes_max);
void tl_arena_release(struct tl_arena *arena);
void tl_arena_reset(struct tl_arena *arena); /* ends all that was allocated, keeps the blocks */

/* Returns `len` bytes, aligned for any type, not zeroed; NULL if there is no memory. */
void *tl_arena_alloc(struct tl_arena *arena, size_t len);

#endif /* TL_BASE_ARENA_H */
