/* Values of settings: text into what it means. */
#include "base/parse.h"
#include "model/config_keys.h"
#include "model/terms.h"

#define DAYS_MAX      36500
#define POINTERS_MAX  64u
#define POINTER_BYTES 255u
#define TARGETS_MAX   16u
#define LISTEN_MAX    8u
#define ORIGINS_MAX   16u
#define ORIGIN_BYTES  255u

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    { "", 1 }, { "B", 1 }, { "KiB", 1024 }, { "MiB", 1048576 }
};
static const struct unit no_units[] = { { "", 1 } };
static const struct unit second_units[] = { { "", 1 },     { "s", 1 },     { "m", 60 },
                                            { "h", 3600 }, { "d", 86400 }, { "w", 604800 } };
static const struct unit ms_units[] = { { "", 1 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 } };

static tally_status bad(const struct tl_config_entry *entry, struct tally_error *err,
                        const char *wanted)
{
    return tl_fail(err, TALLY_EINVAL, "%s: '%.80s' is to be %s", entry->where, entry->name, wanted);
}

/* Reads a number with a unit, within the bounds of the key. */
static tally_status read_number(const struct tl_config_entry *entry, const struct unit *units,
                                size_t count, uint64_t *out)
{
    struct tl_str text = tl_str_of(entry->value);
    size_t digits = 0;
    while (digits < text.len && text.text[digits] >= '0' && text.text[digits] <= '9') {
        digits++;
    }
    struct tl_str unit = { .text = text.text + digits, .len = text.len - digits };
    uint64_t value = 0;
    if (tl_parse_u64(text.text, digits, UINT64_MAX, &value) != TALLY_OK) {
        return TALLY_EINVAL;
    }
    for (size_t i = 0; i < count; i++) {
        if (tl_str_is(unit, units[i].name)) {
            bool fits = !__builtin_mul_overflow(value, units[i].factor, &value) &&
                        value >= (uint64_t)entry->key->min && value <= (uint64_t)entry->key->max;
            *out = value;
            return fits ? TALLY_OK : TALLY_EINVAL;
        }
    }
    return TALLY_EINVAL;
}

static tally_status read_days(const struct tl_config_entry *entry, int32_t *out,
                              struct tally_error *err)
{
    struct tl_str text = tl_str_of(entry->value);
    uint64_t days = 0;
    if (tl_str_is(text, "forever")) {
        *out = -1;
        return TALLY_OK;
    }
    bool negative = text.len > 0 && text.text[0] == '-';
    size_t len = text.len - negative;
    len -= len > 0 && text.text[text.len - 1] == 'd';
    if (tl_parse_u64(text.text + negative, len, DAYS_MAX, &days) != TALLY_OK) {
        return bad(entry, err, "a number of days up to 36500, or 'forever'");
    }
    *out = negative || days == 0 ? -1 : (int32_t)days;
    return TALLY_OK;
}

static bool is_action_rule(struct tl_str match)
{
    size_t len = match.len;
    if (len >= 2 && match.text[len - 1] == '*' && strchr(".:/", match.text[len - 2]) != NULL) {
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        char c = tl_fold(match.text[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("_.:/@-", c) != NULL)) {
            return false;
        }
    }
    return match.len <= 256;
}

static bool is_outcome(struct tl_str match)
{
    return tl_str_is(match, "success") || tl_str_is(match, "failure") ||
           tl_str_is(match, "pending") || tl_str_is(match, "unknown");
}

static tally_status apply_map(struct tl_config *config, const struct tl_config_entry *entry,
                              struct tally_error *err)
{
    struct tl_retention *to = &config->retention;
    struct tl_retention_rule *const lists[TL_MAP_COUNT] = { to->by_action, to->by_outcome,
                                                            to->by_service, to->by_severity,
                                                            to->by_tenant };
    size_t *const counts[TL_MAP_COUNT] = { &to->by_action_count, &to->by_outcome_count,
                                           &to->by_service_count, &to->by_severity_count,
                                           &to->by_tenant_count };
    size_t map = entry->key->offset;
    if (map == TL_MAP_SEVERITY && tl_severity_rank(entry->map) == 0) {
        return bad(entry, err, "of severity low, medium, high or critical");
    }
    if (map == TL_MAP_OUTCOME && !is_outcome(entry->map)) {
        return bad(entry, err, "of outcome success, failure, pending or unknown");
    }
    if (map == TL_MAP_ACTION && !is_action_rule(entry->map)) {
        return bad(entry, err, "of an action, or of a prefix that ends in '.*'");
    }
    size_t all = 0;
    for (size_t i = 0; i < TL_MAP_COUNT; i++) {
        all += *counts[i];
    }
    if (all >= TL_RETENTION_RULES_MAX) {
        return bad(entry, err, "one of at most 256 retention rules");
    }
    struct tl_retention_rule *rule = &lists[map][*counts[map]];
    TL_TRY(read_days(entry, &rule->days, err));
    rule->match = entry->map;
    ++*counts[map];
    return TALLY_OK;
}

