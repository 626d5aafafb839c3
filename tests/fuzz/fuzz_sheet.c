/* Reading a sheet stays within it; its terms go up, and writing what was read gives the same. */
#include <string.h>

#include "fuzz.h"
#include "store/postings.h"

#define RECORDS 100u

/* Reads the places of an entry in both ways, which must agree. */
static bool read_places(const struct tl_sheet *sheet, uint32_t *places_out, uint32_t *count_out)
{
    uint8_t marked[(RECORDS + 7) / 8] = { 0 };
    struct tl_places places = sheet->places;
    uint32_t count = 0;
    while (tl_places_next(&places, &places_out[count])) {
        tl_assert(places_out[count] < RECORDS);
        tl_assert(count == 0 || places_out[count] > places_out[count - 1]);
        count++;
    }
    *count_out = count;
    struct tl_places again = sheet->places;
    tally_status status = tl_places_mark(&again, marked);
    if (tl_places_end(&places) != TALLY_OK) {
        return false;
    }
    tl_assert(status == TALLY_OK);
    for (uint32_t i = 0; i < count; i++) {
        tl_assert((marked[places_out[i] / 8] >> places_out[i] % 8 & 1) != 0);
    }
    return true;
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    static struct tl_sheet sheet;
    TL_CLEANUP(tl_buf_release) struct tl_buf written = { 0 };
    char before[TL_INDEX_TERM_MAX];
    size_t before_len = 0;
    tl_buf_init(&written, (size_t)1 << 24);
    tl_sheet_init(&sheet, data, len, RECORDS);
    for (bool more = true;;) {
        uint32_t places[RECORDS + 1];
        uint32_t count = 0;
        size_t start = sheet.at;
        if (tl_sheet_next(&sheet, &more) != TALLY_OK) {
            return false;
        }
        if (!more) {
            return true;
        }
        if (!read_places(&sheet, places, &count)) {
            return false;
        }
        tl_buf_clear(&written);
        tl_sheet_add(&written, (struct tl_str){ .text = before, .len = before_len },
                     (struct tl_str){ .text = sheet.term, .len = sheet.term_len }, places, count,
                     RECORDS);
        tl_assert(tl_buf_status(&written) == TALLY_OK && written.len == sheet.at - start);
        tl_assert(memcmp(written.data, data + start, written.len) == 0);
        memcpy(before, sheet.term, sheet.term_len);
        before_len = sheet.term_len;
    }
}
