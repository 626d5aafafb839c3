/*
 * disk_cut LOG IMAGE ORACLE CUTS SEED SKIP COMMAND - makes disks that a power cut could have left.
 *
 * For each of CUTS random moments after the first SKIP bytes of the log: what came before the last
 * flush is on the disk IMAGE; each write after it is there, is missing, or is torn, with a random set
 * of its 512-byte sectors. A quarter of the disks have simply all writes up to the moment. ORACLE.cut
 * says what was acknowledged by then, and COMMAND, which the shell runs, whether the disk is good:
 * exit status 0. The last cut is at the end of the log. DISK_CUT_STOP=1 in the environment stops at
 * the first disk that is bad.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "crash/disk_log.h"
#include "crash/rig.h"

#define SECTOR  512u
#define OPS_MAX ((size_t)1 << 20)

struct op {
    struct disk_log_entry entry;
    const uint8_t *bytes;
};

struct cut {
    struct op *ops;
    size_t count;
    size_t durable; /* so many of them are on `base` */
    off_t size;
    int base;  /* the disk up to a flush */
    int image; /* the disk after the cut */
    uint64_t random;
    uint64_t dropped;
    uint64_t torn;
};

static void give_up(const char *what)
{
    perror(what);
    exit(70);
}

/* Returns how many operations begin before `skip`. */
static size_t load(struct cut *cut, const char *path, uint64_t skip)
{
    struct stat st;
    size_t skipped = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        give_up(path);
    }
    size_t len = (size_t)st.st_size;
    const uint8_t *log = mmap(NULL, len + 1, PROT_READ, MAP_PRIVATE, fd, 0);
    cut->ops = tl_alloc_array(OPS_MAX, sizeof(*cut->ops));
    if (log == MAP_FAILED || cut->ops == NULL) {
        give_up("memory");
    }
    for (size_t at = 0; at + sizeof(struct disk_log_entry) <= len && cut->count < OPS_MAX;) {
        struct op *op = &cut->ops[cut->count];
        memcpy(&op->entry, log + at, sizeof(op->entry));
        skipped += at < skip ? 1 : 0;
        at += sizeof(op->entry);
        if (op->entry.magic != DISK_LOG_MAGIC || op->entry.len > len - at) {
            break; /* the end was being written */
        }
        op->bytes = log + at;
        at += op->entry.len;
        cut->count++;
    }
    (void)close(fd); /* the map stays */
    return skipped;
}

static void put(int fd, const uint8_t *bytes, size_t len, uint64_t offset)
{
    if (pwrite(fd, bytes, len, (off_t)offset) != (ssize_t)len) {
        give_up("image");
    }
}

static void put_torn(struct cut *cut, const struct op *op)
{
    for (uint64_t at = 0; at < op->entry.len; at += SECTOR) {
        uint64_t len = op->entry.len - at < SECTOR ? op->entry.len - at : SECTOR;
        if (oracle_random(&cut->random) % 2 == 0) {
            put(cut->image, op->bytes + at, len, op->entry.offset + at);
        }
    }
}

/* Only what holds data: the images are sparse. */
static void copy_base(const struct cut *cut)
{
    static uint8_t buffer[65536];
    if (ftruncate(cut->image, 0) != 0 || ftruncate(cut->image, cut->size) != 0) {
        give_up("image");
    }
    for (off_t at = lseek(cut->base, 0, SEEK_DATA); at >= 0; at = lseek(cut->base, at, SEEK_DATA)) {
        off_t end = lseek(cut->base, at, SEEK_HOLE);
        while (at < end) {
            size_t want = end - at < (off_t)sizeof(buffer) ? (size_t)(end - at) : sizeof(buffer);
            if (pread(cut->base, buffer, want, at) != (ssize_t)want) {
                give_up("image");
            }
            put(cut->image, buffer, want, (uint64_t)at);
            at += (off_t)want;
        }
    }
}

/* The power goes after operation `last`, as the next one arrives. */
static void make_image(struct cut *cut, size_t last)
{
    size_t flush = last;
    while (flush > cut->durable && cut->ops[flush].entry.type != DISK_LOG_FLUSH) {
        flush--;
    }
    for (; cut->durable < flush; cut->durable++) {
        const struct op *op = &cut->ops[cut->durable];
        put(cut->base, op->bytes, op->entry.len, op->entry.offset);
    }
    copy_base(cut);
    bool all = oracle_random(&cut->random) % 4 == 0;
    for (size_t i = cut->durable; i <= last; i++) {
        const struct op *op = &cut->ops[i];
        uint64_t fate = all ? 0 : oracle_random(&cut->random) % 4;
        if (fate < 2) {
            put(cut->image, op->bytes, op->entry.len, op->entry.offset);
        } else if (fate == 2) {
            cut->dropped++;
        } else {
            cut->torn++;
            put_torn(cut, op);
        }
    }
}

