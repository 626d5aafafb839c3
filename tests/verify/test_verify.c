/* For each finding a ledger with exactly that fault. */
#include "verify/verify.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "check.h"
#include "codec/base64.h"
#include "fault.h"
#include "support/mkledger.h"

#define NO_SEQ TALLY_SEQ_NONE
#define NOW_S  (MK_START_S + 60 * 86400)

static struct mk mk;
static struct mk other;
static struct tl_verify_input input;
static struct tally_verify_options options;
static struct tl_highwater mark;
static struct tl_str remembered;

static int set_up(void **state)
{
    (void)state;
    mk_init(&mk, MK_ORIGIN, 1);
    options = (struct tally_verify_options)TALLY_VERIFY_OPTIONS_INIT;
    input = (struct tl_verify_input){
        .store = &mk.image.store,
        .trust = mk.trust,
        .mac_key = mk.k0,
        .now_s = NOW_S,
        .options = &options,
    };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mk_release(&mk);
    return 0;
}

static struct tally_report *verify(void)
{
    struct tally_report *report = NULL;
    check_ok(tl_verify(&input, &report, NULL));
    return report;
}

static void print(const struct tally_report *report)
{
    print_message("%s checked %llu of %llu\n", tally_verdict_name(report->verdict),
                  (unsigned long long)report->checked, (unsigned long long)report->expected);
    for (size_t i = 0; i < report->finding_count; i++) {
        const struct tally_finding *finding = &report->findings[i];
        print_message("  %s %lld: %s [%s] [%s]\n", finding->code,
                      finding->has_seq != 0 ? (long long)finding->seq : -1LL, finding->what,
                      finding->expected, finding->actual);
    }
}

/* Wants this one finding beside notes, and its verdict. */
static void expect_at(const char *code, uint64_t seq, enum tally_verdict verdict, int line)
{
    struct tally_report *report = verify();
    size_t count = 0;
    bool found = false;
    for (size_t i = 0; i < report->finding_count; i++) {
        const struct tally_finding *finding = &report->findings[i];
        found = found || (strcmp(finding->code, code) == 0 &&
                          (finding->has_seq != 0 ? finding->seq : NO_SEQ) == seq);
        count += finding->weight != TALLY_WEIGHT_NOTE && strcmp(finding->code, code) != 0;
    }
    if (!found || count > 0 || report->verdict != verdict) {
        print_message("line %d wants %s alone\n", line, code);
        print(report);
        fail();
    }
    tally_report_free(report);
}

#define expect_tampered(code, seq)     expect_at(code, seq, TALLY_VERDICT_TAMPERED, __LINE__)
#define expect_unverifiable(code, seq) expect_at(code, seq, TALLY_VERDICT_UNVERIFIABLE, __LINE__)
#define expect_warning(code, seq)      expect_at(code, seq, TALLY_VERDICT_VERIFIED, __LINE__)

/* Wants this finding among others, and TAMPERED. */
static void expect_among(const char *code, uint64_t seq)
{
    struct tally_report *report = verify();
    bool found = false;
    for (size_t i = 0; i < report->finding_count; i++) {
        const struct tally_finding *finding = &report->findings[i];
        found = found || (strcmp(finding->code, code) == 0 && finding->seq == seq);
    }
    if (!found || report->verdict != TALLY_VERDICT_TAMPERED) {
        print_message("wants %s\n", code);
        print(report);
        fail();
    }
    tally_report_free(report);
}

static void expect_verified_at(int line)
{
    struct tally_report *report = verify();
    if (report->verdict != TALLY_VERDICT_VERIFIED || report->warnings != 0) {
        print_message("line %d\n", line);
        print(report);
        fail();
    }
    tally_report_free(report);
}

#define expect_verified() expect_verified_at(__LINE__)

/* GENESIS 0, events 1-9, EPOCH 10, events 11-20, RESUME 21, events 22-31. */
static void make_two_epochs(void)
{
    mk_events(&mk, 9);
    mk_switch(&mk, 1);
    mk_events(&mk, 10);
    mk_control(&mk, TL_LEAF_RESUME, "{\"clean\":true,\"size\":21,\"tail_bytes\":0}");
    mk_events(&mk, 10);
}

static struct image_record *record(size_t seq)
{
    return &mk.image.records[seq];
}

static void set_note(size_t at, const char *text)
{
    image_set(&mk.image.checkpoints[at].note, text, strlen(text));
}

static void remember_newest(struct mk *from)
{
    const struct image_bytes *note =
        &from->image.checkpoints[from->image.checkpoint_count - 1].note;
    remembered = (struct tl_str){ .text = (const char *)note->data, .len = note->len };
    input.remembered = &remembered;
    input.remembered_count = 1;
}

static void a_sound_ledger_is_verified(void **state)
{
    (void)state;
    make_two_epochs();
    struct tally_report *report = verify();
    print(report);
    assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(report->size, 32);
    assert_int_equal(report->checked, 32);
    assert_int_equal(report->contents, 29);
    assert_int_equal(report->qualifiers,
                     TALLY_QUALIFIER_UNANCHORED | TALLY_QUALIFIER_INDEX_UNCHECKED);
    assert_string_equal(report->origin, MK_ORIGIN);
    tally_report_free(report);
}

