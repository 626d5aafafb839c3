#include "spool/reading.h"

#include <string.h>

/* What a torn write leaves ends at a multiple of this in the file: disks and the kernel's copying
 * stop at no other places. */
#define SECTOR 512u

#define ZEROS_AT_ONCE 4096u

static void reset(struct tl_reading *reading)
{
    *reading = (struct tl_reading){ 0 };
    for (size_t i = 0; i < TL_DRAIN_LOSSES; i++) {
        reading->mark.lost[i].exact = true;
    }
}

void tl_reading_start(struct tl_reading *reading, const struct tl_segment *header)
{
    reset(reading);
    reading->header = *header;
    reading->limit = header->size;
    reading->mark.offset = TL_SEGMENT_HEADER_LEN;
    reading->mark.from_us = reading->mark.to_us = header->created_us;
}

void tl_reading_is_final(struct tl_reading *reading, uint64_t file_size)
{
    reading->is_final = true;
    reading->is_odd = file_size != reading->header.size;
    reading->limit = file_size < reading->header.size ? file_size : reading->header.size;
}

void tl_reading_ends_at(struct tl_reading *reading, uint64_t offset)
{
    uint64_t end = offset > reading->mark.offset ? offset : reading->mark.offset;
    reading->limit = end < reading->limit ? end : reading->limit;
}

static void lose(struct tl_reading_mark *mark, enum tl_drain_loss why, uint64_t count)
{
    mark->lost[why].count += count;
}

static void lose_some(struct tl_reading_mark *mark, uint64_t at_least)
{
    lose(mark, TL_DRAIN_DAMAGED, at_least);
    mark->lost[TL_DRAIN_DAMAGED].exact = false;
    mark->has_unknown = true;
}

void tl_reading_give_up(struct tl_reading *reading)
{
    reset(reading);
    reading->is_final = true;
    reading->mark.is_read = true;
    lose_some(&reading->mark, 1);
}

/* Whether records from mark->index up to `index` can have been in the hole before it. */
static bool fits_hole(const struct tl_reading_mark *mark, uint32_t index)
{
    return index >= mark->index &&
           (uint64_t)(index - mark->index) * TL_SPOOL_HEADER_LEN <= mark->hole;
}

static void advance(struct tl_reading_mark *mark, size_t len)
{
    mark->offset += len;
    mark->hole = 0;
}

static void take(struct tl_reading_mark *mark, const struct tl_spool_record *record)
{
    mark->index = record->index + 1;
    mark->is_damaged = false;
    advance(mark, tl_spool_span(record->len));
    if (record->kind == TL_SPOOL_VOID) {
        return;
    }
    if (!mark->has_records || record->time_us < mark->from_us) {
        mark->from_us = record->time_us;
    }
    if (!mark->has_records || record->time_us > mark->to_us) {
        mark->to_us = record->time_us;
    }
    mark->has_records = true;
}

/* A whole record of a final segment that does not follow the one before. Where an index comes back,
 * one of the two stands in the wrong place: events have ids, so that to take both is right. */
