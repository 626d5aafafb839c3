/*
 * The bundle of the format's vectors: sound, with a bit changed here and there, with files that are
 * missing, and with files and lines that should not be there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tally/verify.h>

#include "base/io.h"
#include "base/parse.h"
#include "bundle/bundle.h"
#include "check.h"
#include "support/fault.h"
#include "support/site.h"
#include "support/vectors.h"

static char dir[SITE_PATH_SIZE];   /* a copy of the vectors, to be changed */
static char trust[SITE_PATH_SIZE]; /* the files of the auditor */
static char mac_key[SITE_PATH_SIZE];
static size_t tried;

static void path_of(char out[SITE_PATH_SIZE], const char *name)
{
    check_path(out, SITE_PATH_SIZE, dir, name);
}

static char *read_all(const char *path, size_t *len_out)
{
    char *data = NULL;
    check_ok(tl_io_read_file(path, (size_t)1 << 20, &data, len_out, NULL));
    return data;
}

/* For each test a fresh copy. */
static int set_up(void **state)
{
    char from[SITE_PATH_SIZE];
    if (check_mkdir(state) != 0) {
        return -1;
    }
    check_path(dir, sizeof(dir), *state, "bundle");
    vectors_path(from, sizeof(from), "log702");
    site_copy(from, dir);
    vectors_path(trust, sizeof(trust), "log702/trust.txt");
    vectors_path(from, sizeof(from), "log702/mac-key.txt");
    check_path(mac_key, sizeof(mac_key), *state, "mac.key");
    size_t len = 0;
    char *key = read_all(from, &len);
    check_ok(tl_io_replace_file(mac_key, key, len, 0600, NULL));
    tl_free(key);
    return 0;
}

static struct tally_report *verify(void)
{
    struct tally_report *report = NULL;
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    options.trust_path = trust;
    options.mac_key_path = mac_key;
    check_ok(tally_verify_at(dir, &options, &report, NULL));
    return report;
}

static bool has(const struct tally_report *report, const char *code, uint64_t seq)
{
    for (size_t i = 0; i < report->finding_count; i++) {
        const struct tally_finding *finding = &report->findings[i];
        if (strcmp(finding->code, code) == 0 &&
            (seq == TALLY_SEQ_NONE || (finding->has_seq != 0 && finding->seq == seq))) {
            return true;
        }
    }
    return false;
}

static void print(const struct tally_report *report)
{
    print_message("%s\n", tally_verdict_name(report->verdict));
    for (size_t i = 0; i < report->finding_count; i++) {
        if (report->findings[i].weight > TALLY_WEIGHT_NOTE) {
            print_message("  %s %llu %s\n", report->findings[i].code,
                          (unsigned long long)report->findings[i].seq, report->findings[i].what);
        }
    }
}

/* Wants this verdict, and this finding if there is to be one. */
static void expect(enum tally_verdict verdict, const char *code, const char *what)
{
    struct tally_report *report = verify();
    if (report->verdict != verdict || (code != NULL && !has(report, code, TALLY_SEQ_NONE))) {
        print(report);
        fail_msg("%s: want %s with %s", what, tally_verdict_name(verdict),
                 code == NULL ? "nothing" : code);
    }
    tally_report_free(report);
}

static void verifies_the_bundle_of_the_format(void **state)
{
    (void)state;
    struct tally_report *report = verify();
    if (report->verdict != TALLY_VERDICT_VERIFIED) {
        print(report);
    }
    assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(report->qualifiers, TALLY_QUALIFIER_CONTENT_PART | TALLY_QUALIFIER_PURGED |
                                             TALLY_QUALIFIER_ERASED | TALLY_QUALIFIER_WITHHELD |
                                             TALLY_QUALIFIER_GAPS);
    assert_int_equal(report->size, 702);
    assert_int_equal(report->leaves, 702);
    assert_int_equal(report->contents, 26);
    assert_int_equal(report->warnings, 0);
    assert_true(has(report, "PURGED", 50));
    assert_true(has(report, "ERASED", 77));
    assert_true(has(report, "ERASED", 90));
    assert_true(has(report, "GAP", 250));
    assert_false(has(report, "WITHHELD", 60)); /* was on hold when others were purged */
    tally_report_free(report);
}

static void believes_no_key_that_comes_with_it(void **state)
{
    (void)state;
    struct tally_report *report = NULL;
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    check_ok(tally_verify_at(dir, &options, &report, NULL));
    assert_int_equal(report->verdict, TALLY_VERDICT_UNVERIFIABLE);
    assert_true(has(report, "KEY_UNKNOWN", TALLY_SEQ_NONE));
    tally_report_free(report);
}

