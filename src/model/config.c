#include "model/config.h"

#include <stdio.h>

#include "base/limits.h"
#include "codec/yaml.h"
#include "model/config_keys.h"

#define ARENA_BYTES_MAX (64 * TL_CONFIG_BYTES_MAX)

/* Entries of maps that are there without anybody having set them. */
static const struct {
    const char *name, *value;
} default_entries[] = {
    { "retention.by_severity.critical", "2555" },
    { "retention.by_severity.high", "1095" },
};

static tally_status no_memory(struct tally_error *err)
{
    return tl_fail(err, TALLY_ENOMEM, "no memory for settings");
}

/* A NUL-terminated copy in the arena, or NULL. */
static char *copy_text(struct tl_arena *arena, struct tl_str text)
{
    char *copy = tl_arena_alloc(arena, text.len + 1);
    if (copy != NULL) {
        if (text.len > 0) {
            memcpy(copy, text.text, text.len);
        }
        copy[text.len] = '\0';
    }
    return copy;
}

static bool is_list(const struct tl_config_key *key)
{
    switch (key->kind) {
    case TL_CONFIG_POINTERS:
    case TL_CONFIG_MEMBERS:
    case TL_CONFIG_ACTIONS:
    case TL_CONFIG_NAMES:
    case TL_CONFIG_PATTERNS:
    case TL_CONFIG_RULES:
    case TL_CONFIG_TARGETS:
    case TL_CONFIG_LISTEN:
    case TL_CONFIG_ORIGINS:
        return true;
    case TL_CONFIG_TEXT:
    case TL_CONFIG_PATH:
    case TL_CONFIG_SIZE:
    case TL_CONFIG_NUMBER:
    case TL_CONFIG_CHOICE:
    case TL_CONFIG_SECONDS:
    case TL_CONFIG_MS:
    case TL_CONFIG_DAYS:
    case TL_CONFIG_MAP:
        return false;
    }
    return false;
}

/* Whether one text is a list with commas; else it is for whoever applies it. */
static bool is_split(const struct tl_config_key *key)
{
    return is_list(key) && key->kind != TL_CONFIG_PATTERNS && key->kind != TL_CONFIG_RULES;
}

/* Splits text at commas, without the spaces around them. */
static tally_status split(struct tl_arena *arena, struct tl_config_entry *entry)
{
    struct tl_str text = tl_str_of(entry->value);
    struct tl_str *values = tl_arena_alloc(arena, (text.len + 1) * sizeof(*values));
    if (values == NULL) {
        return TALLY_ENOMEM;
    }
    size_t start = 0;
    for (size_t i = 0; i <= text.len && text.len > 0; i++) {
        if (i < text.len && text.text[i] != ',') {
            continue;
        }
        size_t end = i;
        while (start < end && text.text[start] == ' ') {
            start++;
        }
        while (end > start && text.text[end - 1] == ' ') {
            end--;
        }
        values[entry->count++] = (struct tl_str){ .text = text.text + start, .len = end - start };
        start = i + 1;
    }
    entry->values = values;
    return TALLY_OK;
}

/* Joins the elements of a list of the file, for those who look. */
static tally_status join(struct tl_arena *arena, struct tl_config_entry *entry,
                         const struct tl_yaml_item *item)
{
    size_t size = 1;
    for (size_t i = 0; i < item->count; i++) {
        size += item->values[i].len + 1;
    }
    char *text = tl_arena_alloc(arena, size);
    if (text == NULL) {
        return TALLY_ENOMEM;
    }
    size_t len = 0;
    for (size_t i = 0; i < item->count; i++) {
        if (i > 0) {
            text[len++] = ',';
        }
        memcpy(text + len, item->values[i].text, item->values[i].len);
        len += item->values[i].len;
    }
    text[len] = '\0';
    entry->value = text;
    entry->values = item->values;
    entry->count = item->count;
    return TALLY_OK;
}

/* Rules that come as one text take the place of those that came one by one. */
static void drop_rules(struct tl_config *config)
{
    struct tl_config_entry **link = &config->entries;
    while (*link != NULL) {
        if ((*link)->key->kind == TL_CONFIG_RULES) {
            *link = (*link)->next;
        } else {
            link = &(*link)->next;
        }
    }
}

