/* For each finding about keys, checkpoints, memory and the tree, a ledger with exactly that fault. */
#include "verify/verify.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "check.h"
#include "codec/base64.h"
#include "fault.h"
#include "support/expect.h"

static struct mk other;
static struct tl_highwater mark;

static void set_note(size_t at, const char *text)
{
    image_set(&expect_mk.image.checkpoints[at].note, text, strlen(text));
}

static void a_sound_ledger_is_verified(void **state)
{
    (void)state;
    expect_make_two_epochs();
    struct tally_report *report = expect_report();
    expect_print(report);
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
        mk_events(&expect_mk, i % 9 == 0 ? 300 : 50 + (size_t)i);
    }
    expect_verified();
}

static void checkpoints(void **state)
{
    (void)state;
    expect_make_two_epochs();
    size_t newest = expect_mk.image.checkpoint_count - 1;
    struct image_bytes *note = &expect_mk.image.checkpoints[newest].note;
    char text[4096] = "";
    memcpy(text, note->data, note->len);

    set_note(newest, "nonsense\n");
    expect_tampered("CHECKPOINT_MALFORMED", 31);
    set_note(newest, text);
    expect_verified();
    expect_mk.image.checkpoints[newest].note.data[strlen(MK_ORIGIN) + 5] ^= 1; /* in the root */
    expect_among("SIGNATURE_INVALID", 31);
    set_note(newest, text);
    expect_input.now_s = NOW_S * 2;
    expect_options.max_age_s = 7800;
    expect_unverifiable("CHECKPOINT_STALE", NO_SEQ);
    expect_input.now_s = MK_START_S;
    expect_warning("CHECKPOINT_FUTURE", NO_SEQ);
    expect_input.now_s = NOW_S;
    expect_options.max_age_s = 0;
}

static void signatures(void **state)
{
    (void)state;
    mk_events(&expect_mk, 5);
    expect_mk.bad_log_line = true;
    mk_rebuild(&expect_mk);
    expect_tampered("SIGNATURE_INVALID", 5);
    expect_mk.no_log_line = true;
    mk_rebuild(&expect_mk);
    expect_unverifiable("KEY_UNKNOWN", 5);
    expect_mk.bad_epoch_line = true;
    mk_rebuild(&expect_mk);
    expect_tampered("EPOCH_SIGNATURE_INVALID", 5);
    expect_mk.no_epoch_line = true;
    mk_rebuild(&expect_mk);
    expect_tampered("EPOCH_SIGNATURE_INVALID", 5);
    expect_mk.checkpoint_time_s = MK_START_S - 1; /* before its last leaf */
    mk_rebuild(&expect_mk);
    expect_tampered("EPOCH_SIGNATURE_INVALID", 5);
    expect_mk.checkpoint_time_s = MK_START_S + MK_EPOCH_SECONDS; /* in the next epoch */
    mk_rebuild(&expect_mk);
    expect_tampered("EPOCH_SIGNATURE_INVALID", 5);
    mk_rebuild(&expect_mk);
    expect_verified();
}

static void witnesses(void **state)
{
    (void)state;
    mk_events(&expect_mk, 5);
    expect_mk.trust->witnesses[0].key = expect_mk.witness.key;
    expect_mk.trust->witness_count = 1;
    expect_mk.trust->has_quorum = true;
    expect_mk.trust->quorum = 0;
    expect_unverifiable("WITNESS_QUORUM", NO_SEQ);
    expect_mk.witnessed = true;
    mk_rebuild(&expect_mk);
    struct tally_report *report = expect_report();
    assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(report->qualifiers & TALLY_QUALIFIER_UNANCHORED, 0);
    tally_report_free(report);
    expect_mk.witness.seed[0] ^= 1; /* which signs badly from now on */
    mk_events(&expect_mk, 2);
    expect_among("WITNESS_QUORUM", NO_SEQ); /* a bad signature is no vote */
    expect_mk.trust->has_quorum = false;    /* nobody needs the line, and it is bad all the same */
    expect_tampered("SIGNATURE_INVALID", 7);
    expect_mk.trust->witness_count = 0;
    expect_verified(); /* a key that nobody knows */
}

