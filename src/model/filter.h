/*
 * model/filter.h - conditions on records: read, turned into index terms, and checked.
 *
 * The index is asked by terms, and every record that it names is then checked here against the
 * record itself; terms therefore may name too many records, never too few.
 */
#ifndef TL_MODEL_FILTER_H
#define TL_MODEL_FILTER_H

#include <tally/query.h>

#include "base/arena.h"
#include "base/buf.h"
#include "model/event.h"

/* What a filter needs to know of a record besides the event. */
struct tl_record_facts {
    uint64_t seq;
    int64_t recorded_us;
    struct tl_str kind;  /* "event", "genesis", ... */
    struct tl_str state; /* "present", ... */
};

struct tl_filter; /* immutable after it was made */

/*
 * Reads conditions. `now_us` is what "now" and "-15m" count from; `text_members` are the members
 * that free text searches (see tl_terms_add).
 *
 * Errors: TALLY_EREFUSED with code unknown_filter or bad_parameter; err names the field and never
 *         quotes the value; TALLY_ENOMEM
 */
tally_status tl_filter_new(struct tl_filter **filter_out, const struct tally_condition *conditions,
                           size_t count, int64_t now_us, const struct tl_str *text_members,
                           size_t text_member_count, struct tally_error *err);
void tl_filter_free(struct tl_filter *filter);

/* From now on records must fit `also` as well, which it takes, even on failure; once for a filter.
 * Errors: TALLY_ENOMEM */
tally_status tl_filter_narrow(struct tl_filter *filter, struct tl_filter *also,
                              struct tally_error *err);

/* Whether a record fits all conditions. `view` is NULL for records without content. */
bool tl_filter_matches(const struct tl_filter *filter, const struct tl_record_facts *facts,
                       const struct tl_event_view *view);

/* The ranges of a filter, half-open; INT64_MIN/INT64_MAX and 0/UINT64_MAX where it has none. */
struct tl_filter_ranges {
    uint64_t seq_first, seq_end;
    int64_t occurred_from, occurred_to;
    int64_t recorded_from, recorded_to;
};
void tl_filter_ranges(const struct tl_filter *filter, struct tl_filter_ranges *out);

/* A group of terms of which one must be there. Borrowed from the filter. */
struct tl_filter_group {
    const struct tl_str *terms;
    size_t count;
};
/* The groups that an index can answer; conditions that it cannot have no group. */
const struct tl_filter_group *tl_filter_groups(const struct tl_filter *filter, size_t *count_out);

/*
 * Whether terms and seq range alone decide: every record that has the terms fits, so that counting
 * needs to read no record.
 */
bool tl_filter_is_exact(const struct tl_filter *filter);

/* The single id asked for, or an absent string. */
struct tl_str tl_filter_single_id(const struct tl_filter *filter);

/* All ids asked for; ids have no terms, because stores find them by themselves. Borrowed. */
const struct tl_str *tl_filter_ids(const struct tl_filter *filter, size_t *count_out);

/*
 * Appends the terms of a record, separated by the byte 1F: a byte for the field and its value, for
 * each field that can be asked for, prefixes of the action, words of the text members. Values that
 * are long or hold control characters, and random identifiers, are represented by a hash of them.
 * Records without content have terms for kind and state alone.
 */
void tl_terms_add(struct tl_buf *out, const struct tl_record_facts *facts,
                  const struct tl_event_view *view, const struct tl_str *text_members,
                  size_t text_member_count);

/* Text of a time argument: RFC 3339, date, "now", "-15m". TALLY_EINVAL */
tally_status tl_time_argument(int64_t *us_out, struct tl_str text, int64_t now_us);

/* The value of a field of a condition in a view, for statistics; absent if it has none. `*known` is
 * false for a field that has no single value. */
struct tl_str tl_view_field(const struct tl_event_view *view, const char *field, bool *known);

#endif /* TL_MODEL_FILTER_H */
