#include <string.h>

#include "check.h"
#include "evidence/trust.h"
#include "vectors.h"

static struct tl_arena arena;
static struct tl_trust trust;
static struct tl_buf text;

static int start(void **state)
{
    (void)state;
    tl_arena_init(&arena, VECTORS_ARENA_BYTES);
    tl_buf_init(&text, (size_t)1 << 20);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    tl_arena_release(&arena);
    tl_buf_release(&text);
    return 0;
}

static void add_vkey(const char *name, uint8_t type, unsigned number)
{
    const uint8_t public_key[32] = { (uint8_t)number, (uint8_t)(number >> 8), 1 };
    struct tl_vkey key;
    char vkey[TL_VKEY_SIZE];
    check_ok(tl_vkey_make(&key, tl_str_of(name), type, public_key, NULL));
    tl_vkey_format(vkey, &key);
    tl_buf_add_text(&text, vkey);
}

/* Witness lines w0 ... of `count` witnesses. */
static void add_witnesses(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        tl_buf_addf(&text, "witness w%u ", i);
        add_vkey("w.example", TL_NOTE_TYPE_COSIGNED, i);
        tl_buf_add_char(&text, '\n');
    }
}

static tally_status parse(void)
{
    return tl_trust_parse(&trust, text.data, text.len, NULL);
}

static void reads_the_trust_file_of_the_test_log(void **state)
{
    (void)state;
    struct tl_str file = vectors_read(&arena, "log702/trust.txt");
    check_ok(tl_trust_parse(&trust, file.text, file.len, NULL));
    assert_int_equal(trust.log_count, 1);
    assert_string_equal(trust.logs[0].name, "audit.example.com/prod-7f3a9c21");
    assert_int_equal(trust.witness_count, 1);
    assert_string_equal(trust.witnesses[0].name, "w1");
    assert_int_equal(trust.epoch_count, 1);
    assert_int_equal(trust.approver_count, 1);
    assert_int_equal(trust.approve_kinds, 0);
    assert_true(tl_trust_quorum_holds(&trust, 1));
    assert_false(tl_trust_quorum_holds(&trust, 0));
    assert_false(tl_trust_quorum_holds(&trust, ~UINT64_C(1)));
}

static void the_keys_of_the_file_verify_the_newest_checkpoint(void **state)
{
    (void)state;
    static struct tl_note note;
    struct tl_str file = vectors_read(&arena, "log702/trust.txt");
    struct tl_str checkpoint = vectors_read(&arena, "log702/checkpoint");
    enum tl_note_verdict verdict = TL_NOTE_NO_LINE;
    check_ok(tl_trust_parse(&trust, file.text, file.len, NULL));
    check_ok(tl_note_parse(&note, checkpoint.text, checkpoint.len, NULL));
    check_ok(tl_note_verify(&note, &trust.logs[0], &verdict, NULL));
    assert_int_equal(verdict, TL_NOTE_GOOD);
    check_ok(tl_note_verify(&note, &trust.witnesses[0].key, &verdict, NULL));
    assert_int_equal(verdict, TL_NOTE_GOOD);
}

static void reads_again_what_it_writes(void **state)
{
    (void)state;
    static struct tl_trust again;
    tl_buf_clear(&text);
    tl_buf_add_text(&text, "# comment\n\n \t\n\tlog \t");
    add_vkey("o", TL_NOTE_TYPE_ED25519, 900);
    tl_buf_add_text(&text, " https://log.example \n");
    add_witnesses(5);
    tl_buf_add_text(&text, "group a 2 w0 w1 w2\ngroup b any w3 w4\ngroup c all a b\nquorum c\n"
                           "#tally approve PURGE ERASE\n#tally approve KEY\n# tally approve x\n"
                           "#tallyx\n#tally epoch ");
    add_vkey("o/epoch/0", TL_NOTE_TYPE_COSIGNED, 901);
    tl_buf_add_text(&text, "\n#tally approver ");
    add_vkey("a", TL_NOTE_TYPE_ED25519, 902);
    check_ok(parse());
    assert_int_equal(trust.approver_count, 1);
    assert_int_equal(trust.approve_kinds, 1u << 3 | 1u << 4 | 1u << 7);
    assert_int_equal(trust.groups[2].threshold, 2);

    struct tl_buf out;
    tl_buf_init(&out, 100000);
    tl_trust_format(&out, &trust);
    check_ok(tl_trust_parse(&again, out.data, out.len, NULL));
    assert_memory_equal(&again, &trust, sizeof(again));
    tl_buf_release(&out);
}

static void counts_votes_through_groups(void **state)
{
    (void)state;
    tl_buf_clear(&text);
    add_witnesses(5);
    tl_buf_add_text(&text, "group a 2 w0 w1 w2\ngroup b any w3 w4\ngroup c all a b\nquorum c\n");
    check_ok(parse());
    for (uint64_t bits = 0; bits < 32; bits++) {
        bool a = __builtin_popcountll(bits & 7) >= 2;
        assert_int_equal(tl_trust_quorum_holds(&trust, bits), a && bits >> 3 != 0);
    }
    tl_buf_clear(&text);
    tl_buf_add_text(&text, "quorum none\n");
    check_ok(parse());
    assert_true(tl_trust_quorum_holds(&trust, 0));
}

