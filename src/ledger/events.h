/* ledger/events.h - the insides of struct tally_events. */
#ifndef TL_LEDGER_EVENTS_H
#define TL_LEDGER_EVENTS_H

#include "ledger/ledger.h"

/* One event in the common buffer. */
struct tl_events_item {
    size_t offset;
    size_t len;
    size_t id_offset; /* of the id's text in `ids` */
    uint8_t id[TL_LEAF_ID_LEN];
    int32_t days;
    int64_t occurred_us;
    bool by_occurred;
    bool time_is_ours;
    uint32_t receipt_flags;
};

struct tally_events {
    struct tally_ledger *ledger;
    struct tl_event_reader reader;
    struct tl_buf text; /* canonical events, one after the other */
    struct tl_buf ids;  /* their ids, each with a NUL */
    struct tl_events_item *items;
    struct tl_entry *entries;          /* filled in for the sequencer; as many as items */
    struct tl_commitment *commitments; /* of these; only while they are appended */
    struct tl_split split;
    size_t count;
    size_t capacity;
};

/* tally_events_add(), also for the ledger's own events. */
tally_status tl_events_add(struct tally_events *events, const char *json, size_t len,
                           uint32_t flags, bool own, struct tally_error *err);

/* append.c: the JSON text of an act on the ledger itself, as of tally_record_act(). The caller releases
 * *json, also after a failure. TALLY_ENOMEM, TALLY_ELIMIT */
tally_status tl_act_write(struct tl_buf *json, const struct tally_ledger *ledger,
                          const char *action, const char *by, const char *metadata);

/* append.c: tally_append() of an event of the ledger's own, whose action begins with "tally.". */
tally_status tl_append_own(struct tally_ledger *ledger, const char *json, size_t len,
                           struct tally_error *err);

/* append.c: tally_append_events() that, if another process is the sequencer, waits for it until
 * `until_us` of the steady clock; then TALLY_EBUSY: the events are in the spool. */
tally_status tl_append_events_until(struct tally_ledger *ledger, struct tally_events *events,
                                    struct tally_receipt *receipts_out, int64_t until_us,
                                    struct tally_error *err);

#endif /* TL_LEDGER_EVENTS_H */
