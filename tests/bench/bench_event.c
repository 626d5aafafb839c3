/* What one event costs: to take in, to read back, and to index. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/limits.h"
#include "crypto/crypto.h"
#include "model/event_fast.h"
#include "model/filter.h"

#define ROUNDS  50
#define REPEATS 5000
#define MEMORY  ((size_t)1 << 20)

static const char event[] =
    "{\"id\":\"019cebab-8995-7cb0-91a2-b3c4d5e6f708\",\"occurred_at\":"
    "\"2026-03-14T09:26:53.589793Z\",\"action\":\"user.role.update\",\"actor\":{\"type\":\"user\","
    "\"id\":\"user-42\",\"name\":\"Example Person\"},\"targets\":[{\"type\":\"User\",\"id\":"
    "\"user-99\",\"name\":\"sam@example.com\"}],\"outcome\":\"success\",\"severity\":\"high\","
    "\"source\":{\"service\":\"accounts\",\"ip\":\"192.0.2.7\",\"user_agent\":\"curl/8.5.0\"},"
    "\"tenant_id\":\"tenant-acme\",\"old_values\":{\"role\":\"member\"},\"new_values\":{\"role\":"
    "\"admin\"},\"correlation_id\":\"corr-7f3a\",\"request_id\":\"req-9d1c\",\"metadata\":{"
    "\"attempt\":1,\"changed_field\":\"role\",\"note\":\"a few words of text\"}}";

static const char loose[] =
    "{\"action\": \"user.role.update\", \"actor\": {\"type\": \"user\", \"id\": \"user-42\", "
    "\"name\": \"Example Person\"}, \"targets\": [{\"type\": \"User\", \"id\": \"user-99\", "
    "\"name\": \"sam@example.com\"}], \"outcome\": \"success\", \"severity\": \"high\", "
    "\"source\": {\"service\": \"accounts\", \"ip\": \"192.0.2.7\", \"user_agent\": "
    "\"curl/8.5.0\"}, \"tenant_id\": \"tenant-acme\", \"old_values\": {\"role\": \"member\"}, "
    "\"new_values\": {\"role\": \"admin\"}, \"correlation_id\": \"corr-7f3a\", \"request_id\": "
    "\"req-9d1c\", \"metadata\": {\"note\": \"a few words of text\", \"attempt\": 1, "
    "\"changed_field\": \"role\"}}";

struct bench {
    struct tl_event_reader reader;
    struct tl_arena arena;
    struct tl_buf canonical, terms;
    struct tl_event_view view;
    struct tl_event_keys keys;
};

static void take_in(struct bench *b)
{
    static const uint8_t fresh[16];
    struct tl_event_input input = { .json = event, .len = sizeof(event) - 1, .random = fresh };
    uint32_t notes = 0;
    tl_buf_clear(&b->canonical);
    tally_status status = tl_event_canonical(&b->reader, &input, &b->canonical, &notes, NULL);
    tl_assert(status == TALLY_OK);
}

/* The same event as a program would hand it in that has its JSON printed with spaces. */
static void take_in_loose(struct bench *b)
{
    static const uint8_t fresh[16];
    struct tl_event_input input = { .json = loose, .len = sizeof(loose) - 1, .random = fresh };
    uint32_t notes = 0;
    tl_buf_clear(&b->canonical);
    tally_status status = tl_event_canonical(&b->reader, &input, &b->canonical, &notes, NULL);
    tl_assert(status == TALLY_OK);
}

/* By the tree and the draft, as events that are not simple. */
static void take_in_slowly(struct bench *b)
{
    static const uint8_t fresh[16];
    struct tl_event_input input = { .json = event, .len = sizeof(event) - 1, .random = fresh };
    uint32_t notes = 0;
    tl_buf_clear(&b->canonical);
    tl_arena_reset(&b->reader.arena);
    tally_status status = tl_event_draft(&b->reader, &input, &b->canonical, &notes, NULL);
    tl_assert(status == TALLY_OK);
}

static void read_view(struct bench *b)
{
    tl_arena_reset(&b->arena);
    tally_status status =
        tl_event_view_read(&b->view, &b->arena, b->canonical.data, b->canonical.len);
    tl_assert(status == TALLY_OK);
}

static void read_keys(struct bench *b)
{
    tally_status status = tl_event_keys_read(&b->keys, b->canonical.data, b->canonical.len);
    tl_assert(status == TALLY_OK);
}

static void make_terms(struct bench *b)
{
    static const struct tl_str members[] = { { "reason", 6 },
                                             { "actor.name", 10 },
                                             { "targets.name", 12 } };
    struct tl_record_facts facts = { .kind = TL_STR("event"), .state = TL_STR("present") };
    tl_buf_clear(&b->terms);
    tl_terms_add(&b->terms, &facts, &b->view, members, TL_ARRAY_LEN(members));
}

static double now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* Prints the best of many rounds: what disturbs a round only ever makes it slower. */
static void measure(const char *name, void (*run)(struct bench *), struct bench *b)
{
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (int i = 0; i < REPEATS; i++) {
            run(b);
        }
        double ns = (now_ns() - start) / REPEATS;
        best = round == 0 || ns < best ? ns : best;
    }
    printf("%-28s %6.0f ns for %zu bytes\n", name, best, b->canonical.len);
}

int main(void)
{
    static const struct tl_event_rules rules = { .bytes_max = TL_EVENT_BYTES_DEFAULT };
    struct bench b;
    tl_event_reader_init(&b.reader, &rules, tl_sha256);
    tl_arena_init(&b.arena, MEMORY);
    tl_buf_init(&b.canonical, MEMORY);
    tl_buf_init(&b.terms, MEMORY);
    measure("canonical text", take_in, &b);
    measure("canonical text, spaced", take_in_loose, &b);
    measure("canonical text, by a tree", take_in_slowly, &b);
    measure("view", read_view, &b);
    measure("keys", read_keys, &b);
    measure("terms", make_terms, &b);
    tl_buf_release(&b.terms);
    tl_buf_release(&b.canonical);
    tl_arena_release(&b.arena);
    tl_event_reader_release(&b.reader);
    return 0;
}
