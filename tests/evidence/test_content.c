#include <stdio.h>
#include <string.h>

#include "check.h"
#include "evidence/content.h"
#include "fault.h"
#include "vectors.h"

static struct tl_arena arena;
static struct tl_erasable_set set; /* too large for the stack */

static int start(void **state)
{
    (void)state;
    tl_arena_init(&arena, VECTORS_ARENA_BYTES);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    tl_arena_release(&arena);
    return 0;
}

/* Fills the set from an array of texts. */
static void use_set(const struct tl_json *pointers)
{
    set.count = 0;
    for (const struct tl_json *item = pointers->first; item != NULL; item = item->next) {
        check_ok(tl_erasable_add(&set, item->text, NULL));
    }
}

static tally_status add_all(const char *const *pointers, size_t count)
{
    set.count = 0;
    for (size_t i = 0; i < count; i++) {
        TL_TRY(tl_erasable_add(&set, tl_str_of(pointers[i]), NULL));
    }
    return TALLY_OK;
}

static struct tl_str value_of(const struct tl_member *member, struct tl_str event)
{
    return (struct tl_str){ .text = event.text + member->value_start,
                            .len = member->value_end - member->value_start };
}

static void hashes_the_preimages_of_the_vectors(void **state)
{
    (void)state;
    const struct tl_json *section = vectors_section(&arena, "preimages");
    struct tl_str preimage = vectors_blob(&arena, section, "salt");
    uint8_t salt[TL_SALT_LEN];
    tl_salt(salt, (const uint8_t *)preimage.text + 1, TL_STR("/source/ip"));
    vectors_check(section, "salt_result", salt, sizeof(salt));
    uint8_t digest[32];
    tl_member_digest(digest, salt, TL_STR("/source/ip"), TL_STR("\"192.0.2.7\""));
    vectors_check(section, "field_result", digest, sizeof(digest));
}

/* Compares the members of a split with those of a vector. */
static void check_members(const struct tl_split *split, struct tl_str event,
                          const uint8_t seed[TL_SEED_LEN], const struct tl_json *members)
{
    assert_int_equal(split->count, members->count);
    const struct tl_json *want = members->first;
    for (uint32_t i = 0; i < split->count; i++, want = want->next) {
        const struct tl_member *member = &split->members[i];
        struct tl_str pointer = tl_str_of(member->pointer->text);
        uint8_t salt[TL_SALT_LEN];
        uint8_t digest[32];
        vectors_check_text(want, "p", pointer);
        vectors_check_text(want, "value", value_of(member, event));
        tl_salt(salt, seed, pointer);
        vectors_check(want, "salt", salt, sizeof(salt));
        tl_member_digest(digest, salt, pointer, value_of(member, event));
        vectors_check(want, "digest", digest, sizeof(digest));
    }
}

static void splits_and_commits_as_the_vectors_say(void **state)
{
    (void)state;
    const struct tl_json *row = vectors_section(&arena, "events")->first;
    struct tl_buf scratch;
    struct tl_buf rest;
    tl_buf_init(&scratch, (size_t)1 << 20);
    tl_buf_init(&rest, (size_t)1 << 20);
    for (; row != NULL; row = row->next) {
        struct tl_str event = vectors_text(row, "event");
        struct tl_split split;
        uint8_t seed[TL_SEED_LEN];
        uint8_t salt0[TL_SALT_LEN];
        uint8_t commit[TL_COMMIT_LEN];
        use_set(vectors_get(row, "erasable"));
        vectors_bytes(seed, sizeof(seed), row, "seed");
        check_ok(tl_split_event(&split, &set, event.text, event.len));
        check_members(&split, event, seed, vectors_get(row, "members"));
        tl_buf_clear(&rest);
        tl_split_rest(&rest, &split, event.text, event.len);
        vectors_check_text(row, "rest", tl_buf_str(&rest));
        tl_salt(salt0, seed, TL_STR(""));
        vectors_check(row, "salt0", salt0, sizeof(salt0));
        check_ok(tl_commit_event(commit, &split, event.text, event.len, seed, &scratch));
        vectors_check(row, "commit", commit, sizeof(commit));
    }
    tl_buf_release(&scratch);
    tl_buf_release(&rest);
}

