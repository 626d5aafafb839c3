#include "base/lane.h"

#include <sched.h>

/* Threads begin at different places, most often each at its own. */
static unsigned my_number(void)
{
    static atomic_uint threads;
    static _Thread_local unsigned number; /* 0: not known yet */
    if (number == 0) {
        number = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) + 1;
    }
    return number;
}

void *tl_swap_enter(struct tl_swap *swap, struct tl_swap_use *use_out)
{
    unsigned lane = my_number() % TL_LANES;
    for (;;) {
        unsigned version = atomic_load(&swap->current);
        /* Sequentially consistent, as is the store in tl_swap_replace(): either we see the new
         * version there, or it sees us here. */
        atomic_fetch_add(&swap->lane[lane].users[version], 1);
        if (atomic_load(&swap->current) == version) {
            *use_out = (struct tl_swap_use){ .lane = lane, .version = version };
            return atomic_load(&swap->value[version]);
        }
        atomic_fetch_sub(&swap->lane[lane].users[version], 1);
    }
}

void tl_swap_leave(struct tl_swap *swap, const struct tl_swap_use *use)
{
    /* Release: what was done with the value comes before its owner may see us gone. */
    atomic_fetch_sub_explicit(&swap->lane[use->lane].users[use->version], 1, memory_order_release);
}

void *tl_swap_replace(struct tl_swap *swap, void *value)
{
    unsigned old = atomic_load(&swap->current);
    atomic_store(&swap->value[1 - old], value);
    atomic_store(&swap->current, 1 - old);
    for (unsigned i = 0; i < TL_LANES; i++) {
        /* Acquire: pairs with tl_swap_leave(). */
        while (atomic_load(&swap->lane[i].users[old]) != 0) {
            (void)sched_yield();
        }
    }
    return atomic_load(&swap->value[old]);
}

void tl_swap_forget_users(struct tl_swap *swap)
{
    for (unsigned i = 0; i < TL_LANES; i++) {
        atomic_store(&swap->lane[i].users[0], 0);
        atomic_store(&swap->lane[i].users[1], 0);
    }
}

unsigned tl_borrow(struct tl_borrows *borrows)
{
    unsigned first = my_number();
    for (unsigned i = 0; i < TL_BORROWS_MAX; i++) {
        unsigned place = (first + i) % TL_BORROWS_MAX;
        unsigned expected = 0;
        /* Acquire: what the last borrower left there is seen. */
        if (atomic_load_explicit(&borrows->place[place].taken, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong_explicit(&borrows->place[place].taken, &expected, 1,
                                                    memory_order_acquire, memory_order_relaxed)) {
            return place;
        }
    }
    return TL_BORROWS_MAX;
}

void tl_borrow_end(struct tl_borrows *borrows, unsigned place)
{
    atomic_store_explicit(&borrows->place[place].taken, 0, memory_order_release);
}

bool tl_borrow_is_taken(const struct tl_borrows *borrows, unsigned place)
{
    return atomic_load_explicit(&borrows->place[place].taken, memory_order_acquire) != 0;
}
