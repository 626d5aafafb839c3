#include "ledger/entry.h"

#include "base/random.h"
#include "codec/json.h"
#include "codec/time.h"
#include "evidence/leaf.h"
#include "model/event.h"
#include "spool/segment.h"

tally_status tl_id_copy(char *out, struct tl_str raw)
{
    struct tl_buf id;
    tl_buf_init_fixed(&id, out, sizeof(((struct tally_receipt *)NULL)->id));
    if (memchr(raw.text, '\\', raw.len) != NULL) {
        TL_TRY(tl_json_unescape(&id, raw.text, raw.len));
    } else {
        tl_buf_add_str(&id, raw);
    }
    TL_TRY(tl_buf_status(&id));
    out[id.len] = '\0';
    return TALLY_OK;
}

tally_status tl_entry_prepare(struct tl_entry *entry, struct tally_receipt *receipt,
                              const struct tl_config *config, struct tl_str text, uint32_t flags)
{
    struct tl_event_keys keys;
    TL_TRY(tl_event_keys_read(&keys, text.text, text.len));
    TL_TRY(tl_id_copy(receipt->id, keys.id));
    *entry = (struct tl_entry){ .event = text.text,
                                .len = text.len,
                                .days = tl_retention_days(&config->retention, &keys),
                                .by_occurred = (flags & TL_SPOOL_BY_OCCURRED) != 0,
                                .time_is_ours = (flags & TL_SPOOL_TIME_IS_OURS) != 0,
                                .receipt = receipt };
    TL_TRY(tl_leaf_id(entry->id, tl_str_of(receipt->id)));
    return tl_time_parse(&entry->occurred_us, keys.occurred_at);
}

tally_status tl_commitment_make(struct tl_commitment *out, const struct tl_erasable_set *set,
                                struct tl_str event, struct tl_split *split, struct tl_buf *scratch)
{
    TL_TRY(tl_split_event(split, set, event.text, event.len));
    out->set = set;
    out->has_members = split->count > 0;
    tl_random_bytes(out->seed, sizeof(out->seed));
    return tl_commit_event(out->commit, split, event.text, event.len, out->seed, scratch);
}

tally_status tl_receipt_failure(const struct tally_receipt *receipt, struct tally_error *err)
{
    if (receipt->status == TALLY_EREFUSED) {
        return tl_fail(err, TALLY_EREFUSED,
                       "the server refuses the event: 'refused.ndjson' in remote.spool says why");
    }
    if (receipt->status != TALLY_ECONFLICT) {
        return receipt->status;
    }
    return receipt->seq == TALLY_SEQ_NONE
               ? tl_fail_code(err, TALLY_ECONFLICT, "id_conflict",
                              "the id is recorded already, with another event")
               : tl_fail_code(err, TALLY_ECONFLICT, "id_conflict",
                              "the id is recorded already, at seq %llu, with another event",
                              (unsigned long long)receipt->seq);
}
