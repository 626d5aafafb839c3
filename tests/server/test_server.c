/* A server in this process, whose memory runs out in the middle of a request. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/parse.h"
#include "check.h"
#include "fault.h"
#include "server/server.h"
#include "site.h"

#define REPLY_SIZE  ((size_t)1 << 16)
#define ASK_MAX     10000 /* times that a job is asked for, 2 ms apart */
#define NUMBERS_MAX 20000u

struct fixture {
    void *dir;
    struct site site;
    struct tally_ledger *ledger;
    struct tally_options location;
    struct tl_server *server;
    char socket[SITE_PATH_SIZE], listen[SITE_PATH_SIZE + 8], tokens[SITE_PATH_SIZE];
    unsigned number;         /* of the next request: what it makes has a name of its own */
    bool acked[NUMBERS_MAX]; /* events that were acknowledged, by their numbers */
    char reply[REPLY_SIZE];
};

static void ignore(void *ctx, const char *line)
{
    (void)ctx;
    (void)line;
}

static tally_status start(struct fixture *fix)
{
    const char *const listen[] = { fix->listen };
    fix->location = (struct tally_options)TALLY_OPTIONS_INIT;
    fix->location.uri = fix->site.dir;
    const struct tl_server_options options = { .ledger = fix->ledger,
                                               .location = &fix->location,
                                               .listen = listen,
                                               .listen_count = 1,
                                               .token_path = fix->tokens,
                                               .log = ignore };
    return tl_server_start(&fix->server, &options, NULL);
}

static int begin(void **state)
{
    struct fixture *fix = tl_alloc_array(1, sizeof(*fix));
    assert_non_null(fix);
    assert_int_equal(check_mkdir(&fix->dir), 0);
    site_init(&fix->site, fix->dir, NULL, 0);
    fix->ledger = site_open(&fix->site);
    (void)site_append(fix->ledger, "first", 1);
    check_path(fix->socket, sizeof(fix->socket), fix->dir, "s");
    (void)snprintf(fix->listen, sizeof(fix->listen), "unix:%s", fix->socket);
    check_path(fix->tokens, sizeof(fix->tokens), fix->dir, "tokens.json");
    *state = fix;
    return 0;
}

static int end(void **state)
{
    struct fixture *fix = *state;
    tl_server_stop(fix->server);
    tally_close(fix->ledger);
    (void)site_verify(&fix->site);
    assert_int_equal(check_rmdir(&fix->dir), 0);
    tl_free(fix);
    return 0;
}

/* -1: nobody answers. */
static int connect_to(const struct fixture *fix)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const struct timeval patience = { .tv_sec = 20 };
    assert_true(strlen(fix->socket) < sizeof(address.sun_path));
    memcpy(address.sun_path, fix->socket, strlen(fix->socket));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* One request as the owner of the server. Its reply is in fix->reply as far as there is room; of a
 * stream only what comes first. Returns its status; 0 if the connection was closed without one. */
static unsigned ask(struct fixture *fix, const char *method, const char *path, const char *body)
{
    char request[1024];
    int fd = connect_to(fix);
    int len = snprintf(request, sizeof(request),
                       "%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: "
                       "application/json\r\nContent-Length: %zu\r\n\r\n%s",
                       method, path, strlen(body), body);
    assert_true(len > 0 && (size_t)len < sizeof(request));
    assert_int_equal(send(fd, request, (size_t)len, MSG_NOSIGNAL), len);
    size_t got = 0;
    ssize_t more = 0;
    bool is_tail = strstr(path, "/tail") != NULL;
    do {
        more = recv(fd, fix->reply + got, REPLY_SIZE - 1 - got, 0);
        got += more > 0 ? (size_t)more : 0;
    } while (more > 0 && got < REPLY_SIZE - 1 && !is_tail);
    fix->reply[got] = '\0';
    if (more < 0 && errno == EAGAIN) {
        fail_msg("%s %s is never answered", method, path);
    }
    assert_int_equal(close(fd), 0);
    uint64_t status = 0;
    if (got >= 12) { /* "HTTP/1.1 200" */
        check_ok(tl_parse_u64(fix->reply + 9, 3, 599, &status));
    }
    return (unsigned)status;
}

/* A kind of request, with its status where nothing fails. # is a number that no other has. */
struct kind {
    const char *method, *path, *body;
    unsigned status;
};

