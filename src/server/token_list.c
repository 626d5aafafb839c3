#include "server/token_list.h"

#include <string.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "codec/json.h"
#include "codec/time.h"
#include "codec/utf8.h"

static const char *const role_names[] = {
    [TL_ROLE_WRITER] = "writer",
    [TL_ROLE_READER] = "reader",
    [TL_ROLE_AUDITOR] = "auditor",
    [TL_ROLE_ADMIN] = "admin",
};

const char *tl_role_name(enum tl_role role)
{
    return role_names[role];
}

enum tl_role tl_role_of(const char *name)
{
    for (unsigned i = TL_ROLE_WRITER; i <= TL_ROLE_ADMIN; i++) {
        if (strcmp(role_names[i], name) == 0) {
            return (enum tl_role)i;
        }
    }
    return (enum tl_role)0;
}

void tl_token_release(struct tl_token *token)
{
    tl_free(token->tenants);
    *token = (struct tl_token){ 0 };
}

void tl_token_list_release(struct tl_token_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        tl_token_release(&list->tokens[i]);
    }
    tl_free(list->tokens);
    explicit_bzero(list->link_key, sizeof(list->link_key));
    *list = (struct tl_token_list){ 0 };
}

struct tl_token *tl_token_list_find(const struct tl_token_list *list, const char *id)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->tokens[i].id, id) == 0) {
            return &list->tokens[i];
        }
    }
    return NULL;
}

tally_status tl_token_list_add(struct tl_token_list *list, struct tl_token *token)
{
    if (list->count >= TL_TOKENS_MAX) {
        return TALLY_ELIMIT;
    }
    struct tl_token *more = tl_realloc_array(list->tokens, list->count + 1, sizeof(*list->tokens));
    if (more == NULL) {
        return TALLY_ENOMEM;
    }
    list->tokens = more;
    list->tokens[list->count++] = *token;
    *token = (struct tl_token){ 0 };
    return TALLY_OK;
}

void tl_token_list_remove(struct tl_token_list *list, struct tl_token *token)
{
    size_t index = (size_t)(token - list->tokens);
    tl_assert(index < list->count);
    tl_token_release(token);
    list->count--;
    memmove(token, token + 1, (list->count - index) * sizeof(*token));
}

bool tl_token_is_clean(struct tl_str text, size_t len_max)
{
    if (text.len == 0 || text.len > len_max || tl_utf8_valid_len(text.text, text.len) != text.len) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = (uint8_t)text.text[i];
        /* After 0xC2 come U+0080 to U+00BF, of which the first half are controls as well. */
        if (c < 0x20 || c == 0x7F || (c == 0xC2 && (uint8_t)text.text[i + 1] < 0xA0)) {
            return false;
        }
    }
    return true;
}

/* Members are read one after the other; the first that is wrong makes all of it so. */
struct reading {
    const struct tl_json *object;
    bool good;
};

static struct tl_str read_text(struct reading *in, const char *name)
{
    const struct tl_json *value = tl_json_member(in->object, name);
    if (value == NULL || value->type != TL_JSON_STRING) {
        in->good = false;
        return TL_STR("");
    }
    return value->text;
}

/* 0 for null, where that is allowed. */
static int64_t read_time(struct reading *in, const char *name, bool may_be_null)
{
    const struct tl_json *value = tl_json_member(in->object, name);
    int64_t us = 0;
    if (may_be_null && value != NULL && value->type == TL_JSON_NULL) {
        return 0;
    }
    if (tl_time_parse(&us, read_text(in, name)) != TALLY_OK || us <= 0) {
        in->good = false;
    }
    return us;
}

static enum tl_role read_role(struct reading *in)
{
    char name[16];
    struct tl_str text = read_text(in, "role");
    tl_str_copy(name, sizeof(name), text);
    enum tl_role role = tl_role_of(name);
    in->good = in->good && role != 0 && text.len == strlen(name);
    return role;
}

static tally_status read_tenants(struct reading *in, struct tl_token *out)
{
    const struct tl_json *array = tl_json_member(in->object, "tenants");
    if (array == NULL || array->type != TL_JSON_ARRAY || array->count > TL_TENANTS_MAX) {
        return TALLY_ECORRUPT;
    }
    out->tenants = tl_alloc_array(array->count, sizeof(*out->tenants));
    if (out->tenants == NULL) {
        return TALLY_ENOMEM;
    }
    for (const struct tl_json *item = array->first; item != NULL; item = item->next) {
        if (item->type != TL_JSON_STRING || !tl_token_is_clean(item->text, TL_TENANT_SIZE - 1)) {
            return TALLY_ECORRUPT;
        }
        tl_str_copy(out->tenants[out->tenant_count++], TL_TENANT_SIZE, item->text);
    }
    return TALLY_OK;
}

static void read_id(struct reading *in, char out[TL_TOKEN_ID_SIZE])
{
    uint8_t bytes[(TL_TOKEN_ID_SIZE - 1) / 2];
    struct tl_str text = read_text(in, "id");
    if (tl_hex_decode(bytes, sizeof(bytes), text.text, text.len) != TALLY_OK) {
        in->good = false;
        return;
    }
    tl_str_copy(out, TL_TOKEN_ID_SIZE, text);
}

