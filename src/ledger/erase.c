/* tally_erase(): seals what is to go, then removes it, and records who did so and why. */
#include "ledger/erase.h"

#include <time.h>

#include "base/clock.h"
#include "codec/json.h"
#include "ledger/approve.h"
#include "ledger/remote.h"

#define SPOOL_WAIT_US   INT64_C(2000000)
#define TRIES_MAX       32u  /* other acts that may come between, one after the other */
#define APPROVAL_ROOM   128u /* bytes of a payload for "approval":"…", */
#define META_BYTES_MAX  ((size_t)64 << 10)
#define POINTERS_IN_ALL (TL_ERASABLE_MAX + 1)

/* One erasure. Large: allocate. */
struct run {
    struct tally_ledger *ledger;
    const struct tally_erase_options *options;
    const struct tally_actor *actor;
    char **request_out;
    struct tl_eraser *eraser;
    struct tl_removal *removal;
    struct tl_acts acts;
    bool has_acts;
    struct tl_erase_found found;
    struct tl_str pointers[POINTERS_IN_ALL]; /* of the ERASE leaves: sorted */
    uint32_t pointer_count;
    struct tl_ranges left; /* still to be sealed */
    struct tl_removed removed;
    struct tally_erased result;
    bool stopped; /* by its progress function */
};

static void run_free(struct run **run)
{
    struct run *it = *run;
    if (it != NULL) {
        tl_eraser_free(&it->eraser);
        tl_removal_end(&it->removal);
        if (it->has_acts) {
            tl_acts_release(&it->acts);
        }
        tl_ranges_release(&it->found.records);
        tl_ranges_release(&it->left);
        tl_free(it);
    }
    *run = NULL;
}

/* The leaves to be sealed for what is left. Each has its seqs as a slice of `ranges`. */
struct plan {
    struct tl_control *controls;
    struct tl_erase_item *items;
    struct tl_range *ranges;
    size_t count;
};

static void plan_release(struct plan *plan)
{
    tl_free(plan->controls);
    tl_free(plan->items);
    tl_free(plan->ranges);
    *plan = (struct plan){ 0 };
}

static size_t digits_of(uint64_t number)
{
    size_t digits = 1;
    while (number >= 10) {
        number /= 10;
        digits++;
    }
    return digits;
}

static struct tl_control control_of(const struct run *run, const struct tl_erase_item *item)
{
    return (struct tl_control){ .kind = TL_LEAF_ERASE,
                                .by = tl_str_of(run->actor->by),
                                .items = item,
                                .item_count = 1,
                                .basis = tl_str_of(run->actor->reason),
                                .ticket = tl_str_of(run->actor->ticket) };
}

/* How many bytes of numbers there is room for in one leaf. */
static tally_status measure_room(const struct run *run, size_t *room_out, struct tally_error *err)
{
    const struct tl_range one = { 0, 0 };
    const struct tl_erase_item item = { run->pointers, run->pointer_count, &one, 1 };
    const struct tl_control control = control_of(run, &item);
    TL_CLEANUP(tl_buf_release) struct tl_buf payload = { 0 };
    tl_buf_init(&payload, TL_LEAF_PAYLOAD_MAX);
    TL_TRY(tl_control_format(&payload, &control, err));
    if (payload.len + APPROVAL_ROOM + TL_LEAF_PAYLOAD_MAX / 4 > TL_LEAF_PAYLOAD_MAX) {
        return tl_fail(err, TALLY_EINVAL, "reason and ticket are too long to be sealed");
    }
    *room_out = TL_LEAF_PAYLOAD_MAX - payload.len - APPROVAL_ROOM;
    return TALLY_OK;
}

/* Cuts a run where the leaf is full; returns its last record that fits, or none before `first`. */
static bool take_numbers(const struct tl_range *range, size_t room, size_t *used, uint64_t *last)
{
    uint64_t seq = range->first;
    while (seq <= range->last && *used + digits_of(seq) + 1 <= room) {
        *used += digits_of(seq) + 1;
        *last = seq++;
    }
    return seq > range->first;
}

