#include "support/mkledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "codec/base64.h"

#define NOTE_MAX 8192u

void mk_key_make(struct mk_key *out, const char *name, uint8_t type, uint8_t fill)
{
    uint8_t public_key[TL_ED25519_KEY_LEN];
    memset(out->seed, fill, sizeof(out->seed));
    tl_assert(tl_ed25519_public(public_key, out->seed) == TALLY_OK);
    tl_assert(tl_vkey_make(&out->key, tl_str_of(name), type, public_key, NULL) == TALLY_OK);
}

static void make_epoch_key(struct mk *mk, uint32_t epoch)
{
    char name[TL_KEY_NAME_LEN_MAX + 1];
    (void)snprintf(name, sizeof(name), "%s/epoch/%" PRIu32, mk->origin, epoch);
    mk_key_make(&mk->epoch_key, name, TL_NOTE_TYPE_COSIGNED, (uint8_t)(mk->generation + epoch));
}

static tally_status take_tile(void *ctx, uint32_t level, uint64_t n, const uint8_t *data)
{
    struct mk *mk = ctx;
    image_add_tile(&mk->image, level, n, data);
    return TALLY_OK;
}

static void add_to_tree(struct mk *mk, const uint8_t *leaf, size_t len)
{
    uint8_t hash[TL_HASH_LEN];
    tl_tree_hash_leaf(hash, leaf, len);
    tl_frontier_add(&mk->frontier, hash);
    tl_assert(tl_tiler_add(mk->tiler, hash, take_tile, mk) == TALLY_OK);
}

/* Seals one leaf, with its payload or content. */
static void add_leaf(struct mk *mk, struct tl_leaf *leaf, struct tally_record *record,
                     const char *payload)
{
    leaf->seq = mk->seq;
    leaf->time_us = mk->time_us;
    leaf->epoch = mk->epoch;
    leaf->mac_gen = mk->mac_gen;
    leaf->incarnation = mk->incarnation;
    if (mk->tweak != NULL) {
        mk->tweak(leaf);
        mk->tweak = NULL;
    }
    size_t payload_len = payload == NULL ? 0 : strlen(payload);
    uint8_t *bytes = tl_alloc_array(TL_LEAF_LEN + payload_len, 1);
    tl_assert(bytes != NULL);
    tl_leaf_encode(bytes, leaf);
    tl_mac_leaf(&mk->mac, bytes, bytes + TL_LEAF_MAC_AT);
    memcpy(bytes + TL_LEAF_LEN, payload_len == 0 ? "" : payload, payload_len);
    if (mk->tweak_bytes != NULL) {
        mk->tweak_bytes(bytes);
        mk->tweak_bytes = NULL;
    }
    record->seq = mk->seq++;
    record->leaf = bytes;
    record->leaf_len = TL_LEAF_LEN + payload_len;
    image_add(&mk->image, record);
    add_to_tree(mk, bytes, record->leaf_len);
    tl_free(bytes);
}

void mk_control(struct mk *mk, enum tl_leaf_kind kind, const char *payload)
{
    struct tl_leaf leaf = { .kind = kind, .retain_until = TL_RETAIN_FOREVER };
    tl_commit_control(leaf.commit, payload, strlen(payload));
    struct tally_record record = { 0 };
    add_leaf(mk, &leaf, &record, payload);
}

void mk_event_text(char out[MK_EVENT_SIZE], uint64_t n)
{
    (void)snprintf(
        out, MK_EVENT_SIZE,
        "{\"action\":\"invoice.update\",\"actor\":{\"id\":\"user-%" PRIu64
        "\",\"name\":\"Ann Example %" PRIu64 "\",\"type\":\"user\"},\"id\":\"%08" PRIx64
        "-0000-7000-8000-0123456789ab\",\"metadata\":{\"note\":\"a few words about it\"},"
        "\"occurred_at\":\"2025-12-31T23:00:00.123456Z\",\"outcome\":\"success\",\"reason\":"
        "\"asked by phone\",\"severity\":\"low\",\"source\":{\"ip\":\"192.0.2.7\",\"service\":"
        "\"billing\"},\"targets\":[{\"id\":\"invoice-77\",\"type\":\"invoice\"}]}",
        n % 7, n, n);
}

