/* What is done in a drill to records of acts, to what they permit, and by whom has keys. */
#include <errno.h>
#include <stdio.h>

#include "base/io.h"
#include "codec/base64.h"
#include "evidence/reduce.h"
#include "ledger/anchor.h"
#include "ledger/drill.h"

#define PAYLOAD_BYTES_MAX ((size_t)4 << 20)
#define DELETE_CONTENT    "UPDATE record SET event = NULL, seed = NULL WHERE seq = ?1"
#define COPY_CONTENT                                                                               \
    "UPDATE record SET (event, seed) = (SELECT event, seed FROM record WHERE seq = ?2), opened = " \
    "NULL WHERE seq = ?1"

static tally_status seq_of(const struct tl_drill *drill, enum tl_drill_act act, uint64_t *seq_out,
                           struct tally_error *err)
{
    *seq_out = drill->acts[act];
    return *seq_out != TALLY_SEQ_NONE
               ? TALLY_OK
               : tl_edit_nothing(err, "a policy by which no such member can be erased");
}

/* attack->at is the role of the record. */
static tally_status delete_content(struct tl_drill *drill, const struct tl_attack *attack,
                                   struct tally_error *err)
{
    return tl_edit_run1(drill, DELETE_CONTENT, drill->life + attack->at, err);
}

static tally_status put_content(struct tl_drill *drill, const struct tl_attack *attack,
                                struct tally_error *err)
{
    return tl_edit_run2(drill, COPY_CONTENT, drill->life + attack->at, drill->life + TL_ROLE_WHOLE,
                        err);
}

/* attack->at is the act. */
static tally_status delete_act(struct tl_drill *drill, const struct tl_attack *attack,
                               struct tally_error *err)
{
    uint64_t seq = 0;
    TL_TRY(seq_of(drill, attack->at, &seq, err));
    return tl_edit_run1(drill, "DELETE FROM record WHERE seq = ?1", seq, err);
}

static tally_status edit_act(struct tl_drill *drill, const struct tl_attack *attack,
                             struct tally_error *err)
{
    static const struct {
        const char *marker;
        const char *two;
    } members[TL_DID_COUNT] = {
        [TL_DID_KEY] = { "\"mac_id\":\"", "ab" },      [TL_DID_HOLD] = { "\"hold\":\"", "de" },
        [TL_DID_RELEASE] = { "\"hold\":\"", "de" },    [TL_DID_PURGE] = { "\"count\":", "34" },
        [TL_DID_DUE] = { "\"cutoff_day\":", "89" },    [TL_DID_ERASE] = { "\"seqs\":[", "12" },
        [TL_DID_PART] = { "\"pointers\":[\"/", "rs" }, [TL_DID_ANCHOR] = { "\"digest\":\"", "ab" },
    };
    uint64_t seq = 0;
    TL_TRY(seq_of(drill, attack->at, &seq, err));
    return tl_edit_after(drill, &tl_edit_leaf, seq, members[attack->at].marker,
                         members[attack->at].two, err);
}

/* The same once more, at the end. */
static tally_status repeat_act(struct tl_drill *drill, const struct tl_attack *attack,
                               struct tally_error *err)
{
    uint64_t seq = 0;
    TL_TRY(seq_of(drill, attack->at, &seq, err));
    return tl_edit_run2(drill,
                        "INSERT INTO record(seq, leaf) SELECT ?2, leaf FROM record WHERE seq = ?1",
                        seq, drill->size, err);
}

/* In the place of a record that has to go: so that there is no hole. */
static tally_status overwrite_by_act(struct tl_drill *drill, const struct tl_attack *attack,
                                     struct tally_error *err)
{
    uint64_t seq = 0;
    TL_TRY(seq_of(drill, attack->at, &seq, err));
    return tl_edit_run2(drill,
                        "UPDATE record SET event = NULL, seed = NULL, leaf = (SELECT leaf FROM "
                        "record WHERE seq = ?2) WHERE seq = ?1",
                        drill->late, seq, err);
}

