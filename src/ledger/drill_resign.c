/* Attacks of somebody who also has keys: the tree is made anew, and signed. */
#include "ledger/drill.h"

#include "base/bytes.h"
#include "ledger/keys.h"
#include "tree/tree.h"

#define PAYLOAD_BYTES_MAX ((size_t)4 << 20)
#define EVENT_BYTES_MAX   ((size_t)32 << 20)
#define KIND_AT           4u
#define COMMIT_AT         48u
#define TAIL              8u /* the record that is rewritten is so far from the end */

/* A tree that is computed again, and written over the one in the store. Large: allocated. */
struct retree {
    struct tl_drill *drill;
    struct tally_store *store; /* the same one, for reading */
    struct tl_tiler tiler;
    struct tl_frontier frontier;
    int64_t last_us; /* of the newest leaf so far */
    struct tally_error *err;
};

static void retree_freep(struct retree **retree)
{
    if (*retree != NULL) {
        tl_store_close((*retree)->store);
        tl_free(*retree);
    }
    *retree = NULL;
}

static tally_status retree_new(struct retree **retree_out, struct tl_drill *drill,
                               struct tally_error *err)
{
    TL_CLEANUP(retree_freep) struct retree *retree = tl_alloc_array(1, sizeof(*retree));
    if (retree == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a tree");
    }
    retree->drill = drill;
    retree->err = err;
    TL_TRY(tl_drill_open(drill, err));
    TL_TRY(tl_store_open(&retree->store, drill->damaged.store, TALLY_STORE_READ, err));
    *retree_out = TL_TAKE(retree);
    return TALLY_OK;
}

static tally_status put_tile(void *ctx, uint32_t level, uint64_t n, const uint8_t *data)
{
    struct retree *retree = ctx;
    const struct tl_tamper_value values[] = { tl_tamper_blob(data, TL_TILE_LEN),
                                              tl_tamper_number(level), tl_tamper_number(n) };
    return tl_tamper_run(retree->drill->db,
                         "UPDATE tile SET data = ? WHERE level = ? AND n = ? AND data <> ?1",
                         values, TL_ARRAY_LEN(values), NULL, retree->err);
}

static tally_status put_leaf(void *ctx, const struct tally_record *record)
{
    struct retree *retree = ctx;
    struct tl_leaf leaf;
    uint8_t hash[TL_HASH_LEN];
    TL_TRY(tl_leaf_decode(&leaf, record->leaf, record->leaf_len, retree->err));
    retree->last_us = leaf.time_us;
    tl_tree_hash_leaf(hash, record->leaf, record->leaf_len);
    tl_frontier_add(&retree->frontier, hash);
    return tl_tiler_add(&retree->tiler, hash, put_tile, retree);
}

/* Goes on to a tree of `size` leaves. */
static tally_status extend(struct retree *retree, uint64_t size)
{
    return tl_store_scan(retree->store, retree->frontier.size, size, put_leaf, retree, retree->err);
}

static tally_status put_head(struct retree *retree, struct tally_error *err)
{
    uint8_t root[TL_HASH_LEN];
    uint8_t packed[TL_FRONTIER_MAX * TL_HASH_LEN];
    tl_frontier_root(&retree->frontier, root);
    size_t len = tl_frontier_pack(&retree->frontier, packed);
    const struct tl_tamper_value values[] = { tl_tamper_number(retree->frontier.size),
                                              tl_tamper_blob(root, sizeof(root)),
                                              tl_tamper_blob(packed, len) };
    return tl_tamper_run(retree->drill->db, "UPDATE head SET size = ?, root = ?, frontier = ?",
                         values, TL_ARRAY_LEN(values), NULL, err);
}

/* The size of the first checkpoint of more than `size` leaves. */
static tally_status next_checkpoint(struct tl_drill *drill, uint64_t size, uint64_t *next_out,
                                    struct tally_error *err)
{
    const struct tl_tamper_value value = tl_tamper_number(size);
    return tl_tamper_get(drill->db,
                         "SELECT size FROM checkpoint WHERE size > ? ORDER BY size LIMIT 1", &value,
                         1, NULL, next_out, err);
}

