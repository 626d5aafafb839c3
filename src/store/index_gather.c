/* Collects the terms of one segment: a hash table of terms, and the places in the order they come. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "store/index_parts.h"

#define TEXTS_BYTES_MAX ((size_t)1 << 30) /* of the segments that are merged */
#define TERMS_MAX       ((size_t)1 << 31)
#define SLOTS_START     ((size_t)1 << 10)

/* How many distinct terms to expect; there may be more. */
#define TERMS_PER_RECORD 4u

__extension__ typedef unsigned __int128 wide;

static uint64_t fold(uint64_t a, uint64_t b)
{
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* The first bytes of a text as numbers that order like them. Most terms are no longer than this. */
static void head_of(uint64_t head[2], struct tl_str text)
{
    uint8_t bytes[TL_GATHERED_HEAD] = { 0 };
    memcpy(bytes, text.text, text.len < sizeof(bytes) ? text.len : sizeof(bytes));
    head[0] = tl_get_be64(bytes);
    head[1] = tl_get_be64(bytes + 8);
}

/* Multiplies words, which is far faster than SipHash for terms as short as these. The key is not in
 * the file, and whoever chooses terms does not see how they fall. */
static uint64_t hash_of(const uint64_t key[2], const uint64_t head[2], struct tl_str text)
{
    uint64_t hash = fold(head[0] ^ key[0], head[1] ^ key[1]) + text.len;
    for (size_t at = TL_GATHERED_HEAD; at < text.len; at += sizeof(uint64_t)) {
        uint64_t word = 0;
        memcpy(&word, text.text + at, text.len - at < sizeof(word) ? text.len - at : sizeof(word));
        hash = fold(hash ^ key[0], word ^ key[1]) + hash;
    }
    return fold(hash ^ key[1], UINT64_C(0x9e3779b97f4a7c15));
}

static tally_status no_memory(struct tally_error *err)
{
    return tl_fail(err, TALLY_ENOMEM, "cannot allocate what the terms of a segment need");
}

void tl_gather_init(struct tl_gather *gather, const uint64_t hash_key[2], size_t records)
{
    *gather = (struct tl_gather){ .hash_key = hash_key, .slots_start = SLOTS_START };
    while (gather->slots_start < TERMS_PER_RECORD * records && gather->slots_start < TERMS_MAX) {
        gather->slots_start *= 2;
    }
    tl_arena_init(&gather->texts, TEXTS_BYTES_MAX);
}

void tl_gather_release(struct tl_gather *gather)
{
    tl_free(gather->terms);
    tl_free(gather->slots);
    tl_free(gather->pairs);
    tl_free(gather->places);
    tl_arena_release(&gather->texts);
    *gather = (struct tl_gather){ 0 };
}

/* Makes room for one more term, in a table that is half empty at least. */
static tally_status reserve_term(struct tl_gather *gather)
{
    if (gather->count < gather->capacity) {
        return TALLY_OK;
    }
    size_t slot_count = gather->slot_count == 0 ? gather->slots_start : 2 * gather->slot_count;
    struct tl_gathered *terms =
        slot_count > TERMS_MAX
            ? NULL
            : tl_realloc_array(gather->terms, slot_count / 2, sizeof(*gather->terms));
    if (terms == NULL) {
        return TALLY_ENOMEM;
    }
    gather->terms = terms;
    uint64_t *slots = tl_alloc_array(slot_count, sizeof(*slots));
    if (slots == NULL) {
        return TALLY_ENOMEM;
    }
    for (size_t i = 0; i < gather->slot_count; i++) {
        uint64_t slot = gather->slots[i];
        size_t at = (size_t)(slot >> 32) & (slot_count - 1);
        while (slot != 0 && slots[at] != 0) {
            at = (at + 1) & (slot_count - 1);
        }
        slots[at] = slot != 0 ? slot : slots[at];
    }
    tl_free(gather->slots);
    gather->slots = slots;
    gather->slot_count = slot_count;
    gather->capacity = slot_count / 2;
    return TALLY_OK;
}

static bool is_same(const struct tl_gathered *term, const uint64_t head[2], struct tl_str text)
{
    return term->head[0] == head[0] && term->head[1] == head[1] && term->len == text.len &&
           (text.len <= TL_GATHERED_HEAD || memcmp(term->text, text.text, text.len) == 0);
}

/* Finds or adds a term. Its text is borrowed, or copied with `copy`. */
static tally_status find(struct tl_gather *gather, struct tl_str text, bool copy,
                         uint32_t *term_out)
{
    TL_TRY(reserve_term(gather));
    uint64_t head[2];
    head_of(head, text);
    uint64_t hash = hash_of(gather->hash_key, head, text) & ~UINT64_C(0xffffffff);
    size_t at = (size_t)(hash >> 32) & (gather->slot_count - 1);
    for (uint64_t slot = gather->slots[at]; slot != 0; slot = gather->slots[at]) {
        uint32_t index = (uint32_t)slot - 1;
        if ((slot ^ hash) >> 32 == 0 && is_same(&gather->terms[index], head, text)) {
            *term_out = index;
            return TALLY_OK;
        }
        at = (at + 1) & (gather->slot_count - 1);
    }
    if (copy) {
        char *own = tl_arena_alloc(&gather->texts, text.len);
        if (own == NULL) {
            return TALLY_ENOMEM;
        }
        memcpy(own, text.text, text.len);
        text.text = own;
    }
    *term_out = (uint32_t)gather->count;
    gather->terms[gather->count++] = (struct tl_gathered){ .text = text.text,
                                                           .head = { head[0], head[1] },
                                                           .len = (uint32_t)text.len };
    gather->slots[at] = hash | gather->count;
    return TALLY_OK;
}

static tally_status add_pair(struct tl_gather *gather, uint32_t index, uint32_t place)
{
    struct tl_gathered *term = &gather->terms[index];
    if (term->count > 0 && (gather->any_order ? term->last == place : term->last >= place)) {
        return TALLY_OK;
    }
    if (gather->pair_count == gather->pair_capacity) {
        /* By half: these are the largest part of what the index needs. */
        size_t capacity = gather->pair_capacity == 0
                              ? gather->slots_start
                              : gather->pair_capacity + gather->pair_capacity / 2;
        struct tl_gathered_pair *pairs =
            capacity > TERMS_MAX ? NULL : tl_realloc_array(gather->pairs, capacity, sizeof(*pairs));
        if (pairs == NULL) {
            return TALLY_ENOMEM;
        }
        gather->pairs = pairs;
        gather->pair_capacity = capacity;
    }
    gather->pairs[gather->pair_count++] =
        (struct tl_gathered_pair){ .term = index, .place = place };
    term->count++;
    term->last = place;
    return TALLY_OK;
}

tally_status tl_gather_entry(struct tl_gather *gather, struct tl_str terms, uint32_t place,
                             struct tally_error *err)
{
    while (terms.len > 0) {
        const char *end = memchr(terms.text, TL_INDEX_SEPARATOR, terms.len);
        size_t len = end == NULL ? terms.len : (size_t)(end - terms.text);
        uint32_t index = 0;
        if (len > TL_INDEX_TERM_MAX) {
            return tl_fail(err, TALLY_ELIMIT, "a term is longer than %u bytes", TL_INDEX_TERM_MAX);
        }
        if (len > 0 && (find(gather, (struct tl_str){ .text = terms.text, .len = len }, false,
                             &index) != TALLY_OK ||
                        add_pair(gather, index, place) != TALLY_OK)) {
            return no_memory(err);
        }
        size_t used = len + (end != NULL);
        terms = (struct tl_str){ .text = terms.text + used, .len = terms.len - used };
    }
    return TALLY_OK;
}

tally_status tl_gather_sheet(struct tl_gather *gather, struct tl_sheet *sheet, uint32_t shift,
                             const uint8_t *without, struct tally_error *err)
{
    struct tl_str text = { .text = sheet->term, .len = sheet->term_len };
    uint32_t index = 0;
    uint32_t place = 0;
    bool found = false; /* a term of which nothing is left is not in the segment */
    while (tl_places_next(&sheet->places, &place)) {
        if (without != NULL && ((unsigned)without[place / 8] >> (place % 8) & 1u) != 0) {
            continue;
        }
        if ((!found && find(gather, text, true, &index) != TALLY_OK) ||
            add_pair(gather, index, place + shift) != TALLY_OK) {
            return no_memory(err);
        }
        found = true;
    }
    return tl_places_end(&sheet->places) == TALLY_OK
               ? TALLY_OK
               : tl_fail(err, TALLY_ECORRUPT, "the terms in the index are damaged");
}

static int by_text(const void *a, const void *b)
{
    const struct tl_gathered *x = a;
    const struct tl_gathered *y = b;
    for (size_t i = 0; i < 2; i++) {
        if (x->head[i] != y->head[i]) {
            return x->head[i] < y->head[i] ? -1 : 1;
        }
    }
    size_t len = x->len < y->len ? x->len : y->len;
    int order = memcmp(x->text, y->text, len);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

static int by_place(const void *a, const void *b)
{
    const uint32_t *x = a;
    const uint32_t *y = b;
    return (*x > *y) - (*x < *y);
}

/* Puts the places of each term in order. */
static void sort_places(struct tl_gather *gather)
{
    for (size_t i = 0; i < gather->count; i++) {
        uint32_t *places = gather->places + gather->terms[i].first;
        size_t count = gather->terms[i].count;
        bool ordered = true;
        for (size_t at = 1; at < count && ordered; at++) {
            ordered = places[at - 1] < places[at];
        }
        if (!ordered) {
            qsort(places, count, sizeof(*places), by_place);
        }
    }
}

static void drop_slots(struct tl_gather *gather)
{
    tl_free(gather->slots);
    gather->slots = NULL;
    gather->slot_count = 0;
    gather->capacity = gather->count;
}

static void drop_pairs(struct tl_gather *gather)
{
    tl_free(gather->pairs);
    gather->pairs = NULL;
    gather->pair_count = 0;
    gather->pair_capacity = 0;
}

/* Gives back what it has no use for as soon as it can: sorting and writing need memory, too. */
tally_status tl_gather_sort(struct tl_gather *gather, struct tally_error *err)
{
    drop_slots(gather);
    gather->places = tl_alloc_array(gather->pair_count + 1, sizeof(*gather->places));
    if (gather->places == NULL) {
        return no_memory(err);
    }
    uint32_t first = 0;
    for (size_t i = 0; i < gather->count; i++) {
        gather->terms[i].first = first;
        gather->terms[i].last = first; /* where its next place goes */
        first += gather->terms[i].count;
    }
    for (size_t i = 0; i < gather->pair_count; i++) {
        gather->places[gather->terms[gather->pairs[i].term].last++] = gather->pairs[i].place;
    }
    drop_pairs(gather);
    if (gather->any_order) {
        sort_places(gather);
    }
    if (gather->count > 0) {
        qsort(gather->terms, gather->count, sizeof(*gather->terms), by_text);
    }
    return TALLY_OK;
}
