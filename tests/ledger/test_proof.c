/* Proofs that leave the house check with the trust file alone; changed ones do not. */
#include <tally/tally.h>

#include <string.h>

#include "check.h"
#include "evidence/tlogproof.h"
#include "support/mkledger.h"
#include "support/site.h"

#define SIZES 300u

static tally_status check_proof(const char *proof, size_t len, const char *trust,
                                struct tally_proof_result *result)
{
    *result = (struct tally_proof_result){ .verdict = TALLY_VERDICT_UNKNOWN };
    return tally_proof_check(proof, len, trust, strlen(trust), result, NULL);
}

static void every_record_of_every_size_is_proven(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_memory("memory:1000");
    char *trust = NULL;
    check_ok(tally_trust_text(ledger, &trust, NULL));
    for (unsigned size = 1; size <= SIZES; size++) {
        /* All records of some sizes, the first, a middle and the last of each. */
        bool all = size <= 40 || size == 255 || size == 256 || size == 257;
        for (unsigned seq = 0; seq < size; seq++) {
            if (!all && seq != 0 && seq != size * 2 / 3 && seq != size - 1) {
                continue;
            }
            char *proof = NULL;
            struct tally_proof_result result;
            check_ok(tally_proof_make(ledger, seq, &proof, NULL));
            check_ok(check_proof(proof, strlen(proof), trust, &result));
            assert_int_equal(result.verdict, TALLY_VERDICT_VERIFIED);
            assert_int_equal(result.seq, seq);
            assert_int_equal(result.size, size);
            assert_string_equal(result.origin, tally_origin(ledger));
            assert_string_equal(result.reason, "");
            tally_free(proof);
        }
        char *proof = NULL;
        check_status(tally_proof_make(ledger, size, &proof, NULL), TALLY_ENOTFOUND);
        char id[32];
        (void)snprintf(id, sizeof(id), "p/%u", size);
        (void)site_append(ledger, id, size);
    }
    tally_free(trust);
    tally_close(ledger);
}

static void a_changed_byte_proves_nothing(void **state)
{
    (void)state;
    static const unsigned sizes[] = { 2, 37, 257 };
    struct tally_ledger *ledger = site_memory("memory:1000");
    char *trust = NULL;
    check_ok(tally_trust_text(ledger, &trust, NULL));
    unsigned appended = 1;
    for (size_t i = 0; i < TL_ARRAY_LEN(sizes); i++) {
        for (; appended < sizes[i]; appended++) {
            char id[32];
            (void)snprintf(id, sizeof(id), "p/%u", appended);
            (void)site_append(ledger, id, appended);
        }
        char *proof = NULL;
        check_ok(tally_proof_make(ledger, sizes[i] - 1, &proof, NULL));
        size_t len = strlen(proof);
        struct tally_proof_result result;
        /* A line of a key that nobody knows is ignored: the second may become one. */
        size_t second = (size_t)(strrchr(proof, ' ') - proof);
        while (proof[second - 1] != '\n') {
            second--;
        }
        for (size_t at = 0; at < len; at++) {
            for (unsigned bit = 0; bit < 7; bit += 2) {
                proof[at] = (char)(proof[at] ^ (1 << bit));
                check_ok(check_proof(proof, len, trust, &result));
                if (at >= second && result.verdict == TALLY_VERDICT_VERIFIED) {
                    assert_int_equal(result.size, sizes[i]);
                } else {
                    assert_int_not_equal(result.verdict, TALLY_VERDICT_VERIFIED);
                    assert_true(result.reason[0] != '\0');
                }
                proof[at] = (char)(proof[at] ^ (1 << bit));
            }
        }
        for (size_t cut = 0; cut < len; cut++) {
            check_ok(check_proof(proof, cut, trust, &result));
            assert_true(cut >= second || result.verdict != TALLY_VERDICT_VERIFIED);
        }
        check_ok(check_proof(proof, len, trust, &result));
        assert_int_equal(result.verdict, TALLY_VERDICT_VERIFIED);
        tally_free(proof);
    }
    tally_free(trust);
    tally_close(ledger);
}

static void a_foreign_trust_file_proves_nothing(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_memory("memory:1000");
    struct tally_ledger *other = site_memory("memory:1000");
    char *proof = NULL;
    char *trust = NULL;
    struct tally_proof_result result;
    check_ok(tally_proof_make(ledger, 0, &proof, NULL));
    check_ok(tally_trust_text(other, &trust, NULL));
    check_ok(check_proof(proof, strlen(proof), trust, &result));
    assert_int_equal(result.verdict, TALLY_VERDICT_UNVERIFIABLE);
    check_status(check_proof(proof, strlen(proof), "no trust file", &result), TALLY_EINVAL);
    tally_free(proof);
    tally_free(trust);
    tally_close(other);
    tally_close(ledger);
}

/* A trust file that asks for two witnesses of three. */
static char *with_witnesses(const char *trust, const struct mk_key witnesses[3])
{
    struct tl_buf text;
    tl_buf_init(&text, 65536);
    const char *none = strstr(trust, "quorum none\n");
    assert_non_null(none);
    tl_buf_add(&text, trust, (size_t)(none - trust));
    for (unsigned i = 0; i < 3; i++) {
        char vkey[TL_VKEY_SIZE];
        tl_vkey_format(vkey, &witnesses[i].key);
        tl_buf_addf(&text, "witness w%u %s\n", i, vkey);
    }
    tl_buf_add_text(&text, "group two 2 w0 w1 w2\nquorum two\n");
    tl_buf_add_char(&text, '\0');
    return tl_buf_take(&text, NULL);
}

