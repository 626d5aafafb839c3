/* Bundles of ledgers: what is written is checked as any auditor would. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tally/bundle.h>
#include <tally/tally.h>

#include "base/bytes.h"
#include "base/io.h"
#include "bundle/layout.h"
#include "check.h"
#include "codec/base64.h"
#include "crypto/crypto.h"
#include "evidence/note.h"
#include "store/store.h"
#include "support/fault.h"
#include "support/mkledger.h"
#include "support/site.h"

static struct mk mk;
static char base[SITE_PATH_SIZE];  /* the directory of the test */
static char out[SITE_PATH_SIZE];   /* where bundles go */
static char trust[SITE_PATH_SIZE]; /* what the auditor has */

static int set_up(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    (void)snprintf(base, sizeof(base), "%s", (const char *)*state);
    check_path(out, sizeof(out), base, "bundle");
    check_path(trust, sizeof(trust), base, "auditor.txt");
    return 0;
}

static void in_bundle(char path[SITE_PATH_SIZE], const char *name)
{
    check_path(path, SITE_PATH_SIZE, out, name);
}

static bool is_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static char *read_text(const char *name)
{
    char path[SITE_PATH_SIZE];
    char *text = NULL;
    size_t len = 0;
    in_bundle(path, name);
    check_ok(tl_io_read_file(path, (size_t)64 << 20, &text, &len, NULL));
    return text;
}

/* Takes the keys to the auditor, by another way than the bundle. */
static void keep_trust(struct tally_ledger *ledger)
{
    char *text = NULL;
    check_ok(tally_trust_text(ledger, &text, NULL));
    check_ok(tl_io_replace_file(trust, text, strlen(text), 0600, NULL));
    tally_free(text);
}

static struct tally_report *verify(void)
{
    struct tally_report *report = NULL;
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    options.trust_path = trust;
    check_ok(tally_verify_at(out, &options, &report, NULL));
    if (report->verdict != TALLY_VERDICT_VERIFIED) {
        for (size_t i = 0; i < report->finding_count; i++) {
            print_message("  %s %llu %s\n", report->findings[i].code,
                          (unsigned long long)report->findings[i].seq, report->findings[i].what);
        }
    }
    return report;
}

/* Wants VERIFIED, with these qualifiers beside those that no bundle is without. */
static void expect_verified(uint64_t size, uint64_t contents, uint32_t qualifiers)
{
    struct tally_report *report = verify();
    assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(report->size, size);
    assert_int_equal(report->contents, contents);
    assert_int_equal(report->qualifiers,
                     qualifiers | TALLY_QUALIFIER_UNANCHORED | TALLY_QUALIFIER_MAC_UNCHECKED);
    assert_int_equal(report->warnings, 0);
    tally_report_free(report);
}

static void remove_bundle(void)
{
    static unsigned count;
    char name[SITE_PATH_SIZE + 16];
    (void)snprintf(name, sizeof(name), "%s/old%u", base, count++);
    assert_int_equal(rename(out, name), 0);
}

/* The ledger of `mk` as one on disk, opened for reading. */
static struct tally_ledger *open_made(void)
{
    char path[SITE_PATH_SIZE];
    char uri[SITE_PATH_SIZE + 16];
    struct site site;
    struct tally_store *store = NULL;
    struct tl_buf text;
    site_name(&site, base);
    assert_int_equal(mkdir(site.dir, 0700), 0);
    check_path(path, sizeof(path), site.dir, "keys");
    assert_int_equal(mkdir(path, 0700), 0);
    check_path(path, sizeof(path), site.dir, "keys/trust.txt");
    tl_buf_init(&text, 65536);
    tl_trust_format(&text, mk.trust);
    check_ok(tl_io_replace_file(path, text.data, text.len, 0644, NULL));
    check_ok(tl_io_replace_file(trust, text.data, text.len, 0644, NULL));
    tl_buf_release(&text);
    check_path(path, sizeof(path), site.dir, "ledger.db");
    (void)snprintf(uri, sizeof(uri), "sqlite:%s", path);
    check_ok(tl_store_open(&store, uri, TALLY_STORE_CREATE, NULL));
    check_ok(image_store(&mk.image, store));
    tl_store_close(store);
    return site_open_read(&site);
}

