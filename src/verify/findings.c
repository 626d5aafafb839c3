#include "verify/findings.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

#define NOTES_MAX 200u

#define CODE(name, weight) [TL_##name] = { #name, TALLY_WEIGHT_##weight }

static const struct {
    const char *name;
    enum tally_weight weight;
} codes[TL_CODE_COUNT] = {
    CODE(CHECKPOINT_MALFORMED, TAMPERED),
    CODE(SIGNATURE_INVALID, TAMPERED),
    CODE(EPOCH_SIGNATURE_INVALID, TAMPERED),
    CODE(CHECKPOINT_MISSING, UNVERIFIABLE),
    CODE(ORIGIN_MISMATCH, UNVERIFIABLE),
    CODE(KEY_UNKNOWN, UNVERIFIABLE),
    CODE(WITNESS_QUORUM, UNVERIFIABLE),
    CODE(CHECKPOINT_STALE, UNVERIFIABLE),
    CODE(CHECKPOINT_FUTURE, WARNING),
    CODE(ROLLBACK, TAMPERED),
    CODE(FORK, TAMPERED),
    CODE(HISTORY_REWRITTEN, TAMPERED),
    CODE(ROLLBACK_DECLARED, WARNING),
    CODE(TRUNCATED, TAMPERED),
    CODE(LEAF_MISSING, TAMPERED),
    CODE(LEAF_EXTRA, TAMPERED),
    CODE(LEAF_MALFORMED, TAMPERED),
    CODE(LEAF_INVALID, TAMPERED),
    CODE(LEAF_MODIFIED, TAMPERED),
    CODE(SEQ_MISMATCH, TAMPERED),
    CODE(TIME_REGRESSION, TAMPERED),
    CODE(DUPLICATE_ID, TAMPERED),
    CODE(RETENTION_MISMATCH, TAMPERED),
    CODE(ROOT_MISMATCH, TAMPERED),
    CODE(TILE_MISMATCH, TAMPERED),
    CODE(TILE_MISSING, UNVERIFIABLE),
    CODE(CONTROL_MODIFIED, TAMPERED),
    CODE(CONTROL_INVALID, TAMPERED),
    CODE(APPROVAL_INVALID, TAMPERED),
    CODE(APPROVAL_UNCHECKED, UNVERIFIABLE),
    CODE(PURGE_INVALID, TAMPERED),
    CODE(PURGE_OVERRIDE, WARNING),
    CODE(PURGE_COUNT, WARNING),
    CODE(RESTORED, WARNING),
    CODE(GAP, NOTE),
    CODE(GENESIS_MISMATCH, TAMPERED),
    CODE(KEY_CHANGE_INVALID, TAMPERED),
    CODE(EPOCH_MISMATCH, TAMPERED),
    CODE(EPOCH_INVALID, TAMPERED),
    CODE(EPOCH_SEAL_MISSING, TAMPERED),
    CODE(EPOCH_SEAL_INVALID, TAMPERED),
    CODE(EPOCH_UNPINNED, UNVERIFIABLE),
    CODE(MAC_MISMATCH, TAMPERED),
    CODE(MAC_KEY_UNKNOWN, UNVERIFIABLE),
    CODE(CONTENT_MODIFIED, TAMPERED),
    CODE(CONTENT_MISSING, TAMPERED),
    CODE(PURGE_EARLY, TAMPERED),
    CODE(MEMBER_MISSING, TAMPERED),
    CODE(RECORD_MALFORMED, TAMPERED),
    CODE(ID_MISMATCH, TAMPERED),
    CODE(ERASABLE_MISMATCH, TAMPERED),
    CODE(HOLD_VIOLATED, TAMPERED),
    CODE(NON_CANONICAL, WARNING),
    CODE(PURGE_INCOMPLETE, WARNING),
    CODE(ERASE_INCOMPLETE, WARNING),
    CODE(PURGED, NOTE),
    CODE(ERASED, NOTE),
    CODE(WITHHELD, NOTE),
    CODE(EVICTED, NOTE),
    CODE(ROW_INSERTED, TAMPERED),
    CODE(INDEX_MISMATCH, TAMPERED),
    CODE(HEAD_MISMATCH, TAMPERED),
    CODE(ANCHOR_INVALID, TAMPERED),
    CODE(ANCHOR_MISSING, WARNING),
    CODE(STORE_ERROR, UNVERIFIABLE),
    CODE(CHECK_FAILED, UNVERIFIABLE),
};