/* Puts an entry into the list, in order of name, in place of one with the same name. */
static void put_entry(struct tl_config *config, struct tl_config_entry *entry)
{
    if (entry->key->kind == TL_CONFIG_RULES && entry->map.text == NULL) {
        drop_rules(config);
    }
    struct tl_config_entry **link = &config->entries;
    while (*link != NULL && strcmp((*link)->name, entry->name) < 0) {
        link = &(*link)->next;
    }
    struct tl_config_entry *there = *link;
    bool same = there != NULL && strcmp(there->name, entry->name) == 0;
    entry->next = same ? there->next : there;
    *link = entry;
}

/* One setting, from wherever it comes. */
struct source {
    struct tl_str name;
    struct tl_str value;             /* absent for a list of the file */
    const struct tl_yaml_item *item; /* NULL if it is not of the file */
    const char *path;                /* likewise */
    const char *origin, *where;
};

static tally_status refuse_name(const struct source *source, struct tally_error *err)
{
    const char *nearest = tl_config_key_nearest(source->name);
    return tl_fail(err, TALLY_EINVAL, "%s: there is no setting '%.*s'%s%s%s", source->where,
                   (int)(source->name.len < 80 ? source->name.len : 80), source->name.text,
                   nearest == NULL ? "" : "; the nearest is '", nearest == NULL ? "" : nearest,
                   nearest == NULL ? "" : "'");
}

static tally_status add_value(struct tl_config *config, const struct source *source,
                              struct tl_config_entry *entry, struct tally_error *err)
{
    bool of_rule = entry->key->kind == TL_CONFIG_RULES && entry->map.text != NULL;
    if (of_rule && source->item == NULL) {
        return tl_fail(err, TALLY_EINVAL, "%s: 'policy.rules' is set as a whole: a JSON array",
                       source->where);
    }
    if (source->value.text != NULL) {
        entry->value = copy_text(&config->arena, source->value);
        if (entry->value == NULL ||
            (is_split(entry->key) && split(&config->arena, entry) != TALLY_OK)) {
            return no_memory(err);
        }
        return TALLY_OK;
    }
    if (!is_list(entry->key) || of_rule) {
        return tl_fail(err, TALLY_EINVAL, "%s: '%.80s' takes one value, not a list", source->where,
                       entry->name);
    }
    tl_assert(source->item != NULL); /* only files have lists */
    entry->places = source->item->places;
    return join(&config->arena, entry, source->item) == TALLY_OK ? TALLY_OK : no_memory(err);
}

static tally_status add(struct tl_config *config, const struct source *source,
                        struct tally_error *err)
{
    struct tl_str rest = { 0 };
    const struct tl_config_key *key = tl_config_key_find(source->name, &rest);
    if (key == NULL) {
        return refuse_name(source, err);
    }
    struct tl_config_entry *entry = tl_arena_alloc(&config->arena, sizeof(*entry));
    if (entry == NULL) {
        return no_memory(err);
    }
    *entry = (struct tl_config_entry){ .key = key,
                                       .name = copy_text(&config->arena, source->name),
                                       .path = source->path,
                                       .origin = source->origin,
                                       .where = source->where };
    if (entry->name == NULL) {
        return no_memory(err);
    }
    if (rest.text != NULL) {
        entry->map =
            (struct tl_str){ .text = entry->name + (source->name.len - rest.len), .len = rest.len };
    }
    TL_TRY(add_value(config, source, entry, err));
    put_entry(config, entry);
    return TALLY_OK;
}

static tally_status add_default(struct tl_config *config, const char *name, const char *value,
                                struct tally_error *err)
{
    const struct source source = {
        .name = tl_str_of(name), .value = tl_str_of(value), .origin = "default", .where = "default"
    };
    return add(config, &source, err);
}

static tally_status add_defaults(struct tl_config *config, struct tally_error *err)
{
    for (size_t i = 0; i < tl_config_key_count; i++) {
        const struct tl_config_key *key = &tl_config_keys[i];
        if (key->fallback != NULL) {
            TL_TRY(add_default(config, key->name, key->fallback, err));
        }
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(default_entries); i++) {
        TL_TRY(add_default(config, default_entries[i].name, default_entries[i].value, err));
    }
    return TALLY_OK;
}

