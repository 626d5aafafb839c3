/* tally_purge(): decides, has it sealed, removes, gives room back, and records that it did. */
#include "ledger/purge.h"

#include <string.h>

#include "base/io.h"
#include "codec/json.h"
#include "codec/time.h"
#include "ledger/events.h"

#define ATTEMPTS 8 /* acts of others may come in between */

/* One purge. Large: allocate. */
struct purge {
    struct tally_ledger *ledger;
    const struct tally_purge_options *options;
    const struct tally_actor *actor;
    char **request_out;
    struct tl_paths paths;
    struct tl_config config; /* as it is on disk now */
    bool has_config;
    struct tl_removal *removal;
    struct tl_purge_plan plan;
    struct tl_removed removed;
    uint64_t seq;
    char archive[TL_PATH_SIZE];
};

static tally_status check_options(const struct tally_purge_options *options,
                                  const struct tally_actor *actor, struct tally_error *err)
{
    if (options->struct_size != sizeof(*options)) {
        return tl_fail(err, TALLY_EINVAL, "struct tally_purge_options has an unknown size");
    }
    if (actor == NULL || actor->by == NULL || actor->by[0] == '\0') {
        return tl_fail(err, TALLY_EINVAL, "who purges must be named");
    }
    if (options->range_count > 0 && options->before_day > 0) {
        return tl_fail(err, TALLY_EINVAL, "an early purge goes by ranges, not by a day");
    }
    return tl_ranges_check(options->ranges, options->range_count, err);
}

/* What the leaf says. The ranges have the same members as those of the format. */
static struct tl_control make_control(const struct purge *purge)
{
    const struct tally_purge_options *options = purge->options;
    _Static_assert(sizeof(struct tally_range) == sizeof(struct tl_range) &&
                       offsetof(struct tally_range, last) == offsetof(struct tl_range, last),
                   "the public range and that of the format are the same");
    struct tl_control control = { .kind = TL_LEAF_PURGE,
                                  .by = tl_str_of(purge->actor->by),
                                  .count = purge->plan.count };
    if (purge->actor->reason != NULL && purge->actor->reason[0] != '\0') {
        control.note = tl_str_of(purge->actor->reason);
    }
    if (options->range_count > 0) {
        control.override_days = true;
        control.ranges = (const struct tl_range *)(const void *)options->ranges;
        control.range_count = (uint32_t)options->range_count;
    } else {
        control.cutoff_day = purge->plan.cutoff_day;
        control.before_seq = purge->plan.before_seq;
    }
    return control;
}

static tally_status write_archive(struct purge *purge, struct tally_error *err)
{
    const struct tl_config *config = &purge->config;
    if (tl_str_is(config->archive_dir, "none") || purge->plan.go_count == 0) {
        return TALLY_OK;
    }
    char name[TL_PATH_SIZE];
    char dir[TL_PATH_SIZE];
    tl_str_copy(name, sizeof(name), config->archive_dir);
    if (name[0] == '/' || purge->ledger->paths.memory) {
        memcpy(dir, name, sizeof(dir));
    } else {
        TL_TRY(tl_path_join(dir, purge->ledger->paths.dir, name, err));
    }
    TL_TRY(tl_purge_archive(purge->archive, purge->ledger, dir, &purge->plan, err));
    return strlen(purge->archive) < sizeof(((struct tally_purged *)0)->archive)
               ? TALLY_OK
               : tl_fail(err, TALLY_EINVAL, "the path of the archive is too long");
}

static tally_status decide_once(struct purge *purge, struct tally_error *err)
{
    const struct tl_acts *acts = NULL;
    tl_purge_plan_release(&purge->plan);
    TL_TRY(tl_removal_acts(purge->removal, &acts, err));
    for (size_t i = 0; i < purge->options->range_count; i++) {
        if (purge->options->ranges[i].last >= acts->size) {
            return tl_fail(err, TALLY_EINVAL, "there is no record %llu",
                           (unsigned long long)purge->options->ranges[i].last);
        }
    }
    return tl_purge_decide(&purge->plan, purge->ledger, acts, &purge->config.retention,
                           purge->options, err);
}

