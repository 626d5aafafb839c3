/*
 * ledger/keys.h - the files in keys/: log key, epoch state, high-water mark.
 *
 * Holds secrets. Caller serialises. A ledger in memory has the same keys without files.
 */
#ifndef TL_LEDGER_KEYS_H
#define TL_LEDGER_KEYS_H

#include "base/secret.h"
#include "evidence/keystate.h"
#include "ledger/paths.h"

struct tl_keys {
    char dir[TL_PATH_SIZE]; /* "" in memory */
    uint8_t log_seed[TL_ED25519_KEY_LEN];
    struct tl_vkey log_key;
    struct tl_vkey epoch_key;    /* of state.current */
    struct tl_vkey next_log_key; /* of state.change, if that has one */
    struct tl_keystate state;
    int mark_fd; /* keys/highwater; -1 in memory */
    uint32_t mark_slot;
    struct tl_highwater mark; /* the newest one written or read */
};

/*
 * Makes the keys of a new ledger, on disk unless `dir` is "". The directory must be there. The
 * first MAC key is keys->state.current.mac_key, for the caller to show once.
 */
tally_status tl_keys_create(struct tl_keys **keys_out, const char *dir, struct tl_str origin,
                            struct tally_error *err);

/*
 * Reads the keys. Errors: TALLY_EINVAL a file is open to others or is no key; TALLY_ENOTFOUND one
 * is missing (err names it); TALLY_ECORRUPT; TALLY_EIO; TALLY_ENOMEM
 */
tally_status tl_keys_load(struct tl_keys **keys_out, const char *dir, struct tally_error *err);

/* Wipes and frees. NULL is allowed. */
void tl_keys_free(struct tl_keys *keys);
void tl_keys_freep(struct tl_keys **keys);

/* The verifier key of an epoch whose seed is given. */
tally_status tl_keys_epoch_vkey(struct tl_vkey *out, const char *origin,
                                const struct tl_epoch_secret *secret, struct tally_error *err);

/* First step of an epoch switch: makes and saves the secrets of epoch `to`. */
tally_status tl_keys_prepare(struct tl_keys *keys, uint32_t to, struct tally_error *err);

/* Third step: the prepared secrets take over, the old ones are destroyed. */
tally_status tl_keys_promote(struct tl_keys *keys, struct tally_error *err);

/* Forgets prepared secrets that were never used. */
tally_status tl_keys_discard(struct tl_keys *keys, struct tally_error *err);

/* First step of a rotation: makes and saves a new log key, a new MAC generation, or both. A new MAC
 * key is also written to keys/mac-<generation>.key, for whoever asked for it. */
tally_status tl_keys_make_change(struct tl_keys *keys, bool log, bool mac, struct tally_error *err);

/* Third step: what was made takes over, as the leaf at `seq` says; the old secrets are destroyed. May
 * be repeated. */
tally_status tl_keys_adopt_change(struct tl_keys *keys, uint64_t seq, struct tally_error *err);

/* Forgets what was made and never used. */
tally_status tl_keys_drop_change(struct tl_keys *keys, struct tally_error *err);

/* Destroys what a crash left behind of files that were being replaced. For the holder of the lock. */
tally_status tl_keys_tidy(const struct tl_keys *keys, struct tally_error *err);

/* Reads the file that tl_keys_make_change() wrote, and destroys it. `dir` is keys/. */
tally_status tl_keys_take_mac(char out[TL_MAC_TEXT_SIZE], const char *dir, uint32_t mac_gen,
                              struct tally_error *err);

/* Moves the high-water mark to what is durable now; `sync` also makes the mark durable. */
tally_status tl_keys_mark(struct tl_keys *keys, uint64_t size, const uint8_t root[32], bool clean,
                          bool sync, struct tally_error *err);

#endif /* TL_LEDGER_KEYS_H */