static void a_bad_line_of_any_key_that_is_known(void **state)
{
    (void)state;
    struct mk_key next;
    expect_make_two_epochs();
    mk_key_make(&next, MK_ORIGIN "/epoch/0", TL_NOTE_TYPE_COSIGNED, 1); /* that of the first */
    assert_true(tl_vkey_equal(&next.key, &expect_mk.trust->epochs[0]));
    next.seed[0] ^= 1;
    expect_mk.second_log = &next;
    mk_events(&expect_mk, 1);
    mk_events(&expect_mk, 1);
    expect_tampered("SIGNATURE_INVALID", 32);
}

static void a_second_genesis_begins_nothing(void **state)
{
    (void)state;
    mk_events(&expect_mk, 2);
    struct image_bytes *first = &expect_record(0)->leaf;
    char payload[4096] = "";
    memcpy(payload, first->data + TL_LEAF_LEN, first->len - TL_LEAF_LEN);
    mk_control(&expect_mk, TL_LEAF_GENESIS, payload);
    mk_events(&expect_mk, 2);
    expect_tampered("CONTROL_INVALID", 3);
}

static void missing_checkpoints(void **state)
{
    (void)state;
    expect_make_two_epochs();
    image_remove_checkpoint(&expect_mk.image, 0);
    expect_unverifiable("CHECKPOINT_MISSING", 0);
    image_remove_checkpoint(&expect_mk.image, 1); /* the seal */
    expect_among("EPOCH_SEAL_MISSING", 10);
    while (expect_mk.image.checkpoint_count > 0) {
        image_remove_checkpoint(&expect_mk.image, 0);
    }
    struct tally_report *report = expect_report();
    assert_int_not_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    tally_report_free(report);
}

static void an_empty_ledger_is_unverifiable(void **state)
{
    (void)state;
    struct image empty;
    image_init(&empty);
    expect_input.store = &empty.store;
    expect_unverifiable("CHECKPOINT_MISSING", NO_SEQ);
    struct tally_report *report = expect_report();
    assert_string_equal(report->skipped_why, "there was nothing to check");
    tally_report_free(report);
    image_release(&empty);
}

static void no_trust_is_unverifiable(void **state)
{
    (void)state;
    mk_events(&expect_mk, 5);
    expect_input.trust = NULL;
    expect_unverifiable("KEY_UNKNOWN", NO_SEQ);
}

static void seals(void **state)
{
    (void)state;
    mk_events(&expect_mk, 9);
    expect_mk.bad_epoch_line = true;
    mk_switch(&expect_mk, 1);
    mk_events(&expect_mk, 3);
    expect_tampered("EPOCH_SEAL_INVALID", 10);
}

static void a_seal_of_another_root(void **state)
{
    (void)state;
    mk_events(&expect_mk, 9);
    expect_mk.bad_root = true;
    mk_switch(&expect_mk, 1);
    mk_events(&expect_mk, 3);
    expect_tampered("EPOCH_SEAL_INVALID", 10);
}

/* Checkpoints whose roots hold say where to look. */
static void a_root_that_differs_after_one_that_holds(void **state)
{
    (void)state;
    expect_make_two_epochs();
    expect_input.mac_key = NULL;
    expect_record(25)->leaf.data[90] ^= 1;
    struct tally_report *report = expect_report();
    assert_int_equal(report->tampered, 1);
    assert_string_equal(report->findings[0].code, "ROOT_MISMATCH");
    assert_string_equal(report->findings[0].what,
                        "a leaf from 21 to 31 is not the one that was signed");
    tally_report_free(report);
}

/* A leaf that is missing does not end the search for one that was changed. */
static void a_change_before_a_hole(void **state)
{
    (void)state;
    mk_events(&expect_mk, 300);
    expect_input.mac_key = NULL;
    expect_record(5)->leaf.data[90] ^= 1;
    image_remove(&expect_mk.image, 290);
    expect_among("LEAF_MISSING", 290);
    expect_among("TILE_MISMATCH", 0);
}

static void seals_of_another_second(void **state)
{
    (void)state;
    mk_events(&expect_mk, 9);
    expect_mk.checkpoint_time_s = MK_START_S + MK_EPOCH_SECONDS + 1;
    mk_switch(&expect_mk, 1);
    mk_events(&expect_mk, 3);
    expect_tampered("EPOCH_SEAL_INVALID", 10);
}

