/* Keys, and what comes back by itself. */
#include "show/show.h"

#include <string.h>

void tl_show_schedule(struct tl_js *js, const char *key, const struct tally_job *job)
{
    tl_js_open(js, key, '{');
    tl_js_text(js, "name", job->name);
    tl_js_text(js, "when", job->when);
    tl_show_time(js, "last", job->last_us);
    tl_show_time(js, "next", job->next_us);
    tl_js_u64(js, "took_ms", (uint64_t)job->took_us / 1000);
    tl_js_text(js, "status", job->runs == 0 ? "" : tally_status_name(job->status));
    tl_js_u64(js, "runs", job->runs);
    tl_js_u64(js, "missed", job->missed);
    tl_js_text(js, "detail", job->detail);
    if (strcmp(job->name, "verify") == 0) {
        tl_js_text(js, "verdict", tally_verdict_name(job->verdict));
        tl_js_u64(js, "verified_to", job->verified_to);
        tl_show_time(js, "full_pass", job->full_pass_us);
    }
    tl_js_close(js, '}');
}

void tl_show_key(struct tl_js *js, const char *key, const struct tally_key *public_key)
{
    tl_js_open(js, key, '{');
    tl_js_text(js, "kind", public_key->kind);
    tl_js_text(js, "key", public_key->vkey);
    tl_js_u64(js, "epoch", public_key->epoch);
    if (public_key->seq != TALLY_SEQ_NONE) {
        tl_js_u64(js, "seq", public_key->seq);
        tl_js_time(js, "since", public_key->since_us);
    }
    if (public_key->until_us != 0) {
        tl_js_time(js, "until", public_key->until_us);
    }
    tl_js_bool(js, "secret_is_here", public_key->is_here != 0);
    tl_js_close(js, '}');
}
