/* tally_find(), tally_get_*(), tally_count(). */
#include <stdio.h>

#include "base/bytes.h"
#include "base/parse.h"
#include "crypto/crypto.h"
#include "ledger/page.h"
#include "ledger/remote_read.h"
#include "ledger/walk.h"

void tally_page_free(struct tally_page *public)
{
    if (public != NULL) {
        struct tl_page *page = tl_container_of(public, struct tl_page, public);
        tl_buf_release(&page->text);
        tl_free(page->parts);
        tl_free(page->items);
        tl_free(page);
    }
}

void tl_page_dropp(struct tl_page **page)
{
    if (*page != NULL) {
        tally_page_free(&(*page)->public);
    }
    *page = NULL;
}

struct tl_page *tl_page_new(const struct tally_ledger *ledger, size_t limit)
{
    struct tl_page *page = tl_alloc_array(1, sizeof(*page));
    if (page == NULL) {
        return NULL;
    }
    page->ledger = ledger;
    page->limit = limit;
    tl_buf_init(&page->text, TL_PAGE_BYTES_HARD_MAX);
    page->parts = tl_alloc_array(limit, sizeof(*page->parts));
    page->items = tl_alloc_array(limit, sizeof(*page->items));
    if (page->parts == NULL || page->items == NULL) {
        tally_page_free(&page->public);
        return NULL;
    }
    return page;
}

/* The static text that equals a kind or state. */
static const char *static_text(struct tl_str text)
{
    return text.text; /* facts point to static, NUL-terminated strings */
}

static tally_status add_match(void *ctx, const struct tl_match *match)
{
    struct tl_page *page = ctx;
    if (page->skip > 0) {
        page->skip--;
        return TALLY_OK;
    }
    size_t n = page->public.count;
    if (n == page->limit || (n > 0 && page->text.len >= TL_PAGE_BYTES_MAX)) {
        page->more = true;
        return TALLY_ECANCELED;
    }
    tl_render_item(&page->text, match, page->ledger->origin, &page->parts[n]);
    TL_TRY(tl_buf_status(&page->text));
    struct tally_item *item = &page->items[n];
    *item = (struct tally_item){ .seq = match->record->seq,
                                 .recorded_us = match->leaf->time_us,
                                 .occurred_us = match->occurred_us,
                                 .kind = static_text(match->facts->kind),
                                 .state = static_text(match->facts->state) };
    tl_tree_hash_leaf(item->leaf_hash, match->record->leaf, match->record->leaf_len);
    page->last_occurred = match->occurred_us;
    page->last_seq = match->record->seq;
    page->public.count++;
    return TALLY_OK;
}

void tl_page_finish(struct tl_page *page)
{
    for (size_t i = 0; i < page->public.count; i++) {
        struct tally_item *item = &page->items[i];
        const struct tl_rendered *part = &page->parts[i];
        item->line = page->text.data + part->line;
        item->line_len = part->line_len;
        item->id = page->text.data + part->id;
        item->event = part->event_len == 0 ? NULL : page->text.data + part->event;
        item->event_len = part->event_len;
    }
    page->public.items = page->items;
    page->public.complete = 1;
}

static void add_conditions(struct tl_sha256 *hash, const struct tally_condition *conditions,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        tl_sha256_add(hash, conditions[i].field, strlen(conditions[i].field) + 1);
        tl_sha256_add(hash, conditions[i].value, strlen(conditions[i].value) + 1);
    }
}

/* What a cursor is good for: these very conditions and this order. */
static uint32_t query_digest(const struct tally_query *query)
{
    struct tl_sha256 hash;
    uint8_t digest[TL_SHA256_LEN];
    tl_sha256_init(&hash);
    add_conditions(&hash, query->conditions, query->condition_count);
    if (query->within != NULL) {
        tl_sha256_add(&hash, "", 1); /* no field: what follows is another filter */
        add_conditions(&hash, query->within, query->within_count);
    }
    const uint8_t order[2] = { query->order == TALLY_ORDER_OCCURRED, query->ascending != 0 };
    tl_sha256_add(&hash, order, sizeof(order));
    tl_sha256_end(&hash, digest);
    return tl_get_be32(digest);
}

#define CURSOR_LEN 20u /* bytes: digest, occurred_at, seq */

static void make_cursor(struct tl_page *page, const struct tally_query *query)
{
    uint8_t bytes[CURSOR_LEN];
    tl_put_be32(bytes, query_digest(query));
    tl_put_be64(bytes + 4, (uint64_t)page->last_occurred);
    tl_put_be64(bytes + 12, page->last_seq);
    _Static_assert(sizeof(page->next) > 2 * sizeof(bytes), "the cursor fits");
    tl_hex_encode(page->next, bytes, sizeof(bytes));
    page->public.next = page->next;
}

