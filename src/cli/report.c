#include "cli/report.h"

#include <inttypes.h>
#include <string.h>

#include "cli/out.h"
#include "codec/time.h"
#include "show/show.h"

/* Rows of findings that a person is shown; --json has them all. */
#define FINDINGS_SHOWN 50u

static const struct {
    enum tally_qualifier bit;
    const char *meaning;
} qualifiers[] = {
    { TALLY_QUALIFIER_UNANCHORED,
      "nothing remembered elsewhere was compared: the newest records could have been cut off, or "
      "the whole ledger replaced. Keep checkpoints elsewhere and give one with --against." },
    { TALLY_QUALIFIER_MAC_UNCHECKED,
      "the MACs were not checked: give the secret of 'tally init' with --mac-key." },
    { TALLY_QUALIFIER_CONTENT_PART, "only part of the contents was compared with the evidence." },
    { TALLY_QUALIFIER_PURGED, "contents were purged, and that is on record." },
    { TALLY_QUALIFIER_ERASED, "contents were erased, and that is on record." },
    { TALLY_QUALIFIER_WITHHELD, "contents are not here to be compared." },
    { TALLY_QUALIFIER_GAPS, "the ledger itself declares that events were lost." },
    { TALLY_QUALIFIER_RESTORED, "the ledger was restored from a copy." },
    { TALLY_QUALIFIER_VOLATILE, "the ledger is in memory and ends with its process." },
    { TALLY_QUALIFIER_INDEX_UNCHECKED,
      "the search index was not compared, or not all of it: a search could leave records out." },
};

static enum tl_style style_of(enum tally_verdict verdict)
{
    return verdict == TALLY_VERDICT_VERIFIED   ? TL_STYLE_GOOD
           : verdict == TALLY_VERDICT_TAMPERED ? TL_STYLE_BAD
                                               : TL_STYLE_WARN;
}

static enum tl_style style_of_weight(enum tally_weight weight)
{
    return weight == TALLY_WEIGHT_TAMPERED ? TL_STYLE_BAD
           : weight == TALLY_WEIGHT_NOTE   ? TL_STYLE_PLAIN
                                           : TL_STYLE_WARN;
}

static tally_status print_findings(const struct tl_cli *cli, const struct tally_report *report,
                                   struct tally_error *err)
{
    static const struct tl_column columns[] = {
        { "weight", false }, { "code", false },     { "seq", true },     { "id", false },
        { "what", false },   { "expected", false }, { "actual", false },
    };
    TL_CLEANUP(tl_table_release) struct tl_table table = { 0 };
    tl_table_init(&table, cli, columns, TL_ARRAY_LEN(columns));
    table.whole = true;
    bool all = cli->view == TL_VIEW_CSV || !cli->terminal_out;
    for (size_t i = 0; i < report->finding_count && (all || i < FINDINGS_SHOWN); i++) {
        const struct tally_finding *finding = &report->findings[i];
        tl_table_cell(&table, tl_str_of(tally_weight_name(finding->weight)),
                      style_of_weight(finding->weight));
        tl_table_text(&table, finding->code);
        if (finding->has_seq) {
            tl_table_u64(&table, finding->seq);
        } else {
            tl_table_text(&table, "");
        }
        tl_table_text(&table, finding->id);
        tl_table_text(&table, finding->what);
        tl_table_text(&table, finding->expected);
        tl_table_text(&table, finding->actual);
    }
    return tl_table_print(&table, err);
}

static void print_coverage(const struct tally_report *report)
{
    char time[TL_TIME_SIZE] = "";
    if (report->sealed_s > 0 && report->sealed_s <= TL_TIME_US_MAX / 1000000) {
        (void)tl_time_format(time, report->sealed_s * 1000000); /* "" if it has no text */
    }
    printf("checked     %" PRIu64 " of %" PRIu64 " records", report->checked, report->expected);
    if (report->skipped > 0) {
        printf(", %" PRIu64 " skipped: ", report->skipped);
        tl_print_text(stdout, tl_str_of(report->skipped_why == NULL ? "" : report->skipped_why));
    }
    printf("\nevidence    %" PRIu64 " leaves, %" PRIu64 " contents compared\n", report->leaves,
           report->contents);
    printf("checkpoint  ");
    if (report->size > 0) {
        tl_print_text(stdout, tl_str_of(report->origin));
        printf(", %" PRIu64 " leaves, sealed %s\n", report->size, time);
    } else {
        printf("none was verified\n");
    }
    printf("findings    %" PRIu64 " tampered, %" PRIu64 " unverifiable, %" PRIu64
           " warnings, %" PRIu64 " notes\n",
           report->tampered, report->unverifiable, report->warnings, report->notes);
}

static void print_next_steps(const struct tally_report *report)
{
    if (report->canceled) {
        printf("\nIt was stopped before the end: run it again for a verdict.\n");
    }
    switch (report->verdict) {
    case TALLY_VERDICT_TAMPERED:
        printf(
            "\nWhat to do: stop writing to this ledger, copy its directory as it is, and compare\n"
            "the copy with a backup and with checkpoints kept elsewhere. 'tally get SEQ' shows\n"
            "what is there now. Nothing here repairs a ledger: the damage is evidence.\n");
        break;
    case TALLY_VERDICT_UNVERIFIABLE:
    case TALLY_VERDICT_UNKNOWN:
        printf(
            "\nThis is not an all-clear: something that is needed to tell is missing or could not\n"
            "be read. The findings name it; 'tally doctor' looks at files and permissions.\n");
        break;
    case TALLY_VERDICT_VERIFIED:
        break;
    }
}

tally_status tl_report_print(const struct tl_cli *cli, const struct tally_report *report,
                             struct tally_error *err)
{
    if (cli->view == TL_VIEW_CSV) {
        return print_findings(cli, report, err);
    }
    tl_print_styled(cli, style_of(report->verdict), tally_verdict_name(report->verdict));
    printf("\n\n");
    if (report->finding_count > 0) {
        TL_TRY(print_findings(cli, report, err));
        if (cli->terminal_out && report->finding_count > FINDINGS_SHOWN) {
            printf("... %zu more: --json lists them\n", report->finding_count - FINDINGS_SHOWN);
        }
        printf("\n");
    }
    print_coverage(report);
    for (size_t i = 0; i < TL_ARRAY_LEN(qualifiers); i++) {
        if ((report->qualifiers & (uint32_t)qualifiers[i].bit) != 0) {
            printf("%-10s  %s\n", "note", qualifiers[i].meaning);
        }
    }
    print_next_steps(report);
    return TALLY_OK;
}

tally_status tl_report_print_json(const struct tally_report *report, struct tally_error *err)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_show_report(&js, NULL, report);
    return tl_js_print(&js, stdout, err);
}