/* Divides what is left among leaves: counts them, or fills them if `plan` has room. */
static void divide(const struct run *run, size_t room, struct plan *plan, size_t *leaves_out,
                   size_t *slices_out)
{
    size_t leaves = 0;
    size_t slices = 0;
    size_t used = room;
    for (size_t i = 0; i < run->left.count; i++) {
        struct tl_range rest = run->left.items[i];
        for (;;) {
            uint64_t last = 0;
            if (!take_numbers(&rest, room, &used, &last)) {
                used = 0;
                leaves++;
                if (plan != NULL) {
                    plan->items[leaves - 1] =
                        (struct tl_erase_item){ run->pointers, run->pointer_count,
                                                plan->ranges + slices, 0 };
                }
                continue;
            }
            if (plan != NULL) {
                plan->ranges[slices] = (struct tl_range){ rest.first, last };
                plan->items[leaves - 1].seq_count++;
            }
            slices++;
            if (last == rest.last) {
                break;
            }
            rest.first = last + 1;
        }
    }
    *leaves_out = leaves;
    *slices_out = slices;
}

static tally_status make_plan(const struct run *run, struct plan *plan, struct tally_error *err)
{
    size_t room = 0;
    size_t slices = 0;
    TL_TRY(measure_room(run, &room, err));
    divide(run, room, NULL, &plan->count, &slices);
    plan->controls = tl_alloc_array(plan->count, sizeof(*plan->controls));
    plan->items = tl_alloc_array(plan->count, sizeof(*plan->items));
    plan->ranges = tl_alloc_array(slices, sizeof(*plan->ranges));
    if (plan->controls == NULL || plan->items == NULL || plan->ranges == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate what to seal");
    }
    divide(run, room, plan, &plan->count, &slices);
    for (size_t i = 0; i < plan->count; i++) {
        plan->controls[i] = control_of(run, &plan->items[i]);
    }
    return TALLY_OK;
}

/* A name that was never set apart is a slip of the pen, and must not end in "nothing to erase". */
static tally_status check_members(const struct tl_eraser *eraser, struct tally_error *err)
{
    for (uint32_t i = 0; i < eraser->members.count; i++) {
        const char *pointer = eraser->members.pointers[i].text;
        bool known = false;
        for (size_t k = 0; k < eraser->policies.count && !known; k++) {
            known = tl_erasable_has(eraser->policies.items[k].set, tl_str_of(pointer));
        }
        if (!known) {
            return tl_fail_code(err, TALLY_EINVAL, "not_erasable",
                                "no policy of this ledger sets '%s' apart: erase a member that one "
                                "does, or the whole content",
                                pointer);
        }
    }
    return TALLY_OK;
}

/* Acts and policies, as they are at one moment. */
static tally_status read_acts(struct run *run, struct tally_error *err)
{
    struct tl_reader reader;
    if (run->has_acts) {
        tl_acts_release(&run->acts);
        run->has_acts = false;
    }
    TL_TRY(tl_reader_get(run->ledger, &reader, err));
    tally_status status = tl_reader_begin(&reader, err);
    if (status == TALLY_OK) {
        status = tl_acts_read(&run->acts, reader.store, err);
        run->has_acts = true;
    }
    if (status == TALLY_OK) {
        status = tl_eraser_read(run->eraser, reader.store, err);
    }
    tl_reader_put(run->ledger, &reader);
    TL_TRY(status);
    return check_members(run->eraser, err);
}

