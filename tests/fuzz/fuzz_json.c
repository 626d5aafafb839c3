/*
 * Whatever the reader accepts, the writer writes as text that the checker calls canonical and that
 * reads and writes as itself. The checker accepts just the texts that are so written.
 */
#include <string.h>

#include "codec/json.h"
#include "fuzz.h"

#define BYTES_MAX ((size_t)64 << 20)

static bool read_and_write(struct tl_buf *out, const char *text, size_t len)
{
    TL_CLEANUP(tl_arena_release) struct tl_arena arena;
    tl_arena_init(&arena, BYTES_MAX);
    const struct tl_json *root = NULL;
    struct tally_error err = TALLY_ERROR_INIT;
    if (tl_json_read(&arena, text, len, &tl_json_limits_format, &root, &err) != TALLY_OK) {
        tl_assert(root == NULL);
        tl_assert(err.status == TALLY_EREFUSED);
        tl_assert(err.has_offset == 1);
        tl_assert((size_t)err.offset <= len);
        return false;
    }
    tl_json_write(out, root);
    tl_assert(tl_buf_status(out) == TALLY_OK);
    return true;
}

/* Walks all members and unescapes their names, within the bounds of the text. */
static void walk(const char *text, size_t len, bool valid)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf name;
    tl_buf_init(&name, len + 1);
    struct tl_json_iter it = { .at = 0 };
    tally_status status = tl_json_next(&it, text, len);
    while (status == TALLY_OK) {
        tl_assert(it.value_end <= len);
        tl_assert(it.value_start < it.value_end);
        tl_buf_clear(&name);
        tally_status unescaped = tl_json_unescape(&name, it.raw_name.text, it.raw_name.len);
        tl_assert(!valid || unescaped == TALLY_OK);
        status = tl_json_next(&it, text, len);
    }
    tl_assert(!valid || status == TALLY_ENOTFOUND);
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    const char *text = (const char *)data;
    TL_CLEANUP(tl_buf_release) struct tl_buf once;
    TL_CLEANUP(tl_buf_release) struct tl_buf twice;
    tl_buf_init(&once, BYTES_MAX);
    tl_buf_init(&twice, BYTES_MAX);
    struct tally_error err = TALLY_ERROR_INIT;
    bool canonical = tl_json_check_canonical(text, len, &err) == TALLY_OK;
    bool accepted = read_and_write(&once, text, len);
    bool same = accepted && once.len == len && memcmp(once.data, text, len) == 0;
    tl_assert(canonical == same);
    tl_assert(canonical || (err.has_offset == 1 && (size_t)err.offset <= len));
    walk(text, len, canonical && text[0] == '{');
    if (accepted) {
        tl_assert(read_and_write(&twice, once.data, once.len));
        tl_assert(tl_str_equal(tl_buf_str(&once), tl_buf_str(&twice)));
    }
    return accepted;
}
