/* model/filter_read.h - a filter as it is kept, and how it is made; inside model/ only. */
#ifndef TL_MODEL_FILTER_READ_H
#define TL_MODEL_FILTER_READ_H

#include "model/terms.h"

#define TL_FILTER_WORDS_MAX 64u /* over all values of `text`: one bit for each */

/* What is asked of one field. */
struct tl_filter_values {
    struct tl_str *texts; /* normalised; of a prefix without its '*' */
    bool *prefixes;       /* of action alone */
    size_t count;
    bool absent; /* the member may be absent */
};

struct tl_filter {
    struct tl_arena arena;
    struct tl_filter_values fields[TL_FIELD_COUNT];
    bool given[TL_FIELD_COUNT];
    struct tl_filter_ranges ranges;
    int rank_min; /* of severity_min; 0: none */
    bool any_kind;

    struct tl_str words[TL_FILTER_WORDS_MAX]; /* lower-cased */
    size_t word_count;
    uint64_t *phrases; /* for each value of `text`, the bits of its words */
    const struct tl_str *text_members;
    size_t text_member_count;

    struct tl_filter_group *groups;
    size_t group_count;
    bool exact;
    struct tl_filter *also; /* owned; NULL: none. Ranges, groups and exact are of both */
};

/* Whether own events are among what is asked for. */
bool tl_filter_wants_own(const struct tl_filter *filter);

/* Makes the groups of terms, and sets `exact`. */
tally_status tl_filter_make_groups(struct tl_filter *filter);

#endif /* TL_MODEL_FILTER_READ_H */
