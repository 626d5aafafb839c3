/*
 * Changes a bit here and there, and wants each change found: in a ledger of 64 records, in one with
 * tiles, in stores, and in the log of docs/format.md.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "check.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "store/store.h"
#include "support/mkledger.h"
#include "support/vectors.h"
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

/* Adds a member to the text of R. */
static void put_member(struct tl_buf *text, struct tl_str pointer, struct tl_str value)
{
    tl_assert(pointer.text != NULL);
    const char *slash = memchr(pointer.text + 1, '/', pointer.len - 1);
    size_t at = 1;
    struct tl_str name = { .text = pointer.text + 1, .len = pointer.len - 1 };
    if (slash != NULL) {
        struct tl_str parent = { .text = name.text, .len = (size_t)(slash - name.text) };
        name = (struct tl_str){ .text = slash + 1, .len = name.len - parent.len - 1 };
        struct tl_json_iter it = { .at = 0 };
        while (tl_json_next(&it, text->data, text->len) == TALLY_OK) {
            at = tl_str_equal(it.raw_name, parent) ? it.value_start + 1 : at;
        }
    }
    struct tl_buf made;
    tl_buf_init(&made, 65536);
    tl_buf_add(&made, text->data, at);
    tl_buf_addf(&made, "\"%.*s\":", (int)name.len, name.text);
    tl_buf_add_str(&made, value);
    tl_buf_add_text(&made, text->data[at] == '}' ? "" : ",");
    tl_buf_add(&made, text->data + at, text->len - at);
    tl_buf_clear(text);
    tl_buf_add(text, made.data, made.len);
    tl_buf_release(&made);
}

static void decode(uint8_t *out, size_t size, const struct tl_json *object, const char *name)
{
    struct tl_str text = vectors_text(object, name);
    size_t len = 0;
    check_ok(tl_base64_decode(out, size, &len, text.text, text.len));
    assert_int_equal(len, size);
}

/* What a line of openings.ndjson gives, as a store keeps it. */
static void open_record(struct image *image, struct tl_arena *arena, const struct tl_json *line)
{
    struct image_record *record = &image->records[vectors_u64(line, "seq")];
    static uint8_t parts[TL_ERASABLE_MAX][32];
    static struct tl_opened opened;
    uint8_t salt0[TL_SALT_LEN];
    decode(salt0, sizeof(salt0), line, "salt");
    opened = (struct tl_opened){ .salt0 = salt0 };
    struct tl_buf text;
    tl_buf_init(&text, 65536);
    tl_buf_add_str(&text, vectors_text(line, "rest"));
    for (const struct tl_json *member = vectors_get(line, "members")->first; member != NULL;
         member = member->next) {
        struct tl_opened_part *part = &opened.parts[opened.count];
        part->pointer = vectors_text(member, "p");
        part->part = parts[opened.count];
        part->erased = tl_json_member(member, "d") != NULL;
        decode(parts[opened.count++], part->erased ? 32 : TL_SALT_LEN, member,
               part->erased ? "d" : "s");
        if (!part->erased) {
            put_member(&text, part->pointer, vectors_text(member, "v"));
        }
    }
    const struct tl_json *event = NULL;
    check_ok(tl_json_read(arena, text.data, text.len, &tl_json_limits_format, &event, NULL));
    struct tl_buf canonical;
    tl_buf_init(&canonical, 65536);
    tl_json_write(&canonical, event);
    image_set(&record->event, canonical.data, canonical.len);
    tl_buf_clear(&canonical);
    tl_opened_encode(&canonical, &opened);
    image_set(&record->opened, canonical.data, canonical.len);
    tl_buf_release(&canonical);
    tl_buf_release(&text);
}

static void load_entries(struct image *image, struct tl_frontier *frontier, struct tl_str bytes)
{
    const uint8_t *at = (const uint8_t *)bytes.text;
    for (size_t left = bytes.len; left > 0;) {
        size_t len = tl_get_be16(at);
        struct tally_record record = { .seq = image->record_count,
                                       .leaf = at + 2,
                                       .leaf_len = len };
        image_add(image, &record);
        uint8_t hash[TL_HASH_LEN];
        tl_tree_hash_leaf(hash, at + 2, len);
        tl_frontier_add(frontier, hash);
        at += len + 2;
        left -= len + 2;
    }
}

static void load_openings(struct image *image, struct tl_arena *arena)
{
    struct tl_str file = vectors_read(arena, "log702/openings.ndjson");
    const char *header_end = memchr(file.text, '\n', file.len);
    const char *at = header_end + 1;
    while (at < file.text + file.len) {
        const char *end = memchr(at, '\n', (size_t)(file.text + file.len - at));
        const struct tl_json *line = NULL;
        check_ok(tl_json_read(arena, at, (size_t)(end - at), &tl_json_limits_format, &line, NULL));
        if (tl_json_member(line, "rest") != NULL) {
            open_record(image, arena, line);
        }
        at = end + 1;
    }
}

