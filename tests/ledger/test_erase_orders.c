/* Which orders to erase are refused, and which need a second person. */
#include <tally/tally.h>

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "support/erasing.h"
#include "support/site.h"

static void only_what_was_set_apart_can_go_alone(void **state)
{
    struct site site;
    site_init(&site, *state, NULL, 0);
    struct tally_ledger *ledger = site_open(&site);
    append(ledger, FULL);
    append(ledger, "{'id':'plain','action':'a'}");
    static const char *const bad[][2] = {
        { "/outcome", "" },    { "/session_id", "" },
        { "/actor/id", "" },   { "reason", "" },
        { "/metadata/s", "" }, { "/metadata", "/metadata/s" },
        { "/actor/nmae", "" }, { "/reason", "/targets/0/type" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(bad); i++) {
        struct tally_erased erased;
        struct tally_error error;
        const struct tally_erase_options options =
            by_id("full", bad[i], bad[i][1][0] == '\0' ? 1 : 2);
        check_status(try_erase(ledger, &options, &erased, &error), TALLY_EINVAL);
        assert_true(error.message[0] != '\0');
    }
    /* What a record lacks is ignored. */
    static const char *const reason[] = { "/reason" };
    const struct tally_erase_options options = by_id("plain", reason, 1);
    struct tally_erased erased = erase(ledger, &options);
    assert_int_equal(erased.gone, 1);
    assert_int_equal(erased.acts, 0);
    tally_close(ledger);
    (void)site_verify(&site);
}

static void orders_that_make_no_sense_are_refused(void **state)
{
    struct site site;
    site_init(&site, *state, NULL, 0);
    struct tally_ledger *ledger = site_open(&site);
    append(ledger, FULL);
    static const char *const subjects[] = { "",        "u-41",       "actor:",      "actor",
                                            "target:", "target:doc", "target:doc:", "Actor:u-41" };
    struct tally_erased erased;
    struct tally_error error;
    struct tally_erase_options options = TALLY_ERASE_OPTIONS_INIT;
    check_status(try_erase(ledger, &options, &erased, &error), TALLY_EINVAL); /* everything */
    for (size_t i = 0; i < TL_ARRAY_LEN(subjects); i++) {
        options.subject = subjects[i];
        check_status(try_erase(ledger, &options, &erased, &error), TALLY_EINVAL);
    }
    options.subject = "actor:u-41";
    options.id = "full";
    check_status(try_erase(ledger, &options, &erased, &error), TALLY_EINVAL);
    options.id = NULL;
    const struct tally_range wrong[] = { { 5, 9 }, { 7, 8 } };
    options.selection.ranges = wrong;
    options.selection.range_count = 2;
    check_status(try_erase(ledger, &options, &erased, &error), TALLY_EINVAL);
    options.selection.range_count = 0;
    const struct tally_actor nobody = { .reason = "r" };
    const struct tally_actor baseless = { .by = "b", .reason = "" };
    check_status(tally_erase(ledger, &options, &nobody, &erased, NULL, NULL), TALLY_EINVAL);
    check_status(tally_erase(ledger, &options, &baseless, &erased, NULL, NULL), TALLY_EINVAL);
    options.subject = "actor:u-42";
    check_status(try_erase(ledger, &options, &erased, &error), TALLY_ENOTFOUND);
    options = by_id("nowhere", NULL, 0);
    check_status(try_erase(ledger, &options, &erased, &error), TALLY_ENOTFOUND);
    options = by_id("00000000-0000-0000-0000-000000000000", NULL, 0);
    check_status(try_erase(ledger, &options, &erased, &error), TALLY_ENOTFOUND);
    tally_close(ledger);

    ledger = site_open_read(&site);
    options = by_id("full", NULL, 0);
    check_status(try_erase(ledger, &options, &erased, &error), TALLY_EINVAL);
    options.dry_run = 1;
    check_ok(tally_erase(ledger, &options, NULL, &erased, NULL, NULL));
    assert_int_equal(erased.erased, 1);
    assert_int_equal(erased.seq, TALLY_SEQ_NONE);
    expect_state(ledger, "full", "present");
    tally_close(ledger);
}

static void add_to_trust(const struct site *site, const char *line)
{
    char path[SITE_PATH_SIZE];
    check_path(path, sizeof(path), site->dir, "keys/trust.txt");
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    assert_true(fprintf(file, "%s\n", line) > 0);
    assert_int_equal(fclose(file), 0);
}

static void with_four_eyes_the_second_signs_and_it_verifies(void **state)
{
    struct site site;
    char *secret = NULL;
    char *line = NULL;
    char *request = NULL;
    char *approval = NULL;
    site_init(&site, *state, NULL, 0);
    check_ok(tally_approver_key("anna", &secret, &line, NULL));
    add_to_trust(&site, line);
    add_to_trust(&site, "#tally approve ERASE");
    struct tally_ledger *ledger = site_open(&site);
    append(ledger, FULL);
    (void)site_append(ledger, "other", 1);
    struct tally_erase_options options = by_id("full", NULL, 0);
    struct tally_actor actor = dpo;
    struct tally_erased erased;
    check_status(tally_erase(ledger, &options, &actor, &erased, &request, NULL), TALLY_EDENIED);
    expect_state(ledger, "full", "present");
    check_ok(tally_approve(request, secret, &approval, NULL));
    actor.approval = approval;
    struct tally_erase_options other = by_id("other", NULL, 0);
    check_status(tally_erase(ledger, &other, &actor, &erased, NULL, NULL), TALLY_ECONFLICT);
    expect_state(ledger, "other", "present");
    check_ok(tally_erase(ledger, &options, &actor, &erased, NULL, NULL));
    assert_int_equal(erased.erased, 1);
    (void)site_verify_open(ledger, &site);
    tally_close(ledger);
    (void)site_verify(&site);
    tally_free(secret);
    tally_free(line);
    tally_free(request);
    tally_free(approval);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_what_was_set_apart_can_go_alone, check_mkdir,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(orders_that_make_no_sense_are_refused, check_mkdir,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(with_four_eyes_the_second_signs_and_it_verifies,
                                        check_mkdir, check_rmdir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