static tally_status edit_rest(struct tl_drill *drill, const struct tl_attack *attack,
                              struct tally_error *err)
{
    uint64_t seq = 0;
    TL_TRY(seq_of(drill, attack->at, &seq, err));
    return tl_edit_after(drill, &tl_edit_event, drill->life + TL_ROLE_PARTED, "\"action\":\"", "ab",
                         err);
}

/* A byte of the salt of what is left. */
static tally_status edit_opened(struct tl_drill *drill, const struct tl_attack *attack,
                                struct tally_error *err)
{
    static const struct tl_edit_place opened_of = { "SELECT opened FROM record WHERE seq = ?1",
                                                    "UPDATE record SET opened = ?2 WHERE seq = ?1",
                                                    false };
    uint64_t seq = 0;
    TL_TRY(seq_of(drill, attack->at, &seq, err));
    return tl_edit_flip(drill, &opened_of, drill->life + TL_ROLE_PARTED, 5, 1, err);
}

static tally_status put_member(struct tl_drill *drill, const struct tl_attack *attack,
                               struct tally_error *err)
{
    uint64_t seq = 0;
    TL_TRY(seq_of(drill, attack->at, &seq, err));
    return tl_edit_run1(drill,
                        "UPDATE record SET event = replace(event, ',\"occurred_at\"', "
                        "',\"metadata\":{\"copy\":false},\"occurred_at\"') WHERE seq = ?1",
                        drill->life + TL_ROLE_PARTED, err);
}

/* What an erasure of one member goes through. Large: allocated. */
struct reduction {
    struct tl_buf leaf;
    struct tl_buf event;
    struct tl_buf seed;
    struct tl_buf policy;
    struct tl_arena arena;
    struct tl_control control;
    struct tl_erasable_set members;
    struct tl_reducer reducer;
};

static tally_status reduce(struct reduction *it, struct tl_drill *drill, uint64_t seq,
                           struct tally_error *err)
{
    TL_TRY(tl_edit_load(drill, &tl_edit_leaf, seq, &it->leaf, err));
    TL_TRY(tl_edit_load(drill, &tl_edit_event, seq, &it->event, err));
    TL_TRY(tl_edit_load(drill, &tl_edit_seed, seq, &it->seed, err));
    TL_TRY(tl_drill_policy(drill, seq, &it->policy, &it->arena, &it->control, err));
    TL_TRY(tl_erasable_add(&it->members, TL_STR(TL_DRILL_MEMBER), err));
    struct tl_leaf leaf;
    TL_TRY(tl_leaf_decode(&leaf, (const uint8_t *)it->leaf.data, it->leaf.len, err));
    const struct tally_record record = { .seq = seq,
                                         .leaf = (const uint8_t *)it->leaf.data,
                                         .leaf_len = it->leaf.len,
                                         .event = it->event.data,
                                         .event_len = it->event.len,
                                         .seed = (const uint8_t *)it->seed.data,
                                         .seed_len = it->seed.len };
    tally_status status = tl_reduce_record(&it->reducer, &record, it->control.policy.erasable,
                                           &it->members, leaf.commit);
    if (status != TALLY_OK) {
        return status == TALLY_ENOMEM ? tl_fail(err, status, "cannot take a member out")
                                      : tl_edit_nothing(err, "no such member");
    }
    const struct tl_tamper_value values[] = {
        tl_tamper_text(tl_buf_str(&it->reducer.event)),
        tl_tamper_blob(it->reducer.opened.data, it->reducer.opened.len),
        tl_tamper_number(seq),
    };
    return tl_tamper_run(drill->db,
                         "UPDATE record SET event = ?, opened = ?, seed = NULL WHERE seq = ?",
                         values, TL_ARRAY_LEN(values), NULL, err);
}

/* As an erasure does it, but for the ERASE. */
static tally_status remove_member(struct tl_drill *drill, const struct tl_attack *attack,
                                  struct tally_error *err)
{
    uint64_t seq = 0;
    TL_TRY(seq_of(drill, attack->at, &seq, err));
    TL_CLEANUP(tl_freep) struct reduction *it = tl_alloc_array(1, sizeof(*it));
    if (it == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a record");
    }
    tl_arena_init(&it->arena, PAYLOAD_BYTES_MAX);
    tl_reducer_init(&it->reducer);
    tally_status status = reduce(it, drill, drill->life + TL_ROLE_WHOLE, err);
    tl_reducer_release(&it->reducer);
    tl_arena_release(&it->arena);
    tl_buf_release(&it->policy);
    tl_buf_release(&it->seed);
    tl_buf_release(&it->event);
    tl_buf_release(&it->leaf);
    return status;
}

