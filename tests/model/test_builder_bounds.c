/* Events built member by member: their bounds, their memory, and hostile values at random. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "built.h"
#include "check.h"
#include "codec/json.h"
#include "fault.h"

#define MEMORY ((size_t)64 << 20)

/* Each is more than an event may hold. */
static char *big; /* 2 MiB of x */
static void set_a_huge_member(void)
{
    tally_event_set(built, TALLY_REASON, big);
}
static void add_a_huge_text(void)
{
    tally_event_add_text(built, TALLY_METADATA, "a", big);
}
static void add_huge_bytes(void)
{
    tally_event_add_binary(built, TALLY_METADATA, "a", big, strlen(big));
}
static void add_huge_json(void)
{
    tally_event_add_json(built, TALLY_METADATA, "a", big, strlen(big));
}
static void format_huge_text(void)
{
    tally_event_add_format(built, TALLY_METADATA, "a", "%s", big);
}
static void add_halves(void)
{
    for (int i = 0; i < 2; i++) {
        tally_event_add_text_len(built, TALLY_METADATA, i == 0 ? "a" : "b", big,
                                 TL_EVENT_BYTES_MAX / 2);
    }
}
static void add_more_than_memory_holds(void)
{
    for (int i = 0; i < 64; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "%d", i);
        tally_event_add_text_len(built, TALLY_METADATA, name, big, TL_EVENT_BYTES_MAX);
    }
}
static void add_many_arrays(void)
{
    size_t len = 0;
    big[len++] = '[';
    for (int i = 0; i < 100; i++) {
        big[len++] = i == 0 ? ' ' : ',';
        big[len++] = '[';
        for (int k = 0; k < 2500; k++) {
            big[len++] = k == 0 ? ' ' : ',';
            big[len++] = '[';
            big[len++] = ']';
        }
        big[len++] = ']';
    }
    big[len++] = ']';
    tally_event_add_json(built, TALLY_METADATA, "a", big, len);
}

static void more_than_a_mebibyte_is_a_limit(void **state)
{
    (void)state;
    static void (*const cases[])(void) = {
        set_a_huge_member,
        add_a_huge_text,
        add_huge_bytes,
        add_huge_json,
        format_huge_text,
        add_halves,
        add_more_than_memory_holds,
        add_many_arrays,
    };
    size_t len = 2 * TL_EVENT_BYTES_MAX;
    big = tl_alloc_array(len + 1, 1);
    assert_non_null(big);
    memset(big, 'x', len);
    for (size_t i = 0; i < TL_ARRAY_LEN(cases); i++) {
        tally_event_clear(built);
        cases[i]();
        built_check_failed(TALLY_ELIMIT, "too_large", "");
        built_check_failed(TALLY_ELIMIT, "too_large", "");
    }
    tally_event_clear(built);
    tally_event_add_text_len(built, TALLY_METADATA, "a", big, TL_EVENT_BYTES_MAX - 21);
    assert_non_null(built_text(&len));
    assert_int_equal(len, TL_EVENT_BYTES_MAX);
    tl_free(big);
}

/* Everything that allocates; the event is usable after each failure. */
static void use_all(void)
{
    static char text[5000];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    tally_event_set(built, TALLY_ACTION, "a");
    tally_event_add_target(built, "t", text, "n");
    tally_event_add_tag(built, "tag");
    tally_event_add_text(built, TALLY_METADATA, text, text);
    tally_event_add_binary(built, TALLY_METADATA, "b", text, sizeof(text));
    tally_event_add_format(built, TALLY_METADATA, "f", "%s%s", text, "\xff");
    tally_event_add_format(built, TALLY_METADATA, "g", "%d%n", 1, &(int){ 0 });
    tally_event_add_json(built, TALLY_METADATA, "j", "[[[[1,2,3]]]]", 13);
    tally_event_open(built, TALLY_METADATA, "o", '[');
    for (int i = 0; i < 300; i++) {
        tally_event_add_double(built, TALLY_METADATA, NULL, 1e18);
    }
}

static tally_status build_all(const void *ctx)
{
    const char *text = NULL;
    size_t len = 0;
    struct tally_event *before = built;
    bool fresh = ctx == NULL;
    if (fresh && tally_event_new(&built, NULL) != TALLY_OK) {
        return TALLY_ENOMEM;
    }
    tally_event_clear(built);
    use_all();
    tally_status status = tally_event_text(built, &text, &len, NULL);
    if (fresh) {
        tally_event_free(built);
        built = before;
    }
    return status;
}

static void reports_that_it_ran_out_of_memory(void **state)
{
    (void)state;
    assert_true(fault_each_alloc(build_all, NULL) > 5);
}

static void an_event_that_is_used_again_allocates_nothing(void **state)
{
    (void)state;
    check_ok(build_all(built));
    check_ok(build_all(built));
    assert_int_equal(fault_each_alloc(build_all, built), 0);
}

static void goes_on_after_it_ran_out_of_memory(void **state)
{
    (void)state;
    assert_true(fault_each_alloc(build_all, built) > 0);
    tally_event_clear(built);
    tally_event_set(built, TALLY_ACTION, "a");
    built_check("{\"action\":\"a\"}");
}

