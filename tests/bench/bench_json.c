/* What one event costs: to read, in canonical order and not, to write, and to check. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "codec/json.h"

#define ROUNDS  50
#define REPEATS 5000
#define MEMORY  ((size_t)1 << 20)

static const char event[] =
    "{\"id\":\"018f3c2e-7b1a-7c3d-9e4f-0123456789ab\",\"occurred_at\":\"2024-05-02T12:34:56."
    "789012Z\","
    "\"action\":\"user.login\",\"outcome\":\"success\",\"severity\":\"info\",\"tenant_id\":"
    "\"acme\","
    "\"actor\":{\"type\":\"user\",\"id\":\"u-102938\",\"name\":\"Ada Lovelace\"},"
    "\"source\":{\"ip\":\"203.0.113.77\",\"port\":44321,\"user_agent\":\"curl/8.1.2\"},"
    "\"request\":{\"method\":\"POST\",\"path\":\"/api/v1/session\",\"id\":\"req-7f3a9c21\"},"
    "\"session_id\":\"s-5512349876\",\"reason\":null,"
    "\"targets\":[{\"type\":\"document\",\"id\":\"doc-1\"}],"
    "\"metadata\":{\"region\":\"eu-central-1\",\"mfa\":true,\"attempt\":3,\"duration_ms\":12.5,"
    "\"browser\":\"Mozilla/5.0 (X11; Linux x86_64) Firefox/115.0\"}}";

struct bench {
    struct tl_arena arena;
    struct tl_buf out;
    struct tl_str text; /* to read */
    const struct tl_json *root;
};

static void read_event(struct bench *b)
{
    tl_arena_reset(&b->arena);
    tally_status status =
        tl_json_read(&b->arena, b->text.text, b->text.len, &tl_json_limits_format, &b->root, NULL);
    tl_assert(status == TALLY_OK);
}

static void write_event(struct bench *b)
{
    tl_buf_clear(&b->out);
    tl_json_write(&b->out, b->root);
    tl_assert(tl_buf_status(&b->out) == TALLY_OK);
}

static void check_event(struct bench *b)
{
    tally_status status = tl_json_check_canonical(b->text.text, b->text.len, NULL);
    tl_assert(status == TALLY_OK);
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
    printf("%-28s %6.0f ns for %zu bytes\n", name, best, b->text.len);
}

int main(void)
{
    struct bench b = { .text = TL_STR(event) };
    tl_arena_init(&b.arena, MEMORY);
    tl_buf_init(&b.out, MEMORY);
    measure("read", read_event, &b);
    measure("write", write_event, &b);

    struct tl_buf canonical;
    tl_buf_init(&canonical, MEMORY);
    tl_buf_add_str(&canonical, tl_buf_str(&b.out));
    b.text = tl_buf_str(&canonical);
    measure("read, canonical", read_event, &b);
    measure("check, canonical", check_event, &b);
    tl_buf_release(&canonical);
    tl_buf_release(&b.out);
    tl_arena_release(&b.arena);
    return 0;
}