static enum tally_verdict verdict_on(const struct tl_buf *proof, const char *trust)
{
    struct tally_proof_result result;
    check_ok(check_proof(proof->data, proof->len, trust, &result));
    return result.verdict;
}

static void cosign(struct tl_buf *proof, const struct mk_key *key, bool bad)
{
    const char *body = memmem(proof->data, proof->len, "\n\n", 2);
    assert_non_null(body);
    body += 2;
    size_t at = (size_t)(body - proof->data);
    struct tl_buf note;
    uint8_t seed[TL_ED25519_KEY_LEN];
    memcpy(seed, key->seed, sizeof(seed));
    seed[0] ^= bad;
    tl_buf_init(&note, TL_NOTE_LEN_MAX);
    tl_buf_add(&note, body, proof->len - at);
    const char *end = memmem(note.data, note.len, "\n\n", 2);
    assert_non_null(end);
    size_t body_len = (size_t)(end - note.data) + 1;
    check_ok(tl_note_sign(&note, body_len, &key->key, seed, 1767225600));
    proof->len = at;
    tl_buf_add_str(proof, tl_buf_str(&note));
    tl_buf_release(&note);
}

static void the_quorum_of_the_trust_file_is_asked_for(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_memory("memory:1000");
    struct mk_key witnesses[3];
    char *plain = NULL;
    char *made = NULL;
    struct tl_buf proof;
    for (unsigned i = 0; i < 3; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "witness.example.net/w%u", i);
        mk_key_make(&witnesses[i], name, TL_NOTE_TYPE_COSIGNED, (uint8_t)(i + 1));
    }
    check_ok(tally_trust_text(ledger, &plain, NULL));
    char *trust = with_witnesses(plain, witnesses);
    check_ok(tally_proof_make(ledger, 0, &made, NULL));
    tl_buf_init(&proof, TL_TLOGPROOF_LEN_MAX);
    tl_buf_add_text(&proof, made);
    assert_int_equal(verdict_on(&proof, plain), TALLY_VERDICT_VERIFIED);
    assert_int_equal(verdict_on(&proof, trust), TALLY_VERDICT_UNVERIFIABLE);
    cosign(&proof, &witnesses[0], false);
    assert_int_equal(verdict_on(&proof, trust), TALLY_VERDICT_UNVERIFIABLE);
    cosign(&proof, &witnesses[2], false);
    assert_int_equal(verdict_on(&proof, trust), TALLY_VERDICT_VERIFIED);
    cosign(&proof, &witnesses[1], true); /* a bad line of a known key, though nobody needs it */
    assert_int_equal(verdict_on(&proof, trust), TALLY_VERDICT_TAMPERED);
    assert_int_equal(verdict_on(&proof, plain),
                     TALLY_VERDICT_VERIFIED); /* which is not known here */
    tl_buf_release(&proof);
    tally_free(made);
    tally_free(trust);
    tally_free(plain);
    tally_close(ledger);
}

static void a_bad_line_of_a_pinned_epoch_key_condemns(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_memory("memory:1000");
    char *trust = NULL;
    char *proof = NULL;
    struct tally_proof_result result;
    check_ok(tally_trust_text(ledger, &trust, NULL));
    check_ok(tally_proof_make(ledger, 0, &proof, NULL));
    char *line = strstr(proof, "/epoch/");
    assert_non_null(line);
    line = strchr(line, ' ') + 40; /* in the signature */
    *line = *line == 'A' ? 'B' : 'A';
    check_ok(check_proof(proof, strlen(proof), trust, &result));
    assert_int_equal(result.verdict, TALLY_VERDICT_TAMPERED);
    tally_free(proof);
    tally_free(trust);
    tally_close(ledger);
}

static void checkpoints_and_consistency_are_given(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_memory("memory:1000");
    for (unsigned n = 0; n < 20; n++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "p/%u", n);
        (void)site_append(ledger, id, n);
    }
    char *first = NULL;
    char *newest = NULL;
    char *proof = NULL;
    check_ok(tally_checkpoint(ledger, 1, &first, NULL)); /* kept for ever */
    check_ok(tally_checkpoint(ledger, 0, &newest, NULL));
    assert_string_not_equal(first, newest);
    assert_non_null(strstr(newest, "\n21\n"));
    check_ok(tally_consistency_make(ledger, 1, &proof, NULL));
    assert_non_null(strstr(proof, newest)); /* it ends with the checkpoint */
    tally_free(proof);
    proof = NULL;
    assert_int_not_equal(tally_consistency_make(ledger, 22, &proof, NULL), TALLY_OK);
    assert_null(proof);
    check_status(tally_checkpoint(ledger, 5, &proof, NULL), TALLY_ENOTFOUND);
    tally_free(first);
    tally_free(newest);
    tally_close(ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record_of_every_size_is_proven),
        cmocka_unit_test(a_changed_byte_proves_nothing),
        cmocka_unit_test(a_foreign_trust_file_proves_nothing),
        cmocka_unit_test(the_quorum_of_the_trust_file_is_asked_for),
        cmocka_unit_test(a_bad_line_of_a_pinned_epoch_key_condemns),
        cmocka_unit_test(checkpoints_and_consistency_are_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