/* Flips every `step`th bit of a file. With FLIP_ALL=1 in the environment every one, which takes an
 * hour and more; with another number, every so manieth. */
static void flip(const char *name, size_t step)
{
    char path[SITE_PATH_SIZE];
    size_t len = 0;
    path_of(path, name);
    char *bytes = read_all(path, &len);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    const char *all = getenv("FLIP_ALL");
    uint64_t by = step;
    if (all != NULL) {
        check_ok(tl_parse_u64(all, strlen(all), step, &by));
    }
    step = (size_t)by;
    for (size_t bit = tried % step; bit < len * 8; bit += step, tried++) {
        char changed = (char)(bytes[bit / 8] ^ (char)(1u << bit % 8));
        assert_int_equal(pwrite(fd, &changed, 1, (off_t)(bit / 8)), 1);
        struct tally_report *report = verify();
        if (report->verdict == TALLY_VERDICT_VERIFIED) {
            fail_msg("%s: bit %zu was changed, and nothing found", name, bit);
        }
        tally_report_free(report);
        assert_int_equal(pwrite(fd, &bytes[bit / 8], 1, (off_t)(bit / 8)), 1);
    }
    assert_int_equal(close(fd), 0);
    tl_free(bytes);
}

static void finds_each_bit_of_every_file(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t step; /* prime, so that all places of a byte have their turn */
    } files[] = {
        { "checkpoint", 97 },
        { "checkpoints/1", 197 },
        { "checkpoints/101", 197 },
        { "checkpoints/181", 97 },
        { "checkpoints/362", 197 },
        { "checkpoints/451", 197 },
        { "checkpoints/633", 197 },
        { "checkpoints/702", 97 },
        { "anchors/310", 97 },
        { "proofs/1.tlog-proof", 97 },
        { "tile/0/000", 1009 },
        { "tile/0/001", 1009 },
        { "tile/0/002.p/190", 1009 },
        { "tile/1/000.p/2", 31 },
        { "tile/entries/000", 3989 },
        { "tile/entries/001", 3989 },
        { "tile/entries/002.p/190", 3989 },
        { "openings.ndjson", 1009 },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(files); i++) {
        flip(files[i].name, files[i].step);
    }
    print_message("# %zu bits flipped\n", tried);
}

static void names_what_is_missing(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum tally_verdict verdict;
        const char *code;
    } rows[] = {
        { "checkpoint", TALLY_VERDICT_UNVERIFIABLE, "CHECKPOINT_MISSING" },
        { "checkpoints/1", TALLY_VERDICT_UNVERIFIABLE, "CHECKPOINT_MISSING" },
        { "checkpoints/181", TALLY_VERDICT_TAMPERED, "EPOCH_SEAL_MISSING" },
        { "checkpoints/702", TALLY_VERDICT_VERIFIED, NULL },
        { "anchors/310", TALLY_VERDICT_VERIFIED, "ANCHOR_MISSING" },
        { "proofs/1.tlog-proof", TALLY_VERDICT_VERIFIED, NULL },
        { "openings.ndjson", TALLY_VERDICT_VERIFIED, "WITHHELD" },
        { "tile/0/001", TALLY_VERDICT_UNVERIFIABLE, "TILE_MISSING" },
        { "tile/0/002.p/190", TALLY_VERDICT_UNVERIFIABLE, "TILE_MISSING" },
        { "tile/1/000.p/2", TALLY_VERDICT_UNVERIFIABLE, "TILE_MISSING" },
        { "tile/entries/001", TALLY_VERDICT_TAMPERED, "LEAF_MISSING" },
        { "tile/entries/002.p/190", TALLY_VERDICT_TAMPERED, "TRUNCATED" },
        { "trust.txt", TALLY_VERDICT_VERIFIED, NULL },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(rows); i++) {
        char path[SITE_PATH_SIZE];
        char away[SITE_PATH_SIZE + 8];
        path_of(path, rows[i].name);
        (void)snprintf(away, sizeof(away), "%s/away", (const char *)*state);
        assert_int_equal(rename(path, away), 0);
        expect(rows[i].verdict, rows[i].code, rows[i].name);
        assert_int_equal(rename(away, path), 0);
    }
    expect(TALLY_VERDICT_VERIFIED, NULL, "all is there again");
}

