/* What was kept of anchors, held against their records. */
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

tally_status tl_anchor_check(struct tl_run *run, const struct tl_anchor *anchor,
                             const uint8_t *imprint)
{
    const struct tl_verify_input *in = run->in;
    uint8_t digest[TL_SHA256_LEN];
    tl_buf_clear(&run->buf);
    if (in->anchor_token == NULL) {
        return TALLY_OK;
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
    } else if (anchor->is_stamp && imprint != NULL) {
        check_stamp(run, anchor, imprint);
    }
    return run->found.status;
}
