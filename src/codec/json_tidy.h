/*
 * codec/json_tidy.h - JSON text made canonical in one pass, without a tree, where that is simple.
 *
 * For text as programs write it: canonical but for white space and the order of members. Whatever
 * is not simple, and all that is wrong, is left to tl_json_read(): nothing here says why it gives
 * up. What it does accept, it makes the very bytes of that tl_json_read() and tl_json_write() make.
 *
 * The text is copied, with room after it, and so are all results: whoever copies short pieces of
 * them may do so by whole blocks.
 */
#ifndef TL_CODEC_JSON_TIDY_H
#define TL_CODEC_JSON_TIDY_H

#include "base/buf.h"
#include "codec/json.h"
#include "codec/json_scan.h"

#define TL_JSON_TIDY_BYTES_MAX ((size_t)64 << 10)
#define TL_JSON_TIDY_ROOM      256u /* bytes at `to` beyond the length of the text */
#define TL_JSON_TIDY_ENTRIES   64u

/* A member of an object that may have to be sorted. */
struct tl_json_tidy_entry {
    uint64_t prefix; /* the first eight bytes of the name, as a number */
    struct tl_str name;
    char *start; /* of its canonical text */
    size_t len;
};

/* Lives as long as the scratch memory it was made with is left alone. */
struct tl_json_tidy {
    const char *text; /* with a block after it that begins no token */
    size_t len;
    const uint64_t *quotes; /* a bit for each byte that opens or closes a string */
    const uint64_t *odd;    /* for each byte below U+0020, backslash, or byte of more than ASCII */
    size_t window;          /* the word of `quotes` that is being read, */
    uint64_t quotes_left;   /* and what is left of it */
    bool plain;             /* there is no odd byte */
    const struct tl_json_limits *limits;

    char *to;        /* where the next canonical text goes */
    const char *end; /* of the room for it */
    size_t run;      /* inside a value: the first byte of the text that is not there yet */
    char *spare;     /* room for sorting */
    size_t entry_count;
    struct tl_json_tidy_entry entries[TL_JSON_TIDY_ENTRIES];

    /* If there is one, a value is only simple if this is true for the name of each member in it. */
    bool (*accepts)(const void *ctx, struct tl_str name);
    const void *ctx;
};

/* Looks through a text of up to TL_JSON_TIDY_BYTES_MAX; false if there is no memory for it. */
bool tl_json_tidy_init(struct tl_json_tidy *tidy, struct tl_buf *scratch,
                       const struct tl_json_limits *limits, const char *text, size_t len);

/*
 * The functions below return the byte after what they read, or 0 if it is not simple.
 *
 * Puts the canonical text of the value that begins at text[at], inside `depth` containers, to
 * `tidy->to`, which moves behind it.
 */
size_t tl_json_tidy_value(struct tl_json_tidy *tidy, size_t at, uint32_t depth);

/* For strings with an odd byte between text[from] and text[end]; see tl_json_tidy_string(). */
size_t tl_json_tidy_odd_string(const struct tl_json_tidy *tidy, size_t from, size_t end,
                               bool *escaped_out);

/* Whether one of text[from..end) is odd. */
static inline bool tl_json_tidy_has_odd(const struct tl_json_tidy *tidy, size_t from, size_t end)
{
    size_t i = from / 64;
    uint64_t before_end = ((uint64_t)1 << end % 64) - 1;
    uint64_t odd = tidy->odd[i] & ~(uint64_t)0 << from % 64;
    for (; i < end / 64; i++) {
        if (odd != 0) {
            return true;
        }
        odd = tidy->odd[i + 1];
    }
    return (odd & before_end) != 0;
}

/* Steps to the next quote. They are met in order, so that none need be looked for: to know where a
 * string ends, nothing need be known of the one before. */
static inline size_t tl_json_tidy_quote(struct tl_json_tidy *tidy)
{
    uint64_t left = tidy->quotes_left;
    while (left == 0) {
        tidy->window++;
        left = tidy->quotes[tidy->window]; /* there is one after the end */
    }
    tidy->quotes_left = left & (left - 1);
    return tidy->window * 64 + (size_t)__builtin_ctzll(left);
}

/* Reads a string that is canonical, whose text is then what lies between the quotes. */
static inline size_t tl_json_tidy_string(struct tl_json_tidy *tidy, size_t at, bool *escaped_out)
{
    *escaped_out = false;
    if (tidy->text[at] != '"' || tl_json_tidy_quote(tidy) != at) {
        return 0;
    }
    size_t end = tl_json_tidy_quote(tidy);
    if (end >= tidy->len) {
        return 0;
    }
    return tidy->plain || !tl_json_tidy_has_odd(tidy, at + 1, end)
               ? end + 1
               : tl_json_tidy_odd_string(tidy, at + 1, end, escaped_out);
}

/* Returns the first byte from text[at] on that is no white space; not for use inside values. */
static inline size_t tl_json_tidy_space(const struct tl_json_tidy *tidy, size_t at)
{
    while (tidy->text[at] == ' ' || tidy->text[at] == '\n' || tidy->text[at] == '\r' ||
           tidy->text[at] == '\t') {
        at++;
    }
    return at;
}

/* Copies by whole blocks, so that up to 15 bytes more are read and written. */
static inline char *tl_json_tidy_copy(char *to, const char *from, size_t len)
{
    size_t at = 0;
    do {
        memcpy(to + at, from + at, sizeof(tl_json_block));
        at += sizeof(tl_json_block);
    } while (at < len);
    return to + len;
}

#endif /* TL_CODEC_JSON_TIDY_H */