tally_status tl_drill_cut(struct tl_drill *drill, const struct tl_attack *attack,
                          struct tally_error *err)
{
    (void)attack;
    static const char *const cuts[] = {
        "DELETE FROM record WHERE seq >= ?",
        "DELETE FROM checkpoint WHERE size > ?",
        "DELETE FROM event_id WHERE seq >= ?",
        "DELETE FROM event_id_recent WHERE first >= ?",
        "DELETE FROM tile WHERE (n + 1) << (8 * (level + 1)) > ?",
    };
    struct tl_tamper_value size = tl_tamper_number(drill->size);
    uint64_t kept = 0;
    TL_CLEANUP(retree_freep) struct retree *retree = NULL;
    TL_TRY(retree_new(&retree, drill, err));
    tl_assert(retree != NULL);
    TL_TRY(tl_tamper_get(drill->db,
                         "SELECT size FROM checkpoint WHERE size < ? ORDER BY size DESC LIMIT 1",
                         &size, 1, NULL, &kept, err));
    TL_TRY(extend(retree, kept));
    size = tl_tamper_number(kept);
    for (size_t i = 0; i < TL_ARRAY_LEN(cuts); i++) {
        TL_TRY(tl_tamper_run(drill->db, cuts[i], &size, 1, NULL, err));
    }
    return put_head(retree, err);
}

tally_status tl_drill_policy(struct tl_drill *drill, uint64_t seq, struct tl_buf *leaf,
                             struct tl_arena *arena, struct tl_control *control,
                             struct tally_error *err)
{
    const struct tl_tamper_value value = tl_tamper_number(seq);
    tl_buf_init(leaf, PAYLOAD_BYTES_MAX);
    TL_TRY(tl_tamper_get(drill->db,
                         "SELECT leaf FROM record WHERE seq < ? AND substr(leaf, 5, 1) IN (x'80', "
                         "x'82') ORDER BY seq DESC LIMIT 1",
                         &value, 1, leaf, NULL, err));
    struct tl_leaf decoded;
    TL_TRY(tl_leaf_decode(&decoded, (const uint8_t *)leaf->data, leaf->len, err));
    return tl_control_parse(control, arena, decoded.kind, leaf->data + TL_LEAF_LEN,
                            leaf->len - TL_LEAF_LEN, err);
}

/* What a record is made of, while it is rewritten. */
struct rewrite {
    struct tl_buf policy;
    struct tl_buf event;
    struct tl_buf seed;
    struct tl_buf leaf;
    struct tl_buf scratch;
    struct tl_arena arena;
    struct tl_split split;
    struct tl_control control;
};

static tally_status read_column(struct tl_drill *drill, const char *sql, uint64_t seq,
                                struct tl_buf *out, struct tally_error *err)
{
    const struct tl_tamper_value value = tl_tamper_number(seq);
    tl_buf_init(out, EVENT_BYTES_MAX);
    return tl_tamper_get(drill->db, sql, &value, 1, out, NULL, err);
}

static tally_status write_record(struct tl_drill *drill, const struct rewrite *rewrite,
                                 uint64_t seq, struct tally_error *err)
{
    const struct tl_tamper_value values[] = { tl_tamper_text(tl_buf_str(&rewrite->event)),
                                              tl_tamper_blob(rewrite->leaf.data, rewrite->leaf.len),
                                              tl_tamper_number(seq) };
    return tl_tamper_run(drill->db, "UPDATE record SET event = ?, leaf = ? WHERE seq = ?", values,
                         TL_ARRAY_LEN(values), NULL, err);
}

/* Makes a record say something else, with the commitment and, as far as the keys go, the MAC that
 * belong to it. */
static tally_status rewrite_with(struct rewrite *rewrite, struct tl_drill *drill,
                                 const struct tl_keys *keys, uint64_t seq, struct tally_error *err)
{
    static const char marker[] = "\"action\":\"";
    TL_TRY(tl_drill_policy(drill, seq, &rewrite->policy, &rewrite->arena, &rewrite->control, err));
    TL_TRY(read_column(drill, "SELECT event FROM record WHERE seq = ?", seq, &rewrite->event, err));
    TL_TRY(read_column(drill, "SELECT seed FROM record WHERE seq = ?", seq, &rewrite->seed, err));
    TL_TRY(read_column(drill, "SELECT leaf FROM record WHERE seq = ?", seq, &rewrite->leaf, err));
    struct tl_buf *event = &rewrite->event;
    char *at = memmem(event->data, event->len, marker, sizeof(marker) - 1);
    if (at == NULL || rewrite->seed.len != TL_SEED_LEN || rewrite->leaf.len != TL_LEAF_LEN) {
        return tl_fail(err, TALLY_ENOTFOUND, "the ledger has no such record");
    }
    at += sizeof(marker) - 1;
    *at = *at == 'a' ? 'b' : 'a';
    uint8_t *leaf = (uint8_t *)rewrite->leaf.data;
    TL_TRY(
        tl_split_event(&rewrite->split, rewrite->control.policy.erasable, event->data, event->len));
    TL_TRY(tl_commit_event(leaf + COMMIT_AT, &rewrite->split, event->data, event->len,
                           (const uint8_t *)rewrite->seed.data, &rewrite->scratch));
    struct tl_mac mac;
    tl_mac_init(&mac, keys->state.current.mac_key, keys->state.current.epoch);
    tl_mac_leaf(&mac, leaf, leaf + TL_LEAF_MAC_AT);
    tl_mac_release(&mac);
    return write_record(drill, rewrite, seq, err);
}

