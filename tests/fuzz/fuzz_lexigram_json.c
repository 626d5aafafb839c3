/* Whatever entry is accepted, its canonical text is its own canonical text. */
#include "codec/lexigram_json.h"
#include "fuzz.h"

#define BYTES_MAX ((size_t)64 << 20)

static tally_status canonicalize(struct tl_buf *out, struct tl_str text)
{
    static const struct tl_lexigram_style style = { .version = 2 };
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    tl_arena_init(&arena, BYTES_MAX);
    const struct tl_json *entry = NULL;
    TL_TRY(tl_lexigram_read(&arena, text.text, text.len, &entry, NULL));
    return tl_lexigram_write(out, entry, &style, &arena, NULL);
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf first = { 0 };
    TL_CLEANUP(tl_buf_release) struct tl_buf second = { 0 };
    tl_buf_init(&first, BYTES_MAX);
    tl_buf_init(&second, BYTES_MAX);
    if (canonicalize(&first, (struct tl_str){ (const char *)data, len }) != TALLY_OK) {
        return false;
    }
    tl_assert(canonicalize(&second, tl_buf_str(&first)) == TALLY_OK);
    tl_assert(tl_str_equal(tl_buf_str(&first), tl_buf_str(&second)));
    return true;
}