tally_status tl_findings_init(struct tl_findings *findings,
                              const struct tally_verify_options *options, struct tally_error *err)
{
    memset(findings, 0, sizeof(*findings));
    findings->on_finding = options->on_finding;
    findings->ctx = options->ctx;
    findings->id_seq = TALLY_SEQ_NONE;
    findings->report = tl_alloc_array(1, sizeof(struct tally_report));
    if (findings->report == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a report");
    }
    findings->report->skipped_why = "";
    return TALLY_OK;
}

void tl_findings_release(struct tl_findings *findings)
{
    tl_free(findings->items);
    tl_free(findings->report);
    memset(findings, 0, sizeof(*findings));
}

static bool reserve(struct tl_findings *findings)
{
    if (findings->report->finding_count < findings->capacity) {
        return true;
    }
    size_t capacity = findings->capacity == 0 ? 16 : findings->capacity * 2;
    struct tally_finding *items = tl_realloc_array(findings->items, capacity, sizeof(*items));
    if (items == NULL) {
        findings->status = TALLY_ENOMEM;
        return false;
    }
    findings->items = items;
    findings->capacity = capacity;
    return true;
}

static void count(struct tally_report *report, enum tally_weight weight)
{
    switch (weight) {
    case TALLY_WEIGHT_TAMPERED:
        report->tampered++;
        break;
    case TALLY_WEIGHT_UNVERIFIABLE:
        report->unverifiable++;
        break;
    case TALLY_WEIGHT_WARNING:
        report->warnings++;
        break;
    case TALLY_WEIGHT_NOTE:
        report->notes++;
        break;
    }
}

static void keep(struct tl_findings *findings, const struct tally_finding *finding)
{
    struct tally_report *report = findings->report;
    count(report, finding->weight);
    if (findings->on_finding != NULL && findings->on_finding(findings->ctx, finding) != 0) {
        report->canceled = 1;
    }
    bool minor = finding->weight <= TALLY_WEIGHT_WARNING;
    if (report->finding_count == TALLY_REPORT_FINDINGS_MAX ||
        (minor && findings->note_count == NOTES_MAX) || !reserve(findings)) {
        return;
    }
    findings->note_count += minor;
    findings->items[report->finding_count++] = *finding;
}

static void add(struct tl_findings *findings, const struct tally_finding *finding)
{
    if (!findings->holding_back || !finding->has_seq) {
        keep(findings, finding);
        return;
    }
    if (findings->held_count == TL_HELD_BACK_MAX) {
        /* So many that explaining some away would no longer help. */
        findings->holding_back = false;
        tl_findings_let_go(findings, NULL, NULL);
        keep(findings, finding);
        return;
    }
    findings->held[findings->held_count++] = *finding;
}

static struct tally_finding make(const struct tl_findings *findings, enum tl_code code,
                                 uint64_t seq)
{
    static const uint8_t none[TALLY_LEAF_ID_LEN];
    struct tally_finding finding = { .code = codes[code].name, .weight = codes[code].weight };
    if (seq == TALLY_SEQ_NONE) {
        return finding;
    }
    finding.has_seq = 1;
    finding.seq = seq;
    if (seq == findings->id_seq && memcmp(findings->id, none, sizeof(none)) != 0) {
        tl_hex_encode(finding.id, findings->id, sizeof(findings->id));
    }
    return finding;
}

void tl_found(struct tl_findings *findings, enum tl_code code, uint64_t seq, const char *fmt, ...)
{
    struct tally_finding finding = make(findings, code, seq);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(finding.what, sizeof(finding.what), fmt, args); /* cut if it is too long */
    va_end(args);
    add(findings, &finding);
}

void tl_found_hashes(struct tl_findings *findings, enum tl_code code, uint64_t seq,
                     const uint8_t expected[32], const uint8_t actual[32], const char *what)
{
    struct tally_finding finding = make(findings, code, seq);
    (void)snprintf(finding.what, sizeof(finding.what), "%s", what);
    tl_hex_encode(finding.expected, expected, 32);
    tl_hex_encode(finding.actual, actual, 32);
    add(findings, &finding);
}

