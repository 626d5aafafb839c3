/*
 * verify/verify.h - checks a ledger against its evidence (docs/evidence.md) and reports what it found.
 *
 * The checker knows nothing of the writer: keys, expected origin and memory come in from outside,
 * everything else from the store, which is not believed. Memory is bounded at any size.
 */
#ifndef TL_VERIFY_VERIFY_H
#define TL_VERIFY_VERIFY_H

#include <tally/verify.h>

#include "base/base.h"
#include "base/str.h"
#include "evidence/keystate.h"
#include "evidence/opening.h"
#include "evidence/trust.h"
#include "store/index.h"
#include "store/store.h"

#define TL_REMEMBERED_MAX 64u

/* Why a content is not there, as an export says. */
enum tl_handed {
    TL_HANDED_SILENT,   /* it does not, though it claims to be complete */
    TL_HANDED_WITHHELD, /* it was left out; so is whatever it does not mention */
    TL_HANDED_PURGED,
    TL_HANDED_ERASED,
    TL_HANDED_EVICTED,
};

/*
 * What an export that is checked in place of a ledger says beside its records. `ctx` is passed to
 * each; line(), absent() and is_member_withheld() are about the record that the store is just handing over.
 */
struct tl_handover {
    void *ctx;
    bool is_malformed;                           /* the newest checkpoint does not parse */
    const struct tl_opening *(*line)(void *ctx); /* what the record's content came from, or NULL */
    enum tl_handed (*absent)(void *ctx);
    bool (*is_member_withheld)(void *ctx, struct tl_str pointer);

    /* Appends the token of the ANCHOR record `seq`, which is held against the record elsewhere;
     * TALLY_ENOTFOUND if there is none. */
    tally_status (*token)(void *ctx, uint64_t seq, struct tl_buf *out, struct tally_error *err);

    /* Copies the `width` hashes of a tile that is not full. TALLY_ENOTFOUND if it is not there. */
    tally_status (*partial_tile)(void *ctx, uint32_t level, uint64_t n, uint32_t width,
                                 uint8_t *data_out, struct tally_error *err);
};

/* All borrowed for the call. A zeroed one but for `store` is allowed, and never gives VERIFIED. */
struct tl_verify_input {
    struct tally_store *store;    /* a handle nobody else uses meanwhile; one snapshot is taken */
    struct tl_index *index;       /* NULL: the index is not compared */
    const struct tl_trust *trust; /* NULL: nothing can be VERIFIED */
    const struct tl_highwater *highwater; /* NULL: there is none */

    /* Checkpoints kept elsewhere, as note text; the first one is `against` of TALLY_SCOPE_SINCE. */
    const struct tl_str *remembered;
    size_t remembered_count; /* at most TL_REMEMBERED_MAX */

    const uint8_t *mac_key; /* K0, TL_MAC_KEY_LEN bytes; NULL: MACs are not checked */
    int64_t now_s;          /* seconds since 1970; 0: age is not judged */

    /* The members that free text searches: what the index was made with. */
    const struct tl_str *text_members;
    size_t text_member_count;

    bool is_volatile;                   /* oldest contents may be gone without a reason */
    const struct tl_handover *handover; /* NULL: a ledger itself, with a head and an index */
    /* Appends the token of the ANCHOR record `seq`, of at most TL_NOTE_LEN_MAX bytes, to `out`;
     * TALLY_ENOTFOUND if it is not there. NULL: who calls holds tokens against their records itself. */
    tally_status (*anchor_token)(void *ctx, uint64_t seq, struct tl_buf *out,
                                 struct tally_error *err);
    void *anchor_ctx;

    const char *temp_dir; /* for sorting ids beyond a million; NULL is /tmp */

    /* Scope, age, skip_index and callbacks; the paths in it are not read. Required. */
    const struct tally_verify_options *options;
};

/*
 * Checks the ledger. TALLY_OK means that a report was made, whatever its verdict: a store that
 * cannot be read is a finding. Owned: tally_report_free().
 *
 * Errors: TALLY_ENOMEM; TALLY_EINVAL for a scope that does not exist
 */
tally_status tl_verify(const struct tl_verify_input *input, struct tally_report **report_out,
                       struct tally_error *err);

/*
 * The report on a ledger of which nothing could be looked at: one finding, `code` being STORE_ERROR
 * or CHECK_FAILED, and the verdict UNVERIFIABLE. Errors: TALLY_ENOMEM
 */
tally_status tl_verify_unreadable(const struct tally_verify_options *options, const char *code,
                                  const char *message, struct tally_report **report_out,
                                  struct tally_error *err);

#endif /* TL_VERIFY_VERIFY_H */
