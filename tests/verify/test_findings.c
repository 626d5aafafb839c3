#include "verify/findings.h"

#include <string.h>

#include "check.h"

static int stop(void *ctx, const struct tally_finding *finding)
{
    (void)ctx;
    return finding->weight == TALLY_WEIGHT_TAMPERED;
}

static void counts_beyond_what_it_keeps(void **state)
{
    (void)state;
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    static struct tl_findings findings;
    check_ok(tl_findings_init(&findings, &options, NULL));
    for (uint64_t seq = 0; seq < 5000; seq++) {
        tl_found(&findings, TL_PURGED, seq, "gone");
        tl_found(&findings, TL_CONTENT_MODIFIED, seq, "not what was sealed");
    }
    struct tally_report *report = tl_findings_take(&findings);
    assert_int_equal(report->tampered, 5000);
    assert_int_equal(report->notes, 5000);
    assert_int_equal(report->finding_count, TALLY_REPORT_FINDINGS_MAX);
    assert_int_equal(report->verdict, TALLY_VERDICT_TAMPERED);
    tally_report_free(report);
}

static void a_callback_stops_it_and_nothing_is_verified_then(void **state)
{
    (void)state;
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    options.on_finding = stop;
    static struct tl_findings findings;
    check_ok(tl_findings_init(&findings, &options, NULL));
    findings.report->size = 1;
    findings.report->expected = 1;
    findings.report->checked = 1;
    tl_found(&findings, TL_FORK, TALLY_SEQ_NONE, "two roots");
    assert_int_equal(findings.report->canceled, 1);
    findings.report->tampered = 0;
    struct tally_report *report = tl_findings_take(&findings);
    assert_int_equal(report->verdict, TALLY_VERDICT_UNVERIFIABLE);
    tally_report_free(report);
}

static bool is_three(void *ctx, uint64_t seq)
{
    (void)ctx;
    return seq == 3;
}

static void drops_what_is_explained_once_it_is_let_go(void **state)
{
    (void)state;
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    static struct tl_findings findings;
    check_ok(tl_findings_init(&findings, &options, NULL));
    tl_findings_hold_back(&findings);
    tl_found(&findings, TL_LEAF_INVALID, 3, "a field is wrong");
    tl_found(&findings, TL_LEAF_INVALID, 4, "a field is wrong");
    assert_int_equal(findings.report->tampered, 0);
    tl_findings_let_go(&findings, is_three, NULL);
    assert_int_equal(findings.report->tampered, 1);
    assert_true(tl_findings_has(&findings, TL_LEAF_INVALID, 4));
    assert_false(tl_findings_has(&findings, TL_LEAF_INVALID, 3));
    assert_true(tl_findings_tampered_in(&findings, 0, 4));
    assert_false(tl_findings_tampered_in(&findings, 5, 9));
    tl_findings_release(&findings);
}

static void knows_all_codes_by_name(void **state)
{
    (void)state;
    assert_int_equal(tl_code_named("CHECKPOINT_MALFORMED"), TL_CHECKPOINT_MALFORMED);
    assert_int_equal(tl_code_named("CHECK_FAILED"), TL_CHECK_FAILED);
    assert_int_equal(tl_code_named("NO_SUCH_CODE"), TL_CODE_COUNT);
    assert_string_equal(tally_verdict_name(TALLY_VERDICT_UNVERIFIABLE), "UNVERIFIABLE");
    assert_string_equal(tally_weight_name(TALLY_WEIGHT_TAMPERED), "tampered");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_beyond_what_it_keeps),
        cmocka_unit_test(a_callback_stops_it_and_nothing_is_verified_then),
        cmocka_unit_test(drops_what_is_explained_once_it_is_let_go),
        cmocka_unit_test(knows_all_codes_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
