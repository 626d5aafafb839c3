#include "base/arena.h"

#define BLOCK_BYTES ((size_t)16 << 10)
#define ALIGN       ((size_t)16)

struct tl_arena_block {
    struct tl_arena_block *next;
    size_t capacity; /* bytes after this header */
    size_t used;
    size_t pad; /* makes the header a multiple of ALIGN */
};

_Static_assert(sizeof(struct tl_arena_block) % ALIGN == 0, "what follows must stay aligned");

void tl_arena_init(struct tl_arena *arena, size_t bytes_max)
{
    tl_assert(bytes_max <= SIZE_MAX / 4); /* so that no sum below overflows */
    *arena = (struct tl_arena){ .bytes_max = bytes_max };
}

void tl_arena_release(struct tl_arena *arena)
{
    struct tl_arena_block *block = arena->first;
    while (block != NULL) {
        struct tl_arena_block *next = block->next;
        tl_free(block);
        block = next;
    }
    *arena = (struct tl_arena){ 0 };
}

void tl_arena_reset(struct tl_arena *arena)
{
    arena->current = arena->first;
    if (arena->first != NULL) {
        arena->first->used = 0;
    }
}

/* Frees the blocks kept from before a reset that turned out to be too small. */
static void drop_empty(struct tl_arena *arena)
{
    arena->current = NULL;
    struct tl_arena_block **link = &arena->first;
    while (*link != NULL) {
        struct tl_arena_block *block = *link;
        if (block->used > 0) {
            arena->current = block;
            link = &block->next;
            continue;
        }
        *link = block->next;
        arena->bytes -= block->capacity;
        tl_free(block);
    }
}

/* Adds a block behind the current one, which is the last. */
static struct tl_arena_block *add_block(struct tl_arena *arena, size_t len)
{
    if (len > arena->bytes_max - arena->bytes) {
        drop_empty(arena);
    }
    size_t left = arena->bytes_max - arena->bytes;
    if (len > left) {
        return NULL;
    }
    size_t usual = left < BLOCK_BYTES ? left : BLOCK_BYTES;
    size_t capacity = len > usual ? len : usual;
    struct tl_arena_block *block = tl_realloc_array(NULL, 1, sizeof(*block) + capacity);
    if (block == NULL) {
        return NULL;
    }
    *block = (struct tl_arena_block){ .capacity = capacity };
    arena->bytes += capacity;
    if (arena->current == NULL) {
        arena->first = block;
    } else {
        arena->current->next = block;
    }
    return block;
}

void *tl_arena_alloc(struct tl_arena *arena, size_t len)
{
    if (len > arena->bytes_max) {
        return NULL;
    }
    len = (len + ALIGN - 1) & ~(ALIGN - 1);
    struct tl_arena_block *block = arena->current;
    while (block != NULL && block->capacity - block->used < len) {
        block = block->next; /* kept from before a reset */
        if (block != NULL) {
            block->used = 0;
            arena->current = block;
        }
    }
    if (block == NULL) {
        block = add_block(arena, len);
        if (block == NULL) {
            return NULL;
        }
        arena->current = block;
    }
    void *at = (char *)(block + 1) + block->used;
    block->used += len;
    return at;
}
