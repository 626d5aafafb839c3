#include "ledger/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/io.h"
#include "base/random.h"

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

static tally_status make_vkeys(struct tl_keys *keys, struct tally_error *err)
{
    uint8_t public_key[TL_ED25519_KEY_LEN];
    TL_TRY(tl_ed25519_public(public_key, keys->log_seed));
    TL_TRY(tl_vkey_make(&keys->log_key, tl_str_of(keys->state.origin), TL_NOTE_TYPE_ED25519,
                        public_key, err));
    return tl_keys_epoch_vkey(&keys->epoch_key, keys->state.origin, &keys->state.current, err);
}

/* Overwrites a file that has lost its name, so that its blocks do not keep the old secrets. */
static tally_status wipe_file(int fd, struct tally_error *err)
{
    static const uint8_t zeros[TL_KEYSTATE_LEN];
    TL_TRY(tl_io_write_at(fd, zeros, sizeof(zeros), 0, err));
    if (tl_io->fsync(fd) != 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot sync the old key state");
    }
    return TALLY_OK;
}

static tally_status save_state(struct tl_keys *keys, struct tally_error *err)
{
    if (keys->dir[0] == '\0') {
        return TALLY_OK;
    }
    char path[TL_PATH_SIZE];
    TL_TRY(path_of(path, keys, "state", err));
    TL_CLEANUP(tl_io_closep) int old = tl_io->open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (old < 0 && errno != ENOENT) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot open '%s'", path);
    }
    uint8_t bytes[TL_KEYSTATE_LEN];
    tl_keystate_encode(bytes, &keys->state);
    tally_status status = tl_io_replace_file(path, bytes, sizeof(bytes), 0600, err);
    explicit_bzero(bytes, sizeof(bytes));
    TL_TRY(status);
    return old < 0 ? TALLY_OK : wipe_file(old, err);
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

tally_status tl_keys_create(struct tl_keys **keys_out, const char *dir, struct tl_str origin,
                            struct tally_error *err)
{
    return tl_keys_create_next(keys_out, dir, origin, 1, 0, err);
}

tally_status tl_keys_create_next(struct tl_keys **keys_out, const char *dir, struct tl_str origin,
                                 uint32_t incarnation, uint32_t epoch, struct tally_error *err)
{
    tl_assert(origin.len <= TL_ORIGIN_LEN_MAX);
    TL_CLEANUP(tl_keys_freep) struct tl_keys *keys = alloc_keys(dir);
    if (keys == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate keys");
    }
    tl_random_bytes(keys->log_seed, sizeof(keys->log_seed));
    memcpy(keys->state.origin, origin.text, origin.len);
    keys->state.incarnation = incarnation;
    random_secret(&keys->state.current, epoch);
    tl_random_bytes(keys->state.current.mac_key, TL_MAC_KEY_LEN);
    uint8_t mac_id[32];
    tl_mac_id(keys->state.current.mac_key, mac_id);
    keys->state.mac_gen = (uint32_t)mac_id[0] << 24 | (uint32_t)mac_id[1] << 16 |
                          (uint32_t)mac_id[2] << 8 | mac_id[3];
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
