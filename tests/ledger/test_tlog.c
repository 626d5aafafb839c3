/* Single tiles are those of the directory that tally_bundle_write() makes. */
#include <tally/bundle.h>
#include <tally/tally.h>

#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "bundle/layout.h"
#include "check.h"
#include "support/site.h"

static char base[SITE_PATH_SIZE]; /* the directory of the test */
static char out[SITE_PATH_SIZE];  /* where the tlog directory goes */

static int set_up(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    (void)snprintf(base, sizeof(base), "%s", (const char *)*state);
    check_path(out, sizeof(out), base, "tlog");
    return 0;
}

static void put_aside(unsigned size)
{
    char name[SITE_PATH_SIZE + 16];
    (void)snprintf(name, sizeof(name), "%s/old%u", base, size);
    assert_int_equal(rename(out, name), 0);
}

/* The file of a tile in the directory is what is given for its path. Returns its length. */
static size_t expect_tile(struct tally_ledger *ledger, const char *name)
{
    char path[SITE_PATH_SIZE];
    char *file = NULL;
    void *bytes = NULL;
    size_t file_len = 0;
    size_t len = 0;
    check_path(path, sizeof(path), out, name);
    check_ok(tl_io_read_file(path, (size_t)64 << 20, &file, &file_len, NULL));
    check_ok(tally_tlog_tile(ledger, name, &bytes, &len, NULL));
    assert_int_equal(len, file_len);
    assert_memory_equal(bytes, file, len);
    tally_free(bytes);
    tl_free(file);
    return len;
}

static void refuse_tile(struct tally_ledger *ledger, const char *name)
{
    void *bytes = NULL;
    size_t len = 7;
    check_status(tally_tlog_tile(ledger, name, &bytes, &len, NULL), TALLY_ENOTFOUND);
    assert_null(bytes);
    assert_int_equal(len, 7);
}

static void expect_tiles(struct tally_ledger *ledger, unsigned n, unsigned width)
{
    static const char *const levels[] = { "0", "entries" };
    char name[TL_BUNDLE_NAME_SIZE];
    for (size_t i = 0; i < TL_ARRAY_LEN(levels) && width > 0; i++) {
        (void)snprintf(name, sizeof(name), "tile/%s/%03u", levels[i], n);
        if (width < 256) {
            (void)snprintf(name, sizeof(name), "tile/%s/%03u.p/%u", levels[i], n, width);
        }
        size_t len = expect_tile(ledger, name);
        assert_true(i > 0 || len == (size_t)32 * width);
    }
}

static void expect_directory(struct tally_ledger *ledger, unsigned size)
{
    struct tally_bundle_options options = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_bundle_result result;
    options.tlog_only = 1;
    check_ok(tally_bundle_write(ledger, out, &options, &result, NULL));
    assert_int_equal(result.size, size);
    for (unsigned n = 0; n <= size / 256; n++) {
        expect_tiles(ledger, n, n < size / 256 ? 256 : size % 256);
    }
    if (size >= 256) {
        (void)expect_tile(ledger, "tile/1/000.p/1");
    }
    put_aside(size);
}

static void gives_each_tile_of_a_tlog_directory(void **state)
{
    (void)state;
    static const char *const none[] = { "",           "tile/0/002",     "tile/0/999.p/1",
                                        "tile/1/001", "tile/2/000.p/1", "tile/8/000.p/1",
                                        "tile/1/000", "tile/0/000.p/0", "tile/entries/002.p/1",
                                        "checkpoint", "../keys/state",  "tile/0/000.p/256" };
    char id[32];
    struct tally_ledger *ledger = site_memory("memory:1000");
    for (unsigned size = 1; size <= 300; size++) {
        if (size <= 3 || (size >= 255 && size <= 257) || size == 300) {
            expect_directory(ledger, size);
        }
        (void)snprintf(id, sizeof(id), "t/%u", size);
        (void)site_append(ledger, id, size);
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(none); i++) {
        refuse_tile(ledger, none[i]);
    }
    tally_close(ledger);
}

/* Whoever has an older checkpoint asks for tiles that have grown since. */
static void gives_the_beginning_of_a_tile(void **state)
{
    (void)state;
    void *whole = NULL;
    void *part = NULL;
    size_t whole_len = 0;
    size_t part_len = 0;
    struct tally_ledger *ledger = site_memory("memory:1000");
    for (unsigned i = 0; i < 9; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "t/%u", i);
        (void)site_append(ledger, id, i);
    }
    static const char *const names[][2] = { { "tile/0/000.p/10", "tile/0/000.p/3" },
                                            { "tile/entries/000.p/10", "tile/entries/000.p/3" } };
    for (size_t i = 0; i < TL_ARRAY_LEN(names); i++) {
        check_ok(tally_tlog_tile(ledger, names[i][0], &whole, &whole_len, NULL));
        check_ok(tally_tlog_tile(ledger, names[i][1], &part, &part_len, NULL));
        assert_true(part_len > 0 && part_len < whole_len);
        assert_memory_equal(part, whole, part_len);
        tally_free(whole);
        tally_free(part);
    }
    tally_close(ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gives_each_tile_of_a_tlog_directory, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(gives_the_beginning_of_a_tile, set_up, check_rmdir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
