#include "server/viewer_link.h"

#include <string.h>

#include "base/bytes.h"
#include "base/secret.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/time.h"
#include "crypto/crypto.h"
#include "server/token_list.h"

#define VERSION      "1"
#define MEMBERS      7u
#define MAC_CHARS    43u /* of 32 bytes */
#define ARENA_BYTES  ((size_t)256 << 10)
#define CLAIMS_BYTES ((size_t)TL_LINK_TEXT_SIZE)

void tl_viewer_link_free(struct tl_viewer_link *link)
{
    if (link != NULL) {
        tl_arena_release(&link->arena);
        tl_free(link);
    }
}

void tl_viewer_link_freep(struct tl_viewer_link **link)
{
    tl_viewer_link_free(*link);
    *link = NULL;
}

void tl_viewer_link_write(struct tl_buf *out, const struct tl_viewer_link *link)
{
    struct tl_js js = { .buf = *out };
    tl_js_open(&js, NULL, '{');
    tl_js_raw(&js, "v", TL_STR(VERSION));
    tl_js_text(&js, "id", link->id);
    tl_js_text(&js, "by", link->by);
    tl_js_time(&js, "expires_at", link->expires_us);
    tl_js_text(&js, "origin", link->origin);
    tl_js_open(&js, "tenants", '[');
    for (size_t i = 0; i < link->tenant_count; i++) {
        tl_js_text(&js, NULL, link->tenants[i]);
    }
    tl_js_close(&js, ']');
    tl_js_open(&js, "filter", '[');
    for (size_t i = 0; i < link->condition_count; i++) {
        tl_js_open(&js, NULL, '[');
        tl_js_text(&js, NULL, link->conditions[i].field);
        tl_js_text(&js, NULL, link->conditions[i].value);
        tl_js_close(&js, ']');
    }
    tl_js_close(&js, ']');
    tl_js_close(&js, '}');
    *out = js.buf;
}

/* What is read ends here at the first thing that is wrong. */
struct reading {
    struct tl_viewer_link *link;
    const struct tl_json *root;
    tally_status status;
};

static void refuse_unless(struct reading *in, bool is_good)
{
    if (in->status == TALLY_OK && !is_good) {
        in->status = TALLY_EREFUSED;
    }
}

/* "" if there is no such text. */
static struct tl_str text_of(struct reading *in, const struct tl_json *value)
{
    bool is_text = value != NULL && value->type == TL_JSON_STRING;
    refuse_unless(in, is_text);
    return is_text ? value->text : TL_STR("");
}

static const char *copy_of(struct reading *in, struct tl_str text)
{
    char *copy = tl_arena_alloc(&in->link->arena, text.len + 1);
    if (copy == NULL) {
        in->status = TALLY_ENOMEM;
        return "";
    }
    tl_str_copy(copy, text.len + 1, text);
    return copy;
}

static void read_id(struct reading *in, const char *name, char out[TL_TOKEN_ID_SIZE])
{
    uint8_t bytes[(TL_TOKEN_ID_SIZE - 1) / 2];
    struct tl_str text = text_of(in, tl_json_member(in->root, name));
    refuse_unless(in, tl_hex_decode(bytes, sizeof(bytes), text.text, text.len) == TALLY_OK);
    tl_str_copy(out, TL_TOKEN_ID_SIZE, text);
}

/* The items of an array of at most `max`; NULL if it is none. */
static const struct tl_json *items_of(struct reading *in, const char *name, size_t max,
                                      size_t *count_out)
{
    const struct tl_json *array = tl_json_member(in->root, name);
    bool is_array = array != NULL && array->type == TL_JSON_ARRAY && array->count <= max;
    refuse_unless(in, is_array);
    *count_out = is_array ? array->count : 0;
    return is_array ? array->first : NULL;
}

