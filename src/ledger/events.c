#include "ledger/events.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/random.h"
#include "codec/json.h"
#include "crypto/crypto.h"

#define EVENTS_BYTES_MAX ((size_t)64 << 20)

void tl_event_hash(uint8_t out[32], const void *bytes, size_t len)
{
    tl_sha256(out, bytes, len);
}

tally_status tally_events_new(struct tally_events **events_out, struct tally_ledger *ledger,
                              struct tally_error *err)
{
    struct tally_events *events = tl_alloc_array(1, sizeof(*events));
    if (events == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate events");
    }
    events->ledger = ledger;
    tl_event_reader_init(&events->reader, &ledger->config.event, tl_event_hash);
    tl_buf_init(&events->text, EVENTS_BYTES_MAX + TL_EVENT_BYTES_MAX);
    tl_buf_init(&events->ids, (size_t)TL_BATCH_EVENTS_MAX * 256);
    *events_out = events;
    return TALLY_OK;
}

void tally_events_free(struct tally_events *events)
{
    if (events != NULL) {
        tl_event_reader_release(&events->reader);
        tl_buf_release(&events->text);
        tl_buf_release(&events->ids);
        tl_free(events->items);
        tl_free(events->entries);
        tl_free(events->commitments);
        tl_free(events);
    }
}

void tally_events_clear(struct tally_events *events)
{
    tl_buf_clear(&events->text);
    tl_buf_clear(&events->ids);
    events->count = 0;
}

size_t tally_events_count(const struct tally_events *events)
{
    return events->count;
}

const char *tally_events_text(const struct tally_events *events, size_t index, size_t *len_out)
{
    *len_out = events->items[index].len;
    return events->text.data + events->items[index].offset;
}

/* Makes room for one more item and its entry. */
static tally_status reserve(struct tally_events *events, struct tally_error *err)
{
    if (events->count == TL_BATCH_EVENTS_MAX || events->text.len >= EVENTS_BYTES_MAX) {
        return tl_fail(err, TALLY_ELIMIT, "the batch is full: append it first");
    }
    if (events->count < events->capacity) {
        return TALLY_OK;
    }
    size_t capacity = events->capacity == 0 ? 1 : 4 * events->capacity;
    capacity = capacity > TL_BATCH_EVENTS_MAX ? TL_BATCH_EVENTS_MAX : capacity;
    struct tl_events_item *items = tl_realloc_array(events->items, capacity, sizeof(*items));
    if (items == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate events");
    }
    events->items = items;
    struct tl_entry *entries = tl_realloc_array(events->entries, capacity, sizeof(*entries));
    if (entries == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate events");
    }
    events->entries = entries;
    struct tl_commitment *commitments =
        tl_realloc_array(events->commitments, capacity, sizeof(*commitments));
    if (commitments == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate events");
    }
    events->commitments = commitments;
    events->capacity = capacity;
    return TALLY_OK;
}

static bool find_id(const char *event, size_t len, struct tl_json_iter *it)
{
    *it = (struct tl_json_iter){ 0 };
    while (tl_json_next(it, event, len) == TALLY_OK) {
        if (tl_str_is(it->raw_name, "id")) {
            return true;
        }
    }
    return false;
}

/* Puts "sha256/<32 digits>", the hash of the event's other members, in place of a generated id. */
static tally_status derive_id(struct tally_events *events, size_t start)
{
    struct tl_json_iter it;
    const char *event = events->text.data + start;
    size_t len = events->text.len - start;
    bool found = find_id(event, len, &it);
    tl_assert(found); /* every canonical event has one */

    struct tl_sha256 hash;
    uint8_t digest[TL_SHA256_LEN];
    char hex[2 * sizeof(digest) + 1];
    tl_sha256_init(&hash);
    tl_sha256_add(&hash, event, it.value_start);
    tl_sha256_add(&hash, event + it.value_end, len - it.value_end);
    tl_sha256_end(&hash, digest);
    tl_hex_encode(hex, digest, sizeof(digest));

    struct tl_buf *scratch = &events->reader.scratch;
    tl_buf_clear(scratch);
    tl_buf_add(scratch, event + it.value_end, len - it.value_end);
    TL_TRY(tl_buf_status(scratch));
    events->text.len = start + it.value_start;
    tl_buf_add_text(&events->text, "\"sha256/");
    tl_buf_add(&events->text, hex, 32);
    tl_buf_add_char(&events->text, '"');
    tl_buf_add_str(&events->text, tl_buf_str(scratch));
    TL_TRY(tl_buf_status(&events->text));
    return tl_event_spans_read(&events->reader.spans, events->text.data + start,
                               events->text.len - start);
}

