/* Any members of any event may be erased, in any order of steps: what is left opens to the same leaf. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "codec/json.h"
#include "evidence/reduce.h"
#include "fault.h"

#define EVENTS 3000u

/* Large: not on the stack. */
static struct tl_erasable_set set;
static struct tl_erasable_set erase;
static struct tl_split split;
static struct tl_reducer reducer;
static uint64_t state;

static unsigned chance(unsigned n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(state >> 33) % n;
}

/* Names that sort in unlike ways as JSON, as pointers and as bytes, with what JSON escapes. */
static const char *const names[] = {
    "a",
    "b",
    "a b",
    "\\\"",
    "\\\\",
    "\\n",
    "\\u0001",
    "~",
    "/",
    "",
    "\xc3\xa9",
    "\xee\x80\x80",
    "\xf0\x9f\x90\xa7",
    "~1",
    "\xef\xbf\xbd",
    "\xf0\x90\x80\x80",
};
static const char *const values[] = {
    "1",
    "-0.5",
    "\"\"",
    "\"x\"",
    "null",
    "[1,{\"a\":2}]",
    "{}",
    "\"\xf0\x9f\x90\xa7\"",
    "true",
    "{\"z\":1}",
    "\"a\\\"b\\\\c\"",
};

/* Appends an object with some of the names, in no order; some of them are objects themselves. */
static void add_object(struct tl_buf *out, unsigned depth)
{
    bool any = false;
    tl_buf_add_char(out, '{');
    for (size_t i = 0; i < TL_ARRAY_LEN(names); i++) {
        if (chance(3) == 0) {
            continue;
        }
        tl_buf_addf(out, "%s\"%s\":", any ? "," : "", names[i]);
        any = true;
        if (depth > 0 && chance(2) == 0) {
            add_object(out, depth - 1);
        } else {
            tl_buf_add_text(out, values[chance(TL_ARRAY_LEN(values))]);
        }
    }
    tl_buf_add_char(out, '}');
}

/* The canonical text of a random event. */
static void make_event(struct tl_buf *out, struct tl_arena *arena)
{
    struct tl_buf raw;
    const struct tl_json *root = NULL;
    tl_buf_init(&raw, (size_t)1 << 20);
    add_object(&raw, 1);
    tl_arena_reset(arena);
    check_ok(tl_json_read(arena, raw.data, raw.len, &tl_json_limits_format, &root, NULL));
    tl_buf_clear(out);
    tl_json_write(out, root);
    check_ok(tl_buf_status(out));
    tl_buf_release(&raw);
}

static void add_token(struct tl_buf *out, const char *raw)
{
    struct tl_buf name;
    tl_buf_init(&name, 64);
    check_ok(tl_json_unescape(&name, raw, strlen(raw)));
    tl_buf_add_char(out, '/');
    for (size_t i = 0; i < name.len; i++) {
        tl_buf_add_text(out, name.data[i] == '~' ? "~0" : name.data[i] == '/' ? "~1" : "");
        if (name.data[i] != '~' && name.data[i] != '/') {
            tl_buf_add_char(out, name.data[i]);
        }
    }
    tl_buf_release(&name);
}

/* Fills a set with what `of` names, or with anything, sorted. */
static void make_set(struct tl_erasable_set *out, const struct tl_erasable_set *of, unsigned share)
{
    static char texts[TL_ARRAY_LEN(names) * 4][TL_POINTER_LEN_MAX + 1];
    size_t count = 0;
    out->count = 0;
    for (uint32_t i = 0; of != NULL && i < of->count; i++) {
        if (chance(share) == 0) {
            check_ok(tl_erasable_add(out, tl_str_of(of->pointers[i].text), NULL));
        }
    }
    struct tl_buf text;
    tl_buf_init(&text, 256);
    for (size_t i = 0; of == NULL && i < TL_ARRAY_LEN(names); i++) {
        bool deep = chance(2) == 0;
        for (size_t k = 0; k < (deep ? 3 : 1); k++) {
            tl_buf_clear(&text);
            add_token(&text, names[i]);
            if (deep) {
                add_token(&text, names[chance(TL_ARRAY_LEN(names))]);
            }
            tl_str_copy(texts[count++], sizeof(texts[0]), tl_buf_str(&text));
        }
    }
    for (size_t n = 0; n < count; n++) { /* the smallest that is left; doubles are refused */
        size_t least = 0;
        for (size_t i = 1; i < count; i++) {
            least = strcmp(texts[i], texts[least]) < 0 ? i : least;
        }
        if (chance(share) == 0) {
            (void)tl_erasable_add(out, tl_str_of(texts[least]),
                                  NULL); /* within another: left out */
        }
        memcpy(texts[least], "\xff", 2);
    }
    tl_buf_release(&text);
}

/* What a store keeps. */
struct kept {
    struct tl_buf event;
    struct tl_buf opened;
    uint8_t seed[TL_SEED_LEN];
    bool whole;
};

