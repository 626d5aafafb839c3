#include <stdio.h>
#include <string.h>

#include "check.h"
#include "evidence/note.h"
#include "fault.h"
#include "vectors.h"

static struct tl_arena arena;
static struct tl_note note;

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

/* The nth key of the vectors: 0 log, 1 epoch 0, 2 epoch 56, 3 witness, 4 approver. */
static const struct tl_json *key_row(size_t n)
{
    const struct tl_json *row = vectors_section(&arena, "keys")->first;
    while (n-- > 0) {
        row = row->next;
    }
    return row;
}

static struct tl_vkey key_of(const struct tl_json *row)
{
    struct tl_vkey key;
    check_ok(tl_vkey_parse(&key, vectors_text(row, "vkey"), NULL));
    return key;
}

static void makes_the_keys_of_the_vectors(void **state)
{
    (void)state;
    const struct tl_json *row = key_row(0);
    for (; row != NULL; row = row->next) {
        struct tl_vkey made;
        uint8_t seed[32];
        uint8_t public_key[32];
        char text[TL_VKEY_SIZE];
        vectors_bytes(seed, sizeof(seed), row, "seed");
        check_ok(tl_ed25519_public(public_key, seed));
        vectors_check(row, "public", public_key, sizeof(public_key));
        check_ok(tl_vkey_make(&made, vectors_text(row, "name"), (uint8_t)vectors_u64(row, "type"),
                              public_key, NULL));
        (void)snprintf(text, sizeof(text), "%08x", made.key_id);
        vectors_check_text(row, "key_id", tl_str_of(text));
        tl_vkey_format(text, &made);
        vectors_check_text(row, "vkey", tl_str_of(text));
        struct tl_vkey parsed = key_of(row);
        assert_true(tl_vkey_equal(&made, &parsed));
    }
}

static void every_bit_of_a_key_counts(void **state)
{
    (void)state;
    struct tl_vkey key = key_of(key_row(0));
    char text[TL_VKEY_SIZE];
    tl_vkey_format(text, &key);
    size_t len = strlen(text);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        struct tl_vkey other;
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
        check_status(tl_vkey_parse(&other, (struct tl_str){ .text = text, .len = len }, NULL),
                     TALLY_EINVAL);
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
    }
    for (size_t cut = 0; cut < len; cut++) {
        struct tl_vkey other;
        check_status(tl_vkey_parse(&other, (struct tl_str){ .text = text, .len = cut }, NULL),
                     TALLY_EINVAL);
    }
}

static void refuses_origins_with_white_space_or_plus(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",     "a b",          "a\n",          "a\tb",          "a+b",          "a\x7f",
        "\x01", "a\xc2\x85",    "a\xc2\xa0",    "a\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x8a",
        "\xff", "\xe2\x80\xa8", "\xe2\x81\x9f", "\xe3\x80\x80",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(bad); i++) {
        assert_false(tl_origin_is_valid(tl_str_of(bad[i])));
    }
    assert_true(tl_origin_is_valid(TL_STR("audit.example.com/prod-7f3a9c21")));
    assert_true(tl_origin_is_valid(TL_STR("\xc3\xa9\xe2\x80\x8b")));
    char name[TL_KEY_NAME_LEN_MAX + 1];
    const uint8_t public_key[32] = { 1 };
    struct tl_vkey key;
    memset(name, 'a', sizeof(name));
    assert_true(tl_origin_is_valid((struct tl_str){ .text = name, .len = TL_ORIGIN_LEN_MAX }));
    assert_false(tl_origin_is_valid((struct tl_str){ .text = name, .len = TL_ORIGIN_LEN_MAX + 1 }));
    struct tl_str longest = { .text = name, .len = TL_KEY_NAME_LEN_MAX };
    check_ok(tl_vkey_make(&key, longest, 4, public_key, NULL));
    char text[TL_VKEY_SIZE];
    tl_vkey_format(text, &key); /* fits */
    longest.len++;
    check_status(tl_vkey_make(&key, longest, 4, public_key, NULL), TALLY_EINVAL);
    check_status(tl_vkey_make(&key, TL_STR("a"), 2, public_key, NULL), TALLY_EINVAL);
}

