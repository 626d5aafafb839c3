#include "ledger/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "base/io.h"
#include "base/random.h"
#include "ledger/remove.h"

static tally_status path_of(char *out, const struct tl_keys *keys, const char *name,
                            struct tally_error *err)
{
    return tl_path_join(out, keys->dir, name, err);
}

/* Keys stay out of swap and core dumps as far as the system lets us. */
static struct tl_keys *alloc_keys(const char *dir)
{
    struct tl_keys *keys = tl_alloc_array(1, sizeof(*keys));
    if (keys == NULL) {
        return NULL;
    }
    (void)mlock(keys, sizeof(*keys)); /* may not be permitted: then they are in plain memory */
    keys->mark_fd = -1;
    (void)snprintf(keys->dir, sizeof(keys->dir), "%s", dir);
    return keys;
}

void tl_keys_free(struct tl_keys *keys)
{
    if (keys == NULL) {
        return;
    }
    tl_io_closep(&keys->mark_fd);
    explicit_bzero(keys, sizeof(*keys));
    (void)munlock(keys, sizeof(*keys)); /* as with mlock */
    tl_free(keys);
}

void tl_keys_freep(struct tl_keys **keys)
{
    tl_keys_free(*keys);
    *keys = NULL;
}

tally_status tl_keys_epoch_vkey(struct tl_vkey *out, const char *origin,
                                const struct tl_epoch_secret *secret, struct tally_error *err)
{
    char name[TL_KEY_NAME_LEN_MAX + 1];
    (void)snprintf(name, sizeof(name), "%.200s/epoch/%u", origin, secret->epoch);
    uint8_t public_key[TL_ED25519_KEY_LEN];
    TL_TRY(tl_ed25519_public(public_key, secret->seed));
    return tl_vkey_make(out, tl_str_of(name), TL_NOTE_TYPE_COSIGNED, public_key, err);
}

static tally_status make_next_vkey(struct tl_keys *keys, struct tally_error *err)
{
    uint8_t public_key[TL_ED25519_KEY_LEN];
    if (!keys->state.change.has_log) {
        return TALLY_OK;
    }
    TL_TRY(tl_ed25519_public(public_key, keys->state.change.log_seed));
    return tl_vkey_make(&keys->next_log_key, tl_str_of(keys->state.origin), TL_NOTE_TYPE_ED25519,
                        public_key, err);
}

static tally_status make_vkeys(struct tl_keys *keys, struct tally_error *err)
{
    uint8_t public_key[TL_ED25519_KEY_LEN];
    TL_TRY(tl_ed25519_public(public_key, keys->log_seed));
    TL_TRY(tl_vkey_make(&keys->log_key, tl_str_of(keys->state.origin), TL_NOTE_TYPE_ED25519,
                        public_key, err));
    TL_TRY(make_next_vkey(keys, err));
    return tl_keys_epoch_vkey(&keys->epoch_key, keys->state.origin, &keys->state.current, err);
}

/* -1 in *fd_out if there is no such file. */
static tally_status open_old(int *fd_out, const char *path, struct tally_error *err)
{
    *fd_out = tl_io->open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    return *fd_out >= 0 || errno == ENOENT
               ? TALLY_OK
               : tl_fail_errno(err, TALLY_EIO, errno, "cannot open '%s'", path);
}

static tally_status destroy(const char *path, struct tally_error *err)
{
    TL_CLEANUP(tl_io_closep) int fd = -1;
    TL_TRY(open_old(&fd, path, err));
    if (fd < 0) {
        return TALLY_OK;
    }
    TL_TRY(tl_wipe_file(fd, err));
    if (tl_io->unlink(path) != 0 && errno != ENOENT) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot remove '%s'", path);
    }
    return tl_io_sync_directory_of(path, err);
}

/* What a crash left of a file that was to replace `name`: it may hold the secrets of its time. */
static tally_status destroy_leftover(const struct tl_keys *keys, const char *name,
                                     struct tally_error *err)
{
    char path[TL_PATH_SIZE];
    TL_TRY(path_of(path, keys, name, err));
    return destroy(path, err);
}

