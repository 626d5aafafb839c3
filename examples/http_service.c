/*
 * http_service.c - a small HTTP service that says in its audit log who read and changed what.
 *
 * usage: http_service LEDGER [PORT]   a directory that `tally init` made; port 0: any that is free
 *
 *     curl -H 'X-User: alice' -X PUT --data 'blue' http://localhost:8080/items/sky
 *
 * Each request is one span: it begins with the request and ends when the answer is out, however that
 * goes. SIGTERM ends the service.
 */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

#include <tally/tally.h>

#define ITEMS_MAX 8u
#define NAME_SIZE 64u
#define TEXT_SIZE 1024u

struct item {
    char name[NAME_SIZE]; /* "" for a free place */
    char text[TEXT_SIZE];
};
static struct item items[ITEMS_MAX];
static pthread_mutex_t items_mutex = PTHREAD_MUTEX_INITIALIZER;

/* A request between its first line and its last byte. */
struct request {
    struct tally_span span;
    unsigned status;      /* of HTTP */
    size_t len;           /* of the body, even if that is too long */
    char text[TEXT_SIZE]; /* of the body, and then of the answer */
};

/*
 * Stands for a library: it cannot know whether the program around it keeps an audit log, and need
 * not. Without one the default logger counts the event, and that is all.
 */
static void say_that_it_is_full(const char *name)
{
    struct tally_event *event = NULL;
    if (tally_event_new(&event, NULL) == TALLY_OK) {
        tally_event_set(event, TALLY_ACTION, "items.full");
        tally_event_set(event, TALLY_SEVERITY, "high");
        tally_event_add_target(event, "item", name, NULL);
        tally_event_add_uint(event, TALLY_METADATA, "items_max", ITEMS_MAX);
        (void)tally_log(tally_default_logger(), event); /* a loss is counted, and declared */
        tally_event_free(event);
    }
}

/* The place of a name, or else a free one, or NULL. */
static struct item *find_item(const char *name)
{
    struct item *place = NULL;
    for (struct item *item = items; item < items + ITEMS_MAX; item++) {
        if (strcmp(item->name, name) == 0) {
            return item;
        }
        place = item->name[0] == '\0' ? item : place;
    }
    return place;
}

static unsigned read_item(struct request *request, const char *name)
{
    const struct item *item = find_item(name);
    if (item == NULL || item->name[0] == '\0') {
        return MHD_HTTP_NOT_FOUND;
    }
    memcpy(request->text, item->text, TEXT_SIZE);
    return MHD_HTTP_OK;
}

static unsigned write_item(struct request *request, const char *name)
{
    struct tally_event *event = tally_span_event(&request->span);
    struct item *item = find_item(name);
    if (item == NULL) {
        say_that_it_is_full(name);
        return MHD_HTTP_INSUFFICIENT_STORAGE;
    }
    bool is_new = item->name[0] == '\0';
    tally_event_add_text(event, TALLY_NEW_VALUES, "text", request->text);
    if (!is_new) {
        tally_event_add_text(event, TALLY_OLD_VALUES, "text", item->text);
    }
    memcpy(item->name, name, strlen(name) + 1);
    memcpy(item->text, request->text, TEXT_SIZE);
    return is_new ? MHD_HTTP_CREATED : MHD_HTTP_OK;
}

static unsigned work(struct request *request, const char *method, const char *url)
{
    const char *name = strncmp(url, "/items/", 7) == 0 ? url + 7 : "";
    tally_event_add_target(tally_span_event(&request->span), "item", name, NULL);
    if (name[0] == '\0' || strlen(name) >= NAME_SIZE || request->len >= TEXT_SIZE) {
        return MHD_HTTP_BAD_REQUEST;
    }
    pthread_mutex_lock(&items_mutex);
    unsigned status = strcmp(method, "GET") == 0   ? read_item(request, name)
                      : strcmp(method, "PUT") == 0 ? write_item(request, name)
                                                   : MHD_HTTP_METHOD_NOT_ALLOWED;
    pthread_mutex_unlock(&items_mutex);
    return status;
}

/* A header as a member of the event. What a client sends has any length, members have not. */
static void set_from_header(struct request *request, enum tally_member member,
                            struct MHD_Connection *connection, const char *name)
{
    const char *text = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
    if (text != NULL) {
        tally_event_set_len(tally_span_event(&request->span), member, text, strnlen(text, 200));
    }
}

