#include "server/tokens.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "check.h"
#include "fake_clock.h"
#include "fault.h"
#include "server/token_list.h"

static const char *const tenants[] = { "acme", "b\"e\xC3\xA9" };

static const struct tl_token_request reader = {
    .name = "Ada", .role = TL_ROLE_READER, .tenants = tenants, .tenant_count = 2
};
static const struct tl_token_request admin = { .name = "Grace", .role = TL_ROLE_ADMIN };

struct fixture {
    void *dir;
    char path[300];
    struct tl_tokens *tokens;
};

static int begin(void **state)
{
    struct fixture *fix = tl_alloc_array(1, sizeof(*fix));
    assert_non_null(fix);
    assert_int_equal(check_mkdir(&fix->dir), 0);
    check_path(fix->path, sizeof(fix->path), fix->dir, "tokens.json");
    fake_clock_use();
    check_ok(tl_tokens_open(&fix->tokens, fix->path, NULL));
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

/* Whether the text is good for anything. */
static bool opens(struct tl_tokens *tokens, const char *text)
{
    struct tl_identity who = { 0 };
    tally_status status = tl_tokens_check(tokens, text, &who);
    assert_true(status == TALLY_OK || status == TALLY_ENOTFOUND);
    assert_int_equal(who.role != 0, status == TALLY_OK);
    tl_identity_release(&who);
    return status == TALLY_OK;
}

static void keeps_what_was_added(void **state)
{
    struct fixture *fix = *state;
    char text[TL_TOKEN_TEXT_SIZE];
    char id[TL_TOKEN_ID_SIZE];
    check_ok(tl_tokens_add(fix->tokens, &reader, text, id, NULL));
    assert_int_equal(strlen(text), 58);
    assert_memory_equal(text, "tally_", 6);
    assert_memory_equal(text + 6, id, 8);
    assert_int_equal(text[14], '_');

    struct tl_tokens *again = NULL;
    struct tl_identity who = { 0 };
    char whose[TL_WHO_SIZE];
    char wanted[TL_WHO_SIZE];
    check_ok(tl_tokens_open(&again, fix->path, NULL));
    check_ok(tl_tokens_check(again, text, &who));
    assert_int_equal(who.role, TL_ROLE_READER);
    assert_string_equal(who.id, id);
    assert_string_equal(who.name, "Ada");
    assert_int_equal(who.tenant_count, 2);
    assert_string_equal(who.tenants[0], tenants[0]);
    assert_string_equal(who.tenants[1], tenants[1]);
    tl_identity_text(&who, whose);
    (void)snprintf(wanted, sizeof(wanted), "token:%s (Ada)", id);
    assert_string_equal(whose, wanted);
    tl_identity_release(&who);
    tl_tokens_close(again);
}

static void keeps_no_text_and_no_file_for_others(void **state)
{
    struct fixture *fix = *state;
    char text[TL_TOKEN_TEXT_SIZE];
    char id[TL_TOKEN_ID_SIZE];
    char *file = NULL;
    size_t len = 0;
    struct stat st;
    check_ok(tl_tokens_add(fix->tokens, &admin, text, id, NULL));
    check_ok(tl_io_read_file(fix->path, TL_TOKENS_BYTES_MAX, &file, &len, NULL));
    assert_non_null(strstr(file, id));
    assert_null(strstr(file, text + 15));
    assert_int_equal(stat(fix->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    tl_free(file);
}

static void knows_no_other_text(void **state)
{
    struct fixture *fix = *state;
    char text[TL_TOKEN_TEXT_SIZE];
    char id[TL_TOKEN_ID_SIZE];
    check_ok(tl_tokens_add(fix->tokens, &admin, text, id, NULL));
    assert_true(opens(fix->tokens, text));
    for (size_t i = 0; text[i] != '\0'; i++) {
        char other[TL_TOKEN_TEXT_SIZE];
        memcpy(other, text, sizeof(other));
        other[i] = other[i] == 'a' ? 'b' : 'a';
        assert_false(opens(fix->tokens, other));
        other[i] = '\0';
        assert_false(opens(fix->tokens, other));
    }
    char longer[TL_TOKEN_TEXT_SIZE + 1];
    (void)snprintf(longer, sizeof(longer), "%sA", text);
    assert_false(opens(fix->tokens, longer));
    char huge[5000];
    memset(huge, 'a', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    assert_false(opens(fix->tokens, huge));
}

static void ends_a_token_that_is_revoked(void **state)
{
    struct fixture *fix = *state;
    char text[2][TL_TOKEN_TEXT_SIZE];
    char id[2][TL_TOKEN_ID_SIZE];
    check_ok(tl_tokens_add(fix->tokens, &reader, text[0], id[0], NULL));
    check_ok(tl_tokens_add(fix->tokens, &admin, text[1], id[1], NULL));
    check_ok(tl_tokens_revoke(fix->tokens, id[0], NULL));
    assert_false(opens(fix->tokens, text[0]));
    assert_true(opens(fix->tokens, text[1]));
    check_status(tl_tokens_revoke(fix->tokens, id[0], NULL), TALLY_ENOTFOUND);
    check_status(tl_tokens_revoke(fix->tokens, "", NULL), TALLY_ENOTFOUND);
}

static void ends_a_token_when_it_expires(void **state)
{
    struct fixture *fix = *state;
    char text[TL_TOKEN_TEXT_SIZE];
    char id[TL_TOKEN_ID_SIZE];
    bool has_admin = false;
    struct tl_token_request brief = admin;
    brief.expires_us = FAKE_CLOCK_START + FAKE_HOUR;
    check_ok(tl_tokens_add(fix->tokens, &brief, text, id, NULL));
    fake_clock_pass(FAKE_HOUR - 1);
    assert_true(opens(fix->tokens, text));
    check_ok(tl_token_has_admin(fix->path, &has_admin, NULL));
    assert_true(has_admin);
    fake_clock_pass(1);
    assert_false(opens(fix->tokens, text));
    check_ok(tl_token_has_admin(fix->path, &has_admin, NULL));
    assert_false(has_admin);
}

static void takes_no_admin_of_tenants_for_one_of_all(void **state)
{
    struct fixture *fix = *state;
    char text[TL_TOKEN_TEXT_SIZE];
    char id[TL_TOKEN_ID_SIZE];
    bool has_admin = true;
    struct tl_token_request some = reader;
    some.role = TL_ROLE_ADMIN;
    check_ok(tl_token_has_admin(fix->path, &has_admin, NULL));
    assert_false(has_admin);
    check_ok(tl_token_create(fix->path, &some, text, id, NULL));
    check_ok(tl_token_has_admin(fix->path, &has_admin, NULL));
    assert_false(has_admin);
    check_ok(tl_token_create(fix->path, &admin, text, id, NULL));
    check_ok(tl_token_has_admin(fix->path, &has_admin, NULL));
    assert_true(has_admin);
}

static void hears_within_a_second_what_others_changed(void **state)
{
    struct fixture *fix = *state;
    char text[TL_TOKEN_TEXT_SIZE];
    char id[TL_TOKEN_ID_SIZE];
    assert_false(opens(fix->tokens, "tally_"));
    check_ok(tl_token_create(fix->path, &admin, text, id, NULL));
    assert_true(opens(fix->tokens, text));
    check_ok(tl_token_revoke(fix->path, id, NULL));
    assert_true(opens(fix->tokens, text)); /* for less than a second */
    fake_clock_pass(FAKE_SECOND);
    assert_false(opens(fix->tokens, text));
}

static void hears_at_once_when_told_to_look(void **state)
{
    struct fixture *fix = *state;
    char text[TL_TOKEN_TEXT_SIZE];
    char id[TL_TOKEN_ID_SIZE];
    fake_clock_pass(FAKE_SECOND);
    check_ok(tl_tokens_add(fix->tokens, &admin, text, id, NULL));
    assert_true(opens(fix->tokens, text));
    check_ok(tl_token_revoke(fix->path, id, NULL));
    assert_true(opens(fix->tokens, text));
    check_ok(tl_tokens_reload(fix->tokens, NULL));
    assert_false(opens(fix->tokens, text));
}

static void keeps_the_old_ones_while_the_file_is_damaged(void **state)
{
    struct fixture *fix = *state;
    char text[TL_TOKEN_TEXT_SIZE];
    char id[TL_TOKEN_ID_SIZE];
    check_ok(tl_tokens_add(fix->tokens, &admin, text, id, NULL));
    check_ok(tl_io_replace_file(fix->path, "{}", 2, 0600, NULL));
    fake_clock_pass(FAKE_SECOND);
    assert_true(opens(fix->tokens, text));
    check_status(tl_tokens_reload(fix->tokens, NULL), TALLY_ECORRUPT);
    check_status(tl_tokens_revoke(fix->tokens, id, NULL), TALLY_ECORRUPT);
    assert_true(opens(fix->tokens, text));
    check_status(tl_token_create(fix->path, &admin, text, id, NULL), TALLY_ECORRUPT);
}

static tally_status note_use(void *ctx, const struct tl_token_info *token)
{
    int64_t *used_us = ctx;
    *used_us = token->last_used_us;
    return TALLY_OK;
}

static int64_t used_at(const char *path)
{
    int64_t used_us = -1;
    check_ok(tl_token_each(path, note_use, &used_us, NULL));
    return used_us;
}

static void writes_each_minute_what_was_used(void **state)
{
    struct fixture *fix = *state;
    char text[TL_TOKEN_TEXT_SIZE];
    char id[TL_TOKEN_ID_SIZE];
    check_ok(tl_tokens_add(fix->tokens, &admin, text, id, NULL));
    assert_int_equal(used_at(fix->path), 0);
    fake_clock_pass(59 * FAKE_SECOND);
    assert_true(opens(fix->tokens, text));
    assert_int_equal(used_at(fix->path), 0);
    fake_clock_pass(FAKE_SECOND);
    assert_true(opens(fix->tokens, text));
    assert_int_equal(used_at(fix->path), FAKE_CLOCK_START + 59 * FAKE_SECOND);
    tl_tokens_close(fix->tokens);
    fix->tokens = NULL;
    assert_int_equal(used_at(fix->path), FAKE_CLOCK_START + 60 * FAKE_SECOND);
}

static void remembers_a_use_over_a_change_by_others(void **state)
{
    struct fixture *fix = *state;
    char text[2][TL_TOKEN_TEXT_SIZE];
    char id[2][TL_TOKEN_ID_SIZE];
    check_ok(tl_tokens_add(fix->tokens, &admin, text[0], id[0], NULL));
    assert_true(opens(fix->tokens, text[0]));
    check_ok(tl_token_create(fix->path, &reader, text[1], id[1], NULL));
    check_ok(tl_tokens_reload(fix->tokens, NULL));
    check_ok(tl_tokens_revoke(fix->tokens, id[1], NULL));
    assert_int_equal(used_at(fix->path), FAKE_CLOCK_START);
}

static void refuses_what_no_token_can_be_made_from(void **state)
{
    struct fixture *fix = *state;
    static const char *many[TL_TENANTS_MAX + 1];
    static const char *const empty[] = { "acme", "" };
    char name[102];
    char tenant[258];
    const char *long_tenant[] = { tenant };
    memset(name, 'n', 101);
    name[101] = '\0';
    memset(tenant, 't', 257);
    tenant[257] = '\0';
    for (size_t i = 0; i < TL_ARRAY_LEN(many); i++) {
        many[i] = "t";
    }
    const struct tl_token_request table[] = {
        { .name = "", .role = TL_ROLE_READER },
        { .name = name, .role = TL_ROLE_READER },
        { .name = "a\nb", .role = TL_ROLE_READER },
        { .name = "a\x7F", .role = TL_ROLE_READER },
        { .name = "a\xC2\x85", .role = TL_ROLE_READER },
        { .name = "a\xC2", .role = TL_ROLE_READER },
        { .name = "a\xFF", .role = TL_ROLE_READER },
        { .name = "a" },
        { .name = "a", .role = (enum tl_role)(TL_ROLE_ADMIN + 1) },
        { .name = "a", .role = TL_ROLE_READER, .tenants = many, .tenant_count = 17 },
        { .name = "a", .role = TL_ROLE_READER, .tenants = empty, .tenant_count = 2 },
        { .name = "a", .role = TL_ROLE_READER, .tenants = long_tenant, .tenant_count = 1 },
        { .name = "a", .role = TL_ROLE_READER, .expires_us = FAKE_CLOCK_START },
        { .name = "a", .role = TL_ROLE_READER, .expires_us = -1 },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        char text[TL_TOKEN_TEXT_SIZE] = "as it was";
        char id[TL_TOKEN_ID_SIZE] = "before";
        struct tally_error err = TALLY_ERROR_INIT;
        check_status(tl_tokens_add(fix->tokens, &table[i], text, id, &err), TALLY_EINVAL);
        assert_string_not_equal(err.message, "");
        assert_string_equal(text, "as it was");
        assert_string_equal(id, "before");
    }
    assert_int_not_equal(access(fix->path, F_OK), 0);
    name[100] = '\0';
    tenant[256] = '\0';
    const struct tl_token_request longest = {
        .name = name, .role = TL_ROLE_WRITER, .tenants = long_tenant, .tenant_count = 1
    };
    char text[TL_TOKEN_TEXT_SIZE];
    char id[TL_TOKEN_ID_SIZE];
    check_ok(tl_tokens_add(fix->tokens, &longest, text, id, NULL));
}

#define HASH "0000000000000000000000000000000000000000000000000000000000000000"
#define ITEM(id, name, role, tenants, created, expires, more)                 \
    "{\"id\":" id ",\"name\":" name ",\"role\":" role ",\"tenants\":" tenants \
    ",\"created_at\":" created ",\"expires_at\":" expires                     \
    ",\"last_used_at\":null,\"sha256\":\"" HASH "\"" more "}"
#define FILE_OF(items) "{\"version\":1,\"tokens\":[" items "]}"
#define TIME           "\"2026-01-01T00:00:00Z\""
#define GOOD           ITEM("\"00000001\"", "\"n\"", "\"reader\"", "[]", TIME, "null", "")

static void reads_nothing_but_its_own_files(void **state)
{
    struct fixture *fix = *state;
    static const char *const good[] = { FILE_OF(""), FILE_OF(GOOD) "\n" };
    static const char *const bad[] = {
        "",
        "[]",
        "1",
        "{}",
        "{\"version\":2,\"tokens\":[]}",
        "{\"version\":1,\"tokens\":{}}",
        "{\"version\":1,\"tokens\":[],\"more\":1}",
        "{\"version\":1,\"tokens\":[]",
        FILE_OF("1"),
        FILE_OF("{}"),
        FILE_OF(GOOD "," GOOD),
        FILE_OF(ITEM("1", "\"n\"", "\"reader\"", "[]", TIME, "null", "")),
        FILE_OF(ITEM("\"0000001\"", "\"n\"", "\"reader\"", "[]", TIME, "null", "")),
        FILE_OF(ITEM("\"0000000A\"", "\"n\"", "\"reader\"", "[]", TIME, "null", "")),
        FILE_OF(ITEM("\"00000001\"", "\"\"", "\"reader\"", "[]", TIME, "null", "")),
        FILE_OF(ITEM("\"00000001\"", "\"a\\nb\"", "\"reader\"", "[]", TIME, "null", "")),
        FILE_OF(ITEM("\"00000001\"", "\"n\"", "\"owner\"", "[]", TIME, "null", "")),
        FILE_OF(ITEM("\"00000001\"", "\"n\"", "\"\"", "[]", TIME, "null", "")),
        FILE_OF(ITEM("\"00000001\"", "\"n\"", "\"reader\"", "null", TIME, "null", "")),
        FILE_OF(ITEM("\"00000001\"", "\"n\"", "\"reader\"", "[1]", TIME, "null", "")),
        FILE_OF(ITEM("\"00000001\"", "\"n\"", "\"reader\"", "[\"\"]", TIME, "null", "")),
        FILE_OF(ITEM("\"00000001\"", "\"n\"", "\"reader\"", "[]", "null", "null", "")),
        FILE_OF(ITEM("\"00000001\"", "\"n\"", "\"reader\"", "[]", "\"1\"", "null", "")),
        FILE_OF(ITEM("\"00000001\"", "\"n\"", "\"reader\"", "[]", TIME, "0", "")),
        FILE_OF(ITEM("\"00000001\"", "\"n\"", "\"reader\"", "[]", TIME, "\"\"", "")),
        FILE_OF(ITEM("\"00000001\"", "\"n\"", "\"reader\"", "[]", TIME, "null", ",\"x\":1")),
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(good); i++) {
        check_ok(tl_io_replace_file(fix->path, good[i], strlen(good[i]), 0600, NULL));
        check_ok(tl_tokens_reload(fix->tokens, NULL));
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(bad); i++) {
        struct tally_error err = TALLY_ERROR_INIT;
        check_ok(tl_io_replace_file(fix->path, bad[i], strlen(bad[i]), 0600, NULL));
        check_status(tl_tokens_reload(fix->tokens, &err), TALLY_ECORRUPT);
        assert_non_null(strstr(err.message, fix->path));
    }
}

static void refuses_a_file_that_others_can_read(void **state)
{
    struct fixture *fix = *state;
    char text[TL_TOKEN_TEXT_SIZE];
    char id[TL_TOKEN_ID_SIZE];
    struct tl_tokens *again = NULL;
    check_ok(tl_tokens_add(fix->tokens, &admin, text, id, NULL));
    assert_int_equal(chmod(fix->path, 0640), 0);
    check_status(tl_tokens_open(&again, fix->path, NULL), TALLY_EINVAL);
    assert_null(again);
}

static void shows_tokens_without_their_secrets(void **state)
{
    struct fixture *fix = *state;
    char text[TL_TOKEN_TEXT_SIZE];
    char id[TL_TOKEN_ID_SIZE];
    char wanted[500];
    struct tl_js one;
    struct tl_js all;
    check_ok(tl_tokens_add(fix->tokens, &reader, text, id, NULL));
    tl_js_init(&one);
    tl_js_init(&all);
    check_ok(tl_tokens_show(fix->tokens, id, &one));
    check_ok(tl_tokens_show(fix->tokens, NULL, &all));
    check_status(tl_tokens_show(fix->tokens, "00000000", &one), TALLY_ENOTFOUND);
    int len = snprintf(wanted, sizeof(wanted),
                       "{\"id\":\"%s\",\"name\":\"Ada\",\"role\":\"reader\","
                       "\"tenants\":[\"acme\",\"b\\\"e\xC3\xA9\"],"
                       "\"created_at\":\"2026-01-01T00:00:00.000000Z\","
                       "\"expires_at\":null,\"last_used_at\":null}",
                       id);
    assert_int_equal(all.buf.len, len);
    assert_memory_equal(all.buf.data, wanted, all.buf.len);
    assert_int_equal(one.buf.len, len - 2);
    assert_memory_equal(one.buf.data, wanted + 1, one.buf.len);
    tl_js_release(&one);
    tl_js_release(&all);
}

static void keeps_a_thousand_and_no_more(void **state)
{
    (void)state;
    struct tl_token_list list = { 0 };
    for (unsigned i = 0; i < TL_TOKENS_MAX; i++) {
        struct tl_token token = { .role = TL_ROLE_ADMIN, .name = "n", .created_us = 1 };
        (void)snprintf(token.id, sizeof(token.id), "%08x", i);
        check_ok(tl_token_list_add(&list, &token));
    }
    struct tl_token token = { .id = "ffffffff" };
    check_status(tl_token_list_add(&list, &token), TALLY_ELIMIT);

    struct tl_buf text;
    struct tl_token_list again = { 0 };
    tl_buf_init(&text, TL_TOKENS_BYTES_MAX);
    tl_token_list_write(&text, &list);
    check_ok(tl_token_list_read(&again, tl_buf_str(&text)));
    assert_int_equal(again.count, TL_TOKENS_MAX);
    tl_token_list_remove(&again, &again.tokens[0]);
    tl_token_list_remove(&again, &again.tokens[TL_TOKENS_MAX - 2]);
    assert_string_equal(again.tokens[0].id, "00000001");
    assert_string_equal(again.tokens[TL_TOKENS_MAX - 3].id, "000003e6");
    tl_token_list_release(&again);
    tl_token_list_release(&list);
    tl_buf_release(&text);
}

static tally_status live(const void *ctx)
{
    const struct fixture *fix = ctx;
    struct tl_tokens *tokens = NULL;
    char text[TL_TOKEN_TEXT_SIZE];
    char id[TL_TOKEN_ID_SIZE];
    struct tl_identity who = { 0 };
    (void)unlink(fix->path);
    tally_status status = tl_tokens_open(&tokens, fix->path, NULL);
    if (status == TALLY_OK) {
        status = tl_tokens_add(tokens, &reader, text, id, NULL);
    }
    if (status == TALLY_OK) {
        status = tl_tokens_check(tokens, text, &who);
    }
    if (status == TALLY_OK) {
        status = tl_tokens_revoke(tokens, id, NULL);
    }
    tl_identity_release(&who);
    tl_tokens_close(tokens);
    return status;
}

static void survives_running_out_of_memory(void **state)
{
    assert_true(fault_each_alloc(live, *state) > 10);
}

static tally_status count_one(void *ctx, const struct tl_token_info *token)
{
    (void)token;
    size_t *count = ctx;
    (*count)++;
    return TALLY_OK;
}

static size_t count_of(const char *path)
{
    size_t count = 0;
    check_ok(tl_token_each(path, count_one, &count, NULL));
    return count;
}

static void add_with_fault(void *ctx, const atomic_bool *hit)
{
    struct fixture *fix = ctx;
    char text[TL_TOKEN_TEXT_SIZE];
    char id[TL_TOKEN_ID_SIZE];
    tally_status status = tl_token_create(fix->path, &reader, text, id, NULL);
    assert_true(status == TALLY_OK || (status == TALLY_EIO && *hit));
    fault_relent();
    size_t count = count_of(fix->path);
    assert_true(count == 1 || (count == 0 && status == TALLY_EIO));
    (void)unlink(fix->path);
}

static void has_all_or_nothing_after_a_failure(void **state)
{
    assert_true(fault_each_io(FAULT_ERROR, EIO, add_with_fault, *state) > 5);
    assert_true(fault_each_io(FAULT_FOREVER, ENOSPC, add_with_fault, *state) > 5);
    assert_true(fault_each_io(FAULT_SHORT, 0, add_with_fault, *state) > 5);
    assert_true(fault_each_io(FAULT_ERROR, EINTR, add_with_fault, *state) > 5);
}

#define WRITERS 2u
#define EACH    25u

static void add_many(const char *path)
{
    for (unsigned i = 0; i < EACH; i++) {
        char text[TL_TOKEN_TEXT_SIZE];
        char id[TL_TOKEN_ID_SIZE];
        if (tl_token_create(path, &reader, text, id, NULL) != TALLY_OK) {
            _exit(1);
        }
    }
    _exit(0);
}

static void loses_nothing_of_two_writers(void **state)
{
    struct fixture *fix = *state;
    pid_t pids[WRITERS];
    for (size_t i = 0; i < WRITERS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            add_many(fix->path);
        }
    }
    for (size_t i = 0; i < WRITERS; i++) {
        int end_of = -1;
        assert_int_equal(waitpid(pids[i], &end_of, 0), pids[i]);
        assert_int_equal(end_of, 0);
    }
    assert_int_equal(count_of(fix->path), WRITERS * EACH);
}

static void names_its_roles(void **state)
{
    (void)state;
    for (unsigned i = TL_ROLE_WRITER; i <= TL_ROLE_ADMIN; i++) {
        assert_int_equal(tl_role_of(tl_role_name((enum tl_role)i)), i);
    }
    assert_int_equal(tl_role_of(""), 0);
    assert_int_equal(tl_role_of("Admin"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_what_was_added, begin, end),
        cmocka_unit_test_setup_teardown(keeps_no_text_and_no_file_for_others, begin, end),
        cmocka_unit_test_setup_teardown(knows_no_other_text, begin, end),
        cmocka_unit_test_setup_teardown(ends_a_token_that_is_revoked, begin, end),
        cmocka_unit_test_setup_teardown(ends_a_token_when_it_expires, begin, end),
        cmocka_unit_test_setup_teardown(takes_no_admin_of_tenants_for_one_of_all, begin, end),
        cmocka_unit_test_setup_teardown(hears_within_a_second_what_others_changed, begin, end),
        cmocka_unit_test_setup_teardown(hears_at_once_when_told_to_look, begin, end),
        cmocka_unit_test_setup_teardown(keeps_the_old_ones_while_the_file_is_damaged, begin, end),
        cmocka_unit_test_setup_teardown(writes_each_minute_what_was_used, begin, end),
        cmocka_unit_test_setup_teardown(remembers_a_use_over_a_change_by_others, begin, end),
        cmocka_unit_test_setup_teardown(refuses_what_no_token_can_be_made_from, begin, end),
        cmocka_unit_test_setup_teardown(reads_nothing_but_its_own_files, begin, end),
        cmocka_unit_test_setup_teardown(refuses_a_file_that_others_can_read, begin, end),
        cmocka_unit_test_setup_teardown(shows_tokens_without_their_secrets, begin, end),
        cmocka_unit_test(keeps_a_thousand_and_no_more),
        cmocka_unit_test_setup_teardown(survives_running_out_of_memory, begin, end),
        cmocka_unit_test_setup_teardown(has_all_or_nothing_after_a_failure, begin, end),
        cmocka_unit_test_setup_teardown(loses_nothing_of_two_writers, begin, end),
        cmocka_unit_test(names_its_roles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