static tally_status name_token(const struct tl_drill *drill, char path[TL_PATH_SIZE],
                               struct tally_error *err)
{
    char dir[TL_PATH_SIZE];
    char name[24];
    (void)snprintf(name, sizeof(name), "%llu", (unsigned long long)drill->acts[TL_DID_ANCHOR]);
    TL_TRY(tl_path_join(dir, drill->damaged.dir, "anchors", err));
    return tl_path_join(path, dir, name, err);
}

static tally_status edit_token(struct tl_drill *drill, const struct tl_attack *attack,
                               struct tally_error *err)
{
    (void)attack;
    static const char text[] = "the token of somebody else\n";
    char path[TL_PATH_SIZE];
    TL_TRY(name_token(drill, path, err));
    return tl_io_replace_file(path, text, sizeof(text) - 1, 0600, err);
}

static tally_status remove_token(struct tl_drill *drill, const struct tl_attack *attack,
                                 struct tally_error *err)
{
    (void)attack;
    char path[TL_PATH_SIZE];
    TL_TRY(name_token(drill, path, err));
    return remove(path) == 0 ? TALLY_OK
                             : tl_fail_errno(err, TALLY_EIO, errno, "cannot remove '%s'", path);
}

/* ------------------------------------------------------------------------------------------- */

/* A PURGE before its day of the record that an attacker wants to be gone. */
static struct tl_control purge_of(const struct tl_range *range)
{
    return (struct tl_control){ .kind = TL_LEAF_PURGE,
                                .by = TL_STR("somebody"),
                                .override_days = true,
                                .ranges = range,
                                .range_count = 1,
                                .count = 1 };
}

/* Whoever has the keys of the machine can have it sealed; the approver's key is elsewhere. */
static tally_status seal_purge(struct tl_drill *drill, struct tl_str approval,
                               struct tally_error *err)
{
    const struct tl_range range = { drill->late, drill->late };
    struct tl_control control = purge_of(&range);
    struct tally_ledger *ledger = NULL;
    uint64_t ignored = 0;
    control.approval = approval;
    TL_TRY(tl_drill_ledger(drill, &drill->damaged, &ledger, err));
    tally_status status = tl_drill_seal(ledger, &control, &ignored, err);
    tally_close(ledger);
    TL_TRY(status);
    return tl_edit_run1(drill, DELETE_CONTENT, drill->late, err);
}

static tally_status purge_unapproved(struct tl_drill *drill, const struct tl_attack *attack,
                                     struct tally_error *err)
{
    (void)attack;
    return seal_purge(drill, (struct tl_str){ 0 }, err);
}

static tally_status purge_with_old_approval(struct tl_drill *drill, const struct tl_attack *attack,
                                            struct tally_error *err)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf leaf = { 0 };
    TL_TRY(tl_edit_load(drill, &tl_edit_leaf, drill->acts[attack->at], &leaf, err));
    tl_drill_close(drill);
    size_t start = tl_edit_find(&leaf, TL_LEAF_LEN, "\"approval\":\"");
    const char *end = start == leaf.len ? NULL : memchr(leaf.data + start, '"', leaf.len - start);
    if (end == NULL) {
        return tl_edit_nothing(err, "no approval");
    }
    struct tl_str approval = { .text = leaf.data + start,
                               .len = (size_t)(end - (leaf.data + start)) };
    return seal_purge(drill, approval, err);
}

