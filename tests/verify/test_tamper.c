/*
 * Changes a bit here and there, and wants each change found: in a ledger of 64 records, in one with
 * tiles, and in stores. tests/bundle does the same with exports.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "store/store.h"
#include "support/mkledger.h"
#include "verify/verify.h"

static struct mk mk;
static struct tl_verify_input input;
static struct tally_verify_options options;
static uint64_t tried;

static void begin(struct tally_store *store, const struct tl_trust *trust, const uint8_t *k0)
{
    options = (struct tally_verify_options)TALLY_VERIFY_OPTIONS_INIT;
    input = (struct tl_verify_input){
        .store = store,
        .trust = trust,
        .mac_key = k0,
        .now_s = MK_START_S + 60 * INT64_C(86400),
        .options = &options,
    };
}

/* Wants the ledger not to be verified; TAMPERED, with a finding on `seq`, if there is one. */
static void expect_found(uint64_t seq, const char *what, size_t at)
{
    struct tally_report *report = NULL;
    check_ok(tl_verify(&input, &report, NULL));
    bool found = seq == TALLY_SEQ_NONE;
    for (size_t i = 0; i < report->finding_count && !found; i++) {
        found = report->findings[i].has_seq != 0 && report->findings[i].seq == seq &&
                report->findings[i].weight == TALLY_WEIGHT_TAMPERED;
    }
    bool right = seq == TALLY_SEQ_NONE ? report->verdict != TALLY_VERDICT_VERIFIED
                                       : report->verdict == TALLY_VERDICT_TAMPERED;
    if (!found || !right) {
        print_message("%s of record %lld, bit %zu: %s\n", what, (long long)seq, at,
                      tally_verdict_name(report->verdict));
        for (size_t i = 0; i < report->finding_count; i++) {
            print_message("  %s %llu\n", report->findings[i].code,
                          (unsigned long long)report->findings[i].seq);
        }
        fail();
    }
    tally_report_free(report);
    tried++;
}

static void expect_verified(void)
{
    struct tally_report *report = NULL;
    check_ok(tl_verify(&input, &report, NULL));
    for (size_t i = 0; i < report->finding_count; i++) {
        print_message("  %s %llu %s\n", report->findings[i].code,
                      (unsigned long long)report->findings[i].seq, report->findings[i].what);
    }
    assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    tally_report_free(report);
}

/*
 * Flips every `step`th bit. Steps are prime, so that all places of a byte have their turn. With
 * FLIP_ALL in the environment it flips every bit, which takes minutes.
 */
