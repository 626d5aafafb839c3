/* What it costs to read one record of a spool, in processor time: bench_drain DIRECTORY. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "spool/drain.h"

#define SEGMENT_BYTES (UINT32_C(64) << 20)
#define TEXT_LEN      700u
#define ROUNDS        10
#define TAKE_MAX      4096u

static double now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* Fills a segment; returns how many records it holds. */
static size_t write_segment(const char *path)
{
    static uint8_t bytes[SEGMENT_BYTES];
    const struct tl_segment header = { .nonce = 7, .size = SEGMENT_BYTES };
    tl_segment_encode(bytes, &header);
    struct tl_spool_record record = { .kind = TL_SPOOL_EVENT, .len = TEXT_LEN };
    uint32_t span = tl_spool_span(TEXT_LEN);
    for (size_t at = TL_SEGMENT_HEADER_LEN; at + span <= SEGMENT_BYTES; at += span) {
        memset(bytes + at + TL_SPOOL_HEADER_LEN, 'x', TEXT_LEN);
        tl_spool_encode(bytes + at, &record, header.nonce);
        record.index++;
    }
    FILE *file = fopen(path, "wb");
    tl_assert(file != NULL);
    size_t written = fwrite(bytes, 1, sizeof(bytes), file);
    int rc = fclose(file);
    tl_assert(written == sizeof(bytes) && rc == 0);
    return record.index;
}

/* Takes all records, `max` at a time. Prints the best of some rounds: what disturbs a round only
 * ever makes it slower. */
static void measure(const char *dir, size_t count, size_t max)
{
    static struct tl_drain_item items[TAKE_MAX];
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct tl_drain *drain = NULL;
        tally_status status = tl_drain_open(&drain, dir, NULL);
        tl_assert(status == TALLY_OK);
        double start = now_ns();
        size_t taken = 0;
        while (taken < count) {
            size_t n = 0;
            status = tl_drain_take(drain, items, max, SIZE_MAX, &n, NULL);
            tl_assert(status == TALLY_OK);
            tl_drain_commit(drain);
            taken += n;
        }
        double ns = (now_ns() - start) / (double)count;
        best = round == 0 || ns < best ? ns : best;
        tl_drain_close(drain);
    }
    printf("%-28s %6.0f ns for %u bytes, %zu at a time\n", "taking a record", best, TEXT_LEN, max);
}

static void measure_crc(const char *name, uint32_t (*crc)(uint32_t, const void *, size_t))
{
    static uint8_t bytes[TEXT_LEN];
    double start = now_ns();
    uint32_t sum = 0;
    for (int i = 0; i < 100000; i++) {
        sum = crc(sum, bytes, sizeof(bytes));
    }
    printf("%-28s %6.0f ns for %u bytes (%08x)\n", name, (now_ns() - start) / 100000, TEXT_LEN,
           sum);
}

int main(int argc, char *argv[])
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    char dir[4096];
    char path[4200];
    (void)snprintf(dir, sizeof(dir), "%s/bench-spool-XXXXXX", argv[1]);
    const char *made = mkdtemp(dir);
    tl_assert(made != NULL);
    (void)snprintf(path, sizeof(path), "%s/0.seg", dir);
    measure_crc("CRC-32C", tl_crc32c);
    measure_crc("CRC-32C without instruction", tl_crc32c_portable);
    size_t count = write_segment(path);
    measure(dir, count, TAKE_MAX);
    measure(dir, count, 64);
    (void)unlink(path);
    (void)rmdir(dir);
    return 0;
}