/* By the key id of nobody whom the trust file names. */
static tally_status purge_with_own_approval(struct tl_drill *drill, const struct tl_attack *attack,
                                            struct tally_error *err)
{
    (void)attack;
    static const uint8_t made_up[4 + TL_ED25519_SIG_LEN] = { 1, 2, 3, 4 };
    TL_CLEANUP(tl_buf_release) struct tl_buf text = { 0 };
    tl_buf_init(&text, 256);
    tl_base64_encode(&text, made_up, sizeof(made_up));
    TL_TRY(tl_buf_status(&text));
    return seal_purge(drill, tl_buf_str(&text), err);
}

/* A purge that permits what is due in a hundred years. */
static tally_status forge_purge(struct tl_drill *drill, const struct tl_attack *attack,
                                struct tally_error *err)
{
    const struct tl_control control = { .kind = TL_LEAF_PURGE,
                                        .before_seq = drill->life + TL_ROLE_COUNT,
                                        .cutoff_day = 60000,
                                        .count = 1 };
    return tl_drill_forge(drill, drill->acts[attack->at], &control, err);
}

static tally_status forge_erase(struct tl_drill *drill, const struct tl_attack *attack,
                                struct tally_error *err)
{
    static const struct tl_str whole = { "", 0 };
    const struct tl_range range = { drill->late, drill->late };
    const struct tl_erase_item item = { &whole, 1, &range, 1 };
    const struct tl_control control = {
        .kind = TL_LEAF_ERASE, .basis = TL_STR("drill"), .items = &item, .item_count = 1
    };
    return tl_drill_forge(drill, drill->acts[attack->at], &control, err);
}

/* A hold that was released, again: to say that its records never were without one. */
static tally_status forge_hold(struct tl_drill *drill, const struct tl_attack *attack,
                               struct tally_error *err)
{
    const struct tl_range range = { drill->life + TL_ROLE_RELEASED,
                                    drill->life + TL_ROLE_RELEASED };
    const struct tl_control control = { .kind = TL_LEAF_HOLD,
                                        .hold = TL_STR(TL_DRILL_CASE_CLOSED),
                                        .ranges = &range,
                                        .range_count = 1 };
    return tl_drill_forge(drill, drill->acts[attack->at], &control, err);
}

static tally_status forge_anchor(struct tl_drill *drill, const struct tl_attack *attack,
                                 struct tally_error *err)
{
    struct tl_control control = { .kind = TL_LEAF_ANCHOR,
                                  .anchor_kind = TL_STR("object"),
                                  .size = drill->acts[TL_DID_KEY] + 1,
                                  .ref = TL_STR("nowhere") };
    memset(control.root, 0x5a, sizeof(control.root));
    return tl_drill_forge(drill, drill->acts[attack->at], &control, err);
}

/* ------------------------------------------------------------------------------------------- */

/* The payload alone: the leaf that is signed goes on to name the one before. */
static tally_status forge_payload(struct tl_drill *drill, const struct tl_attack *attack,
                                  struct tally_error *err)
{
    TL_TRY(edit_act(drill, attack, err));
    return tl_drill_resign(drill, drill->acts[attack->at], err);
}

/* It is the one before the record: that much was sealed. */
static tally_status drop_anchored(struct tl_drill *drill, const struct tl_attack *attack,
                                  struct tally_error *err)
{
    return tl_edit_run1(drill, "DELETE FROM checkpoint WHERE size = ?1", drill->acts[attack->at],
                        err);
}

static tally_status drop_checkpoint(struct tl_drill *drill, const struct tl_attack *attack,
                                    struct tally_error *err)
{
    return tl_edit_run1(drill, "DELETE FROM checkpoint WHERE size = ?1",
                        drill->acts[attack->at] + 1, err);
}

/* With all keys, the mark included, the open epoch can be told anew: but not to those who remember. */
static tally_status rewrite_unmarked(struct tl_drill *drill, const struct tl_attack *attack,
                                     struct tally_error *err)
{
    TL_TRY(tl_drill_sign_all_keys(drill, attack, err));
    return tl_drill_forget_mark(drill, err);
}

static tally_status rewrite_remembered(struct tl_drill *drill, const struct tl_attack *attack,
                                       struct tally_error *err)
{
    TL_TRY(tl_drill_remember(drill, tl_drill_db(&drill->sound), err));
    return rewrite_unmarked(drill, attack, err);
}

