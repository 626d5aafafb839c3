/*
 * spool/reading.h - how far one segment has been read, and what was found missing in it.
 *
 * Pure: the bytes come as arguments, wherever they were read. In a segment whose writer lives,
 * whatever is not whole yet is waited for. In a final one it is passed over, and accounted for.
 */
#ifndef TL_SPOOL_READING_H
#define TL_SPOOL_READING_H

#include "spool/drain.h"

#define TL_READING_SPAN_MAX (TL_SPOOL_HEADER_LEN + TL_SPOOL_TEXT_MAX)

/* The bytes from a place that is not whole that are needed to find what comes after it. */
#define TL_READING_WINDOW ((size_t)2 * TL_READING_SPAN_MAX)
_Static_assert(TL_READING_SPAN_MAX % TL_SPOOL_ALIGN == 0, "windows are aligned");

struct tl_reading_mark {
    uint64_t offset;  /* of what is read next */
    uint32_t index;   /* that the next record should have */
    uint64_t hole;    /* zeros since the last thing that was no zero */
    bool is_damaged;  /* bytes since the last record are none */
    bool has_unknown; /* so that the file is kept */
    bool is_read;     /* to its end */
    bool has_records; /* so that the two times are those of records */
    int64_t from_us, to_us;
    struct tl_drain_count lost[TL_DRAIN_LOSSES];
};

struct tl_reading {
    struct tl_segment header;
    bool is_final;  /* its writer is gone */
    uint64_t limit; /* where reading ends: a final file may be shorter than its header says */
    bool is_odd;    /* the file has another size than its header says */
    struct tl_reading_mark mark;
};

/* Begins behind the header of a segment that may still be written to. */
void tl_reading_start(struct tl_reading *reading, const struct tl_segment *header);

/* The writer is gone; the file has this many bytes. */
void tl_reading_is_final(struct tl_reading *reading, uint64_t file_size);

/* From here on a final file holds nothing but zeros. */
void tl_reading_ends_at(struct tl_reading *reading, uint64_t offset);

/* All of it is lost: its header cannot be read. */
void tl_reading_give_up(struct tl_reading *reading);

enum tl_step {
    TL_STEP_RECORD = 1, /* a record, perhaps a void one; the mark stands behind it */
    TL_STEP_PASSED,     /* something else was passed over */
    TL_STEP_MORE,       /* *need_out bytes from the mark on are needed, and the file has them */
    TL_STEP_WAIT,       /* for the writer */
    TL_STEP_END
};

/* One step from the mark on, where bytes[0..len) stand. */
enum tl_step tl_reading_step(struct tl_reading *reading, const uint8_t *bytes, size_t len,
                             struct tl_spool_record *record_out, size_t *need_out);

#endif /* TL_SPOOL_READING_H */