static void a_large_sound_ledger_is_verified(void **state)
{
    (void)state;
    for (int i = 0; i < 90; i++) {
        mk_events(&mk, i % 9 == 0 ? 300 : 50 + (size_t)i);
    }
    expect_verified();
}

static void checkpoints(void **state)
{
    (void)state;
    make_two_epochs();
    size_t newest = mk.image.checkpoint_count - 1;
    struct image_bytes *note = &mk.image.checkpoints[newest].note;
    char text[4096] = "";
    memcpy(text, note->data, note->len);

    set_note(newest, "nonsense\n");
    expect_tampered("CHECKPOINT_MALFORMED", 31);
    set_note(newest, text);
    expect_verified();
    mk.image.checkpoints[newest].note.data[strlen(MK_ORIGIN) + 5] ^= 1; /* in the root */
    expect_among("SIGNATURE_INVALID", 31);
    set_note(newest, text);
    input.now_s = NOW_S * 2;
    options.max_age_s = 7800;
    expect_unverifiable("CHECKPOINT_STALE", NO_SEQ);
    input.now_s = MK_START_S;
    expect_warning("CHECKPOINT_FUTURE", NO_SEQ);
    input.now_s = NOW_S;
    options.max_age_s = 0;
}

static void signatures(void **state)
{
    (void)state;
    mk_events(&mk, 5);
    mk.bad_log_line = true;
    mk_rebuild(&mk);
    expect_tampered("SIGNATURE_INVALID", 5);
    mk.no_log_line = true;
    mk_rebuild(&mk);
    expect_unverifiable("KEY_UNKNOWN", 5);
    mk.bad_epoch_line = true;
    mk_rebuild(&mk);
    expect_tampered("EPOCH_SIGNATURE_INVALID", 5);
    mk.no_epoch_line = true;
    mk_rebuild(&mk);
    expect_tampered("EPOCH_SIGNATURE_INVALID", 5);
    mk.checkpoint_time_s = MK_START_S - 1; /* before its last leaf */
    mk_rebuild(&mk);
    expect_tampered("EPOCH_SIGNATURE_INVALID", 5);
    mk.checkpoint_time_s = MK_START_S + MK_EPOCH_SECONDS; /* in the next epoch */
    mk_rebuild(&mk);
    expect_tampered("EPOCH_SIGNATURE_INVALID", 5);
    mk_rebuild(&mk);
    expect_verified();
}

static void witnesses(void **state)
{
    (void)state;
    mk_events(&mk, 5);
    mk.trust->witnesses[0].key = mk.witness.key;
    mk.trust->witness_count = 1;
    mk.trust->has_quorum = true;
    mk.trust->quorum = 0;
    expect_unverifiable("WITNESS_QUORUM", NO_SEQ);
    mk.witnessed = true;
    mk_rebuild(&mk);
    struct tally_report *report = verify();
    assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(report->qualifiers & TALLY_QUALIFIER_UNANCHORED, 0);
    tally_report_free(report);
}

static void missing_checkpoints(void **state)
{
    (void)state;
    make_two_epochs();
    image_remove_checkpoint(&mk.image, 0);
    expect_unverifiable("CHECKPOINT_MISSING", 0);
    image_remove_checkpoint(&mk.image, 1); /* the seal */
    expect_among("EPOCH_SEAL_MISSING", 10);
    mk.image.checkpoint_count = 0;
    struct tally_report *report = verify();
    assert_int_not_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    tally_report_free(report);
    mk.image.checkpoint_count = 1;
}

static void an_empty_ledger_is_unverifiable(void **state)
{
    (void)state;
    struct image empty;
    image_init(&empty);
    input.store = &empty.store;
    expect_unverifiable("CHECKPOINT_MISSING", NO_SEQ);
    image_release(&empty);
}

static void no_trust_is_unverifiable(void **state)
{
    (void)state;
    mk_events(&mk, 5);
    input.trust = NULL;
    expect_unverifiable("KEY_UNKNOWN", NO_SEQ);
}

static void seals(void **state)
{
    (void)state;
    mk_events(&mk, 9);
    mk.bad_epoch_line = true;
    mk_switch(&mk, 1);
    mk_events(&mk, 3);
    expect_tampered("EPOCH_SEAL_INVALID", 10);
}

static void seals_of_another_second(void **state)
{
    (void)state;
    mk_events(&mk, 9);
    mk.checkpoint_time_s = MK_START_S + MK_EPOCH_SECONDS + 1;
    mk_switch(&mk, 1);
    mk_events(&mk, 3);
    expect_tampered("EPOCH_SEAL_INVALID", 10);
}