static void flip(uint8_t *bytes, size_t len, size_t step, uint64_t seq, const char *what)
{
    step = getenv("FLIP_ALL") != NULL ? 1 : step;
    for (size_t bit = (size_t)(tried % step); bit < len * 8; bit += step) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        expect_found(seq, what, bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void make_64(void)
{
    mk_init(&mk, MK_ORIGIN, 1);
    mk_events(&mk, 20);
    mk_control(&mk, TL_LEAF_HOLD, "{\"hold\":\"h\",\"ranges\":[[7,8]]}");
    mk_control(&mk, TL_LEAF_ERASE,
               "{\"basis\":\"gdpr\",\"items\":[{\"pointers\":[\"/actor/name\"],\"seqs\":[3]}]}");
    mk_events(&mk, 10);
    mk_switch(&mk, 1);
    mk_control(&mk, TL_LEAF_RESUME, "{\"clean\":true,\"size\":33,\"tail_bytes\":0}");
    mk_events(&mk, 29);
    mk_erase_member(&mk, 3, "/actor/name");
    begin(&mk.image.store, mk.trust, mk.k0);
    assert_int_equal(mk.image.record_count, 64);
}

static void finds_each_bit_of_64_records(void **state)
{
    (void)state;
    make_64();
    expect_verified();
    for (size_t i = 0; i < mk.image.record_count; i++) {
        struct image_record *record = &mk.image.records[i];
        bool thorough = i == 3 || i == 40;
        flip(record->leaf.data, record->leaf.len, thorough ? 1 : 61, i, "leaf");
        flip(record->event.data, record->event.len, thorough ? 7 : 401, i, "event");
        flip(record->seed.data, record->seed.len, thorough ? 1 : 61, i, "seed");
        flip(record->opened.data, record->opened.len, 1, i, "opened");
    }
    print_message("%llu bits flipped\n", (unsigned long long)tried);
    mk_release(&mk);
}

static void finds_each_bit_of_checkpoints_and_head(void **state)
{
    (void)state;
    make_64();
    for (size_t i = 0; i < mk.image.checkpoint_count; i++) {
        struct image_bytes *note = &mk.image.checkpoints[i].note;
        flip(note->data, note->len, 13, TALLY_SEQ_NONE, "checkpoint");
        flip((uint8_t *)&mk.image.checkpoints[i].size, 1, 1, TALLY_SEQ_NONE, "size");
    }
    struct tally_head *head = &mk.image.head;
    flip(head->root, sizeof(head->root), 1, TALLY_SEQ_NONE, "head root");
    flip(head->frontier, head->frontier_len, 1, TALLY_SEQ_NONE, "head frontier");
    flip((uint8_t *)&head->size, sizeof(head->size), 1, TALLY_SEQ_NONE, "head size");
    flip((uint8_t *)&head->epoch, sizeof(head->epoch), 1, TALLY_SEQ_NONE, "head epoch");
    mk_release(&mk);
}

static void finds_what_happens_to_whole_records(void **state)
{
    (void)state;
    make_64();
    struct image sound;
    image_copy(&sound, &mk.image);
    for (size_t i = 0; i < 64; i++) {
        image_remove(&mk.image, i);
        expect_found(i, "removed", 0);
        image_release(&mk.image);
        image_copy(&mk.image, &sound);
        struct image_record *record = &mk.image.records[i];
        const struct image_record *twin = &sound.records[(i + 1) % 64];
        image_set(&record->leaf, twin->leaf.data, twin->leaf.len);
        expect_found(i, "copied leaf", 0);
        image_set(&record->leaf, sound.records[i].leaf.data, sound.records[i].leaf.len);
        image_set(&record->event, twin->event.data, twin->event.len);
        image_set(&record->seed, twin->seed.data, twin->seed.len);
        image_set(&record->opened, twin->opened.data, twin->opened.len);
        if (record->event.data != sound.records[i].event.data &&
            (record->event.data != NULL || sound.records[i].event.data != NULL)) {
            expect_found(i, "copied content", 0);
        }
        image_release(&mk.image);
        image_copy(&mk.image, &sound);
    }
    image_release(&sound);
    mk_release(&mk);
}

static void finds_changes_where_there_are_tiles(void **state)
{
    (void)state;
    mk_init(&mk, MK_ORIGIN, 1);
    mk_events(&mk, 300);
    mk_events(&mk, 300);
    begin(&mk.image.store, mk.trust, NULL);
    expect_verified();
    for (size_t i = 0; i < mk.image.tile_count; i++) {
        flip(mk.image.tiles[i].data, TALLY_TILE_LEN, 199, TALLY_SEQ_NONE, "tile");
    }
    for (size_t i = 1; i < 512; i += 61) { /* no MAC key: the tile says which leaf it is */
        flip(mk.image.records[i].leaf.data, TL_LEAF_LEN, 13, i, "leaf");
    }
    mk_release(&mk);
}

/* The same ledger, in the stores that ledgers are kept in. */
static void verifies_what_real_stores_keep(void **state)
{
    char path[4096];
    char uri[4200];
    mk_init(&mk, MK_ORIGIN, 1);
    mk_events(&mk, 300);
    mk_switch(&mk, 1);
    mk_events(&mk, 300);
    check_path(path, sizeof(path), *state, "ledger.db");
    (void)snprintf(uri, sizeof(uri), "sqlite:%s", path);
    const char *const uris[] = { "memory:1000", uri };
    for (size_t i = 0; i < TL_ARRAY_LEN(uris); i++) {
        struct tally_store *store = NULL;
        check_ok(tl_store_open(&store, uris[i], TALLY_STORE_CREATE, NULL));
        check_ok(image_store(&mk.image, store));
        begin(store, mk.trust, mk.k0);
        expect_verified();
        tl_store_close(store);
    }
    mk_release(&mk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_each_bit_of_64_records),
        cmocka_unit_test(finds_each_bit_of_checkpoints_and_head),
        cmocka_unit_test(finds_what_happens_to_whole_records),
        cmocka_unit_test(finds_changes_where_there_are_tiles),
        cmocka_unit_test_setup_teardown(verifies_what_real_stores_keep, check_mkdir, check_rmdir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
