#include "verify/excuses.h"

#include <tally/store.h>

/* Bounds on what one ledger may ask to remember; with the arena at most 24 MiB. */
#define PURGES_MAX   16384u
#define ERASURES_MAX 65536u
#define HOLDS_MAX    16384u
#define HELD_MAX     65536u
#define ARENA_MAX    ((size_t)16 << 20)

#define SCOPE_RECORDS 4096u /* excuses are narrowed down for so many records at a time */

void tl_excuses_init(struct tl_excuses *excuses)
{
    *excuses = (struct tl_excuses){ 0 };
    tl_arena_init(&excuses->arena, ARENA_MAX);
}

void tl_excuses_release(struct tl_excuses *excuses)
{
    tl_arena_release(&excuses->arena);
    tl_free(excuses->purges);
    tl_free(excuses->erasures);
    tl_free(excuses->holds);
    tl_free(excuses->held);
    *excuses = (struct tl_excuses){ 0 };
}

/* Makes room for one more item in *items. */
static tally_status reserve(void **items, size_t *capacity, size_t count, size_t max, size_t size)
{
    if (count < *capacity) {
        return TALLY_OK;
    }
    if (count >= max) {
        return TALLY_ELIMIT;
    }
    size_t wanted = *capacity == 0 ? 16 : *capacity * 2;
    void *grown = tl_realloc_array(*items, wanted, size);
    if (grown == NULL) {
        return TALLY_ENOMEM;
    }
    *items = grown;
    *capacity = wanted;
    return TALLY_OK;
}

/* Copies into the arena; NULL in *copy_out stays there for an empty list. */
static tally_status copy(struct tl_arena *arena, const void *from, size_t len,
                         const void **copy_out)
{
    if (len == 0) {
        return TALLY_OK;
    }
    if (len > ARENA_MAX - arena->bytes && arena->bytes < ARENA_MAX) {
        return TALLY_ELIMIT;
    }
    void *to = tl_arena_alloc(arena, len);
    if (to == NULL) {
        return arena->bytes + len + 4096 > ARENA_MAX ? TALLY_ELIMIT : TALLY_ENOMEM;
    }
    memcpy(to, from, len);
    *copy_out = to;
    return TALLY_OK;
}

static tally_status copy_ranges(struct tl_arena *arena, const struct tl_range *from, uint32_t count,
                                const struct tl_range **copy_out)
{
    const void *made = NULL;
    TL_TRY(copy(arena, from, count * sizeof(*from), &made));
    *copy_out = made;
    return TALLY_OK;
}

static tally_status copy_text(struct tl_arena *arena, struct tl_str from, struct tl_str *copy_out)
{
    const void *made = "";
    TL_TRY(copy(arena, from.text, from.len, &made));
    *copy_out = (struct tl_str){ .text = made, .len = from.len };
    return TALLY_OK;
}

static tally_status add_purge(struct tl_excuses *excuses, uint64_t seq,
                              const struct tl_control *control, bool invalid)
{
    void *items = excuses->purges;
    TL_TRY(reserve(&items, &excuses->purge_capacity, excuses->purge_count, PURGES_MAX,
                   sizeof(struct tl_purge)));
    excuses->purges = items;
    struct tl_purge purge = {
        .seq = seq,
        .before_seq = control->before_seq,
        .count = control->count,
        .cutoff_day = control->cutoff_day,
        .override_days = control->override_days,
        .invalid = invalid,
        .range_count = control->range_count,
    };
    TL_TRY(copy_ranges(&excuses->arena, control->ranges, control->range_count, &purge.ranges));
    uint32_t before =
        excuses->purge_count == 0 ? 0 : excuses->purges[excuses->purge_count - 1].cutoff_max;
    purge.cutoff_max = purge.cutoff_day > before ? purge.cutoff_day : before;
    excuses->override_count += purge.override_days;
    excuses->purges[excuses->purge_count++] = purge;
    return TALLY_OK;
}

static tally_status copy_pointers(struct tl_arena *arena, const struct tl_erase_item *item,
                                  struct tl_erasure *erasure)
{
    struct tl_str *pointers = tl_arena_alloc(arena, (item->pointer_count + 1) * sizeof(*pointers));
    if (pointers == NULL) {
        return arena->bytes + 4096 > ARENA_MAX ? TALLY_ELIMIT : TALLY_ENOMEM;
    }
    for (uint32_t i = 0; i < item->pointer_count; i++) {
        TL_TRY(copy_text(arena, item->pointers[i], &pointers[i]));
        erasure->whole = erasure->whole || pointers[i].len == 0;
    }
    erasure->pointers = pointers;
    return TALLY_OK;
}

