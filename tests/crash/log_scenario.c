/*
 * log_scenario LEDGER ORACLE - the whole life of a logger, in one thread, to be killed at each call.
 *
 * Opens a ledger and a logger, logs 20 events at every level, with fillers between them that fill
 * several segments, flushes and closes. What was acknowledged is noted in the oracle, and lies in
 * slot 0. Exit status 0 if all went well.
 */
#include <tally/tally.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "crash/rig.h"

#define EVENTS     20u
#define FILL       120000u
#define TIMEOUT_MS 10000u
#define LIFE_S     30

static bool log_text(struct tally_logger *logger, const char *text, size_t len, uint64_t n)
{
    struct tally_log_options options = TALLY_LOG_OPTIONS_INIT;
    struct tally_error error = TALLY_ERROR_INIT;
    options.timeout_ms = TIMEOUT_MS;
    options.level = n % 4 == 0 ? TALLY_LEVEL_SYNCED : TALLY_LEVEL_NONE;
    options.delivery = n % 5 == 0 ? TALLY_DELIVERY_STRICT : TALLY_DELIVERY_DURABLE;
    return tally_log_text(logger, text, len, &options, NULL, &error) == TALLY_OK ||
           rig_complain("log_scenario", error.message);
}

static bool log_filler(struct tally_logger *logger, uint64_t n)
{
    static char text[FILL + 256];
    static char fill[FILL + 1];
    memset(fill, 'f', FILL);
    int len = snprintf(text, sizeof(text),
                       "{\"action\":\"crash.filler\",\"id\":\"filler/%llu\","
                       "\"metadata\":{\"fill\":\"%s\"},\"occurred_at\":\"2026-01-01T00:00:00Z\"}",
                       (unsigned long long)n, fill);
    return log_text(logger, text, (size_t)len, 1);
}

static bool log_all(struct tally_logger *logger, struct oracle *oracle)
{
    for (uint64_t n = 1; n <= EVENTS; n++) {
        size_t len = 0;
        TL_CLEANUP(tl_freep) char *text = oracle_text(0, n, &len);
        atomic_store(&oracle->slots[0].started, n);
        if (!log_text(logger, text, len, n)) {
            return false;
        }
        atomic_store(&oracle->slots[0].acked, n);
        if (!log_filler(logger, n)) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct rig rig;
    if (argc != 3) {
        return 64;
    }
    (void)alarm(LIFE_S);
    (void)snprintf(rig.ledger, sizeof(rig.ledger), "%s", argv[1]);
    rig.oracle = oracle_map(argv[2]);
    struct tally_ledger *ledger = NULL;
    struct tally_logger *logger = NULL;
    if (!rig_open(&rig, &ledger, &logger)) {
        return 1;
    }
    struct tally_left left = { .struct_size = sizeof(left) };
    bool good = log_all(logger, rig.oracle) &&
                tally_flush(logger, TALLY_LEVEL_RECORDED, TIMEOUT_MS, NULL, NULL) == TALLY_OK;
    tally_logger_close(logger, TIMEOUT_MS, &left);
    tally_close(ledger);
    return good && left.events == 0 && left.lost == 0 ? 0 : 1;
}
