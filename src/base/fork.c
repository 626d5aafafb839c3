#include "base/fork.h"

#include <pthread.h>

#include "base/thread.h"

/* Only the list itself is guarded; it is locked from before a fork until after it. */
static struct tl_mutex mu = { PTHREAD_MUTEX_INITIALIZER };
static struct tl_fork_watch list = { .next = &list, .prev = &list };
static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint32_t generation; /* written in a child before it has threads */

static void prepare(void) TL_NO_ANALYSIS
{
    tl_mutex_lock(&mu);
    for (struct tl_fork_watch *watch = list.next; watch != &list; watch = watch->next) {
        watch->prepare(watch->ctx);
    }
}

static void in_parent(void) TL_NO_ANALYSIS
{
    for (struct tl_fork_watch *watch = list.prev; watch != &list; watch = watch->prev) {
        watch->parent(watch->ctx);
    }
    tl_mutex_unlock(&mu);
}

static void in_child(void) TL_NO_ANALYSIS
{
    generation++;
    for (struct tl_fork_watch *watch = list.prev; watch != &list; watch = watch->prev) {
        watch->child(watch->ctx);
    }
    tl_mutex_unlock(&mu);
}

static void register_handlers(void)
{
    tl_assert(pthread_atfork(prepare, in_parent, in_child) == 0); /* fails without memory only */
}

void tl_fork_watch(struct tl_fork_watch *watch)
{
    tl_assert(pthread_once(&once, register_handlers) == 0);
    tl_mutex_lock(&mu);
    watch->next = list.next;
    watch->prev = &list;
    list.next->prev = watch;
    list.next = watch;
    tl_mutex_unlock(&mu);
}

void tl_fork_unwatch(struct tl_fork_watch *watch)
{
    tl_mutex_lock(&mu);
    watch->prev->next = watch->next;
    watch->next->prev = watch->prev;
    watch->next = NULL;
    watch->prev = NULL;
    tl_mutex_unlock(&mu);
}

uint32_t tl_fork_generation(void)
{
    return generation;
}