/* "/a" or "/a/b", with ~ only as ~0 or ~1. */
static bool is_pointer(struct tl_str text)
{
    size_t tokens = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.text[i] == '/') {
            tokens++;
            if (i + 1 == text.len || text.text[i + 1] == '/') {
                return false;
            }
        } else if (text.text[i] == '~' &&
                   (i + 1 == text.len || (text.text[i + 1] != '0' && text.text[i + 1] != '1'))) {
            return false;
        }
    }
    return text.len > 0 && text.text[0] == '/' && tokens <= 2 && text.len <= POINTER_BYTES;
}

/* Copies a list, sorted by bytes and without duplicates. */
static tally_status sort_list(struct tl_config *config, const struct tl_config_entry *entry,
                              const struct tl_str **list_out, size_t *count_out)
{
    struct tl_str *list = tl_arena_alloc(&config->arena, (entry->count + 1) * sizeof(*list));
    size_t count = 0;
    if (list == NULL) {
        return TALLY_ENOMEM;
    }
    for (size_t i = 0; i < entry->count; i++) {
        size_t at = count;
        while (at > 0 && tl_str_compare(list[at - 1], entry->values[i]) > 0) {
            at--;
        }
        if (at > 0 && tl_str_equal(list[at - 1], entry->values[i])) {
            continue;
        }
        memmove(&list[at + 1], &list[at], (count - at) * sizeof(*list));
        list[at] = entry->values[i];
        count++;
    }
    *list_out = list;
    *count_out = count;
    return TALLY_OK;
}

static tally_status apply_list(struct tl_config *config, const struct tl_config_entry *entry,
                               struct tally_error *err)
{
    bool pointers = entry->key->kind == TL_CONFIG_POINTERS;
    if (entry->count > (pointers ? POINTERS_MAX : TL_TEXT_MEMBERS_MAX)) {
        return bad(entry, err, pointers ? "at most 64 pointers" : "at most 32 members");
    }
    for (size_t i = 0; i < entry->count; i++) {
        if (pointers ? !is_pointer(entry->values[i]) : !tl_words_knows(entry->values[i])) {
            return bad(entry, err,
                       pointers ? "JSON pointers of one or two names"
                                : "members of an event, such as 'reason' or 'metadata.note'");
        }
    }
    tally_status status =
        pointers ? sort_list(config, entry, &config->erasable, &config->erasable_count)
                 : sort_list(config, entry, &config->text_members, &config->text_member_count);
    return status == TALLY_OK ? TALLY_OK : tl_fail(err, status, "no memory for settings");
}

/* Whether each one can be gone to is seen by who goes there. */
static tally_status apply_targets(struct tl_config *config, const struct tl_config_entry *entry,
                                  struct tally_error *err)
{
    if (entry->count > TARGETS_MAX) {
        return bad(entry, err, "at most 16 targets");
    }
    for (size_t i = 0; i < entry->count; i++) {
        if (memchr(entry->values[i].text, ':', entry->values[i].len) == NULL) {
            return bad(entry, err, "targets such as 'file:/PATH' or 'https://HOST/PATH'");
        }
    }
    config->anchor_targets = entry->values;
    config->anchor_target_count = entry->count;
    return TALLY_OK;
}

static tally_status apply_listen(struct tl_config *config, const struct tl_config_entry *entry,
                                 struct tally_error *err)
{
    bool is_good = entry->count <= LISTEN_MAX;
    for (size_t i = 0; i < entry->count && is_good; i++) {
        is_good = memchr(entry->values[i].text, ':', entry->values[i].len) != NULL;
    }
    if (!is_good) {
        return bad(entry, err, "at most 8 addresses such as '127.0.0.1:8080' or 'unix:/PATH'");
    }
    config->server.listen = entry->values;
    config->server.listen_count = entry->count;
    return TALLY_OK;
}