/* Makes it another key of the same name. */
static void change_key(struct tl_vkey *key)
{
    struct tl_vkey old = *key;
    old.public_key[0] ^= 1;
    check_ok(tl_vkey_make(key, tl_str_of(old.name), old.type, old.public_key, NULL));
}

static void trust(void **state)
{
    (void)state;
    mk_events(&expect_mk, 5);
    change_key(&expect_mk.trust->epochs[0]);
    expect_tampered("GENESIS_MISMATCH", 0);
    expect_mk.trust->epoch_count = 0;
    expect_unverifiable("EPOCH_UNPINNED", 0);
    change_key(&expect_mk.trust->epochs[0]);
    expect_mk.trust->epoch_count = 1;
    change_key(&expect_mk.trust->logs[0]);
    expect_tampered("GENESIS_MISMATCH", 0);
    (void)snprintf(expect_mk.trust->logs[0].name, sizeof(expect_mk.trust->logs[0].name),
                   "elsewhere.example");
    expect_unverifiable("ORIGIN_MISMATCH", 0);
}

static void a_thousand_wrong_keys_never_verify(void **state)
{
    (void)state;
    mk_events(&expect_mk, 5);
    uint8_t right[TL_MAC_KEY_LEN];
    memcpy(right, expect_mk.k0, sizeof(right));
    struct tl_trust *trust = expect_mk.trust;
    for (uint32_t i = 0; i < 1000; i++) {
        uint8_t bit = (uint8_t)(1 << i % 8);
        struct tl_vkey *key = i % 2 == 0 ? &trust->logs[0] : &trust->epochs[0];
        key->public_key[i / 2 % 32] ^= bit;
        struct tally_report *report = expect_report();
        assert_int_not_equal(report->verdict, TALLY_VERDICT_VERIFIED);
        tally_report_free(report);
        key->public_key[i / 2 % 32] ^= bit;
        expect_mk.k0[i % 32] ^= bit;
        if (i % 10 == 0) {
            expect_unverifiable("MAC_KEY_UNKNOWN", NO_SEQ);
        }
        memcpy(expect_mk.k0, right, sizeof(right));
    }
    expect_verified();
}

static void memory(void **state)
{
    (void)state;
    mk_events(&expect_mk, 5);
    struct image old;
    image_copy(&old, &expect_mk.image);
    mk_events(&expect_mk, 5);
    mark = (struct tl_highwater){ .size = expect_mk.image.head.size };
    memcpy(mark.root, expect_mk.image.head.root, sizeof(mark.root));
    expect_input.highwater = &mark;
    expect_remember_newest(&expect_mk);
    expect_verified();
    expect_input.store = &old.store;
    expect_tampered("ROLLBACK", NO_SEQ);
    expect_input.remembered_count = 0;
    expect_tampered("ROLLBACK", NO_SEQ);
    expect_input.store = &expect_mk.image.store;
    mark.size++;
    expect_tampered("ROLLBACK", NO_SEQ);
    mark.size--;
    mark.root[TL_HASH_LEN - 1] ^= 1;
    expect_tampered("FORK", 10);
    mark.size = 3;
    expect_tampered("HISTORY_REWRITTEN", 2);
    expect_input.highwater = NULL;
    mk_init(&other, MK_ORIGIN, 2);
    mk_events(&other, 3);
    expect_remember_newest(&other);
    expect_unverifiable("KEY_UNKNOWN", NO_SEQ);
    *expect_remembered = TL_STR("not a checkpoint");
    expect_unverifiable("CHECK_FAILED", NO_SEQ);
    mk_release(&other);
    image_release(&old);
}

static void kept_checkpoints_of_another_tree(void **state)
{
    (void)state;
    mk_events(&expect_mk, 5);
    mk_events(&expect_mk, 5);
    struct image old;
    image_copy(&old, &expect_mk.image);
    expect_mk.image.records[3].leaf.data[50] ^= 1;
    mk_rebuild(&expect_mk); /* the newest is made again, the one of size 6 is not */
    image_set(&expect_mk.image.records[3].leaf, old.records[3].leaf.data, TL_LEAF_LEN);
    expect_mk.image.records[3].leaf.data[100] ^= 1;
    mk_rebuild(&expect_mk);
    expect_input.mac_key = NULL;
    expect_tampered("HISTORY_REWRITTEN", 5);
    image_release(&old);
}

