/* server/problem.h - failures as problem documents (RFC 9457), with stable codes. */
#ifndef TL_SERVER_PROBLEM_H
#define TL_SERVER_PROBLEM_H

#include "server/request.h"

/* What a code means. Static. */
struct tl_problem {
    const char *code;
    unsigned status;
    const char *title;
    const char *advice; /* for /problems/{code} */
};

extern const struct tl_problem tl_problems[];
extern const size_t tl_problem_count;

/* NULL if there is none. */
const struct tl_problem *tl_problem_find(const char *code);

/* Makes the reply a problem. `code` is one of tl_problems. */
void tl_reply_problem(struct tl_request *request, const char *code, const char *fmt, ...)
    TL_PRINTF(3, 4);

/* The same for a failure of the library. */
void tl_reply_error(struct tl_request *request, const struct tally_error *err);

/* The same where so many of a request's events, from the first on, are taken all the same. */
void tl_reply_error_after(struct tl_request *request, const struct tally_error *err,
                          const size_t *accepted);

/* One of several things that are wrong with a body. */
struct tl_problem_item {
    size_t index;
    struct tally_error err;
};
void tl_reply_problem_items(struct tl_request *request, const char *code,
                            const struct tl_problem_item *items, size_t count, size_t total,
                            const char *detail);

/* server.c: for the log, with the request's id. */
void tl_request_log(const struct tl_request *request, const struct tally_error *err);

/* The code of a failure, and what those outside are told of it: what failed inside names paths and
 * causes, which are for the log. */
const char *tl_problem_code(const struct tally_error *err);
const char *tl_problem_detail(const struct tally_error *err);

/* The members of a problem, without brackets. Returns its status. `instance` NULL: no request. */
unsigned tl_problem_show(struct tl_js *js, const char *code, const char *detail,
                         const char *instance);

#endif /* TL_SERVER_PROBLEM_H */