static void signs_the_checkpoint_of_the_vectors(void **state)
{
    (void)state;
    const struct tl_json *section = vectors_section(&arena, "checkpoint");
    struct tl_str body = vectors_text(section, "body");
    struct tl_checkpoint_body parsed;
    struct tl_buf out;
    tl_buf_init(&out, TL_NOTE_LEN_MAX);
    check_ok(tl_checkpoint_parse(&parsed, body, NULL));
    assert_int_equal(parsed.size, 702);
    tl_checkpoint_format(&out, &parsed);
    vectors_check_text(section, "body", tl_buf_str(&out));
    tl_buf_add_char(&out, '\n');

    static const struct {
        size_t key;
        uint64_t late;
    } signers[] = { { 0, 0 }, { 2, 0 }, { 3, 1 } };
    for (size_t i = 0; i < TL_ARRAY_LEN(signers); i++) {
        const struct tl_json *row = key_row(signers[i].key);
        struct tl_vkey key = key_of(row);
        uint8_t seed[32];
        vectors_bytes(seed, sizeof(seed), row, "seed");
        check_ok(tl_note_sign(&out, body.len, &key, seed,
                              vectors_u64(section, "time") + signers[i].late));
    }
    vectors_check_text(section, "note", tl_buf_str(&out));
    tl_buf_release(&out);
}

static enum tl_note_verdict verdict_of(size_t key, uint64_t *time_out)
{
    struct tl_vkey vkey = key_of(key_row(key));
    enum tl_note_verdict verdict = TL_NOTE_BAD;
    check_ok(tl_note_verify(&note, &vkey, &verdict, time_out));
    return verdict;
}

static void verifies_the_note_of_the_vectors(void **state)
{
    (void)state;
    const struct tl_json *section = vectors_section(&arena, "checkpoint");
    struct tl_str text = vectors_text(section, "note");
    uint64_t time_s = 9;
    check_ok(tl_note_parse(&note, text.text, text.len, NULL));
    assert_int_equal(note.line_count, 3);
    vectors_check_text(section, "body", note.body);
    vectors_check(section, "log_signature", note.lines[0].blob, note.lines[0].blob_len);
    vectors_check(section, "epoch_signature", note.lines[1].blob + 8, 64);
    assert_int_equal(verdict_of(0, &time_s), TL_NOTE_GOOD);
    assert_int_equal(time_s, 0);
    assert_int_equal(verdict_of(2, &time_s), TL_NOTE_GOOD);
    assert_int_equal(time_s, vectors_u64(section, "time"));
    assert_int_equal(verdict_of(3, NULL), TL_NOTE_GOOD);
    assert_int_equal(verdict_of(1, &time_s), TL_NOTE_NO_LINE);
    assert_int_equal(verdict_of(4, &time_s), TL_NOTE_NO_LINE);
    assert_int_equal(time_s, 0);
}

static void every_bit_of_a_note_counts(void **state)
{
    (void)state;
    struct tl_str text = vectors_text(vectors_section(&arena, "checkpoint"), "note");
    char *bytes = tl_arena_alloc(&arena, text.len);
    memcpy(bytes, text.text, text.len);
    const struct tl_vkey keys[] = { key_of(key_row(0)), key_of(key_row(2)), key_of(key_row(3)) };
    for (size_t bit = 0; bit < 8 * text.len; bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        if (tl_note_parse(&note, bytes, text.len, NULL) == TALLY_OK) {
            size_t good = 0;
            for (size_t i = 0; i < TL_ARRAY_LEN(keys); i++) {
                enum tl_note_verdict verdict = TL_NOTE_NO_LINE;
                check_ok(tl_note_verify(&note, &keys[i], &verdict, NULL));
                good += verdict == TL_NOTE_GOOD;
            }
            assert_true(good < TL_ARRAY_LEN(keys));
        }
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
    }
}