static void rows(void **state)
{
    (void)state;
    expect_make_two_epochs();
    struct image sound;
    image_copy(&sound, &expect_mk.image);
    image_remove(&expect_mk.image, 5);
    expect_tampered("LEAF_MISSING", 5);
    for (size_t i = 5; i < expect_mk.image.record_count; i++) {
        expect_mk.image.records[i].seq--;
    }
    expect_among("SEQ_MISMATCH", 5);
    image_release(&expect_mk.image);
    image_copy(&expect_mk.image, &sound);
    image_remove(&expect_mk.image, 31);
    expect_tampered("TRUNCATED", 31);
    image_remove(&expect_mk.image, 30);
    expect_tampered("TRUNCATED", 30);
    image_release(&expect_mk.image);
    image_copy(&expect_mk.image, &sound);
    mk_event(&expect_mk);
    expect_tampered("LEAF_EXTRA", 32);
    image_release(&expect_mk.image);
    image_copy(&expect_mk.image, &sound);
    struct image_record swapped = expect_mk.image.records[12];
    expect_mk.image.records[12] = expect_mk.image.records[13];
    expect_mk.image.records[13] = swapped;
    expect_mk.image.records[12].seq = 12;
    expect_mk.image.records[13].seq = 13;
    expect_among("SEQ_MISMATCH", 12);
    expect_among("SEQ_MISMATCH", 13);
    image_release(&sound);
}

static void tiles(void **state)
{
    (void)state;
    mk_events(&expect_mk, 300);
    mk_events(&expect_mk, 500);
    expect_verified();
    struct image sound;
    image_copy(&sound, &expect_mk.image);
    expect_mk.image.tiles[1].data[TALLY_TILE_LEN - 1] ^= 1;
    expect_tampered("TILE_MISMATCH", 256);
    expect_mk.image.tiles[1].data[TALLY_TILE_LEN - 1] ^= 1;
    expect_record(400)->leaf.data[90] ^= 1; /* in the MAC */
    expect_tampered("LEAF_MODIFIED", 400);
    expect_record(400)->leaf.data[90] ^= 1;
    expect_record(400)->leaf.data[60] ^= 1; /* in the commitment */
    expect_tampered("LEAF_MODIFIED", 400);
    expect_record(400)->leaf.data[60] ^= 1;
    image_remove(&expect_mk.image, 401);
    expect_tampered("LEAF_MISSING", 401);
    image_release(&expect_mk.image);
    image_copy(&expect_mk.image, &sound);
    expect_mk.image.tiles[2].n = 7;
    expect_among("TILE_MISMATCH", NO_SEQ);
    expect_mk.image.tile_count--;
    expect_unverifiable("TILE_MISSING", 512);
    image_release(&sound);
}

static void a_leaf_of_the_tail_without_mac_key(void **state)
{
    (void)state;
    expect_make_two_epochs();
    expect_input.mac_key = NULL;
    expect_record(25)->leaf.data[90] ^= 1;
    expect_tampered("ROOT_MISMATCH", 31);
}

static void epochs(void **state)
{
    (void)state;
    mk_events(&expect_mk, 4);
    mk_switch(&expect_mk, 1);
    mk_events(&expect_mk, 2);
    mk_switch(&expect_mk, 3);
    mk_events(&expect_mk, 2);
    expect_verified();
    expect_mk.generation -= 1; /* the key of epoch 5 is then that of epoch 4 */
    mk_switch(&expect_mk, 1);
    mk_events(&expect_mk, 2);
    expect_tampered("EPOCH_INVALID", 11);
}

static void an_epoch_that_was_not_switched(void **state)
{
    (void)state;
    mk_events(&expect_mk, 4);
    expect_mk.time_us += INT64_C(3600000000);
    mk_events(&expect_mk, 4);
    expect_among("EPOCH_MISMATCH", 5);
}

static void heads_between_two_epochs(void **state)
{
    (void)state;
    mk_events(&expect_mk, 3);
    mk_switch(&expect_mk, 1);
    expect_verified();
    expect_mk.image.head.epoch = 0;
    expect_verified();
    expect_mk.image.head.epoch = 2;
    expect_tampered("HEAD_MISMATCH", NO_SEQ);
}

