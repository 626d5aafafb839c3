/* The erasable set: pointers, parsed once so that events can be walked fast. */
#include "codec/json.h"
#include "codec/utf8.h"
#include "evidence/content.h"

const char *const tl_erasable_default[10] = {
    "/actor/name", "/metadata", "/new_values", "/old_values",        "/reason",
    "/request",    "/response", "/source/ip",  "/source/user_agent", "/targets",
};

/* What must be known of a record for as long as its leaf. */
static const char *const never_erasable[] = {
    "id", "occurred_at", "action", "outcome", "severity", "tenant_id",
};

/* Writes the token as a name in canonical JSON; -1 if an escape of the pointer is none. */
static int write_raw(char *out, struct tl_str token)
{
    static const char digits[] = "0123456789abcdef";
    static const char short_forms[] = "btn?fr"; /* U+0008 ... U+000D, of which U+000B has none */
    int len = 0;
    for (size_t i = 0; i < token.len; i++) {
        char c = token.text[i];
        if (c == '~') {
            i++;
            if (i == token.len || (token.text[i] != '0' && token.text[i] != '1')) {
                return -1;
            }
            c = token.text[i] == '0' ? '~' : '/';
        }
        unsigned char u = (unsigned char)c;
        if (u == 0) {
            return -1;
        }
        if (c == '"' || c == '\\') {
            out[len++] = '\\';
            out[len++] = c;
        } else if (u >= 8 && u <= 13 && u != 11) {
            out[len++] = '\\';
            out[len++] = short_forms[u - 8];
        } else if (u < ' ') {
            out[len++] = '\\';
            out[len++] = 'u';
            out[len++] = '0';
            out[len++] = '0';
            out[len++] = digits[u >> 4];
            out[len++] = digits[u & 15];
        } else {
            out[len++] = c;
        }
    }
    out[len] = '\0';
    return len;
}

tally_status tl_pointer_parse(struct tl_pointer *out, struct tl_str text, struct tally_error *err)
{
    if (text.len == 0 || text.len > TL_POINTER_LEN_MAX || text.text[0] != '/' ||
        tl_utf8_valid_len(text.text, text.len) != text.len) {
        return tl_fail(err, TALLY_EINVAL, "not a pointer: '/' and at most %u bytes of UTF-8",
                       TL_POINTER_LEN_MAX);
    }
    memcpy(out->text, text.text, text.len);
    out->text[text.len] = '\0';
    out->len = (uint8_t)text.len;
    out->token_count = 0;
    for (size_t at = 0; at < text.len;) {
        at++; /* the slash */
        const char *slash = at == text.len ? NULL : memchr(text.text + at, '/', text.len - at);
        size_t end = slash == NULL ? text.len : (size_t)(slash - text.text);
        if (out->token_count == TL_ARRAY_LEN(out->tokens)) {
            return tl_fail(err, TALLY_EINVAL, "pointer of more than two tokens");
        }
        struct tl_str token = { .text = text.text + at, .len = end - at };
        int len = write_raw(out->tokens[out->token_count].raw, token);
        if (len < 0) {
            return tl_fail(err, TALLY_EINVAL, "pointer with a '~' that is neither ~0 nor ~1");
        }
        out->tokens[out->token_count++].len = (uint16_t)len;
        at = end;
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(never_erasable); i++) {
        if (strcmp(out->tokens[0].raw, never_erasable[i]) == 0) {
            return tl_fail(err, TALLY_EINVAL, "'/%s' can never be erased", never_erasable[i]);
        }
    }
    return TALLY_OK;
}

/* Token by token: of "/a" and "/a/b" the first is a prefix, of "/a" and "/ab" none. */
static bool is_prefix(const struct tl_pointer *a, const struct tl_pointer *b)
{
    return a->token_count < b->token_count && strcmp(a->tokens[0].raw, b->tokens[0].raw) == 0;
}

/* Writes the name a token of the pointer stands for; `out` has room for the whole pointer. */
static struct tl_str unescape(char *out, const struct tl_pointer *pointer, size_t token)
{
    size_t len = 0;
    size_t slashes = 0;
    for (size_t i = 0; i < pointer->len && slashes <= token + 1; i++) {
        char c = pointer->text[i];
        if (c == '/') {
            slashes++;
        } else if (slashes == token + 1) {
            if (c == '~') {
                c = pointer->text[++i] == '0' ? '~' : '/';
            }
            out[len++] = c;
        }
    }
    return (struct tl_str){ .text = out, .len = len };
}

/* Whether the walk through an event comes to a before b. */
static bool comes_before(const struct tl_pointer *a, const struct tl_pointer *b)
{
    char name_a[TL_POINTER_LEN_MAX];
    char name_b[TL_POINTER_LEN_MAX];
    int order = 0;
    for (size_t i = 0; order == 0 && i < a->token_count && i < b->token_count; i++) {
        order = tl_json_compare_names(unescape(name_a, a, i), unescape(name_b, b, i));
    }
    return order < 0;
}

tally_status tl_erasable_add(struct tl_erasable_set *set, struct tl_str pointer,
                             struct tally_error *err)
{
    if (set->count == TL_ERASABLE_MAX) {
        return tl_fail(err, TALLY_EINVAL, "more than %u erasable members", TL_ERASABLE_MAX);
    }
    struct tl_pointer *added = &set->pointers[set->count];
    TL_TRY(tl_pointer_parse(added, pointer, err));
    if (set->count > 0) {
        const struct tl_pointer *last = added - 1;
        if (tl_str_compare((struct tl_str){ .text = last->text, .len = last->len }, pointer) >= 0) {
            return tl_fail(err, TALLY_EINVAL, "erasable members that are not sorted and unique");
        }
    }
    for (uint32_t i = 0; i < set->count; i++) {
        if (is_prefix(&set->pointers[i], added) || is_prefix(added, &set->pointers[i])) {
            return tl_fail(err, TALLY_EINVAL, "erasable member that lies within another");
        }
    }
    uint32_t at = set->count;
    while (at > 0 && comes_before(added, &set->pointers[set->walk[at - 1]])) {
        set->walk[at] = set->walk[at - 1];
        at--;
    }
    set->walk[at] = (uint8_t)set->count++;
    return TALLY_OK;
}

bool tl_erasable_equal(const struct tl_erasable_set *a, const struct tl_erasable_set *b)
{
    bool same = a->count == b->count;
    for (uint32_t i = 0; i < a->count && same; i++) {
        same = strcmp(a->pointers[i].text, b->pointers[i].text) == 0;
    }
    return same;
}