static void trust(void **state)
{
    (void)state;
    mk_events(&mk, 5);
    mk.trust->epochs[0].public_key[0] ^= 1;
    expect_tampered("GENESIS_MISMATCH", 0);
    mk.trust->epoch_count = 0;
    expect_unverifiable("EPOCH_UNPINNED", 0);
    mk.trust->epochs[0].public_key[0] ^= 1;
    mk.trust->epoch_count = 1;
    mk.trust->logs[0].public_key[0] ^= 1;
    expect_tampered("GENESIS_MISMATCH", 0);
    (void)snprintf(mk.trust->logs[0].name, sizeof(mk.trust->logs[0].name), "elsewhere.example");
    expect_unverifiable("ORIGIN_MISMATCH", 0);
}

static void a_thousand_wrong_keys_never_verify(void **state)
{
    (void)state;
    mk_events(&mk, 5);
    uint8_t right[TL_MAC_KEY_LEN];
    memcpy(right, mk.k0, sizeof(right));
    struct tl_trust *trust = mk.trust;
    for (uint32_t i = 0; i < 1000; i++) {
        uint8_t bit = (uint8_t)(1 << i % 8);
        struct tl_vkey *key = i % 2 == 0 ? &trust->logs[0] : &trust->epochs[0];
        key->public_key[i / 2 % 32] ^= bit;
        struct tally_report *report = verify();
        assert_int_not_equal(report->verdict, TALLY_VERDICT_VERIFIED);
        tally_report_free(report);
        key->public_key[i / 2 % 32] ^= bit;
        mk.k0[i % 32] ^= bit;
        if (i % 10 == 0) {
            expect_unverifiable("MAC_KEY_UNKNOWN", NO_SEQ);
        }
        memcpy(mk.k0, right, sizeof(right));
    }
    expect_verified();
}

static void memory(void **state)
{
    (void)state;
    mk_events(&mk, 5);
    struct image old;
    image_copy(&old, &mk.image);
    mk_events(&mk, 5);
    mark = (struct tl_highwater){ .size = mk.image.head.size };
    memcpy(mark.root, mk.image.head.root, sizeof(mark.root));
    input.highwater = &mark;
    remember_newest(&mk);
    expect_verified();
    input.store = &old.store;
    expect_tampered("ROLLBACK", NO_SEQ);
    input.remembered_count = 0;
    expect_tampered("ROLLBACK", NO_SEQ);
    input.store = &mk.image.store;
    mark.root[0] ^= 1;
    expect_tampered("FORK", 10);
    mark.size = 3;
    expect_tampered("HISTORY_REWRITTEN", 2);
    input.highwater = NULL;
    mk_init(&other, MK_ORIGIN, 2);
    mk_events(&other, 3);
    remember_newest(&other);
    expect_unverifiable("KEY_UNKNOWN", NO_SEQ);
    remembered = TL_STR("not a checkpoint");
    expect_unverifiable("CHECK_FAILED", NO_SEQ);
    mk_release(&other);
    image_release(&old);
}

static void kept_checkpoints_of_another_tree(void **state)
{
    (void)state;
    mk_events(&mk, 5);
    mk_events(&mk, 5);
    struct image old;
    image_copy(&old, &mk.image);
    mk.image.records[3].leaf.data[50] ^= 1;
    mk_rebuild(&mk); /* the newest is made again, the one of size 6 is not */
    image_set(&mk.image.records[3].leaf, old.records[3].leaf.data, TL_LEAF_LEN);
    mk.image.records[3].leaf.data[100] ^= 1;
    mk_rebuild(&mk);
    input.mac_key = NULL;
    expect_tampered("HISTORY_REWRITTEN", 5);
    image_release(&old);
}

static void rows(void **state)
{
    (void)state;
    make_two_epochs();
    struct image sound;
    image_copy(&sound, &mk.image);
    image_remove(&mk.image, 5);
    expect_tampered("LEAF_MISSING", 5);
    for (size_t i = 5; i < mk.image.record_count; i++) {
        mk.image.records[i].seq--;
    }
    expect_among("SEQ_MISMATCH", 5);
    image_release(&mk.image);
    image_copy(&mk.image, &sound);
    image_remove(&mk.image, 31);
    expect_tampered("TRUNCATED", 31);
    image_remove(&mk.image, 30);
    expect_tampered("TRUNCATED", 30);
    image_release(&mk.image);
    image_copy(&mk.image, &sound);
    mk_event(&mk);
    expect_tampered("LEAF_EXTRA", 32);
    image_release(&mk.image);
    image_copy(&mk.image, &sound);
    struct image_record swapped = mk.image.records[12];
    mk.image.records[12] = mk.image.records[13];
    mk.image.records[13] = swapped;
    mk.image.records[12].seq = 12;
    mk.image.records[13].seq = 13;
    expect_among("SEQ_MISMATCH", 12);
    expect_among("SEQ_MISMATCH", 13);
    image_release(&sound);
}

