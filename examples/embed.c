/*
 * embed.c - a program that keeps its own audit log.
 *
 * usage: embed LEDGER   a directory that `tally init` made, or "memory:1000"
 */
#include <stdio.h>
#include <string.h>

#include <tally/tally.h>

static const char event[] =
    "{\"action\":\"invoice.approve\",\"actor\":{\"type\":\"user\",\"id\":\"user-42\"},"
    "\"targets\":[{\"type\":\"Invoice\",\"id\":\"INV-7\"}]}";

/* Appends, finds and verifies; the answer of the verification is in *report_out. */
static tally_status work(struct tally_ledger *ledger, struct tally_report **report_out,
                         struct tally_error *err)
{
    struct tally_receipt receipt;
    tally_status status = tally_append(ledger, event, strlen(event), &receipt, err);
    if (status != TALLY_OK) {
        return status;
    }
    struct tally_condition condition = { "action", "invoice.*" };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = &condition;
    query.condition_count = 1;
    struct tally_page *page = NULL;
    status = tally_find(ledger, &query, &page, err);
    for (size_t i = 0; status == TALLY_OK && i < page->count; i++) {
        printf("%s\n", page->items[i].line);
    }
    tally_page_free(page);
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    return status == TALLY_OK ? tally_verify(ledger, &options, report_out, err) : status;
}

int main(int argc, char *argv[])
{
    struct tally_options options = TALLY_OPTIONS_INIT;
    options.uri = argc == 2 ? argv[1] : "memory:1000";
    options.writable = 1;
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_ledger *ledger = NULL;
    struct tally_report *report = NULL;
    tally_status status = tally_open(&ledger, &options, &err);
    if (status == TALLY_OK) {
        status = work(ledger, &report, &err);
    }
    int bad = status != TALLY_OK || report->verdict != TALLY_VERDICT_VERIFIED;
    (void)fprintf(stderr, "embed: %s\n",
                  status != TALLY_OK ? err.message : tally_verdict_name(report->verdict));
    tally_report_free(report);
    tally_close(ledger);
    return bad;
}
