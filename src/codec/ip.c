#include "codec/ip.h"

#include "base/parse.h"

#define GROUPS 8u

/* Reads four numbers, with a point between them, that fill all of `text`. */
static bool read_v4(const char *text, size_t len, uint32_t *out)
{
    uint32_t address = 0;
    for (size_t i = 0; i < 4; i++) {
        const char *point = i < 3 ? memchr(text, '.', len) : text + len;
        uint64_t part = 0;
        if (point == NULL || tl_parse_u64(text, (size_t)(point - text), 255, &part) != TALLY_OK) {
            return false;
        }
        address = address << 8 | (uint32_t)part;
        len -= (size_t)(point - text) + (i < 3 ? 1u : 0u);
        text = point + (i < 3 ? 1 : 0);
    }
    *out = address;
    return true;
}

/* Reads one group of one to four hexadecimal digits in either case. */
static bool read_group(const char *text, size_t len, uint16_t *out)
{
    uint32_t group = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10
                                                : 16;
        if (digit > 15) {
            return false;
        }
        group = group << 4 | digit;
    }
    *out = (uint16_t)group;
    return len >= 1 && len <= 4;
}

/*
 * Reads the groups in one half of an address, before or after its `::`, and appends them. The last
 * two groups of the whole may be written as IPv4.
 */
static bool read_half(const char *text, size_t len, bool is_last, uint16_t groups[GROUPS],
                      size_t *count)
{
    while (len > 0) {
        const char *colon = memchr(text, ':', len);
        size_t used = colon == NULL ? len : (size_t)(colon - text);
        uint32_t v4 = 0;
        if (*count < GROUPS && read_group(text, used, &groups[*count])) {
            *count += 1;
        } else if (colon == NULL && is_last && *count <= GROUPS - 2 && read_v4(text, used, &v4)) {
            groups[*count] = (uint16_t)(v4 >> 16);
            groups[*count + 1] = (uint16_t)v4;
            *count += 2;
        } else {
            return false;
        }
        if (colon == NULL) {
            return true;
        }
        text += used + 1;
        len -= used + 1;
    }
    return *count == 0; /* nothing was there; else the half ends in a colon */
}

static bool read_v6(struct tl_str text, uint16_t groups[GROUPS])
{
    const char *gap = memmem(text.text, text.len, "::", 2);
    size_t head = gap == NULL ? text.len : (size_t)(gap - text.text);
    size_t count = 0;
    if (!read_half(text.text, head, gap == NULL, groups, &count)) {
        return false;
    }
    if (gap == NULL) {
        return count == GROUPS;
    }
    uint16_t tail[GROUPS] = { 0 };
    size_t tail_count = 0;
    if (!read_half(gap + 2, text.len - head - 2, true, tail, &tail_count) ||
        count + tail_count >= GROUPS) { /* a gap stands for one group at least */
        return false;
    }
    memcpy(groups + GROUPS - tail_count, tail, tail_count * sizeof(tail[0]));
    return true;
}

static char *write_v4(char *to, uint32_t address)
{
    for (unsigned shift = 32; shift > 0;) {
        shift -= 8;
        unsigned part = address >> shift & 255;
        if (part >= 100) {
            *to++ = (char)('0' + part / 100);
        }
        if (part >= 10) {
            *to++ = (char)('0' + part / 10 % 10);
        }
        *to++ = (char)('0' + part % 10);
        *to++ = '.';
    }
    return to - 1; /* the last point is one too many */
}

static char *write_group(char *to, uint16_t group)
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned shift = 12; shift > 0; shift -= 4) {
        if (group >> shift != 0) {
            *to++ = digits[group >> shift & 15];
        }
    }
    *to++ = digits[group & 15];
    return to;
}

/* Finds the longest run of zero groups, the first of several; runs of one group do not count. */
static void find_gap(const uint16_t groups[GROUPS], size_t *start_out, size_t *len_out)
{
    size_t best = GROUPS;
    size_t best_len = 1;
    size_t run = 0;
    for (size_t i = 0; i < GROUPS; i++) {
        run = groups[i] == 0 ? run + 1 : 0;
        if (run > best_len) {
            best = i + 1 - run;
            best_len = run;
        }
    }
    *start_out = best;
    *len_out = best_len;
}

static char *write_v6(char *to, const uint16_t groups[GROUPS])
{
    static const uint16_t mapped[6] = { 0, 0, 0, 0, 0, 0xFFFF };
    bool is_mapped = memcmp(groups, mapped, sizeof(mapped)) == 0;
    size_t gap = 0;
    size_t gap_len = 0;
    find_gap(groups, &gap, &gap_len);
    for (size_t i = 0; i < GROUPS; i++) {
        if (i == gap) {
            *to++ = ':';
            *to++ = ':';
            i += gap_len - 1;
            continue;
        }
        if (i > 0 && i != gap + gap_len) {
            *to++ = ':';
        }
        if (i == 6 && is_mapped) {
            return write_v4(to, (uint32_t)groups[6] << 16 | groups[7]);
        }
        to = write_group(to, groups[i]);
    }
    return to;
}

tally_status tl_ip_canonical(char out[TL_IP_TEXT_SIZE], size_t *len_out, struct tl_str text)
{
    uint32_t v4 = 0;
    uint16_t v6[GROUPS] = { 0 };
    if (text.len == 0 || text.len >= TL_IP_TEXT_SIZE) {
        return TALLY_EINVAL;
    }
    char *end = out;
    if (read_v4(text.text, text.len, &v4)) {
        end = write_v4(out, v4);
    } else if (read_v6(text, v6)) {
        end = write_v6(out, v6);
    } else {
        return TALLY_EINVAL;
    }
    *end = '\0';
    *len_out = (size_t)(end - out);
    return TALLY_OK;
}