static void act(enum tl_leaf_kind kind, const char *payload)
{
    mk_control(&mk, kind, payload);
    mk_checkpoint(&mk);
}

/* GENESIS, events 1-9, acts, and what they permit. */
static void make_history(void)
{
    mk_init(&mk, MK_ORIGIN, 1);
    mk_events(&mk, 9);
    act(TL_LEAF_HOLD, "{\"hold\":\"h\",\"ranges\":[[4,4]]}");
    act(TL_LEAF_ERASE, "{\"basis\":\"gdpr\",\"items\":[{\"pointers\":[\"/actor/name\"],"
                       "\"seqs\":[6]}]}");
    mk_switch(&mk, 40 * 24);
    mk_events(&mk, 3);
    act(TL_LEAF_PURGE, "{\"before_seq\":4,\"count\":3,\"cutoff_day\":20490}");
    act(TL_LEAF_ERASE, "{\"basis\":\"gdpr\",\"items\":[{\"pointers\":[\"\"],\"seqs\":[8]}]}");
    mk_events(&mk, 1);
    mk_erase(&mk, 1);
    mk_erase(&mk, 2);
    mk_erase(&mk, 3);
    mk_erase(&mk, 8);
    mk_erase_member(&mk, 6, "/actor/name");
}

static void says_what_became_of_contents(void **state)
{
    (void)state;
    struct tally_bundle_options options = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_bundle_result result;
    make_history();
    struct tally_ledger *ledger = open_made();
    options.proofs = 1;
    check_ok(tally_bundle_write(ledger, out, &options, &result, NULL));
    uint64_t size = mk.seq;
    assert_int_equal(result.size, size);
    assert_int_equal(result.contents, 9);
    assert_int_equal(result.withheld, 0);
    expect_verified(size, 9, TALLY_QUALIFIER_PURGED | TALLY_QUALIFIER_ERASED);
    char *lines = read_text("openings.ndjson");
    assert_non_null(strstr(lines, "\"seq\":2,\"state\":\"purged\"}"));
    assert_non_null(strstr(lines, "\"seq\":8,\"state\":\"erased\"}"));
    assert_non_null(strstr(lines, "{\"complete\":true,\"count\":"));
    tl_free(lines);
    tally_close(ledger);
    mk_release(&mk);
}

static void a_single_opening_is_the_line_of_the_bundle(void **state)
{
    (void)state;
    struct tally_bundle_options options = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_bundle_result result;
    make_history();
    act(TL_LEAF_POLICY, "{\"classes\":[{\"class\":1,\"days\":30,\"name\":\"standard\"}],"
                        "\"erasable\":[\"/metadata\"],\"policy\":2}");
    memset(mk.set, 0, sizeof(*mk.set));
    check_ok(tl_erasable_add(mk.set, TL_STR("/metadata"), NULL));
    mk_events(&mk, 2);
    struct tally_ledger *ledger = open_made();
    check_ok(tally_bundle_write(ledger, out, &options, &result, NULL));
    char *lines = read_text("openings.ndjson");
    char *line = strchr(lines, '\n') + 1;
    for (uint64_t seq = 0; seq < mk.seq; seq++) {
        char *end = strchr(line, '\n');
        char *opening = NULL;
        *end = '\0';
        check_ok(tally_opening_make(ledger, seq, &opening, NULL));
        assert_string_equal(opening, line);
        tally_free(opening);
        line = end + 1;
    }
    assert_int_equal(*line, '\0');
    char *none = NULL;
    check_status(tally_opening_make(ledger, mk.seq, &none, NULL), TALLY_ENOTFOUND);
    check_status(tally_opening_make(ledger, UINT64_MAX, &none, NULL), TALLY_ENOTFOUND);
    assert_null(none);
    tl_free(lines);
    tally_close(ledger);
    mk_release(&mk);
}

