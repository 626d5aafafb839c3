#include "cli/opt.h"

#include <string.h>

#include "check.h"
#include "fault.h"

static const struct tl_opt first[] = {
    { "limit", 'n', "N", "a number" },
    { "order", 0, "asc|desc", "one of two" },
    { "follow", 'f', NULL, "a flag" },
    { 0 },
};
static const struct tl_opt second[] = {
    { "actor-id", 0, "ID", "text" },
    { "quiet", 'q', NULL, "a flag" },
    { 0 },
};
static const struct tl_opt_set set = { { first, NULL, second } };

/* Reads a line of words. The words have to live as long as what was read. */
static tally_status read_words(struct tl_args *args, const char *const words[], bool options_only,
                               struct tally_error *err)
{
    int count = 0;
    while (words[count] != NULL) {
        count++;
    }
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): the type of main()'s argv, which has no const */
    return tl_opt_read(args, &set, count, (char *const *)(uintptr_t)words, options_only, err);
}

static void reads_names_letters_and_arguments(void **state)
{
    (void)state;
    const char *const words[] = { "--limit=5", "a", "--actor-id", "--x", "-fq",
                                  "-n7",       "-", "--",         "-n",  NULL };
    TL_CLEANUP(tl_args_release) struct tl_args args = { 0 };
    check_ok(read_words(&args, words, false, NULL));
    assert_int_equal(args.given_count, 5);
    assert_int_equal(tl_args_number(&args, "limit", 0), 7); /* the last one counts */
    assert_string_equal(tl_args_value(&args, "actor-id"), "--x");
    assert_true(tl_args_has(&args, "follow") && tl_args_has(&args, "quiet"));
    assert_false(tl_args_has(&args, "order"));
    assert_int_equal(args.rest_count, 3);
    assert_string_equal(args.rest[0], "a");
    assert_string_equal(args.rest[1], "-");
    assert_string_equal(args.rest[2], "-n");
}

static void stops_at_the_command(void **state)
{
    (void)state;
    const char *const words[] = { "-q", "find", "--nonsense", NULL };
    TL_CLEANUP(tl_args_release) struct tl_args args = { 0 };
    check_ok(read_words(&args, words, true, NULL));
    assert_int_equal(args.used, 1);
    assert_int_equal(args.rest_count, 0);
}

static void refuses_what_no_table_has(void **state)
{
    (void)state;
    static const struct {
        const char *words[3];
        const char *message; /* part of it */
    } cases[] = {
        { { "--limt", NULL }, "did you mean '--limit'" },
        { { "--lim", "5", NULL }, "unknown option '--lim'" },
        { { "--limit", NULL }, "needs a value" },
        { { "-n", NULL }, "needs a value" },
        { { "-x", NULL }, "unknown option '-x'" },
        { { "--limit=", NULL }, "takes a number" },
        { { "--limit=05", NULL }, "takes a number" },
        { { "--order=up", NULL }, "asc|desc" },
        { { "--order=as", NULL }, "asc|desc" },
        { { "--follow=1", NULL }, "takes no value" },
        { { "--", "--limit", NULL }, NULL },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(cases); i++) {
        TL_CLEANUP(tl_args_release) struct tl_args args = { 0 };
        struct tally_error err = TALLY_ERROR_INIT;
        tally_status want = cases[i].message == NULL ? TALLY_OK : TALLY_EINVAL;
        check_status(read_words(&args, cases[i].words, false, &err), want);
        if (cases[i].message != NULL) {
            assert_non_null(strstr(err.message, cases[i].message));
            assert_null(args.given);
        }
    }
}

static void knows_how_far_names_are_apart(void **state)
{
    (void)state;
    assert_int_equal(tl_name_distance("find", "find"), 0);
    assert_int_equal(tl_name_distance("fnd", "find"), 1);
    assert_int_equal(tl_name_distance("fidn", "find"), 2);
    assert_int_equal(tl_name_distance("", "find"), 4);
    assert_int_equal(tl_name_distance("export", "find"), 4);
    assert_int_equal(tl_name_distance("a name of far more than forty characters, really", "a"), 4);
}

static tally_status read_some(const void *ctx)
{
    (void)ctx;
    const char *const words[] = { "-q", "x", NULL };
    TL_CLEANUP(tl_args_release) struct tl_args args = { 0 };
    return read_words(&args, words, false, NULL);
}

static void tells_that_memory_ran_out(void **state)
{
    (void)state;
    assert_int_equal(fault_each_alloc(read_some, NULL), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_names_letters_and_arguments),
        cmocka_unit_test(stops_at_the_command),
        cmocka_unit_test(refuses_what_no_table_has),
        cmocka_unit_test(knows_how_far_names_are_apart),
        cmocka_unit_test(tells_that_memory_ran_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
