/* Erasures in a ledger that has damaged records. */
#include <tally/tally.h>

#include <string.h>

#include "check.h"
#include "store/tamper.h"
#include "support/site.h"

static const struct tally_actor dpo = { .by = "dpo", .reason = "GDPR 17" };

static void damage(const struct site *site, const char *sql)
{
    char path[SITE_PATH_SIZE];
    struct tl_tamper *tamper = NULL;
    check_path(path, sizeof(path), site->dir, "ledger.db");
    check_ok(tl_tamper_open(&tamper, path, NULL));
    check_ok(tl_tamper_run(tamper, sql, NULL, 0, NULL, NULL));
    tl_tamper_close(tamper);
}

static tally_status erase_metadata(struct tally_ledger *ledger, const char *id,
                                   struct tally_erased *erased, struct tally_error *err)
{
    static const char *const members[] = { "/metadata" };
    struct tally_erase_options options = TALLY_ERASE_OPTIONS_INIT;
    options.id = id;
    options.members = members;
    options.member_count = 1;
    return tally_erase(ledger, &options, &dpo, erased, NULL, err);
}

static void a_damaged_record_stands_in_nobody_elses_way(void **state)
{
    struct site site;
    site_init(&site, *state, NULL, 0);
    struct tally_ledger *ledger = site_open(&site);
    struct tally_receipt bad = site_append(ledger, "bad", 1111);
    (void)site_append(ledger, "good", 1111);
    damage(&site, "UPDATE record SET event = replace(event, '1111', '1112') "
                  "WHERE event LIKE '%bad%'");
    struct tally_erased erased;
    struct tally_error error = TALLY_ERROR_INIT;
    check_status(erase_metadata(ledger, "bad", &erased, &error), TALLY_ECORRUPT);
    char what[64];
    (void)snprintf(what, sizeof(what), "of record %llu", (unsigned long long)bad.seq);
    assert_non_null(strstr(error.message, what));
    assert_int_equal(erased.acts, 1); /* and so the next one finds it to be finished */
    check_ok(erase_metadata(ledger, "good", &erased, NULL));
    assert_int_equal(erased.erased, 1);
    tally_close(ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_damaged_record_stands_in_nobody_elses_way, check_mkdir,
                                        check_rmdir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