static void does_not_open_what_was_changed(void **state)
{
    (void)state;
    char *none = NULL;
    make_history();
    mk.image.records[5].seed.len = 0;
    struct tally_ledger *ledger = open_made();
    check_status(tally_opening_make(ledger, 5, &none, NULL), TALLY_ECORRUPT);
    assert_null(none);
    tally_close(ledger);
    mk_release(&mk);
}

/* Nothing but the leaf remembers why; a bundle that says otherwise is found out. */
static void does_not_excuse_what_nothing_permits(void **state)
{
    (void)state;
    struct tally_bundle_options options = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_bundle_result result;
    make_history();
    mk_erase(&mk, 9);
    struct tally_ledger *ledger = open_made();
    check_ok(tally_bundle_write(ledger, out, &options, &result, NULL));
    struct tally_report *report = NULL;
    struct tally_verify_options check = TALLY_VERIFY_OPTIONS_INIT;
    check.trust_path = trust;
    check_ok(tally_verify_at(out, &check, &report, NULL));
    assert_int_equal(report->verdict, TALLY_VERDICT_TAMPERED);
    bool found = false;
    for (size_t i = 0; i < report->finding_count; i++) {
        const struct tally_finding *finding = &report->findings[i];
        found = found || (strcmp(finding->code, "CONTENT_MISSING") == 0 && finding->seq == 9);
    }
    assert_true(found);
    tally_report_free(report);
    tally_close(ledger);
    mk_release(&mk);
}

static void hands_over_a_part(void **state)
{
    (void)state;
    static const char *const withhold[] = { "/source/ip", "/metadata" };
    static const struct tally_range ranges[] = { { 0, 0 }, { 4, 6 }, { 12, 1000 } };
    const struct tally_condition condition = { .field = "actor_id", .value = "user-5" };
    struct tally_query query = TALLY_QUERY_INIT;
    struct tally_bundle_options options = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_bundle_result result;
    make_history();
    struct tally_ledger *ledger = open_made();
    options.selection.ranges = ranges;
    options.selection.range_count = TL_ARRAY_LEN(ranges);
    options.withhold = withhold;
    options.withhold_count = TL_ARRAY_LEN(withhold);
    check_ok(tally_bundle_write(ledger, out, &options, &result, NULL));
    assert_int_equal(result.contents, 7); /* 4 to 6, and four later ones */
    assert_int_equal(result.withheld, 2); /* 7 and 9 */
    expect_verified(mk.seq, 7,
                    TALLY_QUALIFIER_ERASED | TALLY_QUALIFIER_WITHHELD |
                        TALLY_QUALIFIER_CONTENT_PART);
    char *lines = read_text("openings.ndjson");
    assert_null(strstr(lines, "192.0.2.7"));
    assert_null(strstr(lines, "a few words"));
    assert_non_null(strstr(lines, "\"p\":\"/source/ip\",\"w\":true}"));
    tl_free(lines);
    remove_bundle();

    query.conditions = &condition;
    query.condition_count = 1;
    options.selection.query = &query;
    options.selection.range_count = 0;
    check_ok(tally_bundle_write(ledger, out, &options, &result, NULL));
    assert_int_equal(result.contents, 1);
    expect_verified(mk.seq, 1, TALLY_QUALIFIER_WITHHELD | TALLY_QUALIFIER_CONTENT_PART);
    tally_close(ledger);
    mk_release(&mk);
}

static void refuses_what_it_cannot_do(void **state)
{
    (void)state;
    static const char *const inside[] = { "/metadata/note" };
    static const char *const never[] = { "/id" };
    static const struct tally_range ranges[] = { { 4, 6 }, { 6, 7 } };
    struct tally_bundle_options options = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_bundle_result result;
    make_history();
    struct tally_ledger *ledger = open_made();
    options.withhold = inside; /* it is hashed together with the rest of /metadata */
    options.withhold_count = 1;
    check_status(tally_bundle_write(ledger, out, &options, &result, NULL), TALLY_EINVAL);
    options.withhold = never;
    check_status(tally_bundle_write(ledger, out, &options, &result, NULL), TALLY_EINVAL);
    options.withhold_count = 0;
    options.selection.ranges = ranges;
    options.selection.range_count = 2;
    check_status(tally_bundle_write(ledger, out, &options, &result, NULL), TALLY_EINVAL);
    options.selection.range_count = 0;
    options.struct_size = 1;
    check_status(tally_bundle_write(ledger, out, &options, &result, NULL), TALLY_EINVAL);
    options.struct_size = sizeof(options);
    check_status(tally_bundle_write(ledger, "", &options, &result, NULL), TALLY_EINVAL);
    assert_false(is_there(out));
    assert_int_equal(mkdir(out, 0700), 0);
    check_status(tally_bundle_write(ledger, out, &options, &result, NULL), TALLY_ECONFLICT);
    tally_close(ledger);
    mk_release(&mk);
}