static void take_after_gap(struct tl_reading_mark *mark, const struct tl_spool_record *record)
{
    if (record->index < mark->index) {
        uint32_t index = mark->index;
        take(mark, record);
        mark->index = index;
        mark->has_unknown = true;
        return;
    }
    uint32_t missing = record->index - mark->index;
    if (mark->is_damaged || !fits_hole(mark, record->index)) {
        lose_some(mark, missing > 0 ? missing : 1);
    } else {
        lose(mark, TL_DRAIN_IN_FLIGHT, missing);
    }
    take(mark, record);
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* How many zeros bytes[0..len) begins with, in whole words. */
static size_t count_zeros(const uint8_t *bytes, size_t len)
{
    size_t at = 0;
    while (len - at >= ZEROS_AT_ONCE && is_zero(bytes + at, ZEROS_AT_ONCE)) {
        at += ZEROS_AT_ONCE;
    }
    while (len - at >= TL_SPOOL_ALIGN && is_zero(bytes + at, TL_SPOOL_ALIGN)) {
        at += TL_SPOOL_ALIGN;
    }
    return len - at < TL_SPOOL_ALIGN && is_zero(bytes + at, len - at) ? len : at;
}

/* Whether a record, `offset` being that in the file, was clearly cut short: nothing is missing up to
 * the end of a sector within it, and everything is after that. */
static bool is_cut_short(const uint8_t *bytes, size_t len, uint64_t offset, uint32_t text_len)
{
    size_t end = len;
    while (end > 0 && bytes[end - 1] == 0) {
        end--;
    }
    size_t text = TL_SPOOL_HEADER_LEN;
    size_t to_sector = (SECTOR - (offset + end) % SECTOR) % SECTOR;
    if (end <= text) {
        return end + to_sector <= text; /* fields of a header may end in zeros */
    }
    return to_sector == 0 && end < text + text_len && memchr(bytes + text, 0, end - text) == NULL;
}

/* A place with the header of a record that is not whole. Returns false if the header says what
 * cannot be: then it is not known what this is. */
static bool pass_torn(struct tl_reading_mark *mark, const struct tl_spool_record *record,
                      const uint8_t *bytes, size_t len)
{
    uint32_t index = record->kind == 0 ? mark->index : record->index;
    if (mark->is_damaged || !fits_hole(mark, index)) {
        return false;
    }
    size_t span = tl_spool_span(record->len);
    size_t there = span < len ? span : len;
    /* What would be its text has the beginning of another record in it. */
    if (there > TL_SPOOL_HEADER_LEN && memchr(bytes + TL_SPOOL_HEADER_LEN, TL_SPOOL_MAGIC_BYTE,
                                              there - TL_SPOOL_HEADER_LEN) != NULL) {
        return false;
    }
    mark->has_unknown = mark->has_unknown || !is_cut_short(bytes, there, mark->offset, record->len);
    lose(mark, TL_DRAIN_TORN, 1);
    lose(mark, TL_DRAIN_IN_FLIGHT, index - mark->index);
    mark->index = index + 1;
    advance(mark, there);
    return true;
}

/* Goes to the next whole record, or to where one may begin whose end is not in sight. */
static void pass_damage(struct tl_reading_mark *mark, const uint8_t *bytes, size_t len,
                        bool is_last, uint64_t nonce)
{
    bool nothing = false;
    size_t next = tl_spool_next(bytes, len, TL_SPOOL_ALIGN, nonce, &nothing);
    size_t blind = len > TL_READING_SPAN_MAX ? len - TL_READING_SPAN_MAX : 0;
    blind = blind / TL_SPOOL_ALIGN * TL_SPOOL_ALIGN;
    mark->is_damaged = true;
    advance(mark, next != SIZE_MAX ? next : is_last ? len : blind);
}

static enum tl_step end(struct tl_reading *reading)
{
    struct tl_reading_mark *mark = &reading->mark;
    if (!mark->is_read && (mark->is_damaged || reading->is_odd)) {
        lose_some(mark, 1);
    }
    mark->is_read = true;
    return TL_STEP_END;
}

enum tl_step tl_reading_step(struct tl_reading *reading, const uint8_t *bytes, size_t len,
                             struct tl_spool_record *record_out, size_t *need_out)
{
    struct tl_reading_mark *mark = &reading->mark;
    uint64_t rest = reading->limit > mark->offset ? reading->limit - mark->offset : 0;
    if (rest == 0) {
        return reading->is_final ? end(reading) : TL_STEP_WAIT;
    }
    len = len < rest ? len : (size_t)rest;
    struct tl_spool_record record = { 0 };
    enum tl_spool_found found = tl_spool_look(&record, bytes, len, reading->header.nonce);
    if (found == TL_SPOOL_WHOLE && record.index == mark->index && !mark->is_damaged) {
        take(mark, &record);
        *record_out = record;
        return TL_STEP_RECORD;
    }
    size_t need = found == TL_SPOOL_PART ? tl_spool_span(record.len) : TL_SPOOL_HEADER_LEN;
    if (reading->is_final && found != TL_SPOOL_WHOLE) {
        need = TL_READING_WINDOW;
    }
    need = need < rest ? need : (size_t)rest;
    if (len < need) {
        *need_out = need;
        return TL_STEP_MORE;
    }
    if (!reading->is_final) {
        return TL_STEP_WAIT;
    }
    if (found == TL_SPOOL_WHOLE) {
        *record_out = record;
        take_after_gap(mark, &record);
        return TL_STEP_RECORD;
    }
    size_t zeros = count_zeros(bytes, len);
    if (zeros > 0) {
        uint64_t hole = mark->hole + zeros;
        advance(mark, zeros);
        mark->hole = hole;
        return TL_STEP_PASSED;
    }
    if (found != TL_SPOOL_PART || !pass_torn(mark, &record, bytes, len)) {
        pass_damage(mark, bytes, len, len == rest, reading->header.nonce);
    }
    return TL_STEP_PASSED;
}
