/* tally_hold_add(), tally_hold_release(), tally_hold_list(). */
#include "codec/json.h"
#include "codec/time.h"
#include "ledger/act.h"
#include "ledger/events.h"
#include "ledger/holds.h"
#include "ledger/ranges.h"

#define RANGES_MAX 4000u /* more do not fit into a leaf */
#define ID_MAX     64u
#define ATTEMPTS   8 /* acts of others may come in between */

static bool is_id(const char *id)
{
    size_t len = id == NULL ? 0 : strlen(id);
    return len > 0 && len <= ID_MAX &&
           strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:/") == len;
}

static tally_status check(const struct tally_ledger *ledger, const char *id,
                          const struct tally_actor *actor, struct tally_error *err)
{
    if (!ledger->writable) {
        return tl_fail(err, TALLY_EINVAL, "the ledger is open for reading only");
    }
    if (!is_id(id)) {
        return tl_fail(err, TALLY_EINVAL,
                       "the id of a hold has 1 to 64 characters of A-Z a-z 0-9 . _ - : /");
    }
    if (actor == NULL || actor->by == NULL || actor->by[0] == '\0') {
        return tl_fail(err, TALLY_EINVAL, "who sets or releases a hold must be named");
    }
    return TALLY_OK;
}

/* What is known of the hold. */
struct known {
    const char *id;
    bool is_there;
    bool is_released;
};

static int look_for(void *ctx, const struct tally_hold *hold)
{
    struct known *known = ctx;
    if (strcmp(hold->id, known->id) != 0) {
        return 0;
    }
    known->is_there = true;
    known->is_released = hold->is_active == 0;
    return 1;
}

static tally_status read_state(struct tally_ledger *ledger, struct known *known,
                               uint64_t *newest_out, struct tally_error *err)
{
    struct tl_reader reader;
    struct tl_acts acts = { .newest = TALLY_SEQ_NONE };
    TL_TRY(tl_reader_get(ledger, &reader, err));
    tally_status status = tl_reader_begin(&reader, err);
    if (status == TALLY_OK) {
        status = tl_acts_read(&acts, reader.store, err);
        *newest_out = acts.newest;
        tl_acts_release(&acts);
    }
    if (status == TALLY_OK) {
        status = tl_holds_each(reader.store, look_for, known, err);
    }
    tl_reader_put(ledger, &reader);
    return status;
}

static tally_status check_state(const struct tl_control *control, const struct known *known,
                                struct tally_error *err)
{
    if (known->is_released) {
        return tl_fail(err, TALLY_ECONFLICT,
                       "hold '%s' was released, and its id is never used again", known->id);
    }
    if (control->kind == TL_LEAF_RELEASE && !known->is_there) {
        return tl_fail(err, TALLY_ENOTFOUND, "there is no hold '%s'; see 'tally hold list'",
                       known->id);
    }
    return TALLY_OK;
}

/* Seals the control record, unless something changed since it was looked at: then it is looked at
 * again. *seq_out is TALLY_SEQ_NONE in a dry run. */
static tally_status seal(struct tally_ledger *ledger, struct tl_control *control,
                         const struct tally_actor *actor, bool dry_run, char **request_out,
                         uint64_t *seq_out, struct tally_error *err)
{
    char id[ID_MAX + 1];
    tl_str_copy(id, sizeof(id), control->hold);
    *seq_out = TALLY_SEQ_NONE;
    for (int attempt = 1;; attempt++) {
        struct known known = { .id = id };
        uint64_t newest = TALLY_SEQ_NONE;
        TL_TRY(read_state(ledger, &known, &newest, err));
        TL_TRY(check_state(control, &known, err));
        if (dry_run) {
            return TALLY_OK;
        }
        control->approval = (struct tl_str){ 0 };
        TL_TRY(tl_act_approve(ledger, control, actor, false, request_out, err));
        struct tally_error why = TALLY_ERROR_INIT;
        tally_status status = tl_act_seal(ledger, control, newest, seq_out, &why);
        if (status != TALLY_ECONFLICT || attempt == ATTEMPTS) {
            return status == TALLY_OK ? status : tl_fail_with(err, status, &why);
        }
    }
}

/* No batch of a purge is under way meanwhile: the next one sees the hold. */
static tally_status seal_alone(struct tally_ledger *ledger, struct tl_control *control,
                               const struct tally_actor *actor, bool dry_run, char **request_out,
                               uint64_t *seq_out, struct tally_error *err)
{
    TL_TRY(tl_gate_enter(ledger, TL_GATE_BATCH, true, err));
    tally_status status = seal(ledger, control, actor, dry_run, request_out, seq_out, err);
    tl_gate_leave(ledger, TL_GATE_BATCH);
    return status;
}

