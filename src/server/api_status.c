/* How a ledger stands: its logging, its schedules, its keys. */
#include <tally/version.h>

#include "server/server_impl.h"
#include "show/show.h"

void tl_api_status(struct tl_request *request)
{
    struct tl_server *server = request->server;
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_activity activity = TALLY_ACTIVITY_INIT;
    struct tl_health health;
    if (tally_activity_read(server->options.location, &activity, &err) != TALLY_OK) {
        tl_reply_error(request, &err);
        return;
    }
    tl_health_judge(&health, &activity);
    struct tl_js js;
    tl_reply_begin(request, 200, &js);
    tl_js_open(&js, NULL, '{');
    tl_show_status(&js, &activity, &health);
    tl_js_open(&js, "server", '{');
    tl_js_text(&js, "version", TALLY_VERSION);
    tl_js_time(&js, "started_at", server->started_us);
    tl_js_text(&js, "sandbox", server->options.sandbox);
    tl_js_u64(&js, "requests", tl_counter_get(&server->counters.requests));
    tl_js_u64(&js, "jobs", tl_jobs_running(server->jobs));
    tl_js_close(&js, '}');
    tl_js_close(&js, '}');
    tl_reply_end(request, &js);
}

static int add_schedule(void *ctx, const struct tally_job *job)
{
    tl_show_schedule(ctx, NULL, job);
    return 0;
}

void tl_api_schedules(struct tl_request *request)
{
    struct tally_error err = TALLY_ERROR_INIT;
    struct tl_js js;
    tl_reply_list_begin(request, "jobs", &js);
    tally_status status =
        tally_schedule_each(request->server->options.location, add_schedule, &js, &err);
    tl_reply_list_end(request, status, &err, &js);
}

static int add_key(void *ctx, const struct tally_key *key)
{
    tl_show_key(ctx, NULL, key);
    return 0;
}

void tl_api_keys(struct tl_request *request)
{
    struct tally_error err = TALLY_ERROR_INIT;
    struct tl_js js;
    tl_reply_list_begin(request, "keys", &js);
    tally_status status = tally_keys_each(request->server->ledger, add_key, &js, &err);
    tl_reply_list_end(request, status, &err, &js);
}