static void one_bad_line_of_a_key_condemns_the_note(void **state)
{
    (void)state;
    const struct tl_json *row = key_row(0);
    struct tl_vkey key = key_of(row);
    uint8_t seed[32];
    uint8_t other_seed[32];
    vectors_bytes(seed, sizeof(seed), row, "seed");
    vectors_bytes(other_seed, sizeof(other_seed), key_row(3), "seed");
    for (int bad_first = 0; bad_first < 2; bad_first++) {
        enum tl_note_verdict verdict = TL_NOTE_GOOD;
        struct tl_buf out;
        tl_buf_init(&out, TL_NOTE_LEN_MAX);
        tl_buf_add_text(&out, "text\n\n");
        check_ok(tl_note_sign(&out, 5, &key, bad_first ? other_seed : seed, 0));
        check_ok(tl_note_sign(&out, 5, &key, bad_first ? seed : other_seed, 0));
        check_ok(tl_note_parse(&note, out.data, out.len, NULL));
        check_ok(tl_note_verify(&note, &key, &verdict, NULL));
        assert_int_equal(verdict, TL_NOTE_BAD);
        tl_buf_release(&out);
    }
}

#define SIG64 \
    "Ar1fbeIqtXXSKWQXV4Mmg0nx/MZDcdJ5JKd88EjkZkLMDKDgeAAxmYOmi6AW+/HA9NM7i0FU5wmkKj4hUFeYSSmc1wc="

static void ignores_signatures_of_unknown_lengths(void **state)
{
    (void)state;
    static const char text[] = "a\n\n\xe2\x80\x94 x AAAAAQI=\n\xe2\x80\x94 x " SIG64 "\n"
                               "\xe2\x80\x94 x "
                               "AAAAAQIDAAAA"
                               "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                               "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                               "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";
    check_ok(tl_note_parse(&note, text, sizeof(text) - 1, NULL));
    assert_int_equal(note.line_count, 3);
    assert_int_equal(note.lines[0].key_id, 1);
    assert_int_equal(note.lines[0].blob_len, 0);
    assert_int_equal(note.lines[1].blob_len, 64);
    assert_int_equal(note.lines[2].key_id, 1);
    assert_int_equal(note.lines[2].blob_len, 0);
}

static void long_signatures_are_base64_up_to_their_end(void **state)
{
    (void)state;
    static const char before[] = "a\n\n\xe2\x80\x94 x ";
    struct tl_buf text;
    tl_buf_init(&text, 1000);
    for (size_t at = 0; at < 400; at++) {
        tl_buf_clear(&text);
        tl_buf_add_text(&text, before);
        for (size_t i = 0; i < 400; i++) {
            tl_buf_add_char(&text, "AAAB"[i % 4]);
        }
        tl_buf_add_text(&text, "\n");
        check_ok(tl_note_parse(&note, text.data, text.len, NULL));
        for (size_t i = 0; i < 3; i++) {
            text.data[sizeof(before) - 1 + at] = " =-"[i];
            bool pads = at == 399 && i == 1; /* of which "AAA=" makes sense */
            check_status(tl_note_parse(&note, text.data, text.len, NULL),
                         pads ? TALLY_OK : TALLY_ECORRUPT);
        }
    }
    tl_buf_release(&text);
}

static void a_line_of_a_known_key_with_another_length_is_bad(void **state)
{
    (void)state;
    struct tl_vkey key = key_of(key_row(2));
    key.key_id = 0x02bd5f6d; /* that of the signature below, which is of 64 bytes */
    struct tl_buf text;
    enum tl_note_verdict verdict = TL_NOTE_GOOD;
    tl_buf_init(&text, 1000);
    tl_buf_addf(&text, "a\n\n\xe2\x80\x94 %s " SIG64 "\n", key.name);
    check_ok(tl_note_parse(&note, text.data, text.len, NULL));
    check_ok(tl_note_verify(&note, &key, &verdict, NULL));
    assert_int_equal(verdict, TL_NOTE_BAD);
    tl_buf_release(&text);
}