void tl_found_numbers(struct tl_findings *findings, enum tl_code code, uint64_t seq,
                      int64_t expected, int64_t actual, const char *what)
{
    struct tally_finding finding = make(findings, code, seq);
    (void)snprintf(finding.what, sizeof(finding.what), "%s", what);
    (void)snprintf(finding.expected, sizeof(finding.expected), "%" PRId64, expected);
    (void)snprintf(finding.actual, sizeof(finding.actual), "%" PRId64, actual);
    add(findings, &finding);
}

enum tl_code tl_code_named(const char *name)
{
    uint32_t code = 0;
    while (code < TL_CODE_COUNT && strcmp(codes[code].name, name) != 0) {
        code++;
    }
    return (enum tl_code)code;
}

bool tl_findings_tampered_in(const struct tl_findings *findings, uint64_t first, uint64_t last)
{
    for (size_t i = 0; i < findings->report->finding_count; i++) {
        const struct tally_finding *finding = &findings->items[i];
        if (finding->weight == TALLY_WEIGHT_TAMPERED && finding->has_seq != 0 &&
            finding->seq >= first && finding->seq <= last) {
            return true;
        }
    }
    return false;
}

bool tl_findings_has(const struct tl_findings *findings, enum tl_code code, uint64_t seq)
{
    for (size_t i = 0; i < findings->report->finding_count; i++) {
        const struct tally_finding *finding = &findings->items[i];
        if (finding->code == codes[code].name &&
            (finding->has_seq != 0 ? finding->seq : TALLY_SEQ_NONE) == seq) {
            return true;
        }
    }
    return false;
}

void tl_findings_hold_back(struct tl_findings *findings)
{
    tl_assert(findings->held_count == 0);
    findings->holding_back = true;
}

void tl_findings_let_go(struct tl_findings *findings, bool (*explained)(void *ctx, uint64_t seq),
                        void *ctx)
{
    findings->holding_back = false;
    for (size_t i = 0; i < findings->held_count; i++) {
        const struct tally_finding *finding = &findings->held[i];
        if (explained == NULL || finding->weight < TALLY_WEIGHT_UNVERIFIABLE ||
            !explained(ctx, finding->seq)) {
            keep(findings, finding);
        }
    }
    findings->held_count = 0;
}

struct tally_report *tl_findings_take(struct tl_findings *findings)
{
    struct tally_report *report = findings->report;
    report->findings = TL_TAKE(findings->items);
    report->skipped = report->expected - report->checked;
    bool whole = report->size > 0 && report->checked > 0 && report->skipped == 0 &&
                 report->unverifiable == 0 && report->canceled == 0;
    report->verdict = report->tampered > 0 ? TALLY_VERDICT_TAMPERED
                      : whole              ? TALLY_VERDICT_VERIFIED
                                           : TALLY_VERDICT_UNVERIFIABLE;
    return TL_TAKE(findings->report);
}

/* The public half. */

void tally_report_free(struct tally_report *report)
{
    if (report != NULL) {
        union { /* owned here, but not for callers to change */
            const struct tally_finding *given;
            void *owned;
        } items = { .given = report->findings };
        tl_free(items.owned);
        tl_free(report);
    }
}

const char *tally_verdict_name(enum tally_verdict verdict)
{
    switch (verdict) {
    case TALLY_VERDICT_UNKNOWN:
        return "UNKNOWN";
    case TALLY_VERDICT_VERIFIED:
        return "VERIFIED";
    case TALLY_VERDICT_TAMPERED:
        return "TAMPERED";
    case TALLY_VERDICT_UNVERIFIABLE:
        return "UNVERIFIABLE";
    }
    return "UNKNOWN";
}

const char *tally_weight_name(enum tally_weight weight)
{
    switch (weight) {
    case TALLY_WEIGHT_NOTE:
        return "note";
    case TALLY_WEIGHT_WARNING:
        return "warning";
    case TALLY_WEIGHT_UNVERIFIABLE:
        return "unverifiable";
    case TALLY_WEIGHT_TAMPERED:
        return "tampered";
    }
    return "unknown";
}
