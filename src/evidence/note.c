#include "evidence/note.h"

#include "base/bytes.h"
#include "base/parse.h"
#include "base/secret.h"
#include "codec/base64.h"
#include "codec/utf8.h"

#define DASH         "\xe2\x80\x94 " /* U+2014 and a space begin a signature line */
#define KEY_ID_LEN   4u
#define KEY_ID_HEX   8u
#define TIME_LEN     8u
#define COSIGNED_LEN (TIME_LEN + TL_ED25519_SIG_LEN)
#define PIECE_LEN    64u /* of base64 that is looked at without being kept */
#define LOG_SIZE_MAX ((uint64_t)INT64_MAX)

_Static_assert(sizeof(((struct tl_note_line *)0)->blob) == COSIGNED_LEN, "the longest blob");

/* Whether the character is one that Unicode calls white space, or a control character. */
static bool is_space(const char *text, size_t len)
{
    static const char *const wide[] = {
        "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\xa8",
        "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80",
    };
    if (len == 1) {
        return (unsigned char)text[0] <= ' ' || text[0] == 0x7f;
    }
    if (len == 3 && memcmp(text, "\xe2\x80", 2) == 0 && (unsigned char)text[2] <= 0x8a) {
        return true; /* U+2000 ... U+200A */
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(wide); i++) {
        if (tl_str_is((struct tl_str){ .text = text, .len = len }, wide[i])) {
            return true;
        }
    }
    return false;
}

static bool name_is_valid(struct tl_str name)
{
    for (size_t at = 0; at < name.len;) {
        size_t len = tl_utf8_char_len(name.text + at, name.len - at);
        if (len == 0 || name.text[at] == '+' || is_space(name.text + at, len)) {
            return false;
        }
        at += len;
    }
    return name.len > 0;
}

bool tl_origin_is_valid(struct tl_str origin)
{
    return origin.len <= TL_ORIGIN_LEN_MAX && name_is_valid(origin);
}

static struct tl_str name_of(const struct tl_vkey *key)
{
    return tl_str_of(key->name);
}

static uint32_t compute_key_id(const struct tl_vkey *key)
{
    struct tl_str name = name_of(key);
    const uint8_t between[2] = { '\n', key->type };
    struct tl_sha256 hash;
    uint8_t digest[TL_SHA256_LEN];
    tl_sha256_init(&hash);
    tl_sha256_add(&hash, name.text, name.len);
    tl_sha256_add(&hash, between, sizeof(between));
    tl_sha256_add(&hash, key->public_key, sizeof(key->public_key));
    tl_sha256_end(&hash, digest);
    return tl_get_be32(digest);
}

tally_status tl_vkey_make(struct tl_vkey *out, struct tl_str name, uint8_t type,
                          const uint8_t public_key[TL_ED25519_KEY_LEN], struct tally_error *err)
{
    if (name.len > TL_KEY_NAME_LEN_MAX || !name_is_valid(name)) {
        return tl_fail(err, TALLY_EINVAL, "not a key name: 1 to %u bytes, no white space, no '+'",
                       TL_KEY_NAME_LEN_MAX);
    }
    if (type != TL_NOTE_TYPE_ED25519 && type != TL_NOTE_TYPE_COSIGNED) {
        return tl_fail(err, TALLY_EINVAL, "key of the unknown type %u", type);
    }
    struct tl_vkey key = { .type = type };
    memcpy(key.name, name.text, name.len);
    memcpy(key.public_key, public_key, sizeof(key.public_key));
    key.key_id = compute_key_id(&key);
    *out = key;
    return TALLY_OK;
}

void tl_vkey_format(char out[TL_VKEY_SIZE], const struct tl_vkey *key)
{
    uint8_t typed[1 + TL_ED25519_KEY_LEN] = { key->type };
    memcpy(typed + 1, key->public_key, sizeof(key->public_key));
    struct tl_buf text;
    tl_buf_init_fixed(&text, out, TL_VKEY_SIZE);
    tl_buf_addf(&text, "%s+%08x+", key->name, key->key_id);
    tl_base64_encode(&text, typed, sizeof(typed));
    tl_assert(tl_buf_status(&text) == TALLY_OK);
    out[text.len] = '\0';
}

