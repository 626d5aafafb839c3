#include "schedule/zone.h"

#include "base/bytes.h"

#define HEADER_LEN 44u
#define COUNTS_MAX 65536u /* of anything in a file */
#define DAY_S      INT64_C(86400)
#define HOURS_MAX  167 /* RFC 8536 3.3.1, in a footer of version 3 */
#define OFFSET_MAX (26 * 3600)

int64_t tl_days_of_date(int64_t year, int32_t month, int32_t day)
{
    /* Years begin in March here, so that a leap day is the last of its year. */
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void tl_date_of_days(int64_t days, int64_t *year_out, int32_t *month_out, int32_t *day_out)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t of_era = z - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    *day_out = (int32_t)(of_year - (153 * month + 2) / 5 + 1);
    *month_out = (int32_t)(month < 10 ? month + 3 : month - 9);
    *year_out = year + era * 400 + (*month_out <= 2 ? 1 : 0);
}

static int64_t floor_days(int64_t seconds)
{
    return seconds / DAY_S - (seconds % DAY_S < 0 ? 1 : 0);
}

/* Text that is read from the left. */
struct cursor {
    const char *at;
    const char *end;
};

static bool is_at(const struct cursor *in, char c)
{
    return in->at < in->end && *in->at == c;
}

static bool take(struct cursor *in, char c)
{
    if (!is_at(in, c)) {
        return false;
    }
    in->at++;
    return true;
}

static bool is_digit_at(const struct cursor *in)
{
    return in->at < in->end && *in->at >= '0' && *in->at <= '9';
}

static bool take_number(struct cursor *in, int32_t min, int32_t max, int32_t *out)
{
    if (!is_digit_at(in)) {
        return false;
    }
    int32_t value = 0;
    while (is_digit_at(in)) {
        value = value * 10 + (*in->at - '0');
        if (value > max) {
            return false;
        }
        in->at++;
    }
    *out = value;
    return value >= min;
}

/* hh[:mm[:ss]], with a sign. */
static bool take_time(struct cursor *in, int32_t hours_max, int32_t *out)
{
    bool negative = take(in, '-');
    if (!negative) {
        (void)take(in, '+');
    }
    int32_t hours = 0;
    int32_t minutes = 0;
    int32_t seconds = 0;
    if (!take_number(in, 0, hours_max, &hours)) {
        return false;
    }
    if (take(in, ':')) {
        if (!take_number(in, 0, 59, &minutes)) {
            return false;
        }
        if (take(in, ':') && !take_number(in, 0, 59, &seconds)) {
            return false;
        }
    }
    int32_t total = hours * 3600 + minutes * 60 + seconds;
    *out = negative ? -total : total;
    return true;
}

/* "CET", or anything in angle brackets: names do not matter here. */
static bool take_name(struct cursor *in)
{
    if (take(in, '<')) {
        while (in->at < in->end && *in->at != '>') {
            in->at++;
        }
        return take(in, '>');
    }
    const char *start = in->at;
    while (in->at < in->end &&
           ((*in->at >= 'A' && *in->at <= 'Z') || (*in->at >= 'a' && *in->at <= 'z'))) {
        in->at++;
    }
    return in->at - start >= 3;
}

static bool take_date(struct cursor *in, struct tl_zone_date *out)
{
    bool good = false;
    if (take(in, 'M')) {
        out->kind = TL_ZONE_MONTH_WEEK_DAY;
        good = take_number(in, 1, 12, &out->month) && take(in, '.') &&
               take_number(in, 1, 5, &out->week) && take(in, '.') &&
               take_number(in, 0, 6, &out->day);
    } else if (take(in, 'J')) {
        out->kind = TL_ZONE_JULIAN;
        good = take_number(in, 1, 365, &out->day);
    } else {
        out->kind = TL_ZONE_DAY_OF_YEAR;
        good = take_number(in, 0, 365, &out->day);
    }
    out->time = 2 * 3600;
    return good && (!take(in, '/') || take_time(in, HOURS_MAX, &out->time));
}