static tally_status record(struct tally_ledger *ledger, const char *action, const char *id,
                           const struct tally_actor *actor, const struct tally_held *held,
                           struct tally_error *err)
{
    struct tl_buf json;
    tl_buf_init(&json, TL_EVENT_BYTES_MAX);
    tl_buf_add_text(&json, "{\"hold\":");
    tl_json_write_string(&json, tl_str_of(id));
    tl_buf_addf(&json, ",\"seq\":%llu", (unsigned long long)held->seq);
    if (held->ranges > 0) {
        tl_buf_addf(&json, ",\"ranges\":%llu,\"records\":%llu", (unsigned long long)held->ranges,
                    (unsigned long long)held->records);
    }
    tl_json_write_member(&json, "reason", actor->reason);
    tl_json_write_member(&json, "ticket", actor->ticket);
    tl_buf_add(&json, "}", 2); /* with its NUL */
    tally_status status = tl_buf_status(&json);
    if (status == TALLY_OK) {
        status = tally_record_act(ledger, action, actor->by, json.data, NULL, err);
    }
    tl_buf_release(&json);
    return status;
}

/* What is to be sealed. It refers to the arguments and to `note`. */
static struct tl_control hold_control(const char *id, const struct tl_ranges *ranges,
                                      const struct tally_actor *actor, const char *note)
{
    struct tl_control control = { .kind = TL_LEAF_HOLD,
                                  .hold = tl_str_of(id),
                                  .by = tl_str_of(actor->by),
                                  .note = tl_str_of(note),
                                  .ranges = ranges->items,
                                  .range_count = (uint32_t)ranges->count };
    if (actor->reason != NULL && actor->reason[0] != '\0') {
        control.basis = tl_str_of(actor->reason);
    }
    return control;
}

/* NOLINTNEXTLINE(readability-function-size): nine parameters, but each is one of the caller's */
tally_status tally_hold_add(struct tally_ledger *ledger, const char *id,
                            const struct tally_selection *selection, int64_t expires_us,
                            int dry_run, const struct tally_actor *actor,
                            struct tally_held *held_out, char **request_out,
                            struct tally_error *err)
{
    *held_out = (struct tally_held){ .seq = TALLY_SEQ_NONE };
    TL_TRY(check(ledger, id, actor, err));
    if (expires_us < 0 || expires_us > TL_TIME_US_MAX) {
        return tl_fail(err, TALLY_EINVAL, "the time at which the hold expires is out of range");
    }
    TL_CLEANUP(tl_ranges_release) struct tl_ranges ranges = { .max = RANGES_MAX };
    TL_TRY(tl_select(&ranges, ledger, selection, err));
    if (ranges.count == 0) {
        return tl_fail(err, TALLY_ENOTFOUND, "the selection has no records");
    }
    char note[TL_HOLD_NOTE_SIZE];
    if (expires_us > 0) {
        tl_hold_note_write(note, expires_us);
    }
    struct tl_control control = hold_control(id, &ranges, actor, expires_us > 0 ? note : NULL);
    struct tally_held held = { .ranges = ranges.count,
                               .records = ranges.records,
                               .seq = TALLY_SEQ_NONE };
    TL_TRY(seal_alone(ledger, &control, actor, dry_run != 0, request_out, &held.seq, err));
    *held_out = held;
    return dry_run ? TALLY_OK : record(ledger, "tally.hold.set", id, actor, &held, err);
}

tally_status tally_hold_release(struct tally_ledger *ledger, const char *id,
                                const struct tally_actor *actor, char **request_out,
                                struct tally_error *err)
{
    TL_TRY(check(ledger, id, actor, err));
    struct tl_control control = { .kind = TL_LEAF_RELEASE,
                                  .hold = tl_str_of(id),
                                  .by = tl_str_of(actor->by) };
    if (actor->reason != NULL && actor->reason[0] != '\0') {
        control.note = tl_str_of(actor->reason);
    }
    struct tally_held held = { .seq = TALLY_SEQ_NONE };
    TL_TRY(seal_alone(ledger, &control, actor, false, request_out, &held.seq, err));
    return record(ledger, "tally.hold.release", id, actor, &held, err);
}

tally_status tally_hold_list(struct tally_ledger *ledger, tally_hold_fn *fn, void *ctx,
                             struct tally_error *err)
{
    struct tl_reader reader;
    TL_TRY(tl_reader_get(ledger, &reader, err));
    tally_status status = tl_reader_begin(&reader, err);
    if (status == TALLY_OK) {
        status = tl_holds_each(reader.store, fn, ctx, err);
    }
    tl_reader_put(ledger, &reader);
    return status;
}