static struct tally_record record_of(const struct kept *kept)
{
    struct tally_record record = { .event = kept->event.data, .event_len = kept->event.len };
    if (kept->whole) {
        record.seed = kept->seed;
        record.seed_len = sizeof(kept->seed);
    } else {
        record.opened = (const uint8_t *)kept->opened.data;
        record.opened_len = kept->opened.len;
    }
    return record;
}

static void keep(struct kept *kept)
{
    tl_buf_clear(&kept->event);
    tl_buf_clear(&kept->opened);
    tl_buf_add_str(&kept->event, tl_buf_str(&reducer.event));
    tl_buf_add_str(&kept->opened, tl_buf_str(&reducer.opened));
    kept->whole = false;
}

static struct tl_str value_at(const struct tl_split *of, struct tl_str pointer, const char *event)
{
    for (uint32_t i = 0; i < of->count; i++) {
        if (tl_str_is(pointer, of->members[i].pointer->text)) {
            return (struct tl_str){ event + of->members[i].value_start,
                                    of->members[i].value_end - of->members[i].value_start };
        }
    }
    return (struct tl_str){ 0 };
}

/* Opens what is kept without the code under test, and compares with the leaf. */
static void check_opens(const struct kept *kept, const uint8_t commit[TL_COMMIT_LEN])
{
    struct tl_opened opened;
    struct tl_commit_part parts[TL_ERASABLE_MAX];
    struct tl_buf rest;
    uint8_t opens_to[TL_COMMIT_LEN];
    check_ok(tl_json_check_canonical(kept->event.data, kept->event.len, NULL));
    check_ok(tl_opened_decode(&opened, (const uint8_t *)kept->opened.data, kept->opened.len));
    check_ok(tl_split_event(&split, &set, kept->event.data, kept->event.len));
    for (uint32_t i = 0; i < opened.count; i++) {
        const struct tl_opened_part *part = &opened.parts[i];
        struct tl_str value = value_at(&split, part->pointer, kept->event.data);
        assert_int_equal(part->erased, value.text == NULL);
        parts[i].pointer = part->pointer;
        if (part->erased) {
            memcpy(parts[i].digest, part->part, 32);
        } else {
            tl_member_digest(parts[i].digest, part->part, part->pointer, value);
        }
    }
    tl_buf_init(&rest, (size_t)1 << 20);
    tl_split_rest(&rest, &split, kept->event.data, kept->event.len);
    tl_commit_parts(opens_to, opened.salt0, tl_buf_str(&rest), parts, opened.count);
    assert_memory_equal(opens_to, commit, sizeof(opens_to));
    tl_buf_release(&rest);
}

static uint32_t count_members(const struct kept *kept, const struct tl_erasable_set *of)
{
    check_ok(tl_split_event(&split, of, kept->event.data, kept->event.len));
    return split.count;
}

static void seal(struct kept *kept, uint8_t commit[TL_COMMIT_LEN])
{
    struct tl_buf scratch;
    tl_buf_init(&scratch, (size_t)1 << 20);
    for (size_t i = 0; i < sizeof(kept->seed); i++) {
        kept->seed[i] = (uint8_t)chance(256);
    }
    check_ok(tl_split_event(&split, &set, kept->event.data, kept->event.len));
    check_ok(
        tl_commit_event(commit, &split, kept->event.data, kept->event.len, kept->seed, &scratch));
    kept->whole = true;
    tl_buf_release(&scratch);
}

static void start(struct kept *kept)
{
    *kept = (struct kept){ .whole = true };
    tl_buf_init(&kept->event, (size_t)1 << 20);
    tl_buf_init(&kept->opened, (size_t)1 << 20);
    tl_reducer_init(&reducer);
}

static void stop(struct kept *kept)
{
    tl_buf_release(&kept->event);
    tl_buf_release(&kept->opened);
    tl_reducer_release(&reducer);
}

static void whatever_is_erased_the_rest_opens(void **unused)
{
    (void)unused;
    struct kept kept;
    struct tl_arena arena;
    unsigned reduced = 0;
    tl_arena_init(&arena, (size_t)16 << 20);
    start(&kept);
    state = 42;
    for (unsigned n = 0; n < EVENTS; n++) {
        uint8_t commit[TL_COMMIT_LEN];
        make_event(&kept.event, &arena);
        make_set(&set, NULL, 2);
        seal(&kept, commit);
        for (unsigned step = 0; step < 4; step++) {
            make_set(&erase, &set, step == 3 ? 1 : 3); /* in the end all of them */
            uint32_t members = count_members(&kept, &erase);
            uint32_t before = count_members(&kept, &set);
            size_t len = kept.event.len;
            struct tally_record record = record_of(&kept);
            tally_status status = tl_reduce_record(&reducer, &record, &set, &erase, commit);
            if (members == 0) {
                check_status(status, TALLY_ENOTFOUND);
                continue;
            }
            check_ok(status);
            assert_int_equal(reducer.members, members);
            assert_int_equal(reducer.event.len, len - reducer.bytes);
            keep(&kept);
            check_opens(&kept, commit);
            assert_int_equal(count_members(&kept, &erase), 0);
            assert_int_equal(count_members(&kept, &set), before - members);
            reduced++;
        }
    }
    assert_true(reduced > EVENTS);
    stop(&kept);
    tl_arena_release(&arena);
}