/* Opens a partly erased record: what is still there from the event, the rest from `opened`. */
static void check_opens(const struct tl_json *erased)
{
    static struct tl_opened opened;
    static struct tl_commit_part parts[TL_ERASABLE_MAX];
    struct tl_str event = vectors_text(erased, "event");
    struct tl_str bytes = vectors_blob(&arena, erased, "opened");
    struct tl_split split;
    struct tl_buf out;
    uint8_t commit[TL_COMMIT_LEN];
    check_ok(tl_opened_decode(&opened, (const uint8_t *)bytes.text, bytes.len));
    check_ok(tl_split_event(&split, &set, event.text, event.len));
    uint32_t there = 0;
    for (uint32_t i = 0; i < opened.count; i++) {
        const struct tl_opened_part *part = &opened.parts[i];
        parts[i].pointer = part->pointer;
        if (part->erased) {
            memcpy(parts[i].digest, part->part, 32);
            continue;
        }
        const struct tl_member *member = &split.members[there++];
        assert_true(tl_str_is(part->pointer, member->pointer->text));
        tl_member_digest(parts[i].digest, part->part, part->pointer, value_of(member, event));
    }
    assert_int_equal(there, split.count);
    tl_buf_init(&out, (size_t)1 << 20);
    tl_split_rest(&out, &split, event.text, event.len);
    tl_commit_parts(commit, opened.salt0, tl_buf_str(&out), parts, opened.count);
    vectors_check(erased, "commit", commit, sizeof(commit));

    tl_buf_clear(&out);
    tl_opened_encode(&out, &opened);
    vectors_check(erased, "opened", out.data, out.len);
    tl_buf_release(&out);
}

static void opens_what_is_partly_erased_to_the_same_commitment(void **state)
{
    (void)state;
    size_t count = 0;
    const struct tl_json *row = vectors_section(&arena, "events")->first;
    for (; row != NULL; row = row->next) {
        const struct tl_json *after = tl_json_member(row, "after_erasing");
        use_set(vectors_get(row, "erasable"));
        for (const struct tl_json *e = after == NULL ? NULL : after->first; e != NULL;
             e = e->next) {
            check_opens(e);
            count++;
        }
    }
    assert_true(count > 10);
}

static void commits_to_the_control_payloads_of_the_vectors(void **state)
{
    (void)state;
    const struct tl_json *row = vectors_section(&arena, "controls")->first;
    for (; row != NULL; row = row->next) {
        struct tl_str payload = vectors_text(row, "payload");
        uint8_t commit[TL_COMMIT_LEN];
        tl_commit_control(commit, payload.text, payload.len);
        vectors_check(row, "commit", commit, sizeof(commit));
    }
}

