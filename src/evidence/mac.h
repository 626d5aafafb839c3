/* evidence/mac.h - the MAC ratchet: one key an epoch, each made from the one before. Secret. */
#ifndef TL_EVIDENCE_MAC_H
#define TL_EVIDENCE_MAC_H

#include "crypto/crypto.h"

#define TL_MAC_KEY_LEN 32u

/* Plain memory; wipe it with tl_mac_release(). Caller serialises. */
struct tl_mac {
    uint32_t epoch;
    uint8_t key[TL_MAC_KEY_LEN]; /* K[epoch] */
    struct tl_hmac_key leaf_key; /* Kmac[epoch] */
};

void tl_mac_init(struct tl_mac *mac, const uint8_t key[TL_MAC_KEY_LEN], uint32_t epoch);
void tl_mac_release(struct tl_mac *mac);

/* Moves on to `epoch` >= mac->epoch, through all between; the keys passed are gone. */
void tl_mac_advance(struct tl_mac *mac, uint32_t epoch);

/* The 16 bytes at the end of a leaf, from its first 88. */
void tl_mac_leaf(const struct tl_mac *mac, const uint8_t leaf[88], uint8_t out[16]);

/* What names a generation: H(06 || K0). Its first 4 bytes, big-endian, are mac_gen. */
void tl_mac_id(const uint8_t k0[TL_MAC_KEY_LEN], uint8_t out[32]);

/* "tally-mac-v1:<mac_gen hex>:<epoch>:<base64>"; 128 bytes are enough. */
#define TL_MAC_TEXT_SIZE 128u
void tl_mac_key_format(char out[TL_MAC_TEXT_SIZE], const uint8_t key[TL_MAC_KEY_LEN],
                       uint32_t epoch);
/* Accepts one newline at the end. TALLY_EINVAL, also if mac_gen is not that of the key. */
tally_status tl_mac_key_parse(uint8_t key_out[TL_MAC_KEY_LEN], uint32_t *epoch_out,
                              const char *text, size_t len, struct tally_error *err);

#endif /* TL_EVIDENCE_MAC_H */
