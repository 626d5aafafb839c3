/* What tally_doctor() says of holds: those of which somebody wanted to be reminded. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "codec/time.h"
#include "ledger/doctor.h"
#include "ledger/holds.h"

#define SOON_US INT64_C(2592000000000) /* 30 days */

struct look {
    tl_doctor_say_fn *say;
    void *ctx;
    int64_t now_us;
    uint64_t active;
    uint64_t told;
};

static int look_at_hold(void *ctx, const struct tally_hold *hold)
{
    struct look *look = ctx;
    if (!hold->is_active) {
        return 0;
    }
    look->active++;
    if (hold->expires_us == 0 || hold->expires_us > look->now_us + SOON_US) {
        return 0;
    }
    char time[TL_TIME_SIZE];
    char what[192];
    (void)tl_time_format(time, hold->expires_us); /* the length does not matter */
    (void)snprintf(what, sizeof(what), "hold '%s' %s on %.10s; it stays until it is released",
                   hold->id, hold->expires_us <= look->now_us ? "expired" : "expires", time);
    look->say(look->ctx, "holds.expiry", TALLY_HEALTH_WARNING, what,
              "ask who set it: 'tally hold release', or 'tally hold add' with a later --expires");
    look->told++;
    return 0;
}

void tl_doctor_holds(struct tally_store *store, tl_doctor_say_fn *say, void *ctx)
{
    struct look look = { .say = say, .ctx = ctx, .now_us = tl_clock->wall_us() };
    struct tally_error error = TALLY_ERROR_INIT;
    if (tl_holds_each(store, look_at_hold, &look, &error) != TALLY_OK) {
        say(ctx, "holds.expiry", TALLY_HEALTH_ERROR, error.message, "run 'tally verify'");
    } else if (look.told == 0) {
        char what[96];
        (void)snprintf(what, sizeof(what), "%" PRIu64 " holds are active, none expires soon",
                       look.active);
        say(ctx, "holds.expiry", TALLY_HEALTH_OK, what, "");
    }
}
