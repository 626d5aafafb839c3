/* tally_keys_rotate(): asks the sequencer for new keys, and fetches what may be told of them. */
#include <tally/keys.h>

#include <stdio.h>

#include "base/bytes.h"
#include "codec/json.h"
#include "ledger/act.h"
#include "ledger/keys.h"
#include "ledger/remote.h"
#include "ledger/trust.h"

/* What the KEY leaf says. */
struct named {
    struct tally_rotated *rotated;
    struct tl_arena arena;
    uint32_t mac_gen;
    bool found;
};

static tally_status read_leaf(void *ctx, const struct tally_record *record)
{
    struct named *named = ctx;
    struct tl_leaf leaf;
    struct tl_control control;
    TL_TRY(tl_leaf_decode(&leaf, record->leaf, record->leaf_len, NULL));
    if (leaf.kind != TL_LEAF_KEY) {
        return TALLY_ECORRUPT;
    }
    TL_TRY(tl_control_parse(&control, &named->arena, leaf.kind,
                            (const char *)record->leaf + TL_LEAF_LEN,
                            record->leaf_len - TL_LEAF_LEN, NULL));
    char text[TL_VKEY_SIZE];
    tl_vkey_format(text, &control.log_key);
    tl_str_copy(named->rotated->log_key, sizeof(named->rotated->log_key), tl_str_of(text));
    named->mac_gen = tl_get_be32(control.mac_id);
    named->found = true;
    return TALLY_OK;
}

static tally_status read_named(struct tally_ledger *ledger, struct named *named,
                               struct tally_error *err)
{
    uint64_t seq = named->rotated->seq;
    struct tl_reader reader;
    TL_TRY(tl_reader_get(ledger, &reader, err));
    tl_arena_init(&named->arena, (size_t)1 << 20);
    tally_status status = tl_store_scan(reader.store, seq, seq + 1, read_leaf, named, err);
    tl_arena_release(&named->arena);
    tl_reader_put(ledger, &reader);
    return status == TALLY_OK && !named->found
               ? tl_fail(err, TALLY_ECORRUPT, "the KEY record is not where it was sealed")
               : status;
}

static tally_status record(struct tally_ledger *ledger, const struct tally_rotated *rotated,
                           const struct tally_actor *actor, bool mac, struct tally_error *err)
{
    struct tl_buf metadata;
    tl_buf_init(&metadata, (size_t)64 << 10);
    tl_buf_add_text(&metadata, "{\"log_key\":");
    tl_json_write_string(&metadata, tl_str_of(rotated->log_key));
    tl_buf_addf(&metadata, ",\"mac\":%s", mac ? "true" : "false");
    if (actor->reason != NULL) {
        tl_buf_add_text(&metadata, ",\"reason\":");
        tl_json_write_string(&metadata, tl_str_of(actor->reason));
    }
    tl_buf_addf(&metadata, ",\"seq\":%llu}", (unsigned long long)rotated->seq);
    tl_buf_add_char(&metadata, '\0');
    tally_status status = tl_buf_status(&metadata);
    if (status == TALLY_OK) {
        status = tally_record_act(ledger, "tally.key.rotate", actor->by, metadata.data, NULL, err);
    }
    tl_buf_release(&metadata);
    return status;
}

static tally_status seal(struct tally_ledger *ledger, bool mac, const struct tally_actor *actor,
                         struct tally_rotated *rotated, struct tally_error *err)
{
    struct tl_control wish = {
        .kind = TL_LEAF_KEY, .by = tl_str_of(actor->by), .has_log_key = true, .has_mac_id = mac
    };
    if (actor->reason != NULL) {
        wish.note = tl_str_of(actor->reason);
    }
    uint64_t newest = TALLY_SEQ_NONE;
    TL_TRY(tl_acts_newest(ledger, &newest, err));
    return tl_act_seal_key(ledger, &wish, newest, rotated->mac_key, &rotated->seq, err);
}

tally_status tally_keys_rotate(struct tally_ledger *ledger, int mac,
                               const struct tally_actor *actor, struct tally_rotated *rotated_out,
                               char **request_out, struct tally_error *err)
{
    *rotated_out = (struct tally_rotated){ .seq = TALLY_SEQ_NONE };
    if (request_out != NULL) {
        *request_out = NULL;
    }
    TL_TRY(tl_remote_refuse(ledger, err));
    if (actor->by == NULL || actor->by[0] == '\0' ||
        (actor->reason != NULL && actor->reason[0] == '\0')) {
        return tl_fail(err, TALLY_EINVAL, "say who replaces the keys, and why or nothing");
    }
    TL_TRY(tl_refuse_approval(&ledger->paths, TL_LEAF_KEY, err));
    TL_TRY(seal(ledger, mac != 0, actor, rotated_out, err));
    struct named named = { .rotated = rotated_out };
    TL_TRY(read_named(ledger, &named, err));
    if (mac != 0 && !ledger->paths.memory) {
        TL_TRY(tl_keys_take_mac(rotated_out->mac_key, ledger->paths.keys, named.mac_gen, err));
    }
    return record(ledger, rotated_out, actor, mac != 0, err);
}
