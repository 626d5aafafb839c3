#include "cli/logging.h"

#include <inttypes.h>
#include <string.h>

#include "cli/source.h"

#define TIMEOUT_MS \
    30000u /* a person, or a script, rather waits than hears that it was not in time */

static const char *level_name(enum tally_level level)
{
    switch (level) {
    case TALLY_LEVEL_NONE:
        return "NONE";
    case TALLY_LEVEL_QUEUED:
        return "QUEUED";
    case TALLY_LEVEL_SYNCED:
        return "SYNCED";
    case TALLY_LEVEL_RECORDED:
        return "RECORDED";
    case TALLY_LEVEL_ANCHORED:
        return "ANCHORED";
    }
    return "NONE";
}

/* A strict event is waited for until it is recorded: who asks for less does not mean that. */
static enum tally_delivery delivery_of(const char *word, enum tally_level level)
{
    if (word == NULL) {
        return level == TALLY_LEVEL_RECORDED ? TALLY_DELIVERY_STRICT : TALLY_DELIVERY_DURABLE;
    }
    if (strcmp(word, "strict") == 0) {
        return TALLY_DELIVERY_STRICT;
    }
    return strcmp(word, "durable") == 0 ? TALLY_DELIVERY_DURABLE : TALLY_DELIVERY_BEST_EFFORT;
}

static enum tally_level level_of(const char *word)
{
    if (word == NULL || strcmp(word, "recorded") == 0) {
        return TALLY_LEVEL_RECORDED;
    }
    return strcmp(word, "synced") == 0 ? TALLY_LEVEL_SYNCED : TALLY_LEVEL_QUEUED;
}

/* Who does not wait for the record need not be told at once that the ledger takes none just now. */
enum tl_exit tl_logging_open(struct tl_logging *logging, struct tl_cli *cli,
                             const struct tl_args *args)
{
    uint64_t timeout_ms = tl_args_number(args, "timeout-ms", TIMEOUT_MS);
    if (timeout_ms == 0 || timeout_ms > 3600000) {
        return tl_cli_usage(cli, "option '--timeout-ms' takes a number from 1 to 3600000");
    }
    enum tally_level level = level_of(tl_args_value(args, "ack"));
    *logging = (struct tl_logging){ .cli = cli,
                                    .delivery = delivery_of(tl_args_value(args, "class"), level),
                                    .level = level,
                                    .timeout_ms = (uint32_t)timeout_ms };
    enum tl_exit exit_status = logging->level == TALLY_LEVEL_RECORDED
                                   ? tl_cli_open(cli, true, &logging->ledger)
                                   : tl_cli_open_unattended(cli, &logging->ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_logger_options options = TALLY_LOGGER_OPTIONS_INIT;
    options.delivery = logging->delivery;
    options.timeout_ms = logging->timeout_ms;
    return tally_logger_open(&logging->logger, logging->ledger, &options, &err) == TALLY_OK
               ? TL_EXIT_OK
               : tl_cli_fail(cli, &err);
}

void tl_logging_close(struct tl_logging *logging)
{
    if (logging->logger != NULL) {
        /* What is to be waited for was waited for. */
        tally_logger_close(logging->logger, 0, NULL);
    }
    tl_ledger_closep(&logging->ledger);
    *logging = (struct tl_logging){ .cli = NULL };
}

static tally_status print_receipt_row(const struct tl_cli *cli, const struct tally_receipt *receipt,
                                      struct tally_error *err)
{
    static const struct tl_column columns[] = {
        { "seq", true }, { "id", false }, { "level", false }, { "duplicate", false }
    };
    TL_CLEANUP(tl_table_release) struct tl_table table = { 0 };
    tl_table_init(&table, cli, columns, TL_ARRAY_LEN(columns));
    table.whole = true;
    if (receipt->level >= TALLY_LEVEL_RECORDED) {
        tl_table_u64(&table, receipt->seq);
    } else {
        tl_table_text(&table, ""); /* it has none yet */
    }
    tl_table_text(&table, receipt->id);
    tl_table_text(&table, level_name(receipt->level));
    tl_table_text(&table, (receipt->flags & (uint32_t)TALLY_RECEIPT_DUPLICATE) != 0 ? "yes" : "no");
    return tl_table_print(&table, err);
}

static tally_status print_receipt(const struct tl_cli *cli, const struct tally_receipt *receipt,
                                  const char *origin, struct tally_error *err)
{
    if (cli->view == TL_VIEW_TABLE || cli->view == TL_VIEW_CSV) {
        return print_receipt_row(cli, receipt, err);
    }
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "id", receipt->id);
    tl_js_text(&js, "level", level_name(receipt->level));
    if (receipt->level >= TALLY_LEVEL_RECORDED) {
        tl_js_u64(&js, "seq", receipt->seq);
    }
    tl_js_text(&js, "origin", origin);
    if (receipt->level >= TALLY_LEVEL_RECORDED) {
        tl_js_time(&js, "recorded_at", receipt->recorded_us);
        tl_js_hex(&js, "leaf_hash", receipt->leaf_hash, sizeof(receipt->leaf_hash));
    }
    tl_js_bool(&js, "duplicate", (receipt->flags & (uint32_t)TALLY_RECEIPT_DUPLICATE) != 0);
    if ((receipt->flags & (uint32_t)TALLY_RECEIPT_ID_GENERATED) != 0) {
        tl_js_bool(&js, "id_generated", true);
    }
    if ((receipt->flags & (uint32_t)TALLY_RECEIPT_TRIMMED) != 0) {
        tl_js_bool(&js, "trimmed", true);
    }
    tl_js_close(&js, '}');
    return tl_js_print(&js, stdout, err);
}