static void an_event_that_was_large_gives_memory_back(void **state)
{
    (void)state;
    big = tl_alloc_array(TL_EVENT_BYTES_MAX, 1);
    assert_non_null(big);
    memset(big, 'x', TL_EVENT_BYTES_MAX - 100);
    tally_event_add_text(built, TALLY_METADATA, "a", big);
    size_t len = 0;
    assert_non_null(built_text(&len));
    tally_event_clear(built);
    built_check("{}");
    tl_free(big);
}

/* ---- random calls ---- */

static uint64_t seed;

static uint32_t draw(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

/* Hostile pieces, put together at random. */
static void draw_text(char *out, size_t pieces_max)
{
    static const char *const pieces[] = {
        "a",
        "\"",
        "\\",
        "\n",
        "\x01",
        "\x7f",
        "{",
        "}",
        "]",
        ",",
        ":",
        "\\u0000",
        "\xff",
        "\xed\xa0\x80",
        "\xc3\xa9",
        "\xe2\x82",
        "\xf0\x9f\x98\x80",
        "%n",
        "\"},\"x\":{\"",
        "0",
        "a long piece of plain text that takes more than one block",
    };
    size_t len = 0;
    for (size_t count = draw((uint32_t)pieces_max); count > 0; count--) {
        const char *piece = pieces[draw(TL_ARRAY_LEN(pieces))];
        memcpy(out + len, piece, strlen(piece));
        len += strlen(piece);
    }
    out[len] = '\0';
}

/* Adds 40 values at random; returns how many objects, arrays and plain values there must be. */
static void build_at_random(size_t counts[3])
{
    uint32_t open[17] = { 0 }; /* whether an array is open, at each depth */
    uint32_t depth = 0;
    memset(counts, 0, 3 * sizeof(counts[0]));
    for (int i = 0; i < 40; i++) {
        char text[700];
        char name[720];
        draw_text(text, 10);
        draw_text(name, 10);
        /* Behind anything, a number makes it unique. */
        (void)snprintf(name + strlen(name), 12, "%d", i);
        const char *key = open[depth] ? NULL : name;
        uint32_t call = draw(10);
        uint32_t number = draw(1000);
        if (call < 2 && depth < 16) {
            tally_event_open(built, TALLY_METADATA, key, call == 0 ? '[' : '{');
            open[++depth] = call == 0;
            counts[call == 0]++;
            continue;
        }
        if (call < 5 && depth > 0) {
            tally_event_close(built, TALLY_METADATA);
            depth--;
            continue;
        }
        counts[2]++;
        if (call < 6) {
            tally_event_add_text(built, TALLY_METADATA, key, text);
        } else if (call < 7) {
            tally_event_add_text_len(built, TALLY_METADATA, key, text, strlen(text) + 1);
        } else if (call < 8) {
            tally_event_add_format(built, TALLY_METADATA, key, "%s", text);
        } else if (call < 9) {
            tally_event_add_double(built, TALLY_METADATA, key, ldexp(number, (int)draw(80)));
        } else {
            tally_event_add_bool(built, TALLY_METADATA, key, i);
        }
    }
}

static void count_values(const struct tl_json *value, size_t counts[3])
{
    counts[value->type == TL_JSON_OBJECT ? 0 : value->type == TL_JSON_ARRAY ? 1 : 2]++;
    for (const struct tl_json *child = value->first; child != NULL; child = child->next) {
        count_values(child, counts);
    }
}

static void nothing_in_a_value_changes_the_shape(void **state)
{
    (void)state;
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    tl_arena_init(&arena, MEMORY);
    for (seed = 1; seed < 3000; seed++) {
        uint64_t first = seed;
        size_t want[3];
        size_t got[3] = { 0 };
        tally_event_clear(built);
        tl_arena_reset(&arena);
        tally_event_set(built, TALLY_ACTION, "a");
        char reason[700];
        draw_text(reason, 10);
        tally_event_set(built, TALLY_REASON, reason);
        build_at_random(want);
        size_t len = 0;
        const char *text = built_text(&len);
        const struct tl_json *root = NULL;
        check_ok(tl_json_read(&arena, text, len, &tl_json_limits_format, &root, NULL));
        const struct tl_json *metadata = tl_json_member(root, "metadata");
        want[0]++;
        if (metadata != NULL) {
            count_values(metadata, got);
        } else {
            got[0]++;
        }
        assert_memory_equal(got, want, sizeof(got));
        assert_true(root->count <= 4);
        tl_free(built_canonical());
        seed = first;
    }
}

int main(void)
{
#define BUILT(name) cmocka_unit_test_setup_teardown(name, built_set_up, built_tear_down)
    const struct CMUnitTest tests[] = {
        BUILT(more_than_a_mebibyte_is_a_limit),
        BUILT(reports_that_it_ran_out_of_memory),
        BUILT(an_event_that_is_used_again_allocates_nothing),
        BUILT(goes_on_after_it_ran_out_of_memory),
        BUILT(an_event_that_was_large_gives_memory_back),
        BUILT(nothing_in_a_value_changes_the_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