static tally_status rewrite_record(struct tl_drill *drill, const struct tl_keys *keys, uint64_t seq,
                                   struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct rewrite *rewrite = tl_alloc_array(1, sizeof(*rewrite));
    if (rewrite == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a record");
    }
    tl_arena_init(&rewrite->arena, PAYLOAD_BYTES_MAX);
    tl_buf_init(&rewrite->scratch, EVENT_BYTES_MAX);
    tally_status status = rewrite_with(rewrite, drill, keys, seq, err);
    tl_buf_release(&rewrite->policy);
    tl_buf_release(&rewrite->event);
    tl_buf_release(&rewrite->seed);
    tl_buf_release(&rewrite->leaf);
    tl_buf_release(&rewrite->scratch);
    tl_arena_release(&rewrite->arena);
    return status;
}

/* The second signature line of the checkpoint that is being replaced. */
static tally_status keep_epoch_line(struct tl_drill *drill, struct tl_buf *note, uint64_t size,
                                    struct tally_error *err)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf old = { 0 };
    TL_TRY(read_column(drill, "SELECT note FROM checkpoint WHERE size = ?", size, &old, err));
    const char *lines = memmem(old.data, old.len, "\n\n", 2);
    size_t left = lines == NULL ? 0 : old.len - (size_t)(lines + 2 - old.data);
    const char *second = left == 0 ? NULL : memchr(lines + 2, '\n', left);
    if (second == NULL) {
        return tl_fail(err, TALLY_ENOTFOUND, "the checkpoint has no such line");
    }
    tl_buf_add(note, second + 1, (size_t)(old.data + old.len - (second + 1)));
    return TALLY_OK;
}

static tally_status sign_again(struct retree *retree, const struct tl_keys *keys, bool epoch_too,
                               struct tally_error *err)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf note = { 0 };
    tl_buf_init(&note, TL_NOTE_LEN_MAX);
    struct tl_checkpoint_body body = { .origin = tl_str_of(keys->state.origin),
                                       .size = retree->frontier.size };
    tl_frontier_root(&retree->frontier, body.root);
    tl_checkpoint_format(&note, &body);
    size_t body_len = note.len;
    tl_buf_add_char(&note, '\n');
    TL_TRY(tl_note_sign(&note, body_len, &keys->log_key, keys->log_seed, 0));
    if (epoch_too) {
        TL_TRY(tl_note_sign(&note, body_len, &keys->epoch_key, keys->state.current.seed,
                            (uint64_t)(retree->last_us / 1000000)));
    } else {
        TL_TRY(keep_epoch_line(retree->drill, &note, body.size, err));
    }
    TL_TRY(tl_buf_status(&note));
    const struct tl_tamper_value values[] = { tl_tamper_text(tl_buf_str(&note)),
                                              tl_tamper_number(body.size) };
    return tl_tamper_run(retree->drill->db, "UPDATE checkpoint SET note = ? WHERE size = ?", values,
                         TL_ARRAY_LEN(values), NULL, err);
}

/* Makes the tree anew from record `seq` on, and signs every checkpoint that comes after it. */
static tally_status resign(struct tl_drill *drill, const struct tl_keys *keys, uint64_t seq,
                           bool epoch_too, struct tally_error *err)
{
    TL_CLEANUP(retree_freep) struct retree *retree = NULL;
    TL_TRY(retree_new(&retree, drill, err));
    tl_assert(retree != NULL);
    uint64_t size = seq;
    while (size < drill->size) {
        TL_TRY(next_checkpoint(drill, size, &size, err));
        TL_TRY(extend(retree, size));
        TL_TRY(sign_again(retree, keys, epoch_too, err));
    }
    return put_head(retree, err);
}

static tally_status rewrite_history(struct tl_drill *drill, uint64_t seq, bool epoch_too,
                                    struct tally_error *err)
{
    TL_CLEANUP(tl_keys_freep) struct tl_keys *keys = NULL;
    TL_TRY(tl_keys_load(&keys, drill->damaged.keys, err));
    TL_TRY(tl_drill_open(drill, err));
    TL_TRY(rewrite_record(drill, keys, seq, err));
    return resign(drill, keys, seq, epoch_too, err);
}

tally_status tl_drill_rewrite(struct tl_drill *drill, uint64_t seq, struct tally_error *err)
{
    return rewrite_history(drill, seq, true, err);
}

