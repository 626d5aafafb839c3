#include "schedule/cron.h"

#include <string.h>

#include "base/io.h"
#include "base/parse.h"

#define ZONES         "/usr/share/zoneinfo/"
#define ZONE_NAME_MAX 64u /* bytes of a zone's name */
#define DAY_MINUTES   INT64_C(1440)
#define DAY_S         INT64_C(86400)
#define HORIZON       INT64_C(2928) /* days: 8 years */
#define FIELDS        5u
#define LATEST_S      INT64_C(253000000000) /* year 9987: the horizon stays a date */

static const char months[12][4] = { "jan", "feb", "mar", "apr", "may", "jun",
                                    "jul", "aug", "sep", "oct", "nov", "dec" };
static const char weekdays[7][4] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };

/* What a field is called, and may hold. */
struct field_kind {
    const char *name;
    uint32_t min, max;
    const char (*words)[4]; /* of the values from `min` on; NULL: numbers alone */
    uint32_t word_count;
};

static const struct field_kind kinds[FIELDS] = {
    { "minute", 0, 59, NULL, 0 },
    { "hour", 0, 23, NULL, 0 },
    { "day of the month", 1, 31, NULL, 0 },
    { "month", 1, 12, months, 12 },
    { "day of the week", 0, 7, weekdays, 7 }, /* 7 is Sunday, as 0 */
};

static const struct {
    const char *name;
    const char *fields;
} shorthands[] = {
    { "@yearly", "0 0 1 1 *" }, { "@annually", "0 0 1 1 *" }, { "@monthly", "0 0 1 * *" },
    { "@weekly", "0 0 * * 0" }, { "@daily", "0 0 * * *" },    { "@midnight", "0 0 * * *" },
    { "@hourly", "0 * * * *" },
};

static char lower(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return "abcdefghijklmnopqrstuvwxyz"[c - 'A'];
    }
    return c;
}

