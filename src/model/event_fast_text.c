/* The texts of simple events: those that need no change, and a few that need a little. */
#include "model/event_fast_parts.h"

static bool is_action(struct tl_str raw)
{
    for (size_t i = 0; i < raw.len; i++) {
        unsigned char c = (unsigned char)raw.text[i];
        unsigned char letter = c | 0x20;
        bool good = (letter >= 'a' && letter <= 'z') || (c >= '-' && c <= ':') || c == '_' ||
                    c == '@'; /* from - to : are - . / 0 to 9 : */
        if (!good) {
            return false;
        }
    }
    return !tl_str_starts(raw, TL_STR("tally."));
}

static inline tl_json_block match_no_ascii(tl_json_block block)
{
    typedef signed char signed_block __attribute__((vector_size(16)));
    const signed char slash = '\\';
    const signed char space = ' ';
    const signed char del = 0x7f;
    signed_block bytes = (signed_block)block;
    return (tl_json_block)((bytes == del) | (bytes == slash) | (bytes < space));
}

static bool is_id(struct tl_str raw)
{
    bool plain = tl_json_find(raw.text, raw.len, 0, match_no_ascii) == raw.len;
    return plain && !tl_str_equal(raw, TL_STR("00000000-0000-0000-0000-000000000000"));
}

static bool is_outcome(struct tl_str raw)
{
    return raw.len == 7 &&
           (memcmp(raw.text, "success", 7) == 0 || memcmp(raw.text, "failure", 7) == 0 ||
            memcmp(raw.text, "pending", 7) == 0 || memcmp(raw.text, "unknown", 7) == 0);
}

static bool is_hex(struct tl_str raw, size_t digits)
{
    bool good = raw.len == digits;
    bool zero = true;
    for (size_t i = 0; good && i < raw.len; i++) {
        char c = raw.text[i];
        good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        zero = zero && c == '0';
    }
    return good && !zero;
}

/* What tl_time_format() makes of its result is the same text. */
static bool is_formatted(struct tl_str raw)
{
    bool shape = raw.text[10] == 'T' && raw.text[17] != '6' && raw.text[raw.len - 1] == 'Z';
    bool micros = raw.len == 27 && memcmp(raw.text + 19, ".000000", 7) != 0;
    return shape && (raw.len == 20 || micros);
}
static bool read_time(struct tl_str *value, struct tl_str raw, int64_t *us_out, char *text)
{
    if (tl_time_parse(us_out, raw) != TALLY_OK) {
        return false;
    }
    if (!is_formatted(raw)) {
        *value = tl_fast_quoted(text, tl_time_format(text + 1, *us_out));
    }
    return true;
}

/* Whether this is an IPv4 address as it is written in one way only. */
static bool is_v4(struct tl_str raw)
{
    unsigned points = 0;
    unsigned part = 0;
    unsigned digits = 0;
    for (size_t i = 0; i < raw.len; i++) {
        unsigned digit = (unsigned char)raw.text[i] - (unsigned)'0';
        if (digit <= 9) {
            if (digits > 0 && part == 0) {
                return false; /* a leading zero */
            }
            part = part * 10 + digit;
            digits++;
        } else if (raw.text[i] == '.' && digits > 0) {
            points++;
            part = 0;
            digits = 0;
        } else {
            return false;
        }
        if (part > 255) {
            return false;
        }
    }
    return points == 3 && digits > 0;
}

/* Sets *value, the text with its quotes, to what it has to become. */
static bool read_ip(struct tl_fast *f, struct tl_str *value, struct tl_str raw)
{
    size_t len = 0;
    if (is_v4(raw)) {
        return true;
    }
    if (tl_ip_canonical(f->ip_text + 1, &len, raw) != TALLY_OK) {
        return false;
    }
    *value = tl_fast_quoted(f->ip_text, len);
    return true;
}

bool tl_fast_check_text(struct tl_fast *f, enum tl_place place, struct tl_str *value)
{
    const struct tl_place_rule *rule = &tl_place_rules[place];
    struct tl_str raw = { .text = value->text + 1, .len = value->len - 2 };
    switch (rule->kind) {
    case TL_KIND_TEXT:
        return raw.len <= rule->len_max; /* and without its escapes even less */
    case TL_KIND_ACTION:
        return raw.len <= rule->len_max && is_action(raw);
    case TL_KIND_ID:
        return raw.len <= rule->len_max && is_id(raw);
    case TL_KIND_TIME:
        if (place == TL_PLACE_OCCURRED_AT) {
            return read_time(value, raw, &f->occurred_us, f->occurred_text);
        }
        return place == TL_PLACE_STARTED_AT ? read_time(value, raw, &f->started_us, f->started_text)
                                            : read_time(value, raw, &f->ended_us, f->ended_text);
    case TL_KIND_OUTCOME:
        return is_outcome(raw);
    case TL_KIND_SEVERITY:
        return tl_severity_rank(raw) != 0;
    case TL_KIND_IP:
        return read_ip(f, value, raw);
    case TL_KIND_HEX:
        return is_hex(raw, rule->len_max);
    }
    return false;
}
