/* What a second person must sign is handed out, signed, and taken only as it was signed. */
#include <tally/tally.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "check.h"
#include "ledger/approve.h"
#include "support/fault.h"
#include "support/site.h"

#define ORIGIN "test.example/site"
#define LINE   ((size_t)93) /* of an approval */

static const struct tl_str whole[] = { { "", 0 } };
static const struct tl_range some[] = { { 3, 3 }, { 5, 7 } };
static const struct tl_range others[] = { { 4, 4 } };

/* A ledger whose trust file names one approver, and asks for approvals of what `kinds` says. */
struct fixture {
    struct site site;
    struct tally_ledger *ledger;
    char *secret;
    char *line;
};

static void add_to_trust(const struct fixture *fixture, const char *line)
{
    char path[SITE_PATH_SIZE];
    check_path(path, sizeof(path), fixture->site.dir, "keys/trust.txt");
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    assert_true(fprintf(file, "%s\n", line) > 0);
    assert_int_equal(fclose(file), 0);
}

static void begin(struct fixture *fixture, void **state, const char *kinds)
{
    *fixture = (struct fixture){ .ledger = NULL };
    site_init(&fixture->site, *state, NULL, 0);
    check_ok(tally_approver_key("ops.example/anna", &fixture->secret, &fixture->line, NULL));
    add_to_trust(fixture, fixture->line);
    if (kinds != NULL) {
        add_to_trust(fixture, kinds);
    }
    fixture->ledger = site_open(&fixture->site);
}

static void end(struct fixture *fixture)
{
    tally_close(fixture->ledger);
    tally_free(fixture->secret);
    tally_free(fixture->line);
}

static struct tl_erase_item item_of(const struct tl_range *seqs, uint32_t count)
{
    return (struct tl_erase_item){ whole, 1, seqs, count };
}

static struct tl_control erasure(const struct tl_erase_item *item)
{
    return (struct tl_control){ .kind = TL_LEAF_ERASE,
                                .by = TL_STR("dpo"),
                                .items = item,
                                .item_count = 1,
                                .basis = TL_STR("GDPR 17"),
                                .ticket = TL_STR("DSR-9") };
}

static tally_status try(struct fixture *fixture, struct tl_control *control, const char *approval,
                        bool always, char **request_out)
{
    const struct tally_actor actor = { .by = "dpo", .reason = "GDPR 17", .approval = approval };
    return tl_act_approve(fixture->ledger, control, &actor, always, request_out, NULL);
}

static void nothing_is_asked_for_where_the_trust_file_does_not(void **state)
{
    struct fixture fixture;
    begin(&fixture, state, "#tally approve PURGE KEY");
    const struct tl_erase_item item = item_of(some, 2);
    struct tl_control control = erasure(&item);
    char *request = NULL;
    check_ok(try(&fixture, &control, NULL, false, &request));
    assert_null(request);
    assert_null(control.approval.text);
    end(&fixture);
}

static void what_was_signed_is_done_and_nothing_else(void **state)
{
    struct fixture fixture;
    begin(&fixture, state, "#tally approve ERASE");
    const struct tl_erase_item item = item_of(some, 2);
    const struct tl_erase_item other = item_of(others, 1);
    struct tl_control control = erasure(&item);
    struct tl_control changed = erasure(&other);
    char *request = NULL;
    char *approval = NULL;
    check_status(try(&fixture, &control, NULL, false, NULL), TALLY_EDENIED);
    check_status(try(&fixture, &control, NULL, false, &request), TALLY_EDENIED);
    assert_null(control.approval.text);
    assert_non_null(strstr(request, "\"origin\": \"" ORIGIN "\""));
    assert_non_null(strstr(request,
                           "{\"basis\":\"GDPR 17\",\"by\":\"dpo\",\"items\":[{\"pointers\":"
                           "[\"\"],\"seqs\":[3,5,6,7]}],\"ticket\":\"DSR-9\"}"));
    check_ok(tally_approve(request, fixture.secret, &approval, NULL));
    check_ok(try(&fixture, &control, approval, false, NULL));
    assert_int_equal(control.approval.len, 92);
    assert_memory_equal(control.approval.text, approval, 92);

    char *again = NULL;
    check_status(try(&fixture, &changed, approval, false, &again), TALLY_ECONFLICT);
    assert_null(changed.approval.text);
    assert_non_null(strstr(again, "\"seqs\":[4]"));
    struct tl_control blamed = erasure(&item);
    blamed.by = TL_STR("somebody else");
    check_status(try(&fixture, &blamed, approval, false, NULL), TALLY_ECONFLICT);
    tally_free(request);
    tally_free(again);
    tally_free(approval);
    end(&fixture);
}

