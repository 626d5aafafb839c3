#include "evidence/keystate.h"

#include <string.h>

#include "base/bytes.h"

/* keys/state. All that is not named is zero, so that one state has one spelling. */
enum {
    STATE_AT_MAGIC = 0,
    STATE_AT_VERSION = 4,
    STATE_AT_FLAGS = 8,
    STATE_AT_INCARNATION = 12,
    STATE_AT_MAC_GEN = 16,
    STATE_AT_CURRENT = 20,
    STATE_AT_NEXT = 88,
    STATE_AT_ORIGIN_LEN = 156,
    STATE_AT_ORIGIN = 157,
    STATE_AT_LOG_SEQ = 357, /* from here on all zero in version 1 */
    STATE_AT_MAC_SEQ = 365,
    STATE_AT_CHANGE = 373,
    STATE_AT_ZERO = 441,
    STATE_AT_CHECKSUM = 480,
};
#define STATE_MAGIC    0x544c4b31u /* "TLK1" */
#define STATE_VERSION  1u          /* of a ledger whose keys were never replaced; */
#define STATE_CHANGED  2u          /* else */
#define STATE_HAS_NEXT 1u
#define STATE_HAS_LOG  2u
#define STATE_HAS_MAC  4u
#define SECRET_LEN     68u

_Static_assert(STATE_AT_NEXT == STATE_AT_CURRENT + SECRET_LEN, "layout");
_Static_assert(STATE_AT_ORIGIN_LEN == STATE_AT_NEXT + SECRET_LEN, "layout");
_Static_assert(STATE_AT_LOG_SEQ == STATE_AT_ORIGIN + TL_ORIGIN_LEN_MAX, "layout");
_Static_assert(STATE_AT_ZERO == STATE_AT_CHANGE + SECRET_LEN, "layout");
_Static_assert(STATE_AT_CHECKSUM + TL_SHA256_LEN == TL_KEYSTATE_LEN, "layout");

static void put_secret(uint8_t out[SECRET_LEN], const struct tl_epoch_secret *secret)
{
    tl_put_be32(out, secret->epoch);
    memcpy(out + 4, secret->seed, sizeof(secret->seed));
    memcpy(out + 36, secret->mac_key, sizeof(secret->mac_key));
}

static void get_secret(struct tl_epoch_secret *secret, const uint8_t bytes[SECRET_LEN])
{
    secret->epoch = tl_get_be32(bytes);
    memcpy(secret->seed, bytes + 4, sizeof(secret->seed));
    memcpy(secret->mac_key, bytes + 36, sizeof(secret->mac_key));
}

static void put_change(uint8_t out[SECRET_LEN], const struct tl_key_change *change)
{
    if (change->has_log) {
        memcpy(out, change->log_seed, sizeof(change->log_seed));
    }
    if (change->has_mac) {
        memcpy(out + 32, change->mac_key, sizeof(change->mac_key));
        tl_put_be32(out + 64, change->mac_gen);
    }
}

static void get_change(struct tl_key_change *change, const uint8_t bytes[SECRET_LEN],
                       uint32_t flags)
{
    change->has_log = (flags & STATE_HAS_LOG) != 0;
    change->has_mac = (flags & STATE_HAS_MAC) != 0;
    memcpy(change->log_seed, bytes, sizeof(change->log_seed));
    memcpy(change->mac_key, bytes + 32, sizeof(change->mac_key));
    change->mac_gen = tl_get_be32(bytes + 64);
}

