#include "show/show.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define STUCK_S          30 /* a sequencer that records nothing for so long is in trouble */
#define ALONE_S          2  /* another process takes over sooner than that */
#define DISK_LOW_BYTES   (UINT64_C(1) << 30)
#define DISK_EMPTY_BYTES (UINT64_C(64) << 20)
#define ANCHOR_OLD_S     172800 /* two days */

static void add_ailment(struct tl_health *health, bool is_grave, const char *advice,
                        const char *fmt, ...) TL_PRINTF(4, 5);

static void add_ailment(struct tl_health *health, bool is_grave, const char *advice,
                        const char *fmt, ...)
{
    tl_assert(health->count < TL_AILMENTS_MAX);
    struct tl_ailment *ailment = &health->items[health->count++];
    ailment->is_grave = is_grave;
    ailment->advice = advice;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(ailment->what, sizeof(ailment->what), fmt, args);
    va_end(args);
}

/* At most one of the first three applies: the others would follow from it. */
static void look_at_recording(struct tl_health *health, const struct tally_activity *activity)
{
    uint64_t events = activity->spool_events;
    int64_t age = activity->oldest_unsent_s;
    if (activity->trouble[0] != '\0') {
        add_ailment(health, true,
                    "nothing is lost while the spool has room; remove the cause, and recording "
                    "goes on by itself; 'tally doctor' looks closer",
                    "nothing is being recorded: %s", activity->trouble);
    } else if (activity->sequencer_pid == 0 && events > 0 && age >= ALONE_S) {
        add_ailment(health, true,
                    "start a program that writes to it, or record anything with 'tally log': "
                    "whoever has it open for writing records what waits",
                    "%" PRIu64 " events wait, the oldest for %" PRId64
                    " s, and no process has the ledger open for writing",
                    events, age);
    } else if (events > 0 && age >= STUCK_S) {
        add_ailment(health, true,
                    "see whether it is stopped or waits for its disk; if it is ended, another "
                    "process takes over within a second",
                    "the process that records, %" PRId64 ", is behind: %" PRIu64
                    " events wait, the oldest for %" PRId64 " s",
                    activity->sequencer_pid, events, age);
    }
}

void tl_health_judge(struct tl_health *health, const struct tally_activity *activity)
{
    *health = (struct tl_health){ .count = 0 };
    look_at_recording(health, activity);
    if (activity->disk_free_bytes < DISK_LOW_BYTES) {
        add_ailment(health, activity->disk_free_bytes < DISK_EMPTY_BYTES,
                    "make room: on a full disk events wait for it, and then are lost",
                    "the disk has %" PRIu64 " MiB left", activity->disk_free_bytes >> 20);
    }
    if (activity->anchor_targets > 0 &&
        (activity->anchored_s < 0 || activity->anchored_s > ANCHOR_OLD_S)) {
        add_ailment(health, false, "run 'tally anchor', every day at least, and see what it says",
                    activity->anchored_s < 0
                        ? "no checkpoint was taken to the %" PRIu64 " anchor targets yet"
                        : "the %" PRIu64 " anchor targets had no checkpoint for two days",
                    activity->anchor_targets);
    }
    if (activity->refused > 0) {
        add_ailment(
            health, false,
            "they are in refused.ndjson, in the directory of 'remote.spool', with the code of "
            "each; remove the file when you have dealt with them",
            "the server refused %" PRIu64 " events for good", activity->refused);
    }
    if (activity->quarantined > 0) {
        add_ailment(health, false,
                    "what could be read of them is recorded, the rest is declared as lost; look at "
                    "the disk, and keep the files in spool/quarantine until you know why",
                    "%" PRIu64 " segments of the spool were damaged and put aside",
                    activity->quarantined);
    }
}

bool tl_health_is_grave(const struct tl_health *health)
{
    for (size_t i = 0; i < health->count; i++) {
        if (health->items[i].is_grave) {
            return true;
        }
    }
    return false;
}

const char *tl_health_name(const struct tl_health *health)
{
    return tl_health_is_grave(health) ? "error" : health->count > 0 ? "warning" : "ok";
}

static uint64_t not_negative(int64_t value)
{
    return value > 0 ? (uint64_t)value : 0;
}

void tl_show_status(struct tl_js *js, const struct tally_activity *activity,
                    const struct tl_health *health)
{
    tl_js_text(js, "health", tl_health_name(health));
    tl_js_text(js, "origin", activity->origin);
    tl_js_u64(js, "size", activity->size);
    tl_js_u64(js, "indexed_to", activity->indexed_to);
    tl_js_u64(js, "recorded_60s", activity->recorded_60s);
    tl_js_u64(js, "newest_s", not_negative(activity->newest_s));
    if (activity->sequencer_pid < 0) {
        tl_js_null(js, "sequencer_pid"); /* somebody, who did not say */
    } else {
        tl_js_u64(js, "sequencer_pid", (uint64_t)activity->sequencer_pid);
    }
    tl_js_bool(js, "has_sequencer", activity->sequencer_pid != 0);
    tl_js_u64(js, "spool_events", activity->spool_events);
    tl_js_u64(js, "oldest_unsent_s", not_negative(activity->oldest_unsent_s));
    tl_js_u64(js, "spool_bytes", activity->spool_bytes);
    tl_js_u64(js, "spool_segments", activity->spool_segments);
    tl_js_u64(js, "spool_writers", activity->spool_writers);
    tl_js_u64(js, "quarantined", activity->quarantined);
    tl_js_u64(js, "dropped", activity->dropped);
    tl_js_bool(js, "dropped_is_exact", activity->dropped_is_exact != 0);
    tl_js_u64(js, "gaps", activity->gaps);
    tl_js_u64(js, "refused", activity->refused);
    tl_js_u64(js, "anchor_targets", activity->anchor_targets);
    if (activity->anchored_s < 0) {
        tl_js_null(js, "anchored_s");
    } else {
        tl_js_u64(js, "anchored_s", (uint64_t)activity->anchored_s);
    }
    tl_js_u64(js, "disk_free_bytes", activity->disk_free_bytes);
    tl_js_text(js, "trouble", activity->trouble);
    tl_js_open(js, "problems", '[');
    for (size_t i = 0; i < health->count; i++) {
        tl_js_open(js, NULL, '{');
        tl_js_text(js, "health", health->items[i].is_grave ? "error" : "warning");
        tl_js_text(js, "what", health->items[i].what);
        tl_js_text(js, "advice", health->items[i].advice);
        tl_js_close(js, '}');
    }
    tl_js_close(js, ']');
}
