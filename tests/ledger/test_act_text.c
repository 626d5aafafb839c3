/* The text of an act in the spool: whatever is written is read back, and nothing else is read. */
#include "ledger/act_text.h"

#include <string.h>

#include <tally/store.h>

#include "check.h"
#include "fault.h"

static void round_trip(const struct tl_control *control, uint64_t newest, const char *want)
{
    const struct tl_act_request act = { .control = control, .newest = newest };
    struct tl_buf text;
    struct tl_buf again;
    struct tl_arena arena;
    struct tl_control read;
    uint64_t read_newest = 0;
    tl_buf_init(&text, 1 << 20);
    tl_buf_init(&again, 1 << 20);
    tl_arena_init(&arena, 1 << 20);
    check_ok(tl_act_check(&act, NULL));
    check_ok(tl_act_encode(&text, &act, NULL));
    assert_int_equal(text.len, strlen(want));
    assert_memory_equal(text.data, want, text.len);
    check_ok(tl_act_decode(&read, &read_newest, &arena, text.data, text.len));
    assert_true(read_newest == newest);
    const struct tl_act_request same = { .control = &read, .newest = read_newest };
    check_ok(tl_act_encode(&again, &same, NULL));
    assert_memory_equal(again.data, want, text.len);
    tl_arena_release(&arena);
    tl_buf_release(&text);
    tl_buf_release(&again);
}

static void gives_back_the_acts_it_was_given(void **state)
{
    (void)state;
    const struct tl_control release = { .kind = TL_LEAF_RELEASE,
                                        .by = TL_STR("eve"),
                                        .hold = TL_STR("case-1") };
    round_trip(
        &release, 7,
        "{\"kind\":\"RELEASE\",\"newest\":7,\"payload\":{\"by\":\"eve\",\"hold\":\"case-1\"}}");
    const struct tl_control key = { .kind = TL_LEAF_KEY,
                                    .by = TL_STR("bob"),
                                    .note = TL_STR("yearly"),
                                    .has_log_key = true,
                                    .has_mac_id = true };
    round_trip(&key, TALLY_SEQ_NONE,
               "{\"kind\":\"KEY\",\"newest\":null,\"payload\":{\"by\":\"bob\",\"log_key\":true,"
               "\"mac_id\":true,\"note\":\"yearly\"}}");
    const struct tl_control epoch = { .kind = TL_LEAF_EPOCH };
    round_trip(&epoch, TALLY_SEQ_NONE, "{\"kind\":\"EPOCH\",\"newest\":null,\"payload\":{}}");
}

static void reads_nothing_else(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "[]",
        "{}",
        "{\"kind\":\"EPOCH\",\"newest\":null}",
        "{\"kind\":\"EPOCH\",\"newest\":null,\"payload\":{},\"z\":1}",
        "{\"kind\":\"EPOCH\",\"newest\":-1,\"payload\":{}}",
        "{\"kind\":\"EPOCH\",\"newest\":1.5,\"payload\":{}}",
        "{\"kind\":\"EPOCH\",\"newest\":9007199254740992,\"payload\":{}}",
        "{\"kind\":\"EPOCH\",\"newest\":\"1\",\"payload\":{}}",
        "{\"kind\":\"EPOCH\",\"newest\":1,\"payload\":[]}",
        "{\"kind\":\"EPOCH\",\"newest\":1,\"payload\":{\"log_key\":true}}",
        "{\"kind\":\"EPOCH\",\"newest\":1,\"payload\":{\"by\":\"\"}}",
        "{\"kind\":\"KEY\",\"newest\":1,\"payload\":{}}",
        "{\"kind\":\"KEY\",\"newest\":1,\"payload\":{\"log_key\":false}}",
        "{\"kind\":\"GENESIS\",\"newest\":1,\"payload\":{}}",
        "{\"kind\":\"RESTORE\",\"newest\":1,\"payload\":{}}",
        "{\"kind\":\"GAP\",\"newest\":1,\"payload\":{}}",
        "{\"kind\":\"hold\",\"newest\":1,\"payload\":{}}",
        "{\"kind\":\"HOLD\",\"newest\":1,\"payload\":{\"hold\":\"x\",\"ranges\":[]}}",
        "{\"kind\":\"RELEASE\",\"newest\":1,\"payload\":{\"hold\":\"x\", \"by\":\"y\"}}",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(texts); i++) {
        struct tl_arena arena;
        struct tl_control control;
        uint64_t newest = 0;
        tl_arena_init(&arena, 1 << 20);
        check_status(tl_act_decode(&control, &newest, &arena, texts[i], strlen(texts[i])),
                     TALLY_ECORRUPT);
        tl_arena_release(&arena);
    }
}

static void each_reason_is_known_by_its_error(void **state)
{
    (void)state;
    for (enum tl_act_refusal reason = 1; reason < TL_ACT_REFUSALS; reason++) {
        struct tally_error err = TALLY_ERROR_INIT;
        assert_int_not_equal(tl_act_refuse(reason, &err), TALLY_OK);
        assert_int_equal(tl_act_refusal_of(&err), reason);
        assert_true(strlen(err.message) > 0);
    }
    const struct tally_error other = TALLY_ERROR_INIT;
    assert_int_equal(tl_act_refusal_of(&other), TL_ACT_FINE);
}

static tally_status read_without_memory(const void *ctx)
{
    struct tl_arena arena;
    struct tl_control control;
    uint64_t newest = 0;
    tl_arena_init(&arena, 1 << 20);
    tally_status status = tl_act_decode(&control, &newest, &arena, ctx, strlen(ctx));
    tl_arena_release(&arena);
    return status;
}

static void tells_that_memory_is_missing(void **state)
{
    (void)state;
    (void)fault_each_alloc(read_without_memory,
                           "{\"kind\":\"HOLD\",\"newest\":1,\"payload\":{\"hold\":\"x\","
                           "\"ranges\":[[1,2],[4,4]]}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_the_acts_it_was_given),
        cmocka_unit_test(reads_nothing_else),
        cmocka_unit_test(each_reason_is_known_by_its_error),
        cmocka_unit_test(tells_that_memory_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