static void takes_64_witnesses_and_no_more(void **state)
{
    (void)state;
    tl_buf_clear(&text);
    add_witnesses(TL_TRUST_KEYS_MAX);
    tl_buf_add_text(&text, "group all 64");
    for (unsigned i = 0; i < TL_TRUST_KEYS_MAX; i++) {
        tl_buf_addf(&text, " w%u", i);
    }
    tl_buf_add_text(&text, "\nquorum all\n");
    check_ok(parse());
    assert_true(tl_trust_quorum_holds(&trust, UINT64_MAX));
    assert_false(tl_trust_quorum_holds(&trust, UINT64_MAX >> 1));
    tl_buf_clear(&text);
    add_witnesses(TL_TRUST_KEYS_MAX + 1);
    tl_buf_add_text(&text, "quorum none\n");
    struct tally_error error = TALLY_ERROR_INIT;
    check_status(tl_trust_parse(&trust, text.data, text.len, &error), TALLY_EINVAL);
    assert_non_null(strstr(error.message, "too many witnesses"));
}

#define A32 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void refuses_lines_that_break_a_rule(void **state)
{
    (void)state;
    static const char *const table[] = {
        "",
        "quorum none\nquorum none\n",
        "quorum w9\n",
        "quorum\n",
        "quorum w0 w1\n",
        "quorum none\nlog x\n",
        "quorum none\nlog\n",
        "quorum none\nfoo\n",
        "quorum none\nwitness w2 x\n",
        "quorum none\nwitness w2\n",
        "quorum none\ngroup g any\n",
        "quorum none\ngroup g 0 w0 w1\n",
        "quorum none\ngroup g 3 w0 w1\n",
        "quorum none\ngroup g some w0\n",
        "quorum none\ngroup g any w0 w0\n",
        "quorum none\ngroup g any none\n",
        "quorum none\ngroup g any g\n",
        "quorum none\ngroup none any w0\n",
        "quorum none\ngroup w0 any w1\n",
        "quorum none\ngroup g any w0\ngroup h any w0\n",
        ("quorum none\ngroup " A32 A32 " any w0\n"),
        "quorum none\n#tally\n",
        "quorum none\n#tally foo\n",
        "quorum none\n#tally epoch\n",
        "quorum none\n#tally approve\n",
        "quorum none\n#tally approve FOO\n",
        "quorum none\n#tally approve ENTRY\n",
        "quorum none\n#tally approve GENESIS\n",
        "quorum none\n#tally approve EPOCH\n",
        "quorum none\n#tally approve RESUME\n",
        "quorum none\n#tally approve ERASE GAP\n",
        "quorum none\r\n",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        tl_buf_clear(&text);
        add_witnesses(2);
        tl_buf_add_text(&text, table[i]);
        if (parse() != TALLY_EINVAL) {
            fail_msg("not refused: %s", table[i]);
        }
    }
}

static void refuses_keys_of_the_wrong_type_or_twice(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        uint8_t right;
    } table[] = {
        { "log ", TL_NOTE_TYPE_ED25519 },
        { "witness x ", TL_NOTE_TYPE_COSIGNED },
        { "#tally epoch ", TL_NOTE_TYPE_COSIGNED },
        { "#tally approver ", TL_NOTE_TYPE_ED25519 },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        for (uint8_t type = 1; type <= 4; type = (uint8_t)(type + 3)) {
            tl_buf_clear(&text);
            tl_buf_add_text(&text, "quorum none\n");
            tl_buf_add_text(&text, table[i].line);
            add_vkey("name", type, 5);
            check_status(parse(), type == table[i].right ? TALLY_OK : TALLY_EINVAL);
        }
        tl_buf_clear(&text);
        tl_buf_add_text(&text, "quorum none\n");
        tl_buf_add_text(&text, table[i].line);
        add_vkey("name", table[i].right, 5);
        tl_buf_add_text(&text, "\n");
        tl_buf_add_text(&text, i == 1 ? "witness y " : table[i].line);
        add_vkey("another.name", table[i].right, 5);
        check_status(parse(), TALLY_EINVAL);
    }
}

static void names_the_line(void **state)
{
    (void)state;
    struct tally_error err = TALLY_ERROR_INIT;
    static const char file[] = "quorum none\n\nfoo\n";
    check_status(tl_trust_parse(&trust, file, strlen(file), &err), TALLY_EINVAL);
    assert_non_null(strstr(err.message, "line 3"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_trust_file_of_the_test_log),
        cmocka_unit_test(the_keys_of_the_file_verify_the_newest_checkpoint),
        cmocka_unit_test(reads_again_what_it_writes),
        cmocka_unit_test(counts_votes_through_groups),
        cmocka_unit_test(takes_64_witnesses_and_no_more),
        cmocka_unit_test(refuses_lines_that_break_a_rule),
        cmocka_unit_test(refuses_keys_of_the_wrong_type_or_twice),
        cmocka_unit_test(names_the_line),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