/* Evidence of a ledger that does not hold is no evidence. */
static void refuses_a_ledger_that_was_changed(void **state)
{
    (void)state;
    struct tally_bundle_options options = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_bundle_result result;
    make_history();
    mk.image.records[5].leaf.data[50] ^= 1;
    struct tally_ledger *ledger = open_made();
    check_status(tally_bundle_write(ledger, out, &options, &result, NULL), TALLY_ECORRUPT);
    assert_false(is_there(out));
    tally_close(ledger);
    mk_release(&mk);
}

static void writes_a_tlog_directory(void **state)
{
    (void)state;
    char path[SITE_PATH_SIZE];
    struct tally_bundle_options options = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_bundle_result result;
    make_history();
    struct tally_ledger *ledger = open_made();
    options.tlog_only = 1;
    check_ok(tally_bundle_write(ledger, out, &options, &result, NULL));
    assert_int_equal(result.contents, 0);
    assert_int_equal(result.withheld, 9);
    in_bundle(path, "openings.ndjson");
    assert_false(is_there(path));
    struct tally_report *report = verify();
    assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(report->contents, 0);
    assert_true((report->qualifiers & TALLY_QUALIFIER_CONTENT_PART) != 0);
    assert_true((report->qualifiers & TALLY_QUALIFIER_WITHHELD) != 0);
    tally_report_free(report);
    tally_close(ledger);
    mk_release(&mk);
}

static unsigned count_findings(const struct tally_report *report, const char *code)
{
    unsigned count = 0;
    for (size_t i = 0; i < report->finding_count; i++) {
        count += strcmp(report->findings[i].code, code) == 0;
    }
    return count;
}

/* A line that cannot be read is one finding, and is counted as a line. */
static void a_malformed_opening_is_told_once(void **state)
{
    (void)state;
    char path[SITE_PATH_SIZE];
    struct tally_bundle_options options = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_bundle_result result;
    make_history();
    struct tally_ledger *ledger = open_made();
    check_ok(tally_bundle_write(ledger, out, &options, &result, NULL));
    char *lines = read_text("openings.ndjson");
    char *second = strchr(lines, '\n') + 1;
    *second = '[';
    in_bundle(path, "openings.ndjson");
    check_ok(tl_io_replace_file(path, lines, strlen(lines), 0600, NULL));
    tl_free(lines);
    struct tally_report *report = verify();
    assert_int_equal(report->verdict, TALLY_VERDICT_TAMPERED);
    assert_int_equal(count_findings(report, "RECORD_MALFORMED"), 1);
    assert_int_equal(report->tampered, 1);
    tally_report_free(report);
    tally_close(ledger);
    mk_release(&mk);
}

static void a_directory_of_tiles_that_is_none(void **state)
{
    (void)state;
    char path[SITE_PATH_SIZE];
    char aside[SITE_PATH_SIZE];
    struct tally_bundle_options options = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_bundle_result result;
    struct tally_report *report = NULL;
    struct tally_verify_options check = TALLY_VERIFY_OPTIONS_INIT;
    check.trust_path = trust;
    make_history();
    struct tally_ledger *ledger = open_made();
    check_ok(tally_bundle_write(ledger, out, &options, &result, NULL));
    in_bundle(path, "tile/0");
    check_path(aside, sizeof(aside), base, "aside");
    assert_int_equal(rename(path, aside), 0);
    check_ok(tl_io_replace_file(path, "x", 1, 0600, NULL));
    check_ok(tally_verify_at(out, &check, &report, NULL));
    assert_int_equal(report->verdict, TALLY_VERDICT_TAMPERED);
    assert_int_equal(count_findings(report, "TILE_MISSING"), 1);
    assert_int_equal(count_findings(report, "TILE_MISMATCH"), 1);
    tally_report_free(report);
    tally_close(ledger);
    mk_release(&mk);
}

