#include "ledger/carry.h"

#include "base/clock.h"
#include "codec/json.h"
#include "ledger/entry.h"
#include "ledger/events.h"
#include "ledger/router.h"

#define CARRY_US 1000000 /* a router is given time so often even if nothing is new */

size_t tl_carry_room(const struct tl_role *role)
{
    size_t room = role->router == NULL ? TL_BATCH_EVENTS_MAX : tl_router_room(role->router);
    return room < TL_BATCH_EVENTS_MAX ? room : TL_BATCH_EVENTS_MAX;
}

bool tl_carry_is_due(const struct tl_role *role)
{
    return role->router != NULL && tl_clock->steady_us() - role->carried_us > CARRY_US;
}

static tally_status open_router(struct tally_ledger *ledger, struct tally_error *err)
{
    char dir[TL_PATH_SIZE];
    char name[TL_PATH_SIZE];
    const struct tl_config *config = &ledger->config;
    tl_str_copy(name, sizeof(name), config->route_dir);
    if (name[0] == '/') {
        memcpy(dir, name, sizeof(dir));
    } else {
        TL_TRY(tl_path_join(dir, ledger->paths.dir, name, err));
    }
    const struct tl_router_options options = { .dir = dir,
                                               .home = ledger->paths.dir,
                                               .open_max = (uint32_t)config->route_open_max,
                                               .create = config->route_create };
    return tl_router_open(&ledger->role.router, &options, err);
}

static tally_status add_routed(struct tally_ledger *ledger, size_t count, struct tally_error *err)
{
    struct tl_role *role = &ledger->role;
    for (size_t i = 0; i < count; i++) {
        const struct tl_drain_item *item = &role->items[i];
        if (item->record.kind != TL_SPOOL_ROUTED) {
            continue;
        }
        if (role->router == NULL) {
            TL_TRY(open_router(ledger, err));
        }
        TL_TRY(tl_router_add(role->router, &item->record, item->segment, err));
    }
    return TALLY_OK;
}

static void refuse(const struct tl_routed *routed)
{
    struct tl_drain_segment *segment = routed->owner;
    struct tl_drain_count *lost = &segment->lost[TL_DRAIN_REFUSED];
    lost->exact = lost->exact || lost->count == 0;
    lost->count++;
}

/* Records the events that have to stay here, a batch at a time. */
static tally_status record_home(struct tally_ledger *ledger, struct tally_error *err)
{
    struct tl_role *role = &ledger->role;
    size_t n = 0;
    const struct tl_routed *routed = NULL;
    while ((routed = tl_router_next(role->router, routed)) != NULL) {
        const struct tl_str text = { .text = routed->record.text, .len = routed->record.len };
        if (routed->end == TL_ROUTE_HOME &&
            tl_entry_prepare(&role->entries[n], &role->receipts[n], &ledger->config, text,
                             routed->record.flags) == TALLY_OK) {
            n++;
        }
        if (n == TL_BATCH_EVENTS_MAX) {
            TL_TRY(tl_sequencer_append(role->sequencer, role->entries, n, err));
            n = 0;
        }
    }
    return n == 0 ? TALLY_OK : tl_sequencer_append(role->sequencer, role->entries, n, err);
}

/* Counted once all else has succeeded: a rollback gives the same results again. */
static void count_refused(struct tl_role *role)
{
    const struct tl_routed *routed = NULL;
    while ((routed = tl_router_next(role->router, routed)) != NULL) {
        if (routed->end == TL_ROUTE_REFUSED) {
            refuse(routed);
        }
    }
}

/* Spools what there is to say about ledgers that could not be had. */
static void spool_reports(struct tally_ledger *ledger)
{
    struct tl_route_report report;
    struct tl_buf metadata;
    tl_buf_init(&metadata, TL_EVENT_BYTES_MAX);
    while (tl_router_next_report(ledger->role.router, &report)) {
        tl_buf_clear(&metadata);
        tl_route_report_write(&metadata, &report);
        tl_buf_add_char(&metadata, '\0');
        if (tl_buf_status(&metadata) == TALLY_OK) {
            /* The events are safe; a report that cannot be spooled comes again in a minute. */
            (void)tl_act_spool(ledger, "tally.route.failed", metadata.data, NULL);
        }
    }
    tl_buf_release(&metadata);
}

tally_status tl_carry(struct tally_ledger *ledger, size_t count, struct tally_error *err)
{
    struct tl_role *role = &ledger->role;
    TL_TRY(add_routed(ledger, count, err));
    if (role->router == NULL) {
        return TALLY_OK;
    }
    role->carried_us = tl_clock->steady_us();
    TL_TRY(tl_router_deliver(role->router, err));
    TL_TRY(record_home(ledger, err));
    count_refused(role);
    spool_reports(ledger);
    return TALLY_OK;
}

void tl_carry_settle(struct tl_role *role, bool committed)
{
    if (role->router == NULL) {
        return;
    }
    if (committed) {
        tl_router_commit(role->router);
    } else {
        tl_router_rollback(role->router);
    }
}

bool tl_carry_holds(const struct tl_role *role, const struct tl_drain_segment *segment)
{
    return role->router != NULL && tl_router_holds(role->router, segment);
}