/* Decides, and has it sealed that contents may go. Nothing is removed yet. */
static tally_status permit(struct purge *purge, struct tally_error *err)
{
    for (int attempt = 1;; attempt++) {
        TL_TRY(decide_once(purge, err));
        if (purge->options->dry_run) {
            return TALLY_OK;
        }
        struct tl_control control = make_control(purge);
        if (purge->plan.needs_leaf) {
            TL_TRY(tl_act_approve(purge->ledger, &control, purge->actor,
                                  purge->options->range_count > 0, purge->request_out, err));
        }
        TL_TRY(write_archive(purge, err));
        if (!purge->plan.needs_leaf) {
            return TALLY_OK;
        }
        struct tally_error why = TALLY_ERROR_INIT;
        tally_status status =
            tl_act_seal(purge->ledger, &control, purge->plan.newest, &purge->seq, &why);
        if (status != TALLY_ECONFLICT || attempt == ATTEMPTS) {
            return status == TALLY_OK ? status : tl_fail_with(err, status, &why);
        }
        if (purge->archive[0] != '\0') {
            (void)tl_io->unlink(purge->archive); /* a copy too many does no harm */
            purge->archive[0] = '\0';
        }
    }
}

static tally_status work(struct purge *purge, struct tally_error *err)
{
    TL_TRY(permit(purge, err));
    if (purge->options->dry_run) {
        return TALLY_OK;
    }
    const struct tl_removal_order order = { .progress = purge->options->progress,
                                            .progress_ctx = purge->options->ctx,
                                            .total = purge->plan.go_count };
    TL_TRY(tl_removal_run_bits(purge->removal, &purge->plan.go, &order, &purge->removed, err));
    return tl_removal_reclaim(purge->removal, &purge->removed, err);
}

static void fill_result(const struct purge *purge, struct tally_purged *result)
{
    const struct tl_purge_plan *plan = &purge->plan;
    const struct tl_removed *removed = &purge->removed;
    bool dry = purge->options->dry_run != 0;
    *result = (struct tally_purged){ .evaluated = plan->evaluated,
                                     .due = plan->due,
                                     .held = plan->held + removed->held,
                                     .purged = dry ? plan->go_count : removed->records,
                                     .bytes = dry ? plan->bytes : removed->bytes,
                                     .freed = removed->freed,
                                     .ranges = plan->ranges,
                                     .cutoff_day = plan->cutoff_day,
                                     .seq = purge->seq,
                                     .left = removed->left };
    result->remaining = plan->remaining;
    if (!dry) {
        result->remaining += plan->go_count - removed->records - removed->held;
    }
    tl_str_copy(result->archive, sizeof(result->archive), tl_str_of(purge->archive));
}

static void write_event(struct tl_buf *json, const struct purge *purge,
                        const struct tally_purged *result, tally_status outcome)
{
    char cutoff[TL_TIME_SIZE];
    (void)tl_time_format(cutoff, (int64_t)result->cutoff_day * TL_DAY_US);
    bool failed = outcome != TALLY_OK && outcome != TALLY_ECANCELED;
    bool is_system = strcmp(purge->actor->by, "tally") == 0;
    tl_buf_addf(json, "{\"action\":\"tally.purge\",\"actor\":{\"type\":\"%s\",\"id\":",
                is_system ? "system" : "user");
    tl_json_write_string(json, tl_str_of(purge->actor->by));
    tl_buf_addf(json, "},\"outcome\":\"%s\",\"severity\":\"low\",\"source\":{\"service\":",
                failed ? "failure" : "success");
    tl_buf_add_text(json, "\"tally.purge\"},\"targets\":[{\"type\":\"ledger\",\"id\":");
    tl_json_write_string(json, tl_str_of(purge->ledger->origin));
    tl_buf_add_text(json, "}]");
    tl_json_write_member(json, "reason", purge->actor->reason);
    tl_buf_addf(json, ",\"metadata\":{\"purged\":%llu,\"evaluated\":%llu,\"dry_run\":%s",
                (unsigned long long)result->purged, (unsigned long long)result->evaluated,
                purge->options->dry_run ? "true" : "false");
    tl_buf_addf(json, ",\"held\":%llu,\"cutoff\":\"%.10s\",\"purge_seq\":",
                (unsigned long long)result->held, cutoff);
    if (result->seq == TALLY_SEQ_NONE) {
        tl_buf_add_text(json, "null");
    } else {
        tl_buf_add_u64(json, result->seq);
    }
    if (result->left > 0) {
        tl_buf_add_text(json, ",\"complete\":false");
    }
    tl_json_write_member(json, "archive", result->archive);
    tl_json_write_member(json, "ticket", purge->actor->ticket);
    if (outcome != TALLY_OK) {
        tl_json_write_member(json, "status", tally_status_name(outcome));
    }
    tl_buf_add_text(json, "}}");
}

