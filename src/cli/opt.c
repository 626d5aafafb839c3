#include "cli/opt.h"

#include <string.h>

#include "base/parse.h"
#include "base/str.h"

#define NAME_MAX_LEN 40u
#define FAR          4u

unsigned tl_name_distance(const char *a, const char *b)
{
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    if (a_len > NAME_MAX_LEN || b_len > NAME_MAX_LEN) {
        return FAR;
    }
    unsigned row[NAME_MAX_LEN + 1];
    for (size_t j = 0; j <= b_len; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned replaced = diagonal + (a[i - 1] != b[j - 1]);
            unsigned moved = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = replaced < moved ? replaced : moved;
        }
    }
    return row[b_len] < FAR ? row[b_len] : FAR;
}

bool tl_opt_has_words(const struct tl_opt *opt)
{
    return opt->value != NULL && strchr(opt->value, '|') != NULL;
}

/* Calls for each option of a set go through this: it returns the index-th one, or NULL. */
static const struct tl_opt *nth(const struct tl_opt_set *set, size_t index)
{
    for (size_t t = 0; t < TL_OPT_TABLES_MAX; t++) {
        for (const struct tl_opt *opt = set->tables[t]; opt != NULL && opt->name != NULL; opt++) {
            if (index == 0) {
                return opt;
            }
            index--;
        }
    }
    return NULL;
}

static const struct tl_opt *find_name(const struct tl_opt_set *set, struct tl_str name)
{
    const struct tl_opt *opt = NULL;
    for (size_t i = 0; (opt = nth(set, i)) != NULL; i++) {
        if (tl_str_is(name, opt->name)) {
            return opt;
        }
    }
    return NULL;
}

static const struct tl_opt *find_letter(const struct tl_opt_set *set, char letter)
{
    const struct tl_opt *opt = NULL;
    for (size_t i = 0; (opt = nth(set, i)) != NULL; i++) {
        if (opt->letter != 0 && opt->letter == letter) {
            return opt;
        }
    }
    return NULL;
}

static tally_status unknown(const struct tl_opt_set *set, struct tl_str name,
                            struct tally_error *err)
{
    char given[NAME_MAX_LEN + 1] = "";
    const struct tl_opt *nearest = NULL;
    unsigned best = FAR;
    if (name.len <= NAME_MAX_LEN) {
        memcpy(given, name.text, name.len);
        const struct tl_opt *opt = NULL;
        for (size_t i = 0; (opt = nth(set, i)) != NULL; i++) {
            unsigned distance = tl_name_distance(given, opt->name);
            if (distance < best) {
                best = distance;
                nearest = opt;
            }
        }
    }
    int len = name.len <= NAME_MAX_LEN ? (int)name.len : (int)NAME_MAX_LEN;
    if (nearest == NULL) {
        return tl_fail(err, TALLY_EINVAL, "unknown option '--%.*s'", len, name.text);
    }
    return tl_fail(err, TALLY_EINVAL, "unknown option '--%.*s'; did you mean '--%s'?", len,
                   name.text, nearest->name);
}

static bool is_word_of(const char *words, struct tl_str value)
{
    for (const char *at = words;;) {
        const char *bar = strchr(at, '|');
        size_t len = bar == NULL ? strlen(at) : (size_t)(bar - at);
        if (tl_str_equal(value, (struct tl_str){ at, len })) {
            return true;
        }
        if (bar == NULL) {
            return false;
        }
        at = bar + 1;
    }
}

static tally_status check_value(const struct tl_opt *opt, const char *value,
                                struct tally_error *err)
{
    uint64_t number = 0;
    if (strcmp(opt->value, "N") == 0 &&
        tl_parse_u64(value, strlen(value), UINT64_MAX, &number) != TALLY_OK) {
        return tl_fail(err, TALLY_EINVAL, "option '--%s' takes a number", opt->name);
    }
    if (tl_opt_has_words(opt) && !is_word_of(opt->value, tl_str_of(value))) {
        return tl_fail(err, TALLY_EINVAL, "option '--%s' takes one of %s", opt->name, opt->value);
    }
    return TALLY_OK;
}

static tally_status add(struct tl_args *args, const struct tl_opt *opt, const char *value,
                        struct tally_error *err)
{
    if (value != NULL) {
        TL_TRY(check_value(opt, value, err));
    }
    args->given[args->given_count] = (struct tl_given){ .opt = opt, .value = value };
    args->given_count++;
    return TALLY_OK;
}

