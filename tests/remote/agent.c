/*
 * agent URL CLASS PREFIX FIRST COUNT TIMEOUT_MS - logs to a remote ledger, to be killed at any moment.
 *
 * Logs COUNT events with the ids PREFIX-FIRST and on. Classes: q durable, y durable and synced, s strict,
 * b best effort. After each call it prints a line "N STATUS SEQ"; at the end, after a flush of at most
 * TIMEOUT_MS, "left EVENTS LOST". The environment has SPOOL, where tally.yaml may be, and TOKEN.
 */
#include <tally/tally.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

struct agent {
    char class;
    const char *prefix;
    uint32_t timeout_ms;
    struct tally_ledger *ledger;
    struct tally_logger *logger;
};

static int open_all(struct agent *agent, const char *url)
{
    const struct tally_setting settings[] = {
        { "remote.spool", getenv("SPOOL"), "test" },
        { "remote.token_file", getenv("TOKEN"), "test" },
    };
    struct tally_options options = TALLY_OPTIONS_INIT;
    struct tally_error error = TALLY_ERROR_INIT;
    options.uri = url;
    options.settings = settings;
    options.setting_count = 2;
    options.writable = 1;
    if (tally_open(&agent->ledger, &options, &error) != TALLY_OK ||
        tally_logger_open(&agent->logger, agent->ledger, NULL, &error) != TALLY_OK) {
        (void)fprintf(stderr, "agent: %s\n", error.message);
        return 0;
    }
    return 1;
}

static void log_one(const struct agent *agent, uint64_t n)
{
    char text[256];
    struct tally_receipt receipt = { .seq = 0 };
    struct tally_error error = TALLY_ERROR_INIT;
    struct tally_log_options options = TALLY_LOG_OPTIONS_INIT;
    options.timeout_ms = agent->timeout_ms;
    options.delivery = agent->class == 's'   ? TALLY_DELIVERY_STRICT
                       : agent->class == 'b' ? TALLY_DELIVERY_BEST_EFFORT
                                             : TALLY_DELIVERY_DURABLE;
    options.level = agent->class == 'y' ? TALLY_LEVEL_SYNCED : TALLY_LEVEL_NONE;
    int len = snprintf(text, sizeof(text),
                       "{\"action\":\"remote.test\",\"id\":\"%s-%" PRIu64
                       "\",\"actor\":{\"type\":\"user\",\"id\":\"u1\"}}",
                       agent->prefix, n);
    tally_status status =
        tally_log_text(agent->logger, text, (size_t)len, &options, &receipt, &error);
    printf("%" PRIu64 " %s %" PRIu64 "\n", n, tally_status_name(status), receipt.seq);
    (void)fflush(stdout);
}

/* 0 for what is none. */
static uint64_t number_of(const char *text)
{
    uint64_t value = 0;
    (void)tl_parse_u64(text, strlen(text), UINT32_MAX, &value);
    return value;
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        return 3;
    }
    struct agent agent = { .class = argv[2][0],
                           .prefix = argv[3],
                           .timeout_ms = (uint32_t)number_of(argv[6]) };
    uint64_t first = number_of(argv[4]);
    uint64_t count = number_of(argv[5]);
    if (!open_all(&agent, argv[1])) {
        return 1;
    }
    for (uint64_t n = first; n < first + count; n++) {
        log_one(&agent, n);
    }
    struct tally_left left = { .struct_size = sizeof(left) };
    tally_logger_close(agent.logger, agent.timeout_ms, &left);
    tally_close(agent.ledger);
    printf("left %" PRIu64 " %" PRIu64 "\n", left.events, left.lost);
    return 0;
}