static void cuts_commas_with_the_members(void **state)
{
    (void)state;
    static const struct {
        const char *event;
        const char *rest;
    } table[] = {
        { "{}", "{}" },
        { "{\"a\":1}", "{}" },
        { "{\"a\":1,\"b\":2}", "{}" },
        { "{\"a\":1,\"b\":2,\"c\":3}", "{\"c\":3}" },
        { "{\"a\":1,\"c\":3}", "{\"c\":3}" },
        { "{\"b\":2,\"c\":3}", "{\"c\":3}" },
        { "{\"A\":0,\"a\":1,\"b\":2,\"c\":3}", "{\"A\":0,\"c\":3}" },
        { "{\"A\":0,\"a\":1,\"b\":2}", "{\"A\":0}" },
        { "{\"a\":1,\"aa\":2,\"b\":3,\"c\":4,\"z\":5}", "{\"aa\":2,\"c\":4}" },
        { "{\"z\":[1,{\"a\":2}]}", "{}" },
        { "{\"p\":{\"x\":1}}", "{\"p\":{}}" },
        { "{\"p\":{\"x\":1,\"y\":2}}", "{\"p\":{}}" },
        { "{\"a\":{},\"p\":{\"w\":0,\"x\":1,\"y\":2,\"z\":3},\"z\":\"}\"}",
          "{\"p\":{\"w\":0,\"z\":3}}" },
        { "{\"p\":{\"x\":1,\"z\":2}}", "{\"p\":{\"z\":2}}" },
        { "{\"p\":[{\"x\":1}]}", "{\"p\":[{\"x\":1}]}" },
        { "{\"p\":{}}", "{\"p\":{}}" },
        { "{\"p\":null}", "{\"p\":null}" },
        { "{\"p-q\":1,\"p/x\":2}", "{\"p/x\":2}" },
        { "{\"p\":{\"y\":1},\"p-q\":1,\"z\":2}", "{\"p\":{}}" },
    };
    /* By bytes "/p-q" comes before "/p/x"; in an event "p" comes before "p-q". */
    static const char *const pointers[] = { "/a", "/b", "/p-q", "/p/x", "/p/y", "/z" };
    check_ok(add_all(pointers, TL_ARRAY_LEN(pointers)));
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tl_split split;
        struct tl_buf rest;
        tl_buf_init(&rest, 1000);
        check_ok(tl_split_event(&split, &set, table[i].event, strlen(table[i].event)));
        tl_split_rest(&rest, &split, table[i].event, strlen(table[i].event));
        if (!tl_str_is(tl_buf_str(&rest), table[i].rest)) {
            fail_msg("%s leaves %.*s", table[i].event, (int)rest.len, rest.data);
        }
        for (uint32_t j = 1; j < split.count; j++) {
            assert_true(split.members[j - 1].pointer < split.members[j].pointer);
        }
        tl_buf_release(&rest);
    }
}

static void finds_names_with_escapes_and_above_the_surrogates(void **state)
{
    (void)state;
    static const char *const pointers[] = {
        "/\x01/\"", "/\n", "/\"", "/\\\t", "/a/\xef\xbf\xbf", "/a/\xf0\x90\x80\x80", "/~0~1",
    };
    static const char event[] = "{\"\\u0001\":{\"\\\"\":1},\"\\n\":2,\"\\\"\":3,\"\\\\\\t\":4,"
                                "\"a\":{\"\xf0\x90\x80\x80\":5,\"\xef\xbf\xbf\":6},\"~/\":7}";
    struct tl_split split;
    struct tl_buf rest;
    tl_buf_init(&rest, 1000);
    check_ok(add_all(pointers, TL_ARRAY_LEN(pointers)));
    check_ok(tl_json_check_canonical(event, strlen(event), NULL));
    check_ok(tl_split_event(&split, &set, event, strlen(event)));
    assert_int_equal(split.count, TL_ARRAY_LEN(pointers));
    tl_split_rest(&rest, &split, event, strlen(event));
    assert_true(tl_str_is(tl_buf_str(&rest), "{\"\\u0001\":{},\"a\":{}}"));
    tl_buf_release(&rest);
}

static void finds_names_that_are_written_with_escapes(void **state)
{
    (void)state;
    static const char *const pointers[] = { "/\b", "/\t", "/\n", "/\f", "/\r" };
    static const char event[] = "{\"\\b\":1,\"\\t\":2,\"\\n\":3,\"\\f\":4,\"\\r\":5,\"z\":6}";
    struct tl_split split;
    struct tl_buf rest;
    tl_buf_init(&rest, 4096);
    check_ok(add_all(pointers, TL_ARRAY_LEN(pointers)));
    check_ok(tl_split_event(&split, &set, event, strlen(event)));
    tl_split_rest(&rest, &split, event, strlen(event));
    assert_true(tl_str_is(tl_buf_str(&rest), "{\"z\":6}"));
    tl_buf_release(&rest);
}

