/* The public calls that add something to a ledger. */
#include <stdio.h>

#include "base/clock.h"
#include "codec/json.h"
#include "ledger/entry.h"
#include "ledger/events.h"
#include "ledger/remote.h"

static tally_status refuse_reader(const struct tally_ledger *ledger, struct tally_error *err)
{
    return ledger->writable ? TALLY_OK
                            : tl_fail(err, TALLY_EINVAL, "the ledger is open for reading only");
}

/* In memory there is no other way than the sequencer of this very process. */
static tally_status refuse_without_spool(const struct tally_ledger *ledger, struct tally_error *err)
{
    if (ledger->spool != NULL) {
        return TALLY_OK;
    }
    TL_TRY(tl_refuse_inherited(ledger, err));
    return tl_fail(err, TALLY_EIO, "the sequencer has stopped");
}

/* In the caller's thread, beside other callers and while the sequencer waits for the disk. What is
 * spooled gets its commitment from whoever seals it. */
static tally_status make_commitments(struct tally_ledger *ledger, struct tally_events *events,
                                     struct tally_error *err)
{
    if (ledger->erasable == NULL || !tl_queue_is_served(ledger)) {
        return TALLY_OK;
    }
    for (size_t i = 0; i < events->count; i++) {
        struct tl_entry *entry = &events->entries[i];
        const struct tl_str text = { .text = entry->event, .len = entry->len };
        tally_status status = tl_commitment_make(&events->commitments[i], ledger->erasable, text,
                                                 &events->split, &events->reader.scratch);
        if (status != TALLY_OK) {
            return tl_fail(err, status, "cannot make the commitment to an event");
        }
        entry->commitment = &events->commitments[i];
    }
    return TALLY_OK;
}

static void fill_entries(struct tally_events *events, struct tally_receipt *receipts_out)
{
    for (size_t i = 0; i < events->count; i++) {
        const struct tl_events_item *item = &events->items[i];
        receipts_out[i] =
            (struct tally_receipt){ .status = TALLY_EIO, .flags = item->receipt_flags };
        tl_str_copy(receipts_out[i].id, sizeof(receipts_out[i].id),
                    tl_str_of(events->ids.data + item->id_offset));
        events->entries[i] = (struct tl_entry){ .event = events->text.data + item->offset,
                                                .len = item->len,
                                                .days = item->days,
                                                .occurred_us = item->occurred_us,
                                                .by_occurred = item->by_occurred,
                                                .time_is_ours = item->time_is_ours,
                                                .receipt = &receipts_out[i] };
        memcpy(events->entries[i].id, item->id, sizeof(item->id));
    }
}

static tally_status hand_in(struct tally_ledger *ledger, struct tally_events *events,
                            int64_t until_us, struct tally_error *err)
{
    TL_TRY(make_commitments(ledger, events, err));
    struct tl_request request = { .entries = events->entries,
                                  .count = events->count,
                                  .error = TALLY_ERROR_INIT };
    tally_status status = TALLY_OK;
    if (!tl_queue_run(ledger, &request, &status, err)) {
        TL_TRY(refuse_without_spool(ledger, err));
        status = tl_follow_append(ledger, events->entries, events->count, until_us, err);
    }
    return status;
}

tally_status tl_append_events_until(struct tally_ledger *ledger, struct tally_events *events,
                                    struct tally_receipt *receipts_out, int64_t until_us,
                                    struct tally_error *err)
{
    TL_TRY(refuse_reader(ledger, err));
    if (events->count == 0) {
        return TALLY_OK;
    }
    fill_entries(events, receipts_out);
    tally_status status = hand_in(ledger, events, until_us, err);
    explicit_bzero(events->commitments, events->count * sizeof(*events->commitments));
    return status;
}

tally_status tally_append_events(struct tally_ledger *ledger, struct tally_events *events,
                                 struct tally_receipt *receipts_out, struct tally_error *err)
{
    int64_t until_us =
        ledger->remote == NULL ? INT64_MAX : tl_clock->steady_us() + TL_REMOTE_APPEND_US;
    return tl_append_events_until(ledger, events, receipts_out, until_us, err);
}

static void events_freep(struct tally_events **events)
{
    tally_events_free(*events);
    *events = NULL;
}

static tally_status append_one(struct tally_ledger *ledger, const char *json, size_t len, bool own,
                               struct tally_receipt *receipt_out, struct tally_error *err)
{
    TL_TRY(refuse_reader(ledger, err));
    TL_CLEANUP(events_freep) struct tally_events *events = NULL;
    TL_TRY(tally_events_new(&events, ledger, err));
    TL_TRY(tl_events_add(events, json, len, 0, own, err));
    struct tally_receipt receipt = { 0 };
    TL_TRY(tally_append_events(ledger, events, &receipt, err));
    if (receipt_out != NULL) {
        *receipt_out = receipt;
    }
    return tl_receipt_failure(&receipt, err);
}

tally_status tally_append(struct tally_ledger *ledger, const char *json, size_t len,
                          struct tally_receipt *receipt_out, struct tally_error *err)
{
    return append_one(ledger, json, len, false, receipt_out, err);
}