static tally_status add_erasure(struct tl_excuses *excuses, uint64_t seq,
                                const struct tl_erase_item *item)
{
    void *items = excuses->erasures;
    TL_TRY(reserve(&items, &excuses->erasure_capacity, excuses->erasure_count, ERASURES_MAX,
                   sizeof(struct tl_erasure)));
    excuses->erasures = items;
    struct tl_erasure erasure = {
        .seq = seq,
        .pointer_count = item->pointer_count,
        .seq_count = item->seq_count,
    };
    TL_TRY(copy_ranges(&excuses->arena, item->seqs, item->seq_count, &erasure.seqs));
    TL_TRY(copy_pointers(&excuses->arena, item, &erasure));
    excuses->erasures[excuses->erasure_count++] = erasure;
    return TALLY_OK;
}

/* The index of the hold called `name`; hold_count if there is none. */
static size_t find_hold(const struct tl_excuses *excuses, struct tl_str name)
{
    size_t at = 0;
    while (at < excuses->hold_count && !tl_str_equal(excuses->holds[at].name, name)) {
        at++;
    }
    return at;
}

static tally_status add_hold(struct tl_excuses *excuses, uint64_t seq,
                             const struct tl_control *control)
{
    size_t at = find_hold(excuses, control->hold);
    if (at < excuses->hold_count && excuses->holds[at].released) {
        return TALLY_ECONFLICT;
    }
    if (at == excuses->hold_count) {
        void *items = excuses->holds;
        TL_TRY(reserve(&items, &excuses->hold_capacity, at, HOLDS_MAX, sizeof(struct tl_hold)));
        excuses->holds = items;
        struct tl_hold hold = { .release_seq = TALLY_SEQ_NONE };
        TL_TRY(copy_text(&excuses->arena, control->hold, &hold.name));
        excuses->holds[excuses->hold_count++] = hold;
    }
    for (uint32_t i = 0; i < control->range_count; i++) {
        void *items = excuses->held;
        TL_TRY(reserve(&items, &excuses->held_capacity, excuses->held_count, HELD_MAX,
                       sizeof(struct tl_held_range)));
        excuses->held = items;
        excuses->held[excuses->held_count++] = (struct tl_held_range){
            .hold = (uint32_t)at,
            .from_seq = seq,
            .range = control->ranges[i],
        };
    }
    return TALLY_OK;
}

static tally_status add_release(struct tl_excuses *excuses, uint64_t seq, struct tl_str name)
{
    size_t at = find_hold(excuses, name);
    if (at == excuses->hold_count || excuses->holds[at].released) {
        return TALLY_ENOTFOUND;
    }
    excuses->holds[at].released = true;
    excuses->holds[at].release_seq = seq;
    return TALLY_OK;
}

tally_status tl_excuses_add(struct tl_excuses *excuses, uint64_t seq,
                            const struct tl_control *control, bool invalid)
{
    if (control->kind == TL_LEAF_PURGE) {
        return add_purge(excuses, seq, control, invalid);
    }
    if (control->kind == TL_LEAF_HOLD) {
        return add_hold(excuses, seq, control);
    }
    if (control->kind == TL_LEAF_RELEASE) {
        return add_release(excuses, seq, control->hold);
    }
    tl_assert(control->kind == TL_LEAF_ERASE);
    tally_status status = TALLY_OK;
    for (uint32_t i = 0; i < control->item_count && status == TALLY_OK; i++) {
        status = add_erasure(excuses, seq, &control->items[i]);
    }
    return status;
}

bool tl_excuses_concern(enum tl_leaf_kind kind)
{
    return kind == TL_LEAF_PURGE || kind == TL_LEAF_ERASE || kind == TL_LEAF_HOLD ||
           kind == TL_LEAF_RELEASE;
}

static bool reaches(const struct tl_range *ranges, uint32_t count, uint64_t seq)
{
    return count > 0 && ranges[count - 1].last >= seq; /* they ascend */
}

