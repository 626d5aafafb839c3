#include "spool/segment.h"

#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"

#define VERSION 1u

/* The header of a segment. Big-endian; what is not named is zero. */
enum {
    AT_MAGIC = 0,
    AT_VERSION = 8,
    AT_SIZE = 12,
    AT_NONCE = 16,
    AT_CREATED = 24,
    AT_PID = 32,
    AT_ZERO = 36,
    AT_CRC = 60
};
_Static_assert(AT_CRC + 4 == TL_SEGMENT_HEADER_LEN, "the checksum ends the header");
_Static_assert(TL_SEGMENT_HEADER_LEN % TL_SPOOL_ALIGN == 0, "the first record is aligned");

static const uint8_t segment_magic[8] = { 'T', 'A', 'L', 'L', 'Y', 'S', 'P', 'L' };

/* The header of a record. */
#define RECORD_MAGIC UINT32_C(0x01545301)
_Static_assert(RECORD_MAGIC >> 24 == TL_SPOOL_MAGIC_BYTE, "it comes first");
enum {
    AT_RECORD_MAGIC = 0,
    AT_LEN = 4,
    AT_INDEX = 8,
    AT_KIND = 12,
    AT_DELIVERY = 13,
    AT_FLAGS = 14,
    AT_TIME = 16,
    AT_RECORD_CRC = 24,
    AT_RECORD_ZERO = 28
};
_Static_assert(AT_RECORD_ZERO + 4 == TL_SPOOL_HEADER_LEN, "zeros end the header of a record");
_Static_assert(TL_SPOOL_HEADER_LEN % TL_SPOOL_ALIGN == 0, "a record without text is aligned");
_Static_assert(TL_SPOOL_TEXT_MAX < UINT32_MAX - TL_SPOOL_HEADER_LEN - TL_SPOOL_ALIGN,
               "a span fits into 32 bits");

