#include "server/viewer_link.h"

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "fake_clock.h"
#include "fault.h"

static const uint8_t key[TL_LINK_KEY_LEN] = { 1, 2, 3 };
static const char *const tenants[] = { "acme", "b\"e\xC3\xA9" };
static const struct tally_condition conditions[] = { { "action", "invoice.*" },
                                                     { "actor_id", "" },
                                                     { "from", "-7d" } };

static const struct tl_viewer_link sample = { .id = "01020304",
                                              .by = "ab12cd34",
                                              .expires_us = FAKE_CLOCK_START + FAKE_HOUR,
                                              .origin = "https://app.example",
                                              .tenants = tenants,
                                              .tenant_count = 2,
                                              .conditions = conditions,
                                              .condition_count = 3 };

static void check_same(const struct tl_viewer_link *link, const struct tl_viewer_link *wanted)
{
    assert_string_equal(link->id, wanted->id);
    assert_string_equal(link->by, wanted->by);
    assert_string_equal(link->origin, wanted->origin);
    assert_int_equal(link->expires_us, wanted->expires_us);
    assert_int_equal(link->tenant_count, wanted->tenant_count);
    for (size_t i = 0; i < wanted->tenant_count; i++) {
        assert_string_equal(link->tenants[i], wanted->tenants[i]);
    }
    assert_non_null(link->conditions);
    assert_int_equal(link->condition_count, wanted->condition_count);
    for (size_t i = 0; i < wanted->condition_count; i++) {
        assert_string_equal(link->conditions[i].field, wanted->conditions[i].field);
        assert_string_equal(link->conditions[i].value, wanted->conditions[i].value);
    }
}

static void opens_to_what_was_sealed(void **state)
{
    (void)state;
    const struct tl_viewer_link bare = {
        .id = "00000000", .by = "ffffffff", .expires_us = FAKE_CLOCK_START, .origin = ""
    };
    const struct tl_viewer_link *const links[] = { &sample, &bare };
    for (size_t i = 0; i < TL_ARRAY_LEN(links); i++) {
        char text[TL_LINK_TEXT_SIZE];
        struct tl_viewer_link *link = NULL;
        check_ok(tl_viewer_link_seal(text, links[i], key));
        assert_int_equal(strspn(text,
                                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-_."),
                         strlen(text));
        check_ok(tl_viewer_link_open(&link, text, key));
        check_same(link, links[i]);
        tl_viewer_link_free(link);
    }
}

static void check_closed(const char *text, const uint8_t with[TL_LINK_KEY_LEN])
{
    struct tl_viewer_link *link = NULL;
    check_status(tl_viewer_link_open(&link, text, with), TALLY_ENOTFOUND);
    assert_null(link);
}

static void opens_nothing_that_was_changed(void **state)
{
    (void)state;
    static const uint8_t other[TL_LINK_KEY_LEN] = { 1, 2, 4 };
    char text[TL_LINK_TEXT_SIZE];
    char changed[TL_LINK_TEXT_SIZE + 1];
    check_ok(tl_viewer_link_seal(text, &sample, key));
    check_closed(text, other);
    for (size_t i = 0; i < strlen(text); i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(changed, text, sizeof(text));
            changed[i] = (char)((unsigned char)changed[i] ^ (1u << bit));
            check_closed(changed, key);
        }
        memcpy(changed, text, sizeof(text));
        changed[i] = '\0';
        check_closed(changed, key);
    }
    (void)snprintf(changed, sizeof(changed), "%sA", text);
    check_closed(changed, key);
    memset(changed, 'A', sizeof(changed) - 1);
    memcpy(changed, TL_LINK_PREFIX, sizeof(TL_LINK_PREFIX) - 1);
    changed[sizeof(changed) - 1] = '\0';
    check_closed(changed, key);
    check_closed("", key);
    check_closed(TL_LINK_PREFIX, key);
}

static void is_never_too_long_for_a_header(void **state)
{
    (void)state;
    char value[TL_LINK_TEXT_SIZE];
    char text[TL_LINK_TEXT_SIZE] = "as it was";
    struct tl_viewer_link *opened = NULL;
    const struct tally_condition long_one = { "text", value };
    struct tl_viewer_link link = sample;
    link.conditions = &long_one;
    link.condition_count = 1;
    size_t longest = 0;
    memset(value, 'v', sizeof(value));
    for (size_t len = sizeof(value) - 1; len > 0 && longest == 0; len--) {
        value[len] = '\0';
        tally_status status = tl_viewer_link_seal(text, &link, key);
        assert_true(status == TALLY_OK || status == TALLY_ELIMIT);
        assert_int_equal(strcmp(text, "as it was") == 0, status == TALLY_ELIMIT);
        longest = status == TALLY_OK ? len : 0;
    }
    assert_true(longest > 1000);
    assert_true(strlen(text) < TL_LINK_TEXT_SIZE);
    check_ok(tl_viewer_link_open(&opened, text, key));
    check_same(opened, &link);
    tl_viewer_link_free(opened);
}