static void every_bit_of_an_approval_counts(void **state)
{
    struct fixture fixture;
    begin(&fixture, state, "#tally approve ERASE");
    const struct tl_erase_item item = item_of(some, 2);
    struct tl_control control = erasure(&item);
    char *request = NULL;
    char *approval = NULL;
    check_status(try(&fixture, &control, NULL, false, &request), TALLY_EDENIED);
    check_ok(tally_approve(request, fixture.secret, &approval, NULL));
    for (size_t i = 0; i < 92; i++) {
        char before = approval[i];
        approval[i] = before == 'A' ? 'B' : 'A';
        assert_true(try(&fixture, &control, approval, false, NULL) != TALLY_OK);
        assert_null(control.approval.text);
        approval[i] = before;
    }
    approval[91] = '\0';
    check_status(try(&fixture, &control, approval, false, NULL), TALLY_EINVAL);
    check_status(try(&fixture, &control, "", false, NULL), TALLY_EINVAL);
    check_status(try(&fixture, &control, " \n", false, NULL), TALLY_EINVAL);
    tally_free(request);
    tally_free(approval);
    end(&fixture);
}

static void who_is_not_named_approves_nothing(void **state)
{
    struct fixture fixture;
    begin(&fixture, state, "#tally approve ERASE");
    const struct tl_erase_item item = item_of(some, 2);
    struct tl_control control = erasure(&item);
    char *secret = NULL;
    char *line = NULL;
    char *request = NULL;
    char *approval = NULL;
    check_ok(tally_approver_key("ops.example/anna", &secret, &line, NULL));
    check_status(try(&fixture, &control, NULL, false, &request), TALLY_EDENIED);
    check_ok(tally_approve(request, secret, &approval, NULL));
    check_status(try(&fixture, &control, approval, false, NULL), TALLY_EDENIED);
    /* Nor where nothing is asked for: sealed, it would be a finding. */
    struct tl_control hold = { .kind = TL_LEAF_RELEASE, .hold = TL_STR("case-1") };
    check_status(try(&fixture, &hold, approval, false, NULL), TALLY_EDENIED);
    check_ok(try(&fixture, &hold, NULL, false, NULL));
    add_to_trust(&fixture, line);
    check_ok(try(&fixture, &control, approval, false, NULL));
    check_status(try(&fixture, &hold, approval, false, NULL), TALLY_ECONFLICT);
    tally_free(secret);
    tally_free(line);
    tally_free(request);
    tally_free(approval);
    end(&fixture);
}

static void acts_that_belong_together_are_one_request(void **state)
{
    struct fixture fixture;
    begin(&fixture, state, "#tally approve ERASE");
    const struct tl_erase_item first = item_of(some, 2);
    const struct tl_erase_item second = item_of(others, 1);
    struct tl_control controls[2] = { erasure(&first), erasure(&second) };
    struct tally_actor actor = { .by = "dpo", .reason = "GDPR 17" };
    char *request = NULL;
    char *approval = NULL;
    check_status(tl_acts_approve(fixture.ledger, controls, 2, &actor, false, &request, NULL),
                 TALLY_EDENIED);
    check_ok(tally_approve(request, fixture.secret, &approval, NULL));
    assert_int_equal(strlen(approval), 2 * LINE);
    char turned[2 * LINE + 1];
    memcpy(turned, approval + LINE, LINE);
    memcpy(turned + LINE, approval, LINE);
    turned[2 * LINE] = '\0';
    actor.approval = turned;
    check_ok(tl_acts_approve(fixture.ledger, controls, 2, &actor, false, NULL, NULL));
    assert_ptr_equal(controls[0].approval.text, turned + LINE);
    assert_ptr_equal(controls[1].approval.text, turned);
    turned[LINE] = '\0'; /* one of the two is not enough */
    check_status(tl_acts_approve(fixture.ledger, controls, 2, &actor, false, NULL, NULL),
                 TALLY_ECONFLICT);
    tally_free(request);
    tally_free(approval);
    end(&fixture);
}

static void early_purges_need_an_approver_to_be_named(void **state)
{
    struct fixture fixture = { .ledger = NULL };
    site_init(&fixture.site, *state, NULL, 0);
    fixture.ledger = site_open(&fixture.site);
    const struct tally_actor actor = { .by = "ops" };
    struct tl_control control = {
        .kind = TL_LEAF_PURGE, .override_days = true, .count = 1, .ranges = others, .range_count = 1
    };
    struct tally_error error = TALLY_ERROR_INIT;
    char *request = NULL;
    check_status(tl_act_approve(fixture.ledger, &control, &actor, true, &request, &error),
                 TALLY_EDENIED);
    assert_non_null(strstr(error.message, "#tally approver"));
    assert_non_null(strstr(request, "PURGE"));
    tally_free(request);

    struct tally_ledger *memory = site_memory("memory:1000");
    check_status(tl_act_approve(memory, &control, &actor, true, NULL, NULL), TALLY_EDENIED);
    check_ok(tl_act_approve(memory, &control, &actor, false, NULL, NULL));
    tally_close(memory);
    end(&fixture);
}