static int by_value(const void *a, const void *b)
{
    size_t x = *(const size_t *)a;
    size_t y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* Half of the moments are right before a flush, when most is still in the cache. */
static size_t *choose_moments(struct cut *cut, size_t skip, size_t cuts)
{
    size_t *moments = tl_alloc_array(cuts, sizeof(*moments));
    if (moments == NULL) {
        give_up("memory");
    }
    /* A writer that never syncs may have made no operation at all: then there is the end only. */
    size_t first = skip < cut->count ? skip : cut->count - 1;
    for (size_t i = 0; i < cuts; i++) {
        size_t at = first + oracle_random(&cut->random) % (cut->count - first);
        while (i % 2 == 1 && at + 2 < cut->count && cut->ops[at + 1].entry.type != DISK_LOG_FLUSH) {
            at++;
        }
        moments[i] = i == 0 ? cut->count - 1 : at;
    }
    qsort(moments, cuts, sizeof(*moments), by_value);
    return moments;
}

static void tell_oracle(const struct cut *cut, size_t last, const struct oracle *end,
                        struct oracle *now)
{
    for (unsigned i = 0; i < ORACLE_SLOTS; i++) {
        uint64_t acked = last + 1 < cut->count ? cut->ops[last + 1].entry.acked[i]
                                               : atomic_load(&end->slots[i].acked);
        atomic_store(&now->slots[i].acked, acked);
        atomic_store(&now->slots[i].started, atomic_load(&end->slots[i].started));
    }
}

static void open_images(struct cut *cut, const char *image)
{
    char base[RIG_PATH_SIZE];
    struct stat st;
    (void)snprintf(base, sizeof(base), "%s.base", image);
    cut->image = open(image, O_RDWR | O_CLOEXEC);
    cut->base = open(base, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (cut->image < 0 || cut->base < 0 || fstat(cut->image, &st) != 0 ||
        ftruncate(cut->base, st.st_size) != 0) {
        give_up(image);
    }
    cut->size = st.st_size;
}

static bool is_good(const char *command)
{
    const char *const arguments[] = { "/bin/sh", "-c", command, NULL };
    int status = 0;
    pid_t pid = rig_start(arguments);
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
    static struct cut cut;
    char path[RIG_PATH_SIZE];
    if (argc != 8) {
        return 64;
    }
    size_t cuts = (size_t)rig_number("", argv[4]);
    cut.random = rig_number("", argv[5]);
    size_t skip = load(&cut, argv[1], rig_number("", argv[6]));
    if (cut.count == 0 || cuts == 0) {
        (void)fprintf(stderr, "disk_cut: nothing is recorded\n");
        return 70;
    }
    open_images(&cut, argv[2]);
    (void)snprintf(path, sizeof(path), "%s.cut", argv[3]);
    const struct oracle *end = oracle_map(argv[3]);
    struct oracle *now = oracle_map(path);
    size_t *moments = choose_moments(&cut, skip, cuts);
    size_t bad = 0;
    size_t done = 0;
    int64_t start = oracle_now_us();
    for (; done < cuts && (bad == 0 || rig_number("DISK_CUT_STOP", "0") == 0); done++) {
        make_image(&cut, moments[done]);
        tell_oracle(&cut, moments[done], end, now);
        if (!is_good(argv[7])) {
            (void)fprintf(stderr, "disk_cut: bad at operation %zu of %zu\n", moments[done],
                          cut.count);
            bad++;
        }
    }
    double seconds = (double)(oracle_now_us() - start) / 1e6;
    (void)printf("{\"test\":\"power\",\"seed\":%s,\"operations\":%zu,\"cuts\":%zu,\"dropped\":%llu,"
                 "\"torn\":%llu,\"bad\":%zu,\"seconds\":%.1f}\n",
                 argv[5], cut.count, done, (unsigned long long)cut.dropped,
                 (unsigned long long)cut.torn, bad, seconds);
    return bad == 0 ? 0 : 1;
}
