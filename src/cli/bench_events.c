#include "cli/bench_events.h"

#include <string.h>

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

/* Where the next bytes go. Formatting by printf would take longer than recording does. */
static char *put(char *at, const char *text)
{
    size_t len = strlen(text);
    memcpy(at, text, len); /* NOLINT: the end is put there last */
    return at + len;
}

static char *put_number(char *at, uint64_t number, unsigned digits_min)
{
    char digits[20];
    unsigned count = 0;
    while (number > 0 || count < digits_min) {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    }
    while (count > 0) {
        *at++ = digits[--count];
    }
    return at;
}

static char *put_hex(char *at, uint64_t number, unsigned digits)
{
    for (unsigned i = digits; i > 0; i--) {
        *at++ = "0123456789abcdef"[number >> (4 * (i - 1)) & 15];
    }
    return at;
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
    const char *group = groups[r % TL_ARRAY_LEN(groups)];
    const char *severity = severities[r / 13 % TL_ARRAY_LEN(severities)];
    *put(put(put(event->action, group), "."), verbs[r / 20 % TL_ARRAY_LEN(verbs)]) = '\0';
    *put_number(put(event->actor_id, "user-"), r / 211 % 5000, 5) = '\0';
    *put(event->target_type, group) = '\0';
    *put_number(put(event->target_id, "obj-"), r / 1009 % 50000, 6) = '\0';
    *put(event->outcome, r / 7 % 25 == 0 ? "failure" : "success") = '\0';
    *put(event->severity, r / 13 % 500 == 0 ? "critical" : severity) = '\0';
    *put_number(put(event->tenant_id, "tenant-"), r / 17 % 40, 2) = '\0';
}

/* The members that are in two thirds of the events only. */
static char *put_details(char *at, uint64_t r)
{
    at = put_number(put(at, ",\"metadata\":{\"attempt\":"), r % 4, 1);
    at = put_hex(put(at, ",\"channel\":\"web\",\"note\":\"reference "), r, 16);
    at = put_number(put(at, "\"},\"new_values\":{\"amount\":\""), r % 9973, 1);
    at = put(at, ".50\",\"state\":\"open\"},\"old_values\":{\"amount\":\"");
    at = put(put_number(at, r % 9967, 1), ".00\",\"state\":\"draft\"}");
    return at;
}

static char *put_json(char *at, const struct tl_bench_event *event, uint64_t r)
{
    bool detailed = r % 3 != 0;
    at = put(put(at, "{\"action\":\""), event->action);
    at = put(put(at, "\",\"actor\":{\"id\":\""), event->actor_id);
    at = put_number(put(at, "\",\"name\":\"Person Number "), r / 211 % 5000, 1);
    at = put(put(at, "\",\"type\":\"user\"},\"id\":\""), event->id);
    at = put(at, "\"");
    at = detailed ? put_details(at, r) : at;
    at = put(put(at, ",\"occurred_at\":\""), event->occurred_at);
    at = put(put(at, "\",\"outcome\":\""), event->outcome);
    if (detailed) {
        at = put_number(put(at, "\",\"reason\":\"requested in ticket OPS-"), r % 99991, 1);
    }
    at = put_hex(put(at, "\",\"request_id\":\"req-"), r, 12);
    at = put(put(at, "\",\"severity\":\""), event->severity);
    at = put_number(put(at, "\",\"source\":{\"host\":\"app-"), r % 8, 1);
    at = put_number(put(at, ".example.com\",\"ip\":\"192.0.2."), r % 250, 1);
    at = put(put(at, "\",\"service\":\"web\"},\"targets\":[{\"id\":\""), event->target_id);
    at = put(put(at, "\",\"type\":\""), event->target_type);
    at = put(put(at, "\"}],\"tenant_id\":\""), event->tenant_id);
    return put(at, "\",\"transport\":\"http\"}");
}

void tl_bench_event_make(struct tl_bench_event *event, uint64_t n, bool random_ids)
{
    uint64_t r = mix(n);
    int64_t us = FIRST_US + (int64_t)n * STEP_US + (int64_t)(r % 9000);
    make_id(event, n, us, random_ids);
    event->occurred_at[tl_time_format(event->occurred_at, us)] = '\0';
    fill_words(event, r >> 8);
    char *end = put_json(event->json, event, r);
    *end = '\0';
    event->len = (size_t)(end - event->json);
    tl_assert(event->len < sizeof(event->json)); /* all parts are bounded */
}
