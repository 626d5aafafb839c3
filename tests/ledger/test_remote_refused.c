/* What a server refuses for good is kept once, whole, and within a bound. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "check.h"
#include "ledger/remote.h"

#define EVENT TL_STR("{\"action\":\"a.b\",\"id\":\"x\"}")

static const struct tl_paths *paths_of(void **state)
{
    static struct tl_paths paths; /* large */
    check_ok(tl_paths_init_remote(&paths, tl_str_of(*state), NULL));
    return &paths;
}

static bool keep(const struct tl_paths *paths, const char *source, struct tl_str event)
{
    struct tl_refused refused = { .is_full = false };
    check_ok(tl_refused_begin(&refused, paths, NULL));
    bool kept = tl_refused_add(&refused, source, "too_long", event);
    check_ok(tl_refused_end(&refused, NULL));
    tl_refused_release(&refused);
    return kept;
}

static void check_count(const struct tl_paths *paths, uint64_t wanted)
{
    uint64_t count = 0;
    check_ok(tl_refused_count(paths, &count, NULL));
    assert_int_equal(count, wanted);
}

static void path_in(char out[TL_PATH_SIZE], void **state)
{
    check_ok(tl_path_join(out, *state, "refused.ndjson", NULL));
}

static void keeps_each_once(void **state)
{
    const struct tl_paths *paths = paths_of(state);
    char path[TL_PATH_SIZE];
    struct stat st;
    path_in(path, state);
    check_count(paths, 0);
    assert_true(keep(paths, "a.seg/0", EVENT));
    assert_true(keep(paths, "a.seg/1", EVENT));
    assert_true(keep(paths, "a.seg/0", EVENT)); /* read again, after a crash */
    assert_true(keep(paths, "a.seg/10", EVENT));
    check_count(paths, 3);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777u, 0600);
}

static void goes_on_behind_a_line_that_a_crash_cut_short(void **state)
{
    const struct tl_paths *paths = paths_of(state);
    char path[TL_PATH_SIZE];
    path_in(path, state);
    assert_true(keep(paths, "a.seg/0", EVENT));
    int fd = open(path, O_WRONLY | O_APPEND);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "{\"from\":\"a.seg/1\",\"co", 21), 21);
    assert_int_equal(close(fd), 0);
    assert_true(keep(paths, "a.seg/1", EVENT));
    TL_CLEANUP(tl_freep) char *text = NULL;
    size_t len = 0;
    check_ok(tl_io_read_file(path, 65536, &text, &len, NULL));
    assert_non_null(strstr(text, "\"co\n{\"from\":\"a.seg/1\",\"code\":\"too_long\""));
    assert_int_equal(text[len - 1], '\n');
}

static void takes_no_more_than_its_bound(void **state)
{
    const struct tl_paths *paths = paths_of(state);
    char path[TL_PATH_SIZE];
    path_in(path, state);
    assert_true(keep(paths, "a.seg/0", EVENT));
    assert_int_equal(truncate(path, (16 << 20) - 10), 0);
    assert_false(keep(paths, "a.seg/1", EVENT));
    assert_int_equal(truncate(path, 17 << 20), 0);
    assert_false(keep(paths, "a.seg/1", EVENT));
    check_count(paths, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, check_mkdir, check_rmdir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(keeps_each_once),
        CASE(goes_on_behind_a_line_that_a_crash_cut_short),
        CASE(takes_no_more_than_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