static enum tally_verdict verdict_of(const char *dir, int ledger_only)
{
    struct tally_report *report = NULL;
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    options.trust_path = trust;
    options.ledger_only = ledger_only;
    check_ok(tally_verify_at(dir, &options, &report, NULL));
    enum tally_verdict verdict = report->verdict;
    tally_report_free(report);
    return verdict;
}

/* Else an older bundle, copied into the directory, would hide what became of the ledger. */
static void does_not_stand_in_for_a_ledger(void **state)
{
    (void)state;
    static const char *const parts[] = { "ledger.db", "keys", "ledger.lock", "tally.yaml" };
    char path[SITE_PATH_SIZE];
    struct tally_bundle_options options = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_bundle_result result;
    make_history();
    struct tally_ledger *ledger = open_made();
    check_ok(tally_bundle_write(ledger, out, &options, &result, NULL));
    tally_close(ledger);
    assert_int_equal(verdict_of(out, 0), TALLY_VERDICT_VERIFIED);
    for (size_t i = 0; i < TL_ARRAY_LEN(parts); i++) {
        in_bundle(path, parts[i]);
        check_ok(tl_io_replace_file(path, "# none\n", 7, 0600, NULL));
        assert_int_equal(verdict_of(out, 0), TALLY_VERDICT_UNVERIFIABLE);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(verdict_of(out, 1), TALLY_VERDICT_UNVERIFIABLE);
    mk_release(&mk);
}

static void options_of_another_size_are_refused(void **state)
{
    (void)state;
    struct tally_report *report = NULL;
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    options.struct_size--;
    check_status(tally_verify_at(base, &options, &report, NULL), TALLY_EINVAL);
    assert_null(report);
}

/* What would be found in the ledger is found in its bundle. */
static void knows_a_time_stamp_that_is_none(void **state)
{
    (void)state;
    char payload[512];
    char token[TL_SHA256_LEN + 8] = "stamp of";
    char path[SITE_PATH_SIZE];
    uint8_t digest[TL_SHA256_LEN];
    struct tl_buf text;
    struct tally_bundle_options options = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_bundle_result result;
    mk_init(&mk, MK_ORIGIN, 1);
    mk_events(&mk, 9);
    tl_buf_init_fixed(&text, payload, sizeof(payload));
    struct tl_checkpoint_body body = { .origin = TL_STR(MK_ORIGIN), .size = mk.image.head.size };
    memcpy(body.root, mk.image.head.root, sizeof(body.root));
    tl_checkpoint_format(&text, &body);
    tl_sha256(digest, text.data, text.len);
    memcpy(token + 8, digest, sizeof(digest));
    tl_sha256(digest, token, sizeof(token));
    char hex[2 * TL_SHA256_LEN + 1];
    tl_hex_encode(hex, digest, sizeof(digest));
    tl_buf_clear(&text);
    tl_buf_addf(&text, "{\"digest\":\"%s\",\"kind\":\"rfc3161\",\"ref\":\"a\",\"root\":\"", hex);
    tl_base64_encode(&text, body.root, sizeof(body.root));
    tl_buf_addf(&text, "\",\"size\":%llu}", (unsigned long long)body.size);
    tl_buf_add_char(&text, '\0');
    uint64_t seq = mk.seq;
    act(TL_LEAF_ANCHOR, payload);
    struct tally_ledger *ledger = open_made();
    check_ok(tally_bundle_write(ledger, out, &options, &result, NULL));
    tally_close(ledger);
    assert_int_equal(verdict_of(out, 0), TALLY_VERDICT_VERIFIED);
    in_bundle(path, "anchors");
    assert_int_equal(mkdir(path, 0700), 0);
    char name[32];
    (void)snprintf(name, sizeof(name), "anchors/%llu", (unsigned long long)seq);
    in_bundle(path, name);
    check_ok(tl_io_replace_file(path, token, sizeof(token), 0600, NULL));
    assert_int_equal(verdict_of(out, 0), TALLY_VERDICT_TAMPERED);
    mk_release(&mk);
}

static void works_on_a_ledger_that_is_written_to(void **state)
{
    (void)state;
    struct site site;
    char text[64];
    struct tally_bundle_options options = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_bundle_result result;
    site_init(&site, base, NULL, 0);
    struct tally_ledger *ledger = site_open(&site);
    for (unsigned i = 0; i < 300; i++) {
        (void)snprintf(text, sizeof(text), "e%u", i);
        (void)site_append(ledger, text, i);
    }
    keep_trust(ledger);
    options.proofs = 1;
    check_ok(tally_bundle_write(ledger, out, &options, &result, NULL));
    (void)site_append(ledger, "later", 1);
    expect_verified(result.size, 300, 0);
    assert_int_equal(result.contents, 300);
    char *readme = read_text("README.txt");
    assert_non_null(strstr(readme, "python3 tally_check.py . --trust trust.txt"));
    assert_non_null(strstr(readme, tally_origin(ledger)));
    tl_free(readme);
    char *checker = read_text("tally_check.py");
    assert_memory_equal(checker, "#!/usr/bin/env python3", 22);
    tl_free(checker);
    char *proof = read_text("proofs/299.tlog-proof");
    char *keys = read_text("trust.txt");
    struct tally_proof_result checked;
    check_ok(tally_proof_check(proof, strlen(proof), keys, strlen(keys), &checked, NULL));
    assert_int_equal(checked.verdict, TALLY_VERDICT_VERIFIED);
    tl_free(proof);
    tl_free(keys);
    tally_close(ledger);
}

static void works_in_memory(void **state)
{
    (void)state;
    char text[64];
    struct tally_bundle_options options = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_bundle_result result;
    struct tally_ledger *ledger = site_memory("memory:260?full=drop");
    for (unsigned i = 0; i < 300; i++) {
        (void)snprintf(text, sizeof(text), "e%u", i);
        (void)site_append(ledger, text, i);
    }
    keep_trust(ledger);
    check_ok(tally_bundle_write(ledger, out, &options, &result, NULL));
    assert_true(result.contents < 300);
    expect_verified(result.size, result.contents,
                    TALLY_QUALIFIER_VOLATILE | TALLY_QUALIFIER_CONTENT_PART);
    tally_close(ledger);
}

static int stop_at_once(void *ctx, uint64_t done, uint64_t total)
{
    *(unsigned *)ctx += 1;
    assert_true(done <= total);
    return 1;
}

/* Whether there is anything in the directory of the test that was not meant to stay. */
static bool has_leftovers(void)
{
    bool found = false;
    DIR *dir = opendir(base);
    assert_non_null(dir);
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        found = found || strstr(entry->d_name, ".tmp") != NULL;
    }
    (void)closedir(dir);
    return found;
}

