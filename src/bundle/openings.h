/*
 * bundle/openings.h - reads openings.ndjson line by line, in bounded memory. The file is hostile:
 * what is wrong with it is for bundle/check.c to say; who looks for a position gets what can be had.
 */
#ifndef TL_BUNDLE_OPENINGS_H
#define TL_BUNDLE_OPENINGS_H

#include "evidence/note.h"
#include "evidence/opening.h"

/* Confined to one thread. A zeroed one must be opened; closing is always allowed. */
struct tl_openings {
    int fd;                /* -1 without a file */
    uint64_t offset;       /* in the file, of what follows the buffer */
    struct tl_buf buf;     /* what was read and not taken */
    size_t at;             /* bytes of it that were taken */
    bool torn;             /* the last line does not end, or is too long */
    struct tl_arena arena; /* of the line at hand */
    struct tl_openings_head head;
    bool head_read; /* it parsed */
    char origin[TL_ORIGIN_LEN_MAX + 1];

    struct tl_opening *line; /* owned; the newest one that was read */
    bool has_line;           /* that is still to come: its position was not passed */
    bool ended;              /* there is none after `passed` */
    uint64_t passed;         /* positions below this were passed */
};

/* TALLY_ENOTFOUND: there is no such file. Errors: TALLY_EIO, TALLY_ENOMEM */
tally_status tl_openings_open(struct tl_openings *openings, const char *path,
                              struct tally_error *err);
void tl_openings_close(struct tl_openings *openings);

/* Goes back to the first line after the head. */
tally_status tl_openings_rewind(struct tl_openings *openings, struct tally_error *err);

/* Reads the next line into openings->line. TALLY_ENOTFOUND after the last, TALLY_ECORRUPT if it does
 * not parse: the next call goes on after it. Errors: TALLY_EIO, TALLY_ENOMEM */
tally_status tl_openings_next(struct tl_openings *openings, struct tally_error *err);

/* Sets *opening_out to the line of `seq`, or NULL if there is none; borrowed until the next call. */
tally_status tl_openings_find(struct tl_openings *openings, uint64_t seq,
                              const struct tl_opening **opening_out, struct tally_error *err);

#endif /* TL_BUNDLE_OPENINGS_H */
