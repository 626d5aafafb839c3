/*
 * base/lane.h - what many threads use at once, without a lock: objects they borrow, and a pointer
 * that is replaced while they use what it points to.
 */
#ifndef TL_BASE_LANE_H
#define TL_BASE_LANE_H

#include <stdatomic.h>

#include "base/base.h"

#define TL_LANES       16u
#define TL_LANE_BYTES  64u /* of a cache line: lanes do not slow each other down */
#define TL_BORROWS_MAX 64u

/* A pointer that is replaced. All zero points to nothing. */
struct tl_swap {
    atomic_uint current; /* 0 or 1 */
    _Atomic(void *) value[2];
    struct {
        atomic_uint users[2];
        char pad[TL_LANE_BYTES - 2 * sizeof(atomic_uint)];
    } lane[TL_LANES];
};

/* What tl_swap_enter() gives to tl_swap_leave(). */
struct tl_swap_use {
    unsigned lane;
    unsigned version;
};

/* Returns the value, which stays valid until tl_swap_leave(). Never waits. */
void *tl_swap_enter(struct tl_swap *swap, struct tl_swap_use *use_out);
void tl_swap_leave(struct tl_swap *swap, const struct tl_swap_use *use);

/* Puts `value` in its place and returns the old one, once no thread uses that any more. One caller at
 * a time. */
void *tl_swap_replace(struct tl_swap *swap, void *value);

/* In the child of a fork: other users are not in this process. */
void tl_swap_forget_users(struct tl_swap *swap);

/* Places of which each is borrowed by one thread at a time. All zero: all are free. */
struct tl_borrows {
    struct {
        atomic_uint taken;
        char pad[TL_LANE_BYTES - sizeof(atomic_uint)];
    } place[TL_BORROWS_MAX];
};

/* The number of a place, now the caller's; TL_BORROWS_MAX if none is free. Never waits. */
unsigned tl_borrow(struct tl_borrows *borrows);
void tl_borrow_end(struct tl_borrows *borrows, unsigned place);
bool tl_borrow_is_taken(const struct tl_borrows *borrows, unsigned place);

#endif /* TL_BASE_LANE_H */
