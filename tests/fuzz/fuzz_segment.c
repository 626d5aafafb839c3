/*
 * A whole segment, as a file of a writer that is gone: whatever its bytes are, reading it comes to
 * an end, and each record that comes of it stands in the bytes as it would be written. Accepted is
 * a segment with a record and without damage.
 */
#include <string.h>

#include "fuzz.h"
#include "spool/reading.h"

static void check_record(const struct tl_spool_record *record, const uint8_t *at, uint64_t nonce)
{
    uint32_t span = tl_spool_span(record->len);
    uint8_t *room = tl_alloc_array(span, 1);
    tl_assert(room != NULL);
    memcpy(room, at, span);
    tl_spool_encode(room, record, nonce);
    tl_assert(memcmp(room, at, span) == 0);
    tl_assert(record->kind == TL_SPOOL_VOID
                  ? record->text == NULL
                  : record->text == (const char *)at + TL_SPOOL_HEADER_LEN);
    tl_free(room);
}

/* As a reader that sees `chunk` bytes at a time, if they are enough. Returns how many records it
 * took. */
static size_t read_all(struct tl_reading *reading, const uint8_t *data, size_t len, size_t chunk)
{
    size_t count = 0;
    size_t need = 0;
    for (;;) {
        uint64_t offset = reading->mark.offset;
        size_t rest = offset < len ? len - (size_t)offset : 0;
        size_t given = need > chunk ? need : chunk;
        const uint8_t *at = rest > 0 ? data + offset : data;
        struct tl_spool_record record;
        enum tl_step step =
            tl_reading_step(reading, at, given < rest ? given : rest, &record, &need);
        if (step == TL_STEP_END || step == TL_STEP_WAIT) {
            return count;
        }
        if (step == TL_STEP_MORE) {
            tl_assert(need > given && need <= rest);
            continue;
        }
        tl_assert(reading->mark.offset > offset);
        if (step == TL_STEP_RECORD) {
            check_record(&record, at, reading->header.nonce);
            count++;
        }
        need = 0;
    }
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    struct tl_segment header;
    if (len < TL_SEGMENT_HEADER_LEN || tl_segment_decode(&header, data, NULL) != TALLY_OK) {
        return false;
    }
    struct tl_reading live;
    struct tl_reading whole;
    struct tl_reading pieces;
    tl_reading_start(&live, &header);
    live.limit = live.limit < len ? live.limit : len;
    tl_reading_start(&whole, &header);
    tl_reading_start(&pieces, &header);
    tl_reading_is_final(&whole, len);
    tl_reading_is_final(&pieces, len);
    size_t count = read_all(&whole, data, len, len);
    tl_assert(read_all(&pieces, data, len, 40) == count);
    for (size_t i = 0; i < TL_DRAIN_LOSSES; i++) {
        tl_assert(whole.mark.lost[i].count == pieces.mark.lost[i].count);
        tl_assert(whole.mark.lost[i].exact == pieces.mark.lost[i].exact);
    }
    tl_assert(read_all(&live, data, len, len) <= count);
    tl_assert(whole.mark.is_read && whole.mark.offset == whole.limit);
    return count > 0 && !whole.mark.has_unknown;
}
