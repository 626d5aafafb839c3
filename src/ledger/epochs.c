/* tally_epoch_read(), tally_epoch_close(). */
#include <tally/keys.h>

#include "ledger/act.h"

/* What the leaves say of epochs. */
struct epochs {
    int64_t start_us;
    uint32_t seconds;
    uint64_t seal_size;
};

static bool tells_of_epochs(enum tl_leaf_kind kind)
{
    return kind == TL_LEAF_GENESIS || kind == TL_LEAF_EPOCH;
}

static tally_status take_leaf(void *ctx, const struct tl_leaf *leaf,
                              const struct tl_control *control)
{
    struct epochs *epochs = ctx;
    if (control->kind == TL_LEAF_EPOCH) {
        epochs->seal_size = leaf->seq + 1;
    } else {
        epochs->start_us = control->start_us;
        epochs->seconds = control->epoch_seconds;
    }
    return TALLY_OK;
}

static tally_status read_epochs(struct tl_reader *reader, struct tally_epoch *out,
                                struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tally_head *head = tl_alloc_array(1, sizeof(*head));
    if (head == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    struct epochs epochs = { .seconds = 0 };
    TL_TRY(tl_reader_begin(reader, err));
    TL_TRY(tl_store_head(reader->store, head, err));
    TL_TRY(tl_kept_each(reader->store, tells_of_epochs, take_leaf, &epochs, err));
    if (epochs.seconds == 0) {
        return tl_fail(err, TALLY_ECORRUPT, "the ledger does not begin with GENESIS");
    }
    int64_t length = (int64_t)epochs.seconds * 1000000;
    out->epoch = head->epoch;
    out->seconds = epochs.seconds;
    out->begins_us = epochs.start_us + (int64_t)head->epoch * length;
    out->ends_us = out->begins_us + length;
    out->seal_size = epochs.seal_size;
    return TALLY_OK;
}

tally_status tally_epoch_read(struct tally_ledger *ledger, struct tally_epoch *epoch_out,
                              struct tally_error *err)
{
    *epoch_out = (struct tally_epoch){ 0 };
    struct tl_reader reader;
    TL_TRY(tl_reader_get(ledger, &reader, err));
    tally_status status = read_epochs(&reader, epoch_out, err);
    tl_reader_put(ledger, &reader);
    return status;
}

tally_status tally_epoch_close(struct tally_ledger *ledger, struct tally_epoch *epoch_out,
                               struct tally_error *err)
{
    *epoch_out = (struct tally_epoch){ 0 };
    const struct tl_control wish = { .kind = TL_LEAF_EPOCH };
    uint64_t seq = TALLY_SEQ_NONE;
    TL_TRY(tl_act_seal(ledger, &wish, TALLY_SEQ_NONE, &seq, err));
    TL_TRY(tally_epoch_read(ledger, epoch_out, err));
    epoch_out->closed = seq != TALLY_SEQ_NONE;
    return TALLY_OK;
}
