#include "store/postings.h"

#include <string.h>

/* The parts of the byte that begins an entry. */
#define SHARED_SHIFT 4
#define SHARED_MAX   15u
#define ONE_PLACE    8u
#define REST_MAX     7u

/* Bits that one look into the stream is sure to see, wherever in a byte it begins. */
#define LOOK_BITS 57u

static unsigned width_of(uint32_t records)
{
    return records <= 1u << 8 ? 1 : records <= 1u << 16 ? 2 : records <= 1u << 24 ? 3 : 4;
}

/* The k of the code: 2^k is about the mean gap. */
static unsigned low_bits_of(uint32_t count, uint32_t records)
{
    uint32_t gap = records / count;
    return gap < 4 ? 0 : 31u - (unsigned)__builtin_clz(gap);
}

static void add_varint(struct tl_buf *out, uint64_t value)
{
    while (value >= 0x80) {
        tl_buf_add_char(out, (char)(value | 0x80));
        value >>= 7;
    }
    tl_buf_add_char(out, (char)value);
}

static void add_term(struct tl_buf *out, struct tl_str before, struct tl_str term, bool one_place)
{
    size_t shared = 0;
    while (shared < before.len && shared < term.len && before.text[shared] == term.text[shared]) {
        shared++;
    }
    size_t rest = term.len - shared;
    size_t high = shared < SHARED_MAX ? shared : SHARED_MAX;
    size_t low = rest < REST_MAX ? rest : REST_MAX;
    tl_buf_add_char(out, (char)(high << SHARED_SHIFT | (one_place ? ONE_PLACE : 0) | low));
    if (high == SHARED_MAX) {
        add_varint(out, shared - SHARED_MAX);
    }
    if (low == REST_MAX) {
        add_varint(out, rest - REST_MAX);
    }
    tl_buf_add(out, term.text + shared, rest);
}

/* How many bytes the gaps take. */
static size_t coded_len(const uint32_t *places, uint32_t count, unsigned low_bits)
{
    uint64_t bits = 0;
    uint32_t next = 0;
    for (uint32_t i = 0; i < count; i++) {
        bits += ((places[i] - next) >> low_bits) + 1 + low_bits;
        next = places[i] + 1;
    }
    return (size_t)((bits + 7) / 8);
}

static void code(uint8_t *out, const uint32_t *places, uint32_t count, unsigned low_bits)
{
    size_t at = 0;
    uint32_t next = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t gap = places[i] - next;
        at += gap >> low_bits;
        /* The one and the low bits: at most 32, so that they touch five bytes at most. */
        uint64_t bits = (1 | (uint64_t)(gap & ((1u << low_bits) - 1)) << 1) << (at & 7);
        for (size_t byte = at >> 3; bits != 0; byte++, bits >>= 8) {
            out[byte] |= (uint8_t)bits;
        }
        at += 1 + low_bits;
        next = places[i] + 1;
    }
}

void tl_sheet_add(struct tl_buf *sheet, struct tl_str before, struct tl_str term,
                  const uint32_t *places, uint32_t count, uint32_t records)
{
    tl_assert(count > 0 && count <= records && term.len <= TL_INDEX_TERM_MAX);
    bool all = count == records;
    add_term(sheet, before, term, count == 1 && !all);
    if (all) {
        add_varint(sheet, 0);
        return;
    }
    if (count == 1) {
        for (unsigned i = width_of(records); i > 0; i--) {
            tl_buf_add_char(sheet, (char)(places[0] >> (8 * (i - 1))));
        }
        return;
    }
    add_varint(sheet, count);
    unsigned low_bits = low_bits_of(count, records);
    size_t len = coded_len(places, count, low_bits);
    add_varint(sheet, len);
    char *to = tl_buf_reserve(sheet, len);
    if (to != NULL) {
        memset(to, 0, len);
        code((uint8_t *)to, places, count, low_bits);
        tl_buf_commit(sheet, len);
    }
}

void tl_sheet_init(struct tl_sheet *sheet, const uint8_t *bytes, size_t len, uint32_t records)
{
    sheet->bytes = bytes;
    sheet->len = bytes == NULL ? 0 : len;
    sheet->at = 0;
    sheet->records = records;
    sheet->term_len = 0;
    sheet->places = (struct tl_places){ 0 };
}

/* Reads what fits 32 bits, in its shortest form. */
static bool read_varint(struct tl_sheet *sheet, uint32_t *value_out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 35 && sheet->at < sheet->len; shift += 7) {
        uint8_t byte = sheet->bytes[sheet->at++];
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value_out = (uint32_t)value;
            return value <= UINT32_MAX && (byte != 0 || shift == 0);
        }
    }
    return false;
}