static tally_status read_cursor(struct tl_walk_order *order, const struct tally_query *query,
                                struct tally_error *err)
{
    uint8_t bytes[CURSOR_LEN];
    if (tl_hex_decode(bytes, sizeof(bytes), query->cursor, strlen(query->cursor)) != TALLY_OK ||
        tl_get_be32(bytes) != query_digest(query)) {
        return tl_refuse(err, "bad_cursor", "",
                         "the cursor does not belong to this query: conditions and order must be "
                         "those of the page it came from");
    }
    order->has_after = true;
    order->after_occurred = (int64_t)tl_get_be64(bytes + 4);
    order->after_seq = tl_get_be64(bytes + 12);
    return TALLY_OK;
}

static tally_status check_query(const struct tally_query *query, struct tally_error *err)
{
    if (query->struct_size != sizeof(*query)) {
        return tl_fail(err, TALLY_EINVAL, "struct tally_query has an unknown size");
    }
    if (query->limit > TL_PAGE_RECORDS_MAX) {
        return tl_refuse(err, "bad_limit", "", "limit is %u, the most is %u", query->limit,
                         TL_PAGE_RECORDS_MAX);
    }
    if (query->offset > TL_OFFSET_MAX) {
        return tl_refuse(err, "bad_limit", "", "offset is above %u: use the cursor", TL_OFFSET_MAX);
    }
    if (query->offset > 0 && query->cursor != NULL) {
        return tl_refuse(err, "bad_parameter", "", "offset and cursor exclude each other");
    }
    return TALLY_OK;
}

/* One id, or one alone among others, is looked up instead of searched for. */
static tally_status run_single(struct tl_walk *walk, struct tl_str id, struct tl_page *page,
                               struct tally_error *err)
{
    uint8_t leaf_id[1][TALLY_LEAF_ID_LEN];
    uint64_t seq = TALLY_SEQ_NONE;
    if (tl_leaf_id(leaf_id[0], id) != TALLY_OK) {
        return TALLY_OK; /* the nil UUID: no record has it */
    }
    TL_TRY(tl_store_find_ids(walk->reader.store, (const uint8_t(*)[TALLY_LEAF_ID_LEN])leaf_id, 1,
                             &seq, err));
    if (seq == TALLY_SEQ_NONE) {
        return TALLY_OK;
    }
    tally_status status = tl_walk_one(walk, seq, add_match, page, err);
    return status == TALLY_ECANCELED ? TALLY_OK : status;
}

static tally_status count_total(struct tl_walk *walk, const struct tally_query *query,
                                struct tl_page *page, struct tally_error *err)
{
    if (query->count == TALLY_COUNT_NONE) {
        return TALLY_OK;
    }
    bool exact = query->count == TALLY_COUNT_EXACT;
    uint64_t max = exact ? UINT64_MAX : TL_COUNT_CAP;
    TL_TRY(tl_walk_count(walk, max, &page->public.total, err));
    page->public.has_total = 1;
    page->public.total_exact = page->public.total < max;
    return TALLY_OK;
}

static tally_status fill_page(struct tl_walk *walk, const struct tl_filter *filter,
                              const struct tally_query *query, struct tl_page *page,
                              struct tally_error *err)
{
    struct tl_walk_order order = { .by_occurred = query->order == TALLY_ORDER_OCCURRED,
                                   .ascending = query->ascending != 0,
                                   .enough = page->limit + 1 + (size_t)query->offset };
    if (query->cursor != NULL) {
        TL_TRY(read_cursor(&order, query, err));
    }
    page->skip = query->offset;
    struct tl_str id = tl_filter_single_id(filter);
    if (id.text != NULL) {
        TL_TRY(order.has_after ? TALLY_OK : run_single(walk, id, page, err));
    } else {
        TL_TRY(tl_walk_run(walk, &order, add_match, page, err));
    }
    tl_page_finish(page);
    if (page->more) {
        make_cursor(page, query);
    }
    page->public.indexed_to = walk->indexed;
    return count_total(walk, query, page, err);
}

