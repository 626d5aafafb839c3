/*
 * Fills an index with records of 14 terms, then measures how long the first page of a query takes.
 *
 * usage: bench_index DIR RECORDS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/index.h"

#define BATCH  65536
#define ROUNDS 100
#define PAGE   50
#define START  1773480413000000

static char texts[BATCH][512];
static struct tl_index_entry entries[BATCH];

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static uint32_t mix(uint64_t value)
{
    value *= 0x9e3779b97f4a7c15;
    return (uint32_t)(value >> 33);
}

static void make_entry(size_t i, uint64_t seq)
{
    uint32_t r = mix(seq);
    uint32_t s = mix(seq + 0x123456789);
    int len = snprintf(texts[i], sizeof(texts[i]),
                       "action=user.role.update%u\x1f"
                       "actor_id=user-%u\x1f"
                       "actor_type=user\x1f"
                       "outcome=%s\x1f"
                       "severity=%s\x1f"
                       "tenant_id=tenant-%u\x1f"
                       "target=User/user-%u\x1f"
                       "target_type=User\x1f"
                       "parity=%s\x1f"
                       "session_id=sess-%u\x1f"
                       "ip=192.0.2.%u\x1f"
                       "service=accounts%u\x1f"
                       "tag=pci%u\x1f"
                       "%s",
                       r % 200, s % 50000, r % 20 == 0 ? "failure" : "success",
                       s % 10 == 0 ? "high" : "medium", r % 300, s % 100000,
                       seq % 2 == 0 ? "even" : "odd", (unsigned)(seq / 20), s % 256, r % 12, s % 5,
                       seq % 500000 == 250000 ? "once=in-a-while" : "class=standard");
    entries[i] = (struct tl_index_entry){ .seq = seq,
                                          .occurred_us = START + (int64_t)seq * 200 + r % 100000,
                                          .terms = { texts[i], (size_t)len } };
}

static tally_status count_hit(void *ctx, uint64_t seq, int64_t occurred_us)
{
    (void)seq;
    (void)occurred_us;
    size_t *count = ctx;
    return ++*count == PAGE ? TALLY_ECANCELED : TALLY_OK;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;
    return *x < *y ? -1 : *x > *y ? 1 : 0;
}

static tally_status measure(struct tl_index *index, const char *name, const char *first,
                            const char *second, const struct tl_index_query *shape,
                            struct tally_error *err)
{
    struct tl_str terms[2] = { tl_str_of(first), tl_str_of(second) };
    const struct tl_index_group groups[2] = { { &terms[0], 1 }, { &terms[1], 1 } };
    struct tl_index_query query = *shape;
    query.groups = groups;
    query.group_count = first == NULL ? 0 : second == NULL ? 1 : 2;
    double times[ROUNDS];
    size_t count = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        count = 0;
        double start = seconds();
        TL_TRY(tl_index_search(index, &query, count_hit, &count, err));
        times[i] = seconds() - start;
    }
    qsort(times, ROUNDS, sizeof(times[0]), by_value);
    printf("%-44s %3zu hits  p50 %8.3f ms  p99 %8.3f ms\n", name, count, times[ROUNDS / 2] * 1e3,
           times[ROUNDS * 99 / 100] * 1e3);
    return TALLY_OK;
}

static tally_status search_all(struct tl_index *index, uint64_t count, struct tally_error *err)
{
    static const struct {
        const char *name, *first, *second;
    } table[] = {
        { "no term", NULL, NULL },
        { "common", "outcome=success", NULL },
        { "one in twenty", "outcome=failure", NULL },
        { "one in 50,000", "actor_id=user-42", NULL },
        { "rare", "once=in-a-while", NULL },
        { "absent", "actor_id=nobody", NULL },
        { "common and rare", "outcome=success", "once=in-a-while" },
        { "common and common, nothing in both", "parity=even", "parity=odd" },
        { "one in 50,000 and common", "actor_id=user-42", "target_type=User" },
        { "two in hundreds", "action=user.role.update7", "tenant_id=tenant-7" },
    };
    int64_t middle = START + (int64_t)count * 100;
    for (unsigned shape = 0; shape < 6; shape++) {
        struct tl_index_query query = { .seq_end = UINT64_MAX,
                                        .occurred_from = INT64_MIN,
                                        .occurred_to = INT64_MAX,
                                        .ascending = shape == 1,
                                        .by_occurred = shape == 3 || shape == 4 };
        if (shape == 2 || shape == 4) {
            query.occurred_from = middle;
            query.occurred_to = middle + 20000000;
        }
        if (shape == 5) {
            query.seq_end = count / 2;
        }
        static const char *const names[] = { "newest first",
                                             "oldest first",
                                             "newest, in a range of time",
                                             "by occurred",
                                             "by occurred, in a range",
                                             "from the middle on" };
        printf("%s\n", names[shape]);
        for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
            TL_TRY(measure(index, table[i].name, table[i].first, table[i].second, &query, err));
        }
    }
    return TALLY_OK;
}

static tally_status fill(struct tl_index *index, uint64_t count, struct tally_error *err)
{
    double spent = 0;
    double slowest = 0;
    for (uint64_t seq = 0; seq < count; seq += BATCH) {
        for (size_t i = 0; i < BATCH; i++) {
            make_entry(i, seq + i);
        }
        double start = seconds();
        TL_TRY(tl_index_add(index, entries, BATCH, err));
        double took = seconds() - start;
        slowest = took > slowest ? took : slowest;
        spent += took;
    }
    printf("add: %.0f k/s, slowest batch of %d: %.0f ms\n", (double)count / spent / 1e3, BATCH,
           slowest * 1e3);
    return TALLY_OK;
}

static tally_status bench(const char *path, uint64_t count, struct tally_error *err)
{
    struct tl_index *index = NULL;
    TL_TRY(tl_index_open(&index, path, TALLY_STORE_WRITE, err));
    TL_TRY(fill(index, count, err));
    tl_index_close(index);
    struct stat st;
    if (stat(path, &st) == 0) {
        printf("disk: %.1f bytes a record\n", (double)st.st_size / (double)count);
    }
    TL_TRY(tl_index_open(&index, path, TALLY_STORE_READ, err));
    TL_TRY(search_all(index, count, err));
    static uint64_t sums[1 << 16];
    double start = seconds();
    TL_TRY(tl_index_digest(index, (const uint8_t *)"0123456789abcdef", 12, sums, TL_ARRAY_LEN(sums),
                           UINT64_MAX, err));
    printf("digest: %.2f us a record\n", (seconds() - start) * 1e6 / (double)count);
    tl_index_close(index);
    return TALLY_OK;
}

int main(int argc, char **argv)
{
    char path[300];
    if (argc < 3) {
        return 3;
    }
    (void)snprintf(path, sizeof(path), "%s/bench-index.db", argv[1]);
    uint64_t count = (uint64_t)strtoull(argv[2], NULL, 10); /* check_tree: ok, a benchmark's own */
    struct tally_error err = TALLY_ERROR_INIT;
    tally_status status = bench(path, count / BATCH * BATCH, &err);
    if (status != TALLY_OK) {
        printf("%s: %s\n", tally_status_name(status), err.message);
    }
    (void)unlink(path);
    return status == TALLY_OK ? 0 : 1;
}