/* Reads "name+hex+base64" but for the check of the key id, which goes to *id_out. */
static tally_status split_vkey(struct tl_vkey *out, uint32_t *id_out, struct tl_str text)
{
    const char *plus = text.len == 0 ? NULL : memchr(text.text, '+', text.len);
    if (plus == NULL) {
        return TALLY_EINVAL;
    }
    struct tl_str name = { .text = text.text, .len = (size_t)(plus - text.text) };
    const char *hex = plus + 1;
    size_t left = text.len - name.len - 1;
    if (left <= KEY_ID_HEX || hex[KEY_ID_HEX] != '+') {
        return TALLY_EINVAL;
    }
    uint8_t id[KEY_ID_LEN];
    TL_TRY(tl_hex_decode(id, sizeof(id), hex, KEY_ID_HEX));
    uint8_t typed[1 + TL_ED25519_KEY_LEN];
    size_t typed_len = 0;
    TL_TRY(tl_base64_decode(typed, sizeof(typed), &typed_len, hex + KEY_ID_HEX + 1,
                            left - KEY_ID_HEX - 1));
    if (typed_len != sizeof(typed)) {
        return TALLY_EINVAL;
    }
    TL_TRY(tl_vkey_make(out, name, typed[0], typed + 1, NULL));
    *id_out = tl_get_be32(id);
    return TALLY_OK;
}

tally_status tl_vkey_parse(struct tl_vkey *out, struct tl_str text, struct tally_error *err)
{
    struct tl_vkey key = { 0 };
    uint32_t id = 0;
    if (split_vkey(&key, &id, text) != TALLY_OK) {
        return tl_fail(err, TALLY_EINVAL, "not a verifier key of the form 'name+hash+key'");
    }
    if (id != key.key_id) {
        return tl_fail(err, TALLY_EINVAL, "verifier key whose hash is that of another key");
    }
    *out = key;
    return TALLY_OK;
}

bool tl_vkey_equal(const struct tl_vkey *a, const struct tl_vkey *b)
{
    return a->type == b->type && tl_str_equal(name_of(a), name_of(b)) &&
           tl_equal_const_time(a->public_key, b->public_key, sizeof(a->public_key));
}

/* Whether `text` is UTF-8 without control characters but newlines. */
static bool is_note_text(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < ' ' && text[i] != '\n') {
            return false;
        }
    }
    return tl_utf8_valid_len(text, len) == len;
}

/* Returns the offset of the last empty line's first newline, or `len` if there is none. */
static size_t find_last_blank(const char *text, size_t len)
{
    for (size_t i = len; i >= 2; i--) {
        if (text[i - 1] == '\n' && text[i - 2] == '\n') {
            return i - 2;
        }
    }
    return len;
}

/* Whether all of it is base64, also where nobody needs the bytes. */
static bool is_base64(struct tl_str text)
{
    uint8_t bytes[PIECE_LEN / 4 * 3];
    for (size_t at = 0; at < text.len; at += PIECE_LEN) {
        bool is_last = text.len - at <= PIECE_LEN;
        size_t piece_len = is_last ? text.len - at : PIECE_LEN;
        size_t len = 0;
        if (tl_base64_decode(bytes, sizeof(bytes), &len, text.text + at, piece_len) != TALLY_OK ||
            (!is_last && len < sizeof(bytes))) { /* padding stands at the end only */
            return false;
        }
    }
    return true;
}

/*
 * Reads the base64 part of a signature line. Of signatures that are neither of ours, which may be
 * long, only the key id is kept.
 */
static bool read_signature(struct tl_note_line *out, struct tl_str text)
{
    uint8_t bytes[KEY_ID_LEN + COSIGNED_LEN];
    size_t len = 0;
    tally_status status = tl_base64_decode(bytes, sizeof(bytes), &len, text.text, text.len);
    if (status == TALLY_ELIMIT && is_base64(text)) {
        size_t head_len = 0;
        status = tl_base64_decode(bytes, 6, &head_len, text.text, 8); /* 8 characters, 6 bytes */
        len = sizeof(bytes) + 1;
    }
    if (status != TALLY_OK || len <= KEY_ID_LEN) {
        return false;
    }
    out->key_id = tl_get_be32(bytes);
    size_t blob_len = len - KEY_ID_LEN;
    out->blob_len = 0;
    if (blob_len == TL_ED25519_SIG_LEN || blob_len == COSIGNED_LEN) {
        out->blob_len = blob_len;
        memcpy(out->blob, bytes + KEY_ID_LEN, blob_len);
    }
    return true;
}

