#include <tally/lexigram.h>

#include <limits.h>

#include "base/bytes.h"
#include "base/parse.h"
#include "base/secret.h"
#include "codec/lexigram_json.h"
#include "crypto/crypto.h"

#define TEXT_BYTES_MAX (SIZE_MAX / 4) /* the entry is bounded, and so is what it becomes */

static tally_status style_of(int version, struct tl_lexigram_style *out, struct tally_error *err)
{
    int plain = version & ~TALLY_LEXIGRAM_EXPONENT_SIGNED;
    if (plain != TALLY_LEXIGRAM_UNVERSIONED && plain != 1 && plain != 2) {
        return tl_fail(err, TALLY_EINVAL, "there is no schema version %d", version);
    }
    *out = (struct tl_lexigram_style){
        .version = plain == TALLY_LEXIGRAM_UNVERSIONED ? TL_LEXIGRAM_NO_VERSION : plain,
        .exponent_signed = plain != version,
    };
    return TALLY_OK;
}

/* Reads an entry and writes it canonically. */
static tally_status canonicalize(struct tl_buf *out, const char *entry, size_t entry_len,
                                 int version, struct tally_error *err)
{
    struct tl_lexigram_style style;
    TL_TRY(style_of(version, &style, err));
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    tl_arena_init(&arena, TEXT_BYTES_MAX);
    const struct tl_json *root = NULL;
    TL_TRY(tl_lexigram_read(&arena, entry, entry_len, &root, err));
    return tl_lexigram_write(out, root, &style, &arena, err);
}

static void checksum_of(struct tl_str canonical, const uint8_t *key, size_t key_len,
                        char hex_out[TALLY_LEXIGRAM_HEX_SIZE])
{
    uint8_t mac[TL_SHA256_LEN];
    struct tl_hmac_key hmac;
    tl_hmac_key_init(&hmac, key, key_len);
    tl_hmac(&hmac, canonical.text, canonical.len, mac);
    tl_hmac_key_release(&hmac);
    tl_hex_encode(hex_out, mac, sizeof(mac));
}

static bool is_checksum_of(struct tl_str canonical, const uint8_t *key, size_t key_len,
                           const char *expected)
{
    char hex[TALLY_LEXIGRAM_HEX_SIZE];
    checksum_of(canonical, key, key_len, hex);
    return strlen(expected) == sizeof(hex) - 1 &&
           tl_equal_const_time(hex, expected, sizeof(hex) - 1);
}

static bool is_verifiable(const uint8_t *key, const char *expected)
{
    return key != NULL && expected != NULL && expected[0] != '\0';
}

tally_status tally_lexigram_checksum(const char *entry, size_t entry_len, const uint8_t *key,
                                     size_t key_len, int version,
                                     char hex_out[TALLY_LEXIGRAM_HEX_SIZE], struct tally_error *err)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf canonical = { 0 };
    tl_buf_init(&canonical, TEXT_BYTES_MAX);
    TL_TRY(canonicalize(&canonical, entry, entry_len, version, err));
    checksum_of(tl_buf_str(&canonical), key, key_len, hex_out);
    return TALLY_OK;
}

/* NOLINTNEXTLINE(readability-function-size): eight parameters, but all plain values */
tally_status tally_lexigram_verify(const char *entry, size_t entry_len, const uint8_t *key,
                                   size_t key_len, int version, const char *expected,
                                   enum tally_verdict *verdict_out, struct tally_error *err)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf canonical = { 0 };
    tl_buf_init(&canonical, TEXT_BYTES_MAX);
    bool is_any = version == TALLY_LEXIGRAM_ANY;
    TL_TRY(canonicalize(&canonical, entry, entry_len, is_any ? 2 : version, err));
    if (!is_verifiable(key, expected)) {
        *verdict_out = TALLY_VERDICT_UNVERIFIABLE;
        return TALLY_OK;
    }
    bool matches = is_checksum_of(tl_buf_str(&canonical), key, key_len, expected);
    if (!matches && is_any) {
        tl_buf_clear(&canonical);
        TL_TRY(canonicalize(&canonical, entry, entry_len, 1, err));
        matches = is_checksum_of(tl_buf_str(&canonical), key, key_len, expected);
    }
    *verdict_out = matches ? TALLY_VERDICT_VERIFIED : TALLY_VERDICT_TAMPERED;
    return TALLY_OK;
}