tally_status tl_append_own(struct tally_ledger *ledger, const char *json, size_t len,
                           struct tally_error *err)
{
    return append_one(ledger, json, len, true, NULL, err);
}

/* What a server records by itself begins with "tally.", and it takes no such event from others. */
static void write_action(struct tl_buf *json, const struct tally_ledger *ledger, const char *action)
{
    char text[128];
    bool renames = ledger->remote != NULL && strncmp(action, "tally.", 6) == 0;
    (void)snprintf(text, sizeof(text), "%s%s", renames ? "agent." : "",
                   renames ? action + 6 : action);
    tl_json_write_string(json, tl_str_of(text));
}

tally_status tl_act_write(struct tl_buf *json, const struct tally_ledger *ledger,
                          const char *action, const char *by, const char *metadata)
{
    /* Without its store the ledger may have no name yet. */
    const char *origin = ledger->origin[0] != '\0' ? ledger->origin : "unknown";
    tl_buf_init(json, TL_EVENT_BYTES_MAX);
    tl_buf_add_text(json, "{\"action\":");
    write_action(json, ledger, action);
    tl_buf_add_text(json, by == NULL ? ",\"actor\":{\"type\":\"system\",\"id\":"
                                     : ",\"actor\":{\"type\":\"user\",\"id\":");
    tl_json_write_string(json, tl_str_of(by == NULL ? "tally" : by));
    tl_buf_add_text(json, "},\"targets\":[{\"type\":\"ledger\",\"id\":");
    tl_json_write_string(json, tl_str_of(origin));
    tl_buf_add_text(json, "}],\"severity\":\"low\",\"source\":{\"service\":\"tally\"}");
    if (strcmp(action, "tally.refused") == 0) { /* all others are recorded as done */
        tl_buf_add_text(json, ",\"outcome\":\"failure\"");
    }
    if (metadata != NULL) {
        tl_buf_add_text(json, ",\"metadata\":");
        tl_buf_add_text(json, metadata);
    }
    tl_buf_add_char(json, '}');
    return tl_buf_status(json);
}

tally_status tally_record_act(struct tally_ledger *ledger, const char *action, const char *by,
                              const char *metadata, struct tally_receipt *receipt_out,
                              struct tally_error *err)
{
    struct tl_buf json;
    tally_status status = tl_act_write(&json, ledger, action, by, metadata);
    if (status == TALLY_OK) {
        status = append_one(ledger, json.data, json.len, true, receipt_out, err);
    }
    tl_buf_release(&json);
    return status;
}

static tally_status spool_act(struct tally_ledger *ledger, const struct tl_buf *json,
                              struct tally_error *err)
{
    TL_CLEANUP(events_freep) struct tally_events *events = NULL;
    TL_TRY(tally_events_new(&events, ledger, err));
    TL_TRY(tl_events_add(events, json->data, json->len, 0, true, err));
    const struct tl_entry entry = { .event = events->text.data, .len = events->text.len };
    return tl_follow_spool(ledger, &entry, err);
}

static tally_status queue_act(struct tally_ledger *ledger, const char *action, const char *by,
                              const char *metadata, struct tally_error *err)
{
    struct tl_buf json;
    tally_status status = tl_act_write(&json, ledger, action, by, metadata);
    if (status == TALLY_OK) {
        status = spool_act(ledger, &json, err);
    }
    tl_buf_release(&json);
    return status;
}

tally_status tl_act_spool(struct tally_ledger *ledger, const char *action, const char *metadata,
                          struct tally_error *err)
{
    return queue_act(ledger, action, NULL, metadata, err);
}

tally_status tally_queue_act(struct tally_ledger *ledger, const char *action, const char *by,
                             const char *metadata, struct tally_error *err)
{
    TL_TRY(refuse_reader(ledger, err));
    return ledger->spool == NULL ? tally_record_act(ledger, action, by, metadata, NULL, err)
                                 : queue_act(ledger, action, by, metadata, err);
}

tally_status tally_declare_gap(struct tally_ledger *ledger, uint64_t count, int exact,
                               int64_t from_us, int64_t to_us, const char *reason,
                               struct tally_error *err)
{
    TL_TRY(refuse_reader(ledger, err));
    const struct tl_control control = { .kind = TL_LEAF_GAP,
                                        .count = count,
                                        .exact = exact != 0,
                                        .from_us = from_us,
                                        .to_us = to_us,
                                        .reason = tl_str_of(reason) };
    struct tl_request request = { .kind = TL_REQUEST_CONTROL,
                                  .control = &control,
                                  .error = TALLY_ERROR_INIT };
    tally_status status = TALLY_OK;
    if (tl_queue_run(ledger, &request, &status, err)) {
        return status;
    }
    TL_TRY(refuse_without_spool(ledger, err));
    struct tl_gap gap = { .count = count, .exact = exact != 0, .from_us = from_us, .to_us = to_us };
    tl_str_copy(gap.reason, sizeof(gap.reason), tl_str_of(reason));
    tl_gap_new_source(gap.source);
    return tl_gap_spool(ledger, &gap, INT64_MAX, err);
}
