#include "ledger/losses.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/random.h"
#include "codec/json.h"
#include "codec/uuid.h"
#include "ledger/remote.h"
#include "model/event.h"

#define GAPS_LOOKED_AT 1000u /* newest ones, when it is asked whether a gap is declared */

static const char *const cause_words[TL_LOSS_CAUSES] = {
    [TL_LOSS_SPOOL_FULL] = "spool full",
    [TL_LOSS_DISK_FULL] = "disk full",
    [TL_LOSS_DISK] = "disk failure",
    [TL_LOSS_MEMORY] = "out of memory",
};

tally_status tl_losses_init(struct tl_losses *losses)
{
    return tl_mutex_init(&losses->mu);
}

void tl_losses_release(struct tl_losses *losses)
{
    tl_mutex_release(&losses->mu);
}

void tl_losses_forget(struct tl_losses *losses)
{
    memset(losses->pending, 0, sizeof(losses->pending));
    memset(losses->attempts, 0, sizeof(losses->attempts));
    losses->pending_total = 0;
    losses->handed_over = 0;
    losses->passing_on = false;
}

static void merge(struct tl_loss *into, const struct tl_loss *loss)
{
    if (into->count == 0 || loss->from_us < into->from_us) {
        into->from_us = loss->from_us;
    }
    if (into->count == 0 || loss->to_us > into->to_us) {
        into->to_us = loss->to_us;
    }
    into->count += loss->count;
}

void tl_losses_add(struct tl_losses *losses, enum tl_loss_cause cause, int64_t time_us)
{
    const struct tl_loss one = { .count = 1, .from_us = time_us, .to_us = time_us };
    tl_mutex_lock(&losses->mu);
    merge(&losses->pending[cause], &one);
    losses->pending_total++;
    tl_mutex_unlock(&losses->mu);
}

uint64_t tl_losses_pending(struct tl_losses *losses)
{
    tl_mutex_lock(&losses->mu);
    uint64_t pending = losses->pending_total;
    tl_mutex_unlock(&losses->mu);
    return pending;
}

uint64_t tl_losses_handed_over(struct tl_losses *losses)
{
    tl_mutex_lock(&losses->mu);
    uint64_t count = losses->handed_over;
    tl_mutex_unlock(&losses->mu);
    return count;
}

void tl_gap_new_source(char out[TL_GAP_SOURCE_SIZE])
{
    uint8_t random[TL_UUID_RANDOM_LEN];
    char uuid[TL_UUID_TEXT_SIZE];
    tl_random_bytes(random, sizeof(random));
    tl_uuid_v7(uuid, tl_clock->wall_us(), random);
    (void)snprintf(out, TL_GAP_SOURCE_SIZE, "log/%s", uuid);
}

/* Makes what is pending for a cause the attempt, unless there is one; whether there is one then, and
 * *again_out: it is not the first. */
static bool begin_attempt(struct tl_losses *losses, enum tl_loss_cause cause, bool *again_out)
{
    struct tl_gap *attempt = &losses->attempts[cause];
    *again_out = attempt->count > 0;
    if (*again_out) {
        return true;
    }
    tl_mutex_lock(&losses->mu);
    struct tl_loss loss = losses->pending[cause];
    losses->pending[cause] = (struct tl_loss){ 0 };
    tl_mutex_unlock(&losses->mu);
    if (loss.count == 0) {
        return false;
    }
    *attempt = (struct tl_gap){
        .count = loss.count, .exact = true, .from_us = loss.from_us, .to_us = loss.to_us
    };
    (void)snprintf(attempt->reason, sizeof(attempt->reason), "%s", cause_words[cause]);
    tl_gap_new_source(attempt->source);
    return true;
}

static void end_attempt(struct tl_losses *losses, enum tl_loss_cause cause)
{
    tl_mutex_lock(&losses->mu);
    losses->pending_total -= losses->attempts[cause].count;
    losses->handed_over += losses->attempts[cause].count;
    tl_mutex_unlock(&losses->mu);
    losses->attempts[cause].count = 0;
}

/* Nothing came of it, for certain: it is counted together with what is lost from now on. */
static void undo_attempt(struct tl_losses *losses, enum tl_loss_cause cause)
{
    struct tl_gap *attempt = &losses->attempts[cause];
    const struct tl_loss loss = { .count = attempt->count,
                                  .from_us = attempt->from_us,
                                  .to_us = attempt->to_us };
    tl_mutex_lock(&losses->mu);
    merge(&losses->pending[cause], &loss);
    tl_mutex_unlock(&losses->mu);
    attempt->count = 0;
}