tally_status tally_lexigram_canonical(const char *entry, size_t entry_len, int version,
                                      char **json_out, size_t *json_len_out,
                                      struct tally_error *err)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf canonical = { 0 };
    tl_buf_init(&canonical, TEXT_BYTES_MAX);
    TL_TRY(canonicalize(&canonical, entry, entry_len, version, err));
    char *json = tl_buf_take(&canonical, json_len_out);
    if (json == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    *json_out = json;
    return TALLY_OK;
}

/* The number in the version column, or -1. */
static int version_of(const struct tally_lexigram_row *row)
{
    struct tl_str text = tl_str_of(row->entry_schema_version);
    uint64_t version = 0;
    return tl_parse_u64(text.text, text.len, INT_MAX, &version) == TALLY_OK ? (int)version : -1;
}

/* Tries one layout with all versions and fills in `match` if one of them fits. */
static tally_status try_layout(const struct tally_lexigram_row *row, struct tl_str changed_at,
                               const uint8_t *key, size_t key_len,
                               enum tally_lexigram_layout layout,
                               struct tally_lexigram_match *match, struct tally_error *err)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf canonical = { 0 };
    tl_buf_init(&canonical, TEXT_BYTES_MAX);
    const int versions[] = { 2, 1, match->row_version };
    bool is_own_new =
        match->row_version != -1 && match->row_version != 1 && match->row_version != 2;
    for (size_t i = 0; i < (is_own_new ? 3u : 2u); i++) {
        tl_buf_clear(&canonical);
        tl_lexigram_write_row(&canonical, row, changed_at, versions[i]);
        if (tl_buf_status(&canonical) != TALLY_OK) {
            return tl_fail(err, tl_buf_status(&canonical), "cannot write the row");
        }
        if (is_checksum_of(tl_buf_str(&canonical), key, key_len, row->checksum)) {
            match->verdict = TALLY_VERDICT_VERIFIED;
            match->layout = layout;
            match->version = versions[i];
            return TALLY_OK;
        }
    }
    return TALLY_OK;
}

tally_status tally_lexigram_row_verify(const struct tally_lexigram_row *row, const uint8_t *key,
                                       size_t key_len, struct tally_lexigram_match *match_out,
                                       struct tally_error *err)
{
    if (row->struct_size < sizeof(*row)) {
        return tl_fail(err, TALLY_EINVAL, "the row was not made by TALLY_LEXIGRAM_ROW_INIT");
    }
    TL_TRY(tl_lexigram_check_row(row, err));
    struct tally_lexigram_match match = { .row_version = version_of(row) };
    if (!is_verifiable(key, row->checksum)) {
        match.verdict = TALLY_VERDICT_UNVERIFIABLE;
        *match_out = match;
        return TALLY_OK;
    }
    struct tl_str stored = tl_str_of(row->changed_at);
    TL_CLEANUP(tl_buf_release) struct tl_buf time = { 0 };
    tl_buf_init(&time, TEXT_BYTES_MAX);
    tl_lexigram_write_time(&time, stored);
    if (tl_buf_status(&time) != TALLY_OK) {
        return tl_fail(err, tl_buf_status(&time), "cannot write the time");
    }
    struct tl_str with_t = stored.text == NULL ? stored : tl_buf_str(&time);
    TL_TRY(try_layout(row, with_t, key, key_len, TALLY_LEXIGRAM_LAYOUT_T, &match, err));
    if (match.verdict != TALLY_VERDICT_VERIFIED && !tl_str_equal(stored, with_t)) {
        TL_TRY(try_layout(row, stored, key, key_len, TALLY_LEXIGRAM_LAYOUT_STORED, &match, err));
    }
    if (match.verdict != TALLY_VERDICT_VERIFIED) {
        match.verdict = TALLY_VERDICT_TAMPERED;
    }
    *match_out = match;
    return TALLY_OK;
}
