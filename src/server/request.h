/*
 * server/request.h - a request as handlers see it, and the reply that they fill in.
 *
 * A handler runs on one thread, owns the request meanwhile, and knows nothing of sockets.
 */
#ifndef TL_SERVER_REQUEST_H
#define TL_SERVER_REQUEST_H

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"
#include "codec/js.h"
#include "codec/json.h"
#include "server/server.h"
#include "server/stream.h"
#include "server/tokens.h"

#define TL_PARAMS_MAX      64u
#define TL_REQUEST_ID_SIZE 129u
#define TL_REPLY_HEADERS   6u

struct tl_param {
    struct tl_str name, value; /* decoded; NUL-terminated as well */
};

struct tl_reply_header {
    const char *name; /* static */
    const char *text; /* outlives the server; NULL: the value */
    char value[200];
};

struct tl_reply {
    unsigned status; /* 0: none yet */
    const char *content_type;
    struct tl_buf body;
    struct tl_stream *stream; /* owned; instead of a body */
    struct tl_reply_header headers[TL_REPLY_HEADERS];
    size_t header_count;
    struct tl_str fixed; /* static bytes, instead of a body */
    bool is_cacheable;
};

struct tl_route;
struct tl_server;

struct tl_request {
    struct tl_server *server;
    const struct tl_route *route;
    const char *method;
    const char *path;      /* as sent, without the query; decoded parts are in `args`; borrowed, as
                              the headers below, until the reply is out */
    char *args[2];         /* what stands for {…} in the route's path, decoded */
    struct tl_arena arena; /* for what lives as long as the request */
    struct tl_param params[TL_PARAMS_MAX];
    size_t param_count;
    struct tl_buf body;
    const char *content_type, *accept, *idempotency_key, *last_event_id; /* NULL: none */
    const char *origin, *preflight; /* of what page, and for which method it asks; NULL: none */
    char id[TL_REQUEST_ID_SIZE];
    char peer[64]; /* the address, for events */
    struct tl_identity who;
    bool has_bad_token;  /* one was sent that is not in force */
    size_t body_len;     /* bytes that came, even if that is too many */
    struct tl_str about; /* JSON: what its act is about, for the record of it; borrowed */
    struct tl_reply reply;
    struct tl_request *next; /* in a queue */
    void *connection;
    int64_t began_us;
};

/* The value of a parameter; NULL if it was not sent. */
const char *tl_request_param(const struct tl_request *request, const char *name);

/* A reply of JSON: begin, fill in, end. */
void tl_reply_begin(struct tl_request *request, unsigned status, struct tl_js *js);
void tl_reply_end(struct tl_request *request, struct tl_js *js);
/* The same for an object with one array: begin, fill it in, end with how that went. */
void tl_reply_list_begin(struct tl_request *request, const char *name, struct tl_js *js);
void tl_reply_list_end(struct tl_request *request, tally_status status,
                       const struct tally_error *err, struct tl_js *js);
void tl_reply_text(struct tl_request *request, unsigned status, const char *content_type,
                   const char *text, size_t len);
void tl_reply_header(struct tl_request *request, const char *name, const char *fmt, ...)
    TL_PRINTF(3, 4);

/* The same with a text of any length, which outlives the server. */
void tl_reply_header_text(struct tl_request *request, const char *name, const char *text);

/* Whether its Content-Type is `type`, with whatever parameters. */
bool tl_request_is_type(const struct tl_request *request, const char *type);

/* Reads the body, application/json, as one JSON object whose members are all among `names` (NULL at the end). An empty
 * body is an empty object. On failure the reply is a problem already. */
bool tl_request_object(struct tl_request *request, const char *const *names,
                       const struct tl_json **root_out);

/* Members of such an object; false, with a problem as reply, if the type is wrong. Absent ones leave
 * *out as it was. Texts live in the arena. */
bool tl_member_text(struct tl_request *request, const struct tl_json *object, const char *name,
                    const char **out);
bool tl_member_bool(struct tl_request *request, const struct tl_json *object, const char *name,
                    bool *out);
bool tl_member_u64(struct tl_request *request, const struct tl_json *object, const char *name,
                   uint64_t *out);
bool tl_member_time(struct tl_request *request, const struct tl_json *object, const char *name,
                    int64_t *out);
/* An array of strings, or one string. */
bool tl_member_texts(struct tl_request *request, const struct tl_json *object, const char *name,
                     const char *const **out, size_t *count_out);

/* NUL-terminated copy in the arena; NULL without memory, and then the reply says so. */
char *tl_request_copy(struct tl_request *request, struct tl_str text);

#endif /* TL_SERVER_REQUEST_H */