static bool is_zero(const uint8_t *bytes, size_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

void tl_segment_encode(uint8_t out[TL_SEGMENT_HEADER_LEN], const struct tl_segment *segment)
{
    memset(out, 0, TL_SEGMENT_HEADER_LEN);
    memcpy(out + AT_MAGIC, segment_magic, sizeof(segment_magic));
    tl_put_be32(out + AT_VERSION, VERSION);
    tl_put_be32(out + AT_SIZE, segment->size);
    tl_put_be64(out + AT_NONCE, segment->nonce);
    tl_put_be64(out + AT_CREATED, (uint64_t)segment->created_us);
    tl_put_be32(out + AT_PID, segment->pid);
    tl_put_be32(out + AT_CRC, tl_crc32c(0, out, AT_CRC));
}

tally_status tl_segment_decode(struct tl_segment *segment,
                               const uint8_t bytes[TL_SEGMENT_HEADER_LEN], struct tally_error *err)
{
    if (memcmp(bytes + AT_MAGIC, segment_magic, sizeof(segment_magic)) != 0) {
        return tl_fail(err, TALLY_ECORRUPT, "no spool segment");
    }
    if (tl_get_be32(bytes + AT_CRC) != tl_crc32c(0, bytes, AT_CRC)) {
        return tl_fail(err, TALLY_ECORRUPT, "the header of a spool segment is damaged");
    }
    uint32_t version = tl_get_be32(bytes + AT_VERSION);
    if (version > VERSION) {
        return tl_fail(err, TALLY_ENOTSUP, "a spool segment of version %u, which is later",
                       version);
    }
    uint32_t size = tl_get_be32(bytes + AT_SIZE);
    if (version != VERSION || size < TL_SEGMENT_HEADER_LEN ||
        !is_zero(bytes + AT_ZERO, AT_CRC - AT_ZERO)) {
        return tl_fail(err, TALLY_ECORRUPT, "the header of a spool segment makes no sense");
    }
    *segment = (struct tl_segment){ .nonce = tl_get_be64(bytes + AT_NONCE),
                                    .created_us = (int64_t)tl_get_be64(bytes + AT_CREATED),
                                    .size = size,
                                    .pid = tl_get_be32(bytes + AT_PID) };
    return TALLY_OK;
}

/* Of a header and a text after it. The nonce keeps what an older file left on the disk from being
 * taken for a record of this one. */
static uint32_t checksum(const uint8_t *record, uint32_t text_len, uint64_t nonce)
{
    uint8_t salt[8];
    tl_put_be64(salt, nonce);
    uint32_t crc = tl_crc32c(0, record, AT_RECORD_CRC);
    crc = tl_crc32c(crc, salt, sizeof(salt));
    return tl_crc32c(crc, record + TL_SPOOL_HEADER_LEN, text_len);
}

/* Bytes of text that are checked: a void record has none, whatever is left where it stands. */
static uint32_t checked_len(enum tl_spool_kind kind, uint32_t len)
{
    return kind == TL_SPOOL_VOID ? 0 : len;
}

void tl_spool_encode(uint8_t *room, const struct tl_spool_record *record, uint64_t nonce)
{
    tl_assert(record->len <= TL_SPOOL_TEXT_MAX);
    tl_put_be32(room + AT_RECORD_MAGIC, RECORD_MAGIC);
    tl_put_be32(room + AT_LEN, record->len);
    tl_put_be32(room + AT_INDEX, record->index);
    room[AT_KIND] = (uint8_t)record->kind;
    room[AT_DELIVERY] = record->delivery;
    tl_put_be16(room + AT_FLAGS, record->flags);
    tl_put_be64(room + AT_TIME, (uint64_t)record->time_us);
    uint32_t text_len = checked_len(record->kind, record->len);
    tl_put_be32(room + AT_RECORD_CRC, checksum(room, text_len, nonce));
    tl_put_be32(room + AT_RECORD_ZERO, 0);
    if (record->kind != TL_SPOOL_VOID) {
        size_t end = TL_SPOOL_HEADER_LEN + (size_t)record->len;
        memset(room + end, 0, tl_spool_span(record->len) - end);
    }
}

/* Whether a header holds values that one can hold. */
static bool makes_sense(const uint8_t *header)
{
    return tl_get_be32(header + AT_LEN) <= TL_SPOOL_TEXT_MAX && header[AT_KIND] >= TL_SPOOL_EVENT &&
           header[AT_KIND] <= TL_SPOOL_ACT && tl_get_be32(header + AT_RECORD_ZERO) == 0;
}

static void read_header(struct tl_spool_record *record, const uint8_t *header)
{
    *record = (struct tl_spool_record){ .kind = header[AT_KIND],
                                        .delivery = header[AT_DELIVERY],
                                        .flags = tl_get_be16(header + AT_FLAGS),
                                        .index = tl_get_be32(header + AT_INDEX),
                                        .time_us = (int64_t)tl_get_be64(header + AT_TIME),
                                        .len = tl_get_be32(header + AT_LEN) };
}

/* Whether all of a record is there whose header makes sense, checked and with its padding. */
static bool is_whole(const struct tl_spool_record *record, const uint8_t *bytes, size_t len,
                     uint64_t nonce)
{
    uint32_t span = tl_spool_span(record->len);
    uint32_t text_len = checked_len(record->kind, record->len);
    const uint8_t *text = bytes + TL_SPOOL_HEADER_LEN;
    if (span > len) {
        return false;
    }
    /* No text ends in NUL: its end is not written yet. So waiting for it costs no checksums. */
    if (text_len > 0 && text[text_len - 1] == 0) {
        return false;
    }
    if (tl_get_be32(bytes + AT_RECORD_CRC) != checksum(bytes, text_len, nonce)) {
        return false;
    }
    return record->kind == TL_SPOOL_VOID ||
           is_zero(text + text_len, span - TL_SPOOL_HEADER_LEN - text_len);
}

enum tl_spool_found tl_spool_look(struct tl_spool_record *record_out, const uint8_t *bytes,
                                  size_t len, uint64_t nonce)
{
    uint8_t header[TL_SPOOL_HEADER_LEN] = { 0 };
    size_t header_len = len < sizeof(header) ? len : sizeof(header);
    if (header_len > 0) {
        memcpy(header, bytes, header_len);
    }
    if (is_zero(header, sizeof(header))) {
        return TL_SPOOL_NOTHING;
    }
    if (tl_get_be32(header + AT_RECORD_MAGIC) != RECORD_MAGIC) {
        return TL_SPOOL_DAMAGED;
    }
    struct tl_spool_record record;
    read_header(&record, header);
    /* The end of a page may part a header, but not its first two fields. */
    bool is_begun =
        header_len < sizeof(header) || is_zero(header + AT_INDEX, sizeof(header) - AT_INDEX);
    if (is_begun && record.len <= TL_SPOOL_TEXT_MAX) {
        record.kind = 0;
        *record_out = record;
        return TL_SPOOL_PART;
    }
    if (!makes_sense(header)) {
        return TL_SPOOL_DAMAGED;
    }
    bool whole = is_whole(&record, bytes, len, nonce);
    if (whole && record.kind != TL_SPOOL_VOID) {
        record.text = (const char *)bytes + TL_SPOOL_HEADER_LEN;
    }
    *record_out = record;
    return whole ? TL_SPOOL_WHOLE : TL_SPOOL_PART;
}

/*
 * Whether a whole record begins here. The text of a candidate that holds another one's magic is not
 * looked at any further: so the bytes of a segment are gone through once, whatever they are.
 */
static bool begins_whole(const uint8_t *bytes, size_t len, uint64_t nonce)
{
    if (len < TL_SPOOL_HEADER_LEN || tl_get_be32(bytes) != RECORD_MAGIC || !makes_sense(bytes)) {
        return false;
    }
    struct tl_spool_record record;
    read_header(&record, bytes);
    uint32_t text_len = checked_len(record.kind, record.len);
    if (tl_spool_span(record.len) > len ||
        (text_len > 0 &&
         memchr(bytes + TL_SPOOL_HEADER_LEN, TL_SPOOL_MAGIC_BYTE, text_len) != NULL)) {
        return false;
    }
    return is_whole(&record, bytes, len, nonce);
}

size_t tl_spool_next(const uint8_t *bytes, size_t len, size_t from, uint64_t nonce,
                     bool *nothing_out)
{
    bool nothing = true;
    size_t at = from;
    for (; at < len; at += TL_SPOOL_ALIGN) {
        if (begins_whole(bytes + at, len - at, nonce)) {
            *nothing_out = nothing;
            return at;
        }
        size_t step = len - at < TL_SPOOL_ALIGN ? len - at : TL_SPOOL_ALIGN;
        nothing = nothing && is_zero(bytes + at, step);
    }
    *nothing_out = nothing;
    return SIZE_MAX;
}
