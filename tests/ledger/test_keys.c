/* Keys over the years: rotation, its crashes, whose secrets are where. */
#include "ledger/keys.h"

#include <tally/tally.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "check.h"
#include "fault.h"
#include "ledger/drill.h"
#include "ledger/remove.h"
#include "support/fake_clock.h"
#include "support/logs.h"
#include "support/site.h"

#define EPOCH_S    60
#define SHADOW_MIN ((uint64_t)1 << 30) /* only a sanitizer maps that much, for itself */

static const struct tally_setting short_epochs[] = { { "epoch.seconds", "60", "test" } };
static const struct tally_actor officer = { .by = "officer", .reason = "yearly" };
static struct site site;

static int set_up(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    site_init(&site, *state, NULL, 0);
    return 0;
}

static int set_up_clock(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    fake_clock_use();
    site_init(&site, *state, short_epochs, TL_ARRAY_LEN(short_epochs));
    return 0;
}

static int tear_down_clock(void **state)
{
    fake_clock_end();
    return check_rmdir(state);
}

static uint64_t size_of(struct tally_ledger *ledger)
{
    struct tally_info info;
    check_ok(tally_info(ledger, &info, NULL));
    return info.size;
}

static void key_path(char path[SITE_PATH_SIZE], const char *name)
{
    char keys[SITE_PATH_SIZE];
    check_path(keys, sizeof(keys), site.dir, "keys");
    check_path(path, SITE_PATH_SIZE, keys, name);
}

static struct tally_rotated rotate(struct tally_ledger *ledger, int mac)
{
    struct tally_rotated rotated;
    struct tally_error err = TALLY_ERROR_INIT;
    tally_status status = tally_keys_rotate(ledger, mac, &officer, &rotated, NULL, &err);
    if (status != TALLY_OK) {
        print_error("%s\n", err.message);
    }
    check_ok(status);
    assert_int_equal(rotated.mac_key[0] != '\0', mac);
    return rotated;
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

/* Verifies with one MAC key (NULL: without), from what is on disk; findings are failures. */
static void verify_with(const char *mac_key)
{
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    struct tally_report *report = NULL;
    options.mac_key_path = mac_key;
    check_ok(tally_verify_at(site.dir, &options, &report, NULL));
    for (size_t i = 0; i < report->finding_count; i++) {
        print_error("%s %s\n", report->findings[i].code, report->findings[i].what);
    }
    assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    tally_report_free(report);
}

static void verify_all_ways(const struct tally_rotated *rotated)
{
    char path[SITE_PATH_SIZE];
    verify_with(NULL);
    verify_with(site.mac_key);
    if (rotated != NULL && rotated->mac_key[0] != '\0') {
        check_path(path, sizeof(path), site.dir, "mac2");
        write_text(path, rotated->mac_key);
        verify_with(path);
    }
}

struct listed {
    unsigned count[4]; /* log, mac, epoch, approver */
    unsigned here;
    unsigned in_force;
    char newest_log[320];
};

static int take_key(void *ctx, const struct tally_key *key)
{
    static const char *const kinds[] = { "log", "mac", "epoch", "approver" };
    struct listed *listed = ctx;
    for (size_t i = 0; i < TL_ARRAY_LEN(kinds); i++) {
        listed->count[i] += strcmp(key->kind, kinds[i]) == 0;
    }
    listed->here += key->is_here != 0;
    listed->in_force += key->until_us == 0;
    assert_true(key->is_here == 0 || key->until_us == 0);
    if (strcmp(key->kind, "log") == 0) {
        (void)snprintf(listed->newest_log, sizeof(listed->newest_log), "%s", key->vkey);
    }
    return 0;
}

static struct listed list(struct tally_ledger *ledger)
{
    struct listed listed = { .here = 0 };
    check_ok(tally_keys_each(ledger, take_key, &listed, NULL));
    return listed;
}

static void keys_can_be_replaced(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    (void)site_append(ledger, "a", 1);
    struct tally_rotated first = rotate(ledger, 0);
    (void)site_append(ledger, "b", 1);
    verify_all_ways(&first);
    struct tally_rotated second = rotate(ledger, 1);
    assert_string_not_equal(first.log_key, second.log_key);
    (void)site_append(ledger, "c", 1);
    verify_all_ways(&second);

    struct listed listed = list(ledger);
    assert_int_equal(listed.count[0], 3);
    assert_int_equal(listed.count[1], 2);
    assert_int_equal(listed.count[2], 1);
    assert_int_equal(listed.in_force, 3);
    assert_int_equal(listed.here, 3);
    assert_string_equal(listed.newest_log, second.log_key);
    assert_int_equal(logs_count_action(ledger, "tally.key.rotate", NULL, 0), 2);
    tally_close(ledger);

    ledger = site_open(&site);
    (void)site_append(ledger, "d", 1);
    (void)rotate(ledger, 1);
    tally_close(ledger);
    verify_all_ways(&second);
}

static void keys_of_a_ledger_in_memory_can_be_replaced(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_memory("memory:100");
    (void)site_append(ledger, "a", 1);
    (void)rotate(ledger, 1);
    (void)site_append(ledger, "b", 1);
    (void)site_verify_open(ledger, NULL);
    struct listed listed = list(ledger);
    assert_int_equal(listed.count[0], 2);
    assert_int_equal(listed.here, 3);
    tally_close(ledger);
}

static int count_mac_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    assert_true(strncmp(path + ftw->base, "mac-", 4) != 0);
    return 0;
}

