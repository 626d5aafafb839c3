/*
 * kill_writer LEDGER ORACLE SEED [ack-first] - appends batches until it is killed.
 *
 * Two threads, each with events of its own. One that starts again goes on after the last event that
 * was acknowledged, so that it hands some in for the second time. "ack-first" is the mistake that
 * the test must find: it notes the acknowledgement before there is one.
 */
#include <tally/tally.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "crash/oracle.h"

#define LIFE_S 20 /* should the one who kills be killed */

struct writer {
    pthread_t thread;
    struct tally_ledger *ledger;
    struct oracle *oracle;
    unsigned number;
    uint64_t random;
    bool ack_first;
};

static bool append_batch(struct writer *writer, struct tally_events *events, uint64_t first,
                         uint64_t count)
{
    static _Thread_local struct tally_receipt receipts[ORACLE_BATCH_MAX];
    struct tally_error error = TALLY_ERROR_INIT;
    tally_events_clear(events);
    for (uint64_t n = first; n < first + count; n++) {
        char text[ORACLE_TEXT_SIZE];
        size_t len = oracle_text(text, writer->number, n);
        if (tally_events_add(events, text, len, 0, &error) != TALLY_OK) {
            (void)fprintf(stderr, "kill_writer: %s\n", error.message);
            return false;
        }
    }
    atomic_uint_least64_t *started = &writer->oracle->writers[writer->number].started;
    if (atomic_load(started) < first + count - 1) {
        atomic_store(started, first + count - 1);
    }
    if (writer->ack_first) {
        atomic_store(&writer->oracle->writers[writer->number].acked, first + count - 1);
    }
    if (tally_append_events(writer->ledger, events, receipts, &error) != TALLY_OK) {
        (void)fprintf(stderr, "kill_writer: %s\n", error.message);
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (receipts[i].status != TALLY_OK || receipts[i].level != TALLY_LEVEL_RECORDED) {
            (void)fprintf(stderr, "kill_writer: an event was not recorded\n");
            return false;
        }
    }
    atomic_store(&writer->oracle->writers[writer->number].acked, first + count - 1);
    return true;
}

static void *keep_appending(void *ctx)
{
    struct writer *writer = ctx;
    struct tally_events *events = NULL;
    if (tally_events_new(&events, writer->ledger, NULL) != TALLY_OK) {
        return NULL;
    }
    uint64_t next = atomic_load(&writer->oracle->writers[writer->number].acked) + 1;
    for (;;) {
        uint64_t count = 1 + oracle_random(&writer->random) % ORACLE_BATCH_MAX;
        if (!append_batch(writer, events, next, count)) {
            _exit(1);
        }
        next += count;
    }
}

int main(int argc, char **argv)
{
    uint64_t seed = 0;
    if (argc < 4 || tl_parse_u64(argv[3], strlen(argv[3]), UINT64_MAX, &seed) != TALLY_OK) {
        return 64;
    }
    oracle_use_fast_clock();
    (void)alarm(LIFE_S);
    struct tally_options options = TALLY_OPTIONS_INIT;
    options.uri = argv[1];
    options.writable = 1;
    struct tally_ledger *ledger = NULL;
    struct tally_error error = TALLY_ERROR_INIT;
    if (tally_open(&ledger, &options, &error) != TALLY_OK) {
        (void)fprintf(stderr, "kill_writer: %s\n", error.message);
        return 1;
    }
    struct writer writers[ORACLE_WRITERS];
    for (unsigned i = 0; i < ORACLE_WRITERS; i++) {
        writers[i] = (struct writer){ .ledger = ledger,
                                      .oracle = oracle_map(argv[2]),
                                      .number = i,
                                      .random = seed + i,
                                      .ack_first = argc > 4 };
        if (pthread_create(&writers[i].thread, NULL, keep_appending, &writers[i]) != 0) {
            return 1;
        }
    }
    for (;;) {
        (void)pause();
    }
}
