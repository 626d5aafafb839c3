#include "store/idset.h"

#include <string.h>

#include "base/random.h"

#define ENTRIES_MAX ((size_t)1 << 31)
#define SLOTS_MIN   ((size_t)64)

void tl_idset_init(struct tl_idset *set)
{
    *set = (struct tl_idset){ 0 };
    tl_random_bytes(set->key, sizeof(set->key));
}

void tl_idset_release(struct tl_idset *set)
{
    tl_free(set->entries);
    tl_free(set->slots);
    *set = (struct tl_idset){ 0 };
}

/* Returns the slot that holds `id`, or the empty one where it would go. */
static size_t slot_of(const struct tl_idset *set, const uint8_t id[TALLY_LEAF_ID_LEN])
{
    size_t mask = set->slot_count - 1;
    size_t slot = (size_t)tl_siphash(set->key, id, TALLY_LEAF_ID_LEN) & mask;
    while (set->slots[slot] != 0) {
        const struct tl_idset_entry *entry = &set->entries[set->slots[slot] - 1];
        if (memcmp(entry->id, id, TALLY_LEAF_ID_LEN) == 0) {
            return slot;
        }
        slot = (slot + 1) & mask;
    }
    return slot;
}

static void enter_all(struct tl_idset *set)
{
    for (size_t i = 0; i < set->count; i++) {
        set->slots[slot_of(set, set->entries[i].id)] = (uint32_t)(i + 1);
    }
}

tally_status tl_idset_reserve(struct tl_idset *set, size_t extra, struct tally_error *err)
{
    if (extra > ENTRIES_MAX - set->count) {
        return tl_fail(err, TALLY_ELIMIT, "too many ids to keep in memory");
    }
    size_t need = set->count + extra;
    if (need > set->capacity) {
        size_t capacity = need > set->capacity * 2 ? need : set->capacity * 2;
        struct tl_idset_entry *entries = tl_realloc_array(set->entries, capacity, sizeof(*entries));
        if (entries == NULL) {
            return tl_fail(err, TALLY_ENOMEM, "cannot allocate %zu ids", capacity);
        }
        set->entries = entries;
        set->capacity = capacity;
    }
    size_t slot_count = set->slot_count == 0 ? SLOTS_MIN : set->slot_count;
    while (slot_count < need * 2) { /* at most half full: short chains */
        slot_count *= 2;
    }
    if (slot_count == set->slot_count) {
        return TALLY_OK;
    }
    uint32_t *slots = tl_alloc_array(slot_count, sizeof(*slots));
    if (slots == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a table of %zu ids", slot_count);
    }
    tl_free(set->slots);
    set->slots = slots;
    set->slot_count = slot_count;
    enter_all(set);
    return TALLY_OK;
}

bool tl_idset_add(struct tl_idset *set, const uint8_t id[TALLY_LEAF_ID_LEN], uint64_t seq)
{
    tl_assert(set->slot_count > 0);
    size_t slot = slot_of(set, id);
    if (set->slots[slot] != 0) {
        return false;
    }
    tl_assert(set->count < set->capacity);
    struct tl_idset_entry *entry = &set->entries[set->count++];
    memcpy(entry->id, id, TALLY_LEAF_ID_LEN);
    entry->seq = seq;
    if (memcmp(id, set->greatest, TALLY_LEAF_ID_LEN) > 0) {
        memcpy(set->greatest, id, TALLY_LEAF_ID_LEN);
    }
    set->slots[slot] = (uint32_t)set->count;
    return true;
}

uint64_t tl_idset_find(const struct tl_idset *set, const uint8_t id[TALLY_LEAF_ID_LEN])
{
    if (set->count == 0 || memcmp(id, set->greatest, TALLY_LEAF_ID_LEN) > 0) {
        return TALLY_SEQ_NONE;
    }
    uint32_t index = set->slots[slot_of(set, id)];
    return index == 0 ? TALLY_SEQ_NONE : set->entries[index - 1].seq;
}

void tl_idset_truncate(struct tl_idset *set, size_t count)
{
    tl_assert(count <= set->count);
    if (count == 0) {
        if (set->slots != NULL) {
            memset(set->slots, 0, set->slot_count * sizeof(*set->slots));
        }
        set->count = 0;
        memset(set->greatest, 0, sizeof(set->greatest));
        return;
    }
    /* Last in, first out: nothing was placed after it, so no chain can be cut by the hole. */
    while (set->count > count) {
        set->slots[slot_of(set, set->entries[set->count - 1].id)] = 0;
        set->count--;
    }
}
