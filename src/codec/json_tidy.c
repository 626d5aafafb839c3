#include "codec/json_tidy.h"

#include "base/bytes.h"
#include "codec/number.h"
#include "codec/utf8.h"

#define WINDOW      64u  /* bytes that one word of a map stands for */
#define NOTHING     0x7f /* DEL, put after the text: part of nothing, and not odd */
#define SAFE_DIGITS 15   /* an integer of that many digits is below 2^53 */
#define SORTED_MAX  32u  /* members that insertion sorts fast */

/* ---- where strings are ---- */

/* The bytes that a backslash stands before; *carry is whether one does before this window's first,
 * then before the next one's. */
static uint64_t find_escaped(uint64_t slashes, uint64_t *carry)
{
    uint64_t escaped = *carry;
    slashes &= ~escaped;
    *carry = 0;
    while (slashes != 0) {
        uint64_t slash = slashes & (0 - slashes);
        *carry = slash >> (WINDOW - 1);
        escaped |= slash << 1;
        slashes &= ~(slash | slash << 1);
    }
    return escaped;
}

static uint64_t find_slashes(const char *text)
{
    const unsigned char slash = '\\';
    uint64_t slashes = 0;
    for (size_t i = 0; i < WINDOW; i += sizeof(tl_json_block)) {
        tl_json_block block = tl_json_load(text + i);
        slashes |= (uint64_t)tl_json_bits((tl_json_block)(block == slash)) << i;
    }
    return slashes;
}

/* Fills both maps for `windows` windows; returns whether no byte is odd. */
static bool map_text(uint64_t *quotes, uint64_t *odd, const char *text, size_t windows)
{
    typedef signed char signed_block __attribute__((vector_size(16)));
    const signed char quote = '"';
    const signed char slash = '\\';
    const signed char space = ' ';
    uint64_t carry = 0;
    uint64_t all = 0;
    for (size_t w = 0; w < windows; w++, text += WINDOW) {
        uint64_t quoted = 0;
        uint64_t strange = 0;
        for (size_t i = 0; i < WINDOW; i += sizeof(tl_json_block)) {
            signed_block block = (signed_block)tl_json_load(text + i);
            tl_json_block other = (tl_json_block)((block == slash) | (block < space));
            quoted |= (uint64_t)tl_json_bits((tl_json_block)(block == quote)) << i;
            strange |= (uint64_t)tl_json_bits(other) << i;
        }
        if ((strange | carry) != 0) {
            quoted &= ~find_escaped(find_slashes(text), &carry);
        }
        quotes[w] = quoted;
        odd[w] = strange;
        all |= strange;
    }
    return all == 0;
}

bool tl_json_tidy_init(struct tl_json_tidy *tidy, struct tl_buf *scratch,
                       const struct tl_json_limits *limits, const char *text, size_t len)
{
    tl_assert(len <= TL_JSON_TIDY_BYTES_MAX);
    size_t windows = len / WINDOW + 1;
    size_t maps = 2 * (windows + 1) * sizeof(uint64_t);
    size_t padded = windows * WINDOW + sizeof(tl_json_block);
    tl_buf_clear(scratch);
    char *memory = tl_buf_reserve(scratch, maps + 3 * padded + TL_JSON_TIDY_ROOM);
    if (memory == NULL) {
        return false;
    }
    uint64_t *quotes = (uint64_t *)(void *)memory; /* the buffer begins where anything may */
    uint64_t *odd = quotes + windows + 1;
    char *copy = memory + maps;
    if (len > 0) {
        memcpy(copy, text, len);
    }
    memset(copy + len, NOTHING, padded - len);
    memset(quotes + windows, 0xff, sizeof(*quotes)); /* as many as any failing reader may ask for */
    odd[windows] = 0;
    tidy->plain = map_text(quotes, odd, copy, windows);
    tidy->text = copy;
    tidy->len = len;
    tidy->quotes = quotes;
    tidy->odd = odd;
    tidy->window = 0;
    tidy->quotes_left = quotes[0];
    tidy->limits = limits;
    tidy->spare = copy + padded;
    tidy->to = tidy->spare + padded;
    tidy->end = tidy->to + padded + TL_JSON_TIDY_ROOM;
    tidy->run = 0;
    tidy->entry_count = 0;
    tidy->accepts = NULL;
    tidy->ctx = NULL;
    return true;
}

/* ---- strings ---- */

/* Returns the length of the escape at text[at] if it is as JCS writes it, else 0. */
static size_t escape_len(const struct tl_json_tidy *tidy, size_t at, size_t end)
{
    uint32_t character = 0;
    char want[6];
    size_t used = tl_json_decode_escape(tidy->text, end, at, &character);
    bool needed = character != 0 && (character < ' ' || character == '"' || character == '\\');
    return needed && tl_json_escape(want, (char)character) == used &&
                   memcmp(want, tidy->text + at, used) == 0
               ? used
               : 0;
}

