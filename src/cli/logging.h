/*
 * cli/logging.h - what `tally log` does with its events: hands them to a logger, and says what
 * became of them.
 */
#ifndef TL_CLI_LOGGING_H
#define TL_CLI_LOGGING_H

#include "cli/cli.h"
#include "cli/out.h"

/* Confined to one thread. tl_logging_open(), tl_logging_close(). */
struct tl_logging {
    struct tl_cli *cli;
    struct tally_ledger *ledger;
    struct tally_logger *logger;
    enum tally_delivery delivery;
    enum tally_level level; /* to wait for */
    uint32_t timeout_ms;
};

/* Reads --class, --ack and --timeout-ms, and opens ledger and logger. Failures are told. */
enum tl_exit tl_logging_open(struct tl_logging *logging, struct tl_cli *cli,
                             const struct tl_args *args);
void tl_logging_close(struct tl_logging *logging);

/* Logs one event and prints its receipt. */
enum tl_exit tl_logging_one(struct tl_logging *logging, struct tl_str json);

/* Logs one event for each line of stdin, and prints how many became what. */
enum tl_exit tl_logging_stdin(struct tl_logging *logging);

#endif /* TL_CLI_LOGGING_H */