static void leaves(void **state)
{
    (void)state;
    make_two_epochs();
    record(5)->leaf.data[0] ^= 1;
    expect_tampered("LEAF_MALFORMED", 5);
    record(5)->leaf.data[0] ^= 1;
    image_clear(&record(5)->leaf);
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
    leaf->commit[7] ^= 1;
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
    leaf[TL_LEAF_MAC_AT] ^= 1;
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
        mk_release(&mk);
        mk_init(&mk, MK_ORIGIN, 1);
        input.trust = mk.trust;
        mk_events(&mk, 4);
        mk.tweak = rows[i].tweak;
        mk.tweak_bytes = rows[i].tweak_bytes;
        mk_events(&mk, 4);
        expect_tampered(rows[i].code, 5);
    }
    mk_release(&mk);
    mk_init(&mk, MK_ORIGIN, 1);
    input.trust = mk.trust;
    mk.tweak = zero_id;
    mk_events(&mk, 4);
    expect_among("LEAF_INVALID", 1);
}

static void an_id_that_comes_twice(void **state)
{
    (void)state;
    char text[MK_EVENT_SIZE];
    mk_events(&mk, 9);
    mk_event_text(text, 4);
    mk_event_of(&mk, text);
    mk_events(&mk, 2);
    expect_tampered("DUPLICATE_ID", 10);
}

static void tiles(void **state)
{
    (void)state;
    mk_events(&mk, 300);
    mk_events(&mk, 500);
    expect_verified();
    struct image sound;
    image_copy(&sound, &mk.image);
    mk.image.tiles[1].data[77] ^= 1;
    expect_tampered("TILE_MISMATCH", 256);
    mk.image.tiles[1].data[77] ^= 1;
    record(400)->leaf.data[90] ^= 1; /* in the MAC */
    expect_tampered("LEAF_MODIFIED", 400);
    record(400)->leaf.data[90] ^= 1;
    record(400)->leaf.data[60] ^= 1; /* in the commitment */
    expect_tampered("LEAF_MODIFIED", 400);
    record(400)->leaf.data[60] ^= 1;
    image_remove(&mk.image, 401);
    expect_tampered("LEAF_MISSING", 401);
    image_release(&mk.image);
    image_copy(&mk.image, &sound);
    mk.image.tiles[2].n = 7;
    expect_among("TILE_MISMATCH", 0);
    mk.image.tile_count--;
    expect_unverifiable("TILE_MISSING", 512);
    image_release(&sound);
}

static void a_leaf_of_the_tail_without_mac_key(void **state)
{
    (void)state;
    make_two_epochs();
    input.mac_key = NULL;
    record(25)->leaf.data[90] ^= 1;
    expect_tampered("ROOT_MISMATCH", 31);
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
        mk_release(&mk);
        mk_init(&mk, MK_ORIGIN, 1);
        input.trust = mk.trust;
        mk_events(&mk, 4);
        mk_control(&mk, rows[i].kind, rows[i].payload);
        mk_checkpoint(&mk);
        expect_among(rows[i].code, 5);
    }
}

static void a_modified_payload(void **state)
{
    (void)state;
    mk_events(&mk, 4);
    mk_control(&mk, TL_LEAF_HOLD, "{\"hold\":\"case-1\",\"ranges\":[[1,2]]}");
    mk_events(&mk, 4);
    input.mac_key = NULL;
    record(5)->leaf.data[TL_LEAF_LEN + 11] ^= 1;
    expect_tampered("CONTROL_MODIFIED", 5);
}

static void policies(void **state)
{
    (void)state;
    mk_events(&mk, 4);
    mk_control(&mk, TL_LEAF_POLICY,
               "{\"classes\":[{\"class\":1,\"days\":5,\"name\":\"a\"}],\"erasable\":[\"/"
               "reason\"],\"policy\":2}");
    mk.class_days = 5;
    struct tl_erasable_set *set = mk.set;
    memset(set, 0, sizeof(*set));
    check_ok(tl_erasable_add(set, TL_STR("/reason"), NULL));
    mk_events(&mk, 4);
    expect_verified();
    mk_control(&mk, TL_LEAF_POLICY,
               "{\"classes\":[{\"class\":1,\"days\":5,\"name\":\"a\"}],\"erasable\":[\"/"
               "reason\"],\"policy\":4}");
    mk_events(&mk, 4);
    expect_tampered("CONTROL_INVALID", 10);
}

static void epochs(void **state)
{
    (void)state;
    mk_events(&mk, 4);
    mk_switch(&mk, 1);
    mk_events(&mk, 2);
    mk_switch(&mk, 3);
    mk_events(&mk, 2);
    expect_verified();
    mk.generation -= 1; /* the key of epoch 5 is then that of epoch 4 */
    mk_switch(&mk, 1);
    mk_events(&mk, 2);
    expect_tampered("EPOCH_INVALID", 11);
}

static void an_epoch_that_was_not_switched(void **state)
{
    (void)state;
    mk_events(&mk, 4);
    mk.time_us += INT64_C(3600000000);
    mk_events(&mk, 4);
    expect_among("EPOCH_MISMATCH", 5);
}

static void purge(int64_t day_from_start, const char *payload)
{
    mk_switch(&mk, (uint32_t)(day_from_start * 24));
    mk_events(&mk, 1);
    mk_control(&mk, TL_LEAF_PURGE, payload);
    mk_events(&mk, 1);
}