tally_status tl_keys_tidy(const struct tl_keys *keys, struct tally_error *err)
{
    if (keys->dir[0] == '\0') {
        return TALLY_OK;
    }
    TL_TRY(destroy_leftover(keys, "state" TL_IO_REPLACE_SUFFIX, err));
    return destroy_leftover(keys, "log.key" TL_IO_REPLACE_SUFFIX, err);
}

/* Replaces a file of secrets, and destroys what it held. */
static tally_status replace_secret(const struct tl_keys *keys, const char *name,
                                   const uint8_t *bytes, size_t len, struct tally_error *err)
{
    char path[TL_PATH_SIZE];
    TL_TRY(path_of(path, keys, name, err));
    TL_CLEANUP(tl_io_closep) int old = -1;
    TL_TRY(open_old(&old, path, err));
    TL_TRY(tl_io_replace_file(path, bytes, len, 0600, err));
    return old < 0 ? TALLY_OK : tl_wipe_file(old, err);
}

static tally_status save_state(struct tl_keys *keys, struct tally_error *err)
{
    if (keys->dir[0] == '\0') {
        return TALLY_OK;
    }
    uint8_t bytes[TL_KEYSTATE_LEN];
    tl_keystate_encode(bytes, &keys->state);
    tally_status status = replace_secret(keys, "state", bytes, sizeof(bytes), err);
    explicit_bzero(bytes, sizeof(bytes));
    return status;
}

static tally_status open_mark(struct tl_keys *keys, int flags, struct tally_error *err)
{
    char path[TL_PATH_SIZE];
    TL_TRY(path_of(path, keys, "highwater", err));
    keys->mark_fd = tl_io->open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    if (keys->mark_fd < 0) {
        tally_status status = errno == ENOENT ? TALLY_ENOTFOUND : TALLY_EIO;
        return tl_fail_errno(err, status, errno, "cannot open high-water mark '%s'", path);
    }
    return TALLY_OK;
}

static void random_secret(struct tl_epoch_secret *secret, uint32_t epoch)
{
    secret->epoch = epoch;
    tl_random_bytes(secret->seed, sizeof(secret->seed));
}

static uint32_t generation_of(const uint8_t mac_key[TL_MAC_KEY_LEN])
{
    uint8_t mac_id[32];
    tl_mac_id(mac_key, mac_id);
    return tl_get_be32(mac_id);
}

tally_status tl_keys_create(struct tl_keys **keys_out, const char *dir, struct tl_str origin,
                            struct tally_error *err)
{
    return tl_keys_create_next(keys_out, dir, origin, 1, 0, 0, err);
}

tally_status tl_keys_create_next(struct tl_keys **keys_out, const char *dir, struct tl_str origin,
                                 uint32_t incarnation, uint32_t epoch, uint64_t seq,
                                 struct tally_error *err)
{
    tl_assert(origin.len <= TL_ORIGIN_LEN_MAX);
    TL_CLEANUP(tl_keys_freep) struct tl_keys *keys = alloc_keys(dir);
    if (keys == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate keys");
    }
    tl_random_bytes(keys->log_seed, sizeof(keys->log_seed));
    memcpy(keys->state.origin, origin.text, origin.len);
    keys->state.incarnation = incarnation;
    keys->state.log_seq = seq;
    keys->state.mac_seq = seq;
    random_secret(&keys->state.current, epoch);
    tl_random_bytes(keys->state.current.mac_key, TL_MAC_KEY_LEN);
    keys->state.mac_gen = generation_of(keys->state.current.mac_key);
    TL_TRY(make_vkeys(keys, err));

    if (dir[0] != '\0') {
        char path[TL_PATH_SIZE];
        TL_TRY(path_of(path, keys, "log.key", err));
        TL_TRY(tl_io_replace_file(path, keys->log_seed, sizeof(keys->log_seed), 0600, err));
        TL_TRY(save_state(keys, err));
        TL_TRY(open_mark(keys, O_CREAT | O_EXCL, err));
    }
    *keys_out = TL_TAKE(keys);
    return TALLY_OK;
}