#define LINK(version, id, time, origin, tenants, filter, more)                  \
    "{\"v\":" version ",\"id\":" id ",\"by\":\"ab12cd34\",\"expires_at\":" time \
    ",\"origin\":" origin ",\"tenants\":" tenants ",\"filter\":" filter more "}"
#define TIME   "\"2026-01-01T00:00:00Z\""
#define GOOD_I "\"01020304\""

static void reads_nothing_but_links(void **state)
{
    (void)state;
    static const char *const good = LINK("1", GOOD_I, TIME, "\"\"", "[]", "[]", "");
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "1",
        LINK("2", GOOD_I, TIME, "\"\"", "[]", "[]", ""),
        LINK("\"1\"", GOOD_I, TIME, "\"\"", "[]", "[]", ""),
        LINK("1", "\"0102030\"", TIME, "\"\"", "[]", "[]", ""),
        LINK("1", "1", TIME, "\"\"", "[]", "[]", ""),
        LINK("1", GOOD_I, "\"now\"", "\"\"", "[]", "[]", ""),
        LINK("1", GOOD_I, "null", "\"\"", "[]", "[]", ""),
        LINK("1", GOOD_I, TIME, "null", "[]", "[]", ""),
        LINK("1", GOOD_I, TIME, "\"\"", "{}", "[]", ""),
        LINK("1", GOOD_I, TIME, "\"\"", "[\"\"]", "[]", ""),
        LINK("1", GOOD_I, TIME, "\"\"", "[1]", "[]", ""),
        LINK("1", GOOD_I, TIME, "\"\"", "[]", "null", ""),
        LINK("1", GOOD_I, TIME, "\"\"", "[]", "[[]]", ""),
        LINK("1", GOOD_I, TIME, "\"\"", "[]", "[[\"a\"]]", ""),
        LINK("1", GOOD_I, TIME, "\"\"", "[]", "[[\"a\",\"b\",\"c\"]]", ""),
        LINK("1", GOOD_I, TIME, "\"\"", "[]", "[[\"a\",1]]", ""),
        LINK("1", GOOD_I, TIME, "\"\"", "[]", "[\"a\",\"b\"]", ""),
        LINK("1", GOOD_I, TIME, "\"\"", "[]", "[]", ",\"more\":1"),
    };
    struct tl_viewer_link *link = NULL;
    check_ok(tl_viewer_link_read(&link, tl_str_of(good)));
    tl_viewer_link_free(link);
    link = NULL;
    for (size_t i = 0; i < TL_ARRAY_LEN(bad); i++) {
        check_status(tl_viewer_link_read(&link, tl_str_of(bad[i])), TALLY_EREFUSED);
        assert_null(link);
    }
}

static tally_status seal_and_open(const void *ctx)
{
    (void)ctx;
    char text[TL_LINK_TEXT_SIZE];
    struct tl_viewer_link *link = NULL;
    tally_status status = tl_viewer_link_seal(text, &sample, key);
    if (status == TALLY_OK) {
        status = tl_viewer_link_open(&link, text, key);
    }
    tl_viewer_link_free(link);
    return status;
}

static void survives_running_out_of_memory(void **state)
{
    (void)state;
    assert_true(fault_each_alloc(seal_and_open, NULL) > 3);
}

/* A file of tokens, one of them, and a link that it made. */
struct fixture {
    void *dir;
    char path[300];
    struct tl_tokens *tokens;
    char id[TL_TOKEN_ID_SIZE];
    char link[TL_LINK_TEXT_SIZE];
};

static void make_link(struct fixture *fix, const char *const *of, size_t count)
{
    uint8_t link_key[TL_LINK_KEY_LEN];
    struct tl_viewer_link link = sample;
    memcpy(link.by, fix->id, sizeof(link.by));
    link.tenants = of;
    link.tenant_count = count;
    check_ok(tl_tokens_link_key(fix->tokens, link_key, NULL));
    check_ok(tl_viewer_link_seal(fix->link, &link, link_key));
}

static int begin(void **state)
{
    const struct tl_token_request reader = { .name = "Ada",
                                             .role = TL_ROLE_READER,
                                             .tenants = tenants,
                                             .tenant_count = 2,
                                             .expires_us = FAKE_CLOCK_START + FAKE_YEAR };
    char text[TL_TOKEN_TEXT_SIZE];
    struct fixture *fix = tl_alloc_array(1, sizeof(*fix));
    assert_non_null(fix);
    assert_int_equal(check_mkdir(&fix->dir), 0);
    check_path(fix->path, sizeof(fix->path), fix->dir, "tokens.json");
    fake_clock_use();
    check_ok(tl_tokens_open(&fix->tokens, fix->path, NULL));
    check_ok(tl_tokens_add(fix->tokens, &reader, text, fix->id, NULL));
    make_link(fix, tenants, 1);
    *state = fix;
    return 0;
}