/* A tile with more in it than it holds is there, and wrong. */
static void names_tiles_that_grew(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t more;
        const char *code;
    } rows[] = {
        { "tile/0/001", 1, "TILE_MISMATCH" },          { "tile/0/002.p/190", 17, "TILE_MISMATCH" },
        { "tile/0/002.p/190", 9000, "TILE_MISMATCH" }, { "tile/1/000.p/2", 8192, "TILE_MISMATCH" },
        { "tile/entries/002.p/190", 1, "LEAF_EXTRA" },
    };
    static const char zeros[9000];
    for (size_t i = 0; i < TL_ARRAY_LEN(rows); i++) {
        char path[SITE_PATH_SIZE];
        size_t len = 0;
        struct tl_buf grown;
        path_of(path, rows[i].name);
        char *bytes = read_all(path, &len);
        tl_buf_init(&grown, (size_t)1 << 20);
        tl_buf_add(&grown, bytes, len);
        tl_buf_add(&grown, zeros, rows[i].more);
        check_ok(tl_io_replace_file(path, grown.data, grown.len, 0600, NULL));
        expect(TALLY_VERDICT_TAMPERED, rows[i].code, rows[i].name);
        check_ok(tl_io_replace_file(path, bytes, len, 0600, NULL));
        tl_buf_release(&grown);
        tl_free(bytes);
    }
}

/* A copy of one file of the bundle under another name. */
static void names_what_should_not_be_there(void **state)
{
    (void)state;
    static const struct {
        const char *from;
        const char *to;
        enum tally_verdict verdict;
        const char *code;
    } rows[] = {
        { "tile/0/001", "tile/0/002", TALLY_VERDICT_TAMPERED, "TILE_MISMATCH" },
        { "tile/0/001", "tile/0/003", TALLY_VERDICT_TAMPERED, "TILE_MISMATCH" },
        { "tile/0/001", "tile/7/000", TALLY_VERDICT_TAMPERED, "TILE_MISMATCH" },
        { "tile/0/001", "tile/0/x000/001", TALLY_VERDICT_TAMPERED, "TILE_MISMATCH" },
        { "tile/0/001", "tile/0/001.p/0", TALLY_VERDICT_TAMPERED, "TILE_MISMATCH" },
        { "tile/0/001", "tile/0/001.p/255", TALLY_VERDICT_TAMPERED, "TILE_MISMATCH" },
        { "tile/1/000.p/2", "tile/0/002.p/2", TALLY_VERDICT_TAMPERED, "TILE_MISMATCH" },
        { "tile/0/002.p/190", "tile/0/002.p/191", TALLY_VERDICT_TAMPERED, "TILE_MISMATCH" },
        { "tile/0/001", "tile/0/readme", TALLY_VERDICT_TAMPERED, "TILE_MISMATCH" },
        { "tile/entries/001", "tile/entries/003", TALLY_VERDICT_TAMPERED, "LEAF_EXTRA" },
        { "checkpoints/181", "checkpoints/182", TALLY_VERDICT_TAMPERED, "CHECKPOINT_MALFORMED" },
        { "checkpoints/181", "checkpoints/old", TALLY_VERDICT_TAMPERED, "CHECKPOINT_MALFORMED" },
        { "checkpoints/181", "checkpoints/800", TALLY_VERDICT_TAMPERED, "HEAD_MISMATCH" },
        { "anchors/310", "anchors/311", TALLY_VERDICT_TAMPERED, "ANCHOR_INVALID" },
        { "proofs/1.tlog-proof", "proofs/2.tlog-proof", TALLY_VERDICT_TAMPERED, "SEQ_MISMATCH" },
        { "trust.txt", "proofs/notes.txt", TALLY_VERDICT_TAMPERED, "RECORD_MALFORMED" },
        { "trust.txt", "README.txt", TALLY_VERDICT_VERIFIED, NULL },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(rows); i++) {
        char from[SITE_PATH_SIZE];
        char to[SITE_PATH_SIZE];
        size_t len = 0;
        path_of(from, rows[i].from);
        path_of(to, rows[i].to);
        char *slash = strrchr(to, '/');
        *slash = '\0';
        bool made = mkdir(to, 0700) == 0;
        *slash = '/';
        char *bytes = read_all(from, &len);
        check_ok(tl_io_replace_file(to, bytes, len, 0600, NULL));
        tl_free(bytes);
        expect(rows[i].verdict, rows[i].code, rows[i].to);
        assert_int_equal(unlink(to), 0);
        *slash = '\0';
        assert_true(!made || rmdir(to) == 0);
    }
}