enum tl_exit tl_logging_one(struct tl_logging *logging, struct tl_str json)
{
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_receipt receipt = { 0 };
    struct tally_log_options options = TALLY_LOG_OPTIONS_INIT;
    options.delivery = logging->delivery;
    options.level = logging->level;
    options.timeout_ms = logging->timeout_ms;
    tally_status status =
        tally_log_text(logging->logger, json.text, json.len, &options, &receipt, &err);
    bool is_late = status == TALLY_EBUSY && receipt.level > TALLY_LEVEL_NONE;
    if (status != TALLY_OK && !is_late) {
        return tl_cli_fail(logging->cli, &err);
    }
    struct tally_error unprinted = TALLY_ERROR_INIT;
    if (print_receipt(logging->cli, &receipt, tally_origin(logging->ledger), &unprinted) !=
        TALLY_OK) {
        return tl_cli_fail(logging->cli, &unprinted);
    }
    if (is_late) {
        tl_cli_warn(logging->cli,
                    "it is in the spool, but did not become %s in %" PRIu32 " ms; it is not lost: "
                    "whoever next has the ledger open for writing records it",
                    level_name(logging->level), logging->timeout_ms);
    }
    return is_late ? TL_EXIT_INCOMPLETE : TL_EXIT_OK;
}

/* What became of the lines. */
struct outcome {
    uint64_t read;
    uint64_t accepted; /* in the spool, or recorded */
    uint64_t already;
    uint64_t disabled;
    uint64_t refused; /* conflicts among them */
    uint64_t lost;
    uint64_t late;
};

static void tell(const struct tl_logging *logging, uint64_t line, const struct tally_error *why)
{
    const char *message = why->message[0] != '\0' ? why->message : tally_status_name(why->status);
    tl_cli_warn(logging->cli, "line %" PRIu64 ": %s%s%s%s", line, message,
                why->code[0] == '\0' ? "" : " (", why->code, why->code[0] == '\0' ? "" : ")");
}

static void count(struct outcome *outcome, tally_status status, const struct tally_receipt *receipt)
{
    bool is_late = status == TALLY_EBUSY && receipt->level > TALLY_LEVEL_NONE;
    outcome->read++;
    if (status == TALLY_OK || is_late) {
        bool already = (receipt->flags & (uint32_t)TALLY_RECEIPT_DUPLICATE) != 0;
        outcome->accepted++;
        outcome->already += already ? 1 : 0;
        outcome->late += is_late ? 1 : 0;
    } else if (status == TALLY_EDISABLED) {
        outcome->disabled++;
    } else if (status == TALLY_EREFUSED || status == TALLY_ECONFLICT || status == TALLY_EINVAL) {
        outcome->refused++;
    } else {
        outcome->lost++;
    }
}

/* Strict events are waited for one by one, others all at once at the end. */
static void log_line(const struct tl_logging *logging, struct outcome *outcome, struct tl_str line,
                     uint64_t number)
{
    struct tally_error why = TALLY_ERROR_INIT;
    struct tally_receipt receipt = { 0 };
    struct tally_log_options options = TALLY_LOG_OPTIONS_INIT;
    options.delivery = logging->delivery;
    options.timeout_ms = logging->timeout_ms;
    options.level = logging->delivery == TALLY_DELIVERY_STRICT ? logging->level : TALLY_LEVEL_NONE;
    tally_status status =
        tally_log_text(logging->logger, line.text, line.len, &options, &receipt, &why);
    count(outcome, status, &receipt);
    if (status != TALLY_OK && status != TALLY_EDISABLED) {
        tell(logging, number, &why);
    }
}

