#include "support/expect.h"

#include <string.h>

#include "check.h"

struct mk expect_mk;
struct tl_verify_input expect_input;
struct tally_verify_options expect_options;
struct tl_str expect_remembered[1];

int expect_set_up(void **state)
{
    (void)state;
    mk_init(&expect_mk, MK_ORIGIN, 1);
    expect_options = (struct tally_verify_options)TALLY_VERIFY_OPTIONS_INIT;
    expect_input = (struct tl_verify_input){
        .store = &expect_mk.image.store,
        .trust = expect_mk.trust,
        .mac_key = expect_mk.k0,
        .now_s = NOW_S,
        .options = &expect_options,
    };
    return 0;
}

int expect_tear_down(void **state)
{
    (void)state;
    mk_release(&expect_mk);
    return 0;
}

struct tally_report *expect_report(void)
{
    struct tally_report *report = NULL;
    check_ok(tl_verify(&expect_input, &report, NULL));
    return report;
}

void expect_print(const struct tally_report *report)
{
    print_message("%s checked %llu of %llu\n", tally_verdict_name(report->verdict),
                  (unsigned long long)report->checked, (unsigned long long)report->expected);
    for (size_t i = 0; i < report->finding_count; i++) {
        const struct tally_finding *finding = &report->findings[i];
        print_message("  %s %lld: %s [%s] [%s]\n", finding->code,
                      finding->has_seq != 0 ? (long long)finding->seq : -1LL, finding->what,
                      finding->expected, finding->actual);
    }
}

void expect_at(const char *code, uint64_t seq, enum tally_verdict verdict, int line)
{
    struct tally_report *report = expect_report();
    size_t count = 0;
    bool found = false;
    for (size_t i = 0; i < report->finding_count; i++) {
        const struct tally_finding *finding = &report->findings[i];
        found = found || (strcmp(finding->code, code) == 0 &&
                          (finding->has_seq != 0 ? finding->seq : NO_SEQ) == seq);
        count += finding->weight != TALLY_WEIGHT_NOTE && strcmp(finding->code, code) != 0;
    }
    if (!found || count > 0 || report->verdict != verdict) {
        print_message("line %d wants %s alone\n", line, code);
        expect_print(report);
        fail();
    }
    tally_report_free(report);
}

void expect_among(const char *code, uint64_t seq)
{
    struct tally_report *report = expect_report();
    bool found = false;
    for (size_t i = 0; i < report->finding_count; i++) {
        const struct tally_finding *finding = &report->findings[i];
        found = found || (strcmp(finding->code, code) == 0 &&
                          (finding->has_seq != 0 ? finding->seq : NO_SEQ) == seq);
    }
    if (!found || report->verdict != TALLY_VERDICT_TAMPERED) {
        print_message("wants %s\n", code);
        expect_print(report);
        fail();
    }
    tally_report_free(report);
}

void expect_verified_at(int line)
{
    struct tally_report *report = expect_report();
    if (report->verdict != TALLY_VERDICT_VERIFIED || report->warnings != 0) {
        print_message("line %d\n", line);
        expect_print(report);
        fail();
    }
    tally_report_free(report);
}

void expect_make_two_epochs(void)
{
    mk_events(&expect_mk, 9);
    mk_switch(&expect_mk, 1);
    mk_events(&expect_mk, 10);
    mk_control(&expect_mk, TL_LEAF_RESUME, "{\"clean\":true,\"size\":21,\"tail_bytes\":0}");
    mk_events(&expect_mk, 10);
}

struct image_record *expect_record(size_t seq)
{
    return &expect_mk.image.records[seq];
}

void expect_remember_newest(struct mk *from)
{
    const struct image_bytes *note =
        &from->image.checkpoints[from->image.checkpoint_count - 1].note;
    expect_remembered[0] = (struct tl_str){ .text = (const char *)note->data, .len = note->len };
    expect_input.remembered = expect_remembered;
    expect_input.remembered_count = 1;
}