const char *tl_excuse_fault(const struct tl_control *control, uint64_t seq, int64_t time_us)
{
    for (uint32_t i = 0; i < control->item_count; i++) {
        if (reaches(control->items[i].seqs, control->items[i].seq_count, seq)) {
            return "the erasure goes beyond its own leaf";
        }
    }
    if (control->kind != TL_LEAF_PURGE) {
        return NULL;
    }
    if (control->override_days) {
        return reaches(control->ranges, control->range_count, seq)
                   ? "the purge goes beyond its own leaf"
                   : NULL;
    }
    if (control->before_seq > seq) {
        return "the purge goes beyond its own leaf";
    }
    return control->cutoff_day > time_us / TL_DAY_US ? "the purge is of days to come" : NULL;
}

tally_status tl_excuse_scope_init(struct tl_excuse_scope *scope, const struct tl_excuses *excuses)
{
    *scope = (struct tl_excuse_scope){
        .excuses = excuses,
        .erasures = tl_alloc_array(excuses->erasure_count, sizeof(uint32_t)),
        .held = tl_alloc_array(excuses->held_count, sizeof(uint32_t)),
    };
    return scope->erasures == NULL || scope->held == NULL ? TALLY_ENOMEM : TALLY_OK;
}

void tl_excuse_scope_release(struct tl_excuse_scope *scope)
{
    tl_free(scope->erasures);
    tl_free(scope->held);
    *scope = (struct tl_excuse_scope){ 0 };
}

/* The first of them that ends at `seq` or after it; `count` if there is none. Those of a large erasure
 * are thousands, and are asked for by each record. */