static bool is_blank(struct tl_str line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (strchr(" \t\r", line.text[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static tally_status stay_idle(void *ctx, struct tally_error *err)
{
    (void)ctx;
    (void)err;
    return TALLY_OK; /* what was logged is on its way already */
}

/* TALLY_ENOTFOUND at the end. */
static tally_status read_lines(const struct tl_logging *logging, struct outcome *outcome,
                               struct tl_source *source, struct tally_error *err)
{
    for (;;) {
        struct tl_str line;
        uint64_t number = 0;
        struct tally_error why = TALLY_ERROR_INIT;
        tally_status status = tl_source_line(source, &line, &number, &why);
        if (status == TALLY_ELIMIT) {
            outcome->read++;
            outcome->refused++;
            tell(logging, number, &why);
        } else if (status != TALLY_OK) {
            *err = why;
            return status;
        } else if (!is_blank(line)) {
            log_line(logging, outcome, line, number);
        }
    }
}

static tally_status print_outcome(const struct tl_cli *cli, const struct outcome *outcome,
                                  uint64_t left, enum tally_level level, struct tally_error *err)
{
    if (cli->view == TL_VIEW_JSON || cli->view == TL_VIEW_NDJSON) {
        TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
        tl_js_init(&js);
        tl_js_open(&js, NULL, '{');
        tl_js_u64(&js, "read", outcome->read);
        tl_js_u64(&js, "accepted", outcome->accepted);
        tl_js_u64(&js, "already", outcome->already);
        tl_js_u64(&js, "disabled", outcome->disabled);
        tl_js_u64(&js, "refused", outcome->refused);
        tl_js_u64(&js, "lost", outcome->lost);
        tl_js_u64(&js, "late", outcome->late);
        tl_js_text(&js, "level", level_name(level));
        tl_js_close(&js, '}');
        return tl_js_print(&js, stdout, err);
    }
    printf("%" PRIu64 " read, %" PRIu64 " accepted (%s), %" PRIu64
           " not recorded by policy, %" PRIu64 " refused, %" PRIu64 " lost\n",
           outcome->read, outcome->accepted, level_name(level), outcome->disabled, outcome->refused,
           outcome->lost);
    if (left > 0) {
        tl_cli_warn(cli,
                    "%" PRIu64 " events are still in the spool; they are not lost: whoever next "
                    "has the ledger open for writing records them",
                    left);
    }
    return TALLY_OK;
}

/* Waits for the level that was asked for; gives the one that was reached. */
static enum tally_level wait_for_level(const struct tl_logging *logging, struct outcome *outcome,
                                       struct tally_left *left)
{
    enum tally_level level =
        logging->delivery == TALLY_DELIVERY_STRICT ? logging->level : TALLY_LEVEL_QUEUED;
    if (level >= logging->level) {
        return outcome->late == 0 ? level : TALLY_LEVEL_QUEUED;
    }
    struct tally_error err = TALLY_ERROR_INIT;
    left->struct_size = sizeof(*left);
    if (tally_flush(logging->logger, logging->level, logging->timeout_ms, left, &err) == TALLY_OK) {
        return logging->level;
    }
    tl_cli_warn(logging->cli, "%s", err.message);
    outcome->late += logging->level == TALLY_LEVEL_SYNCED ? left->unsynced : left->events;
    return TALLY_LEVEL_QUEUED;
}

enum tl_exit tl_logging_stdin(struct tl_logging *logging)
{
    struct tally_error err = TALLY_ERROR_INIT;
    struct outcome outcome = { .read = 0 };
    struct tally_left left = { .events = 0 };
    struct tl_source source = { .fd = -1 };
    tl_stop_install();
    tally_status status = tl_source_open(&source, "-", &err);
    if (status == TALLY_OK) {
        source.on_idle = stay_idle;
        status = read_lines(logging, &outcome, &source, &err);
        tl_source_close(&source);
    }
    enum tally_level level = wait_for_level(logging, &outcome, &left);
    struct tally_error unprinted = TALLY_ERROR_INIT;
    if (print_outcome(logging->cli, &outcome, left.events, level, &unprinted) != TALLY_OK) {
        return tl_cli_fail(logging->cli, &unprinted);
    }
    if (status != TALLY_ENOTFOUND && status != TALLY_ECANCELED) {
        return tl_cli_fail(logging->cli, &err);
    }
    bool complete = status == TALLY_ENOTFOUND && outcome.refused == 0 && outcome.lost == 0 &&
                    outcome.late == 0 && level >= logging->level;
    return complete ? TL_EXIT_OK : TL_EXIT_INCOMPLETE;
}
