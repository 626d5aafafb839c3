/* Tokens of anchors, against the records that name their hashes. */
#include "verify/verify.h"

#include <string.h>

#include "base/bytes.h"
#include "check.h"
#include "codec/base64.h"
#include "fault.h"
#include "support/expect.h"
#include "vectors.h"

/* What the ledger has beside its records. */
static struct tl_str kept; /* absent for nothing */
static tally_status failure;
static struct tl_arena arena;

static tally_status give_token(void *ctx, uint64_t seq, struct tl_buf *out, struct tally_error *err)
{
    (void)ctx;
    assert_int_equal(seq, 5);
    if (failure != TALLY_OK) {
        return tl_fail(err, failure, "the disk is broken");
    }
    if (kept.text == NULL) {
        return tl_fail(err, TALLY_ENOTFOUND, "not there");
    }
    tl_buf_add_str(out, kept);
    return tl_buf_status(out);
}

/* An anchor of the checkpoint of 5 leaves, as record 5, whose token is `token`. */
static void add_anchor(const char *kind, struct tl_str token)
{
    char payload[512];
    uint8_t digest[TL_SHA256_LEN];
    struct tl_buf text;
    tl_buf_init_fixed(&text, payload, sizeof(payload));
    tl_sha256(digest, token.text, token.len);
    mk_events(&expect_mk, 4);
    tl_buf_add_text(&text, "{\"digest\":\"");
    for (size_t i = 0; i < sizeof(digest); i++) {
        tl_buf_addf(&text, "%02x", digest[i]);
    }
    tl_buf_addf(&text, "\",\"kind\":\"%s\",\"ref\":\"a\",\"root\":\"", kind);
    tl_base64_encode(&text, expect_mk.image.head.root, TL_HASH_LEN);
    tl_buf_addf(&text, "\",\"size\":%llu}", (unsigned long long)expect_mk.image.head.size);
    payload[text.len] = '\0';
    mk_control(&expect_mk, TL_LEAF_ANCHOR, payload);
    mk_checkpoint(&expect_mk);
    expect_input.anchor_token = give_token;
    kept = token;
    failure = TALLY_OK;
}

static int set_up(void **state)
{
    tl_arena_init(&arena, VECTORS_ARENA_BYTES);
    return expect_set_up(state);
}

static int tear_down(void **state)
{
    tl_arena_release(&arena);
    return expect_tear_down(state);
}

static void a_token_that_is_the_one_recorded(void **state)
{
    (void)state;
    add_anchor("git", TL_STR("tree 1234"));
    expect_verified();
}

static void a_token_that_is_another_one(void **state)
{
    (void)state;
    add_anchor("git", TL_STR("tree 1234"));
    kept = TL_STR("tree 1235");
    expect_tampered("ANCHOR_INVALID", 5);
    kept = TL_STR("");
    expect_tampered("ANCHOR_INVALID", 5);
}

static void a_token_that_is_gone(void **state)
{
    (void)state;
    add_anchor("git", TL_STR("tree 1234"));
    kept = (struct tl_str){ 0 };
    expect_warning("ANCHOR_MISSING", 5);
}

static void a_token_that_cannot_be_read(void **state)
{
    (void)state;
    add_anchor("git", TL_STR("tree 1234"));
    failure = TALLY_EIO;
    expect_unverifiable("STORE_ERROR", NO_SEQ);
}

static void a_stamp_that_is_none(void **state)
{
    (void)state;
    add_anchor("rfc3161", TL_STR("tree 1234"));
    expect_tampered("ANCHOR_INVALID", 5);
}

static void a_stamp_of_something_else(void **state)
{
    (void)state;
    add_anchor("rfc3161", vectors_read(&arena, "timestamp/token.der"));
    expect_tampered("ANCHOR_INVALID", 5);
}

static void a_caller_who_looks_at_tokens_himself(void **state)
{
    (void)state;
    add_anchor("rfc3161", TL_STR("tree 1234"));
    expect_input.anchor_token = NULL;
    expect_verified();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_token_that_is_the_one_recorded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_token_that_is_another_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_token_that_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_token_that_cannot_be_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stamp_that_is_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stamp_of_something_else, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_caller_who_looks_at_tokens_himself, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