#define EVENT "{\"a\":1,\"b\":{\"c\":\"secret\",\"d\":2},\"e\":[3]}"

static void add(struct tl_erasable_set *to, const char *pointer)
{
    check_ok(tl_erasable_add(to, tl_str_of(pointer), NULL));
}

static void make_plain(struct kept *kept, uint8_t commit[TL_COMMIT_LEN])
{
    start(kept);
    tl_buf_add_text(&kept->event, EVENT);
    set.count = 0;
    erase.count = 0;
    add(&set, "/a");
    add(&set, "/b/c");
    add(&set, "/f");
    add(&erase, "/b/c");
    seal(kept, commit);
}

static void neither_salt_nor_value_of_what_is_erased_is_left(void **unused)
{
    (void)unused;
    struct kept kept;
    uint8_t commit[TL_COMMIT_LEN];
    uint8_t salt[TL_SALT_LEN];
    make_plain(&kept, commit);
    tl_salt(salt, kept.seed, TL_STR("/b/c"));
    struct tally_record record = record_of(&kept);
    check_ok(tl_reduce_record(&reducer, &record, &set, &erase, commit));
    keep(&kept);
    tl_buf_add_char(&kept.event, '\0');
    assert_string_equal(kept.event.data, "{\"a\":1,\"b\":{\"d\":2},\"e\":[3]}");
    assert_null(memmem(kept.opened.data, kept.opened.len, salt, sizeof(salt)));
    assert_null(memmem(kept.opened.data, kept.opened.len, kept.seed, sizeof(kept.seed)));
    stop(&kept);
}

static void what_was_never_set_apart_stays(void **unused)
{
    (void)unused;
    struct kept kept;
    uint8_t commit[TL_COMMIT_LEN];
    make_plain(&kept, commit);
    struct tally_record record = record_of(&kept);
    erase.count = 0;
    add(&erase, "/b");
    check_status(tl_reduce_record(&reducer, &record, &set, &erase, commit), TALLY_EINVAL);
    erase.count = 0;
    add(&erase, "/b/x");
    check_status(tl_reduce_record(&reducer, &record, &set, &erase, commit), TALLY_ENOTFOUND);
    stop(&kept);
}

/* What is wrong in a record stays as it is, so that it is found. */
static void what_was_changed_is_not_reduced(void **unused)
{
    (void)unused;
    struct kept kept;
    uint8_t commit[TL_COMMIT_LEN];
    make_plain(&kept, commit);
    struct tally_record record = record_of(&kept);
    commit[3] ^= 1;
    check_status(tl_reduce_record(&reducer, &record, &set, &erase, commit), TALLY_ECORRUPT);
    commit[3] ^= 1;
    record.seed_len--;
    check_status(tl_reduce_record(&reducer, &record, &set, &erase, commit), TALLY_ECORRUPT);
    record = record_of(&kept);
    record.seed = NULL;
    check_status(tl_reduce_record(&reducer, &record, &set, &erase, commit), TALLY_ECORRUPT);

    record = record_of(&kept);
    check_ok(tl_reduce_record(&reducer, &record, &set, &erase, commit));
    keep(&kept);
    erase.count = 0;
    add(&erase, "/a");
    for (size_t i = 0; i < kept.opened.len; i++) {
        kept.opened.data[i] = (char)(kept.opened.data[i] ^ 1);
        record = record_of(&kept);
        check_status(tl_reduce_record(&reducer, &record, &set, &erase, commit), TALLY_ECORRUPT);
        kept.opened.data[i] = (char)(kept.opened.data[i] ^ 1);
    }
    record = record_of(&kept);
    record.event = EVENT; /* the member is back, though it is said to be gone */
    record.event_len = strlen(EVENT);
    check_status(tl_reduce_record(&reducer, &record, &set, &erase, commit), TALLY_ECORRUPT);
    stop(&kept);
}

static tally_status reduce_once(const void *ctx)
{
    static struct tl_reducer one;
    tl_reducer_init(&one);
    struct tally_record record = record_of(ctx);
    uint8_t commit[TL_COMMIT_LEN] = { 0 };
    tally_status status = tl_reduce_record(&one, &record, &set, &erase, commit);
    tl_reducer_release(&one);
    return status == TALLY_ECORRUPT ? TALLY_OK : status; /* of another commitment */
}

static void want_of_memory_is_told(void **unused)
{
    (void)unused;
    struct kept kept;
    uint8_t commit[TL_COMMIT_LEN];
    make_plain(&kept, commit);
    assert_true(fault_each_alloc(reduce_once, &kept) >= 3);
    stop(&kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_erased_the_rest_opens),
        cmocka_unit_test(neither_salt_nor_value_of_what_is_erased_is_left),
        cmocka_unit_test(what_was_never_set_apart_stays),
        cmocka_unit_test(what_was_changed_is_not_reduced),
        cmocka_unit_test(want_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