static void refuses_what_is_no_note(void **state)
{
    (void)state;
    static const char *const table[] = {
        "",
        "\n\n",
        "a\n\n",
        "a\n\xe2\x80\x94 x " SIG64 "\n",
        "a\n\n\xe2\x80\x94 x " SIG64,
        "a\n\n\xe2\x80\x94 x " SIG64 "\n\n",
        "a\n\n\xe2\x80\x94 x  " SIG64 "\n",
        "a\n\n\xe2\x80\x94  " SIG64 "\n",
        "a\n\n\xe2\x80\x94 x+y " SIG64 "\n",
        "a\n\n- x " SIG64 "\n",
        "a\n\n\xe2\x80\x94 x AAAAAA==\n",
        "a\n\n\xe2\x80\x94 x AAAAAQI\n",
        "a\n\n\xe2\x80\x94 x\n",
        "a\r\n\n\xe2\x80\x94 x " SIG64 "\n",
        "\xff\n\n\xe2\x80\x94 x " SIG64 "\n",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        check_status(tl_note_parse(&note, table[i], strlen(table[i]), NULL), TALLY_ECORRUPT);
    }
    static const char second[] = "a\n\n\xe2\x80\x94 x " SIG64 "\n- x " SIG64 "\n";
    struct tally_error error = TALLY_ERROR_INIT;
    check_status(tl_note_parse(&note, second, sizeof(second) - 1, &error), TALLY_ECORRUPT);
    assert_non_null(strstr(error.message, "line 2"));
}

static void bounds_lines_and_bytes(void **state)
{
    (void)state;
    struct tl_buf text;
    tl_buf_init(&text, 2 * (size_t)TL_NOTE_LEN_MAX);
    tl_buf_add_text(&text, "a\n\n");
    for (size_t i = 0; i < TL_NOTE_LINES_MAX; i++) {
        tl_buf_add_text(&text, "\xe2\x80\x94 x " SIG64 "\n");
    }
    check_ok(tl_note_parse(&note, text.data, text.len, NULL));
    tl_buf_add_text(&text, "\xe2\x80\x94 x " SIG64 "\n");
    check_status(tl_note_parse(&note, text.data, text.len, NULL), TALLY_ECORRUPT);

    tl_buf_clear(&text);
    static const char tail[] = "\n\n\xe2\x80\x94 x " SIG64 "\n";
    while (text.len < TL_NOTE_LEN_MAX - (sizeof(tail) - 1)) {
        tl_buf_add_char(&text, 'a');
    }
    tl_buf_add_text(&text, tail);
    check_ok(tl_note_parse(&note, text.data, text.len, NULL));
    tl_buf_clear(&text);
    while (text.len <= TL_NOTE_LEN_MAX - (sizeof(tail) - 1)) {
        tl_buf_add_char(&text, 'a');
    }
    tl_buf_add_text(&text, tail);
    check_status(tl_note_parse(&note, text.data, text.len, NULL), TALLY_ECORRUPT);
    tl_buf_release(&text);
}

#define ROOT "cUI591AOaKeOQifvzvvbrZijBj3fKhWfvISOdS1YoCA="

static void a_checkpoint_has_exactly_three_lines(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        tally_status want;
    } table[] = {
        { "o\n702\n" ROOT "\n", TALLY_OK },
        { "o\n0\n" ROOT "\n", TALLY_OK },
        { "o\n9223372036854775807\n" ROOT "\n", TALLY_OK },
        { "o\n9223372036854775808\n" ROOT "\n", TALLY_ECORRUPT },
        { "o\n702\n" ROOT "\nx\n", TALLY_ECORRUPT },
        { "o\n702\n" ROOT "\n\n", TALLY_ECORRUPT },
        { "o\n702\n" ROOT, TALLY_ECORRUPT },
        { "o\n702\n", TALLY_ECORRUPT },
        { "\n702\n" ROOT "\n", TALLY_ECORRUPT },
        { "o o\n702\n" ROOT "\n", TALLY_ECORRUPT },
        { "o\n0702\n" ROOT "\n", TALLY_ECORRUPT },
        { "o\n+702\n" ROOT "\n", TALLY_ECORRUPT },
        { "o\n\n" ROOT "\n", TALLY_ECORRUPT },
        { "o\n702\nAAAA\n", TALLY_ECORRUPT },
        { "o\n702\n" ROOT ROOT "\n", TALLY_ECORRUPT },
        { "", TALLY_ECORRUPT },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tl_checkpoint_body body;
        check_status(tl_checkpoint_parse(&body, tl_str_of(table[i].body), NULL), table[i].want);
    }
    struct tl_checkpoint_body body;
    struct tally_error err = TALLY_ERROR_INIT;
    check_status(tl_checkpoint_parse(&body, TL_STR("o\n"), &err), TALLY_ECORRUPT);
    assert_string_equal(err.message, "checkpoint that has not exactly three lines");
}