/* Events 1-9 are due on day 20485, 31 days after the start. */
static void purges(void **state)
{
    (void)state;
    mk_events(&mk, 9);
    mk_control(&mk, TL_LEAF_HOLD, "{\"hold\":\"h\",\"ranges\":[[4,4]]}");
    mk_control(&mk, TL_LEAF_GAP,
               "{\"count\":17,\"exact\":true,\"from\":\"2026-01-01T01:22:51.005000Z\",\"reason\":"
               "\"queue_full\",\"source\":\"web\",\"to\":\"2026-01-01T01:22:56.005000Z\"}");
    purge(40, "{\"before_seq\":10,\"count\":8,\"cutoff_day\":20490}"); /* is 14 */
    input.now_s = mk.time_us / 1000000;
    expect_warning("PURGE_INCOMPLETE", 1);
    for (uint64_t seq = 1; seq < 10; seq++) {
        if (seq != 4) {
            mk_erase(&mk, seq);
        }
    }
    expect_verified();
    struct tally_report *report = verify();
    assert_int_equal(report->qualifiers & TALLY_QUALIFIER_PURGED, TALLY_QUALIFIER_PURGED);
    assert_int_equal(report->qualifiers & TALLY_QUALIFIER_GAPS, TALLY_QUALIFIER_GAPS);
    tally_report_free(report);
    mk_erase(&mk, 4);
    expect_tampered("HOLD_VIOLATED", 4);
}

static void purges_that_count_wrongly(void **state)
{
    (void)state;
    mk_events(&mk, 9);
    purge(40, "{\"before_seq\":10,\"count\":7,\"cutoff_day\":20490}");
    input.now_s = mk.time_us / 1000000;
    for (uint64_t seq = 1; seq < 10; seq++) {
        mk_erase(&mk, seq);
    }
    expect_warning("PURGE_COUNT", 12);
}

static void contents_that_are_gone_without_a_reason(void **state)
{
    (void)state;
    mk_events(&mk, 9);
    mk_erase(&mk, 3);
    expect_tampered("CONTENT_MISSING", 3);
    input.may_be_withheld = true;
    expect_at("WITHHELD", 3, TALLY_VERDICT_VERIFIED, __LINE__);
    input.may_be_withheld = false;
    input.is_volatile = true;
    expect_at("EVICTED", 3, TALLY_VERDICT_VERIFIED, __LINE__);
    input.is_volatile = false;
    purge(20, "{\"before_seq\":10,\"count\":0,\"cutoff_day\":20470}");
    expect_tampered("PURGE_EARLY", 3);
}

static void overrides_with_approval(void **state)
{
    (void)state;
    char approval[128];
    char payload[512];
    mk_events(&mk, 9);
    mk_approve(&mk, TL_LEAF_PURGE, "{\"count\":2,\"override\":true,\"ranges\":[[1,2]]}", approval);
    (void)snprintf(payload, sizeof(payload),
                   "{\"approval\":\"%s\",\"count\":2,\"override\":true,\"ranges\":[[1,2]]}",
                   approval);
    mk_control(&mk, TL_LEAF_PURGE, payload);
    mk_events(&mk, 1);
    mk_erase(&mk, 1);
    mk_erase(&mk, 2);
    expect_warning("PURGE_OVERRIDE", 10);
    mk.trust->approvers[0].public_key[0] ^= 1;
    expect_among("APPROVAL_INVALID", 10);
    mk.trust->approver_count = 0;
    struct tally_report *report = verify();
    assert_int_equal(report->verdict, TALLY_VERDICT_UNVERIFIABLE);
    assert_int_equal(report->unverifiable, 1); /* APPROVAL_UNCHECKED */
    tally_report_free(report);
    mk.trust->approve_kinds = 1u << (TL_LEAF_EPOCH - TL_LEAF_GENESIS);
    mk_switch(&mk, 1);
    mk_events(&mk, 1);
    expect_among("APPROVAL_INVALID", 12);
}

static void erasures(void **state)
{
    (void)state;
    mk_events(&mk, 9);
    mk_control(&mk, TL_LEAF_HOLD, "{\"hold\":\"h\",\"ranges\":[[7,8]]}");
    mk_control(&mk, TL_LEAF_ERASE,
               "{\"basis\":\"gdpr\",\"items\":[{\"pointers\":[\"/actor/name\"],\"seqs\":[3,7]},"
               "{\"pointers\":[\"\"],\"seqs\":[5,8]}]}");
    mk_events(&mk, 2);
    expect_warning("ERASE_INCOMPLETE", 3);
    expect_warning("ERASE_INCOMPLETE", 5);
    mk_erase_member(&mk, 3, "/actor/name");
    mk_erase(&mk, 5);
    expect_verified();
    struct image sound;
    image_copy(&sound, &mk.image);
    mk_erase_member(&mk, 4, "/actor/name");
    expect_tampered("MEMBER_MISSING", 4);
    mk_erase_member(&mk, 7, "/actor/name");
    expect_among("HOLD_VIOLATED", 7);
    image_release(&mk.image);
    image_copy(&mk.image, &sound);
    mk_erase(&mk, 8);
    expect_tampered("HOLD_VIOLATED", 8);
    image_release(&mk.image);
    image_copy(&mk.image, &sound);
    record(3)->event.data[20] ^= 1;
    expect_tampered("CONTENT_MODIFIED", 3);
    record(3)->event.data[20] ^= 1;
    record(3)->opened.data[0] ^= 1;
    expect_tampered("RECORD_MALFORMED", 3);
    image_release(&sound);
}

