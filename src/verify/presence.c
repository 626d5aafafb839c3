/*
 * Judges which contents are absent and which are there, once all leaves that permit or demand it
 * are known. Only records below the last of them that matters are read again.
 */
#include <inttypes.h>

#include "verify/run.h"

/* Neighbours of which the same is to be said. */
struct span {
    enum tl_code code;
    uint64_t first;
    uint64_t count;
};

struct judge {
    struct tl_run *run;
    struct tl_excuse_scope scope;
    uint64_t scope_end;
    bool some; /* `span` is in use */
    struct span span;
    struct tl_erasable_set *set; /* scratch */
    uint64_t by_code[TL_CODE_COUNT];
};

static void end_span(struct judge *judge)
{
    static const char *const words[TL_CODE_COUNT] = {
        [TL_PURGED] = "purged",
        [TL_ERASED] = "erased, or members of it",
        [TL_EVICTED] = "dropped by a ledger in memory",
        [TL_WITHHELD] = "withheld, or members of it",
        [TL_PURGE_INCOMPLETE] = "there although it was purged",
        [TL_ERASE_INCOMPLETE] = "there although it was erased",
    };
    if (!judge->some) {
        return;
    }
    const struct span *span = &judge->span;
    uint64_t last = span->first + span->count - 1;
    if (span->count == 1) {
        tl_found(&judge->run->found, span->code, span->first, "the content is %s",
                 words[span->code]);
    } else {
        tl_found(&judge->run->found, span->code, span->first,
                 "the content of records %" PRIu64 " to %" PRIu64 " is %s", span->first, last,
                 words[span->code]);
    }
    judge->some = false;
}

static void note(struct judge *judge, enum tl_code code, uint64_t seq)
{
    judge->by_code[code]++;
    if (judge->some && judge->span.code == code && judge->span.first + judge->span.count == seq) {
        judge->span.count++;
        return;
    }
    end_span(judge);
    judge->some = true;
    judge->span = (struct span){ .code = code, .first = seq, .count = 1 };
}

static bool is_volatile(const struct tl_run *run)
{
    return run->in->is_volatile || (run->report->qualifiers & TALLY_QUALIFIER_VOLATILE) != 0;
}

/* The code for a content that is not there for a reason; TL_CODE_COUNT if there is none. */
static enum tl_code reason_of(const struct tl_run *run, const struct tl_excuse *excuse)
{
    if (excuse->counted) {
        return TL_PURGED;
    }
    return excuse->erased ? TL_ERASED : is_volatile(run) ? TL_EVICTED : TL_CODE_COUNT;
}

/* The same for an export, which says itself why: the leaves have to permit just that. */
static enum tl_code handed_reason(const struct tl_run *run, enum tl_handed handed,
                                  const struct tl_excuse *excuse)
{
    switch (handed) {
    case TL_HANDED_WITHHELD:
        return TL_WITHHELD;
    case TL_HANDED_PURGED:
        return excuse->purged ? TL_PURGED : TL_CODE_COUNT;
    case TL_HANDED_ERASED:
        return excuse->erased ? TL_ERASED : TL_CODE_COUNT;
    case TL_HANDED_EVICTED:
        return is_volatile(run) ? TL_EVICTED : TL_CODE_COUNT;
    case TL_HANDED_SILENT:
        return TL_CODE_COUNT;
    }
    return TL_CODE_COUNT;
}