void tl_keystate_encode(uint8_t out[TL_KEYSTATE_LEN], const struct tl_keystate *state)
{
    struct tl_str origin = tl_str_of(state->origin);
    tl_assert(tl_origin_is_valid(origin));
    tl_assert(state->incarnation > 0);
    tl_assert(!state->has_next || state->next.epoch > state->current.epoch);
    bool changes = state->change.has_log || state->change.has_mac;
    tl_assert(!state->has_next || !changes);
    bool changed = changes || state->log_seq > 0 || state->mac_seq > 0;

    memset(out, 0, TL_KEYSTATE_LEN);
    tl_put_be32(out + STATE_AT_MAGIC, STATE_MAGIC);
    tl_put_be32(out + STATE_AT_VERSION, changed ? STATE_CHANGED : STATE_VERSION);
    tl_put_be64(out + STATE_AT_LOG_SEQ, state->log_seq);
    tl_put_be64(out + STATE_AT_MAC_SEQ, state->mac_seq);
    put_change(out + STATE_AT_CHANGE, &state->change);
    tl_put_be32(out + STATE_AT_INCARNATION, state->incarnation);
    tl_put_be32(out + STATE_AT_MAC_GEN, state->mac_gen);
    put_secret(out + STATE_AT_CURRENT, &state->current);
    tl_put_be32(out + STATE_AT_FLAGS, (state->has_next ? STATE_HAS_NEXT : 0u) |
                                          (state->change.has_log ? STATE_HAS_LOG : 0u) |
                                          (state->change.has_mac ? STATE_HAS_MAC : 0u));
    if (state->has_next) {
        put_secret(out + STATE_AT_NEXT, &state->next);
    }
    out[STATE_AT_ORIGIN_LEN] = (uint8_t)origin.len;
    memcpy(out + STATE_AT_ORIGIN, origin.text, origin.len);
    tl_sha256(out + STATE_AT_CHECKSUM, out, STATE_AT_CHECKSUM);
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

/* What is not there is zero, and what is there is not. */
static bool change_fits(const uint8_t *bytes, uint32_t flags)
{
    const uint8_t *change = bytes + STATE_AT_CHANGE;
    bool has_log = (flags & STATE_HAS_LOG) != 0;
    bool has_mac = (flags & STATE_HAS_MAC) != 0;
    bool any = has_log || has_mac || !is_zero(bytes + STATE_AT_LOG_SEQ, 16);
    return is_zero(change, 32) == !has_log && is_zero(change + 32, 32) == !has_mac &&
           (has_mac || is_zero(change + 64, 4)) && ((flags & STATE_HAS_NEXT) == 0 || !has_log) &&
           ((flags & STATE_HAS_NEXT) == 0 || !has_mac) &&
           tl_get_be32(bytes + STATE_AT_VERSION) == (any ? STATE_CHANGED : STATE_VERSION);
}

static bool next_fits(const uint8_t *bytes, uint32_t flags)
{
    return (flags & STATE_HAS_NEXT) != 0
               ? tl_get_be32(bytes + STATE_AT_NEXT) > tl_get_be32(bytes + STATE_AT_CURRENT)
               : is_zero(bytes + STATE_AT_NEXT, SECRET_LEN);
}

/* Says what is wrong with the bytes of a state; NULL if nothing. */
static const char *find_fault(const uint8_t *bytes, size_t len)
{
    if (len != TL_KEYSTATE_LEN || tl_get_be32(bytes + STATE_AT_MAGIC) != STATE_MAGIC) {
        return "is no key state";
    }
    uint8_t checksum[TL_SHA256_LEN];
    tl_sha256(checksum, bytes, STATE_AT_CHECKSUM);
    if (memcmp(checksum, bytes + STATE_AT_CHECKSUM, sizeof(checksum)) != 0) {
        return "has a wrong checksum";
    }
    uint32_t version = tl_get_be32(bytes + STATE_AT_VERSION);
    if (version != STATE_VERSION && version != STATE_CHANGED) {
        return "is of another version";
    }
    uint32_t flags = tl_get_be32(bytes + STATE_AT_FLAGS);
    size_t origin_len = bytes[STATE_AT_ORIGIN_LEN];
    struct tl_str origin = { .text = (const char *)bytes + STATE_AT_ORIGIN, .len = origin_len };
    if (flags > (STATE_HAS_NEXT | STATE_HAS_LOG | STATE_HAS_MAC) || !next_fits(bytes, flags) ||
        !change_fits(bytes, flags) || tl_get_be32(bytes + STATE_AT_INCARNATION) == 0 ||
        origin_len > TL_ORIGIN_LEN_MAX || !tl_origin_is_valid(origin) ||
        !is_zero(bytes + STATE_AT_ORIGIN + origin_len, TL_ORIGIN_LEN_MAX - origin_len) ||
        !is_zero(bytes + STATE_AT_ZERO, STATE_AT_CHECKSUM - STATE_AT_ZERO)) {
        return "has a value out of range";
    }
    return NULL;
}

tally_status tl_keystate_decode(struct tl_keystate *out, const uint8_t *bytes, size_t len,
                                struct tally_error *err)
{
    const char *fault = find_fault(bytes, len);
    if (fault != NULL) {
        return tl_fail(err, TALLY_ECORRUPT, "the key state %s", fault);
    }
    *out = (struct tl_keystate){
        .incarnation = tl_get_be32(bytes + STATE_AT_INCARNATION),
        .mac_gen = tl_get_be32(bytes + STATE_AT_MAC_GEN),
        .log_seq = tl_get_be64(bytes + STATE_AT_LOG_SEQ),
        .mac_seq = tl_get_be64(bytes + STATE_AT_MAC_SEQ),
        .has_next = (tl_get_be32(bytes + STATE_AT_FLAGS) & STATE_HAS_NEXT) != 0,
    };
    memcpy(out->origin, bytes + STATE_AT_ORIGIN, bytes[STATE_AT_ORIGIN_LEN]);
    get_secret(&out->current, bytes + STATE_AT_CURRENT);
    get_secret(&out->next, bytes + STATE_AT_NEXT);
    get_change(&out->change, bytes + STATE_AT_CHANGE, tl_get_be32(bytes + STATE_AT_FLAGS));
    return TALLY_OK;
}

enum {
    MARK_AT_MAGIC = 0,
    MARK_AT_FLAGS = 4,
    MARK_AT_SIZE = 8,
    MARK_AT_ROOT = 16,
    MARK_AT_CHECKSUM = 48,
};
#define MARK_MAGIC        0x544c4831u /* "TLH1" */
#define MARK_CLEAN        1u
#define MARK_CHECKSUM_LEN 16u
#define MARK_SLOTS        2u

_Static_assert(MARK_AT_CHECKSUM + MARK_CHECKSUM_LEN == TL_HIGHWATER_SLOT_LEN, "layout");

void tl_highwater_encode(uint8_t out[TL_HIGHWATER_SLOT_LEN], const struct tl_highwater *mark)
{
    tl_put_be32(out + MARK_AT_MAGIC, MARK_MAGIC);
    tl_put_be32(out + MARK_AT_FLAGS, mark->clean ? MARK_CLEAN : 0);
    tl_put_be64(out + MARK_AT_SIZE, mark->size);
    memcpy(out + MARK_AT_ROOT, mark->root, sizeof(mark->root));
    uint8_t checksum[TL_SHA256_LEN];
    tl_sha256(checksum, out, MARK_AT_CHECKSUM);
    memcpy(out + MARK_AT_CHECKSUM, checksum, MARK_CHECKSUM_LEN);
}

static bool decode_slot(struct tl_highwater *out, const uint8_t bytes[TL_HIGHWATER_SLOT_LEN])
{
    uint8_t checksum[TL_SHA256_LEN];
    tl_sha256(checksum, bytes, MARK_AT_CHECKSUM);
    uint32_t flags = tl_get_be32(bytes + MARK_AT_FLAGS);
    if (tl_get_be32(bytes + MARK_AT_MAGIC) != MARK_MAGIC || flags > MARK_CLEAN ||
        memcmp(checksum, bytes + MARK_AT_CHECKSUM, MARK_CHECKSUM_LEN) != 0) {
        return false;
    }
    out->size = tl_get_be64(bytes + MARK_AT_SIZE);
    memcpy(out->root, bytes + MARK_AT_ROOT, sizeof(out->root));
    out->clean = flags == MARK_CLEAN;
    return true;
}

/* Of two marks of one size, the clean one was written last: a start adds a leaf. */
static bool is_later(const struct tl_highwater *a, const struct tl_highwater *b)
{
    return a->size > b->size || (a->size == b->size && a->clean && !b->clean);
}

tally_status tl_highwater_decode(struct tl_highwater *out, uint32_t *slot_out, const uint8_t *bytes,
                                 size_t len, struct tally_error *err)
{
    struct tl_highwater marks[MARK_SLOTS];
    bool valid[MARK_SLOTS] = { false };
    if (len > (size_t)MARK_SLOTS * TL_HIGHWATER_SLOT_LEN) {
        return tl_fail(err, TALLY_ECORRUPT, "the high-water mark has %zu bytes", len);
    }
    for (size_t i = 0; i < MARK_SLOTS && (i + 1) * TL_HIGHWATER_SLOT_LEN <= len; i++) {
        valid[i] = decode_slot(&marks[i], bytes + i * TL_HIGHWATER_SLOT_LEN);
    }
    if (!valid[0] && !valid[1]) {
        return tl_fail(err, TALLY_ECORRUPT, "the high-water mark has no valid slot");
    }
    if (valid[0] && valid[1] && marks[0].size == marks[1].size &&
        memcmp(marks[0].root, marks[1].root, sizeof(marks[0].root)) != 0) {
        return tl_fail(err, TALLY_ECORRUPT, "the high-water mark has two roots of one size");
    }
    size_t best = valid[1] && (!valid[0] || is_later(&marks[1], &marks[0])) ? 1 : 0;
    *out = marks[best];
    *slot_out = best == 0 ? 1 : 0;
    return TALLY_OK;
}
