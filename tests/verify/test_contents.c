/* For each finding about leaves and contents a ledger with exactly that fault. */
#include "verify/verify.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "check.h"
#include "codec/base64.h"
#include "fault.h"
#include "support/expect.h"

static void leaves(void **state)
{
    (void)state;
    expect_make_two_epochs();
    expect_record(5)->leaf.data[0] ^= 1;
    expect_tampered("LEAF_MALFORMED", 5);
    expect_record(5)->leaf.data[0] ^= 1;
    image_clear(&expect_record(5)->leaf);
    expect_tampered("LEAF_MALFORMED", 5);
}

/* Each makes the next leaf of a ledger that is otherwise sound. */
static void turn_back(struct tl_leaf *leaf)
{
    leaf->time_us -= 2000;
}
static void set_class(struct tl_leaf *leaf)
{
    leaf->class_id = 77;
}
static void set_until(struct tl_leaf *leaf)
{
    leaf->retain_until++;
}
static void set_id(struct tl_leaf *leaf)
{
    leaf->id[5] ^= 1;
}
static void zero_id(struct tl_leaf *leaf)
{
    memset(leaf->id, 0, sizeof(leaf->id));
}
static void set_epoch(struct tl_leaf *leaf)
{
    leaf->epoch++;
}
static void set_incarnation(struct tl_leaf *leaf)
{
    leaf->incarnation++;
}
static void set_generation(struct tl_leaf *leaf)
{
    leaf->mac_gen++;
}
static void set_commit(struct tl_leaf *leaf)
{
    leaf->commit[TL_COMMIT_LEN - 1] ^= 1;
}
static void set_flag(struct tl_leaf *leaf)
{
    leaf->flags ^= TL_LEAF_HAS_MEMBERS;
}
static void set_seq(struct tl_leaf *leaf)
{
    leaf->seq += 4;
}
static void set_mac(uint8_t *leaf)
{
    leaf[TL_LEAF_LEN - 1] ^= 1; /* the last byte of it */
}