static void judge_absent(struct judge *judge, uint64_t seq, const struct tl_excuse *excuse)
{
    struct tl_run *run = judge->run;
    const struct tl_handover *handover = run->in->handover;
    enum tl_handed handed = handover == NULL ? TL_HANDED_PURGED : handover->absent(handover->ctx);
    enum tl_code reason =
        handover == NULL ? reason_of(run, excuse) : handed_reason(run, handed, excuse);
    bool by_purge = handed == TL_HANDED_PURGED;
    if (reason != TL_CODE_COUNT) {
        note(judge, reason, seq);
    } else if (seq < run->excuse_lost) {
        return; /* the leaf that may have permitted it is damaged, which is a finding */
    } else if (excuse->only_held && (by_purge || handed == TL_HANDED_ERASED)) {
        tl_found(&run->found, TL_HOLD_VIOLATED, seq, "the content is gone, and it was on hold");
    } else if (by_purge && tl_excuse_purge_names(&run->excuses, seq)) {
        tl_found(&run->found, TL_PURGE_EARLY, seq, "the content was purged before its day");
    } else {
        tl_found(&run->found, TL_CONTENT_MISSING, seq,
                 "the content is gone, and no leaf permits it");
    }
}

static void judge_opened(struct judge *judge, const struct tally_record *record)
{
    struct tl_run *run = judge->run;
    struct tl_opened opened;
    if (tl_opened_decode(&opened, record->opened, record->opened_len) != TALLY_OK) {
        return; /* found already */
    }
    const struct tl_handover *handover = run->in->handover;
    bool erased = false;
    bool incomplete = false;
    bool withheld = false;
    for (uint32_t i = 0; i < opened.count; i++) {
        const struct tl_opened_part *part = &opened.parts[i];
        bool only_held = false;
        bool covered = tl_excuse_member(&judge->scope, record->seq, part->pointer, &only_held);
        if (!part->erased) {
            incomplete = incomplete || covered;
        } else if (covered) {
            erased = true;
        } else if (handover != NULL && handover->is_member_withheld(handover->ctx, part->pointer)) {
            withheld = true;
        } else if (only_held) {
            tl_found(&run->found, TL_HOLD_VIOLATED, record->seq,
                     "a member was erased, and the record was on hold");
        } else if (record->seq >= run->excuse_lost) {
            tl_found(&run->found, TL_MEMBER_MISSING, record->seq,
                     "a member is gone, and no leaf permits it");
        }
    }
    if (incomplete) {
        note(judge, TL_ERASE_INCOMPLETE, record->seq);
    }
    if (erased) {
        note(judge, TL_ERASED, record->seq);
    }
    if (withheld) {
        note(judge, TL_WITHHELD, record->seq);
    }
}

/* Whether a whole record still has a member that an ERASE covers. */
static bool has_erased_member(struct judge *judge, const struct tally_record *record)
{
    for (size_t i = 0; i < judge->scope.erasure_count; i++) {
        const struct tl_erasure *erasure = &judge->run->excuses.erasures[judge->scope.erasures[i]];
        judge->set->count = 0;
        for (uint32_t k = 0; k < erasure->pointer_count && !erasure->whole; k++) {
            bool only_held = false;
            if (tl_excuse_member(&judge->scope, record->seq, erasure->pointers[k], &only_held)) {
                (void)tl_erasable_add(judge->set, erasure->pointers[k],
                                      NULL); /* else never set apart */
            }
        }
        if (judge->set->count > 0 &&
            tl_split_event(&judge->run->split, judge->set, record->event, record->event_len) ==
                TALLY_OK &&
            judge->run->split.count > 0) {
            return true;
        }
    }
    return false;
}

static void judge_there(struct judge *judge, const struct tally_record *record,
                        const struct tl_excuse *excuse)
{
    if (excuse->purged) {
        note(judge, TL_PURGE_INCOMPLETE, record->seq);
    }
    if (excuse->erased || (record->opened == NULL && judge->scope.erasure_count > 0 &&
                           has_erased_member(judge, record))) {
        note(judge, TL_ERASE_INCOMPLETE, record->seq);
    } else if (record->opened != NULL) {
        judge_opened(judge, record);
    }
}

static bool in_scope(const struct tl_run *run, const struct tl_leaf *leaf)
{
    return run->by_id ? memcmp(leaf->id, run->id, sizeof(run->id)) == 0
                      : leaf->seq >= run->content_first && leaf->seq < run->content_end;
}