/* Sealed under a set that the policy in force is not. */
static void members_that_the_policy_does_not_name(void **state)
{
    (void)state;
    check_ok(tl_erasable_add(mk.set, TL_STR("/z"), NULL));
    mk_event_of(&mk, "{\"action\":\"a\",\"id\":\"00000001-0000-7000-8000-000000000000\",\"reason\":"
                     "\"r\",\"z\":1}");
    mk_control(&mk, TL_LEAF_ERASE,
               "{\"basis\":\"gdpr\",\"items\":[{\"pointers\":[\"/reason\"],\"seqs\":[1]}]}");
    mk_events(&mk, 1);
    mk_erase_member(&mk, 1, "/reason");
    expect_tampered("ERASABLE_MISMATCH", 1);
}

static void contents(void **state)
{
    (void)state;
    make_two_epochs();
    record(5)->event.data[30] ^= 1;
    expect_tampered("CONTENT_MODIFIED", 5);
    record(5)->event.data[30] ^= 1;
    record(5)->seed.data[3] ^= 1;
    expect_tampered("CONTENT_MODIFIED", 5);
    record(5)->seed.len = 31;
    expect_tampered("RECORD_MALFORMED", 5);
    image_clear(&record(5)->seed);
    expect_tampered("RECORD_MALFORMED", 5);
    image_clear(&record(6)->event);
    expect_among("RECORD_MALFORMED", 6);
    image_set(&record(10)->event, "{}", 2);
    expect_among("ROW_INSERTED", 10);
}

static void events_that_are_not_canonical(void **state)
{
    (void)state;
    mk_event_of(&mk,
                "{\"action\":\"a\",\"id\":\"00000001-0000-7000-8000-000000000000\",\"n\":1e0}");
    mk_checkpoint(&mk);
    expect_warning("NON_CANONICAL", 1);
}

static void retention_from_the_time_of_the_event(void **state)
{
    (void)state;
    mk.by_occurred = true;
    mk_events(&mk, 4);
    expect_verified();
    mk.tweak = set_until;
    mk_events(&mk, 4);
    expect_tampered("RETENTION_MISMATCH", 5);
}

static void heads(void **state)
{
    (void)state;
    make_two_epochs();
    struct tally_head sound = mk.image.head;
    mk.image.head.size--;
    expect_tampered("HEAD_MISMATCH", NO_SEQ);
    mk.image.head = sound;
    mk.image.head.root[9] ^= 1;
    expect_tampered("HEAD_MISMATCH", NO_SEQ);
    mk.image.head = sound;
    mk.image.head.frontier[9] ^= 1;
    expect_tampered("HEAD_MISMATCH", NO_SEQ);
    mk.image.head = sound;
    mk.image.head.epoch ^= 4;
    expect_tampered("HEAD_MISMATCH", NO_SEQ);
    mk.image.head = sound;
    mk.image.self_finding = "ROW_INSERTED";
    expect_tampered("ROW_INSERTED", 3);
    mk.image.self_finding = "SOMETHING_NEW";
    expect_unverifiable("STORE_ERROR", 3);
}

static void a_read_that_fails_is_never_verified(void **state)
{
    (void)state;
    mk_events(&mk, 300);
    for (size_t reads = 1; reads < 100; reads++) {
        mk.image.reads_left = reads;
        struct tally_report *report = verify();
        bool failed = mk.image.reads_left == 0;
        assert_int_equal(report->verdict,
                         failed ? TALLY_VERDICT_UNVERIFIABLE : TALLY_VERDICT_VERIFIED);
        tally_report_free(report);
        if (!failed) {
            assert_true(reads > 8);
            return;
        }
    }
    fail();
}

/* KEY: the note must have lines of both keys. */
static void log_keys(void **state)
{
    (void)state;
    struct mk_key new;
    char payload[1024];
    char vkey[TL_VKEY_SIZE];
    mk_events(&mk, 3);
    mk_key_make(&new, MK_ORIGIN, TL_NOTE_TYPE_ED25519, 200);
    tl_vkey_format(vkey, &new.key);
    (void)snprintf(payload, sizeof(payload), "{\"log_key\":\"%s\"}", vkey);
    mk_control(&mk, TL_LEAF_KEY, payload);
    mk.second_log = &new;
    mk_checkpoint(&mk);
    mk.log = new;
    mk_events(&mk, 3);
    expect_verified();
    mk.trust->logs[0] = new.key; /* the newest is pinned, not the first */
    expect_verified();
    size_t newest = mk.image.checkpoint_count - 1;
    image_remove_checkpoint(&mk.image, newest - 1);
    expect_tampered("KEY_CHANGE_INVALID", 4);
}

