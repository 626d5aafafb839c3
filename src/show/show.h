/*
 * show/show.h - what the public structs of a ledger are as JSON, as `tally ... --json` prints it.
 *
 * The command line and the server show the same. `key` is as in codec/js.h.
 */
#ifndef TL_SHOW_SHOW_H
#define TL_SHOW_SHOW_H

#include <tally/activity.h>
#include <tally/keys.h>
#include <tally/lifecycle.h>
#include <tally/query.h>
#include <tally/schedule.h>
#include <tally/verify.h>

#include "base/base.h"
#include "codec/js.h"
#include "codec/time.h"

void tl_show_time(struct tl_js *js, const char *key, int64_t us);  /* null unless after 1970 */
void tl_show_seq(struct tl_js *js, const char *key, uint64_t seq); /* TALLY_SEQ_NONE: null */

/* "2026-03-14"; "" if the time is 0 or has no text. */
void tl_show_day(char out[TL_TIME_SIZE], int64_t us);

/* report.c */
void tl_show_report(struct tl_js *js, const char *key, const struct tally_report *report);

/* status.c: something that is wrong with a ledger, and the way out. */
struct tl_ailment {
    bool is_grave; /* events are not being recorded, or soon will not be */
    char what[400];
    const char *advice; /* static */
};

#define TL_AILMENTS_MAX 5u

struct tl_health {
    struct tl_ailment items[TL_AILMENTS_MAX];
    size_t count;
};

void tl_health_judge(struct tl_health *health, const struct tally_activity *activity);
bool tl_health_is_grave(const struct tl_health *health);
const char *tl_health_name(const struct tl_health *health); /* "ok", "warning", "error" */

/* The members alone: others may follow them in the caller's object. */
void tl_show_status(struct tl_js *js, const struct tally_activity *activity,
                    const struct tl_health *health);

/* upkeep.c */
void tl_show_schedule(struct tl_js *js, const char *key, const struct tally_job *job);
void tl_show_key(struct tl_js *js, const char *key, const struct tally_key *public_key);

/* life.c */
void tl_show_hold(struct tl_js *js, const char *key, const struct tally_hold *hold);
void tl_show_held(struct tl_js *js, const char *key, const char *id, bool is_dry,
                  const struct tally_held *held);
void tl_show_released(struct tl_js *js, const char *key, const char *id);
void tl_show_rule(struct tl_js *js, const char *key, const struct tally_retention_rule *rule);
void tl_show_effect(struct tl_js *js, const char *key, const struct tally_retention_effect *effect);
void tl_show_purged(struct tl_js *js, const char *key, bool is_dry,
                    const struct tally_purged *purged);

/* What an erasure does not reach, for people; NULL at the end. */
extern const char *const tl_erase_not_reached[];

/* When the first record of an erasure was sealed; 0 if none was. */
int64_t tl_erased_at(struct tally_ledger *ledger, const struct tally_erased *erased);
void tl_show_erased(struct tl_js *js, const char *key, const struct tally_erase_options *options,
                    const struct tally_actor *actor, const struct tally_erased *erased,
                    int64_t sealed_us);

/* query.c */
void tl_show_count(struct tl_js *js, const char *key, uint64_t count, bool is_exact);
/* The day or the hour of a row; "" if they are split by neither. */
void tl_show_bucket(char out[TL_TIME_SIZE], const struct tally_stats *stats, size_t row);
void tl_show_sources(struct tl_js *js, const char *key, const struct tally_sources *sources);
void tl_show_stats(struct tl_js *js, const char *key, const char *by,
                   const struct tally_stats *stats);

#endif /* TL_SHOW_SHOW_H */