static void a_process_that_does_not_record_gets_the_new_mac_key(void **state)
{
    (void)state;
    struct tally_ledger *first = site_open(&site);
    struct tally_ledger *second = site_open(&site);
    struct tally_rotated rotated = rotate(second, 1);
    (void)site_append(first, "a", 1);
    (void)site_append(second, "b", 1);
    verify_all_ways(&rotated);
    char keys[SITE_PATH_SIZE];
    check_path(keys, sizeof(keys), site.dir, "keys");
    assert_int_equal(nftw(keys, count_mac_file, 4, FTW_PHYS), 0);
    tally_close(second);
    tally_close(first);
}

static void who_replaces_keys_has_a_name(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    const struct tally_actor nobody = { .by = NULL };
    struct tally_rotated rotated;
    check_status(tally_keys_rotate(ledger, 0, &nobody, &rotated, NULL, NULL), TALLY_EINVAL);
    assert_true(rotated.seq == TALLY_SEQ_NONE);
    char path[SITE_PATH_SIZE];
    key_path(path, "trust.txt");
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    assert_true(fputs("#tally approve KEY\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    check_status(tally_keys_rotate(ledger, 0, &officer, &rotated, NULL, NULL), TALLY_ENOTSUP);
    assert_int_equal(site_count_kind(ledger, "key", NULL, 0), 0);
    tally_close(ledger);
}

/* ---- crashes ---- */

static unsigned round_number;

static tally_status rotate_once(void)
{
    struct tally_ledger *ledger = NULL;
    struct tally_rotated rotated;
    char id[32];
    TL_TRY(site_try_open(&site, 1, &ledger, NULL));
    tally_status status =
        tally_keys_rotate(ledger, (int)(round_number & 1u), &officer, &rotated, NULL, NULL);
    if (status == TALLY_OK) {
        (void)snprintf(id, sizeof(id), "r%u", round_number);
        char text[128];
        int len = snprintf(text, sizeof(text), "{\"id\":\"%s\",\"action\":\"a\"}", id);
        status = tally_append(ledger, text, (size_t)len, NULL, NULL);
    }
    tally_close(ledger);
    return status;
}

/* Without faults: the ledger opens, takes an event, and all signatures are right. */
static void check_sound(void)
{
    char id[32];
    (void)snprintf(id, sizeof(id), "after%u", round_number);
    struct tally_ledger *ledger = site_open(&site);
    (void)site_append(ledger, id, round_number);
    struct listed listed = list(ledger);
    assert_int_equal(listed.here, 3);
    tally_close(ledger);
    (void)site_verify(&site);
}

static void rotate_with_fault(void *ctx, const atomic_bool *hit)
{
    (void)ctx;
    round_number++;
    tally_status status = rotate_once();
    assert_true(status == TALLY_OK || atomic_load(hit));
    tl_io = &tl_io_posix;
    check_sound();
}

static void a_rotation_survives_each_failed_file_operation(void **state)
{
    (void)state;
    round_number = 0;
    /* Each kind at each operation takes minutes. */
    assert_true(fault_each_io_by(fault_step(9), FAULT_ERROR, EIO, rotate_with_fault, NULL) > 40);
    assert_true(fault_each_io_by(fault_step(10), FAULT_FOREVER, ENOSPC, rotate_with_fault, NULL) >
                40);
    assert_true(fault_each_io_by(fault_step(11), FAULT_LATE, EIO, rotate_with_fault, NULL) > 40);
}

/* A child rotates and dies at its nth file operation; whether it came through. */
static bool rotate_and_die(size_t n)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        fault_die_at_io(n);
        _exit(rotate_once() == TALLY_OK ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) || WTERMSIG(status) == SIGKILL);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void a_rotation_survives_death_at_each_step(void **state)
{
    (void)state;
    size_t n = 1;
    round_number = 1;
    while (!rotate_and_die(n)) {
        check_sound();
        round_number++;
        n += fault_step(3);
    }
    assert_true(n > 40);
}

static tally_status rotate_without_memory(const void *ctx)
{
    (void)ctx;
    round_number++;
    return rotate_once();
}

static void a_rotation_survives_each_failed_allocation(void **state)
{
    (void)state;
    round_number = 0;
    assert_true(fault_each_alloc_or_ok(rotate_without_memory, NULL) > 40);
    check_sound();
}

/* ---- epochs ---- */

static uint32_t epoch_of(struct tally_ledger *ledger)
{
    struct tally_epoch epoch;
    check_ok(tally_epoch_read(ledger, &epoch, NULL));
    assert_int_equal(epoch.seconds, EPOCH_S);
    assert_int_equal(epoch.ends_us - epoch.begins_us, EPOCH_S * FAKE_SECOND);
    return epoch.epoch;
}

static void an_idle_ledger_closes_its_epochs(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    uint64_t size = size_of(ledger);
    fake_clock_pass((EPOCH_S - 1) * FAKE_SECOND);
    for (unsigned i = 0; i < 100; i++) {
        logs_pause();
    }
    assert_int_equal(epoch_of(ledger), 0);
    assert_int_equal(size_of(ledger), size);
    fake_clock_pass(FAKE_SECOND);
    check_soon(epoch_of(ledger) == 1);
    fake_clock_pass(EPOCH_S * FAKE_SECOND * 600); /* a long suspend is one step */
    check_soon(epoch_of(ledger) == 601);
    assert_int_equal(site_count_kind(ledger, "epoch", NULL, 0), 2);
    tally_close(ledger);
    (void)site_verify(&site);
}

static void an_epoch_is_closed_when_it_is_due_and_not_before(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    struct tally_epoch epoch;
    check_ok(tally_epoch_close(ledger, &epoch, NULL));
    assert_int_equal(epoch.closed, 0);
    assert_int_equal(epoch.seal_size, 0);
    fake_clock_pass(EPOCH_S * FAKE_SECOND);
    check_ok(tally_epoch_close(ledger, &epoch, NULL));
    assert_int_equal(epoch.epoch, 1);
    assert_true(epoch.seal_size > 0); /* by this call, or by the thread a moment before it */
    check_ok(tally_epoch_close(ledger, &epoch, NULL));
    assert_int_equal(epoch.closed, 0);
    assert_int_equal(epoch.epoch, 1);
    tally_close(ledger);
    (void)site_verify(&site);
}

static void an_epoch_can_be_closed_by_a_process_that_does_not_record(void **state)
{
    (void)state;
    struct tally_ledger *first = site_open(&site);
    struct tally_ledger *second = site_open(&site);
    struct tally_epoch epoch;
    check_ok(tally_epoch_close(second, &epoch, NULL));
    assert_int_equal(epoch.closed, 0);
    assert_int_equal(epoch.epoch, 0);
    tally_close(second);
    tally_close(first);
}

static void an_idle_ledger_in_memory_closes_its_epochs(void **state)
{
    (void)state;
    fake_clock_use();
    struct tally_options options = TALLY_OPTIONS_INIT;
    struct tally_ledger *ledger = NULL;
    options.uri = "memory:100";
    options.settings = short_epochs;
    options.setting_count = TL_ARRAY_LEN(short_epochs);
    check_ok(tally_open(&ledger, &options, NULL));
    fake_clock_pass(EPOCH_S * FAKE_SECOND * 2);
    check_soon(epoch_of(ledger) == 2);
    (void)site_verify_open(ledger, NULL);
    tally_close(ledger);
    fake_clock_end();
}

/* ---- destroyed secrets ---- */

/* What is looked for, and where what is read is put: outside of what is searched. */
struct scan {
    uint8_t needles[3][32];
    uint8_t window[(1 << 20) + 32];
};

static bool window_has(const struct scan *scan, size_t len)
{
    for (size_t i = 0; i < TL_ARRAY_LEN(scan->needles); i++) {
        if (memmem(scan->window, len, scan->needles[i], 32) != NULL) {
            return true;
        }
    }
    return false;
}

static bool range_has(struct scan *scan, int memory, uint64_t from, uint64_t to)
{
    while (from < to) {
        size_t len = to - from < sizeof(scan->window) ? to - from : sizeof(scan->window);
        ssize_t got = pread(memory, scan->window, len, (off_t)from);
        if (got <= 32) {
            return false;
        }
        if (window_has(scan, (size_t)got)) {
            return true;
        }
        from +=
            (uint64_t)got < len || from + (uint64_t)got >= to ? (uint64_t)got : (uint64_t)got - 32;
    }
    return false;
}

/* Reads a number and the one character behind it. */
static uint64_t read_hex(const char **at)
{
    uint64_t number = 0;
    static const char digits[] = "0123456789abcdef";
    for (const char *digit = strchr(digits, **at); digit != NULL && **at != '\0';
         digit = strchr(digits, **at)) {
        number = number * 16 + (uint64_t)(digit - digits);
        ++*at;
    }
    ++*at;
    return number;
}

/* Whether any memory that this process may write to holds one of the needles. */
static bool memory_has(struct scan *scan)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    assert_non_null(maps);
    assert_true(memory >= 0);
    char line[512];
    bool found = false;
    while (!found && fgets(line, sizeof(line), maps) != NULL) {
        const char *mode = line;
        uint64_t from = read_hex(&mode);
        uint64_t to = read_hex(&mode);
        bool is_own = (uintptr_t)scan >= from && (uintptr_t)scan < to;
        bool is_shadow = to - from > SHADOW_MIN;
        found = mode[0] == 'r' && mode[1] == 'w' && !is_own && !is_shadow &&
                range_has(scan, memory, from, to);
    }
    assert_int_equal(fclose(maps), 0);
    assert_int_equal(close(memory), 0);
    return found;
}

