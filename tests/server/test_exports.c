#include "server/exports.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/io.h"
#include "check.h"

#define MIB ((size_t)1 << 20)

struct fixture {
    void *dir;
    char tokens[300];
    char kept[300];
    struct tl_exports exports;
};

static int begin(void **state)
{
    struct fixture *fix = tl_alloc_array(1, sizeof(*fix));
    assert_non_null(fix);
    assert_int_equal(check_mkdir(&fix->dir), 0);
    check_path(fix->tokens, sizeof(fix->tokens), fix->dir, "tokens.json");
    check_path(fix->kept, sizeof(fix->kept), fix->dir, "exports");
    check_ok(tl_exports_open(&fix->exports, fix->tokens, NULL));
    *state = fix;
    return 0;
}

static int end(void **state)
{
    struct fixture *fix = *state;
    tl_exports_close(&fix->exports);
    assert_int_equal(check_rmdir(&fix->dir), 0);
    tl_free(fix);
    return 0;
}

static void in_kept(const struct fixture *fix, char path[400], const char *name)
{
    check_path(path, 400, fix->kept, name);
}

static void make(const struct fixture *fix, const char *name)
{
    char path[400];
    in_kept(fix, path, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
}

static bool is_there(const struct fixture *fix, const char *name)
{
    char path[400];
    struct stat st;
    in_kept(fix, path, name);
    return lstat(path, &st) == 0;
}

static void removes_what_was_left_and_nothing_else(void **state)
{
    struct fixture *fix = *state;
    char path[400];
    tl_exports_close(&fix->exports);
    static const char *const dirs[] = { "j2.bundle.dir", "j2.bundle.dir/tile",
                                        "j3.tlog.dir.0a1b2c3d.tmp" };
    for (size_t i = 0; i < TL_ARRAY_LEN(dirs); i++) {
        in_kept(fix, path, dirs[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    make(fix, "j2.bundle.dir/tile/0");
    make(fix, "j1.csv");
    make(fix, "journal");
    make(fix, "notes");
    in_kept(fix, path, "j4.csv");
    assert_int_equal(symlink(fix->dir, path), 0);
    check_ok(tl_exports_open(&fix->exports, fix->tokens, NULL));
    assert_false(is_there(fix, "j1.csv"));
    assert_false(is_there(fix, "j2.bundle.dir"));
    assert_false(is_there(fix, "j3.tlog.dir.0a1b2c3d.tmp"));
    assert_false(is_there(fix, "j4.csv"));
    assert_true(is_there(fix, "journal"));
    assert_true(is_there(fix, "notes"));
    assert_int_equal(access(fix->dir, F_OK), 0);
}

static tally_status open_again(const struct fixture *fix)
{
    struct tl_exports other;
    struct tally_error err = TALLY_ERROR_INIT;
    tally_status status = tl_exports_open(&other, fix->tokens, &err);
    assert_int_equal(status == TALLY_OK, other.dir[0] != '\0');
    tl_exports_close(&other);
    return status;
}

static void is_of_one_server_alone(void **state)
{
    struct fixture *fix = *state;
    make(fix, "j1.csv");
    check_status(open_again(fix), TALLY_EBUSY);
    assert_true(is_there(fix, "j1.csv"));
    tl_exports_close(&fix->exports);
    assert_int_equal(chmod(fix->kept, 0750), 0);
    check_status(open_again(fix), TALLY_EINVAL);
    assert_true(is_there(fix, "j1.csv"));
    assert_int_equal(chmod(fix->kept, 0700), 0);
    check_ok(open_again(fix));
    assert_int_equal(rmdir(fix->kept), 0);
    assert_int_equal(symlink(fix->dir, fix->kept), 0);
    check_status(open_again(fix), TALLY_EIO);
}

static void refuses_paths_that_are_too_long(void **state)
{
    (void)state;
    struct tl_exports exports;
    struct tally_error err = TALLY_ERROR_INIT;
    char path[2 * TL_EXPORT_PATH_SIZE];
    memset(path, '/', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    check_status(tl_exports_open(&exports, path, &err), TALLY_EINVAL);
}

static void counts_and_hashes_what_is_written(void **state)
{
    struct fixture *fix = *state;
    struct tl_export_file file;
    char path[400];
    uint8_t got[TL_SHA256_LEN];
    uint8_t want[TL_SHA256_LEN];
    in_kept(fix, path, "j1.csv");
    check_ok(tl_export_file_begin(&file, &fix->exports, path, 10, NULL));
    check_ok(tl_export_file_write(&file, "hel", 3));
    check_ok(tl_export_file_write(&file, "", 0));
    check_ok(tl_export_file_write(&file, "lo", 2));
    check_ok(tl_export_file_end(&file, NULL));
    tl_sha256_end(&file.hash, got);
    tl_sha256(want, "hello", 5);
    assert_memory_equal(got, want, sizeof(want));
    assert_int_equal(file.bytes, 5);
    struct tally_error err = TALLY_ERROR_INIT;
    check_status(tl_export_file_begin(&file, &fix->exports, path, 10, &err), TALLY_EIO);
    assert_int_equal(err.os_errno, EEXIST);
}

static void says_why_a_write_failed(void **state)
{
    struct fixture *fix = *state;
    struct tl_export_file file;
    struct tally_error err = TALLY_ERROR_INIT;
    char path[400];
    in_kept(fix, path, "j1.csv");
    check_ok(tl_export_file_begin(&file, &fix->exports, path, 4, NULL));
    check_ok(tl_export_file_write(&file, "full", 4));
    check_status(tl_export_file_write(&file, "!", 1), TALLY_EIO);
    check_status(tl_export_file_end(&file, &err), TALLY_ELIMIT);
    assert_non_null(strstr(err.message, "delete"));
}

static uint64_t blocks_free;

static int with_free_blocks(const char *path, struct statvfs *fs)
{
    (void)path;
    *fs = (struct statvfs){ .f_frsize = 4096, .f_blocks = 8000, .f_bavail = blocks_free };
    return 0;
}

static void leaves_an_eighth_of_the_disk_free(void **state)
{
    struct fixture *fix = *state;
    const struct tl_io_ops *before = tl_io;
    struct tl_io_ops ops = *tl_io;
    struct tl_export_file file;
    struct tally_error err = TALLY_ERROR_INIT;
    char path[400];
    TL_CLEANUP(tl_freep) char *bytes = tl_alloc_array(9 * MIB, 1);
    assert_non_null(bytes);
    ops.statvfs = with_free_blocks;
    tl_io = &ops;
    blocks_free = 1000;
    check_ok(tl_exports_room(&fix->exports, NULL));
    in_kept(fix, path, "j1.csv");
    check_ok(tl_export_file_begin(&file, &fix->exports, path, 100 * MIB, NULL));
    check_ok(tl_export_file_write(&file, bytes, 9 * MIB));
    blocks_free = 999;
    check_status(tl_export_file_write(&file, bytes, 1), TALLY_EIO);
    check_status(tl_export_file_end(&file, &err), TALLY_EIO);
    assert_int_equal(err.os_errno, ENOSPC);
    tl_io = before;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(removes_what_was_left_and_nothing_else, begin, end),
        cmocka_unit_test_setup_teardown(is_of_one_server_alone, begin, end),
        cmocka_unit_test(refuses_paths_that_are_too_long),
        cmocka_unit_test_setup_teardown(counts_and_hashes_what_is_written, begin, end),
        cmocka_unit_test_setup_teardown(says_why_a_write_failed, begin, end),
        cmocka_unit_test_setup_teardown(leaves_an_eighth_of_the_disk_free, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