static void without_its_trust_file_nothing_is_done(void **state)
{
    struct fixture fixture;
    begin(&fixture, state, NULL);
    char path[SITE_PATH_SIZE];
    check_path(path, sizeof(path), fixture.site.dir, "keys/trust.txt");
    assert_int_equal(remove(path), 0);
    const struct tl_erase_item item = item_of(some, 2);
    struct tl_control control = erasure(&item);
    check_status(try(&fixture, &control, NULL, false, NULL), TALLY_ENOTFOUND);
    end(&fixture);
}

static bool has_no_settings(const struct fixture *fixture)
{
    char path[SITE_PATH_SIZE];
    check_path(path, sizeof(path), fixture->site.dir, "tally.yaml");
    return access(path, F_OK) != 0;
}

/* Sealed without the signature that is asked for, it would be a finding for ever. */
static void no_policy_is_sealed_that_nobody_can_approve(void **state)
{
    struct fixture fixture;
    begin(&fixture, state, "#tally approve POLICY");
    const struct tally_actor actor = { .by = "ops" };
    const struct tally_setting setting = { .key = "retention.default_days", .value = "77" };
    check_status(tally_retention_set(fixture.ledger, &setting, 1, &actor, NULL), TALLY_ENOTSUP);
    assert_true(has_no_settings(&fixture));
    char path[SITE_PATH_SIZE];
    check_path(path, sizeof(path), fixture.site.dir, "tally.yaml");
    check_ok(tl_io_replace_file(path, "retention.default_days: 77\n", 27, 0644, NULL));
    const struct tl_control wish = { .kind = TL_LEAF_POLICY, .by = TL_STR("ops") };
    uint64_t seq = 0;
    check_status(tl_act_seal(fixture.ledger, &wish, TALLY_SEQ_NONE, &seq, NULL), TALLY_ENOTSUP);
    tally_close(fixture.ledger);
    struct tally_error error = TALLY_ERROR_INIT;
    check_status(site_try_open(&fixture.site, 1, &fixture.ledger, &error), TALLY_ENOTSUP);
    assert_non_null(strstr(error.message, "POLICY"));
    assert_int_equal(unlink(path), 0);
    fixture.ledger = site_open(&fixture.site);
    assert_int_equal(site_count_kind(fixture.ledger, "policy", NULL, 0), 0);
    (void)site_append(fixture.ledger, "a", 1);
    end(&fixture);
    (void)site_verify(&fixture.site);
}

static void note_status(void *ctx, const struct tally_anchored *anchored)
{
    tally_status *status = ctx;
    *status = anchored->status;
}

static void no_anchor_is_sealed_that_nobody_can_approve(void **state)
{
    static const char *const places[] = { "rfc3161+http://127.0.0.1:1/", "git:/nowhere" };
    struct fixture fixture;
    begin(&fixture, state, "#tally approve ANCHOR");
    for (size_t i = 0; i < TL_ARRAY_LEN(places); i++) {
        tally_status status = TALLY_OK;
        check_status(tally_anchor(fixture.ledger, &places[i], 1, "ops", note_status, &status, NULL),
                     TALLY_EIO);
        assert_int_equal(status, TALLY_ENOTSUP);
    }
    end(&fixture);
    (void)site_verify(&fixture.site);
}

#define ACT(kind, payload) "{\"kind\":\"" kind "\",\"payload\":" payload "}"
#define REQUEST(acts)      "{\"tally_request\":1,\"origin\":\"a.example/x\",\"acts\":[" acts "]}"
#define GOOD               ACT("RELEASE", "{\"hold\":\"case-1\"}")

