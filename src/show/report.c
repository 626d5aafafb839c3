#include "show/show.h"

static const struct {
    enum tally_qualifier bit;
    const char *name;
} qualifiers[] = {
    { TALLY_QUALIFIER_UNANCHORED, "unanchored" },
    { TALLY_QUALIFIER_MAC_UNCHECKED, "mac_unchecked" },
    { TALLY_QUALIFIER_CONTENT_PART, "content_part" },
    { TALLY_QUALIFIER_PURGED, "purged" },
    { TALLY_QUALIFIER_ERASED, "erased" },
    { TALLY_QUALIFIER_WITHHELD, "withheld" },
    { TALLY_QUALIFIER_GAPS, "gaps" },
    { TALLY_QUALIFIER_RESTORED, "restored" },
    { TALLY_QUALIFIER_VOLATILE, "volatile" },
    { TALLY_QUALIFIER_INDEX_UNCHECKED, "index_unchecked" },
};

static void show_finding(struct tl_js *js, const struct tally_finding *finding)
{
    tl_js_open(js, NULL, '{');
    tl_js_text(js, "code", finding->code);
    tl_js_text(js, "weight", tally_weight_name(finding->weight));
    if (finding->has_seq) {
        tl_js_u64(js, "seq", finding->seq);
    }
    if (finding->id[0] != '\0') {
        tl_js_text(js, "id", finding->id);
    }
    tl_js_text(js, "what", finding->what);
    if (finding->expected[0] != '\0' || finding->actual[0] != '\0') {
        tl_js_text(js, "expected", finding->expected);
        tl_js_text(js, "actual", finding->actual);
    }
    tl_js_close(js, '}');
}

static void show_qualifiers(struct tl_js *js, uint32_t set)
{
    tl_js_open(js, "qualifiers", '[');
    for (size_t i = 0; i < TL_ARRAY_LEN(qualifiers); i++) {
        if ((set & (uint32_t)qualifiers[i].bit) != 0) {
            tl_js_text(js, NULL, qualifiers[i].name);
        }
    }
    tl_js_close(js, ']');
}

static void show_checkpoint(struct tl_js *js, const struct tally_report *report)
{
    if (report->size == 0) {
        tl_js_null(js, "checkpoint");
        return;
    }
    tl_js_open(js, "checkpoint", '{');
    tl_js_text(js, "origin", report->origin);
    tl_js_u64(js, "size", report->size);
    tl_js_time(js, "time", report->sealed_s * 1000000);
    tl_js_close(js, '}');
}

void tl_show_report(struct tl_js *js, const char *key, const struct tally_report *report)
{
    tl_js_open(js, key, '{');
    tl_js_text(js, "verdict", tally_verdict_name(report->verdict));
    tl_js_u64(js, "checked", report->checked);
    tl_js_u64(js, "expected", report->expected);
    tl_js_u64(js, "skipped", report->skipped);
    if (report->skipped > 0) {
        tl_js_text(js, "skipped_why", report->skipped_why);
    }
    tl_js_open(js, "findings", '[');
    for (size_t i = 0; i < report->finding_count; i++) {
        show_finding(js, &report->findings[i]);
    }
    tl_js_close(js, ']');
    show_qualifiers(js, report->qualifiers);
    show_checkpoint(js, report);
    tl_js_u64(js, "leaves", report->leaves);
    tl_js_u64(js, "contents", report->contents);
    tl_js_open(js, "counts", '{');
    tl_js_u64(js, "tampered", report->tampered);
    tl_js_u64(js, "unverifiable", report->unverifiable);
    tl_js_u64(js, "warnings", report->warnings);
    tl_js_u64(js, "notes", report->notes);
    tl_js_close(js, '}');
    tl_js_bool(js, "canceled", report->canceled != 0);
    tl_js_close(js, '}');
}