/* Whether there is something to pass on, and nobody else is at it. */
static bool begin_passing_on(struct tl_losses *losses)
{
    tl_mutex_lock(&losses->mu);
    bool begins = losses->pending_total > 0 && !losses->passing_on;
    losses->passing_on = losses->passing_on || begins;
    tl_mutex_unlock(&losses->mu);
    return begins;
}

/* Whether one was handed over, and there may be more. */
static bool pass_on(struct tally_ledger *ledger, enum tl_loss_cause cause, bool last)
{
    bool again = false;
    if (!begin_attempt(&ledger->losses, cause, &again)) {
        return false;
    }
    const struct tl_gap *attempt = &ledger->losses.attempts[cause];
    bool seals = ledger->role.held && ledger->remote == NULL;
    bool done = seals && tl_gap_declare(ledger, attempt, again, NULL) == TALLY_OK;
    if (!done && ledger->spool != NULL && (last || !seals)) {
        done = tl_gap_spool(ledger, attempt, 0, NULL) == TALLY_OK;
    }
    if (done) {
        end_attempt(&ledger->losses, cause);
    } else if (!again && !seals) {
        undo_attempt(&ledger->losses, cause);
    }
    return done;
}

void tl_losses_pass_on(struct tally_ledger *ledger, bool last)
{
    struct tl_losses *losses = &ledger->losses;
    if ((!ledger->role.held && ledger->spool == NULL) || !begin_passing_on(losses)) {
        return;
    }
    for (enum tl_loss_cause cause = 0; cause < TL_LOSS_CAUSES; cause++) {
        while (pass_on(ledger, cause, last)) {
            /* what was lost since the attempt began is another one */
        }
    }
    tl_mutex_lock(&losses->mu);
    losses->passing_on = false;
    tl_mutex_unlock(&losses->mu);
}

tally_status tl_gap_write(struct tl_buf *out, const struct tl_gap *gap)
{
    tl_buf_addf(out, "{\"count\":%llu,\"exact\":%s,\"from\":%lld,\"reason\":",
                (unsigned long long)gap->count, gap->exact ? "true" : "false",
                (long long)gap->from_us);
    tl_json_write_string(out, tl_str_of(gap->reason));
    tl_buf_add_text(out, ",\"source\":");
    tl_json_write_string(out, tl_str_of(gap->source));
    tl_buf_addf(out, ",\"to\":%lld}", (long long)gap->to_us);
    return tl_buf_status(out);
}

/* The member of that name and type, or NULL. */
static const struct tl_json *member(const struct tl_json *object, const char *name,
                                    enum tl_json_type type)
{
    for (const struct tl_json *it = object->first; it != NULL; it = it->next) {
        if (tl_str_is(it->key, name)) {
            return it->type == type ? it : NULL;
        }
    }
    return NULL;
}

tally_status tl_gap_read(struct tl_gap *gap, const char *text, size_t len)
{
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    tl_arena_init(&arena, (size_t)64 << 10);
    const struct tl_json *root = NULL;
    if (tl_json_read(&arena, text, len, &tl_json_limits_format, &root, NULL) != TALLY_OK ||
        root->type != TL_JSON_OBJECT) {
        return TALLY_ECORRUPT;
    }
    const struct tl_json *count = member(root, "count", TL_JSON_NUMBER);
    const struct tl_json *from = member(root, "from", TL_JSON_NUMBER);
    const struct tl_json *to = member(root, "to", TL_JSON_NUMBER);
    const struct tl_json *reason = member(root, "reason", TL_JSON_STRING);
    const struct tl_json *source = member(root, "source", TL_JSON_STRING);
    const double limit = 9007199254740992.0;
    if (count == NULL || from == NULL || to == NULL || reason == NULL || source == NULL ||
        count->number < 1 || count->number >= limit || from->number < -limit ||
        from->number >= limit || to->number < -limit || to->number >= limit ||
        reason->text.len == 0 || source->text.len == 0) {
        return TALLY_ECORRUPT;
    }
    *gap = (struct tl_gap){ .count = (uint64_t)count->number,
                            .exact = member(root, "exact", TL_JSON_TRUE) != NULL,
                            .from_us = (int64_t)from->number,
                            .to_us = (int64_t)to->number };
    tl_str_copy(gap->reason, sizeof(gap->reason), reason->text);
    tl_str_copy(gap->source, sizeof(gap->source), source->text);
    return TALLY_OK;
}