/* "path:line" or "path:line:column". */
static const char *place(struct tl_arena *arena, const char *path, uint32_t line, uint32_t column)
{
    size_t size = strlen(path) + 32;
    char *text = tl_arena_alloc(arena, size);
    if (text == NULL) {
        return NULL;
    }
    if (column == 0) {
        (void)snprintf(text, size, "%s:%u", path, line);
    } else {
        (void)snprintf(text, size, "%s:%u:%u", path, line, column);
    }
    return text;
}

static tally_status add_file(struct tl_config *config, const char *path, struct tl_str text,
                             struct tally_error *err)
{
    const struct tl_yaml_item *item = NULL;
    struct tally_error cause = TALLY_ERROR_INIT;
    tally_status status = tl_yaml_read(&config->arena, text.text, text.len, &item, &cause);
    if (status != TALLY_OK) {
        return tl_fail(err, status == TALLY_ENOMEM ? status : TALLY_EINVAL, "%s:%s", path,
                       cause.message);
    }
    for (; item != NULL; item = item->next) {
        struct source source = {
            .name = item->key, .value = item->value, .item = item, .path = path
        };
        source.origin = place(&config->arena, path, item->place.line, 0);
        source.where = place(&config->arena, path, item->place.line, item->place.column);
        if (source.origin == NULL || source.where == NULL) {
            return no_memory(err);
        }
        TL_TRY(add(config, &source, err));
    }
    return TALLY_OK;
}

static tally_status add_settings(struct tl_config *config, const struct tally_setting *settings,
                                 size_t count, struct tally_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (settings[i].key == NULL || settings[i].value == NULL || settings[i].origin == NULL) {
            return tl_fail(err, TALLY_EINVAL, "a setting without key, value or origin");
        }
        struct source source = { .name = tl_str_of(settings[i].key),
                                 .value = tl_str_of(settings[i].value) };
        source.origin = copy_text(&config->arena, tl_str_of(settings[i].origin));
        if (source.origin == NULL) {
            return no_memory(err);
        }
        source.where = source.origin;
        TL_TRY(add(config, &source, err));
    }
    return TALLY_OK;
}

static tally_status apply_all(struct tl_config *config, struct tally_error *err)
{
    struct tl_retention_rule **const lists[] = {
        &config->retention.by_action, &config->retention.by_severity, &config->retention.by_service,
        &config->retention.by_tenant, &config->retention.by_outcome,
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(lists); i++) {
        *lists[i] = tl_arena_alloc(&config->arena,
                                   TL_RETENTION_RULES_MAX * sizeof(struct tl_retention_rule));
        if (*lists[i] == NULL) {
            return no_memory(err);
        }
    }
    for (const struct tl_config_entry *entry = config->entries; entry != NULL;
         entry = entry->next) {
        TL_TRY(tl_config_apply(config, entry, err));
    }
    return tl_policy_read(&config->policy, config, err);
}

tally_status tl_config_read(struct tl_config *config, const char *path, struct tl_str text,
                            const struct tally_setting *settings, size_t setting_count,
                            struct tally_error *err)
{
    TL_CLEANUP(tl_config_release) struct tl_config fresh = { .arena = { 0 } };
    tl_arena_init(&fresh.arena, ARENA_BYTES_MAX);
    TL_TRY(add_defaults(&fresh, err));
    if (text.text != NULL) {
        TL_TRY(add_file(&fresh, path, text, err));
    }
    TL_TRY(add_settings(&fresh, settings, setting_count, err));
    TL_TRY(apply_all(&fresh, err));
    *config = fresh;
    tl_arena_init(&fresh.arena, 0); /* given away */
    fresh.policy = NULL;
    return TALLY_OK;
}

void tl_config_release(struct tl_config *config)
{
    if (config != NULL) {
        tl_policy_release(config->policy);
        tl_arena_release(&config->arena);
        *config = (struct tl_config){ .arena = { 0 } };
    }
}

const char *tl_config_where(const struct tl_config *config, const char *key)
{
    const struct tl_config_entry *entry = config->entries;
    while (entry != NULL && strcmp(entry->name, key) != 0) {
        entry = entry->next;
    }
    return entry == NULL ? "default" : entry->where;
}

void tl_config_each(const struct tl_config *config, tally_config_fn *fn, void *ctx)
{
    for (const struct tl_config_entry *entry = config->entries; entry != NULL;
         entry = entry->next) {
        struct tally_config_value value = { .key = entry->name,
                                            .value = entry->value,
                                            .origin = entry->origin,
                                            .doc = entry->key->doc };
        fn(ctx, &value);
    }
}
