/*
 * How fast one core verifies a ledger: bench_verify [RECORDS [URI]]. Events of 460
 * bytes with five erasable members, in memory or in a new store; the best of five rounds.
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/parse.h"
#include "store/store.h"
#include "support/mkledger.h"
#include "verify/verify.h"

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static long peak_kib(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

int main(int argc, char **argv)
{
    static struct mk mk;
    uint64_t count = 200000;
    if (argc > 1 && tl_parse_u64(argv[1], strlen(argv[1]), UINT32_MAX, &count) != TALLY_OK) {
        return 2;
    }
    mk_init(&mk, MK_ORIGIN, 1);
    for (uint64_t done = 0; done < count; done += 4000) {
        mk_events(&mk, 4000);
    }
    struct tally_store *store = &mk.image.store;
    if (argc > 2 && (tl_store_open(&store, argv[2], TALLY_STORE_CREATE, NULL) != TALLY_OK ||
                     image_store(&mk.image, store) != TALLY_OK)) {
        return 1;
    }
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    struct tl_verify_input input = { .store = store, .trust = mk.trust, .options = &options };
    long before_kib = peak_kib();
    struct tally_report *report = NULL;
    double took = 1e9;
    for (int round = 0; round < 5; round++) {
        tally_report_free(report);
        double start = seconds();
        if (tl_verify(&input, &report, NULL) != TALLY_OK) {
            return 1;
        }
        took = seconds() - start < took ? seconds() - start : took;
    }
    (void)printf("%s %llu records %.3f s %.0f records/s %.2f us each, %ld KiB more at the peak\n",
                 tally_verdict_name(report->verdict), (unsigned long long)report->checked, took,
                 (double)report->checked / took, took * 1e6 / (double)report->checked,
                 peak_kib() - before_kib);
    tally_report_free(report);
    if (argc > 2) {
        tl_store_close(store);
    }
    mk_release(&mk);
    return 0;
}