/* Directories that are exported into again keep the tiles of before. */
static void accepts_older_tiles_that_fit(void **state)
{
    (void)state;
    char from[SITE_PATH_SIZE];
    char to[SITE_PATH_SIZE];
    size_t len = 0;
    path_of(from, "tile/0/002.p/190");
    path_of(to, "tile/0/002.p/100");
    char *bytes = read_all(from, &len);
    check_ok(tl_io_replace_file(to, bytes, (size_t)100 * 32, 0600, NULL));
    expect(TALLY_VERDICT_VERIFIED, NULL, "an older tile");
    bytes[0] ^= 1;
    check_ok(tl_io_replace_file(to, bytes, (size_t)100 * 32, 0600, NULL));
    expect(TALLY_VERDICT_TAMPERED, "TILE_MISMATCH", "an older tile that is another");
    tl_free(bytes);
}

/* Replaces `from` in a file by `to`, once. */
static void edit(const char *name, const char *from, const char *to)
{
    char path[SITE_PATH_SIZE];
    size_t len = 0;
    path_of(path, name);
    char *text = read_all(path, &len);
    char *at = memmem(text, len, from, strlen(from));
    assert_non_null(at);
    struct tl_buf made;
    tl_buf_init(&made, (size_t)1 << 20);
    tl_buf_add(&made, text, (size_t)(at - text));
    tl_buf_add_text(&made, to);
    tl_buf_add(&made, at + strlen(from), len - (size_t)(at - text) - strlen(from));
    check_ok(tl_io_replace_file(path, made.data, made.len, 0600, NULL));
    tl_buf_release(&made);
    tl_free(text);
}

static void finds_openings_that_are_edited(void **state)
{
    (void)state;
    static const struct {
        const char *from;
        const char *to;
        const char *code;
    } rows[] = {
        { "\"complete\":false", "\"complete\":true", "CONTENT_MISSING" },
        { "\"count\":42", "\"count\":41", "RECORD_MALFORMED" },
        { "\"count\":42", "\"count\": 42", "RECORD_MALFORMED" },
        { "\"size\":702", "\"size\":701", "RECORD_MALFORMED" },
        { "prod-7f3a9c21\",\"size\"", "prod-7f3a9c22\",\"size\"", "RECORD_MALFORMED" },
        { "v1 openings", "v2 openings", "RECORD_MALFORMED" },
        { "\"seq\":50,\"state\":\"purged\"", "\"seq\":50,\"state\":\"erased\"", "CONTENT_MISSING" },
        { "\"seq\":90,\"state\":\"erased\"", "\"seq\":90,\"state\":\"evicted\"",
          "CONTENT_MISSING" },
        { "\"seq\":90,\"state\":\"erased\"", "\"seq\":90,\"state\":\"lost\"", "RECORD_MALFORMED" },
        { "\"seq\":90,\"state\"", "\"seq\":91,\"state\"", "LEAF_MODIFIED" },
        { "\"seq\":700", "\"seq\":702", "ROW_INSERTED" },
        { "\"seq\":60}", "\"seq\":6}", "RECORD_MALFORMED" },
        { "\"seq\":4}", "\"seq\":4,\"state\":\"withheld\"}", "RECORD_MALFORMED" },
        { "192.0.2.2", "192.0.2.3", "CONTENT_MODIFIED" },
        { "{\"p\":\"/source/ip\"", "{\"p\":\"/sourcf/ip\"", "CONTENT_MODIFIED" },
        { "\"rest\":\"{", "\"rest\":\"[", "CONTENT_MODIFIED" },
        { "{\"leaf\"", "\n{\"leaf\"", "RECORD_MALFORMED" },
    };
    char path[SITE_PATH_SIZE];
    size_t len = 0;
    path_of(path, "openings.ndjson");
    char *sound = read_all(path, &len);
    for (size_t i = 0; i < TL_ARRAY_LEN(rows); i++) {
        edit("openings.ndjson", rows[i].from, rows[i].to);
        expect(TALLY_VERDICT_TAMPERED, rows[i].code, rows[i].to);
        check_ok(tl_io_replace_file(path, sound, len, 0600, NULL));
    }
    const char *last = memrchr(sound, '\n', len - 1);
    struct tl_buf twice;
    tl_buf_init(&twice, (size_t)1 << 20);
    tl_buf_add(&twice, sound, len);
    tl_buf_add(&twice, last + 1, len - (size_t)(last + 1 - sound));
    check_ok(tl_io_replace_file(path, twice.data, twice.len, 0600, NULL));
    edit("openings.ndjson", "\"count\":42", "\"count\":43");
    expect(TALLY_VERDICT_TAMPERED, "RECORD_MALFORMED", "a line that is there twice");
    check_ok(tl_io_replace_file(path, sound, len, 0600, NULL));
    tl_buf_release(&twice);
    tl_free(sound);
    expect(TALLY_VERDICT_VERIFIED, NULL, "all is as it was");
    assert_int_equal(truncate(path, (off_t)len - 1), 0);
    expect(TALLY_VERDICT_TAMPERED, "RECORD_MALFORMED", "the last line does not end");
}