static tally_status write_payload(struct tl_drill *drill, const struct tl_keys *keys, uint64_t seq,
                                  const struct tl_control *control, struct tl_buf *bytes,
                                  struct tally_error *err)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf old = { 0 };
    TL_TRY(tl_edit_load(drill, &tl_edit_leaf, seq, &old, err));
    tl_buf_init(bytes, PAYLOAD_BYTES_MAX);
    tl_buf_add(bytes, old.data, TL_LEAF_LEN);
    TL_TRY(tl_control_format(bytes, control, err));
    uint8_t *leaf = (uint8_t *)bytes->data;
    leaf[KIND_AT] = (uint8_t)control->kind;
    tl_commit_control(leaf + COMMIT_AT, bytes->data + TL_LEAF_LEN, bytes->len - TL_LEAF_LEN);
    struct tl_mac mac;
    tl_mac_init(&mac, keys->state.current.mac_key, keys->state.current.epoch);
    tl_mac_leaf(&mac, leaf, leaf + TL_LEAF_MAC_AT);
    tl_mac_release(&mac);
    return tl_edit_save(drill, &tl_edit_leaf, seq, bytes, err);
}

tally_status tl_drill_forge(struct tl_drill *drill, uint64_t seq, const struct tl_control *control,
                            struct tally_error *err)
{
    TL_CLEANUP(tl_keys_freep) struct tl_keys *keys = NULL;
    TL_CLEANUP(tl_buf_release) struct tl_buf bytes = { 0 };
    TL_TRY(tl_keys_load(&keys, drill->damaged.keys, err));
    TL_TRY(write_payload(drill, keys, seq, control, &bytes, err));
    return resign(drill, keys, seq, true, err);
}

tally_status tl_drill_sign_log_key(struct tl_drill *drill, const struct tl_attack *attack,
                                   struct tally_error *err)
{
    (void)attack;
    return rewrite_history(drill, drill->size - TAIL, false, err);
}

tally_status tl_drill_sign_all_keys(struct tl_drill *drill, const struct tl_attack *attack,
                                    struct tally_error *err)
{
    (void)attack;
    return rewrite_history(drill, drill->size - TAIL, true, err);
}

tally_status tl_drill_sign_closed_epoch(struct tl_drill *drill, const struct tl_attack *attack,
                                        struct tally_error *err)
{
    (void)attack;
    uint64_t seq = 0;
    TL_TRY(tl_drill_open(drill, err));
    if (tl_tamper_get(drill->db,
                      "SELECT max(seq) FROM record WHERE event IS NOT NULL AND seed IS NOT NULL "
                      "AND opened IS NULL AND seq < (SELECT max(seq) FROM record WHERE "
                      "substr(leaf, 5, 1) = x'81')",
                      NULL, 0, NULL, &seq, NULL) == TALLY_ENOTFOUND) {
        return tl_fail(err, TALLY_ENOTFOUND, "no epoch with events in it is closed yet");
    }
    return rewrite_history(drill, seq, true, err);
}

tally_status tl_drill_resign(struct tl_drill *drill, uint64_t seq, struct tally_error *err)
{
    TL_CLEANUP(tl_keys_freep) struct tl_keys *keys = NULL;
    TL_TRY(tl_keys_load(&keys, drill->damaged.keys, err));
    return resign(drill, keys, seq, true, err);
}

/* The leaf has the MAC that it would have had: that alone convinces nobody. */
tally_status tl_drill_write_with_mac(struct tl_drill *drill, const struct tl_attack *attack,
                                     struct tally_error *err)
{
    (void)attack;
    TL_CLEANUP(tl_keys_freep) struct tl_keys *keys = NULL;
    TL_TRY(tl_keys_load(&keys, drill->damaged.keys, err));
    TL_TRY(tl_drill_open(drill, err));
    return rewrite_record(drill, keys, drill->late, err);
}

/* The log key that signed then is destroyed; the one there is now did not exist. */
tally_status tl_drill_sign_before_key(struct tl_drill *drill, const struct tl_attack *attack,
                                      struct tally_error *err)
{
    (void)attack;
    return rewrite_history(drill, drill->life + TL_ROLE_WHOLE, true, err);
}

/* The newest checkpoint under keys and a name of one's own, without a RESTORE that would say so. */
tally_status tl_drill_sign_as_other(struct tl_drill *drill, const struct tl_attack *attack,
                                    struct tally_error *err)
{
    (void)attack;
    TL_CLEANUP(tl_keys_freep) struct tl_keys *keys = NULL;
    TL_TRY(tl_keys_load(&keys, drill->other.keys, err));
    TL_TRY(tl_drill_open(drill, err));
    return resign(drill, keys, drill->size - TAIL, true, err);
}