static struct request *begin(struct MHD_Connection *connection, struct tally_logger *logger,
                             const char *method)
{
    struct request *request = calloc(1, sizeof(*request));
    if (request != NULL) {
        tally_span_begin(&request->span, logger,
                         strcmp(method, "GET") == 0 ? "item.read" : "item.write");
        tally_event_set(tally_span_event(&request->span), TALLY_TRANSPORT, "http");
        /* A real service takes the actor from what it has checked, never from a bare header. */
        set_from_header(request, TALLY_ACTOR_ID, connection, "X-User");
        set_from_header(request, TALLY_REQUEST_ID, connection, "X-Request-Id");
        set_from_header(request, TALLY_SOURCE_USER_AGENT, connection, "User-Agent");
    }
    return request;
}

/* libmicrohttpd calls this when the headers are there, for each part of the body, and at its end. */
/* NOLINTNEXTLINE(readability-function-size): it says how many parameters there are */
static enum MHD_Result handle(void *logger, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *part,
                              size_t *part_len, void **state)
{
    (void)version;
    struct request *request = *state;
    if (request == NULL) {
        *state = begin(connection, logger, method);
        return *state == NULL ? MHD_NO : MHD_YES;
    }
    if (*part_len > 0) {
        if (request->len + *part_len < TEXT_SIZE) {
            memcpy(request->text + request->len, part, *part_len);
        }
        request->len += *part_len;
        *part_len = 0;
        return MHD_YES;
    }
    request->status = work(request, method, url);
    if (request->status >= 400) {
        (void)snprintf(request->text, TEXT_SIZE, "%s", MHD_get_reason_phrase_for(request->status));
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(request->text), request->text, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result = MHD_queue_response(connection, request->status, response);
    MHD_destroy_response(response);
    return result;
}

/* Called once for each request that began, also if its client has gone meanwhile. */
static void end(void *ctx, struct MHD_Connection *connection, void **state,
                enum MHD_RequestTerminationCode how)
{
    (void)ctx;
    (void)connection;
    struct request *request = *state;
    if (request == NULL) {
        return;
    }
    bool is_answered = how == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    bool is_good = is_answered && request->status < 400;
    tally_event_add_uint(tally_span_event(&request->span), TALLY_RESPONSE, "status",
                         request->status);
    (void)tally_span_end(&request->span, is_good ? TALLY_OUTCOME_SUCCESS : TALLY_OUTCOME_FAILURE,
                         is_good       ? NULL
                         : is_answered ? MHD_get_reason_phrase_for(request->status)
                                       : "the client did not wait for the answer",
                         NULL);
    free(request);
}

static int serve(struct tally_logger *logger, unsigned short port)
{
    sigset_t stop;
    int number = 0;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stop, NULL); /* before threads start, so that all have it blocked */
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD, port, NULL, NULL, handle, logger,
        MHD_OPTION_THREAD_POOL_SIZE, 4u, MHD_OPTION_NOTIFY_COMPLETED, end, NULL, MHD_OPTION_END);
    if (daemon == NULL) {
        (void)fprintf(stderr, "http_service: cannot listen on port %u\n", port);
        return 1;
    }
    printf("port %u\n", MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    (void)fflush(stdout);
    sigwait(&stop, &number);
    MHD_stop_daemon(daemon); /* requests that are still open come to their end() */
    return 0;
}

static void warn(void *ctx, const char *name, const char *fields)
{
    (void)ctx;
    (void)fprintf(stderr, "http_service: %s %s\n", name, fields);
}

int main(int argc, char *argv[])
{
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_ledger *ledger = NULL;
    struct tally_logger *logger = NULL;
    struct tally_options options = TALLY_OPTIONS_INIT;
    struct tally_logger_options logger_options = TALLY_LOGGER_OPTIONS_INIT;
    options.uri = argc > 1 ? argv[1] : "audit";
    options.writable = 1;
    options.unattended = 1; /* a ledger in trouble is no reason not to serve: events wait */
    logger_options.on_warning = warn;
    if (tally_open(&ledger, &options, &err) != TALLY_OK ||
        tally_logger_open(&logger, ledger, &logger_options, &err) != TALLY_OK) {
        (void)fprintf(stderr, "http_service: %s\n", err.message);
        tally_close(ledger);
        return 1;
    }
    tally_set_default_logger(logger); /* from here on libraries log as well */
    int bad = serve(logger, argc > 2 ? (unsigned short)strtoul(argv[2], NULL, 10) : 8080);
    tally_set_default_logger(NULL);
    struct tally_left left = { .struct_size = sizeof(left) };
    tally_logger_close(logger, 2000, &left); /* what is left stays in the spool: it is not lost */
    printf("left %llu, lost %llu\n", (unsigned long long)left.events,
           (unsigned long long)left.lost);
    tally_close(ledger);
    return bad;
}
