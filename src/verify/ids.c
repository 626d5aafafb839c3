#include "verify/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/io.h"
#include "base/random.h"

#define RUN_MAX      ((size_t)1 << 20) /* 16 MiB of marks */
#define BUCKET_BITS  10u
#define BUCKETS      ((size_t)1 << BUCKET_BITS)
#define WINDOW_MARKS 256u /* of each run, read at a time when runs are merged */
#define RUNS_MAX     4096u

void tl_ids_init(struct tl_ids *ids, const char *temp_dir, size_t run_max)
{
    *ids = (struct tl_ids){
        .temp_dir = temp_dir == NULL ? "/tmp" : temp_dir,
        .run_max = run_max == 0 ? RUN_MAX : run_max,
        .fd = -1,
    };
    tl_random_bytes(ids->key, sizeof(ids->key));
}

void tl_ids_release(struct tl_ids *ids)
{
    tl_free(ids->marks);
    tl_io_closep(&ids->fd);
    *ids = (struct tl_ids){ .fd = -1 };
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    x = (x ^ (x >> 29)) * UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ (x >> 32);
}

/* Nobody who does not know the key can aim at a collision, and one would only cost a look. */
static uint64_t hash_id(const struct tl_ids *ids, const uint8_t *bytes)
{
    uint64_t high = mix(tl_get_be64(bytes) + ids->key[0]) ^ ids->key[1];
    uint64_t low = mix(tl_get_be64(bytes + 8) + ids->key[2]) ^ ids->key[3];
    return mix(high * UINT64_C(0x9e3779b97f4a7c15) + low);
}

static bool comes_before(const struct tl_id_mark *a, const struct tl_id_mark *b)
{
    return a->hash != b->hash ? a->hash < b->hash : a->seq < b->seq;
}

static void insertion_sort(struct tl_id_mark *marks, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct tl_id_mark mark = marks[i];
        size_t at = i;
        for (; at > 0 && comes_before(&mark, &marks[at - 1]); at--) {
            marks[at] = marks[at - 1];
        }
        marks[at] = mark;
    }
}

/* Sorts in place: each mark is swapped to its bucket. Hashes are spread evenly, so that two rounds
 * leave a handful in each bucket, whatever the ids look like; six use up the hash. */
static void sort(struct tl_id_mark *marks, size_t count, uint32_t bits_done)
{
    if (count <= 32 || bits_done + BUCKET_BITS > 64) {
        insertion_sort(marks, count);
        return;
    }
    uint32_t shift = 64 - BUCKET_BITS - bits_done;
    uint32_t ends[BUCKETS];
    uint32_t next[BUCKETS];
    memset(ends, 0, sizeof(ends));
    for (size_t i = 0; i < count; i++) {
        ends[marks[i].hash >> shift & (BUCKETS - 1)]++;
    }
    uint32_t total = 0;
    for (size_t b = 0; b < BUCKETS; b++) {
        next[b] = total;
        total += ends[b];
        ends[b] = total;
    }
    for (size_t b = 0; b < BUCKETS; b++) {
        while (next[b] < ends[b]) {
            size_t home = marks[next[b]].hash >> shift & (BUCKETS - 1);
            struct tl_id_mark mark = marks[next[b]];
            marks[next[b]] = marks[next[home]];
            marks[next[home]] = mark;
            next[home]++;
        }
    }
    uint32_t start = 0;
    for (size_t b = 0; b < BUCKETS; b++) {
        sort(marks + start, ends[b] - start, bits_done + BUCKET_BITS);
        start = ends[b];
    }
}

static tally_status open_temp(struct tl_ids *ids, struct tally_error *err)
{
    uint8_t random[16];
    tl_random_bytes(random, sizeof(random));
    char name[2 * sizeof(random) + 1];
    tl_hex_encode(name, random, sizeof(random));
    size_t size = strlen(ids->temp_dir) + sizeof(name) + 16;
    TL_CLEANUP(tl_freep) char *path = tl_alloc_array(size, 1);
    if (path == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a path");
    }
    (void)snprintf(path, size, "%s/tally-%s", ids->temp_dir, name);
    ids->fd = tl_io->open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (ids->fd < 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot create '%s'", path);
    }
    /* Gone from the directory at once, so that nothing stays behind however we end. */
    if (tl_io->unlink(path) != 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot remove '%s'", path);
    }
    return TALLY_OK;
}

static tally_status spill(struct tl_ids *ids, struct tally_error *err)
{
    if (ids->fd < 0) {
        TL_TRY(open_temp(ids, err));
    }
    if (ids->runs == RUNS_MAX) {
        return tl_fail(err, TALLY_ELIMIT, "more ids than can be compared");
    }
    sort(ids->marks, ids->count, 0);
    size_t len = ids->count * sizeof(*ids->marks);
    TL_TRY(tl_io_write_at(ids->fd, ids->marks, len, ids->runs * len, err));
    ids->runs++;
    ids->count = 0;
    return TALLY_OK;
}