/* Reads a line, given without its newline. */
static bool read_line(struct tl_note_line *out, struct tl_str line)
{
    struct tl_str dash = TL_STR(DASH);
    if (!tl_str_starts(line, dash)) {
        return false;
    }
    const char *name = line.text + dash.len;
    size_t left = line.len - dash.len;
    const char *space = memchr(name, ' ', left);
    if (space == NULL) {
        return false;
    }
    out->name = (struct tl_str){ .text = name, .len = (size_t)(space - name) };
    struct tl_str blob = { .text = space + 1, .len = left - out->name.len - 1 };
    return name_is_valid(out->name) && read_signature(out, blob);
}

tally_status tl_note_parse(struct tl_note *out, const char *text, size_t len,
                           struct tally_error *err)
{
    if (len > TL_NOTE_LEN_MAX) {
        return tl_fail(err, TALLY_ECORRUPT, "note of %zu bytes; at most %u", len, TL_NOTE_LEN_MAX);
    }
    size_t blank = find_last_blank(text, len);
    if (blank == len || !is_note_text(text, len) || text[len - 1] != '\n') {
        return tl_fail(err, TALLY_ECORRUPT, "not a note: text, an empty line, signature lines");
    }
    out->body = (struct tl_str){ .text = text, .len = blank + 1 };
    out->line_count = 0;
    for (size_t at = blank + 2; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        tl_assert(end != NULL);
        struct tl_str line = { .text = text + at, .len = (size_t)(end - (text + at)) };
        if (out->line_count == TL_NOTE_LINES_MAX) {
            return tl_fail(err, TALLY_ECORRUPT, "note of over %u signatures", TL_NOTE_LINES_MAX);
        }
        if (!read_line(&out->lines[out->line_count], line)) {
            return tl_fail(err, TALLY_ECORRUPT, "note whose signature line %u is malformed",
                           out->line_count + 1);
        }
        out->line_count++;
        at += line.len + 1;
    }
    if (out->line_count == 0) {
        return tl_fail(err, TALLY_ECORRUPT, "note without a signature");
    }
    return TALLY_OK;
}

/* Appends what a signature of this type covers. */
static void add_message(struct tl_buf *out, uint8_t type, uint64_t time_s, struct tl_str body)
{
    if (type == TL_NOTE_TYPE_COSIGNED) {
        tl_buf_add_text(out, "cosignature/v1\ntime ");
        tl_buf_add_u64(out, time_s);
        tl_buf_add_char(out, '\n');
    }
    tl_buf_add_str(out, body);
}

/* Checks one line that names the key. */
static tally_status verify_line(const struct tl_note_line *line, const struct tl_vkey *key,
                                struct tl_str body, bool *valid_out, uint64_t *time_out)
{
    bool cosigned = key->type == TL_NOTE_TYPE_COSIGNED;
    if (line->blob_len != (cosigned ? COSIGNED_LEN : TL_ED25519_SIG_LEN)) {
        *valid_out = false;
        return TALLY_OK;
    }
    uint64_t time_s = cosigned ? tl_get_be64(line->blob) : 0;
    TL_CLEANUP(tl_buf_release) struct tl_buf message = { 0 };
    tl_buf_init(&message, TL_NOTE_LEN_MAX + 64);
    add_message(&message, key->type, time_s, body);
    TL_TRY(tl_buf_status(&message));
    TL_TRY(tl_ed25519_verify(valid_out, key->public_key, message.data, message.len,
                             line->blob + (cosigned ? TIME_LEN : 0)));
    *time_out = time_s;
    return TALLY_OK;
}