static tally_status read_token(const struct tl_json *object, struct tl_token *out)
{
    /* A member that we do not know may be a restriction: to pass over it would lift that. */
    struct reading in = { .object = object,
                          .good = object->type == TL_JSON_OBJECT &&
                                  object->count == TL_TOKEN_FILE_MEMBERS };
    read_id(&in, out->id);
    struct tl_str hash = read_text(&in, "sha256");
    struct tl_str name = read_text(&in, "name");
    in.good = in.good && tl_token_is_clean(name, TL_NAME_SIZE - 1) &&
              tl_hex_decode(out->hash, sizeof(out->hash), hash.text, hash.len) == TALLY_OK;
    tl_str_copy(out->name, sizeof(out->name), name);
    out->role = read_role(&in);
    out->created_us = read_time(&in, "created_at", false);
    out->expires_us = read_time(&in, "expires_at", true);
    out->last_used_us = read_time(&in, "last_used_at", true);
    return in.good ? read_tenants(&in, out) : TALLY_ECORRUPT;
}

static tally_status read_tokens(struct tl_token_list *list, const struct tl_json *array)
{
    for (const struct tl_json *item = array->first; item != NULL; item = item->next) {
        struct tl_token token = { 0 };
        tally_status status = read_token(item, &token);
        if (status == TALLY_OK && tl_token_list_find(list, token.id) != NULL) {
            status = TALLY_ECORRUPT;
        }
        if (status == TALLY_OK) {
            status = tl_token_list_add(list, &token);
        }
        tl_token_release(&token);
        TL_TRY(status);
    }
    return TALLY_OK;
}

static tally_status read_link_key(struct tl_token_list *list, const struct tl_json *key)
{
    if (key == NULL) {
        return TALLY_OK;
    }
    list->has_link_key =
        key->type == TL_JSON_STRING && tl_hex_decode(list->link_key, sizeof(list->link_key),
                                                     key->text.text, key->text.len) == TALLY_OK;
    return list->has_link_key ? TALLY_OK : TALLY_ECORRUPT;
}

static tally_status read_root(struct tl_token_list *list, const struct tl_json *root)
{
    const struct tl_json *version = tl_json_member(root, "version");
    const struct tl_json *array = tl_json_member(root, "tokens");
    const struct tl_json *key = tl_json_member(root, "viewer_key");
    if (root->count != TL_TOKENS_FILE_MEMBERS + (key != NULL) || version == NULL || array == NULL ||
        version->type != TL_JSON_NUMBER || !tl_str_is(version->text, TL_TOKENS_VERSION) ||
        array->type != TL_JSON_ARRAY) {
        return TALLY_ECORRUPT;
    }
    TL_TRY(read_link_key(list, key));
    return read_tokens(list, array);
}

tally_status tl_token_list_read(struct tl_token_list *list, struct tl_str text)
{
    const struct tl_json_limits limits = { .bytes_max = TL_TOKENS_BYTES_MAX,
                                           .depth_max = 4,
                                           .members_max = TL_TOKEN_FILE_MEMBERS,
                                           .elements_max = TL_TOKENS_MAX };
    struct tl_arena arena;
    tl_arena_init(&arena, TL_TOKENS_ARENA_MAX);
    const struct tl_json *root = NULL;
    tally_status status = tl_json_read(&arena, text.text, text.len, &limits, &root, NULL);
    if (status == TALLY_OK) {
        status = read_root(list, root);
    }
    tl_arena_release(&arena);
    if (status != TALLY_OK) {
        tl_token_list_release(list);
    }
    return status == TALLY_EREFUSED ? TALLY_ECORRUPT : status;
}

static void show_time(struct tl_js *js, const char *key, int64_t us)
{
    if (us == 0) {
        tl_js_null(js, key);
    } else {
        tl_js_time(js, key, us);
    }
}

void tl_token_show(const struct tl_token *token, struct tl_js *js)
{
    tl_js_text(js, "id", token->id);
    tl_js_text(js, "name", token->name);
    tl_js_text(js, "role", tl_role_name(token->role));
    tl_js_open(js, "tenants", '[');
    for (size_t i = 0; i < token->tenant_count; i++) {
        tl_js_text(js, NULL, token->tenants[i]);
    }
    tl_js_close(js, ']');
    show_time(js, "created_at", token->created_us);
    show_time(js, "expires_at", token->expires_us);
    show_time(js, "last_used_at", token->last_used_us);
}

void tl_token_list_write(struct tl_buf *out, const struct tl_token_list *list)
{
    struct tl_js js = { .buf = *out, .comma = false };
    tl_js_open(&js, NULL, '{');
    tl_js_raw(&js, "version", TL_STR(TL_TOKENS_VERSION));
    if (list->has_link_key) {
        tl_js_hex(&js, "viewer_key", list->link_key, sizeof(list->link_key));
    }
    tl_js_open(&js, "tokens", '[');
    for (size_t i = 0; i < list->count; i++) {
        tl_js_open(&js, NULL, '{');
        tl_token_show(&list->tokens[i], &js);
        tl_js_hex(&js, "sha256", list->tokens[i].hash, sizeof(list->tokens[i].hash));
        tl_js_close(&js, '}');
    }
    tl_js_close(&js, ']');
    tl_js_close(&js, '}');
    *out = js.buf;
}
