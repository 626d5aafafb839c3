#include "evidence/leaf.h"

#include "base/bytes.h"
#include "codec/uuid.h"
#include "crypto/crypto.h"

#define MAGIC 0x544c5931u /* "TLY1" */

enum {
    AT_MAGIC = 0,
    AT_KIND = 4,
    AT_FLAGS = 5,
    AT_CLASS = 6,
    AT_SEQ = 8,
    AT_TIME = 16,
    AT_RETAIN_UNTIL = 24,
    AT_EPOCH = 28,
    AT_ID = 32,
    AT_COMMIT = 48,
    AT_MAC_GEN = 80,
    AT_INCARNATION = 84,
    AT_MAC = 88,
};
_Static_assert(AT_MAC == TL_LEAF_MAC_AT, "the MAC covers all before it");
_Static_assert(AT_MAC + TL_LEAF_MAC_LEN == TL_LEAF_LEN, "the MAC ends the leaf");
_Static_assert(TL_LEAF_LEN + TL_LEAF_PAYLOAD_MAX == UINT16_MAX, "entry tiles have u16 lengths");

#define FLAGS_ALL   ((uint32_t)(TL_LEAF_HAS_MEMBERS | TL_LEAF_TIME_HELD))
#define PAYLOAD_MIN 2u /* "{}" */

static const uint8_t no_id[TL_LEAF_ID_LEN];

bool tl_leaf_is_act(enum tl_leaf_kind kind)
{
    return kind == TL_LEAF_PURGE || kind == TL_LEAF_ERASE || kind == TL_LEAF_HOLD ||
           kind == TL_LEAF_RELEASE || kind == TL_LEAF_POLICY || kind == TL_LEAF_KEY ||
           kind == TL_LEAF_ANCHOR || kind == TL_LEAF_RESTORE;
}

bool tl_leaf_is_control(enum tl_leaf_kind kind)
{
    return kind != TL_LEAF_ENTRY;
}

const char *tl_leaf_kind_name(enum tl_leaf_kind kind)
{
    switch (kind) {
    case TL_LEAF_ENTRY:
        return "ENTRY";
    case TL_LEAF_GENESIS:
        return "GENESIS";
    case TL_LEAF_EPOCH:
        return "EPOCH";
    case TL_LEAF_POLICY:
        return "POLICY";
    case TL_LEAF_PURGE:
        return "PURGE";
    case TL_LEAF_ERASE:
        return "ERASE";
    case TL_LEAF_HOLD:
        return "HOLD";
    case TL_LEAF_RELEASE:
        return "RELEASE";
    case TL_LEAF_KEY:
        return "KEY";
    case TL_LEAF_ANCHOR:
        return "ANCHOR";
    case TL_LEAF_GAP:
        return "GAP";
    case TL_LEAF_RESUME:
        return "RESUME";
    case TL_LEAF_RESTORE:
        return "RESTORE";
    }
    return "UNKNOWN";
}

static bool kind_exists(uint8_t kind)
{
    return kind == TL_LEAF_ENTRY || (kind >= TL_LEAF_GENESIS && kind <= TL_LEAF_RESTORE);
}

/* Says what is wrong with a leaf by itself; NULL if nothing. */
static const char *find_fault(const struct tl_leaf *leaf)
{
    if ((leaf->flags & ~FLAGS_ALL) != 0) {
        return "leaf has unknown flags";
    }
    if (!tl_leaf_is_control(leaf->kind)) {
        return NULL;
    }
    if ((leaf->flags & (uint32_t)TL_LEAF_HAS_MEMBERS) != 0 || leaf->class_id != 0 ||
        leaf->retain_until != TL_RETAIN_FOREVER || memcmp(leaf->id, no_id, sizeof(no_id)) != 0) {
        return "control leaf with fields of an entry";
    }
    return NULL;
}

void tl_leaf_encode(uint8_t out[TL_LEAF_LEN], const struct tl_leaf *leaf)
{
    tl_assert(kind_exists((uint8_t)leaf->kind));
    tl_assert(leaf->time_us >= 0);
    tl_assert(find_fault(leaf) == NULL);

    tl_put_be32(out + AT_MAGIC, MAGIC);
    out[AT_KIND] = (uint8_t)leaf->kind;
    out[AT_FLAGS] = (uint8_t)leaf->flags;
    tl_put_be16(out + AT_CLASS, leaf->class_id);
    tl_put_be64(out + AT_SEQ, leaf->seq);
    tl_put_be64(out + AT_TIME, (uint64_t)leaf->time_us);
    tl_put_be32(out + AT_RETAIN_UNTIL, leaf->retain_until);
    tl_put_be32(out + AT_EPOCH, leaf->epoch);
    memcpy(out + AT_ID, leaf->id, sizeof(leaf->id));
    memcpy(out + AT_COMMIT, leaf->commit, sizeof(leaf->commit));
    tl_put_be32(out + AT_MAC_GEN, leaf->mac_gen);
    tl_put_be32(out + AT_INCARNATION, leaf->incarnation);
    memcpy(out + AT_MAC, leaf->mac, sizeof(leaf->mac));
}

