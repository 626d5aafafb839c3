/*
 * Fills a SQLite store with records of 600-byte events in full batches, then scans it.
 *
 * usage: bench_store DIR RECORDS v4|v7 [quiet]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "store/store.h"

#define BATCH        4096
#define EVENT_LEN    600
#define REPORT_EVERY (1u << 20)

static uint8_t leaves[BATCH][TALLY_LEAF_LEN];
static uint8_t seeds[BATCH][TALLY_SEED_LEN];
static char events[BATCH][EVENT_LEN + 1];
static uint8_t tile_data[BATCH / 256 + 2][TALLY_TILE_LEN];
static struct tally_record records[BATCH];
static struct tally_tile tiles[BATCH / 256 + 2];
static uint8_t ids[BATCH][TALLY_LEAF_ID_LEN];
static uint64_t seqs[BATCH];

static uint64_t next_random(void)
{
    static uint64_t state = 88172645463325252;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 2685821657736338717u;
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void make_id(uint8_t *id, uint64_t seq, bool ordered)
{
    uint64_t high = ordered ? (1773480413000 + seq / 200) << 16 | (next_random() & 0xfff) | 0x7000
                            : next_random();
    uint64_t low = next_random();
    for (int i = 0; i < 8; i++) {
        id[i] = (uint8_t)(high >> (56 - 8 * i));
        id[8 + i] = (uint8_t)(low >> (56 - 8 * i));
    }
}

static void make_batch(struct tally_batch *batch, uint64_t first, bool ordered)
{
    *batch = (struct tally_batch){ .records = records, .count = BATCH, .tiles = tiles };
    for (size_t i = 0; i < BATCH; i++) {
        uint64_t seq = first + i;
        make_id(ids[i], seq, ordered);
        memcpy(leaves[i] + TALLY_LEAF_ID_AT, ids[i], TALLY_LEAF_ID_LEN);
        uint64_t salt = next_random();
        memcpy(seeds[i], &salt, sizeof(salt));
        records[i] = (struct tally_record){ .seq = seq,
                                            .leaf = leaves[i],
                                            .leaf_len = TALLY_LEAF_LEN,
                                            .event = events[i],
                                            .event_len = EVENT_LEN,
                                            .seed = seeds[i],
                                            .seed_len = TALLY_SEED_LEN };
    }
    for (uint32_t level = 0; level < 3; level++) {
        uint32_t shift = 8 * (level + 1);
        for (uint64_t n = first >> shift; n < (first + BATCH) >> shift; n++) {
            tiles[batch->tile_count] =
                (struct tally_tile){ .level = level, .n = n, .data = tile_data[batch->tile_count] };
            batch->tile_count++;
        }
    }
    static const char note[300] = "note";
    batch->head.size = first + BATCH;
    memcpy(batch->head.root, &batch->head.size, sizeof(batch->head.size));
    batch->head.frontier_len = 640;
    batch->checkpoint =
        (struct tally_checkpoint){ .size = first + BATCH, .note = note, .note_len = sizeof(note) };
    batch->drop_checkpoint = first;
}

static tally_status fill(struct tally_store *store, uint64_t count, bool ordered,
                         struct tally_error *err)
{
    struct tally_head head = { 0 };
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    double start = seconds(CLOCK_MONOTONIC);
    double last = start;
    double slowest = 0;
    while (head.size < count) {
        struct tally_batch batch;
        make_batch(&batch, head.size, ordered);
        double before = seconds(CLOCK_MONOTONIC);
        TL_TRY(tl_store_find_ids(store, (void *)ids, BATCH, seqs, err));
        TL_TRY(tl_store_append(store, &head, &batch, err));
        double now = seconds(CLOCK_MONOTONIC);
        slowest = now - before > slowest ? now - before : slowest;
        head = batch.head;
        if (head.size % REPORT_EVERY == 0) {
            printf("%9llu records: %.0f k/s, slowest batch %.0f ms\n",
                   (unsigned long long)head.size, REPORT_EVERY / (now - last) / 1e3, slowest * 1e3);
            last = now;
            slowest = 0;
        }
    }
    printf("append: %.2f us a record, %.2f us of them cpu\n",
           (seconds(CLOCK_MONOTONIC) - start) * 1e6 / (double)head.size,
           (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e6 / (double)head.size);
    return TALLY_OK;
}

static tally_status sum_record(void *ctx, const struct tally_record *record)
{
    uint64_t *sum = ctx;
    *sum += (size_t)record->leaf[0] + (uint8_t)record->event[0] + record->seed_len;
    return TALLY_OK;
}

static void count_finding(void *ctx, const char *code, uint64_t seq, const char *what)
{
    (void)ctx;
    printf("%s at %llu: %s\n", code, (unsigned long long)seq, what);
}

static tally_status read_back(const char *uri, uint64_t count, struct tally_error *err)
{
    struct tally_store *store = NULL;
    TL_TRY(tl_store_open(&store, uri, TALLY_STORE_READ, err));
    for (int round = 0; round < 2; round++) {
        uint64_t sum = 0;
        double start = seconds(CLOCK_MONOTONIC);
        TL_TRY(tl_store_scan(store, 0, UINT64_MAX, sum_record, &sum, err));
        printf("scan: %.2f us a record\n",
               (seconds(CLOCK_MONOTONIC) - start) * 1e6 / (double)count);
    }
    double start = seconds(CLOCK_MONOTONIC);
    TL_TRY(tl_store_self_check(store, count_finding, NULL, err));
    printf("self check: %.2f us a record\n",
           (seconds(CLOCK_MONOTONIC) - start) * 1e6 / (double)count);
    tl_store_close(store);
    return TALLY_OK;
}

static tally_status bench(const char *path, uint64_t count, bool ordered, struct tally_error *err)
{
    char uri[400];
    (void)snprintf(uri, sizeof(uri), "sqlite:%s", path);
    memset(events, 'x', sizeof(events));
    struct tally_store *store = NULL;
    TL_TRY(tl_store_open(&store, uri, TALLY_STORE_CREATE, err));
    TL_TRY(fill(store, count, ordered, err));
    double start = seconds(CLOCK_MONOTONIC);
    tl_store_close(store);
    struct stat st;
    if (stat(path, &st) == 0) {
        printf("close: %.2f s; disk: %.1f bytes a record beyond its event\n",
               seconds(CLOCK_MONOTONIC) - start, (double)st.st_size / (double)count - EVENT_LEN);
    }
    return read_back(uri, count, err);
}

int main(int argc, char **argv)
{
    char path[300];
    if (argc < 4) {
        return 3;
    }
    (void)snprintf(path, sizeof(path), "%s/bench-ledger.db", argv[1]);
    uint64_t count = (uint64_t)strtoull(argv[2], NULL, 10); /* check_tree: ok, a benchmark's own */
    struct tally_error err = TALLY_ERROR_INIT;
    tally_status status = bench(path, count / BATCH * BATCH, strcmp(argv[3], "v7") == 0, &err);
    if (status != TALLY_OK) {
        printf("%s: %s\n", tally_status_name(status), err.message);
    }
    (void)unlink(path);
    return status == TALLY_OK ? 0 : 1;
}