static void read_tenants(struct reading *in)
{
    struct tl_viewer_link *link = in->link;
    size_t count = 0;
    const struct tl_json *item = items_of(in, "tenants", TL_TENANTS_MAX, &count);
    const char **tenants = tl_arena_alloc(&link->arena, (count + 1) * sizeof(*tenants));
    if (tenants == NULL) {
        in->status = TALLY_ENOMEM;
        return;
    }
    link->tenants = tenants;
    for (; item != NULL && in->status == TALLY_OK; item = item->next) {
        struct tl_str text = text_of(in, item);
        refuse_unless(in, tl_token_is_clean(text, TL_TENANT_SIZE - 1));
        tenants[link->tenant_count++] = copy_of(in, text);
    }
}

static void read_filter(struct reading *in)
{
    struct tl_viewer_link *link = in->link;
    size_t count = 0;
    const struct tl_json *item = items_of(in, "filter", TL_LINK_CONDITIONS_MAX, &count);
    struct tally_condition *conditions =
        tl_arena_alloc(&link->arena, (count + 1) * sizeof(*conditions));
    if (conditions == NULL) {
        in->status = TALLY_ENOMEM;
        return;
    }
    link->conditions = conditions;
    for (; item != NULL && in->status == TALLY_OK; item = item->next) {
        bool is_pair = item->type == TL_JSON_ARRAY && item->count == 2;
        refuse_unless(in, is_pair);
        if (is_pair) {
            conditions[link->condition_count].field = copy_of(in, text_of(in, item->first));
            conditions[link->condition_count].value = copy_of(in, text_of(in, item->first->next));
            link->condition_count++;
        }
    }
}

static void read_root(struct reading *in)
{
    const struct tl_json *version = tl_json_member(in->root, "v");
    refuse_unless(in, in->root->type == TL_JSON_OBJECT && in->root->count == MEMBERS &&
                          version != NULL && version->type == TL_JSON_NUMBER &&
                          tl_str_is(version->text, VERSION));
    struct tl_str expires = text_of(in, tl_json_member(in->root, "expires_at"));
    struct tl_str origin = text_of(in, tl_json_member(in->root, "origin"));
    refuse_unless(in, origin.len <= TL_ORIGIN_LEN_MAX);
    refuse_unless(in, tl_time_parse(&in->link->expires_us, expires) == TALLY_OK);
    in->link->origin = copy_of(in, origin);
    read_id(in, "id", in->link->id);
    read_id(in, "by", in->link->by);
    read_tenants(in);
    read_filter(in);
}

tally_status tl_viewer_link_read(struct tl_viewer_link **link_out, struct tl_str claims)
{
    static const struct tl_json_limits limits = { .bytes_max = CLAIMS_BYTES,
                                                  .depth_max = 3,
                                                  .members_max = MEMBERS,
                                                  .elements_max = TL_LINK_CONDITIONS_MAX };
    TL_CLEANUP(tl_viewer_link_freep)
    struct tl_viewer_link *link = tl_alloc_array(1, sizeof(*link));
    if (link == NULL) {
        return TALLY_ENOMEM;
    }
    tl_arena_init(&link->arena, ARENA_BYTES);
    struct reading in = { .link = link };
    TL_TRY(tl_json_read(&link->arena, claims.text, claims.len, &limits, &in.root, NULL));
    read_root(&in);
    if (in.status == TALLY_OK) {
        *link_out = TL_TAKE(link);
    }
    return in.status;
}

static void replace_in(char *text, size_t len, char from, char to)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == from) {
            text[i] = to;
        }
    }
}

/* base64url without padding (RFC 4648 section 5). */
static void add_url_base64(struct tl_buf *out, const void *bytes, size_t len)
{
    size_t start = out->len;
    tl_base64_encode(out, bytes, len);
    if (tl_buf_status(out) != TALLY_OK) {
        return;
    }
    while (out->len > start && out->data[out->len - 1] == '=') {
        out->len--;
    }
    replace_in(out->data + start, out->len - start, '+', '-');
    replace_in(out->data + start, out->len - start, '/', '_');
}

