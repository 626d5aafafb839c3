/* The settings of a ledger, as a server goes by them. */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/parse.h"
#include "base/str.h"
#include "server/server_impl.h"

#define BYTES_MAX ((size_t)16 << 20)
#define LIST_MAX  16u

struct setting {
    struct setting *next;
    const char *key, *value;
};

struct tl_server_settings {
    struct tl_arena arena;
    struct setting *first, **last; /* in order of name */
    const char *listen[LIST_MAX + 1];
    size_t listen_count;
    const char *origins[LIST_MAX];
    size_t origin_count;
    const char *token_path, *cert_path, *key_path; /* NULL: none */
};

static char *copy(struct tl_arena *arena, struct tl_str text)
{
    char *out = tl_arena_alloc(arena, text.len + 1);
    if (out != NULL) {
        tl_str_copy(out, text.len + 1, text);
    }
    return out;
}

/* What it cannot keep ends the list: `last` is NULL from then on. */
static void add(void *ctx, const struct tally_config_value *value)
{
    struct tl_server_settings *settings = ctx;
    if (settings->last == NULL) {
        return;
    }
    struct setting *setting = tl_arena_alloc(&settings->arena, sizeof(*setting));
    char *key = copy(&settings->arena, tl_str_of(value->key));
    char *text = copy(&settings->arena, tl_str_of(value->value));
    if (setting == NULL || key == NULL || text == NULL) {
        settings->last = NULL;
        return;
    }
    *setting = (struct setting){ .key = key, .value = text };
    *settings->last = setting;
    settings->last = &setting->next;
}

/* "" if nothing is said. */
static const char *value_of(const struct tl_server_settings *settings, const char *key)
{
    for (const struct setting *setting = settings->first; setting != NULL;
         setting = setting->next) {
        if (strcmp(setting->key, key) == 0) {
            return setting->value;
        }
    }
    return "";
}

/* The configuration has seen to it that it is one. */
static uint64_t read_number(const struct tl_server_settings *settings, const char *key)
{
    const char *text = value_of(settings, key);
    uint64_t number = 0;
    (void)tl_parse_u64(text, strlen(text), UINT64_MAX, &number);
    return number;
}

/* The items of a list; the configuration has seen to it that there are at most LIST_MAX. */
static tally_status split(struct tl_server_settings *settings, const char *key,
                          const char *items[LIST_MAX], size_t *count_out)
{
    const char *text = value_of(settings, key);
    size_t count = 0;
    while (*text != '\0' && count < LIST_MAX) {
        text += strspn(text, " ");
        size_t len = strcspn(text, ",");
        size_t end = len;
        while (end > 0 && text[end - 1] == ' ') {
            end--;
        }
        items[count] = copy(&settings->arena, (struct tl_str){ text, end });
        if (items[count++] == NULL) {
            return TALLY_ENOMEM;
        }
        text += text[len] == ',' ? len + 1 : len;
    }
    *count_out = count;
    return TALLY_OK;
}

/* Of a path, absolute or relative to the ledger: NULL if there is none. */
static tally_status read_path(struct tl_server_settings *settings, const char *key,
                              const char *prefix, const char *ledger, const char **out)
{
    const char *path = value_of(settings, key);
    size_t size = strlen(prefix) + strlen(ledger) + strlen(path) + 2;
    if (path[0] == '\0') {
        return TALLY_OK;
    }
    char *text = tl_arena_alloc(&settings->arena, size);
    if (text == NULL) {
        return TALLY_ENOMEM;
    }
    bool is_absolute = path[0] == '/';
    (void)snprintf(text, size, "%s%s%s%s", prefix, is_absolute ? "" : ledger,
                   is_absolute ? "" : "/", path);
    *out = text;
    return TALLY_OK;
}

static tally_status read_all(struct tl_server_settings *settings, const char *ledger)
{
    const char *unix_address = NULL;
    TL_TRY(split(settings, "server.listen", settings->listen, &settings->listen_count));
    TL_TRY(split(settings, "server.viewer_origins", settings->origins, &settings->origin_count));
    TL_TRY(read_path(settings, "server.unix", "unix:", ledger, &unix_address));
    TL_TRY(read_path(settings, "server.tls_cert", "", ledger, &settings->cert_path));
    TL_TRY(read_path(settings, "server.tls_key", "", ledger, &settings->key_path));
    if (unix_address != NULL) {
        settings->listen[settings->listen_count++] = unix_address;
    }
    return read_path(settings, "server.tokens", "", ledger, &settings->token_path);
}

static void free_settings(struct tl_server_settings **settings)
{
    tl_server_settings_free(*settings);
}

tally_status tl_server_settings_read(struct tl_server_settings **settings_out,
                                     const struct tally_options *location, struct tally_error *err)
{
    TL_CLEANUP(free_settings)
    struct tl_server_settings *settings = tl_alloc_array(1, sizeof(*settings));
    if (settings == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate settings");
    }
    tl_arena_init(&settings->arena, BYTES_MAX);
    settings->last = &settings->first;
    TL_TRY(tally_config_list(location, add, settings, err));
    if (settings->last == NULL || read_all(settings, location->uri) != TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "no memory for settings");
    }
    *settings_out = TL_TAKE(settings);
    return TALLY_OK;
}

void tl_server_settings_free(struct tl_server_settings *settings)
{
    if (settings != NULL) {
        tl_arena_release(&settings->arena);
        tl_free(settings);
    }
}

void tl_server_settings_compare(const struct tl_server_settings *a,
                                const struct tl_server_settings *b, tl_setting_fn *fn, void *ctx)
{
    const struct setting *x = a->first;
    const struct setting *y = b->first;
    while (x != NULL || y != NULL) {
        int order = x == NULL ? 1 : y == NULL ? -1 : strcmp(x->key, y->key);
        if (order != 0 || strcmp(x->value, y->value) != 0) {
            fn(ctx, order <= 0 ? x->key : y->key);
        }
        x = order <= 0 ? x->next : x;
        y = order >= 0 ? y->next : y;
    }
}

void tl_server_settings_apply(const struct tl_server_settings *settings,
                              struct tl_server_options *options)
{
    if (options->listen_count == 0) {
        options->listen = settings->listen;
        options->listen_count = settings->listen_count;
    }
    if (options->tls_cert_path == NULL && options->tls_key_path == NULL) {
        options->tls_cert_path = settings->cert_path;
        options->tls_key_path = settings->key_path;
    }
    if (options->token_path == NULL) {
        options->token_path = settings->token_path;
    }
    options->allows_plain |= strcmp(value_of(settings, "server.plain"), "yes") == 0;
    options->settings = settings;
    options->rate_per_address = read_number(settings, "server.rate_per_address");
    options->rate_per_token = read_number(settings, "server.rate_per_token");
    if (options->viewer_origin_count == 0) {
        options->viewer_origins = settings->origins;
        options->viewer_origin_count = settings->origin_count;
    }
    options->has_public_tlog = strcmp(value_of(settings, "server.public_tlog"), "yes") == 0;
}