static void a_key_that_did_not_sign_its_change(void **state)
{
    (void)state;
    struct mk_key new;
    char payload[1024];
    char vkey[TL_VKEY_SIZE];
    mk_events(&mk, 3);
    mk_key_make(&new, MK_ORIGIN, TL_NOTE_TYPE_ED25519, 200);
    tl_vkey_format(vkey, &new.key);
    (void)snprintf(payload, sizeof(payload), "{\"log_key\":\"%s\"}", vkey);
    mk_control(&mk, TL_LEAF_KEY, payload);
    mk_checkpoint(&mk);
    mk.log = new;
    mk_events(&mk, 3);
    expect_tampered("KEY_CHANGE_INVALID", 4);
}

/* The ledger goes on under another name after records were lost. */
static void restore(uint64_t lost_size)
{
    char vkey[2][TL_VKEY_SIZE];
    char hex[65];
    uint8_t mac_id[32];
    struct tl_buf root;
    tl_buf_init(&root, 100);
    tl_base64_encode(&root, mk.image.head.root, 32);
    tl_buf_add_char(&root, '\0');
    mk_key_make(&mk.log, "audit.example.com/second", TL_NOTE_TYPE_ED25519, 210);
    mk_key_make(&mk.epoch_key, "audit.example.com/second/epoch/0", TL_NOTE_TYPE_COSIGNED, 211);
    memset(mk.k0, 212, sizeof(mk.k0));
    tl_mac_id(mk.k0, mac_id);
    tl_hex_encode(hex, mac_id, 32);
    tl_vkey_format(vkey[0], &mk.epoch_key.key);
    tl_vkey_format(vkey[1], &mk.log.key);
    char payload[2048];
    (void)snprintf(payload, sizeof(payload),
                   "{\"epoch_key\":\"%s\",\"from_origin\":\"%s\",\"from_root\":\"%s\",\"from_"
                   "size\":%llu,\"log_key\":\"%s\",\"lost_size\":%llu,\"mac_id\":\"%s\","
                   "\"origin\":\"audit.example.com/second\",\"reason\":\"disk\"}",
                   vkey[0], mk.origin, root.data, (unsigned long long)mk.image.head.size, vkey[1],
                   (unsigned long long)lost_size, hex);
    tl_buf_release(&root);
    mk.mac_gen = tl_get_be32(mac_id);
    tl_mac_init(&mk.mac, mk.k0, 0);
    mk.incarnation++;
    (void)snprintf(mk.origin, sizeof(mk.origin), "audit.example.com/second");
    mk_control(&mk, TL_LEAF_RESTORE, payload);
    mk_checkpoint(&mk);
    mk.trust->logs[mk.trust->log_count++] = mk.log.key;
    mk.trust->epochs[mk.trust->epoch_count++] = mk.epoch_key.key;
    mk_events(&mk, 3);
}

static void restores(void **state)
{
    (void)state;
    mk_init(&other, MK_ORIGIN, 1);
    mk_events(&other, 7);
    mk_events(&mk, 3);
    restore(8);
    expect_warning("RESTORED", 4);
    remember_newest(&other);
    struct tally_report *report = verify();
    assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(report->warnings, 2); /* RESTORED, ROLLBACK_DECLARED */
    tally_report_free(report);
    mk_events(&other, 1);
    remember_newest(&other);
    expect_among("ROLLBACK", 4);
    input.remembered_count = 0;
    mk.trust->log_count = 1;
    report = verify();
    assert_int_equal(report->verdict, TALLY_VERDICT_UNVERIFIABLE); /* ORIGIN_MISMATCH */
    tally_report_free(report);
    mk_release(&other);
}

static void a_splice_from_another_ledger(void **state)
{
    (void)state;
    make_two_epochs();
    mk_init(&other, MK_ORIGIN, 9);
    mk_events(&other, 31);
    const struct image_record *from = &other.image.records[5];
    image_set(&record(5)->leaf, from->leaf.data, from->leaf.len);
    image_set(&record(5)->event, from->event.data, from->event.len);
    image_set(&record(5)->seed, from->seed.data, from->seed.len);
    expect_among("LEAF_INVALID", 5); /* of another MAC generation */
    input.store = &other.image.store;
    expect_among("GENESIS_MISMATCH", 0);
    mk_release(&other);
}

/* Log key and current epoch key are stolen; the key of the closed epoch is gone. */
static void stolen_keys_cannot_rewrite_a_closed_epoch(void **state)
{
    (void)state;
    make_two_epochs();
    input.mac_key = NULL;
    record(5)->leaf.data[90] ^= 1;
    struct image_checkpoint seal = mk.image.checkpoints[2];
    assert_int_equal(seal.size, 11);
    mk_rebuild(&mk);
    expect_among("EPOCH_SEAL_INVALID", 10);
}