tally_status tally_find(struct tally_ledger *ledger, const struct tally_query *query,
                        struct tally_page **page_out, struct tally_error *err)
{
    TL_TRY(check_query(query, err));
    if (ledger->remote != NULL) {
        return tl_remote_find(ledger, query, page_out, err);
    }
    TL_CLEANUP(tl_filter_freep) struct tl_filter *filter = NULL;
    TL_CLEANUP(tl_walk_end) struct tl_walk *walk = NULL;
    TL_TRY(tl_walk_filter(&filter, ledger, query, err));
    TL_TRY(tl_walk_begin(&walk, ledger, filter, err));
    TL_CLEANUP(tl_page_dropp)
    struct tl_page *page =
        tl_page_new(ledger, query->limit == 0 ? TL_PAGE_RECORDS_DEFAULT : query->limit);
    if (page == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a page");
    }
    TL_TRY(fill_page(walk, filter, query, page, err));
    *page_out = &page->public;
    page = NULL;
    return TALLY_OK;
}

static tally_status get(struct tally_ledger *ledger, const struct tally_condition *conditions,
                        size_t count, struct tally_page **page_out, struct tally_error *err)
{
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = conditions;
    query.condition_count = count;
    query.limit = 1;
    struct tally_page *page = NULL;
    TL_TRY(tally_find(ledger, &query, &page, err));
    tl_assert(page != NULL);
    if (page->count == 0) {
        tally_page_free(page);
        return tl_fail(err, TALLY_ENOTFOUND, "there is no such record");
    }
    *page_out = page;
    return TALLY_OK;
}

tally_status tally_get_by_id(struct tally_ledger *ledger, const char *id,
                             struct tally_page **page_out, struct tally_error *err)
{
    const struct tally_condition conditions[] = { { "id", id }, { "kind", "all" } };
    if (id[0] == '\0') {
        return tl_fail(err, TALLY_ENOTFOUND, "there is no such record");
    }
    if (ledger->remote != NULL) {
        return tl_remote_get_one(ledger, "/v1/events/", id, page_out, err);
    }
    return get(ledger, conditions, TL_ARRAY_LEN(conditions), page_out, err);
}

tally_status tally_get_by_seq(struct tally_ledger *ledger, uint64_t seq,
                              struct tally_page **page_out, struct tally_error *err)
{
    char first[24];
    char end[24];
    if (seq >= INT64_MAX) {
        return tl_fail(err, TALLY_ENOTFOUND, "there is no such record");
    }
    (void)snprintf(first, sizeof(first), "%llu", (unsigned long long)seq);
    (void)snprintf(end, sizeof(end), "%llu", (unsigned long long)seq + 1);
    if (ledger->remote != NULL) {
        return tl_remote_get_one(ledger, "/v1/records/", first, page_out, err);
    }
    const struct tally_condition conditions[] = { { "seq_from", first },
                                                  { "seq_to", end },
                                                  { "kind", "all" } };
    return get(ledger, conditions, TL_ARRAY_LEN(conditions), page_out, err);
}

tally_status tally_count(struct tally_ledger *ledger, const struct tally_query *query,
                         uint64_t *count_out, int *exact_out, struct tally_error *err)
{
    if (ledger->remote != NULL) {
        return tl_remote_count(ledger, query, count_out, exact_out, err);
    }
    TL_CLEANUP(tl_filter_freep) struct tl_filter *filter = NULL;
    TL_CLEANUP(tl_walk_end) struct tl_walk *walk = NULL;
    TL_TRY(tl_walk_filter(&filter, ledger, query, err));
    TL_TRY(tl_walk_begin(&walk, ledger, filter, err));
    uint64_t max = query->count == TALLY_COUNT_EXACT ? UINT64_MAX : TL_COUNT_CAP;
    uint64_t count = 0;
    TL_TRY(tl_walk_count(walk, max, &count, err));
    *count_out = count;
    *exact_out = count < max;
    return TALLY_OK;
}

tally_status tally_info(struct tally_ledger *ledger, struct tally_info *info_out,
                        struct tally_error *err)
{
    if (ledger->remote != NULL) {
        return tl_remote_info(ledger, info_out, err);
    }
    TL_CLEANUP(tl_filter_freep) struct tl_filter *filter = NULL;
    TL_CLEANUP(tl_walk_end) struct tl_walk *walk = NULL;
    const struct tally_query query = TALLY_QUERY_INIT;
    TL_TRY(tl_walk_filter(&filter, ledger, &query, err));
    TL_TRY(tl_walk_begin(&walk, ledger, filter, err));
    struct tally_info info = { .size = walk->head.size,
                               .indexed_to = walk->indexed,
                               .epoch = walk->head.epoch,
                               .is_volatile = ledger->is_volatile };
    memcpy(info.root, walk->head.root, sizeof(info.root));
    if (info.size > 0) {
        TL_TRY(tl_walk_newest_time(walk, &info.newest_us, err));
    }
    TL_TRY(tl_store_newest_checkpoint(walk->reader.store, &info.checkpoint_size, err));
    *info_out = info;
    return TALLY_OK;
}