static void verifies_every_checkpoint_of_the_test_log(void **state)
{
    (void)state;
    static const uint64_t sizes[] = { 1, 101, 181, 362, 451, 633, 702 };
    for (size_t i = 0; i < TL_ARRAY_LEN(sizes); i++) {
        char name[64];
        struct tl_checkpoint_body body;
        uint64_t time_s = 0;
        (void)snprintf(name, sizeof(name), "log702/checkpoints/%u", (unsigned)sizes[i]);
        struct tl_str text = vectors_read(&arena, name);
        check_ok(tl_note_parse(&note, text.text, text.len, NULL));
        check_ok(tl_checkpoint_parse(&body, note.body, NULL));
        assert_int_equal(body.size, sizes[i]);
        assert_int_equal(verdict_of(0, NULL), TL_NOTE_GOOD);
        bool first_epoch = sizes[i] <= 181;
        assert_int_equal(verdict_of(1, &time_s), first_epoch ? TL_NOTE_GOOD : TL_NOTE_NO_LINE);
        assert_int_equal(time_s > 0, first_epoch);
    }
}

static tally_status sign_and_verify(const void *ctx)
{
    (void)ctx;
    const uint8_t seed[32] = { 1 };
    uint8_t public_key[32];
    struct tl_vkey key;
    enum tl_note_verdict verdict = TL_NOTE_NO_LINE;
    TL_CLEANUP(tl_buf_release) struct tl_buf out = { 0 };
    tl_buf_init(&out, TL_NOTE_LEN_MAX);
    TL_TRY(tl_ed25519_public(public_key, seed));
    TL_TRY(tl_vkey_make(&key, TL_STR("x"), TL_NOTE_TYPE_COSIGNED, public_key, NULL));
    tl_buf_add_text(&out, "text\n\n");
    TL_TRY(tl_note_sign(&out, 5, &key, seed, 7));
    TL_TRY(tl_note_parse(&note, out.data, out.len, NULL));
    TL_TRY(tl_note_verify(&note, &key, &verdict, NULL));
    assert_int_equal(verdict, TL_NOTE_GOOD);
    return TALLY_OK;
}

static void says_so_when_memory_runs_out(void **state)
{
    (void)state;
    assert_true(fault_each_alloc(sign_and_verify, NULL) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_the_keys_of_the_vectors),
        cmocka_unit_test(every_bit_of_a_key_counts),
        cmocka_unit_test(refuses_origins_with_white_space_or_plus),
        cmocka_unit_test(signs_the_checkpoint_of_the_vectors),
        cmocka_unit_test(verifies_the_note_of_the_vectors),
        cmocka_unit_test(every_bit_of_a_note_counts),
        cmocka_unit_test(one_bad_line_of_a_key_condemns_the_note),
        cmocka_unit_test(ignores_signatures_of_unknown_lengths),
        cmocka_unit_test(long_signatures_are_base64_up_to_their_end),
        cmocka_unit_test(a_line_of_a_known_key_with_another_length_is_bad),
        cmocka_unit_test(refuses_what_is_no_note),
        cmocka_unit_test(bounds_lines_and_bytes),
        cmocka_unit_test(a_checkpoint_has_exactly_three_lines),
        cmocka_unit_test(verifies_every_checkpoint_of_the_test_log),
        cmocka_unit_test(says_so_when_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
