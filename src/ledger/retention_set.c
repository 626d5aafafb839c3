/* Writes retention settings into the configuration file, one line of its own for each. */
#include <stdio.h>

#include "base/io.h"
#include "base/limits.h"
#include "codec/json.h"
#include "ledger/act.h"
#include "ledger/remote.h"
#include "ledger/trust.h"

#define PREFIX "retention."

/* Nothing that would need quotes in the file. */
static bool is_plain(const char *text, const char *more)
{
    for (const char *c = text; *c != '\0'; c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
        if (!letter && !(*c >= '0' && *c <= '9') && strchr(more, *c) == NULL) {
            return false;
        }
    }
    return text[0] != '\0';
}

static tally_status check(const struct tally_setting *setting, struct tally_error *err)
{
    if (strncmp(setting->key, PREFIX, strlen(PREFIX)) != 0) {
        return tl_fail(err, TALLY_EINVAL, "'%.80s' is no setting of retention", setting->key);
    }
    if (!is_plain(setting->key, "_.:/@*-") || !is_plain(setting->value, "-")) {
        return tl_fail(err, TALLY_EINVAL,
                       "'%.80s' or its value has characters that need quotes: write it into the "
                       "configuration file by hand",
                       setting->key);
    }
    return TALLY_OK;
}

/* Whether the line is "KEY: ...", from its first column on. */
static bool is_line_of(struct tl_str line, const char *key)
{
    struct tl_str name = tl_str_of(key);
    return line.len > name.len && tl_str_starts(line, name) && line.text[name.len] == ':';
}

static void add_line(struct tl_buf *out, const struct tally_setting *setting)
{
    tl_buf_add_text(out, setting->key);
    tl_buf_add_text(out, ": ");
    tl_buf_add_text(out, setting->value);
    tl_buf_add_char(out, '\n');
}

/* Appends `text` with the line of `setting` replaced, or put at its end. */
static void put_setting(struct tl_buf *out, struct tl_str text, const struct tally_setting *setting)
{
    bool done = false;
    while (text.len > 0) {
        const char *end = memchr(text.text, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.text) + 1 : text.len;
        struct tl_str line = { .text = text.text, .len = len };
        if (is_line_of(line, setting->key)) {
            add_line(out, setting);
            done = true;
        } else {
            tl_buf_add_str(out, line);
        }
        text.text += len;
        text.len -= len;
    }
    if (!done) {
        if (out->len > 0 && out->data[out->len - 1] != '\n') {
            tl_buf_add_char(out, '\n');
        }
        add_line(out, setting);
    }
}

static tally_status edit(struct tl_buf *text, const struct tally_setting *settings, size_t count,
                         struct tally_error *err)
{
    struct tl_buf next;
    tl_buf_init(&next, TL_CONFIG_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        tl_buf_clear(&next);
        put_setting(&next, (struct tl_str){ .text = text->data, .len = text->len }, &settings[i]);
        struct tl_buf old = *text;
        *text = next;
        next = old;
    }
    tl_buf_release(&next);
    return tl_buf_status(text) == TALLY_OK
               ? TALLY_OK
               : tl_fail(err, tl_buf_status(text), "the configuration file becomes too large");
}

/* Reads the new text as a whole before it takes the place of the old one. */
static tally_status check_text(const char *path, const struct tl_buf *text, struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_config *config = tl_alloc_array(1, sizeof(*config));
    if (config == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate settings");
    }
    TL_TRY(tl_config_read(config, path, (struct tl_str){ .text = text->data, .len = text->len },
                          NULL, 0, err));
    tl_config_release(config);
    return TALLY_OK;
}

/* A file that others may not read stays one. */
static mode_t mode_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_mode & 0777 : 0644;
}

static tally_status rewrite(const char *path, const struct tally_setting *settings, size_t count,
                            struct tally_error *err)
{
    TL_CLEANUP(tl_freep) char *old = NULL;
    size_t len = 0;
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = tl_io_read_file(path, TL_CONFIG_BYTES_MAX, &old, &len, &why);
    if (status != TALLY_OK && status != TALLY_ENOTFOUND) {
        return tl_fail_with(err, status, &why);
    }
    TL_CLEANUP(tl_buf_release) struct tl_buf text = { 0 };
    tl_buf_init(&text, TL_CONFIG_BYTES_MAX);
    tl_buf_add(&text, old, len);
    TL_TRY(edit(&text, settings, count, err));
    TL_TRY(check_text(path, &text, err));
    return tl_io_replace_file(path, text.data, text.len, mode_of(path), err);
}

/* Which settings were changed, not to what: that is in the POLICY record. */
static tally_status record(struct tally_ledger *ledger, const struct tally_setting *settings,
                           size_t count, const struct tally_actor *actor, struct tally_error *err)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf json = { 0 };
    tl_buf_init(&json, TL_EVENT_BYTES_MAX);
    tl_buf_add_text(&json, "{\"settings\":[");
    for (size_t i = 0; i < count; i++) {
        tl_buf_add_text(&json, i > 0 ? "," : "");
        tl_json_write_string(&json, tl_str_of(settings[i].key));
    }
    tl_buf_add_char(&json, ']');
    tl_json_write_member(&json, "reason", actor->reason);
    tl_buf_add_char(&json, '}');
    tl_buf_add_char(&json, '\0');
    TL_TRY(tl_buf_status(&json));
    return tally_record_act(ledger, "tally.config.change", actor->by, json.data, NULL, err);
}

tally_status tally_retention_set(struct tally_ledger *ledger, const struct tally_setting *settings,
                                 size_t count, const struct tally_actor *actor,
                                 struct tally_error *err)
{
    TL_TRY(tl_remote_refuse(ledger, err));
    if (count == 0 || actor == NULL || actor->by == NULL) {
        return tl_fail(err, TALLY_EINVAL, "no setting, or nobody who sets it, was named");
    }
    if (ledger->paths.memory || !ledger->writable) {
        return tl_fail(err, TALLY_ENOTSUP,
                       "retention is set for a ledger on disk that is open for writing");
    }
    for (size_t i = 0; i < count; i++) {
        TL_TRY(check(&settings[i], err));
    }
    TL_TRY(tl_refuse_approval(&ledger->paths, TL_LEAF_POLICY, err));
    const char *path =
        ledger->options.config_path != NULL ? ledger->options.config_path : ledger->paths.config;
    TL_TRY(rewrite(path, settings, count, err));
    const struct tl_control control = { .kind = TL_LEAF_POLICY };
    uint64_t seq = TALLY_SEQ_NONE;
    TL_TRY(tl_act_seal(ledger, &control, TALLY_SEQ_NONE, &seq, err));
    return record(ledger, settings, count, actor, err);
}