static tally_status read_log_key(struct tl_keys *keys, struct tally_error *err)
{
    char path[TL_PATH_SIZE];
    TL_TRY(path_of(path, keys, "log.key", err));
    TL_CLEANUP(tl_secret_release) struct tl_secret secret = { 0 };
    TL_TRY(tl_secret_read_sized(&secret, path, TL_ED25519_KEY_LEN, TL_ED25519_KEY_LEN, err));
    memcpy(keys->log_seed, secret.bytes, sizeof(keys->log_seed));
    return TALLY_OK;
}

static tally_status read_state(struct tl_keys *keys, struct tally_error *err)
{
    char path[TL_PATH_SIZE];
    TL_TRY(path_of(path, keys, "state", err));
    TL_CLEANUP(tl_secret_release) struct tl_secret secret = { 0 };
    TL_TRY(tl_secret_read_sized(&secret, path, TL_KEYSTATE_LEN, TL_KEYSTATE_LEN, err));
    return tl_keystate_decode(&keys->state, secret.bytes, secret.len, err);
}

static tally_status read_mark(struct tl_keys *keys, struct tally_error *err)
{
    TL_TRY(open_mark(keys, 0, err));
    struct stat st;
    if (tl_io->fstat(keys->mark_fd, &st) != 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot stat the high-water mark");
    }
    uint8_t bytes[2 * TL_HIGHWATER_SLOT_LEN] = { 0 };
    size_t len = (uint64_t)st.st_size < sizeof(bytes) ? (size_t)st.st_size : sizeof(bytes);
    TL_TRY(tl_io_read_at(keys->mark_fd, bytes, len, 0, err));
    return tl_highwater_decode(&keys->mark, &keys->mark_slot, bytes, len, err);
}

tally_status tl_keys_load(struct tl_keys **keys_out, const char *dir, struct tally_error *err)
{
    TL_CLEANUP(tl_keys_freep) struct tl_keys *keys = alloc_keys(dir);
    if (keys == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate keys");
    }
    TL_TRY(read_log_key(keys, err));
    TL_TRY(read_state(keys, err));
    TL_TRY(read_mark(keys, err));
    TL_TRY(make_vkeys(keys, err));
    *keys_out = TL_TAKE(keys);
    return TALLY_OK;
}

tally_status tl_keys_prepare(struct tl_keys *keys, uint32_t to, struct tally_error *err)
{
    tl_assert(to > keys->state.current.epoch);
    TL_CLEANUP(tl_mac_release) struct tl_mac mac;
    tl_mac_init(&mac, keys->state.current.mac_key, keys->state.current.epoch);
    tl_mac_advance(&mac, to);
    random_secret(&keys->state.next, to);
    memcpy(keys->state.next.mac_key, mac.key, sizeof(mac.key));
    keys->state.has_next = true;
    return save_state(keys, err);
}

tally_status tl_keys_promote(struct tl_keys *keys, struct tally_error *err)
{
    tl_assert(keys->state.has_next);
    keys->state.current = keys->state.next;
    explicit_bzero(&keys->state.next, sizeof(keys->state.next));
    keys->state.has_next = false;
    TL_TRY(tl_keys_epoch_vkey(&keys->epoch_key, keys->state.origin, &keys->state.current, err));
    return save_state(keys, err);
}

tally_status tl_keys_discard(struct tl_keys *keys, struct tally_error *err)
{
    explicit_bzero(&keys->state.next, sizeof(keys->state.next));
    keys->state.has_next = false;
    return save_state(keys, err);
}

static tally_status mac_path(char out[TL_PATH_SIZE], const char *dir, uint32_t mac_gen,
                             struct tally_error *err)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "mac-%08x.key", mac_gen);
    return tl_path_join(out, dir, name, err);
}