static void sealed_leaves_that_break_a_rule(void **state)
{
    (void)state;
    static const struct {
        void (*tweak)(struct tl_leaf *leaf);
        void (*tweak_bytes)(uint8_t *leaf);
        const char *code;
    } rows[] = {
        { turn_back, NULL, "TIME_REGRESSION" },    { set_class, NULL, "LEAF_INVALID" },
        { set_until, NULL, "RETENTION_MISMATCH" }, { set_id, NULL, "ID_MISMATCH" },
        { set_epoch, NULL, "EPOCH_MISMATCH" },     { set_incarnation, NULL, "LEAF_INVALID" },
        { set_generation, NULL, "LEAF_INVALID" },  { set_commit, NULL, "CONTENT_MODIFIED" },
        { set_flag, NULL, "LEAF_INVALID" },        { set_seq, NULL, "SEQ_MISMATCH" },
        { NULL, set_mac, "MAC_MISMATCH" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(rows); i++) {
        mk_release(&expect_mk);
        mk_init(&expect_mk, MK_ORIGIN, 1);
        expect_input.trust = expect_mk.trust;
        mk_events(&expect_mk, 4);
        expect_mk.tweak = rows[i].tweak;
        expect_mk.tweak_bytes = rows[i].tweak_bytes;
        mk_events(&expect_mk, 4);
        expect_tampered(rows[i].code, 5);
    }
    mk_release(&expect_mk);
    mk_init(&expect_mk, MK_ORIGIN, 1);
    expect_input.trust = expect_mk.trust;
    expect_mk.tweak = zero_id;
    mk_events(&expect_mk, 4);
    expect_among("LEAF_INVALID", 1);
}

static void an_id_that_comes_twice(void **state)
{
    (void)state;
    char text[MK_EVENT_SIZE];
    mk_events(&expect_mk, 9);
    mk_event_text(text, 4);
    mk_event_of(&expect_mk, text);
    mk_events(&expect_mk, 2);
    expect_tampered("DUPLICATE_ID", 10);
}

static void controls(void **state)
{
    (void)state;
    static const struct {
        enum tl_leaf_kind kind;
        const char *payload;
        const char *code;
    } rows[] = {
        { TL_LEAF_RELEASE, "{\"hold\":\"nobody\"}", "CONTROL_INVALID" },
        { TL_LEAF_HOLD, "{\"hold\":\"\"}", "CONTROL_INVALID" },
        { TL_LEAF_ERASE, "{\"basis\":\"x\",\"items\":[{\"pointers\":[\"\"],\"seqs\":[9]}]}",
          "CONTROL_INVALID" },
        { TL_LEAF_ANCHOR,
          "{\"digest\":\"06c0c0cddff8461a8990d6dddee4e03baba3ba5b056ce2d7f2f8bd4d0a7ae2fb\","
          "\"kind\":"
          "\"object\",\"ref\":\"a\",\"root\":\"tSEaW6pUBZC2cx94FZfQK/EK6bq3OWBzJ8EdNkoBeqw=\","
          "\"size\":99}",
          "CONTROL_INVALID" },
        { TL_LEAF_ANCHOR,
          "{\"digest\":\"06c0c0cddff8461a8990d6dddee4e03baba3ba5b056ce2d7f2f8bd4d0a7ae2fb\","
          "\"kind\":"
          "\"object\",\"ref\":\"a\",\"root\":\"tSEaW6pUBZC2cx94FZfQK/EK6bq3OWBzJ8EdNkoBeqw=\","
          "\"size\":1}",
          "CONTROL_INVALID" },
        { TL_LEAF_RESUME, "{\"clean\":true,\"size\":21,\"tail_bytes\":0}", "CONTROL_INVALID" },
        { TL_LEAF_PURGE, "{\"before_seq\":9,\"count\":0,\"cutoff_day\":1}", "PURGE_INVALID" },
        { TL_LEAF_PURGE, "{\"before_seq\":3,\"count\":0,\"cutoff_day\":99999}", "PURGE_INVALID" },
        { TL_LEAF_PURGE, "{\"count\":0,\"override\":true,\"ranges\":[[1,2]]}", "APPROVAL_INVALID" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(rows); i++) {
        mk_release(&expect_mk);
        mk_init(&expect_mk, MK_ORIGIN, 1);
        expect_input.trust = expect_mk.trust;
        mk_events(&expect_mk, 4);
        mk_control(&expect_mk, rows[i].kind, rows[i].payload);
        mk_checkpoint(&expect_mk);
        expect_among(rows[i].code, 5);
    }
}

/* What the format allows, though nobody would write it. */
static void odd_gaps_and_resumes(void **state)
{
    (void)state;
    mk_events(&expect_mk, 4);
    mk_control(&expect_mk, TL_LEAF_GAP,
               "{\"count\":0,\"exact\":true,\"from\":\"2026-01-01T00:00:00Z\",\"reason\":\"r\","
               "\"to\":\"2026-01-01T00:00:00Z\"}");
    mk_control(&expect_mk, TL_LEAF_RESUME, "{\"clean\":false,\"size\":5,\"tail_bytes\":9}");
    mk_checkpoint(&expect_mk);
    expect_verified();
}

/* An anchor of `size` leaves as the tree is now. */
static void anchor(uint64_t size, bool is_wrong)
{
    char payload[512];
    uint8_t root[TL_HASH_LEN];
    struct tl_buf text;
    tl_frontier_root(&expect_mk.frontier, root);
    root[3] ^= is_wrong;
    tl_buf_init(&text, 128);
    tl_base64_encode(&text, root, sizeof(root));
    tl_buf_add_char(&text, '\0');
    (void)snprintf(
        payload, sizeof(payload),
        "{\"digest\":\"06c0c0cddff8461a8990d6dddee4e03baba3ba5b056ce2d7f2f8bd4d0a7ae2fb\","
        "\"kind\":\"object\",\"ref\":\"a\",\"root\":\"%s\",\"size\":%u}",
        text.data, (unsigned)size);
    tl_buf_release(&text);
    mk_control(&expect_mk, TL_LEAF_ANCHOR, payload);
}

static void anchors_of_checkpoints_that_are_not_kept(void **state)
{
    (void)state;
    mk_events(&expect_mk, 4);
    for (int i = 0; i < 3; i++) {
        mk_event(&expect_mk);
    }
    anchor(8, false); /* between two checkpoints */
    mk_events(&expect_mk, 2);
    expect_unverifiable("CHECKPOINT_MISSING", 8);
    mk_event(&expect_mk);
    anchor(12, true);
    mk_events(&expect_mk, 2);
    expect_among("CONTROL_INVALID", 12);
    struct tally_report *report = expect_report();
    assert_int_equal(report->tampered, 1);
    tally_report_free(report);
}

static void an_anchored_checkpoint_of_another_root(void **state)
{
    (void)state;
    mk_events(&expect_mk, 4);
    anchor(5, false);
    mk_events(&expect_mk, 2);
    expect_verified();
    expect_record(2)->leaf.data[90] ^= 1; /* in the MAC, for a while: the root is another */
    mk_forge(&expect_mk, 1, true);
    expect_record(2)->leaf.data[90] ^= 1;
    expect_tampered("HISTORY_REWRITTEN", 4);
}

static void an_epoch_leaf(const char *vkey, unsigned from, unsigned to)
{
    char payload[512];
    (void)snprintf(payload, sizeof(payload), "{\"epoch_key\":\"%s\",\"from\":%u,\"to\":%u}", vkey,
                   from, to);
    mk_release(&expect_mk);
    mk_init(&expect_mk, MK_ORIGIN, 1);
    expect_input.trust = expect_mk.trust;
    mk_events(&expect_mk, 4);
    mk_control(&expect_mk, TL_LEAF_EPOCH, payload);
    mk_checkpoint(&expect_mk);
    expect_among("EPOCH_INVALID", 5);
    struct tally_report *report = expect_report();
    for (size_t i = 0; i < report->finding_count; i++) {
        assert_string_not_equal(report->findings[i].code, "CONTROL_INVALID");
    }
    tally_report_free(report);
}

static void epochs_that_break_the_rules(void **state)
{
    (void)state;
    char vkey[TL_VKEY_SIZE];
    struct mk_key key;
    tl_vkey_format(vkey, &expect_mk.epoch_key.key);
    an_epoch_leaf(vkey, 0, 1); /* used before, by the name of another epoch */
    mk_key_make(&key, MK_ORIGIN "/epoch/0", TL_NOTE_TYPE_COSIGNED, 77);
    tl_vkey_format(vkey, &key.key);
    an_epoch_leaf(vkey, 0, 0);
    mk_key_make(&key, "elsewhere/epoch/1", TL_NOTE_TYPE_COSIGNED, 78);
    tl_vkey_format(vkey, &key.key);
    an_epoch_leaf(vkey, 0, 1);
}

static void go_before_the_start(struct tl_leaf *leaf)
{
    leaf->time_us = (MK_START_S - 5) * 1000000;
}

static void a_leaf_from_before_the_start(void **state)
{
    (void)state;
    expect_mk.tweak = go_before_the_start;
    mk_events(&expect_mk, 4);
    expect_among("EPOCH_MISMATCH", 1);
}

static void a_modified_payload(void **state)
{
    (void)state;
    mk_events(&expect_mk, 4);
    mk_control(&expect_mk, TL_LEAF_HOLD, "{\"hold\":\"case-1\",\"ranges\":[[1,2]]}");
    mk_events(&expect_mk, 4);
    expect_input.mac_key = NULL;
    expect_record(5)->leaf.data[TL_LEAF_LEN + 11] ^= 1;
    expect_tampered("CONTROL_MODIFIED", 5);
}

static void purge(int64_t day_from_start, const char *payload)
{
    mk_switch(&expect_mk, (uint32_t)(day_from_start * 24));
    mk_events(&expect_mk, 1);
    mk_control(&expect_mk, TL_LEAF_PURGE, payload);
    mk_events(&expect_mk, 1);
}

/* Events 1-9 are due on day 20485, 31 days after the start. */
static void purges(void **state)
{
    (void)state;
    mk_events(&expect_mk, 9);
    mk_control(&expect_mk, TL_LEAF_HOLD, "{\"hold\":\"h\",\"ranges\":[[4,4]]}");
    mk_control(&expect_mk, TL_LEAF_GAP,
               "{\"count\":17,\"exact\":true,\"from\":\"2026-01-01T01:22:51.005000Z\",\"reason\":"
               "\"queue_full\",\"source\":\"web\",\"to\":\"2026-01-01T01:22:56.005000Z\"}");
    purge(40, "{\"before_seq\":10,\"count\":8,\"cutoff_day\":20490}"); /* is 14 */
    expect_input.now_s = expect_mk.time_us / 1000000;
    expect_warning("PURGE_INCOMPLETE", 1);
    for (uint64_t seq = 1; seq < 10; seq++) {
        if (seq != 4) {
            mk_erase(&expect_mk, seq);
        }
    }
    expect_verified();
    struct tally_report *report = expect_report();
    assert_int_equal(report->qualifiers & TALLY_QUALIFIER_PURGED, TALLY_QUALIFIER_PURGED);
    assert_int_equal(report->qualifiers & TALLY_QUALIFIER_GAPS, TALLY_QUALIFIER_GAPS);
    tally_report_free(report);
    mk_erase(&expect_mk, 4);
    expect_tampered("HOLD_VIOLATED", 4);
}

static void purges_that_count_wrongly(void **state)
{
    (void)state;
    mk_events(&expect_mk, 9);
    purge(40, "{\"before_seq\":10,\"count\":7,\"cutoff_day\":20490}");
    expect_input.now_s = expect_mk.time_us / 1000000;
    for (uint64_t seq = 1; seq < 10; seq++) {
        mk_erase(&expect_mk, seq);
    }
    expect_warning("PURGE_COUNT", 12);
}

static enum tl_handed handed;

static const struct tl_opening *no_line(void *ctx)
{
    (void)ctx;
    return NULL;
}

static enum tl_handed say_handed(void *ctx)
{
    (void)ctx;
    return handed;
}

/* As the tree has it: GENESIS and nine events. */
static tally_status tile_of_the_tree(void *ctx, uint32_t level, uint64_t n, uint32_t width,
                                     uint8_t *data_out, struct tally_error *err)
{
    (void)ctx;
    (void)err;
    if (level != 0 || n != 0 || width != expect_mk.image.record_count) {
        return TALLY_ENOTFOUND;
    }
    for (size_t i = 0; i < width; i++) {
        const struct image_bytes *leaf = &expect_mk.image.records[i].leaf;
        tl_tree_hash_leaf(data_out + i * TL_HASH_LEN, leaf->data, leaf->len);
    }
    return TALLY_OK;
}

static void contents_that_are_gone_without_a_reason(void **state)
{
    (void)state;
    mk_events(&expect_mk, 9);
    mk_erase(&expect_mk, 3);
    expect_tampered("CONTENT_MISSING", 3);
    static const struct tl_handover handover = { .line = no_line,
                                                 .absent = say_handed,
                                                 .partial_tile = tile_of_the_tree };
    expect_input.handover = &handover;
    handed = TL_HANDED_WITHHELD;
    expect_at("WITHHELD", 3, TALLY_VERDICT_VERIFIED, __LINE__);
    static const enum tl_handed lies[] = { TL_HANDED_SILENT, TL_HANDED_PURGED, TL_HANDED_ERASED,
                                           TL_HANDED_EVICTED };
    for (size_t i = 0; i < TL_ARRAY_LEN(lies); i++) {
        handed = lies[i];
        expect_tampered("CONTENT_MISSING", 3);
    }
    expect_input.handover = NULL;
    expect_input.is_volatile = true;
    expect_at("EVICTED", 3, TALLY_VERDICT_VERIFIED, __LINE__);
    expect_input.is_volatile = false;
    purge(20, "{\"before_seq\":10,\"count\":0,\"cutoff_day\":20470}");
    expect_tampered("PURGE_EARLY", 3);
}

/* An export may name either of two excuses, whichever came first. */
static void contents_that_were_erased_and_purged(void **state)
{
    (void)state;
    static const struct tl_handover handover = { .line = no_line,
                                                 .absent = say_handed,
                                                 .partial_tile = tile_of_the_tree };
    mk_events(&expect_mk, 9);
    mk_control(&expect_mk, TL_LEAF_ERASE,
               "{\"basis\":\"gdpr\",\"items\":[{\"pointers\":[\"\"],\"seqs\":[3]}]}");
    purge(40, "{\"before_seq\":4,\"count\":2,\"cutoff_day\":20490}");
    expect_input.now_s = expect_mk.time_us / 1000000;
    for (uint64_t seq = 1; seq < 4; seq++) {
        mk_erase(&expect_mk, seq);
    }
    expect_verified();
    expect_input.handover = &handover;
    handed = TL_HANDED_PURGED;
    expect_at("PURGED", 1, TALLY_VERDICT_VERIFIED, __LINE__);
    handed = TL_HANDED_ERASED;
    expect_among("CONTENT_MISSING", 1);
    expect_input.handover = NULL;
}

static void a_purge_of_days_to_come_excuses_nothing(void **state)
{
    (void)state;
    mk_events(&expect_mk, 9);
    purge(40, "{\"before_seq\":4,\"count\":3,\"cutoff_day\":99999}");
    expect_input.now_s = expect_mk.time_us / 1000000;
    expect_tampered("PURGE_INVALID", 12);
    mk_erase(&expect_mk, 3);
    expect_among("PURGE_INVALID", 12);
    expect_among("PURGE_EARLY", 3);
}

static void a_purge_does_not_excuse_a_lost_member(void **state)
{
    (void)state;
    mk_events(&expect_mk, 9);
    purge(40, "{\"before_seq\":4,\"count\":3,\"cutoff_day\":20490}");
    expect_input.now_s = expect_mk.time_us / 1000000;
    expect_warning("PURGE_INCOMPLETE", 1);
    mk_erase_member(&expect_mk, 2, "/actor/name");
    expect_among("MEMBER_MISSING", 2);
}

static bool yes_member(void *ctx, struct tl_str pointer)
{
    (void)ctx;
    return tl_str_is(pointer, "/actor/name");
}

static void a_member_that_is_gone_is_only_called_erased_if_it_was(void **state)
{
    (void)state;
    static const struct tl_handover handover = { .line = no_line,
                                                 .absent = say_handed,
                                                 .is_member_withheld = yes_member,
                                                 .partial_tile = tile_of_the_tree };
    mk_events(&expect_mk, 9);
    mk_erase_member(&expect_mk, 2, "/actor/name");
    struct tally_report *report = expect_report();
    assert_int_equal(report->verdict, TALLY_VERDICT_TAMPERED);
    assert_int_equal(report->qualifiers & TALLY_QUALIFIER_ERASED, 0);
    tally_report_free(report);
    expect_input.handover = &handover;
    expect_at("WITHHELD", 2, TALLY_VERDICT_VERIFIED, __LINE__);
    expect_input.handover = NULL;
}

static void overrides_with_approval(void **state)
{
    (void)state;
    char approval[128];
    char payload[512];
    mk_events(&expect_mk, 9);
    mk_approve(&expect_mk, TL_LEAF_PURGE, "{\"count\":2,\"override\":true,\"ranges\":[[1,2]]}",
               approval);
    (void)snprintf(payload, sizeof(payload),
                   "{\"approval\":\"%s\",\"count\":2,\"override\":true,\"ranges\":[[1,2]]}",
                   approval);
    mk_control(&expect_mk, TL_LEAF_PURGE, payload);
    mk_events(&expect_mk, 1);
    mk_erase(&expect_mk, 1);
    mk_erase(&expect_mk, 2);
    expect_warning("PURGE_OVERRIDE", 10);
    expect_mk.trust->approvers[0].public_key[0] ^= 1;
    expect_among("APPROVAL_INVALID", 10);
    expect_mk.trust->approver_count = 0;
    struct tally_report *report = expect_report();
    assert_int_equal(report->verdict, TALLY_VERDICT_UNVERIFIABLE);
    assert_int_equal(report->unverifiable, 1); /* APPROVAL_UNCHECKED */
    tally_report_free(report);
    expect_mk.trust->approve_kinds = 1u << (TL_LEAF_EPOCH - TL_LEAF_GENESIS);
    mk_switch(&expect_mk, 1);
    mk_events(&expect_mk, 1);
    expect_among("APPROVAL_INVALID", 12);
}

static void erasures(void **state)
{
    (void)state;
    mk_events(&expect_mk, 9);
    mk_control(&expect_mk, TL_LEAF_HOLD, "{\"hold\":\"h\",\"ranges\":[[7,8]]}");
    mk_control(&expect_mk, TL_LEAF_ERASE,
               "{\"basis\":\"gdpr\",\"items\":[{\"pointers\":[\"/actor/name\"],\"seqs\":[3,7]},"
               "{\"pointers\":[\"\"],\"seqs\":[5,8]}]}");
    mk_events(&expect_mk, 2);
    expect_warning("ERASE_INCOMPLETE", 3);
    expect_warning("ERASE_INCOMPLETE", 5);
    mk_erase_member(&expect_mk, 3, "/actor/name");
    mk_erase(&expect_mk, 5);
    expect_verified();
    struct image sound;
    image_copy(&sound, &expect_mk.image);
    mk_erase_member(&expect_mk, 4, "/actor/name");
    expect_tampered("MEMBER_MISSING", 4);
    mk_erase_member(&expect_mk, 7, "/actor/name");
    expect_among("HOLD_VIOLATED", 7);
    image_release(&expect_mk.image);
    image_copy(&expect_mk.image, &sound);
    mk_erase(&expect_mk, 8);
    expect_tampered("HOLD_VIOLATED", 8);
    image_release(&expect_mk.image);
    image_copy(&expect_mk.image, &sound);
    expect_record(3)->event.data[20] ^= 1;
    expect_tampered("CONTENT_MODIFIED", 3);
    expect_record(3)->event.data[20] ^= 1;
    expect_record(3)->opened.data[0] ^= 1;
    expect_tampered("RECORD_MALFORMED", 3);
    image_release(&sound);
}

/* Sealed under a set that the policy in force is not. */
static void members_that_the_policy_does_not_name(void **state)
{
    (void)state;
    check_ok(tl_erasable_add(expect_mk.set, TL_STR("/z"), NULL));
    mk_event_of(&expect_mk,
                "{\"action\":\"a\",\"id\":\"00000001-0000-7000-8000-000000000000\",\"reason\":"
                "\"r\",\"z\":1}");
    mk_control(&expect_mk, TL_LEAF_ERASE,
               "{\"basis\":\"gdpr\",\"items\":[{\"pointers\":[\"/reason\"],\"seqs\":[1]}]}");
    mk_events(&expect_mk, 1);
    mk_erase_member(&expect_mk, 1, "/reason");
    expect_tampered("ERASABLE_MISMATCH", 1);
}

static void contents(void **state)
{
    (void)state;
    expect_make_two_epochs();
    expect_record(5)->event.data[30] ^= 1;
    expect_tampered("CONTENT_MODIFIED", 5);
    expect_record(5)->event.data[30] ^= 1;
    expect_record(5)->seed.data[3] ^= 1;
    expect_tampered("CONTENT_MODIFIED", 5);
    expect_record(5)->seed.len = 31;
    expect_tampered("RECORD_MALFORMED", 5);
    image_clear(&expect_record(5)->seed);
    expect_tampered("RECORD_MALFORMED", 5);
    image_clear(&expect_record(6)->event);
    expect_among("RECORD_MALFORMED", 6);
    image_set(&expect_record(10)->event, "{}", 2);
    expect_among("ROW_INSERTED", 10);
    image_clear(&expect_record(10)->event);
    image_set(&expect_record(10)->seed, "s", 1);
    expect_among("ROW_INSERTED", 10);
}

static uint8_t commit_of_text[TL_COMMIT_LEN];

static void set_commit_of_text(struct tl_leaf *leaf)
{
    memcpy(leaf->commit, commit_of_text, sizeof(leaf->commit));
    leaf->flags &= (uint8_t)~TL_LEAF_HAS_MEMBERS;
    check_ok(tl_leaf_id(leaf->id, TL_STR("00000002-0000-7000-8000-000000000000")));
}

/* Seals bytes as they are, without members split off: they may be no event. */
static void seal_text(const char *text)
{
    uint64_t seq = expect_mk.seq;
    uint8_t seed[TL_SEED_LEN];
    uint8_t salt0[TL_SALT_LEN];
    memset(seed, (int)(seq * 7 + 1), sizeof(seed));
    tl_put_be64(seed, seq);
    tl_salt(salt0, seed, TL_STR(""));
    tl_commit_parts(commit_of_text, salt0, tl_str_of(text), NULL, 0);
    expect_mk.tweak = set_commit_of_text;
    mk_event(&expect_mk);
    image_set(&expect_record(seq)->event, text, strlen(text));
}

static void events_that_are_not_canonical(void **state)
{
    (void)state;
    mk_event_of(&expect_mk,
                "{\"action\":\"a\",\"id\":\"00000001-0000-7000-8000-000000000000\",\"n\":1e0}");
    mk_checkpoint(&expect_mk);
    expect_warning("NON_CANONICAL", 1);
    static char text[] = "{\"id\":\"00000002-0000-7000-8000-000000000000\", \"action\":\"a\"}";
    seal_text(text);
    mk_checkpoint(&expect_mk);
    expect_warning("NON_CANONICAL", 2);
    expect_record(2)->event.data[strlen(text) - 3] ^= 3;
    expect_among("CONTENT_MODIFIED", 2);
}

static void contents_that_are_no_events(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "{", "[]", "{\"id\":\"e\",\"id\":\"e\"}" };
    for (size_t i = 0; i < TL_ARRAY_LEN(texts); i++) {
        mk_release(&expect_mk);
        mk_init(&expect_mk, MK_ORIGIN, 1);
        expect_input.trust = expect_mk.trust;
        seal_text(texts[i]);
        mk_checkpoint(&expect_mk);
        expect_tampered("RECORD_MALFORMED", 1);
    }
}

static void retention_from_the_time_of_the_event(void **state)
{
    (void)state;
    expect_mk.by_occurred = true;
    mk_events(&expect_mk, 4);
    expect_verified();
    expect_mk.tweak = set_until;
    mk_events(&expect_mk, 4);
    expect_tampered("RETENTION_MISMATCH", 5);
}

static void expect_skipped(uint64_t expected, const char *why)
{
    struct tally_report *report = expect_report();
    assert_int_equal(report->expected, expected);
    assert_string_equal(report->skipped_why, why);
    tally_report_free(report);
}

static void scopes(void **state)
{
    (void)state;
    expect_make_two_epochs();
    expect_record(5)->event.data[30] ^= 1;
    expect_options.scope = TALLY_SCOPE_NEWEST;
    expect_options.newest = 10;
    struct tally_report *report = expect_report();
    assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(report->expected, 10);
    assert_int_equal(report->checked, 10);
    assert_int_equal(report->leaves, 32);
    assert_true((report->qualifiers & TALLY_QUALIFIER_CONTENT_PART) != 0);
    tally_report_free(report);
    expect_options.scope = TALLY_SCOPE_RANGE;
    expect_options.first = 5;
    expect_options.last = 5;
    expect_tampered("CONTENT_MODIFIED", 5);
    expect_options.first = 500;
    expect_options.last = 501;
    expect_unverifiable("CHECK_FAILED", NO_SEQ);
    expect_options.scope = TALLY_SCOPE_ID;
    expect_options.id = "00000005-0000-7000-8000-0123456789ab";
    expect_tampered("CONTENT_MODIFIED", 5);
    expect_options.id = "00000006-0000-7000-8000-0123456789ab";
    expect_verified();
    expect_skipped(1, "");
    struct tally_report *no_report = NULL;
    static const char *const no_ids[] = { NULL, "00000000-0000-0000-0000-000000000000" };
    for (size_t i = 0; i < TL_ARRAY_LEN(no_ids); i++) {
        expect_options.id = no_ids[i];
        check_status(tl_verify(&expect_input, &no_report, NULL), TALLY_EINVAL);
    }
    expect_options.id = "00000999-0000-7000-8000-0123456789ab";
    expect_unverifiable("CHECK_FAILED", NO_SEQ);
    expect_skipped(1, "no record has this id");
    expect_record(7)->leaf.data[0] ^= 1; /* where nobody asks */
    expect_options.scope = TALLY_SCOPE_RANGE;
    expect_options.first = 1;
    expect_options.last = 3;
    report = expect_report();
    assert_int_equal(report->checked, 3);
    tally_report_free(report);
    expect_record(7)->leaf.data[0] ^= 1;
    expect_options.scope = TALLY_SCOPE_SINCE;
    struct tally_report *none = NULL;
    check_status(tl_verify(&expect_input, &none, NULL), TALLY_EINVAL);
    struct image_checkpoint *kept = &expect_mk.image.checkpoints[2];
    *expect_remembered = (struct tl_str){ .text = (char *)kept->note.data, .len = kept->note.len };
    expect_input.remembered = expect_remembered;
    expect_input.remembered_count = 1;
    report = expect_report();
    assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(report->checked, 21);
    tally_report_free(report);
}

static tally_status verify_once(const void *ctx)
{
    (void)ctx;
    struct tally_report *report = NULL;
    tally_status status = tl_verify(&expect_input, &report, NULL);
    tally_report_free(report);
    return status;
}

static void says_that_there_is_no_memory(void **state)
{
    (void)state;
    mk_events(&expect_mk, 300);
    mk_control(&expect_mk, TL_LEAF_ERASE,
               "{\"basis\":\"gdpr\",\"items\":[{\"pointers\":[\"/actor/name\"],\"seqs\":[3]},"
               "{\"pointers\":[\"\"],\"seqs\":[5]}]}");
    mk_events(&expect_mk, 2);
    mk_erase_member(&expect_mk, 3, "/actor/name");
    mk_erase(&expect_mk, 5);
    assert_true(fault_each_alloc(verify_once, NULL) > 5);
}

/* Payloads that nobody would write, sealed all the same: each is an answer, none a crash. */
static void survives_payloads_at_random(void **state)
{
    (void)state;
    static const struct {
        enum tl_leaf_kind kind;
        const char *payload;
    } seeds[] = {
        { TL_LEAF_EPOCH, "{\"epoch_key\":\"a/epoch/1+00000000+AAAA\",\"from\":0,\"to\":1}" },
        { TL_LEAF_POLICY,
          "{\"classes\":[{\"class\":1,\"days\":5,\"name\":\"a\"}],\"erasable\":[\"/r\"],"
          "\"policy\":2}" },
        { TL_LEAF_PURGE, "{\"before_seq\":4,\"count\":3,\"cutoff_day\":20454}" },
        { TL_LEAF_PURGE, "{\"count\":2,\"override\":true,\"ranges\":[[1,2],[4,5]]}" },
        { TL_LEAF_ERASE,
          "{\"basis\":\"x\",\"items\":[{\"pointers\":[\"/reason\"],\"seqs\":[1,2]}]}" },
        { TL_LEAF_HOLD, "{\"hold\":\"a\",\"ranges\":[[0,9]]}" },
        { TL_LEAF_RELEASE, "{\"hold\":\"a\"}" },
        { TL_LEAF_RESUME, "{\"clean\":true,\"size\":2,\"tail_bytes\":0}" },
    };
    uint64_t random = 88172645463325252u;
    for (uint32_t round = 0; round < 600; round++) {
        char payload[256];
        size_t which = round % TL_ARRAY_LEN(seeds);
        (void)snprintf(payload, sizeof(payload), "%s", seeds[which].payload);
        for (uint32_t i = 0; i < round % 4; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            payload[random % strlen(payload)] = "0123456789{}[],:\"-"[(random >> 20) % 18];
        }
        mk_control(&expect_mk, seeds[which].kind, payload);
        if (round % 20 == 19) {
            mk_events(&expect_mk, 5);
            mk_erase(&expect_mk, expect_mk.seq - 2);
            struct tally_report *report = expect_report();
            assert_int_not_equal(report->verdict, TALLY_VERDICT_VERIFIED);
            tally_report_free(report);
            expect_tear_down(NULL);
            expect_set_up(NULL);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(leaves, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(sealed_leaves_that_break_a_rule, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(an_id_that_comes_twice, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(controls, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(odd_gaps_and_resumes, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(epochs_that_break_the_rules, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(a_leaf_from_before_the_start, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(anchors_of_checkpoints_that_are_not_kept, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(an_anchored_checkpoint_of_another_root, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(a_modified_payload, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(purges, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(purges_that_count_wrongly, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(contents_that_are_gone_without_a_reason, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(contents_that_were_erased_and_purged, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(a_purge_of_days_to_come_excuses_nothing, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(a_purge_does_not_excuse_a_lost_member, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(a_member_that_is_gone_is_only_called_erased_if_it_was,
                                        expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(overrides_with_approval, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(erasures, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(members_that_the_policy_does_not_name, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(contents, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(contents_that_are_no_events, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(events_that_are_not_canonical, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(retention_from_the_time_of_the_event, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(scopes, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(says_that_there_is_no_memory, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(survives_payloads_at_random, expect_set_up,
                                        expect_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