/* Drops from [first, end) of a plan what is on hold by now; the rest is what is left. */
static tally_status keep_left(struct run *run, const struct plan *plan, size_t from,
                              struct tally_error *err)
{
    struct tl_ranges left = { .max = TL_ERASE_RUNS_MAX };
    TL_CLEANUP(tl_excuse_scope_release) struct tl_excuse_scope scope = { 0 };
    tally_status status = tl_excuse_scope_init(&scope, &run->acts.excuses);
    for (size_t i = from; i < plan->count && status == TALLY_OK; i++) {
        const struct tl_erase_item *item = &plan->items[i];
        for (uint32_t k = 0; k < item->seq_count && status == TALLY_OK; k++) {
            for (uint64_t seq = item->seqs[k].first;
                 seq <= item->seqs[k].last && status == TALLY_OK; seq++) {
                struct tl_str hold = tl_hold_on(&scope, seq);
                if (hold.text == NULL) {
                    status = tl_ranges_add(&left, seq, seq);
                    continue;
                }
                run->found.held++;
                tl_str_copy(run->found.hold, sizeof(run->found.hold), hold);
            }
        }
    }
    tl_ranges_release(&run->left);
    run->left = left;
    return status == TALLY_OK ? status : tl_fail(err, status, "cannot keep what is left to erase");
}

static int tell_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct run *run = ctx;
    (void)total;
    const struct tally_erase_options *options = run->options;
    run->stopped = options->progress != NULL &&
                   options->progress(options->ctx, done, run->found.records.records) != 0;
    return run->stopped ? 1 : 0;
}

static tally_status remove_item(struct run *run, const struct tl_erase_item *item,
                                struct tally_error *err)
{
    const struct tl_removal_order order = { .ranges = item->seqs,
                                            .range_count = item->seq_count,
                                            .fn = run->eraser->whole ? NULL : tl_eraser_reduce,
                                            .ctx = run->eraser,
                                            .progress = tell_progress,
                                            .progress_ctx = run,
                                            .total = run->found.records.records };
    return tl_removal_run(run->removal, &order, &run->removed, err);
}

/* Seals and removes, leaf by leaf. *at_out is the first that was not sealed. */
static tally_status do_plan(struct run *run, const struct plan *plan, size_t *at_out,
                            struct tally_error *err)
{
    for (*at_out = 0; *at_out < plan->count; (*at_out)++) {
        uint64_t seq = TALLY_SEQ_NONE;
        if (run->stopped) {
            return tl_fail(err, TALLY_ECANCELED, "the erasure was stopped");
        }
        TL_TRY(tl_act_seal(run->ledger, &plan->controls[*at_out], run->acts.newest, &seq, err));
        run->acts.newest = seq;
        run->result.seq = run->result.acts == 0 ? seq : run->result.seq;
        run->result.acts++;
        tally_status status = remove_item(run, &plan->items[*at_out], err);
        if (status != TALLY_OK) {
            (*at_out)++;
            return status;
        }
    }
    return TALLY_OK;
}

/* Does what is left, deciding anew whenever somebody else's act came between. */
static tally_status erase_left(struct run *run, struct tally_error *err)
{
    for (unsigned tries = 0; run->left.records > 0; tries++) {
        struct plan plan = { 0 };
        struct tally_error why = TALLY_ERROR_INIT;
        size_t at = 0;
        bool sealed = false;
        tally_status status = make_plan(run, &plan, &why);
        if (status == TALLY_OK) {
            status = tl_acts_approve(run->ledger, plan.controls, plan.count, run->actor, false,
                                     run->request_out, &why);
        }
        if (status == TALLY_OK) {
            sealed = true;
            status = do_plan(run, &plan, &at, &why);
        }
        bool again = sealed && status == TALLY_ECONFLICT && tries < TRIES_MAX;
        if (again) {
            status = read_acts(run, err);
        }
        if (status == TALLY_OK) {
            status = keep_left(run, &plan, at, err);
        }
        plan_release(&plan);
        if (status != TALLY_OK) {
            return tl_fail_with(err, status, &why);
        }
    }
    return TALLY_OK;
}

/* ------------------------------------------------------------------------------------------- */

static const char *subject_word(const struct tally_erase_options *options)
{
    const char *subject = options->subject;
    return subject == NULL ? NULL : strncmp(subject, "actor:", 6) == 0 ? "actor" : "target";
}