static bool length_fits(enum tl_leaf_kind kind, size_t len)
{
    if (!tl_leaf_is_control(kind)) {
        return len == TL_LEAF_LEN;
    }
    return len >= TL_LEAF_LEN + PAYLOAD_MIN && len <= TL_LEAF_LEN + TL_LEAF_PAYLOAD_MAX;
}

tally_status tl_leaf_decode(struct tl_leaf *out, const uint8_t *bytes, size_t len,
                            struct tally_error *err)
{
    if (len < TL_LEAF_LEN || tl_get_be32(bytes + AT_MAGIC) != MAGIC) {
        return tl_fail(err, TALLY_ECORRUPT, "%zu bytes that are no leaf", len);
    }
    if (!kind_exists(bytes[AT_KIND])) {
        return tl_fail(err, TALLY_ECORRUPT, "leaf of unknown kind %02x", bytes[AT_KIND]);
    }
    out->kind = (enum tl_leaf_kind)bytes[AT_KIND];
    if (!length_fits(out->kind, len)) {
        return tl_fail(err, TALLY_ECORRUPT, "%s leaf of %zu bytes", tl_leaf_kind_name(out->kind),
                       len);
    }
    uint64_t time_us = tl_get_be64(bytes + AT_TIME);
    if (time_us > INT64_MAX) {
        return tl_fail(err, TALLY_ECORRUPT, "leaf with a time out of range");
    }
    out->flags = bytes[AT_FLAGS];
    out->class_id = tl_get_be16(bytes + AT_CLASS);
    out->seq = tl_get_be64(bytes + AT_SEQ);
    out->time_us = (int64_t)time_us;
    out->retain_until = tl_get_be32(bytes + AT_RETAIN_UNTIL);
    out->epoch = tl_get_be32(bytes + AT_EPOCH);
    memcpy(out->id, bytes + AT_ID, sizeof(out->id));
    memcpy(out->commit, bytes + AT_COMMIT, sizeof(out->commit));
    out->mac_gen = tl_get_be32(bytes + AT_MAC_GEN);
    out->incarnation = tl_get_be32(bytes + AT_INCARNATION);
    memcpy(out->mac, bytes + AT_MAC, sizeof(out->mac));

    const char *fault = find_fault(out);
    return fault == NULL ? TALLY_OK : tl_fail(err, TALLY_ECORRUPT, "%s", fault);
}

tally_status tl_leaf_id(uint8_t out[TL_LEAF_ID_LEN], struct tl_str id)
{
    uint8_t uuid[TL_UUID_LEN];
    if (tl_uuid_parse(uuid, id) != TALLY_OK) { /* upper-case text too is no UUID here */
        uint8_t hash[TL_SHA256_LEN];
        tl_sha256(hash, id.text, id.len);
        memcpy(out, hash, TL_LEAF_ID_LEN);
        return TALLY_OK;
    }
    if (memcmp(uuid, no_id, sizeof(no_id)) == 0) { /* it would look like a control leaf's */
        return TALLY_EINVAL;
    }
    memcpy(out, uuid, TL_LEAF_ID_LEN);
    return TALLY_OK;
}

uint32_t tl_epoch_of(int64_t start_us, uint32_t epoch_seconds, int64_t time_us)
{
    tl_assert(epoch_seconds > 0);
    if (time_us <= start_us) {
        return 0;
    }
    /* The difference of two int64_t fits uint64_t, though not always int64_t. */
    uint64_t passed_us = (uint64_t)time_us - (uint64_t)start_us;
    uint64_t epoch = passed_us / (epoch_seconds * UINT64_C(1000000));
    return epoch < UINT32_MAX ? (uint32_t)epoch : UINT32_MAX;
}

uint32_t tl_retain_until(int64_t basis_us, int32_t days)
{
    tl_assert(days >= -1);
    if (days == -1) {
        return TL_RETAIN_FOREVER;
    }
    int64_t basis_day = 0;
    if (basis_us > 0) {
        basis_day = basis_us / TL_DAY_US + (basis_us % TL_DAY_US != 0);
    }
    int64_t until = basis_day + days;
    return until < TL_RETAIN_FOREVER ? (uint32_t)until : TL_RETAIN_FOREVER - 1;
}