static void can_be_stopped(void **state)
{
    (void)state;
    unsigned calls = 0;
    struct tally_bundle_options options = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_bundle_result result;
    make_history();
    struct tally_ledger *ledger = open_made();
    options.progress = stop_at_once;
    options.ctx = &calls;
    check_status(tally_bundle_write(ledger, out, &options, &result, NULL), TALLY_ECANCELED);
    assert_int_equal(calls, 1);
    assert_false(is_there(out));
    assert_false(has_leftovers());
    tally_close(ledger);
    mk_release(&mk);
}

static void write_with_faults(void *ctx, const atomic_bool *hit)
{
    struct tally_ledger *ledger = ctx;
    struct tally_bundle_options options = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_bundle_result result;
    struct tally_error err = TALLY_ERROR_INIT;
    options.proofs = 1;
    tally_status status = tally_bundle_write(ledger, out, &options, &result, &err);
    bool appeared = is_there(out);
    fault_relent();
    if (status == TALLY_OK) {
        assert_true(appeared);
    } else {
        assert_true(*hit);
        assert_int_not_equal(err.message[0], '\0');
    }
    if (appeared) { /* whole, even if its last sync was not heard of */
        expect_verified(mk.seq, 9, TALLY_QUALIFIER_PURGED | TALLY_QUALIFIER_ERASED);
        remove_bundle();
    }
}