static void sets_are_equal_if_their_pointers_are(void **state)
{
    (void)state;
    static struct tl_erasable_set other;
    memset(&other, 0, sizeof(other));
    check_ok(tl_erasable_add(&other, TL_STR("/a"), NULL));
    check_ok(add_all((const char *const[]){ "/a" }, 1));
    assert_true(tl_erasable_equal(&set, &other));
    check_ok(add_all((const char *const[]){ "/b" }, 1));
    assert_false(tl_erasable_equal(&set, &other));
    check_ok(add_all((const char *const[]){ "/a", "/b" }, 2));
    assert_false(tl_erasable_equal(&set, &other));
}

static void refuses_what_opens_a_member_twice(void **state)
{
    (void)state;
    static struct tl_opened opened;
    struct tl_buf out;
    tl_buf_init(&out, 4096);
    static const uint8_t salt[TL_SALT_LEN];
    opened = (struct tl_opened){ .salt0 = salt, .count = 2 };
    opened.parts[0] = (struct tl_opened_part){ .pointer = TL_STR("/a"), .part = salt };
    opened.parts[1] = (struct tl_opened_part){ .pointer = TL_STR("/b"), .part = salt };
    tl_opened_encode(&out, &opened);
    check_ok(tl_opened_decode(&opened, (const uint8_t *)out.data, out.len));
    tl_buf_clear(&out);
    opened.parts[0].pointer = opened.parts[1].pointer = TL_STR("/a");
    tl_opened_encode(&out, &opened);
    check_status(tl_opened_decode(&opened, (const uint8_t *)out.data, out.len), TALLY_ECORRUPT);
    tl_buf_release(&out);
}

static void refuses_events_that_are_not_canonical_where_it_looks(void **state)
{
    (void)state;
    static const char *const table[] = {
        "",
        "[]",
        "1",
        "{",
        "{\"a\"",
        "{\"a\":1",
        "{\"b\":1,\"a\":2}",
        "{\"a\":1,\"a\":2}",
        "{\"p\":{\"y\":1,\"x\":2}}",
        "{ \"a\":1}",
    };
    static const char *const pointers[] = { "/a", "/p/x", "/p/z", "/z" };
    check_ok(add_all(pointers, TL_ARRAY_LEN(pointers)));
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tl_split split;
        check_status(tl_split_event(&split, &set, table[i], strlen(table[i])), TALLY_ECORRUPT);
    }
}

static void refuses_sets_that_break_a_rule(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "", NULL },
        { "a", NULL },
        { "/a/b/c", NULL },
        { "/~2", NULL },
        { "/a~", NULL },
        { "/id", NULL },
        { "/severity/x", NULL },
        { "/action", NULL },
        { "/tenant_id", NULL },
        { "/outcome", NULL },
        { "/occurred_at", NULL },
        { "/\xff", NULL },
        { "/b", "/a" },
        { "/a", "/a" },
        { "/a", "/a/b" },
        { "/a~1b", "/a~1b/c" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        check_status(add_all(table[i], table[i][1] == NULL ? 1 : 2), TALLY_EINVAL);
    }
    static const char *const fine[] = { "/", "/a", "/ab", "/b/", "/b/c", "/id2", "/~0~1" };
    check_ok(add_all(fine, TL_ARRAY_LEN(fine)));
    check_ok(add_all(tl_erasable_default, TL_ARRAY_LEN(tl_erasable_default)));
}

static void bounds_pointers_and_sets(void **state)
{
    (void)state;
    char longest[TL_POINTER_LEN_MAX + 2];
    memset(longest, 1, sizeof(longest)); /* the character whose escape is longest */
    longest[0] = '/';
    set.count = 0;
    struct tl_str text = { .text = longest, .len = TL_POINTER_LEN_MAX + 1 };
    check_status(tl_erasable_add(&set, text, NULL), TALLY_EINVAL);
    text.len--;
    check_ok(tl_erasable_add(&set, text, NULL));
    assert_int_equal(set.pointers[0].tokens[0].len, 6 * (TL_POINTER_LEN_MAX - 1));
    for (int i = 1; i <= (int)TL_ERASABLE_MAX; i++) {
        char pointer[16];
        (void)snprintf(pointer, sizeof(pointer), "/p%03d", i);
        bool full = i == (int)TL_ERASABLE_MAX;
        check_status(tl_erasable_add(&set, tl_str_of(pointer), NULL),
                     full ? TALLY_EINVAL : TALLY_OK);
    }
}

