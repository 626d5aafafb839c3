#include "cli/bench_events.h"

#include <inttypes.h>
#include <stdio.h>

#include "codec/time.h"
#include "codec/uuid.h"

#define FIRST_US INT64_C(1735689600000000) /* 2025-01-01 */
#define STEP_US  INT64_C(10000)

/* SplitMix64: the same numbers on every machine. */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static void make_id(struct tl_bench_event *event, uint64_t n, int64_t us, bool random_ids)
{
    uint8_t random[16];
    for (size_t i = 0; i < sizeof(random); i++) {
        random[i] = (uint8_t)(mix(2 * n + i / 8) >> (8 * (i % 8)));
    }
    if (random_ids) {
        random[6] = (uint8_t)((random[6] & 0x0f) | 0x40);
        random[8] = (uint8_t)((random[8] & 0x3f) | 0x80);
        tl_uuid_format(event->id, random);
    } else {
        tl_uuid_v7(event->id, us, random);
    }
}

static void fill_words(struct tl_bench_event *event, uint64_t r)
{
    static const char *const groups[] = { "user",   "invoice", "order",   "report", "session",
                                          "token",  "group",   "project", "file",   "contract",
                                          "policy", "device",  "backup",  "mail",   "payment",
                                          "role",   "account", "webhook", "secret", "workspace" };
    static const char *const verbs[] = { "create", "read",   "update", "delete", "list",
                                         "export", "import", "grant",  "revoke", "rename" };
    static const char *const severities[] = { "low", "medium", "medium", "medium", "high" };
    (void)snprintf(event->action, sizeof(event->action), "%s.%s", groups[r % TL_ARRAY_LEN(groups)],
                   verbs[r / 20 % TL_ARRAY_LEN(verbs)]);
    (void)snprintf(event->actor_id, sizeof(event->actor_id), "user-%05u",
                   (unsigned)(r / 211 % 5000));
    (void)snprintf(event->target_type, sizeof(event->target_type), "%s",
                   groups[r % TL_ARRAY_LEN(groups)]);
    (void)snprintf(event->target_id, sizeof(event->target_id), "obj-%06u",
                   (unsigned)(r / 1009 % 50000));
    (void)snprintf(event->outcome, sizeof(event->outcome), "%s",
                   r / 7 % 25 == 0 ? "failure" : "success");
    (void)snprintf(event->severity, sizeof(event->severity), "%s",
                   r / 13 % 500 == 0 ? "critical" : severities[r / 13 % TL_ARRAY_LEN(severities)]);
    (void)snprintf(event->tenant_id, sizeof(event->tenant_id), "tenant-%02u",
                   (unsigned)(r / 17 % 40));
}

void tl_bench_event_make(struct tl_bench_event *event, uint64_t n, bool random_ids)
{
    uint64_t r = mix(n);
    int64_t us = FIRST_US + (int64_t)n * STEP_US + (int64_t)(r % 9000);
    make_id(event, n, us, random_ids);
    event->occurred_at[tl_time_format(event->occurred_at, us)] = '\0';
    fill_words(event, r >> 8);
    char erasable[360] = "";
    if (r % 3 != 0) {
        (void)snprintf(erasable, sizeof(erasable),
                       ",\"metadata\":{\"attempt\":%u,\"channel\":\"web\",\"note\":\"reference "
                       "%016" PRIx64 "\"},\"new_values\":{\"amount\":\"%u.50\",\"state\":\"open\"},"
                       "\"old_values\":{\"amount\":\"%u.00\",\"state\":\"draft\"},"
                       "\"reason\":\"requested in ticket OPS-%u\"",
                       (unsigned)(r % 4), r, (unsigned)(r % 9973), (unsigned)(r % 9967),
                       (unsigned)(r % 99991));
    }
    int len = snprintf(
        event->json, sizeof(event->json),
        "{\"action\":\"%s\",\"actor\":{\"id\":\"%s\",\"name\":\"Person Number %u\",\"type\":"
        "\"user\"},\"id\":\"%s\"%s,\"occurred_at\":\"%s\",\"outcome\":\"%s\",\"request_id\":"
        "\"req-%012" PRIx64 "\",\"severity\":\"%s\",\"source\":{\"host\":\"app-%u.example.com\","
        "\"ip\":\"192.0.2.%u\",\"service\":\"web\"},\"targets\":[{\"id\":\"%s\",\"type\":\"%s\"}],"
        "\"tenant_id\":\"%s\",\"transport\":\"http\"}",
        event->action, event->actor_id, (unsigned)(r / 211 % 5000), event->id, erasable,
        event->occurred_at, event->outcome, r & UINT64_C(0xffffffffffff), event->severity,
        (unsigned)(r % 8), (unsigned)(r % 250), event->target_id, event->target_type,
        event->tenant_id);
    tl_assert(len > 0 && (size_t)len < sizeof(event->json));
    event->len = (size_t)len;
}
