#include "codec/json_scan.h"

#include "codec/utf8.h"

static bool fail(struct tl_json_fault *fault, const char *code, const char *message, size_t at)
{
    *fault = (struct tl_json_fault){ .code = code, .message = message, .at = at };
    return false;
}

/* Says why there is no escape at text[at]. */
static bool fail_escape(struct tl_json_fault *fault, const char *text, size_t len, size_t at)
{
    bool surrogate = len - at >= 4 && (text[at + 2] == 'd' || text[at + 2] == 'D') &&
                     text[at + 1] == 'u' && text[at + 3] >= '8';
    return surrogate ? fail(fault, "bad_utf8", "half of a surrogate pair", at)
                     : fail(fault, "bad_json", "a backslash that begins no allowed escape", at);
}

bool tl_json_scan_string(const char *text, size_t len, size_t at, struct tl_json_span *span,
                         struct tl_json_fault *fault)
{
    bool escaped = false;
    for (at++;;) {
        at = tl_json_skip_plain(text, len, at);
        if (at == len) {
            return fail(fault, "bad_json", "a string that does not end", at);
        }
        size_t used = 0;
        if (text[at] == '"') {
            *span = (struct tl_json_span){ .end = at + 1, .escaped = escaped };
            return true;
        }
        if (text[at] == '\\') {
            uint32_t character = 0;
            escaped = true;
            used = tl_json_decode_escape(text, len, at, &character);
            if (used == 0) {
                return fail_escape(fault, text, len, at);
            }
        } else if ((unsigned char)text[at] < ' ') {
            return fail(fault, "bad_json", "a control character in a string", at);
        } else {
            used = tl_utf8_char_len(text + at, len - at);
            if (used == 0) {
                return fail(fault, "bad_utf8", "bytes that are not UTF-8", at);
            }
        }
        at += used;
    }
}

/* Reads the four digits of the \u at text[at]. */
static bool read_unit(const char *text, size_t len, size_t at, uint32_t *unit_out)
{
    if (len - at < 6 || text[at] != '\\' || text[at + 1] != 'u') {
        return false;
    }
    uint32_t unit = 0;
    for (size_t i = at + 2; i < at + 6; i++) {
        unsigned char c = (unsigned char)text[i];
        uint32_t digit = c >= '0' && c <= '9'   ? c - (uint32_t)'0'
                         : c >= 'a' && c <= 'f' ? c - (uint32_t)'a' + 10
                         : c >= 'A' && c <= 'F' ? c - (uint32_t)'A' + 10
                                                : 16;
        if (digit == 16) {
            return false;
        }
        unit = unit << 4 | digit;
    }
    *unit_out = unit;
    return true;
}

size_t tl_json_decode_escape(const char *text, size_t len, size_t at, uint32_t *character_out)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    if (len - at < 2) {
        return 0;
    }
    if (text[at + 1] != 'u') {
        const char *letter = text[at + 1] == '\0' ? NULL : strchr(letters, text[at + 1]);
        if (letter == NULL) {
            return 0;
        }
        *character_out = (uint32_t)meanings[letter - letters];
        return 2;
    }
    uint32_t high = 0;
    uint32_t low = 0;
    if (!read_unit(text, len, at, &high) || high == 0) {
        return 0;
    }
    if (high < 0xD800 || high > 0xDFFF) {
        *character_out = high;
        return 6;
    }
    if (high > 0xDBFF || !read_unit(text, len, at + 6, &low) || low < 0xDC00 || low > 0xDFFF) {
        return 0;
    }
    *character_out = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    return 12;
}

bool tl_json_decode_string(char *to, const char *raw, size_t len, size_t *len_out)
{
    size_t written = 0;
    size_t at = 0;
    while (at < len) {
        const char *slash = memchr(raw + at, '\\', len - at);
        size_t plain = slash == NULL ? len - at : (size_t)(slash - (raw + at));
        memcpy(to + written, raw + at, plain);
        written += plain;
        at += plain;
        if (slash != NULL) {
            uint32_t character = 0;
            size_t used = tl_json_decode_escape(raw, len, at, &character);
            if (used == 0) {
                return false;
            }
            at += used;
            written += tl_utf8_encode(to + written, character);
        }
    }
    *len_out = written;
    return true;
}

size_t tl_json_escape(char to[6], char c)
{
    static const char letters[] = "btn-fr"; /* of U+0008 to U+000D */
    static const char digits[] = "0123456789abcdef";
    tl_assert(c != '\0'); /* the reader would refuse it */
    to[0] = '\\';
    if (c == '"' || c == '\\') {
        to[1] = c;
        return 2;
    }
    if (c >= '\b' && c <= '\r' && c != '\v') {
        to[1] = letters[c - '\b'];
        return 2;
    }
    to[1] = 'u';
    to[2] = '0';
    to[3] = '0';
    to[4] = digits[c >> 4];
    to[5] = digits[c & 15];
    return 6;
}