/* Appends the id's text, unescaped and with a NUL, to `ids`. */
static tally_status keep_id(struct tally_events *events, struct tl_str raw)
{
    if (memchr(raw.text, '\\', raw.len) != NULL) {
        TL_TRY(tl_json_unescape(&events->ids, raw.text, raw.len));
    } else {
        tl_buf_add_str(&events->ids, raw);
    }
    tl_buf_add_char(&events->ids, '\0');
    return tl_buf_status(&events->ids);
}

/* Keeps, while the event is at hand, what the sequencer needs of it. */
static tally_status read_keys(struct tally_events *events, struct tl_events_item *item,
                              struct tally_error *err)
{
    const struct tl_event_spans *spans = &events->reader.spans;
    struct tl_event_keys keys = tl_event_spans_keys(spans, events->text.data + item->offset);
    item->id_offset = events->ids.len;
    TL_TRY(keep_id(events, keys.id));
    const struct tl_str id = { .text = events->ids.data + item->id_offset,
                               .len = events->ids.len - item->id_offset - 1 };
    /* An id that no leaf can hold is refused here, where the caller learns which event it was. */
    if (tl_leaf_id(item->id, id) != TALLY_OK) {
        return tl_refuse(err, "bad_value", "/id", "the nil UUID cannot be an id");
    }
    item->days = tl_retention_days(&events->ledger->config.retention, &keys);
    item->occurred_us = spans->occurred_us;
    return TALLY_OK;
}

static tally_status add(struct tally_events *events, const char *json, size_t len, uint32_t flags,
                        bool own, struct tally_error *err)
{
    uint8_t random[16];
    tl_random_bytes(random, sizeof(random));
    const struct tl_event_input input = { .json = json,
                                          .len = len,
                                          .import = (flags & TALLY_EVENT_IMPORT) != 0,
                                          .now_us = tl_clock->wall_us(),
                                          .random = random,
                                          .own = own };
    size_t start = events->text.len;
    uint32_t notes = 0;
    TL_TRY(tl_event_canonical(&events->reader, &input, &events->text, &notes, err));
    bool derived = (flags & TALLY_EVENT_ID_FROM_CONTENT) != 0 &&
                   (notes & TL_EVENT_ID_GENERATED) != 0 && (notes & TL_EVENT_TIME_GENERATED) == 0;
    if (derived) {
        TL_TRY(derive_id(events, start));
        notes &= ~(uint32_t)TL_EVENT_ID_GENERATED;
    }
    uint32_t receipt_flags = (notes & TL_EVENT_ID_GENERATED) != 0 ? TALLY_RECEIPT_ID_GENERATED : 0u;
    receipt_flags |= (notes & TL_EVENT_TRIMMED) != 0 ? TALLY_RECEIPT_TRIMMED : 0u;
    receipt_flags |= events->ledger->is_volatile ? TALLY_RECEIPT_VOLATILE : 0u;
    struct tl_events_item *item = &events->items[events->count];
    *item = (struct tl_events_item){
        .offset = start,
        .len = events->text.len - start,
        .by_occurred = (flags & TALLY_EVENT_RETAIN_OCCURRED) != 0,
        .time_is_ours =
            (notes & TL_EVENT_TIME_GENERATED) != 0 || (flags & TALLY_EVENT_TIME_SUPPLIED) != 0,
        .receipt_flags = receipt_flags,
    };
    return read_keys(events, item, err);
}

tally_status tl_events_add(struct tally_events *events, const char *json, size_t len,
                           uint32_t flags, bool own, struct tally_error *err)
{
    TL_TRY(reserve(events, err));
    size_t before = events->text.len;
    size_t ids_before = events->ids.len;
    tally_status status = add(events, json, len, flags, own, err);
    if (status != TALLY_OK) {
        tl_buf_clear(&events->text); /* forgets a failure of the buffer */
        tl_buf_clear(&events->ids);
        events->text.len = before;
        events->ids.len = ids_before;
        return status == TALLY_EREFUSED ? status : tl_fail(err, status, "cannot take the event");
    }
    events->count++;
    return TALLY_OK;
}

tally_status tally_events_add(struct tally_events *events, const char *json, size_t len,
                              uint32_t flags, struct tally_error *err)
{
    return tl_events_add(events, json, len, flags, false, err);
}