/* Reads argv[*at], which begins with "--", and its value; moves *at behind them. */
static tally_status read_long(struct tl_args *args, const struct tl_opt_set *set, int argc,
                              char *const argv[], int *at, struct tally_error *err)
{
    const char *text = argv[*at] + 2;
    const char *equals = strchr(text, '=');
    struct tl_str name = { text, equals == NULL ? strlen(text) : (size_t)(equals - text) };
    const struct tl_opt *opt = find_name(set, name);
    if (opt == NULL) {
        return unknown(set, name, err);
    }
    (*at)++;
    if (opt->value == NULL) {
        if (equals != NULL) {
            return tl_fail(err, TALLY_EINVAL, "option '--%s' takes no value", opt->name);
        }
        return add(args, opt, NULL, err);
    }
    if (equals != NULL) {
        return add(args, opt, equals + 1, err);
    }
    if (*at == argc) {
        return tl_fail(err, TALLY_EINVAL, "option '--%s' needs a value", opt->name);
    }
    return add(args, opt, argv[(*at)++], err);
}

/* The same for "-n 5", "-n5" and "-qv". */
static tally_status read_letters(struct tl_args *args, const struct tl_opt_set *set, int argc,
                                 char *const argv[], int *at, struct tally_error *err)
{
    const char *text = argv[*at] + 1;
    (*at)++;
    for (; *text != '\0'; text++) {
        const struct tl_opt *opt = find_letter(set, *text);
        if (opt == NULL) {
            return tl_fail(err, TALLY_EINVAL, "unknown option '-%c'", *text);
        }
        if (opt->value != NULL && text[1] == '\0' && *at == argc) {
            return tl_fail(err, TALLY_EINVAL, "option '-%c' needs a value", *text);
        }
        if (opt->value != NULL) {
            return add(args, opt, text[1] != '\0' ? text + 1 : argv[(*at)++], err);
        }
        TL_TRY(add(args, opt, NULL, err));
    }
    return TALLY_OK;
}

static bool is_option(const char *text)
{
    return text[0] == '-' && text[1] != '\0';
}

static tally_status read_all(struct tl_args *args, const struct tl_opt_set *set, int argc,
                             char *const argv[], bool options_only, struct tally_error *err)
{
    bool ended = false;
    int at = 0;
    while (at < argc && (!options_only || (!ended && is_option(argv[at])))) {
        tally_status status = TALLY_OK;
        if (ended || !is_option(argv[at])) {
            args->rest[args->rest_count] = argv[at];
            args->rest_count++;
            at++;
        } else if (strcmp(argv[at], "--") == 0) {
            ended = true;
            at++;
        } else if (argv[at][1] == '-') {
            status = read_long(args, set, argc, argv, &at, err);
        } else {
            status = read_letters(args, set, argc, argv, &at, err);
        }
        TL_TRY(status);
    }
    args->used = (size_t)at;
    return TALLY_OK;
}

tally_status tl_opt_read(struct tl_args *args, const struct tl_opt_set *set, int argc,
                         char *const argv[], bool options_only, struct tally_error *err)
{
    tl_assert(argc >= 0);
    /* A letter is an option of its own, so that there may be more options than arguments. */
    size_t given_max = 0;
    for (int i = 0; i < argc; i++) {
        given_max += strlen(argv[i]) + 1;
    }
    args->given = tl_alloc_array(given_max, sizeof(args->given[0]));
    args->rest = tl_alloc_array((size_t)argc, sizeof(args->rest[0]));
    if (args->given == NULL || args->rest == NULL) {
        tl_args_release(args);
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    tally_status status = read_all(args, set, argc, argv, options_only, err);
    if (status != TALLY_OK) {
        tl_args_release(args);
    }
    return status;
}

void tl_args_release(struct tl_args *args)
{
    tl_free(args->given);
    tl_free(args->rest);
    *args = (struct tl_args){ 0 };
}

static const struct tl_given *last_given(const struct tl_args *args, const char *name)
{
    for (size_t i = args->given_count; i > 0; i--) {
        if (strcmp(args->given[i - 1].opt->name, name) == 0) {
            return &args->given[i - 1];
        }
    }
    return NULL;
}

const char *tl_args_value(const struct tl_args *args, const char *name)
{
    const struct tl_given *given = last_given(args, name);
    return given == NULL ? NULL : given->value;
}

bool tl_args_has(const struct tl_args *args, const char *name)
{
    return last_given(args, name) != NULL;
}

uint64_t tl_args_number(const struct tl_args *args, const char *name, uint64_t otherwise)
{
    const char *value = tl_args_value(args, name);
    uint64_t number = otherwise;
    if (value != NULL) {
        tl_assert(tl_parse_u64(value, strlen(value), UINT64_MAX, &number) == TALLY_OK);
    }
    return number;
}
