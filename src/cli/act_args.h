/*
 * cli/act_args.h - what commands that act on contents have in common: ranges, who acts and why, and a
 * second person's signature.
 */
#ifndef TL_CLI_ACT_ARGS_H
#define TL_CLI_ACT_ARGS_H

#include <tally/lifecycle.h>

#include "cli/cli.h"

#define TL_ACT_RANGES_MAX 4000u

/* Rows of an option table, for --range, --by, --reason, --ticket, --request and --approval. */
#define TL_ACT_RANGE_OPT                                                                   \
    {                                                                                      \
        "range", 0, "A-B", "these positions, both included; may be given again, ascending" \
    }
#define TL_ACT_OPTS                                                                  \
    { "by", 0, "WHO", "who is responsible; sealed for ever" },                       \
        { "reason", 0, "TEXT", "why; sealed for ever" },                             \
        { "ticket", 0, "NUMBER", "the request's number elsewhere" },                 \
        { "request", 0, "FILE", "where to write what a second person has to sign" }, \
    {                                                                                \
        "approval", 0, "FILE", "what 'tally approve' made of the request"            \
    }

/* Large: allocate. A zeroed one is empty; tl_act_args_free(). */
struct tl_act_args {
    struct tally_range ranges[TL_ACT_RANGES_MAX];
    size_t range_count;
    struct tl_query_args filters;
    struct tally_query query;
    struct tally_actor actor;
    char *approval;
};

/* Errors: TALLY_EINVAL, TALLY_ENOMEM, and those of reading the approval */
tally_status tl_act_args_read(struct tl_act_args *out, const struct tl_args *args,
                              struct tally_error *err);
void tl_act_args_free(struct tl_act_args **act); /* for TL_CLEANUP */

/* Filters and ranges as a selection, which borrows from `act`. */
struct tally_selection tl_act_args_selection(struct tl_act_args *act);

/* Tells of an act that failed; if somebody else has to sign it first, hands out what: `request`. */
enum tl_exit tl_act_fail(const struct tl_cli *cli, const struct tl_args *args, const char *request,
                         const struct tally_error *err);

/* Says that files could not be cleared of all traces yet, if so. */
void tl_act_print_left(uint64_t left);

#endif /* TL_CLI_ACT_ARGS_H */