static void appears_whole_or_not_at_all(void **state)
{
    (void)state;
    make_history();
    struct tally_ledger *ledger = open_made();
    assert_true(fault_each_io(FAULT_ERROR, ENOSPC, write_with_faults, ledger) > 50);
    (void)fault_each_io_by(3, FAULT_LATE, EIO, write_with_faults, ledger);
    (void)fault_each_io_by(7, FAULT_SHORT, 0, write_with_faults, ledger);
    tally_close(ledger);
    mk_release(&mk);
}

static tally_status write_without_memory(const void *ctx)
{
    struct tally_ledger *ledger = *(struct tally_ledger *const *)ctx;
    struct tally_bundle_options options = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_bundle_result result;
    static const char *const withhold[] = { "/source/ip" };
    const struct tally_condition condition = { .field = "actor_id", .value = "user-5" };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = &condition;
    query.condition_count = 1;
    options.proofs = 1;
    options.selection.query = &query;
    options.withhold = withhold;
    options.withhold_count = 1;
    tally_status status = tally_bundle_write(ledger, out, &options, &result, NULL);
    assert_int_equal(status == TALLY_OK, is_there(out));
    assert_false(has_leftovers());
    if (status == TALLY_OK) { /* an index that cannot be opened is done without */
        remove_bundle();
    }
    return status;
}

static void says_that_there_is_no_memory(void **state)
{
    (void)state;
    make_history();
    struct tally_ledger *ledger = open_made();
    assert_true(fault_each_alloc_or_ok(write_without_memory, &ledger) > 10);
    tally_close(ledger);
    mk_release(&mk);
}

static void round_trip(uint64_t size)
{
    struct site site;
    struct tally_bundle_options options = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_bundle_result result;
    mk_init(&mk, MK_ORIGIN, 1);
    if (size > 1) {
        mk_events(&mk, (size_t)size - 1);
    }
    struct tally_ledger *ledger = open_made();
    check_ok(tally_bundle_write(ledger, out, &options, &result, NULL));
    assert_int_equal(result.size, size);
    expect_verified(size, size - 1, 0);
    tally_close(ledger);
    mk_release(&mk);
    remove_bundle();
    site_name(&site, base);
    char gone[SITE_PATH_SIZE + 32];
    (void)snprintf(gone, sizeof(gone), "%s/gone%llu", base, (unsigned long long)size);
    assert_int_equal(rename(site.dir, gone), 0);
}

static void small_sizes(void **state)
{
    (void)state;
    static const uint64_t sizes[] = { 1, 2, 255, 256, 257, 512, 513 };
    for (size_t i = 0; i < TL_ARRAY_LEN(sizes); i++) {
        round_trip(sizes[i]);
    }
}

/* BUNDLE_ALL=1 in the environment: all of them; one takes long enough for every change. */
static void large_sizes(void **state)
{
    (void)state;
    static const uint64_t sizes[] = { 65537, 65535, 65536, 70000 };
    size_t count = getenv("BUNDLE_ALL") != NULL ? TL_ARRAY_LEN(sizes) : 1;
    for (size_t i = 0; i < count; i++) {
        round_trip(sizes[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(says_what_became_of_contents, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(a_single_opening_is_the_line_of_the_bundle, set_up,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(does_not_open_what_was_changed, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(does_not_excuse_what_nothing_permits, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(hands_over_a_part, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(refuses_what_it_cannot_do, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(refuses_a_ledger_that_was_changed, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(writes_a_tlog_directory, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(a_malformed_opening_is_told_once, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(a_directory_of_tiles_that_is_none, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(does_not_stand_in_for_a_ledger, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(options_of_another_size_are_refused, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(knows_a_time_stamp_that_is_none, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(works_on_a_ledger_that_is_written_to, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(works_in_memory, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(can_be_stopped, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(appears_whole_or_not_at_all, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(says_that_there_is_no_memory, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(small_sizes, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(large_sizes, set_up, check_rmdir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