static bool read_term(struct tl_sheet *sheet, bool *one_place)
{
    uint8_t head = sheet->bytes[sheet->at++];
    uint32_t shared = head >> SHARED_SHIFT;
    uint32_t rest = head & REST_MAX;
    uint32_t more = 0;
    *one_place = (head & ONE_PLACE) != 0;
    if (shared == SHARED_MAX) {
        if (!read_varint(sheet, &more) || more > TL_INDEX_TERM_MAX) {
            return false;
        }
        shared += more;
    }
    if (rest == REST_MAX) {
        if (!read_varint(sheet, &more) || more > TL_INDEX_TERM_MAX) {
            return false;
        }
        rest += more;
    }
    if (shared > sheet->term_len || rest == 0 || rest > TL_INDEX_TERM_MAX - shared ||
        rest > sheet->len - sheet->at) {
        return false;
    }
    /* The term goes up: it goes beyond the one before, or differs from it in a greater byte. */
    const uint8_t *from = sheet->bytes + sheet->at;
    if (shared < sheet->term_len && from[0] <= (uint8_t)sheet->term[shared]) {
        return false;
    }
    memcpy(sheet->term + shared, from, rest);
    sheet->term_len = shared + rest;
    sheet->at += rest;
    return true;
}

static bool read_places(struct tl_sheet *sheet, bool one_place)
{
    struct tl_places *places = &sheet->places;
    uint32_t count = 1;
    uint32_t len = width_of(sheet->records);
    if (!one_place && !read_varint(sheet, &count)) {
        return false;
    }
    *places = (struct tl_places){ .records = sheet->records, .count = count, .left = count };
    if (count == 0) {
        places->left = sheet->records;
        return true;
    }
    if (count >= sheet->records || one_place != (count == 1) ||
        (!one_place && !read_varint(sheet, &len)) || len > sheet->len - sheet->at) {
        return false;
    }
    places->bits = sheet->bytes + sheet->at;
    places->len = len;
    places->low_bits = low_bits_of(count, sheet->records);
    sheet->at += len;
    return true;
}

tally_status tl_sheet_next(struct tl_sheet *sheet, bool *more_out)
{
    bool one_place = false;
    *more_out = sheet->at < sheet->len;
    return !*more_out || (read_term(sheet, &one_place) && read_places(sheet, one_place))
               ? TALLY_OK
               : TALLY_ECORRUPT;
}

tally_status tl_sheet_find(struct tl_sheet *sheet, struct tl_str term, bool *found_out)
{
    *found_out = false;
    bool more = true;
    for (;;) {
        TL_TRY(tl_sheet_next(sheet, &more));
        if (!more) {
            return TALLY_OK;
        }
        size_t len = term.len < sheet->term_len ? term.len : sheet->term_len;
        int order = memcmp(sheet->term, term.text, len);
        if (order > 0 || (order == 0 && sheet->term_len >= term.len)) {
            *found_out = order == 0 && sheet->term_len == term.len;
            return TALLY_OK;
        }
    }
}

/* The bits from `at` on, LOOK_BITS of them; zero beyond the end. */
static uint64_t look(const struct tl_places *places)
{
    size_t byte = places->at >> 3;
    uint64_t bits = 0;
    if (byte + 8 <= places->len) {
        const uint8_t *p = places->bits + byte;
        bits = (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
               (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
               (uint64_t)p[7] << 56;
    } else {
        for (size_t i = places->len; i > byte; i--) {
            bits = bits << 8 | places->bits[i - 1];
        }
    }
    return bits >> (places->at & 7) & ((UINT64_C(1) << LOOK_BITS) - 1);
}

/* Reads one gap; UINT64_MAX if there is none. */
static uint64_t read_gap(struct tl_places *places)
{
    uint64_t zeros = 0;
    uint64_t bits = look(places);
    while (bits == 0) {
        zeros += LOOK_BITS;
        places->at += LOOK_BITS;
        if (places->at >= 8 * places->len) {
            return UINT64_MAX;
        }
        bits = look(places);
    }
    unsigned more = (unsigned)__builtin_ctzll(bits);
    places->at += more + 1;
    uint64_t low = 0;
    if (places->low_bits > 0) {
        low = look(places) & ((UINT64_C(1) << places->low_bits) - 1);
        places->at += places->low_bits;
    }
    return (zeros + more) << places->low_bits | low;
}

bool tl_places_next(struct tl_places *places, uint32_t *place_out)
{
    if (places->left == 0) {
        return false;
    }
    uint64_t gap = 0;
    if (places->count == 1) {
        for (size_t i = 0; i < places->len; i++) {
            gap = gap << 8 | places->bits[i];
        }
        places->at = 8 * places->len;
    } else if (places->count > 1) {
        gap = read_gap(places);
    }
    if (gap >= places->records - places->next) {
        return false;
    }
    *place_out = places->next + (uint32_t)gap;
    places->next = *place_out + 1;
    places->left--;
    return true;
}

tally_status tl_places_end(const struct tl_places *places)
{
    bool used_up = (places->at + 7) / 8 == places->len && look(places) == 0;
    return places->left == 0 && used_up ? TALLY_OK : TALLY_ECORRUPT;
}

tally_status tl_places_mark(struct tl_places *places, uint8_t *bitmap)
{
    size_t room = ((size_t)places->records + 7) / 8;
    if (places->count == 0) {
        memset(bitmap, 0xff, places->records > 0 ? room : 0);
        return TALLY_OK;
    }
    if (places->count > 1 && places->low_bits == 0) {
        for (size_t i = 0; i < places->len && i < room; i++) {
            bitmap[i] |= places->bits[i];
        }
        return places->len <= room ? TALLY_OK : TALLY_ECORRUPT;
    }
    uint32_t place = 0;
    while (tl_places_next(places, &place)) {
        bitmap[place >> 3] |= (uint8_t)(1u << (place & 7));
    }
    return tl_places_end(places);
}