/* Who did it and why; neither what was erased nor whose it was, which would undo it. */
static tally_status record_run(const struct run *run, bool complete, struct tally_error *err)
{
    const struct tally_erased *result = &run->result;
    TL_CLEANUP(tl_buf_release) struct tl_buf out = { 0 };
    tl_buf_init(&out, META_BYTES_MAX);
    tl_buf_addf(&out,
                "{\"matched\":%llu,\"held\":%llu,\"gone\":%llu,\"erased\":%llu,\"members\":%llu,"
                "\"bytes\":%llu,\"acts\":%llu,\"complete\":%s",
                (unsigned long long)result->matched, (unsigned long long)result->held,
                (unsigned long long)result->gone, (unsigned long long)result->erased,
                (unsigned long long)result->members, (unsigned long long)result->bytes,
                (unsigned long long)result->acts, complete ? "true" : "false");
    if (result->acts > 0) {
        tl_buf_addf(&out, ",\"seq\":%llu", (unsigned long long)result->seq);
    }
    tl_json_write_member(&out, "subject", subject_word(run->options));
    tl_json_write_member(&out, "reason", run->actor->reason);
    tl_json_write_member(&out, "ticket", run->actor->ticket);
    tl_buf_add_text(&out, ",\"pointers\":[");
    for (uint32_t i = 0; i < run->pointer_count; i++) {
        tl_buf_add_text(&out, i == 0 ? "" : ",");
        tl_json_write_string(&out, run->pointers[i]);
    }
    tl_buf_add_text(&out, "]}");
    TL_CLEANUP(tl_freep) char *text = tl_buf_take(&out, NULL);
    if (text == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a record of the erasure");
    }
    return tally_record_act(run->ledger, "tally.erase", run->actor->by, text, NULL, err);
}

static void fill_result(struct run *run)
{
    struct tally_erased *result = &run->result;
    const struct tl_erase_found *found = &run->found;
    bool dry = run->options->dry_run != 0;
    result->matched = found->matched;
    result->gone = found->gone;
    result->held = found->held + run->removed.held;
    result->erased = dry ? found->records.records : run->removed.records;
    result->members = dry ? found->members : run->eraser->erased;
    result->bytes = dry ? found->bytes : run->removed.bytes;
    result->left = run->removed.left;
}

static tally_status find_records(struct run *run, struct tally_error *err)
{
    TL_TRY(tl_erase_find(&run->found, run->ledger, run->options, run->eraser, &run->acts, err));
    if (run->found.matched == 0) {
        return tl_fail(err, TALLY_ENOTFOUND, "no record matches: nothing was erased");
    }
    if (run->found.held == run->found.matched) {
        return tl_fail_code(
            err, TALLY_EDENIED, "held", "%s on hold, by '%s' for one: nothing was erased",
            run->found.held == 1 ? "the record is" : "all records are", run->found.hold);
    }
    return TALLY_OK;
}

/* What this process has logged itself lies in its spool until the segment is done with. Others close
 * theirs by age. */
static void settle_spool(struct tally_ledger *ledger)
{
    if (ledger->spool == NULL) {
        return;
    }
    int64_t until_us = tl_clock->steady_us() + SPOOL_WAIT_US;
    tl_spool_rotate(ledger->spool);
    while (!tl_spool_is_read(ledger->spool) && tl_clock->steady_us() < until_us) {
        const struct timespec pause = { .tv_nsec = 5000000 };
        (void)nanosleep(&pause, NULL); /* woken early, it looks early */
    }
}

/* After the first leaf there is something to tell, whatever else goes wrong. */
static tally_status erase_found(struct run *run, struct tally_error *err)
{
    struct tl_ranges *left = &run->left;
    *left = run->found.records; /* moved; only how many there were is still asked for */
    run->found.records.items = NULL;
    run->found.records.count = 0;
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = erase_left(run, &why);
    if (status != TALLY_OK && run->result.acts == 0) {
        return tl_fail_with(err, status, &why);
    }
    /* Also if all of it was gone: files that could not be cleared then perhaps can be now. */
    tally_status cleared = tl_removal_reclaim(run->removal, &run->removed, &why);
    status = status != TALLY_OK ? status : cleared;
    fill_result(run);
    tally_status recorded = record_run(run, status == TALLY_OK && run->removed.left == 0, err);
    settle_spool(run->ledger);
    return status != TALLY_OK ? tl_fail_with(err, status, &why) : recorded;
}