static bool is_word(struct tl_str text, const char *word)
{
    if (text.len != strlen(word)) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (lower(text.text[i]) != word[i]) {
            return false;
        }
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Takes what stands before the next `separator`, which is taken as well. */
static struct tl_str take_until(struct tl_str *rest, char separator)
{
    size_t len = 0;
    while (len < rest->len && rest->text[len] != separator) {
        len++;
    }
    struct tl_str part = { rest->text, len };
    size_t gone = len < rest->len ? len + 1 : len;
    rest->text += gone;
    rest->len -= gone;
    return part;
}

static struct tl_str take_field(struct tl_str *rest)
{
    while (rest->len > 0 && is_blank(rest->text[0])) {
        rest->text++;
        rest->len--;
    }
    size_t len = 0;
    while (len < rest->len && !is_blank(rest->text[len])) {
        len++;
    }
    struct tl_str field = { rest->text, len };
    rest->text += len;
    rest->len -= len;
    return field;
}

static bool read_value(const struct field_kind *kind, struct tl_str text, uint32_t *out)
{
    for (uint32_t i = 0; i < kind->word_count; i++) {
        if (is_word(text, kind->words[i])) {
            *out = kind->min + i;
            return true;
        }
    }
    /* cron takes leading zeros: "05". */
    while (text.len > 1 && text.text[0] == '0') {
        text.text++;
        text.len--;
    }
    uint64_t value = 0;
    if (tl_parse_u64(text.text, text.len, kind->max, &value) != TALLY_OK || value < kind->min) {
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

/* One element of a list: "*", "5", "1-5", with "/step" behind all but the second. */
static bool read_element(const struct field_kind *kind, struct tl_str text, uint64_t *bits)
{
    bool has_step = memchr(text.text, '/', text.len) != NULL;
    struct tl_str range = take_until(&text, '/');
    uint64_t step = 1;
    if (has_step &&
        (tl_parse_u64(text.text, text.len, kind->max, &step) != TALLY_OK || step == 0)) {
        return false;
    }
    uint32_t first = kind->min;
    uint32_t last = kind->max;
    if (!tl_str_is(range, "*")) {
        bool is_range = range.len > 0 && memchr(range.text, '-', range.len) != NULL;
        struct tl_str low = take_until(&range, '-');
        if (!read_value(kind, low, &first)) {
            return false;
        }
        last = first;
        if (is_range ? !read_value(kind, range, &last) : has_step) {
            return false;
        }
    }
    if (last < first) {
        return false;
    }
    for (uint64_t value = first; value <= last; value += step) {
        *bits |= UINT64_C(1) << value;
    }
    return true;
}

static bool read_field(const struct field_kind *kind, struct tl_str text, uint64_t *bits)
{
    if (text.len == 0 || text.text[text.len - 1] == ',') {
        return false;
    }
    while (text.len > 0) {
        struct tl_str element = take_until(&text, ',');
        if (element.len == 0 || !read_element(kind, element, bits)) {
            return false;
        }
    }
    return true;
}

static tally_status read_five(struct tl_cron_fields *out, struct tl_str text,
                              struct tally_error *err)
{
    uint64_t bits[FIELDS] = { 0 };
    bool starred[FIELDS] = { false };
    for (size_t i = 0; i < FIELDS; i++) {
        struct tl_str field = take_field(&text);
        if (field.len == 0) {
            return tl_fail(
                err, TALLY_EINVAL,
                "the cron expression ends before its %s: it has five fields, or is one of "
                "@hourly @daily @weekly @monthly @yearly",
                kinds[i].name);
        }
        starred[i] = field.text[0] == '*';
        if (!read_field(&kinds[i], field, &bits[i])) {
            return tl_fail(err, TALLY_EINVAL,
                           "the %s of the cron expression is wrong: it takes %u-%u, '*', lists, "
                           "ranges, and steps behind a range",
                           kinds[i].name, kinds[i].min, kinds[i].max);
        }
    }
    if (take_field(&text).len > 0) {
        return tl_fail(err, TALLY_EINVAL, "the cron expression has more than five fields");
    }
    *out = (struct tl_cron_fields){
        .minutes = bits[0],
        .hours = (uint32_t)bits[1],
        .days = (uint32_t)bits[2],
        .months = (uint32_t)bits[3],
        .weekdays = (uint32_t)((bits[4] | bits[4] >> 7) & 0x7f),
        .any_day = starred[2],
        .any_weekday = starred[4],
        .counts_elapsed = starred[1],
    };
    return TALLY_OK;
}

tally_status tl_cron_fields_read(struct tl_cron_fields *out, struct tl_str text,
                                 struct tally_error *err)
{
    struct tl_str rest = text;
    struct tl_str first = take_field(&rest);
    if (first.len == 0 || first.text[0] != '@') {
        return read_five(out, text, err);
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(shorthands); i++) {
        if (is_word(first, shorthands[i].name) && take_field(&rest).len == 0) {
            return read_five(out, tl_str_of(shorthands[i].fields), err);
        }
    }
    return tl_fail(err, TALLY_EINVAL,
                   "the cron expression is none of @hourly @daily @midnight @weekly @monthly "
                   "@yearly @annually");
}

static bool has_bit(uint64_t bits, int64_t value)
{
    return (bits >> value & 1) != 0;
}

/* If both kinds of day are restricted, either will do, as in cron. */
static bool fits_day(const struct tl_cron_fields *fields, int64_t days)
{
    int64_t year = 0;
    int32_t month = 0;
    int32_t day = 0;
    tl_date_of_days(days, &year, &month, &day);
    bool by_day = has_bit(fields->days, day);
    bool by_weekday = has_bit(fields->weekdays, (days + 4) % 7);
    bool either = !fields->any_day && !fields->any_weekday;
    return has_bit(fields->months, month) && (either ? by_day || by_weekday : by_day && by_weekday);
}

/* The first fitting time of a day, by its local clock, whose moment is after `after_s`; 0: none. */
static int64_t next_in_day(const struct tl_cron_fields *fields, const struct tl_zone *zone,
                           int64_t days, int64_t after_s)
{
    for (int64_t minute = 0; minute < DAY_MINUTES; minute++) {
        if (!has_bit(fields->hours, minute / 60) || !has_bit(fields->minutes, minute % 60)) {
            continue;
        }
        int64_t moment = tl_zone_moment(zone, days * DAY_S + minute * 60);
        if (moment > after_s) {
            return moment;
        }
    }
    return 0;
}

/* The same by elapsed minutes, from the start of the day to that of the next. */
static int64_t next_elapsed(const struct tl_cron_fields *fields, const struct tl_zone *zone,
                            int64_t days, int64_t after_s)
{
    int64_t end = tl_zone_moment(zone, (days + 1) * DAY_S);
    int64_t start = tl_zone_moment(zone, days * DAY_S);
    if (start <= after_s) {
        start = after_s + 1;
    }
    for (int64_t at = (start + 59) / 60 * 60; at < end; at += 60) {
        int64_t minute = (at + tl_zone_offset(zone, at) - days * DAY_S) / 60;
        if (minute >= 0 && minute < DAY_MINUTES && has_bit(fields->hours, minute / 60) &&
            has_bit(fields->minutes, minute % 60)) {
            return at;
        }
    }
    return 0;
}

int64_t tl_cron_fields_next(const struct tl_cron_fields *fields, const struct tl_zone *zone,
                            int64_t after_s)
{
    if (after_s < 0 || after_s > LATEST_S) {
        return 0;
    }
    int64_t today = (after_s + tl_zone_offset(zone, after_s) + DAY_S) / DAY_S - 1;
    for (int64_t days = today; days < today + HORIZON; days++) {
        if (!fits_day(fields, days)) {
            continue;
        }
        int64_t next = fields->counts_elapsed ? next_elapsed(fields, zone, days, after_s)
                                              : next_in_day(fields, zone, days, after_s);
        if (next != 0) {
            return next;
        }
    }
    return 0;
}

static bool is_zone_name(struct tl_str name)
{
    if (name.len == 0 || name.len > ZONE_NAME_MAX || name.text[0] == '/') {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = lower(name.text[i]);
        /* No dots: no way out of the directory. */
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
              c == '+' || c == '/')) {
            return false;
        }
    }
    return true;
}

static tally_status load_zone(struct tl_zone **out, struct tl_str name, struct tally_error *err)
{
    char path[sizeof(ZONES) + ZONE_NAME_MAX];
    TL_CLEANUP(tl_freep) char *bytes = NULL;
    size_t len = 0;
    if (!is_zone_name(name)) {
        return tl_fail(err, TALLY_EINVAL, "that is no name of a time zone");
    }
    memcpy(path, ZONES, sizeof(ZONES) - 1);
    memcpy(path + sizeof(ZONES) - 1, name.text, name.len);
    path[sizeof(ZONES) - 1 + name.len] = '\0';
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = tl_io_read_file(path, TL_ZONE_FILE_MAX, &bytes, &len, &why);
    if (status == TALLY_ENOMEM) {
        return tl_fail_with(err, status, &why);
    }
    if (status != TALLY_OK) {
        return tl_fail(err, TALLY_ENOTFOUND,
                       "there is no time zone '%.*s' on this machine (package tzdata)",
                       (int)name.len, name.text);
    }
    struct tl_zone *zone = tl_alloc_array(1, sizeof(*zone));
    if (zone == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a time zone");
    }
    status = tl_zone_read(zone, (const uint8_t *)bytes, len);
    if (status != TALLY_OK) {
        tl_free(zone);
        return tl_fail(err, TALLY_ENOTFOUND, "'%s' is no time zone", path);
    }
    *out = zone;
    return TALLY_OK;
}

tally_status tally_cron_parse(struct tally_cron **cron_out, const char *text,
                              struct tally_error *err)
{
    struct tl_str rest = tl_str_of(text);
    if (rest.len > TL_CRON_TEXT_MAX) {
        return tl_fail(err, TALLY_EINVAL, "the cron expression is longer than %u bytes",
                       TL_CRON_TEXT_MAX);
    }
    struct tl_zone *zone = NULL;
    struct tl_str after = rest;
    struct tl_str first = take_field(&after);
    struct tl_cron_fields fields = { 0 };
    if (tl_str_starts(first, TL_STR("TZ="))) {
        rest = after;
    }
    TL_TRY(tl_cron_fields_read(&fields, rest, err));
    if (tl_str_starts(first, TL_STR("TZ=")) && !tl_str_is(first, "TZ=UTC")) {
        TL_TRY(load_zone(&zone, (struct tl_str){ first.text + 3, first.len - 3 }, err));
    }
    struct tally_cron *cron = tl_alloc_array(1, sizeof(*cron));
    if (cron == NULL) {
        tl_free(zone);
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a cron expression");
    }
    *cron = (struct tally_cron){ .fields = fields, .zone = zone };
    *cron_out = cron;
    return TALLY_OK;
}

void tally_cron_free(struct tally_cron *cron)
{
    if (cron != NULL) {
        tl_free(cron->zone);
        tl_free(cron);
    }
}

int64_t tally_cron_next(const struct tally_cron *cron, int64_t after_us)
{
    return after_us < 0
               ? 0
               : tl_cron_fields_next(&cron->fields, cron->zone, after_us / 1000000) * 1000000;
}