static const struct kind kinds[] = {
    { "POST", "/v1/events", "{\"id\":\"n#\",\"action\":\"a.b\"}", 201 },
    { "POST", "/v1/events", "[{\"id\":\"n#\",\"action\":\"a.b\"}]", 201 },
    { "POST", "/v1/events?ack=queued", "[{\"id\":\"n#\",\"action\":\"a.b\"}]", 202 },
    { "POST", "/v1/events", "[{\"action\":\"a b\"},{\"x#\":1}]", 422 },
    { "GET", "/v1/events?limit=5&count=exact&action=test.*", "", 200 },
    { "GET", "/v1/events/first", "", 200 },
    { "GET", "/v1/records/1/proof", "", 200 },
    { "GET", "/v1/count?exact=true", "", 200 },
    { "GET", "/v1/stats?by=action&by_day=true", "", 200 },
    { "GET", "/v1/tail?after=0", "", 200 },
    { "GET", "/v1/exports?action=test.*", "", 200 },
    { "GET", "/v1/exports?format=csv&action=test.*", "", 200 },
    { "GET", "/v1/checkpoint", "", 200 },
    { "GET", "/v1/consistency?from=1", "", 200 },
    { "GET", "/v1/trust", "", 200 },
    { "GET", "/v1/verify/last", "", 200 },
    { "GET", "/v1/jobs", "", 200 },
    { "DELETE", "/v1/jobs/j1", "", 200 },
    { "GET", "/v1/retention", "", 200 },
    { "POST", "/v1/retention/test", "{\"settings\":[\"retention.default_days=#\"]}", 200 },
    { "POST", "/v1/holds", "{\"hold\":\"h#\",\"filter\":{\"id\":\"first\"},\"dry_run\":true}",
      200 },
    { "GET", "/v1/holds", "", 200 },
    { "DELETE", "/v1/holds/none", "", 404 },
    { "POST", "/v1/tokens", "{\"name\":\"n#\",\"role\":\"reader\",\"tenants\":[\"t\"]}", 201 },
    { "GET", "/v1/tokens", "", 200 },
    { "DELETE", "/v1/tokens/00000000", "", 404 },
    { "GET", "/v1/whoami", "", 200 },
    { "GET", "/v1/status", "", 200 },
    { "GET", "/v1/schedules", "", 200 },
    { "GET", "/v1/keys", "", 200 },
    { "GET", "/readyz", "", 200 },
    { "GET", "/metrics", "", 200 },
    { "GET", "/openapi.json", "", 200 },
    { "GET", "/problems/bad_json", "", 200 },
    { "GET", "/ui/index.html", "", 200 },
};

/* Each leaves behind what all that come later read: asked for once. */
static const struct kind hold = { "POST", "/v1/holds",
                                  "{\"hold\":\"h#\",\"ranges\":[[0,1]],\"reason\":\"r\"}", 201 };

static const struct kind jobs[] = {
    { "POST", "/v1/verify", "{}", 202 },
    { "POST", "/v1/verify", "{\"scope\":\"id\",\"id\":\"first\"}", 202 },
    { "POST", "/v1/purges", "{\"dry_run\":true}", 202 },
    { "POST", "/v1/erasures", "{\"subject\":\"actor:u#\",\"reason\":\"r\"}", 202 },
    { "POST", "/v1/erasures", "{\"filter\":{\"id\":\"first\"},\"dry_run\":true}", 202 },
};

static struct fixture *current; /* what a run has apart from its kind */

static void fill_in(char *out, size_t size, const char *text, unsigned number)
{
    size_t head = strcspn(text, "#");
    assert_true(strlen(text) + 12 < size);
    memcpy(out, text, head + 1);
    if (text[head] == '#') {
        (void)snprintf(out + head, size - head, "%u%s", number, text + head + 1);
    }
}

/* What fails inside is a problem, or the end of the connection; everything else is as it always is. */
static void check_reply(const struct kind *kind, unsigned status)
{
    bool is_problem = strstr(current->reply, "Content-Type: application/problem+json") != NULL;
    bool is_failure = status == 500 || status == 503;
    if (status != 0 && status != kind->status && !(is_failure && is_problem)) {
        print_error("%s %s: %s\n", kind->method, kind->path, current->reply);
        assert_int_equal(status, kind->status);
    }
}

/* A file of many takes many allocations. */
static void forget_token(void)
{
    fault_relent();
    char path[64];
    const char *id = strstr(current->reply, "\"id\":\"");
    assert_non_null(id);
    (void)snprintf(path, sizeof(path), "/v1/tokens/%.8s", id + 6);
    assert_int_equal(ask(current, "DELETE", path, ""), 200);
}

