#include <stdio.h>
#include <string.h>

#include "check.h"
#include "evidence/opening.h"

static struct tl_opening opening;
static struct tl_opening again;
static struct tl_erasable_set set;
static struct tl_split split;

static void set_members(const char *const *pointers)
{
    set.count = 0;
    for (size_t i = 0; pointers[i] != NULL; i++) {
        check_ok(tl_erasable_add(&set, tl_str_of(pointers[i]), NULL));
    }
}

/* Members that lie before, between, after and alone; with names that sort as no bytes do. */
static const struct {
    const char *event;
    const char *pointers[8];
} events[] = {
    { "{\"b\":1}", { "/a", "/c" } },
    { "{\"a\":0,\"b\":1,\"c\":{\"d\":2}}", { "/a", "/c", "/d" } },
    { "{\"a\":0,\"c\":[1,{\"x\":2}]}", { "/a", "/c" } },
    { "{\"a\":{\"k\":1,\"l\":2,\"m\":3},\"b\":4}", { "/a/k", "/a/m", "/b" } },
    { "{\"a\":{\"k\":1}}", { "/a/k" } },
    { "{\"a\":{\"k\":1,\"l\":{}},\"z\":null}", { "/a/j", "/a/k", "/a/l", "/z" } },
    { "{\"a\\\"b\":1,\"c/d\":{\"e~f\":2,\"g\":\"\\n\"}}", { "/a\"b", "/c~1d/e~0f", "/c~1d/g" } },
    { "{\"\xF0\x90\x80\x80\":1,\"\xEF\xBF\xBD\":2}", { "/\xEF\xBF\xBD", "/\xF0\x90\x80\x80" } },
    { "{}", { "/a" } },
};

static void joins_what_was_split(void **state)
{
    (void)state;
    static const uint8_t seed[TL_SEED_LEN] = { 1, 2, 3 };
    for (size_t i = 0; i < TL_ARRAY_LEN(events); i++) {
        struct tl_buf rest;
        struct tl_buf event;
        struct tl_buf opened;
        tl_buf_init(&rest, 4096);
        tl_buf_init(&event, 4096);
        tl_buf_init(&opened, 4096);
        set_members(events[i].pointers);
        const struct tl_opening_source source = { .event = tl_str_of(events[i].event),
                                                  .seed = seed,
                                                  .set = &set };
        check_ok(tl_opening_fill(&opening, &source, NULL, &split, &rest, NULL));
        static struct tl_erasable_set scratch;
        check_ok(tl_opening_join(&event, &opened, &opening, &scratch));
        if (!tl_str_equal(tl_buf_str(&event), source.event)) {
            fail_msg("%s became %.*s", events[i].event, (int)event.len, event.data);
        }
        /* The commitment is that of the sealed event, from parts as from the whole. */
        uint8_t want[TL_COMMIT_LEN];
        uint8_t got[TL_COMMIT_LEN];
        struct tl_buf buf;
        tl_buf_init(&buf, 65536);
        check_ok(tl_commit_event(want, &split, source.event.text, source.event.len, seed, &buf));
        struct tl_commit_part parts[TL_ERASABLE_MAX];
        for (uint32_t k = 0; k < opening.count; k++) {
            const struct tl_opening_member *member = &opening.members[k];
            parts[k].pointer = member->pointer;
            tl_member_digest(parts[k].digest, member->part, member->pointer, member->value);
        }
        tl_commit_parts(got, opening.salt0, opening.rest, parts, opening.count);
        assert_memory_equal(got, want, sizeof(want));
        tl_buf_release(&buf);
        tl_buf_release(&rest);
        tl_buf_release(&event);
        tl_buf_release(&opened);
    }
}