/* Before the leaf is sealed: a MAC key that is in force can be had by whoever asked for it. */
static tally_status hand_mac_over(const struct tl_keys *keys, struct tally_error *err)
{
    const struct tl_key_change *change = &keys->state.change;
    if (keys->dir[0] == '\0' || !change->has_mac) {
        return TALLY_OK;
    }
    char path[TL_PATH_SIZE];
    char text[TL_MAC_TEXT_SIZE + 1];
    TL_TRY(mac_path(path, keys->dir, change->mac_gen, err));
    tl_mac_key_format(text, change->mac_key, keys->state.current.epoch);
    size_t len = strlen(text);
    text[len] = '\n';
    tally_status status = tl_io_replace_file(path, text, len + 1, 0600, err);
    explicit_bzero(text, sizeof(text));
    return status;
}

tally_status tl_keys_take_mac(char out[TL_MAC_TEXT_SIZE], const char *dir, uint32_t mac_gen,
                              struct tally_error *err)
{
    char path[TL_PATH_SIZE];
    TL_TRY(mac_path(path, dir, mac_gen, err));
    TL_CLEANUP(tl_secret_release) struct tl_secret secret = { 0 };
    TL_TRY(tl_secret_read_sized(&secret, path, 2, TL_MAC_TEXT_SIZE, err));
    memcpy(out, secret.bytes, secret.len - 1);
    out[secret.len - 1] = '\0';
    return destroy(path, err);
}

tally_status tl_keys_make_change(struct tl_keys *keys, bool log, bool mac, struct tally_error *err)
{
    struct tl_key_change *change = &keys->state.change;
    tl_assert(!keys->state.has_next && !change->has_log && !change->has_mac && (log || mac));
    change->has_log = log;
    change->has_mac = mac;
    if (log) {
        tl_random_bytes(change->log_seed, sizeof(change->log_seed));
        TL_TRY(make_next_vkey(keys, err));
    }
    if (mac) {
        tl_random_bytes(change->mac_key, sizeof(change->mac_key));
        change->mac_gen = generation_of(change->mac_key);
    }
    TL_TRY(save_state(keys, err));
    return hand_mac_over(keys, err);
}

tally_status tl_keys_adopt_change(struct tl_keys *keys, uint64_t seq, struct tally_error *err)
{
    struct tl_keystate *state = &keys->state;
    struct tl_key_change *change = &state->change;
    if (change->has_log) {
        memcpy(keys->log_seed, change->log_seed, sizeof(keys->log_seed));
        keys->log_key = keys->next_log_key;
        state->log_seq = seq;
        if (keys->dir[0] != '\0') {
            TL_TRY(replace_secret(keys, "log.key", keys->log_seed, sizeof(keys->log_seed), err));
        }
    }
    if (change->has_mac) {
        memcpy(state->current.mac_key, change->mac_key, sizeof(state->current.mac_key));
        state->mac_gen = change->mac_gen;
        state->mac_seq = seq;
    }
    explicit_bzero(change, sizeof(*change));
    return save_state(keys, err);
}

tally_status tl_keys_drop_change(struct tl_keys *keys, struct tally_error *err)
{
    struct tl_key_change *change = &keys->state.change;
    if (keys->dir[0] != '\0' && change->has_mac) {
        char path[TL_PATH_SIZE];
        TL_TRY(mac_path(path, keys->dir, change->mac_gen, err));
        TL_TRY(destroy(path, err));
    }
    explicit_bzero(change, sizeof(*change));
    return save_state(keys, err);
}

tally_status tl_keys_mark(struct tl_keys *keys, uint64_t size, const uint8_t root[32], bool clean,
                          bool sync, struct tally_error *err)
{
    keys->mark.size = size;
    keys->mark.clean = clean;
    memcpy(keys->mark.root, root, sizeof(keys->mark.root));
    if (keys->mark_fd < 0) {
        return TALLY_OK;
    }
    uint8_t bytes[TL_HIGHWATER_SLOT_LEN];
    tl_highwater_encode(bytes, &keys->mark);
    TL_TRY(tl_io_write_at(keys->mark_fd, bytes, sizeof(bytes),
                          (uint64_t)keys->mark_slot * TL_HIGHWATER_SLOT_LEN, err));
    keys->mark_slot ^= 1;
    if (sync && tl_io->fsync(keys->mark_fd) != 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot sync the high-water mark");
    }
    return TALLY_OK;
}