static unsigned run_kind(const struct kind *kind)
{
    char body[256];
    unsigned number = current->number++;
    assert_true(number < NUMBERS_MAX);
    fill_in(body, sizeof(body), kind->body, number);
    unsigned status = ask(current, kind->method, kind->path, body);
    check_reply(kind, status);
    if (status == 201 && strcmp(kind->path, "/v1/tokens") == 0) {
        forget_token();
    }
    current->acked[number] = strncmp(kind->path, "/v1/events", 10) == 0 &&
                             (status == 200 || status == 201 || status == 202) &&
                             strcmp(kind->method, "POST") == 0;
    return status;
}

static tally_status run_one(const void *ctx)
{
    (void)run_kind(ctx);
    return TALLY_OK;
}

/* Until it has ended, whatever becomes of those who ask. */
static tally_status run_job(const void *ctx)
{
    if (run_kind(ctx) != 202) {
        return TALLY_OK;
    }
    char path[64];
    const char *id = strstr(current->reply, "\"id\":\"j");
    assert_non_null(id);
    uint64_t number = 0;
    check_ok(tl_parse_u64(id + 7, strcspn(id + 7, "\""), UINT64_MAX, &number));
    (void)snprintf(path, sizeof(path), "/v1/jobs/j%" PRIu64, number);
    for (unsigned i = 0; i < ASK_MAX; i++) {
        if (ask(current, "GET", path, "") == 200 && strstr(current->reply, "\"queued\"") == NULL &&
            strstr(current->reply, "\"running\"") == NULL) {
            return TALLY_OK;
        }
        const struct timespec pause = { .tv_nsec = 2000000 };
        (void)nanosleep(&pause, NULL);
    }
    fail_msg("%s does not end: %s", path, current->reply);
    return TALLY_OK;
}

static void answers_each_kind_of_request(struct fixture *fix)
{
    current = fix;
    assert_int_equal(run_kind(&hold), hold.status);
    for (size_t i = 0; i < TL_ARRAY_LEN(jobs); i++) {
        assert_int_equal(run_kind(&jobs[i]), jobs[i].status);
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(kinds); i++) {
        if (run_kind(&kinds[i]) != kinds[i].status) {
            print_error("%s %s: %s\n", kinds[i].method, kinds[i].path, fix->reply);
            assert_true(false);
        }
    }
}

static void check_acked(struct fixture *fix)
{
    tl_server_stop(fix->server);
    fix->server = NULL;
    tally_close(fix->ledger);
    fix->ledger = site_open(&fix->site);
    for (unsigned i = 0; i < fix->number; i++) {
        char id[24];
        (void)snprintf(id, sizeof(id), "n%u", i);
        if (fix->acked[i] && !site_has(fix->ledger, id)) {
            print_error("%s was acknowledged, and is not there\n", id);
            assert_true(false);
        }
    }
}

static void answers_or_says_why_not_when_memory_runs_out(void **state)
{
    struct fixture *fix = *state;
    check_ok(start(fix));
    answers_each_kind_of_request(fix);
    for (size_t i = 0; i < TL_ARRAY_LEN(kinds); i++) {
        (void)fault_each_alloc_or_ok(run_one, &kinds[i]);
    }
    answers_each_kind_of_request(fix);
    check_acked(fix);
}

static void ends_each_job_when_memory_runs_out(void **state)
{
    struct fixture *fix = *state;
    current = fix;
    check_ok(start(fix));
    for (size_t i = 0; i < TL_ARRAY_LEN(jobs); i++) {
        assert_true(fault_each_alloc_or_ok(run_job, &jobs[i]) > 0);
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(jobs); i++) {
        assert_int_equal(run_kind(&jobs[i]), 202);
    }
    check_acked(fix);
}

static tally_status start_and_stop(const void *ctx)
{
    (void)ctx;
    tally_status status = start(current);
    if (status == TALLY_OK) {
        tl_server_stop(current->server);
    }
    current->server = NULL;
    return status;
}

static void starts_or_leaves_nothing_behind(void **state)
{
    current = *state;
    assert_true(fault_each_alloc_or_ok(start_and_stop, NULL) > 10);
    check_ok(start(current));
    answers_each_kind_of_request(current);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_or_says_why_not_when_memory_runs_out, begin, end),
        cmocka_unit_test_setup_teardown(ends_each_job_when_memory_runs_out, begin, end),
        cmocka_unit_test_setup_teardown(starts_or_leaves_nothing_behind, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
