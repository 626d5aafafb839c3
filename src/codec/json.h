/*
 * codec/json.h - strict JSON (RFC 8259) in, canonical JSON (RFC 8785, JCS) out.
 *
 * The reader refuses what docs/evidence.md lists: duplicate names, invalid UTF-8, lone surrogates,
 * U+0000, numbers that cannot be kept, too much depth. Whatever it accepts, the writer can write,
 * and what the writer writes, the reader reads as the same value.
 */
#ifndef TL_CODEC_JSON_H
#define TL_CODEC_JSON_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

enum tl_json_type {
    TL_JSON_NULL = 1,
    TL_JSON_FALSE,
    TL_JSON_TRUE,
    TL_JSON_NUMBER,
    TL_JSON_STRING,
    TL_JSON_ARRAY,
    TL_JSON_OBJECT,
};

/*
 * One value. Lives in the arena of its document; strings borrow from the arena or the input. The
 * members of an object are in canonical order (tl_json_compare_names), whatever the input's was;
 * whoever builds or changes an object calls tl_json_sort().
 */
struct tl_json {
    enum tl_json_type type;
    uint32_t count;        /* members or elements */
    size_t name_offset;    /* byte of the input at which the name's quote is; of a member */
    size_t offset;         /* byte of the input at which the value begins */
    size_t end;            /* byte after the last one of the value */
    struct tl_str key;     /* name, unescaped, if the value is a member; else absent */
    struct tl_str text;    /* string: unescaped; number: the token as read; else absent */
    double number;         /* of a number */
    struct tl_json *first; /* first member or element */
    struct tl_json *next;  /* next sibling */
};

/* Bounds for a reader; each must be set. */
struct tl_json_limits {
    size_t bytes_max;
    uint32_t depth_max;    /* nested containers, at most 64 */
    uint32_t members_max;  /* in one object */
    uint32_t elements_max; /* in one array */
    bool keep_integers;    /* accept integer tokens beyond 2^53; see tl_json_is_large_integer() */
    bool keep_floats; /* accept other tokens of 2^53 or more; tl_json_write() may not see them */
};

/*
 * The bounds of the evidence format itself: 16,777,215 bytes, 64 nested containers, any number of
 * members and elements, of which the arena is the bound.
 */
extern const struct tl_json_limits tl_json_limits_format;

/*
 * Reads the value that fills all of `text`. *root_out and what hangs on it live until `arena` is
 * reset, and may borrow from `text`. A number is judged by the double nearest to it.
 *
 * Errors: TALLY_EREFUSED with code and offset:
 *           bad_json          not JSON, or U+0000, at the byte that cannot stand there
 *           bad_utf8          invalid UTF-8 or half of a surrogate pair
 *           bad_number        at its first byte: 2^53 or more and below 10^21, too large for a
 *                             double, not zero but rounded to it, or more than 256 bytes
 *           duplicate_member  at the name that comes second
 *           too_deep, too_many, too_large
 *         TALLY_ENOMEM    there is no memory, or the arena has reached its bound
 */
tally_status tl_json_read(struct tl_arena *arena, const char *text, size_t len,
                          const struct tl_json_limits *limits, const struct tl_json **root_out,
                          struct tally_error *err);

/*
 * The same for the value at the start of `text`, which may be followed by anything; *used_out is
 * how many bytes it took, leading white space included. For readers of arrays that stream.
 */
tally_status tl_json_read_prefix(struct tl_arena *arena, const char *text, size_t len,
                                 const struct tl_json_limits *limits,
                                 const struct tl_json **root_out, size_t *used_out,
                                 struct tally_error *err);

/* Returns the member called `name`, or NULL if there is none or `object` is no object. */
const struct tl_json *tl_json_member(const struct tl_json *object, const char *name);

/*
 * Puts the members of `object` in canonical order. Returns the second of two members with one name,
 * the later in the input, or NULL if all names differ.
 */
const struct tl_json *tl_json_sort(struct tl_json *object);

