/*
 * spool/segment.h - the bytes of a spool segment: a header, then records one after the other.
 *
 * Pure: no files, no clock. A segment is a file of fixed size, full of zeros when it is made. Space
 * for a record is reserved first and written later, by any thread, so that a whole record may follow
 * a hole that was never filled. docs/spool-format.md has the layout as a table.
 *
 * Who makes a segment does so under another name, TL_SEGMENT_NEW_SUFFIX added, locks it (flock,
 * LOCK_EX) and only then gives it its name: a file that can be read and is not locked has lost its
 * writer. A reader may remove a new one that is not locked; then the renaming fails.
 */
#ifndef TL_SPOOL_SEGMENT_H
#define TL_SPOOL_SEGMENT_H

#include "base/base.h"

#define TL_SEGMENT_HEADER_LEN 64u
#define TL_SEGMENT_NEW_SUFFIX ".new"
#define TL_SPOOL_HEADER_LEN   32u  /* of a record */
#define TL_SPOOL_ALIGN        8u   /* records begin at multiples of this, with zeros between them */
#define TL_SPOOL_MAGIC_BYTE   0x01 /* a header begins with it, and no text contains it */
#define TL_SPOOL_TEXT_MAX     (((uint32_t)1 << 20) + 4096u)

enum tl_spool_kind {
    TL_SPOOL_EVENT = 1,  /* text: a canonical event */
    TL_SPOOL_GAP = 2,    /* text: canonical JSON of what a GAP record will say */
    TL_SPOOL_VOID = 3,   /* no text: what should be here was written elsewhere, or refused; `len` is
                           that of the text which was to be here, and no one looks at its bytes */
    TL_SPOOL_ROUTED = 4, /* text: the name of a ledger, a newline, a canonical event */
    TL_SPOOL_ACT = 5     /* text: canonical JSON of an act that its writer waits for */
};

enum tl_spool_flags {
    TL_SPOOL_BY_OCCURRED = 1 << 0, /* retention counts from occurred_at */
    TL_SPOOL_TIME_IS_OURS = 1 << 1 /* occurred_at was supplied by us */
};

/* What the header of a segment says. */
struct tl_segment {
    uint64_t nonce;     /* random; part of every record's checksum */
    int64_t created_us; /* microseconds since 1970 */
    uint32_t size;      /* of the file, in bytes */
    uint32_t pid;       /* of the writer, for people */
};

/* A record. When it is read, `text` borrows from the bytes that were given. */
struct tl_spool_record {
    enum tl_spool_kind kind;
    uint8_t delivery; /* enum tally_delivery */
    uint16_t flags;   /* enum tl_spool_flags */
    uint32_t index;   /* in its segment, from 0 */
    int64_t time_us;  /* when it was handed in */
    const char *text;
    uint32_t len;
};

/* Bytes that a record with a text of `len` takes, from its header to where the next one begins. */
static inline uint32_t tl_spool_span(uint32_t len)
{
    return (TL_SPOOL_HEADER_LEN + len + TL_SPOOL_ALIGN - 1) / TL_SPOOL_ALIGN * TL_SPOOL_ALIGN;
}

void tl_segment_encode(uint8_t out[TL_SEGMENT_HEADER_LEN], const struct tl_segment *segment);

/* TALLY_ECORRUPT: no header of a segment, or damaged; TALLY_ENOTSUP: of a later version. */
tally_status tl_segment_decode(struct tl_segment *segment,
                               const uint8_t bytes[TL_SEGMENT_HEADER_LEN], struct tally_error *err);

/*
 * Writes header and padding around record->text, which lies at room + TL_SPOOL_HEADER_LEN already:
 * the caller has left room for tl_spool_span() bytes in all. A text has no bytes below 0x20 but
 * newlines. Of a void record only TL_SPOOL_HEADER_LEN bytes are written: what stands behind them in
 * the file may stay.
 */
void tl_spool_encode(uint8_t *room, const struct tl_spool_record *record, uint64_t nonce);

enum tl_spool_found {
    TL_SPOOL_WHOLE = 1, /* a whole record */
    TL_SPOOL_NOTHING,   /* zeros where a header would be: nothing was written here, or not yet */
    TL_SPOOL_PART,      /* a header that makes sense, but no text that fits its checksum (yet) */
    TL_SPOOL_DAMAGED    /* neither */
};

/*
 * Looks at bytes[0..len), the contents of a segment from a position where a record may begin.
 * Fills in *record_out if it is whole; its span is tl_spool_span(record_out->len). Of a part it
 * fills in what the header says, which nothing has proved, and no text; the kind is 0 if not even
 * the header is all there. Total.
 */
enum tl_spool_found tl_spool_look(struct tl_spool_record *record_out, const uint8_t *bytes,
                                  size_t len, uint64_t nonce);

/*
 * The offset, a multiple of TL_SPOOL_ALIGN from `from` on, of the next whole record in
 * bytes[0..len), whose own start is aligned; SIZE_MAX if there is none. *nothing_out: all bytes that
 * were passed over are zero. No text can be taken for a record: a header holds bytes that canonical
 * text cannot have.
 */
size_t tl_spool_next(const uint8_t *bytes, size_t len, size_t from, uint64_t nonce,
                     bool *nothing_out);

#endif /* TL_SPOOL_SEGMENT_H */