/* All of an old backup: store, keys and mark agree with each other. */
static tally_status put_back(struct tl_drill *drill, const struct tl_attack *attack,
                             struct tally_error *err)
{
    (void)attack;
    return tl_drill_replace(drill, &drill->older, err);
}

static tally_status put_back_remembered(struct tl_drill *drill, const struct tl_attack *attack,
                                        struct tally_error *err)
{
    TL_TRY(tl_drill_remember(drill, tl_drill_db(&drill->sound), err));
    return put_back(drill, attack, err);
}

#define ON_ACT(name_, expected_, told_by_, run_, act_)                                  \
    {                                                                                   \
        .name = (name_), .expected = (expected_), .told_by = (told_by_), .run = (run_), \
        .at = (act_)                                                                    \
    }
#define WITH_KEYS(name_, expected_, told_by_, run_, act_)                               \
    {                                                                                   \
        .name = (name_), .expected = (expected_), .told_by = (told_by_), .run = (run_), \
        .needs = TL_ATTACK_KEYS, .at = (act_)                                           \
    }

static const struct tl_attack attacks[] = {
    ON_ACT("delete content that a PURGE names, before its day", "PURGE_EARLY", "sealed day",
           delete_content, TL_ROLE_WHOLE),
    ON_ACT("delete content that is on hold", "HOLD_VIOLATED", "HOLD record", delete_content,
           TL_ROLE_HELD),
    ON_ACT("give a purged record other content", "CONTENT_MODIFIED", "commitment", put_content,
           TL_ROLE_PURGED),
    ON_ACT("give an erased record other content", "CONTENT_MODIFIED", "commitment", put_content,
           TL_ROLE_ERASED),
    ON_ACT("remove a member without an ERASE", "MEMBER_MISSING", "no erasure covers it",
           remove_member, TL_DID_PART),
    ON_ACT("edit what is left of a partly erased record", "CONTENT_MODIFIED", "commitment",
           edit_rest, TL_DID_PART),
    ON_ACT("edit what opens a partly erased record", "CONTENT_MODIFIED", "commitment", edit_opened,
           TL_DID_PART),
    ON_ACT("put another member in the place of an erased one", "ERASABLE_MISMATCH", "digest of it",
           put_member, TL_DID_PART),
    ON_ACT("widen the day of a PURGE record", "LEAF_MODIFIED", "tree and tiles", edit_act,
           TL_DID_DUE),
    ON_ACT("edit the count of a PURGE record", "LEAF_MODIFIED", "tree and tiles", edit_act,
           TL_DID_PURGE),
    ON_ACT("delete a PURGE record", "LEAF_MISSING", "positions", delete_act, TL_DID_PURGE),
    ON_ACT("append a PURGE record", "LEAF_EXTRA", "signed size", repeat_act, TL_DID_PURGE),
    ON_ACT("forge a PURGE in the place of a record", "LEAF_MODIFIED", "tree and tiles",
           overwrite_by_act, TL_DID_PURGE),
    ON_ACT("edit the records of an ERASE record", "LEAF_MODIFIED", "tree and tiles", edit_act,
           TL_DID_ERASE),
    ON_ACT("edit the members of an ERASE record", "LEAF_MODIFIED", "tree and tiles", edit_act,
           TL_DID_PART),
    ON_ACT("delete an ERASE record", "LEAF_MISSING", "positions", delete_act, TL_DID_ERASE),
    ON_ACT("forge an ERASE in the place of a record", "LEAF_MODIFIED", "tree and tiles",
           overwrite_by_act, TL_DID_ERASE),
    ON_ACT("rename the hold of a HOLD record", "LEAF_MODIFIED", "tree and tiles", edit_act,
           TL_DID_HOLD),
    ON_ACT("delete a HOLD record", "LEAF_MISSING", "positions", delete_act, TL_DID_HOLD),
    ON_ACT("let a RELEASE end another hold", "LEAF_MODIFIED", "tree and tiles", edit_act,
           TL_DID_RELEASE),
    ON_ACT("delete a RELEASE record", "LEAF_MISSING", "positions", delete_act, TL_DID_RELEASE),
    ON_ACT("append a released hold again", "LEAF_EXTRA", "signed size", repeat_act, TL_DID_HOLD),
    ON_ACT("edit a KEY record", "LEAF_MODIFIED", "tree and tiles", edit_act, TL_DID_KEY),
    ON_ACT("delete a KEY record", "LEAF_MISSING", "positions", delete_act, TL_DID_KEY),
    ON_ACT("drop the checkpoint of a rotation", "KEY_CHANGE_INVALID", "KEY record", drop_checkpoint,
           TL_DID_KEY),
    ON_ACT("edit an ANCHOR record", "LEAF_MODIFIED", "tree and tiles", edit_act, TL_DID_ANCHOR),
    ON_ACT("delete an ANCHOR record", "LEAF_MISSING", "positions", delete_act, TL_DID_ANCHOR),
    ON_ACT("drop the checkpoint of an anchor", "CHECKPOINT_MISSING", "ANCHOR record", drop_anchored,
           TL_DID_ANCHOR),
    ON_ACT("replace the token of an anchor", "ANCHOR_INVALID", "digest in the ANCHOR record",
           edit_token, TL_DID_ANCHOR),
    ON_ACT("remove the token of an anchor", "ANCHOR_MISSING", "ANCHOR record (a warning)",
           remove_token, TL_DID_ANCHOR),
    WITH_KEYS("seal an early PURGE without an approval", "APPROVAL_INVALID", "pinned approver",
              purge_unapproved, 0),
    WITH_KEYS("seal an early PURGE, approved by nobody known", "APPROVAL_INVALID",
              "pinned approver", purge_with_own_approval, 0),
    WITH_KEYS("seal an early PURGE with the approval of another", "APPROVAL_INVALID",
              "approver's signature", purge_with_old_approval, TL_DID_PURGE),
    WITH_KEYS("sign a PURGE of days to come", "PURGE_INVALID", "rules for a PURGE", forge_purge,
              TL_DID_DUE),
    WITH_KEYS("sign an ERASE of a record after it", "CONTROL_INVALID", "rules for an ERASE",
              forge_erase, TL_DID_ERASE),
    WITH_KEYS("sign a released hold again", "CONTROL_INVALID", "rules for a HOLD", forge_hold,
              TL_DID_DUE),
    WITH_KEYS("sign an ANCHOR of another tree", "CONTROL_INVALID", "kept checkpoint", forge_anchor,
              TL_DID_ANCHOR),
    WITH_KEYS("sign an edited PURGE record", "CONTROL_MODIFIED", "commitment", forge_payload,
              TL_DID_PURGE),
    WITH_KEYS("rewrite a record, with the current MAC key", "LEAF_MODIFIED", "tree and tiles",
              tl_drill_write_with_mac, 0),
    WITH_KEYS("rewrite a record from before a rotation, with all current keys",
              "KEY_CHANGE_INVALID", "destroyed log key", tl_drill_sign_before_key, 0),
    WITH_KEYS("go on with keys of one's own, without a RESTORE", "ORIGIN_MISMATCH", "pinned origin",
              tl_drill_sign_as_other, 0),
    WITH_KEYS("rewrite a record with all current keys and the mark", "FORK",
              "remembered checkpoint", rewrite_remembered, 0),
    { .name = "the same, and nobody remembers a checkpoint",
      .expected = "FORK",
      .told_by = "nothing",
      .run = rewrite_unmarked,
      .needs = TL_ATTACK_KEYS,
      .beyond = "made, and not found: only a checkpoint kept elsewhere tells of the open epoch" },
    WITH_KEYS("put an old backup back, keys and all", "ROLLBACK", "remembered checkpoint",
              put_back_remembered, 0),
    { .name = "the same backup, and nobody remembers a checkpoint",
      .expected = "ROLLBACK",
      .told_by = "nothing",
      .run = put_back,
      .needs = TL_ATTACK_KEYS,
      .beyond = "made, and not found: only a checkpoint kept elsewhere tells of later ones" },
};
const struct tl_attack_list tl_attacks_on_acts = { attacks, TL_ARRAY_LEN(attacks) };