/* The text as it must be, if all before the dot is so. */
static void add_mac(struct tl_buf *out, const uint8_t key[TL_LINK_KEY_LEN])
{
    struct tl_hmac_key hmac;
    uint8_t mac[TL_SHA256_LEN];
    tl_hmac_key_init(&hmac, key, TL_LINK_KEY_LEN);
    tl_hmac(&hmac, out->data, out->len, mac);
    tl_hmac_key_release(&hmac);
    tl_buf_add_char(out, '.');
    add_url_base64(out, mac, sizeof(mac));
}

tally_status tl_viewer_link_seal(char text_out[TL_LINK_TEXT_SIZE],
                                 const struct tl_viewer_link *link,
                                 const uint8_t key[TL_LINK_KEY_LEN])
{
    TL_CLEANUP(tl_buf_release) struct tl_buf claims = { 0 };
    TL_CLEANUP(tl_buf_release) struct tl_buf text = { 0 };
    tl_buf_init(&claims, CLAIMS_BYTES);
    tl_buf_init(&text, 2 * (size_t)TL_LINK_TEXT_SIZE);
    tl_viewer_link_write(&claims, link);
    TL_TRY(tl_buf_status(&claims));
    tl_buf_add_text(&text, TL_LINK_PREFIX);
    add_url_base64(&text, claims.data, claims.len);
    TL_TRY(tl_buf_status(&text));
    add_mac(&text, key);
    TL_TRY(tl_buf_status(&text));
    if (text.len >= TL_LINK_TEXT_SIZE) {
        return TALLY_ELIMIT;
    }
    tl_str_copy(text_out, TL_LINK_TEXT_SIZE, tl_buf_str(&text));
    return TALLY_OK;
}

static bool has_mac(struct tl_str body, struct tl_str mac, const uint8_t key[TL_LINK_KEY_LEN])
{
    char memory[TL_LINK_TEXT_SIZE + MAC_CHARS + 2];
    struct tl_buf wanted;
    tl_buf_init_fixed(&wanted, memory, sizeof(memory));
    tl_buf_add(&wanted, body.text, body.len);
    add_mac(&wanted, key);
    tl_assert(tl_buf_status(&wanted) == TALLY_OK && wanted.len == body.len + 1 + MAC_CHARS);
    bool is_same = tl_equal_const_time(wanted.data + body.len + 1, mac.text, MAC_CHARS);
    explicit_bzero(memory, sizeof(memory));
    return is_same;
}

/* The claims of a text whose MAC is right. */
static tally_status read_claims(struct tl_viewer_link **link_out, struct tl_str text)
{
    char memory[TL_LINK_TEXT_SIZE + 4];
    uint8_t claims[TL_LINK_TEXT_SIZE];
    size_t len = text.len;
    size_t claims_len = 0;
    memcpy(memory, text.text, text.len);
    replace_in(memory, len, '-', '+');
    replace_in(memory, len, '_', '/');
    while (len % 4 != 0) {
        memory[len++] = '=';
    }
    TL_TRY(tl_base64_decode(claims, sizeof(claims), &claims_len, memory, len));
    return tl_viewer_link_read(link_out, (struct tl_str){ (const char *)claims, claims_len });
}

tally_status tl_viewer_link_open(struct tl_viewer_link **link_out, const char *text,
                                 const uint8_t key[TL_LINK_KEY_LEN])
{
    size_t len = strnlen(text, TL_LINK_TEXT_SIZE);
    size_t prefix_len = sizeof(TL_LINK_PREFIX) - 1;
    if (len >= TL_LINK_TEXT_SIZE || len <= prefix_len + 1 + MAC_CHARS ||
        !tl_str_starts((struct tl_str){ text, len }, TL_STR(TL_LINK_PREFIX))) {
        return TALLY_ENOTFOUND;
    }
    struct tl_str body = { text, len - 1 - MAC_CHARS };
    struct tl_str mac = { text + body.len + 1, MAC_CHARS };
    if (text[body.len] != '.' || !has_mac(body, mac, key)) {
        return TALLY_ENOTFOUND;
    }
    tally_status status =
        read_claims(link_out, (struct tl_str){ body.text + prefix_len, body.len - prefix_len });
    return status == TALLY_OK || status == TALLY_ENOMEM ? status : TALLY_ENOTFOUND;
}