static struct scan *make_scan(void)
{
    /* Pages around it keep it a mapping of its own. */
    size_t size = (sizeof(struct scan) + 8191) / 4096 * 4096 + 8192;
    char *at = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(at, MAP_FAILED);
    assert_int_equal(mprotect(at + 4096, size - 8192, PROT_READ | PROT_WRITE), 0);
    return (struct scan *)(void *)(at + 4096);
}

static void take_secrets(struct scan *scan)
{
    char path[SITE_PATH_SIZE];
    key_path(path, "state");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, scan->needles[0], 32, 24), 32); /* seed of the epoch key */
    assert_int_equal(pread(fd, scan->needles[1], 32, 56), 32); /* K of the epoch */
    assert_int_equal(close(fd), 0);
    key_path(path, "log.key");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, scan->needles[2], 32, 0), 32);
    assert_int_equal(close(fd), 0);
}

/* A sanitizer keeps what was released, and frames that have returned, to look at them later. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define MEMORY_IS_KEPT 1
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#        define MEMORY_IS_KEPT 1
#    endif
#endif
#ifndef MEMORY_IS_KEPT
#    define MEMORY_IS_KEPT 0
#endif

static struct scan *scanning;

static int search_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    if (type != FTW_F) {
        return 0;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_false(range_has(scanning, fd, 0, (uint64_t)st->st_size));
    assert_int_equal(close(fd), 0);
    return 0;
}

static void old_secrets_are_nowhere(void **state)
{
    (void)state;
    scanning = make_scan();
    struct tally_ledger *ledger = site_open(&site);
    (void)site_append(ledger, "a", 1);
    take_secrets(scanning);
    /* What the kernel still has of the old files, by descriptors opened before they go. */
    char path[SITE_PATH_SIZE];
    key_path(path, "state");
    int old_state = open(path, O_RDONLY | O_CLOEXEC);
    key_path(path, "log.key");
    int old_log = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(memory_has(scanning)); /* it would be found */

    fake_clock_pass(EPOCH_S * FAKE_SECOND);
    (void)site_append(ledger, "b", 1);
    (void)rotate(ledger, 1);
    (void)site_append(ledger, "c", 1);
    assert_false(!MEMORY_IS_KEPT && memory_has(scanning));
    assert_false(range_has(scanning, old_state, 0, TL_KEYSTATE_LEN));
    assert_false(range_has(scanning, old_log, 0, 32));
    assert_int_equal(nftw(site.dir, search_file, 8, FTW_PHYS), 0);
    assert_int_equal(close(old_state), 0);
    assert_int_equal(close(old_log), 0);
    tally_close(ledger);
    (void)site_verify(&site);
}