bool tl_gap_of_line(const char *line, size_t len, uint64_t *count_out, bool *exact_out)
{
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    tl_arena_init(&arena, (size_t)256 << 10);
    const struct tl_json *root = NULL;
    if (tl_json_read(&arena, line, len, &tl_json_limits_format, &root, NULL) != TALLY_OK ||
        root->type != TL_JSON_OBJECT) {
        return false;
    }
    const struct tl_json *payload = member(root, "payload", TL_JSON_OBJECT);
    const struct tl_json *count = payload == NULL ? NULL : member(payload, "count", TL_JSON_NUMBER);
    if (count == NULL || count->number < 0 || count->number >= 9007199254740992.0) {
        return false;
    }
    *count_out = (uint64_t)count->number;
    *exact_out = member(payload, "exact", TL_JSON_TRUE) != NULL;
    return true;
}

tally_status tl_gap_spool(struct tally_ledger *ledger, const struct tl_gap *gap, int64_t until_us,
                          struct tally_error *err)
{
    char memory[TL_SPOOL_HEADER_LEN + 1024];
    struct tl_buf room;
    tl_buf_init_fixed(&room, memory, sizeof(memory));
    (void)tl_buf_reserve(&room, TL_SPOOL_HEADER_LEN);
    tl_buf_commit(&room, TL_SPOOL_HEADER_LEN);
    TL_TRY(tl_gap_write(&room, gap));
    const struct tl_spool_record record = { .kind = TL_SPOOL_GAP,
                                            .delivery = TALLY_DELIVERY_DURABLE,
                                            .time_us = gap->to_us,
                                            .len = (uint32_t)(room.len - TL_SPOOL_HEADER_LEN) };
    struct tl_spool_place place = { .level = TL_SPOOL_NONE };
    tally_status status = tl_spool_write(ledger->spool, &record, (uint8_t *)memory, TL_SPOOL_QUEUED,
                                         until_us, &place, err);
    return place.level == TL_SPOOL_NONE ? status : TALLY_OK;
}

/* Looks for `"source":"..."` in what a page shows of GAP records; no other text of it can look so,
 * as quotes within texts are escaped. */
bool tl_gap_is_on_page(const struct tally_page *page, const struct tl_gap *gap)
{
    char memory[2 * TL_GAP_SOURCE_SIZE + 256];
    struct tl_buf wanted;
    tl_buf_init_fixed(&wanted, memory, sizeof(memory));
    tl_buf_add_text(&wanted, "\"reason\":");
    tl_json_write_string(&wanted, tl_str_of(gap->reason));
    tl_buf_add_text(&wanted, ",\"source\":");
    tl_json_write_string(&wanted, tl_str_of(gap->source));
    if (tl_buf_status(&wanted) != TALLY_OK) {
        return false;
    }
    for (size_t i = 0; i < page->count; i++) {
        const struct tally_item *item = &page->items[i];
        if (memmem(item->line, item->line_len, wanted.data, wanted.len) != NULL) {
            return true;
        }
    }
    return false;
}

/* Whether one of the newest GAP records is this one: it may have been declared by a sequencer that
 * died before it could remove what told of it. If they cannot be read it counts as new: what is
 * declared twice is better than a spool that nobody reads. */
static bool is_declared(struct tally_ledger *ledger, const struct tl_gap *gap)
{
    const struct tally_condition conditions[] = { { "kind", "gap" } };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = conditions;
    query.condition_count = TL_ARRAY_LEN(conditions);
    query.limit = GAPS_LOOKED_AT;
    struct tally_page *page = NULL;
    if (tally_find(ledger, &query, &page, NULL) != TALLY_OK) {
        return false;
    }
    bool found = tl_gap_is_on_page(page, gap);
    tally_page_free(page);
    return found;
}

tally_status tl_gap_declare(struct tally_ledger *ledger, const struct tl_gap *gap,
                            bool may_be_known, struct tally_error *err)
{
    tl_assert(ledger->role.held);
    if (ledger->remote != NULL) {
        return tl_remote_declare(ledger, gap, err);
    }
    bool known = may_be_known && is_declared(ledger, gap);
    const struct tl_control control = { .kind = TL_LEAF_GAP,
                                        .count = gap->count,
                                        .exact = gap->exact,
                                        .from_us = gap->from_us,
                                        .to_us = gap->to_us,
                                        .reason = tl_str_of(gap->reason),
                                        .source = tl_str_of(gap->source) };
    return known ? TALLY_OK : tl_sequencer_control(ledger->role.sequencer, &control, err);
}
