/*
 * spool/ack.h - how the sequencer answers writers of other processes that wait: <segment>.ack.
 *
 * A slot of fixed size for each record of a segment, filled in after its fate is durable. Written
 * by the sequencer, read by the writer; never synced: who waits is alive. After a crash of the
 * sequencer the next one reads the segment again and answers again, with the same.
 */
#ifndef TL_SPOOL_ACK_H
#define TL_SPOOL_ACK_H

#include "base/base.h"

#define TL_ACK_LEN 96u /* bytes of a slot */

struct tl_ack {
    uint32_t index; /* of the record in its segment */
    int32_t status; /* tally_status: TALLY_OK recorded, TALLY_ECONFLICT its id is taken */
    uint32_t flags; /* enum tally_receipt_flags */
    uint64_t seq;
    int64_t recorded_us;
    uint64_t checkpoint_size;
    uint8_t leaf_hash[32];
};

/* Writes the answers, in ascending order of index, for the segment file `dir`/`segment`. */
tally_status tl_ack_write(const char *dir, const char *segment, const struct tl_ack *acks,
                          size_t count, struct tally_error *err);

/* Reads the answer for one record. TALLY_ENOTFOUND: there is none yet. TALLY_EIO, TALLY_EINVAL */
tally_status tl_ack_read(const char *dir, const char *segment, uint32_t index, struct tl_ack *out);

/* Removes the answers for segments that are gone for longer than who waits would wait. */
void tl_ack_sweep(const char *dir);

#endif /* TL_SPOOL_ACK_H */