static tally_status erase(struct run *run, struct tally_error *err)
{
    TL_TRY(tl_removal_begin(&run->removal, run->ledger, err));
    struct tl_removed earlier = { 0 };
    TL_TRY(tl_erase_finish(run->removal, run->ledger, &earlier, err));
    TL_TRY(read_acts(run, err));
    TL_TRY(find_records(run, err));
    return erase_found(run, err);
}

static tally_status try_out(struct run *run, struct tally_error *err)
{
    TL_TRY(read_acts(run, err));
    return find_records(run, err);
}

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static tally_status check_options(const struct tally_ledger *ledger,
                                  const struct tally_erase_options *options,
                                  const struct tally_actor *actor, struct tally_error *err)
{
    const struct tally_selection *selection = &options->selection;
    bool selects = selection->query != NULL || selection->range_count > 0;
    if (options->struct_size != sizeof(*options)) {
        return tl_fail(err, TALLY_EINVAL, "struct tally_erase_options has an unknown size");
    }
    if (options->dry_run == 0 && (actor == NULL || !is_given(actor->by))) {
        return tl_fail(err, TALLY_EINVAL, "an erasure needs the name of who asks for it");
    }
    if (options->dry_run == 0 && !is_given(actor->reason)) {
        return tl_fail(err, TALLY_EINVAL, "an erasure needs the reason it rests on");
    }
    if (options->id != NULL && (selects || options->subject != NULL)) {
        return tl_fail(err, TALLY_EINVAL, "an id names one record: no selection beside it");
    }
    if (options->id == NULL && options->subject == NULL && selection->range_count == 0 &&
        (selection->query == NULL || selection->query->condition_count == 0)) {
        return tl_fail(err, TALLY_EINVAL, "nothing says which records to erase");
    }
    if (options->dry_run == 0 && !ledger->writable) {
        return tl_fail(err, TALLY_EINVAL, "the ledger is open for reading only");
    }
    TL_TRY(tl_remote_refuse(ledger, err));
    return tl_refuse_inherited(ledger, err);
}

/* Takes the pointers as the leaves name them. */
static tally_status read_members(struct run *run, struct tally_error *err)
{
    const struct tally_erase_options *options = run->options;
    if (options->member_count > TL_ERASABLE_MAX) {
        return tl_fail(err, TALLY_EINVAL, "more than %u members", TL_ERASABLE_MAX);
    }
    struct tl_str given[TL_ERASABLE_MAX];
    for (size_t i = 0; i < options->member_count; i++) {
        given[i] = tl_str_of(options->members[i]);
    }
    TL_TRY(tl_eraser_new(&run->eraser, given, options->member_count, err));
    const struct tl_erasable_set *members = &run->eraser->members;
    run->pointer_count = run->eraser->whole ? 1 : members->count;
    run->pointers[0] = TL_STR("");
    for (uint32_t i = 0; i < members->count; i++) {
        run->pointers[i] = (struct tl_str){ members->pointers[i].text, members->pointers[i].len };
    }
    return TALLY_OK;
}

tally_status tally_erase(struct tally_ledger *ledger, const struct tally_erase_options *options,
                         const struct tally_actor *actor, struct tally_erased *erased_out,
                         char **request_out, struct tally_error *err)
{
    TL_TRY(check_options(ledger, options, actor, err));
    TL_CLEANUP(run_free) struct run *run = tl_alloc_array(1, sizeof(*run));
    if (run == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate an erasure");
    }
    run->ledger = ledger;
    run->options = options;
    run->actor = actor;
    run->request_out = request_out;
    run->result.seq = TALLY_SEQ_NONE;
    TL_TRY(read_members(run, err));
    tally_status status = options->dry_run != 0 ? try_out(run, err) : erase(run, err);
    fill_result(run);
    *erased_out = run->result;
    return status;
}
