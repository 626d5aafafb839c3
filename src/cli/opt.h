/*
 * cli/opt.h - command lines read by tables, from which help and completion are printed as well.
 *
 * Long names are never abbreviated; `--name=value` and `--name value`; letters stand alone, `-n 5`
 * or `-n5`; `--` ends the options, and `-` is an argument.
 */
#ifndef TL_CLI_OPT_H
#define TL_CLI_OPT_H

#include "base/base.h"

/* One option. Tables of them end with a row whose name is NULL. Immutable. */
struct tl_opt {
    const char *name; /* "actor-id" */
    char letter;      /* 'n', or 0 */
    /* What the value is called, NULL for a flag. "N" takes a decimal number alone, and a name with
     * bars, "asc|desc", takes one of these words alone. */
    const char *value;
    const char *help; /* one line */
};

/* An option as it was given. */
struct tl_given {
    const struct tl_opt *opt;
    const char *value; /* NULL for a flag */
};

/* A command line that was read. A zeroed one is empty; tl_args_release(). Borrows from argv. */
struct tl_args {
    struct tl_given *given;
    size_t given_count;
    const char **rest; /* what is no option, in order */
    size_t rest_count;
    size_t used; /* how many of argv were read: all, or up to the first that is no option */
};

#define TL_OPT_TABLES_MAX 4u

/* Several tables read as one; NULL entries are empty. */
struct tl_opt_set {
    const struct tl_opt *tables[TL_OPT_TABLES_MAX];
};

/*
 * Reads argv[0..argc). With `options_only` it stops at the first argument that is no option.
 *
 * Errors: TALLY_EINVAL, err says what is wrong and names the nearest option; TALLY_ENOMEM
 */
tally_status tl_opt_read(struct tl_args *args, const struct tl_opt_set *set, int argc,
                         char *const argv[], bool options_only, struct tally_error *err);
void tl_args_release(struct tl_args *args);

/* The value of an option; the last one if it was given several times; NULL if it was not. */
const char *tl_args_value(const struct tl_args *args, const char *name);
bool tl_args_has(const struct tl_args *args, const char *name);

/* The number given with an option whose value is "N", or `otherwise`. */
uint64_t tl_args_number(const struct tl_args *args, const char *name, uint64_t otherwise);

/* Whether the value of `opt` is one of the words in opt->value. */
bool tl_opt_has_words(const struct tl_opt *opt);

/*
 * How far two names are apart: characters to add, remove or replace. Anything above 3, and names
 * of more than 40 characters, is just "far": 4.
 */
unsigned tl_name_distance(const char *a, const char *b);

#endif /* TL_CLI_OPT_H */
