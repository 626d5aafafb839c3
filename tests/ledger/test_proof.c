/* Proofs that leave the house check with the trust file alone; changed ones do not. */
#include <tally/tally.h>

#include <string.h>

#include "check.h"
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
        cmocka_unit_test(checkpoints_and_consistency_are_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