/* A leaf that was changed in the last tile, which is not full: the tile says which it is. */
static void names_the_leaf_that_was_changed(void **state)
{
    (void)state;
    char path[SITE_PATH_SIZE];
    path_of(path, "tile/entries/002.p/190");
    int fd = open(path, O_RDWR | O_CLOEXEC);
    char byte = 0;
    assert_int_equal(pread(fd, &byte, 1, 106 * 3 + 2 + 50), 1); /* leaf 515: of its commitment */
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, 106 * 3 + 2 + 50), 1);
    assert_int_equal(close(fd), 0);
    struct tally_report *report = verify();
    assert_true(has(report, "LEAF_MODIFIED", 515));
    assert_int_equal(report->verdict, TALLY_VERDICT_TAMPERED);
    tally_report_free(report);
}

/* Looking for them one by one would not come to an end. */
static void refuses_sizes_that_nobody_can_look_through(void **state)
{
    (void)state;
    static const char *const parts[] = { "tile/entries/x009", "tile/entries/x009/x007",
                                         "tile/entries/x009/x007/x199",
                                         "tile/entries/x009/x007/x199/x254",
                                         "tile/entries/x009/x007/x199/x254/x740" };
    char path[SITE_PATH_SIZE];
    edit("checkpoint", "\n702\n", "\n4611686018427387904\n");
    expect(TALLY_VERDICT_UNVERIFIABLE, "STORE_ERROR", "a checkpoint of 2^62 leaves");
    for (size_t i = 0; i < TL_ARRAY_LEN(parts); i++) {
        path_of(path, parts[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    path_of(path, "tile/entries/x009/x007/x199/x254/x740/992");
    check_ok(tl_io_replace_file(path, "", 0, 0600, NULL));
    expect(TALLY_VERDICT_UNVERIFIABLE, "STORE_ERROR", "the tile in the middle of 2^62 leaves");
    assert_int_equal(unlink(path), 0);
    edit("checkpoint", "\n4611686018427387904\n", "\n100702\n");
    expect(TALLY_VERDICT_TAMPERED, "TRUNCATED", "a checkpoint of more leaves than there are");
}

static tally_status verify_without_memory(const void *ctx)
{
    (void)ctx;
    struct tally_report *report = NULL;
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    options.trust_path = trust;
    tally_status status = tally_verify_at(dir, &options, &report, NULL);
    if (status == TALLY_OK && report->verdict != TALLY_VERDICT_VERIFIED) {
        print(report);
        fail_msg("a lack of memory became a finding");
    }
    tally_report_free(report);
    return status;
}

static void says_that_there_is_no_memory(void **state)
{
    (void)state;
    assert_true(fault_each_alloc(verify_without_memory, NULL) > 100);
}

/* A read that fails is never a VERIFIED, and no tampering either. */
static void verify_with_faults(void *ctx, const atomic_bool *hit)
{
    (void)ctx;
    struct tally_report *report = NULL;
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    options.trust_path = trust;
    tally_status status = tally_verify_at(dir, &options, &report, NULL);
    if (status == TALLY_OK && *hit && report->verdict == TALLY_VERDICT_TAMPERED) {
        print(report);
        fail_msg("a read that failed became a tampering");
    }
    tally_report_free(report);
}

static void tells_reads_that_fail_from_tampering(void **state)
{
    (void)state;
    assert_true(fault_each_io(FAULT_ERROR, EIO, verify_with_faults, NULL) > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(verifies_the_bundle_of_the_format, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(believes_no_key_that_comes_with_it, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(names_what_is_missing, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(names_tiles_that_grew, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(names_what_should_not_be_there, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(accepts_older_tiles_that_fit, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(finds_openings_that_are_edited, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(names_the_leaf_that_was_changed, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(refuses_sizes_that_nobody_can_look_through, set_up,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(says_that_there_is_no_memory, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(tells_reads_that_fail_from_tampering, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(finds_each_bit_of_every_file, set_up, check_rmdir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