void mk_event_of(struct mk *mk, const char *event)
{
    static struct tl_split split;
    size_t len = strlen(event);
    uint8_t seed[TL_SEED_LEN];
    memset(seed, (int)(mk->seq * 7 + 1), sizeof(seed));
    tl_put_be64(seed, mk->seq);
    tl_assert(tl_split_event(&split, mk->set, event, len) == TALLY_OK);
    mk->time_us += 1000;
    int64_t basis = mk->by_occurred ? INT64_C(1767222000123456) : mk->time_us;
    struct tl_leaf leaf = {
        .kind = TL_LEAF_ENTRY,
        .flags = split.count > 0 ? TL_LEAF_HAS_MEMBERS : 0,
        .class_id = mk->by_occurred ? 2 : 1,
        .retain_until = tl_retain_until(basis, mk->class_days),
    };
    const char *id = strstr(event, "\"id\":\"0");
    struct tl_str id_text = id == NULL ? TL_STR("none") : (struct tl_str){ id + 6, 36 };
    tl_assert(tl_leaf_id(leaf.id, id_text) == TALLY_OK);
    tl_assert(tl_commit_event(leaf.commit, &split, event, len, seed, &mk->scratch) == TALLY_OK);
    struct tally_record record = {
        .event = event, .event_len = len, .seed = seed, .seed_len = sizeof(seed)
    };
    add_leaf(mk, &leaf, &record, NULL);
}

void mk_event(struct mk *mk)
{
    char text[MK_EVENT_SIZE];
    mk_event_text(text, mk->seq);
    mk_event_of(mk, text);
}

static void sign(struct mk *mk, struct tl_buf *note, size_t body_len, const struct mk_key *key,
                 bool bad)
{
    int64_t time_s = mk->checkpoint_time_s != 0 ? mk->checkpoint_time_s : mk->time_us / 1000000;
    uint8_t seed[TL_ED25519_KEY_LEN];
    memcpy(seed, key->seed, sizeof(seed));
    seed[0] ^= bad;
    tl_assert(tl_note_sign(note, body_len, &key->key, seed, (uint64_t)time_s) == TALLY_OK);
}

/* The three lines and the empty one; returns the length of what is signed. */
static size_t begin_note(struct mk *mk, const struct tl_frontier *frontier, struct tl_buf *note,
                         struct tl_checkpoint_body *body)
{
    *body = (struct tl_checkpoint_body){ .origin = tl_str_of(mk->origin), .size = frontier->size };
    tl_frontier_root(frontier, body->root);
    body->root[TL_HASH_LEN - 1] ^= mk->bad_root;
    tl_buf_init(note, NOTE_MAX);
    tl_checkpoint_format(note, body);
    size_t body_len = note->len;
    tl_buf_add_char(note, '\n');
    return body_len;
}

void mk_forge(struct mk *mk, size_t at, bool has_epoch_key)
{
    static struct tl_frontier frontier;
    memset(&frontier, 0, sizeof(frontier));
    struct image_checkpoint *kept = &mk->image.checkpoints[at];
    for (size_t i = 0; i < kept->size; i++) {
        uint8_t hash[TL_HASH_LEN];
        tl_tree_hash_leaf(hash, mk->image.records[i].leaf.data, mk->image.records[i].leaf.len);
        tl_frontier_add(&frontier, hash);
    }
    struct tl_checkpoint_body body;
    struct tl_buf note;
    size_t body_len = begin_note(mk, &frontier, &note, &body);
    sign(mk, &note, body_len, &mk->log, false);
    if (has_epoch_key) {
        sign(mk, &note, body_len, &mk->epoch_key, false);
    }
    image_set(&kept->note, note.data, note.len);
    tl_buf_release(&note);
}

void mk_checkpoint(struct mk *mk)
{
    struct tl_checkpoint_body body;
    struct tl_buf note;
    size_t body_len = begin_note(mk, &mk->frontier, &note, &body);
    if (!mk->no_log_line) {
        sign(mk, &note, body_len, &mk->log, mk->bad_log_line);
    }
    if (mk->second_log != NULL) {
        sign(mk, &note, body_len, mk->second_log, false);
    }
    if (!mk->no_epoch_line) {
        sign(mk, &note, body_len, &mk->epoch_key, mk->bad_epoch_line);
    }
    if (mk->witnessed) {
        sign(mk, &note, body_len, &mk->witness, false);
    }
    image_add_checkpoint(&mk->image, body.size, note.data, note.len);
    tl_buf_release(&note);
    struct tally_head *head = &mk->image.head;
    head->size = body.size;
    memcpy(head->root, body.root, sizeof(head->root));
    head->frontier_len = tl_frontier_pack(&mk->frontier, head->frontier);
    head->epoch = mk->epoch;
    mk->checkpoint_time_s = 0;
    mk->no_log_line = false;
    mk->no_epoch_line = false;
    mk->bad_log_line = false;
    mk->bad_epoch_line = false;
    mk->bad_root = false;
    mk->second_log = NULL;
}