static int leave_secret(const char *name)
{
    char path[SITE_PATH_SIZE];
    key_path(path, name);
    write_text(path, "some secret of an epoch that is about to end, left behind by a crash");
    return open(path, O_RDONLY | O_CLOEXEC);
}

static void is_destroyed(int fd, const char *name)
{
    char path[SITE_PATH_SIZE];
    char bytes[16];
    assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        assert_int_equal(bytes[i], 0);
    }
    assert_int_equal(close(fd), 0);
    key_path(path, name);
    assert_int_equal(access(path, F_OK), -1);
}

static void what_a_crash_left_of_key_files_is_destroyed(void **state)
{
    (void)state;
    int fd = leave_secret("state.tmp");
    tally_close(site_open(&site));
    is_destroyed(fd, "state.tmp");
}

static void keys_are_destroyed_with_their_directory(void **state)
{
    (void)state;
    static const char *const names[] = { "state",       "state.tmp", "log.key",
                                         "log.key.tmp", "mac-2.key", "mac-2.key.tmp" };
    int fds[TL_ARRAY_LEN(names)];
    for (size_t i = 0; i < TL_ARRAY_LEN(names); i++) {
        fds[i] = leave_secret(names[i]);
    }
    tl_remove_tree(site.dir);
    assert_int_equal(access(site.dir, F_OK), -1);
    for (size_t i = 0; i < TL_ARRAY_LEN(names); i++) {
        is_destroyed(fds[i], names[i]);
    }
}

