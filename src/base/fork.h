/* base/fork.h - lets objects that hold locks, threads or descriptors live through fork(). */
#ifndef TL_BASE_FORK_H
#define TL_BASE_FORK_H

#include "base/base.h"

/*
 * Embedded in the object that wants to know. `prepare` runs before fork() on the thread that forks
 * and takes the object's locks; `parent` gives them back; `child` makes the object of the child,
 * where no other thread lives: it closes descriptors, makes locks anew and forgets threads. Objects
 * are prepared in the order in which they were watched last, and released in the opposite order.
 */
struct tl_fork_watch {
    void (*prepare)(void *ctx);
    void (*parent)(void *ctx);
    void (*child)(void *ctx);
    void *ctx;
    struct tl_fork_watch *next, *prev; /* private */
};

/* Any thread may call these; not from a handler. */
void tl_fork_watch(struct tl_fork_watch *watch);
void tl_fork_unwatch(struct tl_fork_watch *watch);

/* Number of forks between the program's start and this process: what was made under another number
 * belongs to an ancestor. */
uint32_t tl_fork_generation(void);

#endif /* TL_BASE_FORK_H */
