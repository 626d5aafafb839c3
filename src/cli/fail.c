#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/out.h"

/* What a failure is called in a problem object, with the status that a server would give it. */
struct problem {
    const char *code;
    const char *title;
    unsigned status;
};

static struct problem problem_of(const struct tally_error *err)
{
    switch (err->status) {
    case TALLY_OK:
    case TALLY_EINVAL:
        return (struct problem){ "bad_parameter", "An argument is wrong", 400 };
    case TALLY_ENOMEM:
        return (struct problem){ "internal", "There is not enough memory", 500 };
    case TALLY_ENOTFOUND:
        return (struct problem){ "not_found", "There is no such thing", 404 };
    case TALLY_EBUSY:
        return (struct problem){ "store_unavailable", "The ledger is in use", 503 };
    case TALLY_EIO:
        if (err->os_errno == ENOSPC) {
            return (struct problem){ "disk_full", "The disk is full", 507 };
        }
        return (struct problem){ "store_unavailable", "The store failed", 503 };
    case TALLY_ECORRUPT:
        return (struct problem){ "corrupt", "Stored data cannot be read", 500 };
    case TALLY_ENOTSUP:
        return (struct problem){ "not_supported", "This ledger cannot do that", 501 };
    case TALLY_ELIMIT:
        if (strcmp(err->code, "spool_full") == 0) {
            return (struct problem){ "spool_full", "The spool is full", 503 };
        }
        return (struct problem){ "too_large", "A limit was reached", 413 };
    case TALLY_ECONFLICT:
        return (struct problem){ "id_conflict", "The place is taken", 409 };
    case TALLY_EREFUSED:
        return (struct problem){ "bad_value", "The input was refused", 422 };
    case TALLY_ECANCELED:
        return (struct problem){ "canceled", "It was stopped", 499 };
    case TALLY_EDISABLED:
        return (struct problem){ "policy", "The policy does not record it", 422 };
    case TALLY_EDENIED:
        return (struct problem){ "denied", "It may not be done like this", 403 };
    }
    return (struct problem){ "internal", "An unknown failure", 500 };
}

static bool is_about_a_query(const char *code)
{
    static const char *const codes[] = { "unknown_filter", "bad_parameter", "bad_limit",
                                         "bad_cursor" };
    for (size_t i = 0; i < TL_ARRAY_LEN(codes); i++) {
        if (strcmp(code, codes[i]) == 0) {
            return true;
        }
    }
    return false;
}

enum tl_exit tl_exit_of(const struct tally_error *err)
{
    switch (err->status) {
    case TALLY_OK:
        return TL_EXIT_OK;
    case TALLY_EINVAL:
        return TL_EXIT_USAGE;
    case TALLY_ENOTFOUND:
        return TL_EXIT_NO;
    case TALLY_EREFUSED:
        return is_about_a_query(err->code) ? TL_EXIT_USAGE : TL_EXIT_REFUSED;
    case TALLY_ECONFLICT:
    case TALLY_EDISABLED:
    case TALLY_EDENIED:
        return TL_EXIT_REFUSED;
    case TALLY_ECANCELED:
        return TL_EXIT_INCOMPLETE;
    case TALLY_ENOMEM:
    case TALLY_EBUSY:
    case TALLY_EIO:
    case TALLY_ECORRUPT:
    case TALLY_ENOTSUP:
    case TALLY_ELIMIT:
        return TL_EXIT_UNAVAILABLE;
    }
    return TL_EXIT_UNAVAILABLE;
}

enum tl_exit tl_exit_worse(enum tl_exit a, enum tl_exit b)
{
    static const enum tl_exit order[] = { TL_EXIT_UNAVAILABLE, TL_EXIT_CONFIG,  TL_EXIT_USAGE,
                                          TL_EXIT_NO,          TL_EXIT_UNKNOWN, TL_EXIT_INCOMPLETE,
                                          TL_EXIT_REFUSED };
    for (size_t i = 0; i < TL_ARRAY_LEN(order); i++) {
        if (a == order[i] || b == order[i]) {
            return order[i];
        }
    }
    return TL_EXIT_OK;
}

