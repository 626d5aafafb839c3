/*
 * verify/findings.h - collects what a verification finds, and weighs it.
 *
 * Findings about a record can be held back while a range of leaves is read, because a leaf that
 * turns out to be modified explains all that looked wrong about its record.
 */
#ifndef TL_VERIFY_FINDINGS_H
#define TL_VERIFY_FINDINGS_H

#include <tally/store.h>
#include <tally/verify.h>

#include "base/base.h"

/* The codes of docs/evidence.md that a ledger in a store can earn. */
enum tl_code {
    TL_CHECKPOINT_MALFORMED,
    TL_SIGNATURE_INVALID,
    TL_EPOCH_SIGNATURE_INVALID,
    TL_CHECKPOINT_MISSING,
    TL_ORIGIN_MISMATCH,
    TL_KEY_UNKNOWN,
    TL_WITNESS_QUORUM,
    TL_CHECKPOINT_STALE,
    TL_CHECKPOINT_FUTURE,
    TL_ROLLBACK,
    TL_FORK,
    TL_HISTORY_REWRITTEN,
    TL_ROLLBACK_DECLARED,
    TL_TRUNCATED,
    TL_LEAF_MISSING,
    TL_LEAF_EXTRA,
    TL_LEAF_MALFORMED,
    TL_LEAF_INVALID,
    TL_LEAF_MODIFIED,
    TL_SEQ_MISMATCH,
    TL_TIME_REGRESSION,
    TL_DUPLICATE_ID,
    TL_RETENTION_MISMATCH,
    TL_ROOT_MISMATCH,
    TL_TILE_MISMATCH,
    TL_TILE_MISSING,
    TL_CONTROL_MODIFIED,
    TL_CONTROL_INVALID,
    TL_APPROVAL_INVALID,
    TL_APPROVAL_UNCHECKED,
    TL_PURGE_INVALID,
    TL_PURGE_OVERRIDE,
    TL_PURGE_COUNT,
    TL_RESTORED,
    TL_GAP,
    TL_GENESIS_MISMATCH,
    TL_KEY_CHANGE_INVALID,
    TL_EPOCH_MISMATCH,
    TL_EPOCH_INVALID,
    TL_EPOCH_SEAL_MISSING,
    TL_EPOCH_SEAL_INVALID,
    TL_EPOCH_UNPINNED,
    TL_MAC_MISMATCH,
    TL_MAC_KEY_UNKNOWN,
    TL_CONTENT_MODIFIED,
    TL_CONTENT_MISSING,
    TL_PURGE_EARLY,
    TL_MEMBER_MISSING,
    TL_RECORD_MALFORMED,
    TL_ID_MISMATCH,
    TL_ERASABLE_MISMATCH,
    TL_HOLD_VIOLATED,
    TL_NON_CANONICAL,
    TL_PURGE_INCOMPLETE,
    TL_ERASE_INCOMPLETE,
    TL_PURGED,
    TL_ERASED,
    TL_WITHHELD,
    TL_EVICTED,
    TL_ROW_INSERTED,
    TL_INDEX_MISMATCH,
    TL_HEAD_MISMATCH,
    TL_ANCHOR_INVALID,
    TL_ANCHOR_MISSING,
    TL_STORE_ERROR,
    TL_CHECK_FAILED,
    TL_CODE_COUNT
};

#define TL_HELD_BACK_MAX 64u

/* Confined to one thread. A zeroed one must be initialised. */
struct tl_findings {
    struct tally_report *report; /* owned until it is taken */
    struct tally_finding *items; /* owned; report->findings */
    size_t capacity;
    uint32_t note_count; /* notes and warnings kept: they must not crowd out the rest */
    tally_finding_fn *on_finding;
    void *ctx;
    tally_status status; /* TALLY_ENOMEM once there was no memory */

    uint64_t id_seq; /* of the record at hand, whose id findings are given */
    uint8_t id[TALLY_LEAF_ID_LEN];

    bool holding_back;
    size_t held_count;
    struct tally_finding held[TL_HELD_BACK_MAX];
};

/* Errors: TALLY_ENOMEM */
tally_status tl_findings_init(struct tl_findings *findings,
                              const struct tally_verify_options *options, struct tally_error *err);
void tl_findings_release(struct tl_findings *findings);

/* Adds a finding about record `seq`, or about none with TALLY_SEQ_NONE. */
void tl_found(struct tl_findings *findings, enum tl_code code, uint64_t seq, const char *fmt, ...)
    TL_PRINTF(4, 5);

/* The same, with two hashes that should be equal. */
void tl_found_hashes(struct tl_findings *findings, enum tl_code code, uint64_t seq,
                     const uint8_t expected[32], const uint8_t actual[32], const char *what);

/* The same, with two numbers that should be equal. */
void tl_found_numbers(struct tl_findings *findings, enum tl_code code, uint64_t seq,
                      int64_t expected, int64_t actual, const char *what);

/* The code called `name`; TL_CODE_COUNT if there is none. */
enum tl_code tl_code_named(const char *name);

/* Whether a finding of this code and seq is kept already. */
bool tl_findings_has(const struct tl_findings *findings, enum tl_code code, uint64_t seq);

/* Whether a record of first..last was tampered with. */
bool tl_findings_tampered_in(const struct tl_findings *findings, uint64_t first, uint64_t last);

/* From here on, findings with a seq wait; the second function lets them go, but for those that
 * `explained` says yes to. */
void tl_findings_hold_back(struct tl_findings *findings);
void tl_findings_let_go(struct tl_findings *findings, bool (*explained)(void *ctx, uint64_t seq),
                        void *ctx);

/* Draws the verdict and hands the report over. */
struct tally_report *tl_findings_take(struct tl_findings *findings);

#endif /* TL_VERIFY_FINDINGS_H */