static uint32_t first_reaching(const struct tl_range *ranges, uint32_t count, uint64_t seq)
{
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ranges[middle].last < seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool any_overlaps(const struct tl_range *ranges, uint32_t count, uint64_t first,
                         uint64_t end)
{
    uint32_t at = first_reaching(ranges, count, first);
    return at < count && ranges[at].first < end;
}

bool tl_excuse_was_kept(const struct tl_excuses *excuses, const struct tl_erasure *erasure)
{
    for (size_t i = 0; i < excuses->held_count; i++) {
        const struct tl_held_range *held = &excuses->held[i];
        if (held->from_seq > erasure->seq && excuses->holds[held->hold].released &&
            any_overlaps(erasure->seqs, erasure->seq_count, held->range.first,
                         held->range.last + 1)) {
            return true;
        }
    }
    return false;
}

void tl_excuse_scope_set(struct tl_excuse_scope *scope, uint64_t first, uint64_t end)
{
    const struct tl_excuses *excuses = scope->excuses;
    scope->first = first;
    scope->end = end;
    scope->erasure_count = 0;
    for (size_t i = 0; i < excuses->erasure_count; i++) {
        const struct tl_erasure *erasure = &excuses->erasures[i];
        if (any_overlaps(erasure->seqs, erasure->seq_count, first, end)) {
            scope->erasures[scope->erasure_count++] = (uint32_t)i;
        }
    }
    scope->held_count = 0;
    for (size_t i = 0; i < excuses->held_count; i++) {
        if (any_overlaps(&excuses->held[i].range, 1, first, end)) {
            scope->held[scope->held_count++] = (uint32_t)i;
        }
    }
}

void tl_excuse_scope_at(struct tl_excuse_scope *scope, uint64_t seq)
{
    if (seq < scope->first || seq >= scope->end) {
        uint64_t first = seq - seq % SCOPE_RECORDS;
        tl_excuse_scope_set(scope, first, first + SCOPE_RECORDS);
    }
}

static bool contains(const struct tl_range *ranges, uint32_t count, uint64_t seq)
{
    uint32_t at = first_reaching(ranges, count, seq);
    return at < count && ranges[at].first <= seq;
}

/* Goes along with acts that are asked about in order: the holds on a record, up to the act at hand. */
struct holding {
    const struct tl_excuse_scope *scope;
    uint64_t seq; /* of the record */
    size_t at;    /* the next hold */
    uint64_t end; /* of the last of those before */
};

static bool is_held_at(struct holding *holding, uint64_t at_seq)
{
    const struct tl_excuse_scope *scope = holding->scope;
    for (; holding->at < scope->held_count; holding->at++) {
        const struct tl_held_range *held = &scope->excuses->held[scope->held[holding->at]];
        if (held->from_seq >= at_seq) {
            break;
        }
        uint64_t end = scope->excuses->holds[held->hold].release_seq;
        if (end > holding->end && contains(&held->range, 1, holding->seq)) {
            holding->end = end;
        }
    }
    return holding->end > at_seq;
}

bool tl_excuse_held(const struct tl_excuse_scope *scope, uint64_t seq, uint64_t at_seq)
{
    struct holding holding = { .scope = scope, .seq = seq };
    return is_held_at(&holding, at_seq);
}

static bool purge_names(const struct tl_purge *purge, uint64_t seq)
{
    if (seq >= purge->seq) {
        return false;
    }
    return purge->override_days ? contains(purge->ranges, purge->range_count, seq)
                                : seq < purge->before_seq;
}

bool tl_excuse_purge_names(const struct tl_excuses *excuses, uint64_t seq)
{
    for (size_t i = 0; i < excuses->purge_count; i++) {
        if (purge_names(&excuses->purges[i], seq)) {
            return true;
        }
    }
    return false;
}

/* The first PURGE that may cover a record by its day. Most records that are still there have none,
 * and need not be compared with years of daily purges. */
static size_t first_purge(const struct tl_excuses *excuses, uint32_t retain_until)
{
    size_t low = 0;
    size_t high = excuses->override_count > 0 ? 0 : excuses->purge_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (excuses->purges[middle].cutoff_max < retain_until) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Looks for the first PURGE that covers the record. */
static void judge_purges(const struct tl_excuse_scope *scope, uint64_t seq, uint32_t retain_until,
                         struct tl_excuse *excuse)
{
    const struct tl_excuses *excuses = scope->excuses;
    struct holding holding = { .scope = scope, .seq = seq };
    for (size_t i = first_purge(excuses, retain_until); i < excuses->purge_count; i++) {
        const struct tl_purge *purge = &excuses->purges[i];
        /* One of days to come, or beyond its leaf, covers nothing; ranges cover what is below it. */
        bool due = purge->override_days || (!purge->invalid && retain_until <= purge->cutoff_day);
        if (!due || !purge_names(purge, seq)) {
            continue;
        }
        if (is_held_at(&holding, purge->seq)) {
            excuse->only_held = true;
        } else {
            excuse->purged = true;
            excuse->counted = true;
            excuse->purge = i;
            return;
        }
    }
}

struct tl_excuse tl_excuse_of(const struct tl_excuse_scope *scope, uint64_t seq,
                              uint32_t retain_until)
{
    struct tl_excuse excuse = { 0 };
    judge_purges(scope, seq, retain_until, &excuse);
    uint64_t purge_seq = excuse.purged ? scope->excuses->purges[excuse.purge].seq : TALLY_SEQ_NONE;
    struct holding holding = { .scope = scope, .seq = seq };
    for (size_t i = 0; i < scope->erasure_count; i++) {
        const struct tl_erasure *erasure = &scope->excuses->erasures[scope->erasures[i]];
        if (!erasure->whole || seq >= erasure->seq ||
            !contains(erasure->seqs, erasure->seq_count, seq)) {
            continue;
        }
        if (is_held_at(&holding, erasure->seq)) {
            excuse.only_held = true;
            continue;
        }
        excuse.erased = true;
        if (erasure->seq < purge_seq) {
            excuse.counted = false; /* it was gone before that purge */
        }
        return excuse;
    }
    return excuse;
}

bool tl_excuse_overridden(const struct tl_excuse_scope *scope, uint64_t seq)
{
    const struct tl_excuses *excuses = scope->excuses;
    struct holding holding = { .scope = scope, .seq = seq };
    for (size_t i = 0; i < excuses->purge_count && excuses->override_count > 0; i++) {
        const struct tl_purge *purge = &excuses->purges[i];
        if (purge->override_days && !purge->invalid && purge_names(purge, seq) &&
            !is_held_at(&holding, purge->seq)) {
            return true;
        }
    }
    return false;
}

static bool names(const struct tl_erasure *erasure, struct tl_str pointer)
{
    for (uint32_t i = 0; i < erasure->pointer_count; i++) {
        if (tl_str_equal(erasure->pointers[i], pointer)) {
            return true;
        }
    }
    return erasure->whole;
}

bool tl_excuse_member(const struct tl_excuse_scope *scope, uint64_t seq, struct tl_str pointer,
                      bool *only_held_out)
{
    *only_held_out = false;
    struct holding holding = { .scope = scope, .seq = seq };
    for (size_t i = 0; i < scope->erasure_count; i++) {
        const struct tl_erasure *erasure = &scope->excuses->erasures[scope->erasures[i]];
        if (seq >= erasure->seq || !contains(erasure->seqs, erasure->seq_count, seq) ||
            !names(erasure, pointer)) {
            continue;
        }
        if (!is_held_at(&holding, erasure->seq)) {
            *only_held_out = false;
            return true;
        }
        *only_held_out = true;
    }
    return false;
}
