/* Answers of a server are taken as receipts for what was sent, as a problem, or as neither. */
#include <string.h>

#include "fuzz.h"
#include "ledger/remote_answer.h"

#define SENT 2u

static void check_problem(const struct tl_remote_problem *problem)
{
    size_t named = 0;
    for (size_t i = 0; i < TL_REMOTE_BATCH; i++) {
        tl_assert(memchr(problem->codes[i], '\0', TL_REMOTE_CODE_SIZE) != NULL);
        tl_assert(i < SENT || problem->codes[i][0] == '\0');
        named += problem->codes[i][0] != '\0' ? 1 : 0;
    }
    tl_assert(named == problem->named);
    tl_assert(named == 0 || problem->code[0] != '\0');
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    static struct tl_remote_problem problem;
    const struct tl_str text = { (const char *)data, len };
    struct tally_receipt made[SENT] = { { .id = "a" }, { .id = "b" } };
    struct tally_receipt *const receipts[SENT] = { &made[0], &made[1] };
    bool is_receipt = tl_remote_read_receipts(text, receipts, SENT, NULL) == TALLY_OK;
    for (size_t i = 0; i < SENT && is_receipt; i++) {
        tl_assert(made[i].status == TALLY_OK && made[i].level == TALLY_LEVEL_RECORDED);
        tl_assert(made[i].seq != UINT64_MAX);
    }
    tl_remote_read_problem(text, SENT, &problem);
    check_problem(&problem);
    return is_receipt || problem.code[0] != '\0';
}
