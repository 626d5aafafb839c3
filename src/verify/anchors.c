/* What was kept of anchors, held against their records. */
#include <stdlib.h>

#include "crypto/timestamp.h"
#include "verify/run.h"

/* Whether the time stamp is one of the anchored checkpoint. Who made it is for those to judge who know
 * the authority; the record that names its hash was sealed with it. */
static void check_stamp(struct tl_run *run, const struct tl_anchor *anchor,
                        const uint8_t imprint[32])
{
    struct tl_timestamp stamp = { 0 };
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status =
        tl_timestamp_read(&stamp, tl_buf_str(&run->buf), (struct tl_str){ 0 }, &why);
    if (status == TALLY_ENOMEM) {
        run->found.status = status;
    } else if (status != TALLY_OK) {
        tl_found(&run->found, TL_ANCHOR_INVALID, anchor->seq, "%s", why.message);
    } else if (memcmp(stamp.imprint, imprint, sizeof(stamp.imprint)) != 0) {
        tl_found_hashes(&run->found, TL_ANCHOR_INVALID, anchor->seq, imprint, stamp.imprint,
                        "the time stamp is not of the anchored checkpoint");
    }
}

/* What an export has of the token: its digest is held against the record there. */
static tally_status check_handed(struct tl_run *run, const struct tl_anchor *anchor,
                                 const uint8_t imprint[32])
{
    const struct tl_handover *handover = run->in->handover;
    if (handover == NULL || !anchor->is_stamp) {
        return TALLY_OK;
    }
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = handover->token(handover->ctx, anchor->seq, &run->buf, &why);
    if (status == TALLY_OK) {
        check_stamp(run, anchor, imprint);
        return run->found.status;
    }
    return status == TALLY_ENOTFOUND ? TALLY_OK : tl_fail_with(run->err, status, &why);
}

tally_status tl_anchor_check(struct tl_run *run, const struct tl_anchor *anchor,
                             const uint8_t imprint[32])
{
    const struct tl_verify_input *in = run->in;
    uint8_t digest[TL_SHA256_LEN];
    tl_buf_clear(&run->buf);
    if (in->anchor_token == NULL) {
        return check_handed(run, anchor, imprint);
    }
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = in->anchor_token(in->anchor_ctx, anchor->seq, &run->buf, &why);
    if (status == TALLY_ENOTFOUND) {
        tl_found(&run->found, TL_ANCHOR_MISSING, anchor->seq, "the anchor's token is not there");
        return run->found.status;
    }
    if (status != TALLY_OK) {
        return tl_fail_with(run->err, status, &why);
    }
    tl_sha256(digest, run->buf.data, run->buf.len);
    if (memcmp(digest, anchor->digest, sizeof(digest)) != 0) {
        tl_found_hashes(&run->found, TL_ANCHOR_INVALID, anchor->seq, anchor->digest, digest,
                        "the anchor's token is not the one that was recorded");
    } else if (anchor->is_stamp) {
        check_stamp(run, anchor, imprint);
    }
    return run->found.status;
}

static int compare_sizes(const void *a, const void *b)
{
    const struct tl_anchor *x = a;
    const struct tl_anchor *y = b;
    return x->size < y->size ? -1 : x->size > y->size;
}

/* A second walk through the leaves, past the sizes that were anchored. */
struct retrace {
    struct tl_run *run;
    struct tl_frontier frontier;
    size_t at; /* the next anchor */
};

static void compare_root(struct tl_run *run, const struct tl_anchor *anchor, const uint8_t root[32])
{
    if (anchor->is_doubtful && memcmp(anchor->root, root, 32) != 0) {
        tl_found_hashes(&run->found, TL_CONTROL_INVALID, anchor->seq, root, anchor->root,
                        "the anchor names another root");
    }
}

static tally_status retrace_leaf(void *ctx, const struct tally_record *record)
{
    struct retrace *retrace = ctx;
    struct tl_run *run = retrace->run;
    uint8_t hash[TL_HASH_LEN];
    if (record->leaf == NULL || record->seq != retrace->frontier.size) {
        return TALLY_ECANCELED; /* which is a finding */
    }
    tl_tree_hash_leaf(hash, record->leaf, record->leaf_len);
    tl_frontier_add(&retrace->frontier, hash);
    for (; retrace->at < run->anchor_count &&
           run->anchors[retrace->at].size <= retrace->frontier.size;
         retrace->at++) {
        tl_frontier_root(&retrace->frontier, hash);
        compare_root(run, &run->anchors[retrace->at], hash);
    }
    return run->found.status;
}

/* The tree has long passed the size when the anchor is read, and anchors without their checkpoint are
 * rare: for them the leaves are read again. */
tally_status tl_anchor_roots(struct tl_run *run)
{
    TL_CLEANUP(tl_freep) struct retrace *retrace = tl_alloc_array(1, sizeof(*retrace));
    if (retrace == NULL) {
        return tl_fail(run->err, TALLY_ENOMEM, "cannot allocate a tree");
    }
    qsort(run->anchors, run->anchor_count, sizeof(*run->anchors), compare_sizes);
    retrace->run = run;
    tally_status status = tl_store_scan(run->in->store, 0, run->anchors[run->anchor_count - 1].size,
                                        retrace_leaf, retrace, run->err);
    return status == TALLY_ECANCELED ? TALLY_OK : status;
}