size_t tl_json_tidy_odd_string(const struct tl_json_tidy *tidy, size_t from, size_t end,
                               bool *escaped_out)
{
    for (size_t at = from; (at = tl_json_skip_plain(tidy->text, end, at)) < end;) {
        size_t used = 0;
        if (tidy->text[at] == '\\') {
            *escaped_out = true;
            used = escape_len(tidy, at, end);
        } else if ((unsigned char)tidy->text[at] >= 0x80) {
            used = tl_utf8_char_len(tidy->text + at, end - at);
        }
        if (used == 0) {
            return 0;
        }
        at += used;
    }
    return end + 1;
}

/* ---- values ---- */

/*
 * Canonical text is put out as late as possible, in long runs of text that needs no change. What
 * comes from text[at] on, will go here.
 */
static char *place_of(const struct tl_json_tidy *tidy, size_t at)
{
    return tidy->to + (at - tidy->run);
}

static void put_run(struct tl_json_tidy *tidy, size_t end)
{
    tidy->to = tl_json_tidy_copy(tidy->to, tidy->text + tidy->run, end - tidy->run);
    tidy->run = end;
}

static inline bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

TL_JSON_RARE static size_t drop_space(struct tl_json_tidy *tidy, size_t at)
{
    put_run(tidy, at);
    tidy->run = tl_json_tidy_space(tidy, at);
    return tidy->run;
}

static inline size_t skip_space(struct tl_json_tidy *tidy, size_t at)
{
    return is_space(tidy->text[at]) ? drop_space(tidy, at) : at;
}

/* Any number but a short integer. */
TL_JSON_RARE static size_t read_any_number(const struct tl_json_tidy *tidy, size_t at)
{
    struct tl_number number = { 0 };
    char want[TL_NUMBER_PRINT_MAX];
    if (tl_number_read(tidy->text + at, tidy->len - at, &number) != TL_NUMBER_FINE) {
        return 0;
    }
    size_t len = tl_number_print(want, number.value);
    bool same = len == number.len && memcmp(want, tidy->text + at, len) == 0;
    return same ? at + len : 0;
}

static size_t read_number(const struct tl_json_tidy *tidy, size_t at)
{
    const char *text = tidy->text;
    size_t first = at + (text[at] == '-' ? 1 : 0);
    size_t end = first;
    while (text[end] >= '0' && text[end] <= '9') {
        end++;
    }
    size_t count = end - first;
    bool zero = text[first] == '0' && (count > 1 || first > at); /* leading, or negative */
    bool more = text[end] == '.' || text[end] == 'e' || text[end] == 'E';
    bool plain = count >= 1 && count <= SAFE_DIGITS && !zero && !more;
    return plain ? end : at < tidy->len ? read_any_number(tidy, at) : 0;
}

static size_t read_word(const struct tl_json_tidy *tidy, size_t at, struct tl_str word)
{
    return memcmp(tidy->text + at, word.text, word.len) == 0 ? at + word.len : 0;
}

static size_t read_value(struct tl_json_tidy *tidy, size_t at, uint32_t depth);

static size_t read_elements(struct tl_json_tidy *tidy, size_t at, uint32_t depth)
{
    for (uint32_t count = 0; count < tidy->limits->elements_max; count++) {
        at = read_value(tidy, at, depth);
        if (at == 0) {
            return 0;
        }
        at = skip_space(tidy, at);
        if (tidy->text[at] != ',') {
            return tidy->text[at] == ']' ? at + 1 : 0;
        }
        at = skip_space(tidy, at + 1);
    }
    return 0;
}

/* The first bytes of a name as a number that sorts as they do, shorter names before longer. */
static uint64_t prefix_of(struct tl_str name)
{
    if (name.len == 0) {
        return 0;
    }
    uint64_t prefix = tl_get_be64((const uint8_t *)name.text);
    unsigned shift = name.len < 8 ? (unsigned)(64 - 8 * name.len) : 0;
    return prefix >> shift << shift;
}

/* Characters of more than ASCII do not sort as their bytes do. */
static int compare(const struct tl_json_tidy *tidy, const struct tl_json_tidy_entry *a,
                   const struct tl_json_tidy_entry *b)
{
    if (tidy->plain && a->prefix != b->prefix) {
        return a->prefix < b->prefix ? -1 : 1;
    }
    return tl_json_compare_names(a->name, b->name);
}

/* Sorts by insertion; false if two names are the same. */
static bool sort_entries(const struct tl_json_tidy *tidy, struct tl_json_tidy_entry *first,
                         size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct tl_json_tidy_entry entry = first[i];
        int order = 1;
        size_t to = i;
        while (to > 0 && (order = compare(tidy, &first[to - 1], &entry)) > 0) {
            first[to] = first[to - 1];
            to--;
        }
        if (order == 0) {
            return false;
        }
        first[to] = entry;
    }
    return true;
}