tally_status tl_note_verify(const struct tl_note *note, const struct tl_vkey *key,
                            enum tl_note_verdict *verdict_out, uint64_t *time_out)
{
    enum tl_note_verdict verdict = TL_NOTE_NO_LINE;
    uint64_t time_s = 0;
    for (uint32_t i = 0; i < note->line_count; i++) {
        const struct tl_note_line *line = &note->lines[i];
        if (line->key_id != key->key_id || !tl_str_equal(line->name, name_of(key))) {
            continue;
        }
        bool valid = false;
        uint64_t line_time_s = 0;
        TL_TRY(verify_line(line, key, note->body, &valid, &line_time_s));
        if (!valid) { /* condemns the note, whatever other lines of the key say */
            verdict = TL_NOTE_BAD;
            time_s = 0;
            break;
        }
        if (verdict == TL_NOTE_NO_LINE) { /* a second good line adds nothing */
            time_s = line_time_s;
        }
        verdict = TL_NOTE_GOOD;
    }
    *verdict_out = verdict;
    if (time_out != NULL) {
        *time_out = time_s;
    }
    return TALLY_OK;
}

tally_status tl_note_sign(struct tl_buf *out, size_t body_len, const struct tl_vkey *key,
                          const uint8_t seed[TL_ED25519_KEY_LEN], uint64_t time_s)
{
    TL_TRY(tl_buf_status(out));
    tl_assert(body_len > 0 && body_len < out->len);
    tl_assert(out->data[body_len - 1] == '\n' && out->data[body_len] == '\n');

    TL_CLEANUP(tl_buf_release) struct tl_buf message = { 0 };
    tl_buf_init(&message, out->len_max + 64);
    struct tl_str body = { .text = out->data, .len = body_len };
    add_message(&message, key->type, time_s, body);
    TL_TRY(tl_buf_status(&message));

    uint8_t blob[KEY_ID_LEN + COSIGNED_LEN];
    size_t sig_at = KEY_ID_LEN;
    tl_put_be32(blob, key->key_id);
    if (key->type == TL_NOTE_TYPE_COSIGNED) {
        tl_put_be64(blob + sig_at, time_s);
        sig_at += TIME_LEN;
    }
    TL_TRY(tl_ed25519_sign(blob + sig_at, seed, key->public_key, message.data, message.len));

    tl_buf_addf(out, DASH "%s ", key->name);
    tl_base64_encode(out, blob, sig_at + TL_ED25519_SIG_LEN);
    tl_buf_add_char(out, '\n');
    return tl_buf_status(out);
}

/* Cuts the first line off `text`, without its newline. False if there is none. */
static bool take_line(struct tl_str *line_out, struct tl_str *text)
{
    const char *end = text->len == 0 ? NULL : memchr(text->text, '\n', text->len);
    if (end == NULL) {
        return false;
    }
    *line_out = (struct tl_str){ .text = text->text, .len = (size_t)(end - text->text) };
    text->text += line_out->len + 1;
    text->len -= line_out->len + 1;
    return true;
}

tally_status tl_checkpoint_parse(struct tl_checkpoint_body *out, struct tl_str body,
                                 struct tally_error *err)
{
    struct tl_checkpoint_body parsed;
    struct tl_str size = { 0 };
    struct tl_str root = { 0 };
    if (!take_line(&parsed.origin, &body) || !take_line(&size, &body) || !take_line(&root, &body) ||
        body.len != 0) {
        return tl_fail(err, TALLY_ECORRUPT, "checkpoint that has not exactly three lines");
    }
    if (!tl_origin_is_valid(parsed.origin)) {
        return tl_fail(err, TALLY_ECORRUPT, "checkpoint whose first line is no origin");
    }
    if (tl_parse_u64(size.text, size.len, LOG_SIZE_MAX, &parsed.size) != TALLY_OK) {
        return tl_fail(err, TALLY_ECORRUPT, "checkpoint whose second line is no size");
    }
    size_t root_len = 0;
    if (tl_base64_decode(parsed.root, sizeof(parsed.root), &root_len, root.text, root.len) !=
            TALLY_OK ||
        root_len != sizeof(parsed.root)) {
        return tl_fail(err, TALLY_ECORRUPT, "checkpoint whose third line is no root");
    }
    *out = parsed;
    return TALLY_OK;
}

void tl_checkpoint_format(struct tl_buf *out, const struct tl_checkpoint_body *body)
{
    tl_buf_add_str(out, body->origin);
    tl_buf_add_char(out, '\n');
    tl_buf_add_u64(out, body->size);
    tl_buf_add_char(out, '\n');
    tl_base64_encode(out, body->root, sizeof(body->root));
    tl_buf_add_char(out, '\n');
}