/* Every run leaves an event, also one that found nothing to do. */
static tally_status record(const struct purge *purge, const struct tally_purged *result,
                           tally_status outcome, struct tally_error *err)
{
    struct tl_buf json;
    tl_buf_init(&json, TL_EVENT_BYTES_MAX);
    write_event(&json, purge, result, outcome);
    tally_status status = tl_buf_status(&json);
    if (status == TALLY_OK) {
        status = tl_append_own(purge->ledger, json.data, json.len, err);
    }
    tl_buf_release(&json);
    return status;
}

/* A reason that no event takes is refused while nothing is gone yet. */
static tally_status check_event(const struct purge *purge, struct tally_error *err)
{
    const struct tally_purged nothing = { .seq = TALLY_SEQ_NONE };
    struct tally_events *events = NULL;
    struct tl_buf json;
    tl_buf_init(&json, TL_EVENT_BYTES_MAX);
    write_event(&json, purge, &nothing, TALLY_OK);
    tally_status status = tl_buf_status(&json);
    if (status == TALLY_OK) {
        status = tally_events_new(&events, purge->ledger, err);
    }
    if (status == TALLY_OK) {
        status = tl_events_add(events, json.data, json.len, 0, true, err);
    }
    tally_events_free(events);
    tl_buf_release(&json);
    return status;
}

static tally_status run(struct purge *purge, struct tally_purged *result, struct tally_error *err)
{
    TL_TRY(check_event(purge, err));
    /* A rule that was made longer counts at once, also in a program that was started before. */
    TL_TRY(tl_options_read(&purge->ledger->options, &purge->paths, &purge->config, err));
    purge->has_config = true;
    TL_TRY(tl_removal_begin(&purge->removal, purge->ledger, err));
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = work(purge, &why);
    fill_result(purge, result);
    if (status == TALLY_EDENIED || (status == TALLY_EINVAL && purge->seq == TALLY_SEQ_NONE)) {
        return tl_fail_with(err, status, &why); /* it was not begun */
    }
    struct tally_error unrecorded = TALLY_ERROR_INIT;
    tally_status recorded = record(purge, result, status, &unrecorded);
    if (status == TALLY_OK && recorded != TALLY_OK) {
        return tl_fail_with(err, recorded, &unrecorded);
    }
    return status == TALLY_OK ? status : tl_fail_with(err, status, &why);
}

tally_status tally_purge(struct tally_ledger *ledger, const struct tally_purge_options *options,
                         const struct tally_actor *actor, struct tally_purged *purged_out,
                         char **request_out, struct tally_error *err)
{
    *purged_out = (struct tally_purged){ .seq = TALLY_SEQ_NONE };
    TL_TRY(check_options(options, actor, err));
    struct purge *purge = tl_alloc_array(1, sizeof(*purge));
    if (purge == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a purge");
    }
    purge->ledger = ledger;
    purge->options = options;
    purge->actor = actor;
    purge->request_out = request_out;
    purge->seq = TALLY_SEQ_NONE;
    tally_status status = run(purge, purged_out, err);
    tl_removal_end(&purge->removal);
    tl_purge_plan_release(&purge->plan);
    if (purge->has_config) {
        tl_config_release(&purge->config);
    }
    tl_free(purge);
    return status;
}