/* Puts the members from `first` on in order, the last of which ends at text[at]. */
TL_JSON_RARE static bool sort_members(struct tl_json_tidy *tidy, struct tl_json_tidy_entry *first,
                                      size_t count, size_t at)
{
    put_run(tidy, at);
    char *to = first->start;
    const char *start = to;
    size_t len = (size_t)(tidy->to - start);
    memcpy(tidy->spare, start, len);
    if (!sort_entries(tidy, first, count)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            *to++ = ',';
        }
        memcpy(to, tidy->spare + (first[i].start - start), first[i].len);
        to += first[i].len;
    }
    tl_assert(to == tidy->to);
    return true;
}

/* Reads a name, its colon, and its value. */
static size_t read_member(struct tl_json_tidy *tidy, struct tl_json_tidy_entry *entry, size_t at,
                          uint32_t depth)
{
    bool escaped = false;
    size_t end = tl_json_tidy_string(tidy, at, &escaped);
    if (end == 0 || escaped) {
        return 0;
    }
    entry->name = (struct tl_str){ .text = tidy->text + at + 1, .len = end - at - 2 };
    entry->prefix = prefix_of(entry->name);
    entry->start = place_of(tidy, at);
    if (tidy->accepts != NULL && !tidy->accepts(tidy->ctx, entry->name)) {
        return 0;
    }
    end = skip_space(tidy, end);
    if (tidy->text[end] != ':') {
        return 0;
    }
    end = read_value(tidy, skip_space(tidy, end + 1), depth);
    if (end != 0) {
        entry->len = (size_t)(place_of(tidy, end) - entry->start);
    }
    return end;
}

/* Ends an object whose last member ends at text[at]: its members from `first` on have to be sorted,
 * if all of them could be kept. */
static bool end_unsorted(struct tl_json_tidy *tidy, size_t first, uint32_t count, size_t at)
{
    return count <= SORTED_MAX && tidy->entry_count == first + count &&
           sort_members(tidy, &tidy->entries[first], count, at);
}

/* Reads what comes after the first brace of an object that is not empty. */
static size_t read_members(struct tl_json_tidy *tidy, size_t at, uint32_t depth)
{
    size_t first = tidy->entry_count;
    struct tl_json_tidy_entry unkept[2]; /* this member and the last, where entries run out */
    const struct tl_json_tidy_entry *last = NULL;
    bool sorted = true;
    for (uint32_t count = 1; count <= tidy->limits->members_max; count++) {
        bool kept = tidy->entry_count < TL_JSON_TIDY_ENTRIES;
        struct tl_json_tidy_entry *entry =
            kept ? &tidy->entries[tidy->entry_count++] : &unkept[count & 1];
        size_t end = read_member(tidy, entry, at, depth);
        if (end == 0) {
            return 0;
        }
        sorted = sorted && (last == NULL || compare(tidy, last, entry) < 0);
        last = entry;
        at = skip_space(tidy, end);
        if (tidy->text[at] != ',') {
            bool ends = tidy->text[at] == '}' && (sorted || end_unsorted(tidy, first, count, at));
            tidy->entry_count = first;
            return ends ? at + 1 : 0;
        }
        at = skip_space(tidy, at + 1);
    }
    return 0;
}

/* Reads the array or object that text[at] opens. */
static size_t read_container(struct tl_json_tidy *tidy, size_t at, uint32_t depth)
{
    if (depth == tidy->limits->depth_max) {
        return 0;
    }
    bool object = tidy->text[at] == '{';
    at = skip_space(tidy, at + 1);
    if (tidy->text[at] == (object ? '}' : ']')) {
        return at + 1;
    }
    return object ? read_members(tidy, at, depth + 1) : read_elements(tidy, at, depth + 1);
}

/* Recursion ends at limits->depth_max. */
static size_t read_value(struct tl_json_tidy *tidy, size_t at, uint32_t depth)
{
    bool escaped = false;
    switch (tidy->text[at]) {
    case '"':
        return tl_json_tidy_string(tidy, at, &escaped);
    case '{':
    case '[':
        return read_container(tidy, at, depth);
    case 't':
        return read_word(tidy, at, TL_STR("true"));
    case 'f':
        return read_word(tidy, at, TL_STR("false"));
    case 'n':
        return read_word(tidy, at, TL_STR("null"));
    default:
        return read_number(tidy, at);
    }
}

size_t tl_json_tidy_value(struct tl_json_tidy *tidy, size_t at, uint32_t depth)
{
    tidy->run = at;
    tidy->entry_count = 0;
    size_t end = read_value(tidy, at, depth);
    if (end != 0) {
        put_run(tidy, end);
    }
    return end;
}
