/*
 * store/postings.h - which records of a segment have which terms, in bytes.
 *
 * A segment of the index is a run of records; a record's place is its distance from the first of
 * them. What is known of a segment is written on sheets, as entries in the order of their terms:
 *
 *   u8      from the high end: four bits, how many bytes the term shares with the one before; one
 *           bit, set if one place has it; three bits, how many bytes follow. Where all bits of a
 *           number are set, a varint follows with what goes beyond
 *   bytes   the rest of the term
 *   one     place: the place, big-endian, in as many bytes as the last place of the segment needs
 *   more:   varint, how many; 0 stands for all, and then the entry ends here
 *           varint, how many bytes follow, in which the gaps between the places stand Rice coded
 *
 * A gap (less one, and the first counted from -1) of q * 2^k + r is q zero bits, a one, and r in k
 * bits, from the low end of each byte on. k follows from the count; for terms that are frequent it
 * is 0, which makes the bytes a plain bitmap. Such codes need little more than the information that
 * is in the gaps, whatever the frequency.
 */
#ifndef TL_STORE_POSTINGS_H
#define TL_STORE_POSTINGS_H

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"

#define TL_INDEX_TERM_MAX 1024u /* bytes */

/* Appends an entry. `before` is the term of the entry before, empty at the start of a sheet;
 * `places` ascend, and are below `records`. */
void tl_sheet_add(struct tl_buf *sheet, struct tl_str before, struct tl_str term,
                  const uint32_t *places, uint32_t count, uint32_t records);

/* The places of one entry, as they are read. A zeroed one has none. */
struct tl_places {
    const uint8_t *bits;
    size_t len; /* bytes */
    size_t at;  /* the next bit */
    uint32_t count, left;
    uint32_t next; /* the least that the next place can be */
    uint32_t records;
    unsigned low_bits;
};

/* Reads a sheet, which is borrowed. */
struct tl_sheet {
    const uint8_t *bytes;
    size_t len, at;
    uint32_t records;
    char term[TL_INDEX_TERM_MAX]; /* of the entry that was read last */
    size_t term_len;
    struct tl_places places; /* likewise */
};

void tl_sheet_init(struct tl_sheet *sheet, const uint8_t *bytes, size_t len, uint32_t records);

/* Steps to the next entry; sets *more_out to false after the last. TALLY_ECORRUPT where the bytes
 * are no entry, or its term is not greater than the one before. */
tally_status tl_sheet_next(struct tl_sheet *sheet, bool *more_out);

/* The same for the entry of one term; *found_out is false if there is none. */
tally_status tl_sheet_find(struct tl_sheet *sheet, struct tl_str term, bool *found_out);

/* Steps to the next place; false after the last, or where the bytes are damaged. */
bool tl_places_next(struct tl_places *places, uint32_t *place_out);

/* TALLY_OK if all places were read, and nothing but them was there; else TALLY_ECORRUPT. */
tally_status tl_places_end(const struct tl_places *places);

/* Sets the bits of all places in `bitmap`, which has room for `records` bits in whole bytes, the
 * low bits first. */
tally_status tl_places_mark(struct tl_places *places, uint8_t *bitmap);

#endif /* TL_STORE_POSTINGS_H */
