#include "evidence/mac.h"

#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/parse.h"
#include "base/str.h"
#include "codec/base64.h"

#define NEXT_LABEL "tallystick/v1 next\x01"
#define LEAF_LABEL "tallystick/v1 mac\x01"
#define ID_PREFIX  0x06

#define TEXT_PREFIX "tally-mac-v1:"
#define GEN_DIGITS  8u

static void derive(uint8_t out[TL_MAC_KEY_LEN], const uint8_t key[TL_MAC_KEY_LEN],
                   struct tl_str label)
{
    struct tl_hmac_key hmac;
    tl_hmac_key_init(&hmac, key, TL_MAC_KEY_LEN);
    tl_hmac(&hmac, label.text, label.len, out);
    tl_hmac_key_release(&hmac);
}

static void derive_leaf_key(struct tl_mac *mac)
{
    uint8_t leaf_key[TL_MAC_KEY_LEN];
    derive(leaf_key, mac->key, TL_STR(LEAF_LABEL));
    tl_hmac_key_init(&mac->leaf_key, leaf_key, sizeof(leaf_key));
    explicit_bzero(leaf_key, sizeof(leaf_key));
}

void tl_mac_init(struct tl_mac *mac, const uint8_t key[TL_MAC_KEY_LEN], uint32_t epoch)
{
    mac->epoch = epoch;
    memcpy(mac->key, key, TL_MAC_KEY_LEN);
    derive_leaf_key(mac);
}

void tl_mac_release(struct tl_mac *mac)
{
    if (mac != NULL) {
        explicit_bzero(mac, sizeof(*mac));
    }
}

void tl_mac_advance(struct tl_mac *mac, uint32_t epoch)
{
    tl_assert(epoch >= mac->epoch);
    if (epoch == mac->epoch) {
        return;
    }
    while (mac->epoch < epoch) {
        uint8_t next[TL_MAC_KEY_LEN];
        derive(next, mac->key, TL_STR(NEXT_LABEL));
        memcpy(mac->key, next, sizeof(next));
        explicit_bzero(next, sizeof(next));
        mac->epoch++;
    }
    derive_leaf_key(mac);
}

void tl_mac_leaf(const struct tl_mac *mac, const uint8_t leaf[88], uint8_t out[16])
{
    uint8_t whole[TL_SHA256_LEN];
    tl_hmac(&mac->leaf_key, leaf, 88, whole);
    memcpy(out, whole, 16);
}

void tl_mac_id(const uint8_t k0[TL_MAC_KEY_LEN], uint8_t out[32])
{
    uint8_t preimage[1 + TL_MAC_KEY_LEN] = { ID_PREFIX };
    memcpy(preimage + 1, k0, TL_MAC_KEY_LEN);
    tl_sha256(out, preimage, sizeof(preimage));
    explicit_bzero(preimage, sizeof(preimage));
}

void tl_mac_key_format(char out[TL_MAC_TEXT_SIZE], const uint8_t key[TL_MAC_KEY_LEN],
                       uint32_t epoch)
{
    uint8_t id[32];
    tl_mac_id(key, id);
    char gen[GEN_DIGITS + 1];
    tl_hex_encode(gen, id, GEN_DIGITS / 2);

    struct tl_buf text;
    tl_buf_init_fixed(&text, out, TL_MAC_TEXT_SIZE);
    tl_buf_add_text(&text, TEXT_PREFIX);
    tl_buf_add_text(&text, gen);
    tl_buf_add_char(&text, ':');
    tl_buf_add_u64(&text, epoch);
    tl_buf_add_char(&text, ':');
    tl_base64_encode(&text, key, TL_MAC_KEY_LEN);
    tl_assert(tl_buf_status(&text) == TALLY_OK);
    out[text.len] = '\0';
}

/* Reads what follows the prefix: "<mac_gen hex>:<epoch>:<base64>". */
static tally_status parse_key(uint8_t key_out[TL_MAC_KEY_LEN], uint32_t *epoch_out,
                              struct tl_str text)
{
    uint8_t gen[GEN_DIGITS / 2];
    if (text.len < GEN_DIGITS + 1 || text.text[GEN_DIGITS] != ':') {
        return TALLY_EINVAL;
    }
    TL_TRY(tl_hex_decode(gen, sizeof(gen), text.text, GEN_DIGITS));
    const char *epoch_text = text.text + GEN_DIGITS + 1;
    size_t left = text.len - GEN_DIGITS - 1;
    const char *colon = memchr(epoch_text, ':', left);
    if (colon == NULL) {
        return TALLY_EINVAL;
    }
    size_t epoch_len = (size_t)(colon - epoch_text);
    uint64_t epoch = 0;
    TL_TRY(tl_parse_u64(epoch_text, epoch_len, UINT32_MAX, &epoch));

    uint8_t key[TL_MAC_KEY_LEN];
    size_t key_len = 0;
    tally_status status =
        tl_base64_decode(key, sizeof(key), &key_len, colon + 1, left - epoch_len - 1);
    uint8_t id[32] = { 0 };
    if (status == TALLY_OK && key_len == sizeof(key)) {
        tl_mac_id(key, id);
    }
    bool right = status == TALLY_OK && key_len == sizeof(key) && memcmp(id, gen, sizeof(gen)) == 0;
    if (right) {
        memcpy(key_out, key, sizeof(key));
        *epoch_out = (uint32_t)epoch;
    }
    explicit_bzero(key, sizeof(key));
    return right ? TALLY_OK : TALLY_EINVAL;
}

tally_status tl_mac_key_parse(uint8_t key_out[TL_MAC_KEY_LEN], uint32_t *epoch_out,
                              const char *text, size_t len, struct tally_error *err)
{
    struct tl_str rest = { .text = text, .len = len };
    struct tl_str prefix = TL_STR(TEXT_PREFIX);
    if (len > 0 && text[len - 1] == '\n') {
        rest.len--;
    }
    if (tl_str_starts(rest, prefix)) {
        rest.text += prefix.len;
        rest.len -= prefix.len;
        if (parse_key(key_out, epoch_out, rest) == TALLY_OK) {
            return TALLY_OK;
        }
    }
    return tl_fail(err, TALLY_EINVAL, "not a MAC key of the form 'tally-mac-v1:...'");
}