/* "https://admin.example:8443": a scheme, a host and perhaps a port, as browsers send it. */
static bool is_origin(struct tl_str text)
{
    static const struct tl_str schemes[] = { { "https://", 8 }, { "http://", 7 } };
    for (size_t i = 0; i < TL_ARRAY_LEN(schemes); i++) {
        size_t len = schemes[i].len;
        if (tl_str_starts(text, schemes[i])) {
            return text.len > len && text.len <= ORIGIN_BYTES &&
                   memchr(text.text + len, '/', text.len - len) == NULL;
        }
    }
    return false;
}

static tally_status apply_origins(struct tl_config *config, const struct tl_config_entry *entry,
                                  struct tally_error *err)
{
    bool is_good = entry->count <= ORIGINS_MAX;
    for (size_t i = 0; i < entry->count && is_good; i++) {
        is_good = is_origin(entry->values[i]);
    }
    if (!is_good) {
        return bad(entry, err, "at most 16 origins such as 'https://HOST' or 'https://HOST:PORT'");
    }
    config->server.viewer_origins = entry->values;
    config->server.viewer_origin_count = entry->count;
    return TALLY_OK;
}

static tally_status apply_number(void *to, const struct tl_config_entry *entry,
                                 const struct unit *units, size_t count, struct tally_error *err)
{
    uint64_t value = 0;
    enum tl_config_kind kind = entry->key->kind;
    if (read_number(entry, units, count, &value) != TALLY_OK) {
        return tl_fail(err, TALLY_EINVAL, "%s: '%s' is to be a number from %lld to %lld%s",
                       entry->where, entry->name, (long long)entry->key->min,
                       (long long)entry->key->max,
                       kind == TL_CONFIG_NUMBER ? ""
                       : kind == TL_CONFIG_SIZE ? ", or with KiB or MiB"
                                                : ", or with a unit such as 's' or 'm'");
    }
    if (kind == TL_CONFIG_SIZE || kind == TL_CONFIG_NUMBER) {
        *(size_t *)to = value;
    } else {
        *(uint32_t *)to = (uint32_t)value;
    }
    return TALLY_OK;
}

static tally_status apply_choice(bool *to, const struct tl_config_entry *entry,
                                 struct tally_error *err)
{
    const char *const *words = entry->key->words;
    bool second = strcmp(entry->value, words[1]) == 0;
    if (!second && strcmp(entry->value, words[0]) != 0) {
        return tl_fail(err, TALLY_EINVAL, "%s: '%s' is to be '%s' or '%s'", entry->where,
                       entry->name, words[0], words[1]);
    }
    *to = second;
    return TALLY_OK;
}

tally_status tl_config_apply(struct tl_config *config, const struct tl_config_entry *entry,
                             struct tally_error *err)
{
    void *to = (char *)config + entry->key->offset;
    switch (entry->key->kind) {
    case TL_CONFIG_TEXT:
        *(struct tl_str *)to = tl_str_of(entry->value);
        return entry->value[0] != '\0' ? TALLY_OK : bad(entry, err, "a text that is not empty");
    case TL_CONFIG_PATH:
        *(struct tl_str *)to = tl_str_of(entry->value);
        return TALLY_OK;
    case TL_CONFIG_TARGETS:
        return apply_targets(config, entry, err);
    case TL_CONFIG_LISTEN:
        return apply_listen(config, entry, err);
    case TL_CONFIG_ORIGINS:
        return apply_origins(config, entry, err);
    case TL_CONFIG_SIZE:
        return apply_number(to, entry, size_units, TL_ARRAY_LEN(size_units), err);
    case TL_CONFIG_NUMBER:
        return apply_number(to, entry, no_units, TL_ARRAY_LEN(no_units), err);
    case TL_CONFIG_SECONDS:
        return apply_number(to, entry, second_units, TL_ARRAY_LEN(second_units), err);
    case TL_CONFIG_MS:
        return apply_number(to, entry, ms_units, TL_ARRAY_LEN(ms_units), err);
    case TL_CONFIG_CHOICE:
        return apply_choice(to, entry, err);
    case TL_CONFIG_DAYS:
        return read_days(entry, to, err);
    case TL_CONFIG_POINTERS:
    case TL_CONFIG_MEMBERS:
        return apply_list(config, entry, err);
    case TL_CONFIG_MAP:
        return apply_map(config, entry, err);
    case TL_CONFIG_ACTIONS:
    case TL_CONFIG_NAMES:
    case TL_CONFIG_PATTERNS:
    case TL_CONFIG_RULES:
        return TALLY_OK; /* later, by tl_policy_read() */
    }
    return TALLY_OK;
}
