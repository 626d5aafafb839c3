#include <string.h>

#include "bundle/layout.h"
#include "check.h"

static const struct {
    struct tl_bundle_tile tile;
    const char *name;
} names[] = {
    { { .level = 0, .n = 0, .width = 256 }, "tile/0/000" },
    { { .level = 0, .n = 7, .width = 1 }, "tile/0/007.p/1" },
    { { .level = 7, .n = 999, .width = 255 }, "tile/7/999.p/255" },
    { { .level = 1, .n = 1000, .width = 256 }, "tile/1/x001/000" },
    { { .level = 0, .n = 1234067, .width = 256 }, "tile/0/x001/x234/067" },
    { { .level = TL_BUNDLE_ENTRIES, .n = 1234067, .width = 12 },
      "tile/entries/x001/x234/067.p/12" },
    { { .level = 0, .n = UINT64_MAX / 1024, .width = 256 }, "tile/0/x018/x014/x398/x509/x481/983" },
};

static void names_tiles_and_reads_the_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_ARRAY_LEN(names); i++) {
        char name[TL_BUNDLE_NAME_SIZE];
        struct tl_bundle_tile tile = { 0 };
        tl_bundle_tile_name(name, &names[i].tile);
        assert_string_equal(name, names[i].name);
        check_ok(tl_bundle_tile_parse(&tile, name));
        assert_int_equal(tile.level, names[i].tile.level);
        assert_int_equal(tile.n, names[i].tile.n);
        assert_int_equal(tile.width, names[i].tile.width);
    }
}

/* A tile with two names would be one file that is looked at, and one that is not. */
static void refuses_other_spellings(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001/",
        "tile/0/x001",
        "tile/0/x001/x002",
        "tile/00/001",
        "tile/10/001",
        "tile/a/001",
        "tile/0/001.p",
        "tile/0/001.p/",
        "tile/0/001.p/256",
        "tile/0/001.p/01",
        "tile/0/001.p/1/2",
        "tile/0/001.q/1",
        "tile/entries/01",
        "tile/entriesx/001",
        "TILE/0/001",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(wrong); i++) {
        struct tl_bundle_tile tile;
        if (tl_bundle_tile_parse(&tile, wrong[i]) != TALLY_EINVAL) {
            fail_msg("'%s' was taken for a tile", wrong[i]);
        }
    }
}

static bool fits(uint32_t level, uint64_t n, uint32_t width, uint64_t size)
{
    struct tl_bundle_tile tile = { .level = level, .n = n, .width = width };
    return tl_bundle_tile_fits(&tile, size);
}

static bool reaches(uint32_t level, uint64_t n, uint32_t width, uint64_t size)
{
    struct tl_bundle_tile tile = { .level = level, .n = n, .width = width };
    return tl_bundle_tile_reaches(&tile, size);
}

static void knows_how_far_a_tile_reaches(void **state)
{
    (void)state;
    assert_true(reaches(0, 2, 190, 702));
    assert_true(reaches(0, 2, 1, 702));
    assert_false(reaches(0, 2, 191, 702));
    assert_false(reaches(0, 2, 256, 702));
    assert_false(reaches(0, 2, 0, 702));
    assert_true(reaches(0, 1, 190, 702));
    assert_true(reaches(0, 1, 256, 702));
    assert_false(reaches(0, 3, 1, 702));
    assert_false(reaches(0, UINT64_MAX, 1, 702));
    assert_true(reaches(1, 0, 1, 702));
    assert_false(reaches(1, 0, 3, 702));
    assert_false(reaches(2, 0, 1, 702));
    assert_true(reaches(TL_BUNDLE_ENTRIES, 2, 7, 702));
    assert_false(reaches(TL_BUNDLE_ENTRIES, 3, 7, 702));
    assert_false(reaches(8, 0, 1, UINT64_MAX));
    assert_false(reaches(9, 0, 1, UINT64_MAX));
    assert_true(reaches(7, 0, 1, UINT64_MAX));
    assert_false(reaches(0, 0, 1, 0));
}

static void knows_the_tiles_of_a_tree(void **state)
{
    (void)state;
    assert_true(fits(0, 1, 256, 702));
    assert_true(fits(0, 2, 190, 702));
    assert_true(fits(1, 0, 2, 702));
    assert_true(fits(TL_BUNDLE_ENTRIES, 2, 190, 702));
    assert_false(fits(0, 2, 256, 702));
    assert_false(fits(0, 1, 190, 702));
    assert_false(fits(0, 2, 191, 702));
    assert_false(fits(0, 3, 1, 702));
    assert_false(fits(1, 0, 3, 702));
    assert_false(fits(2, 0, 1, 702));
    assert_false(fits(2, 0, 0, 702));
    assert_false(fits(8, 0, 1, UINT64_MAX));
    assert_true(fits(1, 0, 256, 65536));
    assert_true(fits(2, 0, 1, 65536));
    assert_false(fits(0, 0, 0, 0));
}

static void says_when_a_path_is_too_long(void **state)
{
    (void)state;
    char dir[TL_BUNDLE_PATH_SIZE];
    char out[TL_BUNDLE_PATH_SIZE];
    memset(dir, 'd', sizeof(dir) - 1);
    dir[sizeof(dir) - 1] = '\0';
    check_status(tl_bundle_path(out, dir, "checkpoint", NULL), TALLY_EINVAL);
    dir[sizeof(dir) - 14] = '\0';
    check_ok(tl_bundle_path(out, dir, "checkpoint", NULL));
    assert_string_equal(out + sizeof(dir) - 14, "/checkpoint");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_tiles_and_reads_the_names),
        cmocka_unit_test(refuses_other_spellings),
        cmocka_unit_test(knows_how_far_a_tile_reaches),
        cmocka_unit_test(knows_the_tiles_of_a_tree),
        cmocka_unit_test(says_when_a_path_is_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