static int end(void **state)
{
    struct fixture *fix = *state;
    tl_tokens_close(fix->tokens);
    fake_clock_end();
    assert_int_equal(check_rmdir(&fix->dir), 0);
    tl_free(fix);
    return 0;
}

static bool opens(const struct fixture *fix)
{
    struct tl_identity who = { 0 };
    tally_status status = tl_tokens_check(fix->tokens, fix->link, &who);
    assert_true(status == TALLY_OK || status == TALLY_ENOTFOUND);
    assert_int_equal(who.link != NULL, status == TALLY_OK);
    tl_identity_release(&who);
    return status == TALLY_OK;
}

static void is_a_reader_of_its_tenants_by_its_own_name(void **state)
{
    struct fixture *fix = *state;
    struct tl_identity who = { 0 };
    char text[TL_WHO_SIZE];
    char wanted[TL_WHO_SIZE];
    check_ok(tl_tokens_check(fix->tokens, fix->link, &who));
    assert_int_equal(who.role, TL_ROLE_READER);
    assert_int_equal(who.tenant_count, 1);
    assert_string_equal(who.tenants[0], "acme");
    assert_int_equal(who.link->condition_count, 3);
    tl_identity_text(&who, text);
    (void)snprintf(wanted, sizeof(wanted), "viewer:01020304 of token:%s (Ada)", fix->id);
    assert_string_equal(text, wanted);
    tl_identity_release(&who);
}

static void ends_at_its_time_and_with_its_token(void **state)
{
    struct fixture *fix = *state;
    fake_clock_pass(FAKE_HOUR - 1);
    assert_true(opens(fix));
    fake_clock_pass(1);
    assert_false(opens(fix));
    fake_clock_step(-FAKE_HOUR);
    assert_true(opens(fix));
    check_ok(tl_tokens_revoke(fix->tokens, fix->id, NULL));
    assert_false(opens(fix));
}

static void sees_no_more_than_its_token(void **state)
{
    struct fixture *fix = *state;
    static const char *const foreign[] = { "acme", "other" };
    make_link(fix, tenants, 2);
    assert_true(opens(fix));
    make_link(fix, foreign, 2);
    assert_false(opens(fix));
    make_link(fix, NULL, 0); /* all */
    assert_false(opens(fix));
}

static void outlives_the_process_but_not_the_key(void **state)
{
    struct fixture *fix = *state;
    uint8_t before[TL_LINK_KEY_LEN];
    uint8_t after[TL_LINK_KEY_LEN];
    check_ok(tl_tokens_link_key(fix->tokens, before, NULL));
    tl_tokens_close(fix->tokens);
    check_ok(tl_tokens_open(&fix->tokens, fix->path, NULL));
    check_ok(tl_tokens_link_key(fix->tokens, after, NULL));
    assert_memory_equal(before, after, sizeof(before));
    assert_true(opens(fix));
    tl_tokens_close(fix->tokens);
    assert_int_equal(remove(fix->path), 0);
    check_ok(tl_tokens_open(&fix->tokens, fix->path, NULL));
    assert_false(opens(fix));
    check_ok(tl_tokens_link_key(fix->tokens, after, NULL));
    assert_memory_not_equal(before, after, sizeof(before));
}

static tally_status look(const void *ctx)
{
    const struct fixture *fix = ctx;
    struct tl_identity who = { 0 };
    tally_status status = tl_tokens_check(fix->tokens, fix->link, &who);
    tl_identity_release(&who);
    return status;
}

static void says_nobody_without_memory(void **state)
{
    assert_true(fault_each_alloc(look, *state) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_to_what_was_sealed),
        cmocka_unit_test(opens_nothing_that_was_changed),
        cmocka_unit_test(is_never_too_long_for_a_header),
        cmocka_unit_test(reads_nothing_but_links),
        cmocka_unit_test(survives_running_out_of_memory),
        cmocka_unit_test_setup_teardown(is_a_reader_of_its_tenants_by_its_own_name, begin, end),
        cmocka_unit_test_setup_teardown(ends_at_its_time_and_with_its_token, begin, end),
        cmocka_unit_test_setup_teardown(sees_no_more_than_its_token, begin, end),
        cmocka_unit_test_setup_teardown(outlives_the_process_but_not_the_key, begin, end),
        cmocka_unit_test_setup_teardown(says_nobody_without_memory, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