tally_status tl_ids_add(struct tl_ids *ids, const uint8_t *bytes, uint64_t seq,
                        struct tally_error *err)
{
    if (ids->count == ids->run_max) {
        TL_TRY(spill(ids, err));
    }
    if (ids->count == ids->capacity) {
        size_t capacity = ids->capacity == 0 ? 1024 : ids->capacity * 2;
        capacity = capacity > ids->run_max ? ids->run_max : capacity;
        struct tl_id_mark *marks = tl_realloc_array(ids->marks, capacity, sizeof(*marks));
        if (marks == NULL) {
            return tl_fail(err, TALLY_ENOMEM, "cannot allocate room for ids");
        }
        ids->marks = marks;
        ids->capacity = capacity;
    }
    ids->marks[ids->count++] = (struct tl_id_mark){ .hash = hash_id(ids, bytes), .seq = seq };
    return TALLY_OK;
}

/* A run that is being merged. */
struct run {
    struct tl_id_mark *window; /* WINDOW_MARKS of them, or the marks in memory */
    size_t at;
    size_t count;
    uint64_t file_at; /* the next mark to read, counted in marks */
    uint64_t file_end;
};

/* Makes sure that the window has a mark, unless the run is over. */
static tally_status refill(const struct tl_ids *ids, struct run *run, struct tally_error *err)
{
    if (run->at < run->count || run->file_at == run->file_end) {
        return TALLY_OK;
    }
    uint64_t left = run->file_end - run->file_at;
    size_t count = left < WINDOW_MARKS ? (size_t)left : WINDOW_MARKS;
    TL_TRY(tl_io_read_at(ids->fd, run->window, count * sizeof(*run->window),
                         run->file_at * sizeof(*run->window), err));
    run->file_at += count;
    run->at = 0;
    run->count = count;
    return TALLY_OK;
}

/* Restores the heap order of runs[at] and what is below it; the smallest mark is at the top. */
static void sift_down(struct run *runs, size_t count, size_t at)
{
    while (at * 2 + 1 < count) {
        size_t child = at * 2 + 1;
        if (child + 1 < count && comes_before(&runs[child + 1].window[runs[child + 1].at],
                                              &runs[child].window[runs[child].at])) {
            child++;
        }
        if (!comes_before(&runs[child].window[runs[child].at], &runs[at].window[runs[at].at])) {
            return;
        }
        struct run run = runs[at];
        runs[at] = runs[child];
        runs[child] = run;
        at = child;
    }
}

/* Takes the smallest mark, and the run with it if that was its last. */
static tally_status take_smallest(const struct tl_ids *ids, struct run *runs, size_t *count,
                                  struct tl_id_mark *mark_out, struct tally_error *err)
{
    *mark_out = runs[0].window[runs[0].at++];
    TL_TRY(refill(ids, &runs[0], err));
    if (runs[0].at == runs[0].count) {
        --*count;
        runs[0] = runs[*count];
    }
    sift_down(runs, *count, 0);
    return TALLY_OK;
}

static tally_status merge(const struct tl_ids *ids, struct run *runs, size_t count, tl_ids_fn *fn,
                          void *ctx, struct tally_error *err)
{
    for (size_t i = count; i-- > 0;) {
        sift_down(runs, count, i);
    }
    struct tl_id_mark before = { .seq = UINT64_MAX };
    tally_status status = TALLY_OK;
    while (count > 0 && status == TALLY_OK) {
        struct tl_id_mark mark = { 0 };
        status = take_smallest(ids, runs, &count, &mark, err);
        if (status == TALLY_OK && mark.hash == before.hash && before.seq != UINT64_MAX) {
            status = fn(ctx, before.seq, mark.seq);
        }
        before = mark;
    }
    return status;
}

tally_status tl_ids_find(struct tl_ids *ids, tl_ids_fn *fn, void *ctx, struct tally_error *err)
{
    sort(ids->marks, ids->count, 0);
    size_t count = (size_t)ids->runs;
    TL_CLEANUP(tl_freep) struct run *runs = tl_alloc_array(count + 1, sizeof(*runs));
    TL_CLEANUP(tl_freep)
    struct tl_id_mark *windows = tl_alloc_array(count * WINDOW_MARKS, sizeof(*windows));
    if (runs == NULL || windows == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate room for ids");
    }
    for (size_t i = 0; i < count; i++) {
        runs[i].window = windows + i * WINDOW_MARKS;
        runs[i].file_at = i * ids->run_max;
        runs[i].file_end = (i + 1) * ids->run_max;
        TL_TRY(refill(ids, &runs[i], err));
    }
    if (ids->count > 0) {
        runs[count] = (struct run){ .window = ids->marks, .count = ids->count };
        count++;
    }
    return merge(ids, runs, count, fn, ctx, err);
}