void mk_events(struct mk *mk, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mk_event(mk);
    }
    mk_checkpoint(mk);
}

void mk_switch(struct mk *mk, uint32_t epochs)
{
    uint32_t to = mk->epoch + epochs;
    struct mk_key old = mk->epoch_key;
    make_epoch_key(mk, to);
    struct mk_key new = mk->epoch_key;
    char vkey[TL_VKEY_SIZE];
    char payload[1024];
    tl_vkey_format(vkey, &new.key);
    (void)snprintf(payload, sizeof(payload),
                   "{\"epoch_key\":\"%s\",\"from\":%" PRIu32 ",\"to\":%" PRIu32 "}", vkey,
                   mk->epoch, to);
    mk->time_us = (MK_START_S + (int64_t)to * MK_EPOCH_SECONDS) * 1000000 + 5000;
    mk_control(mk, TL_LEAF_EPOCH, payload);
    mk->epoch_key = old;
    mk_checkpoint(mk);
    mk->epoch_key = new;
    mk->epoch = to;
    mk->image.head.epoch = to;
    tl_mac_advance(&mk->mac, to);
}

static void add_class_text(struct tl_buf *out, const struct mk *mk)
{
    tl_buf_addf(out,
                "\"classes\":[{\"class\":1,\"days\":%" PRId32
                ",\"name\":\"a\"},{\"basis\":\"occurred\",\"class\":2,\"days\":30,\"name\":\"b\"}]",
                mk->class_days);
}

static void add_genesis(struct mk *mk)
{
    char log_key[TL_VKEY_SIZE];
    char epoch_key[TL_VKEY_SIZE];
    char hex[65];
    uint8_t mac_id[32];
    tl_vkey_format(log_key, &mk->log.key);
    tl_vkey_format(epoch_key, &mk->epoch_key.key);
    tl_mac_id(mk->k0, mac_id);
    tl_hex_encode(hex, mac_id, sizeof(mac_id));
    mk->mac_gen = tl_get_be32(mac_id);
    struct tl_buf payload;
    tl_buf_init(&payload, 65536);
    tl_buf_add_char(&payload, '{');
    add_class_text(&payload, mk);
    tl_buf_addf(&payload, ",\"epoch_key\":\"%s\",\"epoch_seconds\":%u,\"erasable\":[", epoch_key,
                MK_EPOCH_SECONDS);
    for (size_t i = 0; i < TL_ARRAY_LEN(tl_erasable_default); i++) {
        tl_buf_addf(&payload, "%s\"%s\"", i == 0 ? "" : ",", tl_erasable_default[i]);
    }
    tl_buf_addf(&payload,
                "],\"log_key\":\"%s\",\"mac_id\":\"%s\",\"origin\":\"%s\",\"policy\":1,"
                "\"start\":\"2026-01-01T00:00:00Z\",\"v\":1}",
                log_key, hex, mk->origin);
    tl_buf_add_char(&payload, '\0');
    mk_control(mk, TL_LEAF_GENESIS, payload.data);
    tl_buf_release(&payload);
}

void mk_init(struct mk *mk, const char *origin, uint8_t fill)
{
    memset(mk, 0, sizeof(*mk));
    image_init(&mk->image);
    (void)snprintf(mk->origin, sizeof(mk->origin), "%s", origin);
    mk->generation = fill;
    mk->class_days = 30;
    mk->incarnation = 1;
    mk->time_us = MK_START_S * 1000000;
    mk->set = tl_alloc_array(1, sizeof(*mk->set));
    mk->trust = tl_alloc_array(1, sizeof(*mk->trust));
    mk->tiler = tl_alloc_array(1, sizeof(*mk->tiler));
    tl_assert(mk->set != NULL && mk->trust != NULL && mk->tiler != NULL);
    tl_buf_init(&mk->scratch, (size_t)1 << 20);
    for (size_t i = 0; i < TL_ARRAY_LEN(tl_erasable_default); i++) {
        tl_assert(tl_erasable_add(mk->set, tl_str_of(tl_erasable_default[i]), NULL) == TALLY_OK);
    }
    mk_key_make(&mk->log, origin, TL_NOTE_TYPE_ED25519, (uint8_t)(fill + 100));
    mk_key_make(&mk->approver, "approver.example.com/dpo", TL_NOTE_TYPE_ED25519,
                (uint8_t)(fill + 101));
    mk_key_make(&mk->witness, "witness.example.net/w1", TL_NOTE_TYPE_COSIGNED,
                (uint8_t)(fill + 102));
    make_epoch_key(mk, 0);
    memset(mk->k0, fill + 103, sizeof(mk->k0));
    tl_mac_init(&mk->mac, mk->k0, 0);
    mk->trust->logs[mk->trust->log_count++] = mk->log.key;
    mk->trust->epochs[mk->trust->epoch_count++] = mk->epoch_key.key;
    mk->trust->approvers[mk->trust->approver_count++] = mk->approver.key;
    add_genesis(mk);
    mk_checkpoint(mk);
}

