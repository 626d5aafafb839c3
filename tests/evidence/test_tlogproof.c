#include <string.h>

#include "check.h"
#include "evidence/note.h"
#include "evidence/tlogproof.h"
#include "fault.h"
#include "vectors.h"

static struct tl_arena arena;
static struct tl_tlogproof proof;
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

/* Whether the proof leads to the root of its own checkpoint. */
static bool holds(void)
{
    struct tl_checkpoint_body body;
    uint8_t leaf_hash[TL_HASH_LEN];
    if (tl_note_parse(&note, proof.note.text, proof.note.len, NULL) != TALLY_OK ||
        tl_checkpoint_parse(&body, note.body, NULL) != TALLY_OK) {
        return false;
    }
    tl_tree_hash_leaf(leaf_hash, proof.extra, proof.extra_len);
    return tl_proof_inclusion_holds(&proof.proof, proof.index, body.size, leaf_hash, body.root);
}

static void the_proof_of_the_test_log_holds(void **state)
{
    (void)state;
    struct tl_str text = vectors_read(&arena, "log702/proofs/1.tlog-proof");
    struct tl_buf extra;
    struct tl_buf again;
    tl_buf_init(&extra, 65536);
    tl_buf_init(&again, TL_TLOGPROOF_LEN_MAX);
    check_ok(tl_tlogproof_parse(&proof, &extra, text.text, text.len, NULL));
    assert_int_equal(proof.index, 1);
    assert_int_equal(proof.extra_len, 104);
    assert_int_equal(proof.proof.count, 10);
    assert_true(holds());
    proof.index = 2;
    assert_false(holds());
    proof.index = 1;
    tl_tlogproof_format(&again, &proof);
    assert_true(tl_str_equal(tl_buf_str(&again), text));
    tl_buf_release(&again);
    tl_buf_release(&extra);
}

static void no_bit_before_the_note_can_change_unnoticed(void **state)
{
    (void)state;
    struct tl_str text = vectors_read(&arena, "log702/proofs/1.tlog-proof");
    char *bytes = tl_arena_alloc(&arena, text.len);
    memcpy(bytes, text.text, text.len);
    struct tl_buf extra;
    tl_buf_init(&extra, 65536);
    size_t before_note = text.len - vectors_read(&arena, "log702/checkpoint").len;
    for (size_t bit = 0; bit < 8 * before_note; bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        if (tl_tlogproof_parse(&proof, &extra, bytes, text.len, NULL) == TALLY_OK) {
            assert_false(holds());
        }
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
    }
    tl_buf_release(&extra);
}

#define HEAD "c2sp.org/tlog-proof@v1\n"
#define HASH "X45OaADTeMPXatPEWoMVe1B42yBifK9AP1OIdMQh8P4=\n"

static void reads_one_spelling_of_a_proof(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        tally_status want;
    } table[] = {
        { HEAD "index 0\n\nnote\n", TALLY_OK },
        { HEAD "index 7\n" HASH HASH "\nnote\n", TALLY_OK },
        { HEAD "extra AQI=\nindex 7\n" HASH "\nnote\n", TALLY_OK },
        { "", TALLY_ECORRUPT },
        { HEAD, TALLY_ECORRUPT },
        { "c2sp.org/tlog-proof@v2\nindex 0\n\nnote\n", TALLY_ECORRUPT },
        { HEAD "index 0\n", TALLY_ECORRUPT },
        { HEAD "index 0\n\n", TALLY_ECORRUPT },
        { HEAD "index 00\n\nnote\n", TALLY_ECORRUPT },
        { HEAD "index -1\n\nnote\n", TALLY_ECORRUPT },
        { HEAD "index\n\nnote\n", TALLY_ECORRUPT },
        { HEAD "extra \nindex 0\n\nnote\n", TALLY_ECORRUPT },
        { HEAD "extra AQI\nindex 0\n\nnote\n", TALLY_ECORRUPT },
        { HEAD "extra AQI=\n", TALLY_ECORRUPT },
        { HEAD "extra AQI=\nextra AQI=\nindex 0\n\nnote\n", TALLY_ECORRUPT },
        { HEAD "index 0\nAQI=\n\nnote\n", TALLY_ECORRUPT },
        { HEAD "index 0\n" HASH "note\n", TALLY_ECORRUPT },
        { HEAD "index 0\r\n\nnote\n", TALLY_ECORRUPT },
    };
    struct tl_buf extra;
    tl_buf_init(&extra, 65536);
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        const char *text = table[i].text;
        check_status(tl_tlogproof_parse(&proof, &extra, text, strlen(text), NULL), table[i].want);
    }
    tl_buf_release(&extra);
}

static void bounds_hashes_and_bytes(void **state)
{
    (void)state;
    struct tl_buf text;
    struct tl_buf extra;
    tl_buf_init(&text, 2 * TL_TLOGPROOF_LEN_MAX);
    tl_buf_init(&extra, 1);
    for (uint32_t count = TL_PROOF_MAX; count <= TL_PROOF_MAX + 1; count++) {
        tl_buf_clear(&text);
        tl_buf_add_text(&text, HEAD "index 0\n");
        for (uint32_t i = 0; i < count; i++) {
            tl_buf_add_text(&text, HASH);
        }
        tl_buf_add_text(&text, "\nnote\n");
        check_status(tl_tlogproof_parse(&proof, &extra, text.data, text.len, NULL),
                     count == TL_PROOF_MAX ? TALLY_OK : TALLY_ECORRUPT);
    }
    static const char small[] = HEAD "extra AQIDBA==\nindex 0\n\nnote\n";
    check_status(tl_tlogproof_parse(&proof, &extra, small, strlen(small), NULL), TALLY_ELIMIT);
    tl_buf_release(&text);
    tl_buf_release(&extra);
}

static tally_status parse_once(const void *ctx)
{
    const char *text = ctx;
    TL_CLEANUP(tl_buf_release) struct tl_buf extra = { 0 };
    tl_buf_init(&extra, 65536);
    return tl_tlogproof_parse(&proof, &extra, text, strlen(text), NULL);
}

static void says_so_when_memory_runs_out(void **state)
{
    (void)state;
    assert_int_equal(fault_each_alloc(parse_once, HEAD "extra AQI=\nindex 7\n\nnote\n"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_proof_of_the_test_log_holds),
        cmocka_unit_test(no_bit_before_the_note_can_change_unnoticed),
        cmocka_unit_test(reads_one_spelling_of_a_proof),
        cmocka_unit_test(bounds_hashes_and_bytes),
        cmocka_unit_test(says_so_when_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