/* ---- theft ---- */

/* Verifies the copy with nothing but a trust file that was taken away in the beginning. */
static enum tally_verdict verdict_of(const char *dir, const char *trust)
{
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    struct tally_report *report = NULL;
    options.trust_path = trust;
    check_ok(tally_verify_at(dir, &options, &report, NULL));
    enum tally_verdict verdict = report->verdict;
    tally_report_free(report);
    return verdict;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* Changes record `seq` in a copy of `from`, signs all that comes after it with the stolen keys, and
 * returns what an auditor says. UINT64_MAX changes nothing. */
static enum tally_verdict forge(const char *base, const char *from, const char *stolen,
                                const char *trust, uint64_t seq, uint64_t size)
{
    char copy[SITE_PATH_SIZE];
    char path[SITE_PATH_SIZE];
    check_path(copy, sizeof(copy), base, "forged");
    (void)nftw(copy, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    site_copy(from, copy);
    check_path(path, sizeof(path), copy, "keys");
    assert_int_equal(nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
    site_copy(stolen, path);
    struct tl_drill *drill = tl_alloc_array(1, sizeof(*drill));
    assert_non_null(drill);
    drill->size = size;
    check_ok(
        tl_paths_init(&drill->damaged, copy, (struct tl_str){ 0 }, (struct tl_str){ 0 }, NULL));
    if (seq != UINT64_MAX) {
        check_ok(tl_drill_rewrite(drill, seq, NULL));
        tl_drill_close(drill);
    }
    tl_free(drill);
    /* Only public evidence counts, not what the ledger itself remembers beside it. */
    check_path(path, sizeof(path), copy, "keys/highwater");
    assert_int_equal(remove(path), 0);
    static const char *const index[] = { "index.db", "index.db-wal", "index.db-shm" };
    for (size_t i = 0; i < TL_ARRAY_LEN(index); i++) {
        check_path(path, sizeof(path), copy, index[i]);
        assert_true(remove(path) == 0 || errno == ENOENT);
    }
    return verdict_of(copy, trust);
}

static void take_copy(const char *base, const char *name, const char *part, char *out)
{
    char from[SITE_PATH_SIZE];
    check_path(from, sizeof(from), site.dir, part);
    check_path(out, SITE_PATH_SIZE, base, name);
    site_copy(from, out);
}

static void append_some(struct tally_ledger *ledger, const char *prefix)
{
    for (unsigned i = 0; i < 6; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "%s%u", prefix, i);
        (void)site_append(ledger, id, i);
    }
}

static void stolen_keys_change_nothing_sealed_before_their_epoch(void **state)
{
    const char *base = *state;
    char trust[SITE_PATH_SIZE];
    char stolen[SITE_PATH_SIZE];
    char then[SITE_PATH_SIZE];
    char later[SITE_PATH_SIZE];
    take_copy(base, "public", "keys", trust);
    check_path(trust, sizeof(trust), base, "public/trust.txt");

    struct tally_ledger *ledger = site_open(&site);
    append_some(ledger, "zero");
    fake_clock_pass(EPOCH_S * FAKE_SECOND);
    append_some(ledger, "one");
    uint64_t closed = size_of(ledger); /* records of epochs 0 and 1 */
    fake_clock_pass(EPOCH_S * FAKE_SECOND);
    append_some(ledger, "two");
    uint64_t size_then = size_of(ledger);
    tally_close(ledger);
    take_copy(base, "stolen", "keys", stolen);
    take_copy(base, "then", "", then);

    ledger = site_open(&site);
    fake_clock_pass(EPOCH_S * FAKE_SECOND);
    append_some(ledger, "three");
    (void)rotate(ledger, 0);
    uint64_t size_later = size_of(ledger);
    tally_close(ledger);
    take_copy(base, "later", "", later);

    assert_int_equal(forge(base, then, stolen, trust, UINT64_MAX, size_then),
                     TALLY_VERDICT_VERIFIED);
    assert_int_equal(forge(base, later, stolen, trust, UINT64_MAX, size_later),
                     TALLY_VERDICT_VERIFIED);
    /* The open epoch is the thief's: this shows that the forgery itself is well made. */
    assert_int_equal(forge(base, then, stolen, trust, size_then - 1, size_then),
                     TALLY_VERDICT_VERIFIED);
    ledger = site_open_read(&site);
    unsigned tried = 0;
    for (uint64_t seq = 0; seq < closed; seq++) {
        struct tally_page *page = NULL;
        check_ok(tally_get_by_seq(ledger, seq, &page, NULL));
        bool is_event = page->count == 1 && page->items[0].id != NULL &&
                        strstr(page->items[0].line, "test.event") != NULL;
        tally_page_free(page);
        if (is_event) {
            tried++;
            assert_int_equal(forge(base, then, stolen, trust, seq, size_then),
                             TALLY_VERDICT_TAMPERED);
            assert_int_equal(forge(base, later, stolen, trust, seq, size_later),
                             TALLY_VERDICT_TAMPERED);
        }
    }
    tally_close(ledger);
    assert_int_equal(tried, 12);
}

#define CASE(name)       cmocka_unit_test_setup_teardown(name, set_up, check_rmdir)
#define CLOCK_CASE(name) cmocka_unit_test_setup_teardown(name, set_up_clock, tear_down_clock)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(keys_can_be_replaced),
        cmocka_unit_test(keys_of_a_ledger_in_memory_can_be_replaced),
        CASE(a_process_that_does_not_record_gets_the_new_mac_key),
        CASE(who_replaces_keys_has_a_name),
        CASE(a_rotation_survives_each_failed_file_operation),
        CASE(a_rotation_survives_death_at_each_step),
        CASE(a_rotation_survives_each_failed_allocation),
        CLOCK_CASE(an_idle_ledger_closes_its_epochs),
        CLOCK_CASE(an_epoch_is_closed_when_it_is_due_and_not_before),
        CASE(an_epoch_can_be_closed_by_a_process_that_does_not_record),
        cmocka_unit_test(an_idle_ledger_in_memory_closes_its_epochs),
        CLOCK_CASE(old_secrets_are_nowhere),
        CASE(what_a_crash_left_of_key_files_is_destroyed),
        CASE(keys_are_destroyed_with_their_directory),
        CLOCK_CASE(stolen_keys_change_nothing_sealed_before_their_epoch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