static void scopes(void **state)
{
    (void)state;
    make_two_epochs();
    record(5)->event.data[30] ^= 1;
    options.scope = TALLY_SCOPE_NEWEST;
    options.newest = 10;
    struct tally_report *report = verify();
    assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(report->expected, 10);
    assert_int_equal(report->checked, 10);
    assert_int_equal(report->leaves, 32);
    assert_true((report->qualifiers & TALLY_QUALIFIER_CONTENT_PART) != 0);
    tally_report_free(report);
    options.scope = TALLY_SCOPE_RANGE;
    options.first = 5;
    options.last = 5;
    expect_tampered("CONTENT_MODIFIED", 5);
    options.first = 500;
    options.last = 501;
    expect_unverifiable("CHECK_FAILED", NO_SEQ);
    options.scope = TALLY_SCOPE_ID;
    options.id = "00000005-0000-7000-8000-0123456789ab";
    expect_tampered("CONTENT_MODIFIED", 5);
    options.id = "00000006-0000-7000-8000-0123456789ab";
    expect_verified();
    options.id = "00000999-0000-7000-8000-0123456789ab";
    expect_unverifiable("CHECK_FAILED", NO_SEQ);
    options.scope = TALLY_SCOPE_SINCE;
    struct tally_report *none = NULL;
    check_status(tl_verify(&input, &none, NULL), TALLY_EINVAL);
    struct image_checkpoint *kept = &mk.image.checkpoints[2];
    remembered = (struct tl_str){ .text = (char *)kept->note.data, .len = kept->note.len };
    input.remembered = &remembered;
    input.remembered_count = 1;
    report = verify();
    assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(report->checked, 21);
    tally_report_free(report);
}

static int cancel(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    return done <= total;
}

static void can_be_canceled(void **state)
{
    (void)state;
    mk_events(&mk, 5000);
    options.on_progress = cancel;
    struct tally_report *report = verify();
    assert_int_equal(report->verdict, TALLY_VERDICT_UNVERIFIABLE);
    assert_int_equal(report->canceled, 1);
    assert_true(report->skipped > 0);
    tally_report_free(report);
}

static void an_unreadable_ledger_is_a_report(void **state)
{
    (void)state;
    struct tally_report *report = NULL;
    check_ok(tl_verify_unreadable(&options, "STORE_ERROR", "no such file", &report, NULL));
    assert_int_equal(report->verdict, TALLY_VERDICT_UNVERIFIABLE);
    assert_string_equal(report->findings[0].code, "STORE_ERROR");
    tally_report_free(report);
}

static tally_status verify_once(const void *ctx)
{
    (void)ctx;
    struct tally_report *report = NULL;
    tally_status status = tl_verify(&input, &report, NULL);
    tally_report_free(report);
    return status;
}

static void says_that_there_is_no_memory(void **state)
{
    (void)state;
    mk_events(&mk, 300);
    mk_control(&mk, TL_LEAF_ERASE,
               "{\"basis\":\"gdpr\",\"items\":[{\"pointers\":[\"/actor/name\"],\"seqs\":[3]},"
               "{\"pointers\":[\"\"],\"seqs\":[5]}]}");
    mk_events(&mk, 2);
    mk_erase_member(&mk, 3, "/actor/name");
    mk_erase(&mk, 5);
    assert_true(fault_each_alloc(verify_once, NULL) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_sound_ledger_is_verified, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_large_sound_ledger_is_verified, set_up, tear_down),
        cmocka_unit_test_setup_teardown(checkpoints, set_up, tear_down),
        cmocka_unit_test_setup_teardown(signatures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(witnesses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(missing_checkpoints, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_ledger_is_unverifiable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_trust_is_unverifiable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(seals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(seals_of_another_second, set_up, tear_down),
        cmocka_unit_test_setup_teardown(trust, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_thousand_wrong_keys_never_verify, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(kept_checkpoints_of_another_tree, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(leaves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sealed_leaves_that_break_a_rule, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_id_that_comes_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tiles, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_leaf_of_the_tail_without_mac_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(controls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_modified_payload, set_up, tear_down),
        cmocka_unit_test_setup_teardown(policies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(epochs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_epoch_that_was_not_switched, set_up, tear_down),
        cmocka_unit_test_setup_teardown(purges, set_up, tear_down),
        cmocka_unit_test_setup_teardown(purges_that_count_wrongly, set_up, tear_down),
        cmocka_unit_test_setup_teardown(contents_that_are_gone_without_a_reason, set_up, tear_down),
        cmocka_unit_test_setup_teardown(overrides_with_approval, set_up, tear_down),
        cmocka_unit_test_setup_teardown(erasures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(members_that_the_policy_does_not_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(contents, set_up, tear_down),
        cmocka_unit_test_setup_teardown(events_that_are_not_canonical, set_up, tear_down),
        cmocka_unit_test_setup_teardown(retention_from_the_time_of_the_event, set_up, tear_down),
        cmocka_unit_test_setup_teardown(heads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_read_that_fails_is_never_verified, set_up, tear_down),
        cmocka_unit_test_setup_teardown(log_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_that_did_not_sign_its_change, set_up, tear_down),
        cmocka_unit_test_setup_teardown(restores, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_splice_from_another_ledger, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stolen_keys_cannot_rewrite_a_closed_epoch, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(scopes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(can_be_canceled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_unreadable_ledger_is_a_report, set_up, tear_down),
        cmocka_unit_test_setup_teardown(says_that_there_is_no_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