static void print_problem(const struct tally_error *err, const char *message)
{
    struct problem problem = problem_of(err);
    const char *code = err->code[0] != '\0' ? err->code : problem.code;
    char type[64];
    (void)snprintf(type, sizeof(type), "/problems/%s", code);
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "type", type);
    tl_js_text(&js, "title", problem.title);
    tl_js_u64(&js, "status", problem.status);
    tl_js_text(&js, "code", code);
    tl_js_text(&js, "detail", message);
    if (err->pointer[0] != '\0' || err->has_offset) {
        tl_js_open(&js, "errors", '[');
        tl_js_open(&js, NULL, '{');
        if (err->pointer[0] != '\0') {
            tl_js_text(&js, "pointer", err->pointer);
        }
        if (err->has_offset && err->offset >= 0) {
            tl_js_u64(&js, "offset", (uint64_t)err->offset);
        }
        tl_js_text(&js, "code", code);
        tl_js_text(&js, "detail", message);
        tl_js_close(&js, '}');
        tl_js_close(&js, ']');
    }
    tl_js_close(&js, '}');
    if (tl_js_print(&js, stderr, NULL) != TALLY_OK) {
        (void)fputs("{\"code\":\"internal\"}\n", stderr);
    }
}

enum tl_exit tl_cli_fail(const struct tl_cli *cli, const struct tally_error *err)
{
    const char *message = err->message[0] != '\0' ? err->message : tally_status_name(err->status);
    if (cli->json) {
        print_problem(err, message);
        return tl_exit_of(err);
    }
    (void)fputs("tally: ", stderr);
    tl_print_text(stderr, tl_str_of(message));
    const char *cause = err->os_errno > 0 ? strerrordesc_np(err->os_errno) : NULL;
    if (cause != NULL) {
        (void)fprintf(stderr, ": %s", cause);
    }
    if (err->code[0] != '\0') {
        (void)fprintf(stderr, " (%s", err->code);
        if (err->pointer[0] != '\0') {
            (void)fputs(" at ", stderr);
            tl_print_text(stderr, tl_str_of(err->pointer));
        }
        if (err->has_offset) {
            (void)fprintf(stderr, " at byte %lld", (long long)err->offset);
        }
        (void)fputs(")", stderr);
    }
    (void)fputs("\n", stderr);
    return tl_exit_of(err);
}

enum tl_exit tl_cli_fail_ledger(const struct tl_cli *cli, const struct tally_error *err)
{
    enum tl_exit exit_status = tl_cli_fail(cli, err);
    if (err->status == TALLY_EINVAL) {
        return TL_EXIT_CONFIG;
    }
    return err->status == TALLY_ENOTFOUND ? TL_EXIT_UNAVAILABLE : exit_status;
}

enum tl_exit tl_cli_usage(const struct tl_cli *cli, const char *fmt, ...)
{
    char message[240];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    struct tally_error err = TALLY_ERROR_INIT;
    (void)tl_fail(&err, TALLY_EINVAL, "%s", message); /* told here */
    (void)tl_cli_fail(cli, &err);
    return TL_EXIT_USAGE;
}

static void say(const char *before, const char *fmt, va_list args) TL_PRINTF(2, 0);

static void say(const char *before, const char *fmt, va_list args)
{
    char message[600];
    (void)vsnprintf(message, sizeof(message), fmt, args);
    (void)fputs(before, stderr);
    tl_print_text(stderr, tl_str_of(message));
    (void)fputs("\n", stderr);
}

void tl_cli_note(const struct tl_cli *cli, const char *fmt, ...)
{
    if (cli->quiet || cli->json) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    say("", fmt, args);
    va_end(args);
}

void tl_cli_warn(const struct tl_cli *cli, const char *fmt, ...)
{
    (void)cli;
    va_list args;
    va_start(args, fmt);
    say("tally: ", fmt, args);
    va_end(args);
}
