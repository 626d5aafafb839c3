#include <stdio.h>
#include <string.h>

#include "cli/out.h"
#include "codec/utf8.h"

/* The character at the start of `text`, which takes `len` valid bytes. */
static uint32_t decode(const char *text, size_t len)
{
    static const uint8_t masks[] = { 0, 0x7F, 0x1F, 0x0F, 0x07 };
    tl_assert(len >= 1);
    tl_assert(len <= 4);
    uint32_t value = (uint8_t)text[0] & masks[len];
    for (size_t i = 1; i < len; i++) {
        value = value << 6 | ((uint8_t)text[i] & 0x3F);
    }
    return value;
}

/* What a terminal may obey, or what makes text read otherwise than it is stored. */
static bool is_harmful(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x061C || c == 0x200E || c == 0x200F ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF;
}

static void escape_char(struct tl_buf *out, uint32_t c)
{
    switch (c) {
    case '\t':
        tl_buf_add_text(out, "\\t");
        return;
    case '\n':
        tl_buf_add_text(out, "\\n");
        return;
    case '\r':
        tl_buf_add_text(out, "\\r");
        return;
    default:
        tl_buf_addf(out, c < 0x100 ? "\\x%02x" : "\\u%04x", c);
    }
}

void tl_text_escape(struct tl_buf *out, struct tl_str text)
{
    size_t plain = 0; /* start of what needs no escape and is not yet in `out` */
    size_t at = 0;
    while (at < text.len) {
        size_t len = tl_utf8_char_len(text.text + at, text.len - at);
        uint32_t c = len == 0 ? (uint8_t)text.text[at] : decode(text.text + at, len);
        if (len > 0 && !is_harmful(c)) {
            at += len;
            continue;
        }
        tl_buf_add(out, text.text + plain, at - plain);
        escape_char(out, c);
        at += len == 0 ? 1 : len;
        plain = at;
    }
    if (text.len > plain) {
        tl_buf_add(out, text.text + plain, text.len - plain);
    }
}

/* Columns that one character takes, as terminals commonly do it; good enough to align by. */
static size_t char_width(uint32_t c)
{
    static const struct {
        uint32_t first, last;
        size_t width;
    } ranges[] = {
        { 0x0300, 0x036F, 0 },   { 0x1100, 0x115F, 2 },   { 0x200B, 0x200D, 0 },
        { 0x2E80, 0xA4CF, 2 },   { 0xAC00, 0xD7A3, 2 },   { 0xF900, 0xFAFF, 2 },
        { 0xFE00, 0xFE0F, 0 },   { 0xFE30, 0xFE6F, 2 },   { 0xFF00, 0xFF60, 2 },
        { 0xFFE0, 0xFFE6, 2 },   { 0x1F300, 0x1F64F, 2 }, { 0x1F900, 0x1F9FF, 2 },
        { 0x20000, 0x3FFFD, 2 },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(ranges); i++) {
        if (c >= ranges[i].first && c <= ranges[i].last) {
            return ranges[i].width;
        }
    }
    return 1;
}

size_t tl_text_width(struct tl_str text)
{
    size_t width = 0;
    for (size_t at = 0; at < text.len;) {
        size_t len = tl_utf8_char_len(text.text + at, text.len - at);
        width += len == 0 ? 1 : char_width(decode(text.text + at, len));
        at += len == 0 ? 1 : len;
    }
    return width;
}

void tl_print_text(FILE *to, struct tl_str text)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf buf = { 0 };
    tl_buf_init(&buf, SIZE_MAX / 8);
    tl_text_escape(&buf, text);
    (void)fwrite(buf.data, 1, buf.len, to); /* main() looks at ferror() */
}
