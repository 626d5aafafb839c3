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

/* Appends the entries to this ledger; `first` and those after it are the results they are of. */
static tally_status append_home(struct tl_role *role, struct tl_routed *first, size_t n,
                                struct tally_error *err)
{
    if (n == 0) {
        return TALLY_OK;
    }
    TL_TRY(tl_sequencer_append(role->sequencer, role->entries, n, err));
    struct tl_routed *routed = first;
    uint32_t at = role->origins[0];
    for (size_t i = 0; i < n; i++) {
        while (at < role->origins[i]) {
            routed = tl_router_next(role->router, routed);
            at++;
        }
        if (role->receipts[i].status == TALLY_ECONFLICT) {
            routed->end = TL_ROUTE_REFUSED;
        }
    }
    return TALLY_OK;
}

static bool prepare_home(struct tally_ledger *ledger, const struct tl_routed *routed, size_t n)
{
    const struct tl_spool_record *record = &routed->record;
    struct tl_role *role = &ledger->role;
    role->receipts[n] = (struct tally_receipt){ .status = TALLY_EIO };
    return tl_entry_prepare(&role->entries[n], &role->receipts[n], &ledger->config,
                            (struct tl_str){ record->text, record->len },
                            record->flags) == TALLY_OK;
}

/* Records the events that have to stay here, a batch at a time. */
static tally_status record_home(struct tally_ledger *ledger, struct tally_error *err)
{
    struct tl_role *role = &ledger->role;
    struct tl_routed *routed = NULL;
    struct tl_routed *first = NULL;
    size_t n = 0;
    for (uint32_t at = 0; (routed = tl_router_next(role->router, routed)) != NULL; at++) {
        if (routed->end != TL_ROUTE_HOME) {
            continue;
        }
        if (!prepare_home(ledger, routed, n)) {
            routed->end = TL_ROUTE_REFUSED;
            continue;
        }
        first = n == 0 ? routed : first;
        role->origins[n++] = at;
        if (n == TL_BATCH_EVENTS_MAX) {
            TL_TRY(append_home(role, first, n, err));
            n = 0;
        }
    }
    return append_home(role, first, n, err);
}

/* Counted once all else has succeeded: a rollback gives the same results again. */
static void count_refused(struct tl_role *role)
{
    const struct tl_routed *routed = NULL;
    while ((routed = tl_router_next(role->router, routed)) != NULL) {
        if (routed->end == TL_ROUTE_REFUSED) {
            struct tl_drain_segment *segment = routed->owner;
            segment->lost[TL_DRAIN_REFUSED].count++;
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