static void heads(void **state)
{
    (void)state;
    expect_make_two_epochs();
    struct tally_head sound = expect_mk.image.head;
    expect_mk.image.head.size--;
    expect_tampered("HEAD_MISMATCH", NO_SEQ);
    expect_mk.image.head = sound;
    expect_mk.image.head.root[9] ^= 1;
    expect_tampered("HEAD_MISMATCH", NO_SEQ);
    expect_mk.image.head = sound;
    expect_mk.image.head.frontier[9] ^= 1;
    expect_tampered("HEAD_MISMATCH", NO_SEQ);
    expect_mk.image.head = sound;
    expect_mk.image.head.epoch ^= 4;
    expect_tampered("HEAD_MISMATCH", NO_SEQ);
    expect_mk.image.head = sound;
    expect_mk.image.self_finding = "ROW_INSERTED";
    expect_tampered("ROW_INSERTED", 3);
    expect_mk.image.self_finding = "SOMETHING_NEW";
    expect_unverifiable("STORE_ERROR", 3);
}

static void a_read_that_fails_is_never_verified(void **state)
{
    (void)state;
    mk_events(&expect_mk, 300);
    for (size_t reads = 1; reads < 100; reads++) {
        expect_mk.image.reads_left = reads;
        struct tally_report *report = expect_report();
        bool failed = expect_mk.image.reads_left == 0;
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
    mk_events(&expect_mk, 3);
    mk_key_make(&new, MK_ORIGIN, TL_NOTE_TYPE_ED25519, 200);
    tl_vkey_format(vkey, &new.key);
    (void)snprintf(payload, sizeof(payload), "{\"log_key\":\"%s\"}", vkey);
    mk_control(&expect_mk, TL_LEAF_KEY, payload);
    expect_mk.second_log = &new;
    mk_checkpoint(&expect_mk);
    expect_mk.log = new;
    mk_events(&expect_mk, 3);
    expect_verified();
    expect_mk.trust->logs[0] = new.key; /* the newest is pinned, not the first */
    expect_verified();
    size_t newest = expect_mk.image.checkpoint_count - 1;
    image_remove_checkpoint(&expect_mk.image, newest - 1);
    expect_tampered("KEY_CHANGE_INVALID", 4);
}

/* KEY: the leaves after it are of the new generation. */
static void keys_of_macs(void **state)
{
    (void)state;
    char hex[65];
    char payload[128];
    uint8_t mac_id[32];
    mk_events(&expect_mk, 3);
    memset(expect_mk.k0, 99, sizeof(expect_mk.k0));
    tl_mac_id(expect_mk.k0, mac_id);
    tl_hex_encode(hex, mac_id, sizeof(mac_id));
    (void)snprintf(payload, sizeof(payload), "{\"mac_id\":\"%s\"}", hex);
    mk_control(&expect_mk, TL_LEAF_KEY, payload);
    mk_checkpoint(&expect_mk);
    expect_mk.mac_gen = tl_get_be32(mac_id);
    tl_mac_init(&expect_mk.mac, expect_mk.k0, 0);
    mk_events(&expect_mk, 3);
    expect_verified();
}

static void a_key_that_did_not_sign_its_change(void **state)
{
    (void)state;
    struct mk_key new;
    char payload[1024];
    char vkey[TL_VKEY_SIZE];
    mk_events(&expect_mk, 3);
    mk_key_make(&new, MK_ORIGIN, TL_NOTE_TYPE_ED25519, 200);
    tl_vkey_format(vkey, &new.key);
    (void)snprintf(payload, sizeof(payload), "{\"log_key\":\"%s\"}", vkey);
    mk_control(&expect_mk, TL_LEAF_KEY, payload);
    mk_checkpoint(&expect_mk);
    expect_mk.log = new;
    mk_events(&expect_mk, 3);
    expect_tampered("KEY_CHANGE_INVALID", 4);
}

/* The ledger goes on under another name after records were lost. */
static void restore(uint64_t lost_size, const uint8_t *lost_root)
{
    char vkey[2][TL_VKEY_SIZE];
    char hex[65];
    uint8_t mac_id[32];
    struct tl_buf root;
    tl_buf_init(&root, 100);
    tl_base64_encode(&root, expect_mk.image.head.root, 32);
    tl_buf_add_char(&root, '\0');
    struct tl_buf lost;
    tl_buf_init(&lost, 100);
    if (lost_root != NULL) {
        tl_buf_add_text(&lost, "\"lost_root\":\"");
        tl_base64_encode(&lost, lost_root, 32);
        tl_buf_add_text(&lost, "\",");
    }
    tl_buf_add_char(&lost, '\0');
    mk_key_make(&expect_mk.log, "audit.example.com/second", TL_NOTE_TYPE_ED25519, 210);
    mk_key_make(&expect_mk.epoch_key, "audit.example.com/second/epoch/0", TL_NOTE_TYPE_COSIGNED,
                211);
    memset(expect_mk.k0, 212, sizeof(expect_mk.k0));
    tl_mac_id(expect_mk.k0, mac_id);
    tl_hex_encode(hex, mac_id, 32);
    tl_vkey_format(vkey[0], &expect_mk.epoch_key.key);
    tl_vkey_format(vkey[1], &expect_mk.log.key);
    char payload[2048];
    (void)snprintf(payload, sizeof(payload),
                   "{\"epoch_key\":\"%s\",\"from_origin\":\"%s\",\"from_root\":\"%s\",\"from_"
                   "size\":%llu,\"log_key\":\"%s\",%s\"lost_size\":%llu,\"mac_id\":\"%s\","
                   "\"origin\":\"audit.example.com/second\",\"reason\":\"disk\"}",
                   vkey[0], expect_mk.origin, root.data,
                   (unsigned long long)expect_mk.image.head.size, vkey[1], lost.data,
                   (unsigned long long)lost_size, hex);
    tl_buf_release(&root);
    tl_buf_release(&lost);
    expect_mk.mac_gen = tl_get_be32(mac_id);
    tl_mac_init(&expect_mk.mac, expect_mk.k0, 0);
    expect_mk.incarnation++;
    (void)snprintf(expect_mk.origin, sizeof(expect_mk.origin), "audit.example.com/second");
    mk_control(&expect_mk, TL_LEAF_RESTORE, payload);
    mk_checkpoint(&expect_mk);
    expect_mk.trust->logs[expect_mk.trust->log_count++] = expect_mk.log.key;
    expect_mk.trust->epochs[expect_mk.trust->epoch_count++] = expect_mk.epoch_key.key;
    mk_events(&expect_mk, 3);
}

static void restores(void **state)
{
    (void)state;
    mk_init(&other, MK_ORIGIN, 1);
    mk_events(&other, 7);
    mk_events(&expect_mk, 3);
    restore(8, NULL);
    expect_warning("RESTORED", 4);
    expect_remember_newest(&other);
    struct tally_report *report = expect_report();
    assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(report->warnings, 2); /* RESTORED, ROLLBACK_DECLARED */
    tally_report_free(report);
    mk_events(&other, 1);
    expect_remember_newest(&other);
    expect_among("ROLLBACK", 4);
    expect_input.remembered_count = 0;
    expect_mk.trust->log_count = 1;
    report = expect_report();
    assert_int_equal(report->verdict, TALLY_VERDICT_UNVERIFIABLE); /* ORIGIN_MISMATCH */
    tally_report_free(report);
    mk_release(&other);
}

static void a_restore_is_of_the_root_it_names(void **state)
{
    mk_init(&other, MK_ORIGIN, 1);
    mk_events(&other, 7);
    for (uint8_t wrong = 0; wrong < 2; wrong++) {
        uint8_t root[TL_HASH_LEN];
        memcpy(root, other.image.head.root, sizeof(root));
        root[TL_HASH_LEN - 1] ^= wrong;
        mk_events(&expect_mk, 3);
        restore(8, root);
        expect_remember_newest(&other);
        if (wrong != 0) {
            expect_among("ROLLBACK", 4);
            break;
        }
        struct tally_report *report = expect_report();
        assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
        tally_report_free(report);
        expect_tear_down(state);
        expect_set_up(state);
    }
    mk_release(&other);
}

static void a_splice_from_another_ledger(void **state)
{
    (void)state;
    expect_make_two_epochs();
    mk_init(&other, MK_ORIGIN, 9);
    mk_events(&other, 31);
    const struct image_record *from = &other.image.records[5];
    image_set(&expect_record(5)->leaf, from->leaf.data, from->leaf.len);
    image_set(&expect_record(5)->event, from->event.data, from->event.len);
    image_set(&expect_record(5)->seed, from->seed.data, from->seed.len);
    expect_among("LEAF_INVALID", 5); /* of another MAC generation */
    expect_input.store = &other.image.store;
    expect_among("GENESIS_MISMATCH", 0);
    mk_release(&other);
}

/* Log key and current epoch key are stolen; the key of the closed epoch is gone. */
static void stolen_keys_cannot_rewrite_a_closed_epoch(void **state)
{
    (void)state;
    for (size_t seq = 1; seq < 10; seq++) {
        expect_make_two_epochs();
        expect_input.mac_key = NULL; /* stolen too */
        expect_record(seq)->leaf.data[90] ^= 1;
        mk_rebuild(&expect_mk);
        expect_among("EPOCH_SEAL_INVALID", 10);
        mk_forge(&expect_mk, 1, false);
        mk_forge(&expect_mk, 2, false);
        expect_among("EPOCH_SIGNATURE_INVALID", 9);
        expect_among("EPOCH_SEAL_INVALID", 10);
        expect_tear_down(NULL);
        expect_set_up(NULL);
    }
}

/* Within the open epoch they can; what was remembered outside tells. */
static void stolen_keys_rewrite_the_open_epoch_unless_it_was_remembered(void **state)
{
    (void)state;
    expect_make_two_epochs();
    struct mk *mk = &expect_mk;
    mk_init(&other, MK_ORIGIN, 1);
    image_release(&other.image);
    image_copy(&other.image, &mk->image);
    expect_input.mac_key = NULL;
    expect_record(25)->leaf.data[90] ^= 1;
    mk_rebuild(mk);
    mk_forge(mk, 3, true);
    expect_verified();
    struct tally_report *report = expect_report();
    assert_int_equal(report->qualifiers & TALLY_QUALIFIER_UNANCHORED, TALLY_QUALIFIER_UNANCHORED);
    tally_report_free(report);
    expect_remember_newest(&other);
    expect_tampered("FORK", 31);
    mk_release(&other);
}

static int cancel(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    return done <= total;
}

static void can_be_canceled(void **state)
{
    (void)state;
    mk_events(&expect_mk, 5000);
    expect_options.on_progress = cancel;
    struct tally_report *report = expect_report();
    assert_int_equal(report->verdict, TALLY_VERDICT_UNVERIFIABLE);
    assert_int_equal(report->canceled, 1);
    assert_true(report->skipped > 0);
    assert_string_equal(report->skipped_why, "it was canceled");
    for (size_t i = 0; i < report->finding_count; i++) {
        assert_string_not_equal(report->findings[i].code, "STORE_ERROR");
    }
    tally_report_free(report);
}

static void an_unreadable_ledger_is_a_report(void **state)
{
    (void)state;
    struct tally_report *report = NULL;
    check_ok(tl_verify_unreadable(&expect_options, "STORE_ERROR", "no such file", &report, NULL));
    assert_int_equal(report->verdict, TALLY_VERDICT_UNVERIFIABLE);
    assert_string_equal(report->findings[0].code, "STORE_ERROR");
    tally_report_free(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_sound_ledger_is_verified, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(a_large_sound_ledger_is_verified, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(checkpoints, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(signatures, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(witnesses, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(a_bad_line_of_any_key_that_is_known, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(a_second_genesis_begins_nothing, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(missing_checkpoints, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(an_empty_ledger_is_unverifiable, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(no_trust_is_unverifiable, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(seals, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(a_seal_of_another_root, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(a_root_that_differs_after_one_that_holds, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(a_change_before_a_hole, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(seals_of_another_second, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(trust, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(a_thousand_wrong_keys_never_verify, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(memory, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(kept_checkpoints_of_another_tree, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(rows, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(tiles, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(a_restore_is_of_the_root_it_names, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(a_leaf_of_the_tail_without_mac_key, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(epochs, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(an_epoch_that_was_not_switched, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(heads, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(heads_between_two_epochs, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(a_read_that_fails_is_never_verified, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(log_keys, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(keys_of_macs, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(a_key_that_did_not_sign_its_change, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(restores, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(a_splice_from_another_ledger, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(stolen_keys_rewrite_the_open_epoch_unless_it_was_remembered,
                                        expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(stolen_keys_cannot_rewrite_a_closed_epoch, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(can_be_canceled, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(an_unreadable_ledger_is_a_report, expect_set_up,
                                        expect_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
