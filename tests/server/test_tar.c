#include "server/tar.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"
#include "check.h"

#define BLOCK 512u

/* What the writer is given; fails once there is more than `most`. */
struct sink {
    struct tl_buf bytes;
    size_t most;
};

static tally_status take(void *ctx, const char *bytes, size_t len)
{
    struct sink *sink = ctx;
    if (sink->bytes.len + len > sink->most) {
        return TALLY_EIO;
    }
    tl_buf_add(&sink->bytes, bytes, len);
    return tl_buf_status(&sink->bytes);
}

static void make(const char *dir, const char *name, size_t len)
{
    char path[400];
    static const char bytes[100000] = "contents";
    check_path(path, sizeof(path), dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    check_ok(tl_io_write_at(fd, bytes, len, 0, NULL));
    assert_int_equal(close(fd), 0);
}

static tally_status tar(const char *dir, struct sink *sink, size_t most, struct tally_error *err)
{
    const struct tl_tar_options options = {
        .name = "top", .time_s = 1700000000, .write = take, .ctx = sink
    };
    sink->most = most;
    tl_buf_init(&sink->bytes, SIZE_MAX / 8);
    return tl_tar_directory(dir, &options, err);
}

static tally_status status_of(const char *dir, size_t most)
{
    struct sink sink;
    struct tally_error err = TALLY_ERROR_INIT;
    tally_status status = tar(dir, &sink, most, &err);
    tl_buf_release(&sink.bytes);
    return status;
}

static void fills_whole_blocks(void **state)
{
    static const size_t sizes[] = { 0, 1, 511, 512, 513, 65535, 65536, 65537, 99999 };
    for (size_t i = 0; i < TL_ARRAY_LEN(sizes); i++) {
        void *dir = NULL;
        struct sink sink;
        assert_int_equal(check_mkdir(&dir), 0);
        make(dir, "a", sizes[i]);
        check_ok(tar(dir, &sink, SIZE_MAX, NULL));
        size_t blocks = (sizes[i] + BLOCK - 1) / BLOCK;
        assert_int_equal(sink.bytes.len, (1 + 1 + blocks + 2) * BLOCK);
        assert_string_equal(sink.bytes.data, "top/");
        const char *header = sink.bytes.data + BLOCK;
        char size[32];
        (void)snprintf(size, sizeof(size), "%011zo", sizes[i]);
        assert_string_equal(header, "top/a");
        assert_string_equal(header + 124, size);
        assert_string_equal(header + 136, "14524770400"); /* 1700000000 */
        assert_memory_equal(header + 257, "ustar\00000", 8);
        tl_buf_release(&sink.bytes);
        assert_int_equal(check_rmdir(&dir), 0);
    }
    (void)state;
}

static void ends_with_each_write_that_fails(void **state)
{
    void *dir = *state;
    make(dir, "a", 70000);
    for (size_t most = 0; most < 70000 + 4 * BLOCK; most += 300) {
        assert_int_equal(status_of(dir, most), TALLY_EIO);
    }
    check_ok(status_of(dir, 80000));
}

static void refuses_names_that_are_too_long(void **state)
{
    void *dir = *state;
    char name[101];
    memset(name, 'x', sizeof(name));
    name[95] = '\0'; /* "top/" and 95: 99 */
    make(dir, name, 1);
    check_ok(status_of(dir, SIZE_MAX));
    name[95] = 'x';
    name[96] = '\0';
    make(dir, name, 1);
    assert_int_equal(status_of(dir, SIZE_MAX), TALLY_ELIMIT);
}

static void refuses_what_is_no_file(void **state)
{
    void *dir = *state;
    char path[400];
    check_path(path, sizeof(path), dir, "pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(status_of(dir, SIZE_MAX), TALLY_EINVAL);
    assert_int_equal(unlink(path), 0);
    check_path(path, sizeof(path), dir, "link");
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(status_of(dir, SIZE_MAX), TALLY_EIO);
    assert_int_equal(status_of("/nonexistent", SIZE_MAX), TALLY_ENOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_whole_blocks),
        cmocka_unit_test_setup_teardown(ends_with_each_write_that_fails, check_mkdir, check_rmdir),
        cmocka_unit_test_setup_teardown(refuses_names_that_are_too_long, check_mkdir, check_rmdir),
        cmocka_unit_test_setup_teardown(refuses_what_is_no_file, check_mkdir, check_rmdir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