static tally_status judge_record(void *ctx, const struct tally_record *record)
{
    struct judge *judge = ctx;
    struct tl_run *run = judge->run;
    struct tl_leaf leaf;
    if (record->leaf == NULL ||
        tl_leaf_decode(&leaf, record->leaf, record->leaf_len, NULL) != TALLY_OK ||
        leaf.kind != TL_LEAF_ENTRY || leaf.seq != record->seq) {
        return TALLY_OK;
    }
    if (record->seq >= judge->scope_end) {
        judge->scope_end = record->seq - record->seq % TL_CHUNK_LEAVES + TL_CHUNK_LEAVES;
        tl_excuse_scope_set(&judge->scope, judge->scope_end - TL_CHUNK_LEAVES, judge->scope_end);
    }
    struct tl_excuse excuse = tl_excuse_of(&judge->scope, record->seq, leaf.retain_until);
    if (excuse.counted) {
        run->excuses.purges[excuse.purge].covered++;
    }
    if (!in_scope(run, &leaf)) {
        return TALLY_OK;
    }
    run->found.id_seq = record->seq;
    memcpy(run->found.id, leaf.id, sizeof(leaf.id));
    /* The parts of a line may be there though they make up no event. */
    bool parts = run->in->handover != NULL && record->opened != NULL;
    if (record->event != NULL || parts) {
        judge_there(judge, record, &excuse);
    } else if (record->seed == NULL && record->opened == NULL) {
        judge_absent(judge, record->seq, &excuse);
    }
    return run->found.status;
}

/* The purge certificates. A leaf that is missing or broken leaves nothing to compare. */
static void check_counts(struct tl_run *run)
{
    if (run->leaves != run->size || run->excuse_lost != 0) {
        return;
    }
    for (size_t i = 0; i < run->excuses.purge_count; i++) {
        const struct tl_purge *purge = &run->excuses.purges[i];
        if (!purge->invalid && purge->covered != purge->count) {
            tl_found_numbers(&run->found, TL_PURGE_COUNT, purge->seq, (int64_t)purge->covered,
                             (int64_t)purge->count,
                             "the purge counts other records than it covers");
        }
    }
}

static tally_status judge_all(struct judge *judge)
{
    struct tl_run *run = judge->run;
    TL_TRY(tl_excuse_scope_init(&judge->scope, &run->excuses));
    TL_TRY(tl_store_scan(run->in->store, 0, run->judge_end, judge_record, judge, run->err));
    end_span(judge);
    check_counts(run);
    static const struct {
        enum tl_code code;
        enum tally_qualifier qualifier;
    } qualifiers[] = {
        { TL_PURGED, TALLY_QUALIFIER_PURGED },
        { TL_ERASED, TALLY_QUALIFIER_ERASED },
        { TL_WITHHELD, TALLY_QUALIFIER_WITHHELD },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(qualifiers); i++) {
        if (judge->by_code[qualifiers[i].code] > 0) {
            run->report->qualifiers |= (uint32_t)qualifiers[i].qualifier;
        }
    }
    if (judge->by_code[TL_WITHHELD] + judge->by_code[TL_EVICTED] > 0) {
        run->report->qualifiers |= TALLY_QUALIFIER_CONTENT_PART;
    }
    return TALLY_OK;
}

tally_status tl_presence_check(struct tl_run *run)
{
    if (run->judge_end == 0) {
        return TALLY_OK;
    }
    TL_CLEANUP(tl_freep) struct judge *judge = tl_alloc_array(1, sizeof(*judge));
    TL_CLEANUP(tl_freep) struct tl_erasable_set *set = tl_alloc_array(1, sizeof(*set));
    if (judge == NULL || set == NULL) {
        return tl_fail(run->err, TALLY_ENOMEM, "cannot allocate room for judging");
    }
    judge->run = run;
    judge->set = set;
    tally_status status = judge_all(judge);
    tl_excuse_scope_release(&judge->scope);
    return status;
}