/*
 * Whether this is a number that `keep_integers` let through: an integer token of 2^53 or more,
 * whose `number` is only the nearest double. The caller replaces it before writing.
 */
bool tl_json_is_large_integer(const struct tl_json *value);

/*
 * Appends the canonical text of `value`, which has its members in canonical order and no number
 * that the reader would refuse. Check tl_buf_status() afterwards.
 */
void tl_json_write(struct tl_buf *out, const struct tl_json *value);

/* Appends a JSON string with its quotes, escaped as JCS says. `text` must be valid UTF-8. */
void tl_json_write_string(struct tl_buf *out, struct tl_str text);

/* Appends `,"name":"text"`, or nothing if the text is NULL or empty. The name needs no escapes. */
void tl_json_write_member(struct tl_buf *out, const char *name, const char *text);

/* Appends a finite double as ECMAScript prints it. */
void tl_json_write_number(struct tl_buf *out, double number);

/* Compares two names as JCS orders them: by UTF-16 code units. */
int tl_json_compare_names(struct tl_str a, struct tl_str b);

/*
 * Says whether `text` is canonical, within the limits of the evidence format: whether reading and
 * writing it would give the very same bytes. Much faster than doing so. NULL `err` is allowed.
 *
 * Errors: TALLY_EREFUSED with code and offset: those of tl_json_read(), and `not_canonical` for
 *         what is JSON, as far as it was read, but written in another way
 */
tally_status tl_json_check_canonical(const char *text, size_t len, struct tally_error *err);

/*
 * Where the members of an object lie, and those of the objects that are their values: what
 * tl_json_check_members() notes, so that a walk through the same text need not look for them again.
 */
#define TL_JSON_INDEX_MAX 128u

struct tl_json_index {
    bool whole; /* all of them are in it: it is of an object, and not of too many */
    uint32_t count;
    struct tl_json_entry {
        uint32_t member_start; /* as in tl_json_iter */
        uint32_t value_start;
        uint32_t value_end;
        uint32_t next; /* the entry after those inside the value, which follow this one */
    } entries[TL_JSON_INDEX_MAX];
};

/* The same as tl_json_check_canonical(). On failure *index is not whole. */
tally_status tl_json_check_members(const char *text, size_t len, struct tl_json_index *index,
                                   struct tally_error *err);

/*
 * Walks the members of the object that starts at text[at] in canonical text, without checking
 * more than it needs to stay inside `len`. Start with *it = { .at = position of '{' }.
 */
struct tl_json_iter {
    size_t at; /* position; the caller sets it once, then leaves it alone */
    bool started;
    size_t member_start;    /* of the name's opening quote */
    struct tl_str raw_name; /* between the quotes, escapes as they are */
    size_t value_start;
    size_t value_end;                  /* byte after the value */
    const struct tl_json_index *index; /* NULL to look for the members in the text */
    uint32_t entry;                    /* of the next member */
    uint32_t entries_end;
    bool is_inner;  /* what is inside the values is not in the index */
    uint32_t inner; /* the first entry of those inside the value, which reach to `entry` */
};

/* Starts a walk through the object that is all of the text. `index` is of that text, or NULL. */
struct tl_json_iter tl_json_walk(const struct tl_json_index *index);

/* Starts a walk through the object that is the value of the member which `it` is at. */
struct tl_json_iter tl_json_walk_value(const struct tl_json_iter *it);

/* TALLY_OK with the next member, TALLY_ENOTFOUND after the last, TALLY_ECORRUPT if it is no object
 * in canonical form. */
tally_status tl_json_next(struct tl_json_iter *it, const char *text, size_t len);

/*
 * Returns the byte after the value that begins at text[at] in canonical text, or 0 if it does not
 * end before `len` or there is none.
 */
size_t tl_json_skip(const char *text, size_t len, size_t at);

/*
 * Appends to `out` the string that the `len` bytes between two quotes stand for. The text must come
 * from canonical JSON; TALLY_ECORRUPT for an escape that is none.
 */
tally_status tl_json_unescape(struct tl_buf *out, const char *raw, size_t len);

#endif /* TL_CODEC_JSON_H */