static void every_bit_of_opened_counts(void **state)
{
    (void)state;
    const struct tl_json *row = vectors_section(&arena, "events")->first->next;
    const struct tl_json *after = vectors_get(row, "after_erasing")->first;
    struct tl_str blob = vectors_blob(&arena, after, "opened");
    uint8_t *bytes = tl_arena_alloc(&arena, blob.len);
    memcpy(bytes, blob.text, blob.len);
    static struct tl_opened opened;
    struct tl_buf out;
    tl_buf_init(&out, 10000);
    for (size_t bit = 0; bit < 8 * blob.len; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (tl_opened_decode(&opened, bytes, blob.len) == TALLY_OK) {
            tl_buf_clear(&out);
            tl_opened_encode(&out, &opened);
            assert_int_equal(out.len, blob.len);
            assert_memory_equal(out.data, bytes, blob.len);
        }
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < blob.len; cut++) {
        check_status(tl_opened_decode(&opened, bytes, cut), TALLY_ECORRUPT);
    }
    tl_buf_release(&out);
}

static tally_status commit_once(const void *ctx)
{
    static const char event[] = "{\"a\":1,\"b\":2}";
    const uint8_t seed[TL_SEED_LEN] = { 1 };
    uint8_t commit[TL_COMMIT_LEN];
    struct tl_split split;
    (void)ctx;
    TL_CLEANUP(tl_buf_release) struct tl_buf scratch = { 0 };
    tl_buf_init(&scratch, 1000);
    TL_TRY(tl_split_event(&split, &set, event, strlen(event)));
    return tl_commit_event(commit, &split, event, strlen(event), seed, &scratch);
}

static void commits_to_nothing_without_memory(void **state)
{
    (void)state;
    static const char *const pointers[] = { "/a" };
    check_ok(add_all(pointers, 1));
    assert_int_equal(fault_each_alloc(commit_once, NULL), 1);
}

/* What follows a name is not of it. */
static void compares_names_no_further_than_they_go(void **state)
{
    (void)state;
    struct tl_str a = { .text = "ab\\\"c1234", .len = 5 };
    struct tl_str b = { .text = "ab\\\"c9999", .len = 5 };
    struct tl_str longer = { .text = b.text, .len = 6 };
    assert_int_equal(tl_raw_name_compare(a, b), 0);
    assert_true(tl_raw_name_compare(a, longer) < 0);
    assert_true(tl_raw_name_compare(longer, a) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_the_preimages_of_the_vectors),
        cmocka_unit_test(splits_and_commits_as_the_vectors_say),
        cmocka_unit_test(opens_what_is_partly_erased_to_the_same_commitment),
        cmocka_unit_test(commits_to_the_control_payloads_of_the_vectors),
        cmocka_unit_test(cuts_commas_with_the_members),
        cmocka_unit_test(finds_names_with_escapes_and_above_the_surrogates),
        cmocka_unit_test(finds_names_that_are_written_with_escapes),
        cmocka_unit_test(sets_are_equal_if_their_pointers_are),
        cmocka_unit_test(refuses_what_opens_a_member_twice),
        cmocka_unit_test(refuses_events_that_are_not_canonical_where_it_looks),
        cmocka_unit_test(refuses_sets_that_break_a_rule),
        cmocka_unit_test(bounds_pointers_and_sets),
        cmocka_unit_test(every_bit_of_opened_counts),
        cmocka_unit_test(commits_to_nothing_without_memory),
        cmocka_unit_test(compares_names_no_further_than_they_go),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