void mk_release(struct mk *mk)
{
    image_release(&mk->image);
    tl_free(mk->set);
    tl_free(mk->trust);
    tl_free(mk->tiler);
    tl_buf_release(&mk->scratch);
}

void mk_rebuild(struct mk *mk)
{
    struct image *image = &mk->image;
    memset(&mk->frontier, 0, sizeof(mk->frontier));
    memset(mk->tiler, 0, sizeof(*mk->tiler));
    image->tile_count = 0;
    for (size_t i = 0; i < image->record_count; i++) {
        add_to_tree(mk, image->records[i].leaf.data, image->records[i].leaf.len);
    }
    image_remove_checkpoint(image, image->checkpoint_count - 1);
    mk_checkpoint(mk);
}

void mk_erase_member(struct mk *mk, uint64_t seq, const char *pointer)
{
    static struct tl_split split;
    static struct tl_opened opened;
    static uint8_t parts[TL_ERASABLE_MAX][32];
    struct image_record *record = &mk->image.records[seq];
    const char *event = (const char *)record->event.data;
    uint8_t salt0[TL_SALT_LEN];
    tl_assert(tl_split_event(&split, mk->set, event, record->event.len) == TALLY_OK);
    tl_salt(salt0, record->seed.data, TL_STR(""));
    opened = (struct tl_opened){ .salt0 = salt0, .count = split.count };
    struct tl_split cut = { 0 };
    for (uint32_t i = 0; i < split.count; i++) {
        const struct tl_member *member = &split.members[i];
        struct tl_str name = { .text = member->pointer->text, .len = member->pointer->len };
        struct tl_str value = { .text = event + member->value_start,
                                .len = member->value_end - member->value_start };
        uint8_t salt[TL_SALT_LEN];
        tl_salt(salt, record->seed.data, name);
        bool erased = tl_str_is(name, pointer);
        memcpy(parts[i], salt, sizeof(salt));
        if (erased) {
            tl_member_digest(parts[i], salt, name, value);
            cut.members[cut.count++] = *member;
        }
        opened.parts[i] =
            (struct tl_opened_part){ .erased = erased, .pointer = name, .part = parts[i] };
    }
    tl_assert(cut.count == 1);
    struct tl_buf out;
    tl_buf_init(&out, 65536);
    tl_opened_encode(&out, &opened);
    image_set(&record->opened, out.data, out.len);
    tl_buf_clear(&out);
    tl_split_rest(&out, &cut, event, record->event.len);
    image_set(&record->event, out.data, out.len);
    image_clear(&record->seed);
    tl_buf_release(&out);
}

void mk_erase(struct mk *mk, uint64_t seq)
{
    struct image_record *record = &mk->image.records[seq];
    image_clear(&record->event);
    image_clear(&record->seed);
    image_clear(&record->opened);
}

void mk_approve(struct mk *mk, enum tl_leaf_kind kind, const char *payload, char out[128])
{
    struct tl_arena arena;
    struct tl_buf text;
    tl_arena_init(&arena, (size_t)1 << 20);
    tl_buf_init(&text, 65536);
    tl_assert(tl_approval_text(&text, tl_str_of(mk->origin), kind, payload, strlen(payload),
                               &arena) == TALLY_OK);
    uint8_t blob[4 + TL_ED25519_SIG_LEN];
    tl_put_be32(blob, mk->approver.key.key_id);
    tl_assert(tl_ed25519_sign(blob + 4, mk->approver.seed, mk->approver.key.public_key, text.data,
                              text.len) == TALLY_OK);
    tl_buf_clear(&text);
    tl_base64_encode(&text, blob, sizeof(blob));
    tl_assert(text.len < 128);
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    tl_buf_release(&text);
    tl_arena_release(&arena);
}