static void refuses_parts_that_have_no_place(void **state)
{
    (void)state;
    static const struct {
        const char *rest;
        const char *pointer;
    } rows[] = {
        { "{\"a\":1}", "/a" },
        { "{\"a\":1}", "/a/b" },
        { "{\"b\":1}", "/a/b" },
        { "{\"a\":{\"b\":1}}", "/a/b" },
        { "{}", "/a/b" },
        { "[]", "/a" },
        { "", "/a" },
        { "{\"a\":1", "/b" },
        { "{\"id\":1}", "/id" },
        { "{\"a\":[1]}", "/a/0" },
        { "{\"b\":1}", "a" },
        { "{", "/a" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(rows); i++) {
        struct tl_buf event;
        struct tl_buf opened;
        tl_buf_init(&event, 4096);
        tl_buf_init(&opened, 4096);
        opening = (struct tl_opening){ .state = TL_OPENING_CONTENT,
                                       .rest = tl_str_of(rows[i].rest),
                                       .count = 1 };
        opening.members[0] = (struct tl_opening_member){ .pointer = tl_str_of(rows[i].pointer),
                                                         .value = TL_STR("1") };
        if (tl_opening_join(&event, &opened, &opening, &set) != TALLY_ECORRUPT) {
            fail_msg("%s went into %s", rows[i].pointer, rows[i].rest);
        }
        tl_buf_release(&event);
        tl_buf_release(&opened);
    }
}

static void refuses_a_rest_that_is_no_object(void **state)
{
    (void)state;
    static const char *const rests[] = { "[]", "[1]", "[1,2]", "1", "" };
    for (size_t i = 0; i < TL_ARRAY_LEN(rests); i++) {
        struct tl_buf event;
        struct tl_buf opened;
        tl_buf_init(&event, 4096);
        tl_buf_init(&opened, 4096);
        opening = (struct tl_opening){ .state = TL_OPENING_CONTENT, .rest = tl_str_of(rests[i]) };
        check_status(tl_opening_join(&event, &opened, &opening, &set), TALLY_ECORRUPT);
        tl_buf_release(&event);
        tl_buf_release(&opened);
    }
}

/* What follows the rest is kept, so that nothing can hide behind it. */
static void keeps_every_byte_of_the_rest(void **state)
{
    (void)state;
    struct tl_buf event;
    struct tl_buf opened;
    tl_buf_init(&event, 4096);
    tl_buf_init(&opened, 4096);
    opening = (struct tl_opening){ .state = TL_OPENING_CONTENT,
                                   .rest = TL_STR("{\"b\":1}tail"),
                                   .count = 1 };
    opening.members[0] =
        (struct tl_opening_member){ .pointer = TL_STR("/a"), .value = TL_STR("2") };
    check_ok(tl_opening_join(&event, &opened, &opening, &set));
    assert_true(tl_str_is(tl_buf_str(&event), "{\"a\":2,\"b\":1}tail"));
    opening.rest = TL_STR("{}");
    opening.members[0].pointer = TL_STR("/\r");
    check_ok(tl_opening_join(&event, &opened, &opening, &set));
    assert_true(tl_str_is(tl_buf_str(&event), "{\"\\r\":2}"));
    tl_buf_release(&event);
    tl_buf_release(&opened);
}

static void withholds_members_as_digests(void **state)
{
    (void)state;
    static const uint8_t seed[TL_SEED_LEN] = { 9 };
    static const char *const erasable[] = { "/a", "/b/c", NULL };
    static struct tl_erasable_set withhold;
    struct tl_buf rest;
    struct tl_buf line;
    struct tl_arena arena;
    uint8_t leaf[TL_LEAF_LEN] = { 'T', 'L', 'Y', '1', TL_LEAF_ENTRY };
    tl_buf_init(&rest, 4096);
    tl_buf_init(&line, 4096);
    tl_arena_init(&arena, 1 << 20);
    set_members(erasable);
    const struct tl_opening_source source = {
        .event = TL_STR("{\"a\":\"secret\",\"b\":{\"c\":1,\"d\":2}}"), .seed = seed, .set = &set
    };
    withhold.count = 0;
    check_ok(tl_erasable_add(&withhold, TL_STR("/a"), NULL));
    opening = (struct tl_opening){ .seq = 7, .leaf = leaf, .leaf_len = sizeof(leaf) };
    check_ok(tl_opening_fill(&opening, &source, &withhold, &split, &rest, NULL));
    tl_opening_format(&line, &opening);
    assert_null(memmem(line.data, line.len, "secret", 6));
    check_ok(tl_opening_parse(&again, &arena, tl_buf_str(&line), NULL));
    assert_int_equal(again.count, 2);
    assert_true(again.members[0].gone && again.members[0].withheld);
    assert_false(again.members[1].gone);
    assert_true(tl_str_is(again.members[1].value, "1"));
    assert_true(tl_str_is(again.rest, "{\"b\":{\"d\":2}}"));

    withhold.count = 0;
    check_ok(tl_erasable_add(&withhold, TL_STR("/b/d"), NULL));
    check_status(tl_opening_fill(&opening, &source, &withhold, &split, &rest, NULL), TALLY_EINVAL);
    tl_arena_release(&arena);
    tl_buf_release(&rest);
    tl_buf_release(&line);
}

/* What is left of an erased member is its digest, under which the line still is what was sealed. */
static void fills_in_what_was_erased_before(void **state)
{
    (void)state;
    static const uint8_t seed[TL_SEED_LEN] = { 9 };
    static const char *const erasable[] = { "/a", "/b", NULL };
    static struct tl_erasable_set gone;
    uint8_t want[TL_COMMIT_LEN];
    uint8_t got[TL_COMMIT_LEN];
    struct tl_buf bufs[4]; /* rest, event, opened, scratch */
    for (size_t i = 0; i < TL_ARRAY_LEN(bufs); i++) {
        tl_buf_init(&bufs[i], 4096);
    }
    set_members(erasable);
    const struct tl_opening_source whole = { .event = TL_STR("{\"a\":1,\"b\":2,\"c\":3}"),
                                             .seed = seed,
                                             .set = &set };
    gone.count = 0;
    check_ok(tl_erasable_add(&gone, TL_STR("/a"), NULL));
    check_ok(tl_opening_fill(&opening, &whole, &gone, &split, &bufs[0], NULL));
    check_ok(tl_split_event(&split, &set, whole.event.text, whole.event.len));
    check_ok(tl_commit_event(want, &split, whole.event.text, whole.event.len, seed, &bufs[3]));
    check_ok(tl_opening_join(&bufs[1], &bufs[2], &opening, &gone));
    assert_true(tl_str_is(tl_buf_str(&bufs[1]), "{\"b\":2,\"c\":3}"));

    const struct tl_opening_source left = { .event = tl_buf_str(&bufs[1]),
                                            .opened = (const uint8_t *)bufs[2].data,
                                            .opened_len = bufs[2].len,
                                            .set = &set };
    tl_buf_clear(&bufs[0]);
    check_ok(tl_opening_fill(&again, &left, NULL, &split, &bufs[0], NULL));
    tl_opening_commit(got, &again);
    assert_memory_equal(got, want, sizeof(want));
    for (size_t i = 0; i < TL_ARRAY_LEN(bufs); i++) {
        tl_buf_release(&bufs[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_what_was_split),
        cmocka_unit_test(refuses_parts_that_have_no_place),
        cmocka_unit_test(refuses_a_rest_that_is_no_object),
        cmocka_unit_test(keeps_every_byte_of_the_rest),
        cmocka_unit_test(withholds_members_as_digests),
        cmocka_unit_test(fills_in_what_was_erased_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
