/*
 * kill_writer LEDGER ORACLE SEED SLOT KINDS [ack-first] [no-sync] - writes until it is killed.
 *
 * One thread for each letter of KINDS, with events of its own, the first in slot SLOT of the oracle:
 * "a" appends batches, the others are those of rig_log(), in capitals at a leisurely pace.
 * One that starts again goes on after the last event that was acknowledged, so that it hands some in
 * for the second time. Two mistakes that the tests must find: "ack-first" notes the acknowledgement
 * before there is one, "no-sync" leaves out every sync of the spool.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/parse.h"
#include "crash/rig.h"

#define LIFE_S   60 /* should the one who kills be killed */
#define PAUSE_US 1000u
#define LEISURE  20u /* times as long */

static const char slow_kinds[] = "QBSRU";
static const char kinds_of_slow[] = "qbsru";

struct writer {
    pthread_t thread;
    struct tally_ledger *ledger;
    struct tally_logger *logger;
    struct oracle *oracle;
    unsigned slot;
    char kind;
    uint64_t pause_us; /* at most, between two bursts */
    uint64_t random;
    bool ack_first;
};

static void say(const struct tally_error *error)
{
    (void)fprintf(stderr, "kill_writer: %s\n", error->message);
}

static void note_started(struct writer *writer, uint64_t n)
{
    atomic_uint_least64_t *started = &writer->oracle->slots[writer->slot].started;
    if (atomic_load(started) < n) {
        atomic_store(started, n);
    }
    if (writer->ack_first) {
        atomic_store(&writer->oracle->slots[writer->slot].acked, n);
    }
}

static bool append_batch(struct writer *writer, struct tally_events *events, uint64_t first,
                         uint64_t count)
{
    static _Thread_local struct tally_receipt receipts[ORACLE_BATCH_MAX];
    struct tally_error error = TALLY_ERROR_INIT;
    tally_events_clear(events);
    for (uint64_t n = first; n < first + count; n++) {
        size_t len = 0;
        TL_CLEANUP(tl_freep) char *text = oracle_text(writer->slot, n, &len);
        if (tally_events_add(events, text, len, 0, &error) != TALLY_OK) {
            say(&error);
            return false;
        }
    }
    note_started(writer, first + count - 1);
    if (tally_append_events(writer->ledger, events, receipts, &error) != TALLY_OK) {
        say(&error);
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (receipts[i].status != TALLY_OK || receipts[i].level != TALLY_LEVEL_RECORDED) {
            return rig_complain("kill_writer", "an event was not recorded");
        }
    }
    atomic_store(&writer->oracle->slots[writer->slot].acked, first + count - 1);
    return true;
}

static void keep_appending(struct writer *writer, uint64_t next)
{
    struct tally_events *events = NULL;
    if (tally_events_new(&events, writer->ledger, NULL) != TALLY_OK) {
        return;
    }
    for (;;) {
        uint64_t count = 1 + oracle_random(&writer->random) % ORACLE_BATCH_MAX;
        if (!append_batch(writer, events, next, count)) {
            return;
        }
        next += count;
    }
}

/* In bursts, of which one in a while is long enough to fill segments. */
static void keep_logging(struct writer *writer, uint64_t next)
{
    for (;;) {
        uint64_t random = oracle_random(&writer->random);
        uint64_t count = random % 32 == 0 ? 200 : 1 + random / 32 % 16;
        for (; count > 0; count--, next++) {
            struct tally_error error = TALLY_ERROR_INIT;
            if (writer->ack_first) {
                note_started(writer, next);
            }
            if (rig_log(writer->oracle, writer->logger, writer->kind, writer->slot, next, &error) !=
                TALLY_OK) {
                say(&error);
                return;
            }
        }
        rig_sleep_us(oracle_random(&writer->random) % writer->pause_us);
    }
}

static void *keep_writing(void *ctx)
{
    struct writer *writer = ctx;
    uint64_t next = atomic_load(&writer->oracle->slots[writer->slot].acked) + 1;
    if (writer->kind == 'a') {
        keep_appending(writer, next);
    } else {
        keep_logging(writer, next);
    }
    _exit(1); /* only after a failure */
}

static int do_not_sync(int fd)
{
    (void)fd;
    return 0;
}

static bool has_word(int argc, char **argv, const char *word)
{
    for (int i = 6; i < argc; i++) {
        if (strcmp(argv[i], word) == 0) {
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    static struct rig rig;
    static struct tl_io_ops without_sync;
    static struct writer writers[ORACLE_SLOTS];
    if (argc < 6) {
        return 64;
    }
    uint64_t seed = rig_number("", argv[3]);
    unsigned slot = (unsigned)rig_number("", argv[4]);
    const char *kinds = argv[5];
    struct tally_ledger *ledger = NULL;
    struct tally_logger *logger = NULL;
    (void)alarm(LIFE_S);
    if (kinds[0] == 'a') {
        oracle_use_fast_clock();
    }
    if (has_word(argc, argv, "no-sync")) {
        without_sync = tl_io_posix;
        without_sync.fdatasync = do_not_sync;
        without_sync.fsync = do_not_sync;
        tl_io = &without_sync;
    }
    (void)snprintf(rig.ledger, sizeof(rig.ledger), "%s", argv[1]);
    rig.oracle = oracle_map(argv[2]);
    if (!rig_open(&rig, &ledger, kinds[0] == 'a' ? NULL : &logger)) {
        return 1;
    }
    for (unsigned i = 0; kinds[i] != '\0' && slot + i < ORACLE_SLOTS; i++) {
        const char *leisurely = strchr(slow_kinds, kinds[i]);
        char kind = kinds[i];
        uint64_t pause_us = PAUSE_US;
        if (leisurely != NULL) {
            kind = kinds_of_slow[leisurely - slow_kinds];
            pause_us *= LEISURE;
        }
        writers[i] = (struct writer){ .ledger = ledger,
                                      .logger = logger,
                                      .oracle = rig.oracle,
                                      .slot = slot + i,
                                      .kind = kind,
                                      .pause_us = pause_us,
                                      .random = seed + i,
                                      .ack_first = has_word(argc, argv, "ack-first") };
        if (pthread_create(&writers[i].thread, NULL, keep_writing, &writers[i]) != 0) {
            return 1;
        }
    }
    for (;;) {
        (void)pause();
    }
}