static void load_log702(struct image *image, struct tl_arena *arena)
{
    static const char *const entries[] = { "000", "001", "002.p/190" };
    static const uint64_t sizes[] = { 1, 101, 181, 362, 451, 633, 702 };
    static struct tl_frontier frontier;
    char name[64];
    memset(&frontier, 0, sizeof(frontier));
    image_init(image);
    for (size_t i = 0; i < TL_ARRAY_LEN(entries); i++) {
        (void)snprintf(name, sizeof(name), "log702/tile/entries/%s", entries[i]);
        load_entries(image, &frontier, vectors_read(arena, name));
        (void)snprintf(name, sizeof(name), "log702/tile/0/%s", entries[i]);
        if (i < 2) {
            image_add_tile(image, 0, i, (const uint8_t *)vectors_read(arena, name).text);
        }
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(sizes); i++) {
        (void)snprintf(name, sizeof(name), "log702/checkpoints/%u", (unsigned int)sizes[i]);
        struct tl_str note = vectors_read(arena, name);
        image_add_checkpoint(image, sizes[i], note.text, note.len);
    }
    image->head.size = 702;
    image->head.epoch = 56;
    tl_frontier_root(&frontier, image->head.root);
    image->head.frontier_len = tl_frontier_pack(&frontier, image->head.frontier);
    load_openings(image, arena);
}

static bool has_note(const struct tally_report *report, const char *code, uint64_t seq)
{
    for (size_t i = 0; i < report->finding_count; i++) {
        if (strcmp(report->findings[i].code, code) == 0 && report->findings[i].seq == seq) {
            return true;
        }
    }
    return false;
}

static void flip_log702(struct image *image)
{
    for (size_t i = 0; i < image->checkpoint_count; i++) {
        flip(image->checkpoints[i].note.data, image->checkpoints[i].note.len, 97, TALLY_SEQ_NONE,
             "checkpoint");
    }
    for (size_t i = 0; i < image->tile_count; i++) {
        flip(image->tiles[i].data, TALLY_TILE_LEN, 3989, TALLY_SEQ_NONE, "tile");
    }
    for (size_t i = 0; i < image->record_count; i++) {
        struct image_record *record = &image->records[i];
        flip(record->leaf.data, record->leaf.len, 1997, TALLY_SEQ_NONE, "entry");
        flip(record->event.data, record->event.len, 601, i, "opening");
        flip(record->opened.data, record->opened.len, 307, i, "opening");
    }
}

static void verifies_the_log_of_the_format(void **state)
{
    (void)state;
    struct tl_arena arena;
    tl_arena_init(&arena, VECTORS_ARENA_BYTES);
    static struct image image;
    static struct tl_trust trust;
    load_log702(&image, &arena);
    assert_int_equal(image.record_count, 702);
    struct tl_str text = vectors_read(&arena, "log702/trust.txt");
    check_ok(tl_trust_parse(&trust, text.text, text.len, NULL));
    text = vectors_read(&arena, "log702/mac-key.txt");
    uint8_t k0[TL_MAC_KEY_LEN];
    uint32_t epoch = 0;
    check_ok(tl_mac_key_parse(k0, &epoch, text.text, text.len, NULL));
    begin(&image.store, &trust, k0);
    input.may_be_withheld = true;
    struct tally_report *report = NULL;
    check_ok(tl_verify(&input, &report, NULL));
    for (size_t i = 0; i < report->finding_count; i++) {
        print_message("  %s %llu %s\n", report->findings[i].code,
                      (unsigned long long)report->findings[i].seq, report->findings[i].what);
    }
    assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(report->size, 702);
    assert_int_equal(report->contents, 26);
    assert_int_equal(report->warnings, 0);
    assert_true(has_note(report, "PURGED", 50));
    assert_true(has_note(report, "ERASED", 77));
    assert_true(has_note(report, "ERASED", 90));
    assert_true(has_note(report, "GAP", 250));
    assert_non_null(image.records[60].event.data); /* was on hold when others were purged */
    tally_report_free(report);
    flip_log702(&image);
    image_release(&image);
    tl_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_each_bit_of_64_records),
        cmocka_unit_test(finds_each_bit_of_checkpoints_and_head),
        cmocka_unit_test(finds_what_happens_to_whole_records),
        cmocka_unit_test(finds_changes_where_there_are_tiles),
        cmocka_unit_test_setup_teardown(verifies_what_real_stores_keep, check_mkdir, check_rmdir),
        cmocka_unit_test(verifies_the_log_of_the_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