tally_status tl_zone_rule_read(struct tl_zone_rule *out, struct tl_str text)
{
    *out = (struct tl_zone_rule){ 0 };
    if (text.len == 0) {
        return TALLY_OK;
    }
    struct cursor in = { text.text, text.text + text.len };
    int32_t west = 0;
    if (!take_name(&in) || !take_time(&in, 24, &west)) {
        return TALLY_ECORRUPT;
    }
    out->standard = -west;
    if (in.at < in.end) {
        out->has_dst = true;
        west -= 3600;
        if (!take_name(&in) || (!is_at(&in, ',') && !take_time(&in, 24, &west)) ||
            !take(&in, ',') || !take_date(&in, &out->from) || !take(&in, ',') ||
            !take_date(&in, &out->to) || in.at != in.end) {
            return TALLY_ECORRUPT;
        }
        out->dst = -west;
    }
    out->is_known = true;
    return TALLY_OK;
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Local seconds of that moment in the year. */
static int64_t date_in_year(const struct tl_zone_date *date, int64_t year)
{
    int64_t days = tl_days_of_date(year, 1, 1);
    if (date->kind == TL_ZONE_JULIAN) {
        days += date->day - 1 + (is_leap(year) && date->day >= 60 ? 1 : 0);
    } else if (date->kind == TL_ZONE_DAY_OF_YEAR) {
        days += date->day;
    } else {
        days = tl_days_of_date(year, date->month, 1);
        int64_t next = date->month == 12 ? tl_days_of_date(year + 1, 1, 1)
                                         : tl_days_of_date(year, date->month + 1, 1);
        int64_t weekday = ((days + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
        int64_t day = days + (date->day - weekday + 7) % 7 + (int64_t)(date->week - 1) * 7;
        days = day < next ? day : day - 7;
    }
    return days * DAY_S + date->time;
}

static int32_t offset_by_rule(const struct tl_zone_rule *rule, int64_t utc_s)
{
    if (!rule->has_dst) {
        return rule->standard;
    }
    int64_t year = 0;
    int32_t month = 0;
    int32_t day = 0;
    tl_date_of_days(floor_days(utc_s + rule->standard), &year, &month, &day);
    int64_t from = date_in_year(&rule->from, year) - rule->standard;
    int64_t to = date_in_year(&rule->to, year) - rule->dst;
    bool is_dst = from < to ? utc_s >= from && utc_s < to : !(utc_s >= to && utc_s < from);
    return is_dst ? rule->dst : rule->standard;
}

/* The counts of one block of a file, and how long it is. */
struct block {
    uint32_t utc, standard, leaps, times, types, chars;
};

static bool read_header(struct block *out, const uint8_t *bytes, size_t len)
{
    if (len < HEADER_LEN || memcmp(bytes, "TZif", 4) != 0 || bytes[4] < '2') {
        return false;
    }
    *out =
        (struct block){ tl_get_be32(bytes + 20), tl_get_be32(bytes + 24), tl_get_be32(bytes + 28),
                        tl_get_be32(bytes + 32), tl_get_be32(bytes + 36), tl_get_be32(bytes + 40) };
    return out->utc <= COUNTS_MAX && out->standard <= COUNTS_MAX && out->leaps <= COUNTS_MAX &&
           out->times <= COUNTS_MAX && out->types > 0 && out->types <= 256 &&
           out->chars <= COUNTS_MAX;
}

static size_t block_len(const struct block *block, size_t time_len)
{
    return block->times * (time_len + 1) + (size_t)block->types * 6 + block->chars +
           block->leaps * (time_len + 4) + block->standard + block->utc;
}

static bool read_transitions(struct tl_zone *out, const struct block *block, const uint8_t *bytes)
{
    const uint8_t *kinds = bytes + (size_t)block->times * 8;
    const uint8_t *types = kinds + block->times;
    out->first_offset = (int32_t)tl_get_be32(types);
    out->count = block->times;
    for (size_t i = 0; i < block->times; i++) {
        out->at[i] = (int64_t)tl_get_be64(bytes + i * 8);
        if (kinds[i] >= block->types || (i > 0 && out->at[i] <= out->at[i - 1])) {
            return false;
        }
        out->offset[i] = (int32_t)tl_get_be32(types + (size_t)kinds[i] * 6);
        if (out->offset[i] < -OFFSET_MAX || out->offset[i] > OFFSET_MAX) {
            return false;
        }
    }
    return out->first_offset >= -OFFSET_MAX && out->first_offset <= OFFSET_MAX;
}

tally_status tl_zone_read(struct tl_zone *out, const uint8_t *bytes, size_t len)
{
    struct block old;
    struct block block;
    if (!read_header(&old, bytes, len) || len - HEADER_LEN < block_len(&old, 4)) {
        return TALLY_ECORRUPT;
    }
    const uint8_t *at = bytes + HEADER_LEN + block_len(&old, 4);
    const uint8_t *end = bytes + len;
    if (!read_header(&block, at, (size_t)(end - at)) ||
        (size_t)(end - at) - HEADER_LEN < block_len(&block, 8)) {
        return TALLY_ECORRUPT;
    }
    if (block.times > TL_ZONE_TRANSITIONS_MAX) {
        return TALLY_ELIMIT;
    }
    if (!read_transitions(out, &block, at + HEADER_LEN)) {
        return TALLY_ECORRUPT;
    }
    at += HEADER_LEN + block_len(&block, 8);
    if (end - at < 2 || at[0] != '\n' || end[-1] != '\n') {
        return TALLY_ECORRUPT;
    }
    const struct tl_str footer = { .text = (const char *)at + 1, .len = (size_t)(end - at) - 2 };
    return tl_zone_rule_read(&out->rule, footer);
}

int32_t tl_zone_offset(const struct tl_zone *zone, int64_t utc_s)
{
    if (zone == NULL) {
        return 0;
    }
    if (zone->rule.is_known && (zone->count == 0 || utc_s >= zone->at[zone->count - 1])) {
        return offset_by_rule(&zone->rule, utc_s);
    }
    size_t low = 0;
    size_t high = zone->count; /* transitions below `low` are not after utc_s */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->at[middle] <= utc_s) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? zone->first_offset : zone->offset[low - 1];
}

/* The first moment after `low`, and not after `high`, that has another offset than `low` has. */
static int64_t transition_between(const struct tl_zone *zone, int64_t low, int64_t high)
{
    int32_t before = tl_zone_offset(zone, low);
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (tl_zone_offset(zone, middle) == before) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return high;
}

int64_t tl_zone_moment(const struct tl_zone *zone, int64_t local_s)
{
    /* No zone changes twice within two days. */
    int32_t before = tl_zone_offset(zone, local_s - DAY_S);
    int32_t after = tl_zone_offset(zone, local_s + DAY_S);
    if (tl_zone_offset(zone, local_s - before) == before) {
        return local_s - before;
    }
    if (tl_zone_offset(zone, local_s - after) == after) {
        return local_s - after;
    }
    return transition_between(zone, local_s - DAY_S, local_s + DAY_S);
}