static void only_requests_are_signed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{}",
        "[1]",
        REQUEST(""),
        REQUEST("1"),
        REQUEST(ACT("ENTRY", "{}")),
        REQUEST(ACT("RELEASE", "{}")),
        REQUEST(ACT("RELEASE", "[]")),
        REQUEST(ACT("RELEASE", "{\"hold\":\"case-1\",\"more\":1}")),
        REQUEST(ACT("RELEASE", "{\"approval\":\"x\",\"hold\":\"case-1\"}")),
        REQUEST(ACT("release", "{\"hold\":\"case-1\"}")),
        REQUEST("{\"kind\":\"RELEASE\",\"payload\":{\"hold\":\"case-1\"},\"note\":1}"),
        "{\"tally_request\":2,\"origin\":\"a.example/x\",\"acts\":[" GOOD "]}",
        "{\"tally_request\":1,\"origin\":\"a b\",\"acts\":[" GOOD "]}",
        "{\"tally_request\":1,\"origin\":\"a.example/x\",\"acts\":{}}",
        "{\"tally_request\":1,\"origin\":\"a.example/x\",\"acts\":[" GOOD "],\"more\":1}",
        REQUEST(GOOD) "x",
    };
    char *secret = NULL;
    char *line = NULL;
    char *approval = NULL;
    check_ok(tally_approver_key("anna", &secret, &line, NULL));
    for (size_t i = 0; i < TL_ARRAY_LEN(bad); i++) {
        struct tally_error error = TALLY_ERROR_INIT;
        check_status(tally_approve(bad[i], secret, &approval, &error), TALLY_EINVAL);
        assert_true(error.message[0] != '\0');
    }
    assert_null(approval);
    check_ok(tally_approve(REQUEST(GOOD "," GOOD), secret, &approval, NULL));
    assert_int_equal(strlen(approval), 2 * LINE);
    tally_free(approval);
    tally_free(secret);
    tally_free(line);
}

static void only_whole_keys_sign(void **state)
{
    (void)state;
    char *secret = NULL;
    char *line = NULL;
    char *approval = NULL;
    check_status(tally_approver_key("", &secret, &line, NULL), TALLY_EINVAL);
    check_status(tally_approver_key("a+b", &secret, &line, NULL), TALLY_EINVAL);
    check_ok(tally_approver_key("anna", &secret, &line, NULL));
    assert_memory_equal(line, "#tally approver anna+", 21);
    assert_memory_equal(secret, "PRIVATE+KEY+anna+", 17);
    for (size_t i = 0; secret[i] != '\n'; i++) {
        char before = secret[i];
        secret[i] = before == 'B' ? 'C' : 'B';
        check_status(tally_approve(REQUEST(GOOD), secret, &approval, NULL), TALLY_EINVAL);
        secret[i] = '\0';
        check_status(tally_approve(REQUEST(GOOD), secret, &approval, NULL), TALLY_EINVAL);
        secret[i] = before;
    }
    check_ok(tally_approve(REQUEST(GOOD), secret, &approval, NULL));
    tally_free(approval);
    tally_free(secret);
    tally_free(line);
}

static tally_status approve_all(const void *ctx)
{
    const struct fixture *fixture = ctx;
    const struct tally_actor actor = { .by = "dpo" };
    const struct tl_erase_item item = item_of(some, 2);
    struct tl_control control = erasure(&item);
    char *request = NULL;
    char *approval = NULL;
    tally_status status = tl_act_approve(fixture->ledger, &control, &actor, false, &request, NULL);
    if (status == TALLY_EDENIED) {
        status = tally_approve(request, fixture->secret, &approval, NULL);
    }
    if (status == TALLY_OK) {
        const struct tally_actor approved = { .by = "dpo", .approval = approval };
        status = tl_act_approve(fixture->ledger, &control, &approved, false, NULL, NULL);
    }
    tally_free(request);
    tally_free(approval);
    return status;
}

static tally_status make_key(const void *ctx)
{
    (void)ctx;
    char *secret = NULL;
    char *line = NULL;
    TL_TRY(tally_approver_key("anna", &secret, &line, NULL));
    tally_free(secret);
    tally_free(line);
    return TALLY_OK;
}

static void want_of_memory_is_told(void **state)
{
    struct fixture fixture;
    begin(&fixture, state, "#tally approve ERASE");
    tally_close(fixture.ledger); /* its threads allocate too */
    fixture.ledger = site_open_read(&fixture.site);
    assert_true(fault_each_alloc(approve_all, &fixture) > 5);
    assert_true(fault_each_alloc(make_key, NULL) >= 2);
    end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_asked_for_where_the_trust_file_does_not,
                                        check_mkdir, check_rmdir),
        cmocka_unit_test_setup_teardown(what_was_signed_is_done_and_nothing_else, check_mkdir,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(every_bit_of_an_approval_counts, check_mkdir, check_rmdir),
        cmocka_unit_test_setup_teardown(who_is_not_named_approves_nothing, check_mkdir,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(acts_that_belong_together_are_one_request, check_mkdir,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(early_purges_need_an_approver_to_be_named, check_mkdir,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(without_its_trust_file_nothing_is_done, check_mkdir,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(no_policy_is_sealed_that_nobody_can_approve, check_mkdir,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(no_anchor_is_sealed_that_nobody_can_approve, check_mkdir,
                                        check_rmdir),
        cmocka_unit_test(only_requests_are_signed),
        cmocka_unit_test(only_whole_keys_sign),
        cmocka_unit_test_setup_teardown(want_of_memory_is_told, check_mkdir, check_rmdir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
