#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/out.h"
#include "cli/records.h"

#define POLL_MS 500

static const struct tl_opt opts[] = {
    { "lines", 'n', "N", "how many of the newest records to begin with, at most 1000; 10" },
    { "follow", 'f', NULL, "go on with each record that is added, until SIGINT" },
    { 0 },
};

struct tail {
    struct tally_ledger *ledger;
    struct tl_records records;
    struct tally_query query;
    struct tally_condition *seq_from; /* the last condition of `query` */
    uint64_t next;                    /* records from here on are not printed yet */
};

static tally_status print_page(struct tail *tail, const struct tally_page *page, bool reversed,
                               struct tally_error *err)
{
    for (size_t i = 0; i < page->count; i++) {
        const struct tally_item *item = &page->items[reversed ? page->count - 1 - i : i];
        TL_TRY(tl_records_add(&tail->records, item, err));
        tail->next = item->seq >= tail->next ? item->seq + 1 : tail->next;
    }
    if (!page->complete) {
        return tl_fail(err, TALLY_ECORRUPT, "%s",
                       page->problem == NULL ? "a record cannot be read" : page->problem);
    }
    return tl_records_print(&tail->records, err);
}

static tally_status print_newest(struct tail *tail, uint32_t count, struct tally_error *err)
{
    struct tally_info info;
    TL_TRY(tally_info(tail->ledger, &info, err));
    tail->next = info.size;
    tail->query.limit = count;
    TL_CLEANUP(tl_page_freep) struct tally_page *page = NULL;
    TL_TRY(tally_find(tail->ledger, &tail->query, &page, err));
    return print_page(tail, page, true, err);
}

/* Prints what came since the last look. */
static tally_status print_new(struct tail *tail, struct tally_error *err)
{
    struct tally_info info;
    TL_TRY(tally_info(tail->ledger, &info, err));
    if (info.size <= tail->next) {
        return TALLY_OK;
    }
    char seq[24];
    (void)snprintf(seq, sizeof(seq), "%" PRIu64, tail->next);
    *tail->seq_from = (struct tally_condition){ "seq_from", seq };
    struct tally_query query = tail->query;
    query.condition_count++;
    query.limit = 1000;
    query.ascending = 1;
    TL_CLEANUP(tl_page_freep) struct tally_page *page = NULL;
    TL_TRY(tally_find(tail->ledger, &query, &page, err));
    bool is_last = page->next == NULL;
    TL_TRY(print_page(tail, page, false, err));
    tail->next = is_last && info.size > tail->next ? info.size : tail->next;
    return TALLY_OK;
}

static tally_status follow(struct tail *tail, struct tally_error *err)
{
    tl_stop_install();
    while (!tl_stopped() && ferror(stdout) == 0) {
        TL_TRY(print_new(tail, err));
        (void)poll(NULL, 0, POLL_MS); /* a signal may cut it short */
    }
    return TALLY_OK;
}

static void release(struct tail *tail)
{
    tl_records_release(&tail->records);
    tl_ledger_closep(&tail->ledger);
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    struct tally_error err = TALLY_ERROR_INIT;
    uint64_t count = tl_args_number(args, "lines", 10);
    if (count == 0 || count > 1000) {
        return tl_cli_usage(cli, "option '--lines' takes a number from 1 to 1000");
    }
    if (tl_args_has(args, "follow") && tl_args_has(args, "seq-from")) {
        return tl_cli_usage(cli, "options '--follow' and '--seq-from' exclude each other");
    }
    TL_CLEANUP(tl_query_args_release) struct tl_query_args conditions = { 0 };
    if (tl_query_args_read(&conditions, args, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    TL_CLEANUP(tl_freep)
    struct tally_condition *all = tl_alloc_array(conditions.count + 1, sizeof(all[0]));
    if (all == NULL) {
        (void)tl_fail(&err, TALLY_ENOMEM, "out of memory"); /* told below */
        return tl_cli_fail(cli, &err);
    }
    if (conditions.count > 0) {
        memcpy(all, conditions.conditions, conditions.count * sizeof(all[0]));
    }
    TL_CLEANUP(release) struct tail tail = { .query = TALLY_QUERY_INIT };
    tl_records_init(&tail.records, cli);
    tail.query.conditions = all;
    tail.query.condition_count = conditions.count;
    tail.seq_from = &all[conditions.count];
    enum tl_exit exit_status = tl_cli_open(cli, false, &tail.ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    tally_status status = print_newest(&tail, (uint32_t)count, &err);
    if (status == TALLY_OK && tl_args_has(args, "follow")) {
        status = follow(&tail, &err);
    }
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}

const struct tl_cmd tl_cmd_tail = {
    .name = "tail",
    .summary = "show the newest records, and those to come",
    .arguments = "",
    .about = "With --json each record is a line of JSON.\n",
    .examples = "tally tail -n 20\n"
                "tally tail -f --severity-min high\n",
    .opts = opts,
    .takes_filters = true,
    .run = run,
};
