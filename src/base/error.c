#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <tally/version.h>

const char *tally_version(void)
{
    return TALLY_VERSION;
}

const char *tally_status_name(tally_status status)
{
    switch (status) {
    case TALLY_OK:
        return "TALLY_OK";
    case TALLY_EINVAL:
        return "TALLY_EINVAL";
    case TALLY_ENOMEM:
        return "TALLY_ENOMEM";
    case TALLY_ENOTFOUND:
        return "TALLY_ENOTFOUND";
    case TALLY_EBUSY:
        return "TALLY_EBUSY";
    case TALLY_EIO:
        return "TALLY_EIO";
    case TALLY_ECORRUPT:
        return "TALLY_ECORRUPT";
    case TALLY_ENOTSUP:
        return "TALLY_ENOTSUP";
    case TALLY_ELIMIT:
        return "TALLY_ELIMIT";
    case TALLY_ECONFLICT:
        return "TALLY_ECONFLICT";
    case TALLY_EREFUSED:
        return "TALLY_EREFUSED";
    case TALLY_ECANCELED:
        return "TALLY_ECANCELED";
    case TALLY_EDISABLED:
        return "TALLY_EDISABLED";
    case TALLY_EDENIED:
        return "TALLY_EDENIED";
    }
    return "TALLY_UNKNOWN"; /* a number from a newer library, or not a status at all */
}

int tally_status_is_retryable(tally_status status)
{
    return status == TALLY_EBUSY || status == TALLY_ENOMEM;
}

/* The first failure knows the cause; what fails on the way out knows only consequences. */
static void vfail(struct tally_error *err, tally_status status, int os_errno, const char *fmt,
                  va_list ap) TL_PRINTF(4, 0);

static void vfail(struct tally_error *err, tally_status status, int os_errno, const char *fmt,
                  va_list ap)
{
    tl_assert(status != TALLY_OK);
    if (err != NULL && err->status == TALLY_OK) {
        err->status = status;
        err->os_errno = os_errno;
        (void)vsnprintf(err->message, sizeof(err->message), fmt, ap); /* a cut message is fine */
    }
}

tally_status tl_fail(struct tally_error *err, tally_status status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfail(err, status, 0, fmt, ap);
    va_end(ap);
    return status;
}

tally_status tl_fail_with(struct tally_error *err, tally_status status,
                          const struct tally_error *cause)
{
    tl_assert(status != TALLY_OK);
    if (err != NULL && err->status == TALLY_OK) {
        *err = *cause;
        err->status = status;
    }
    return status;
}

tally_status tl_fail_errno(struct tally_error *err, tally_status status, int os_errno,
                           const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfail(err, status, os_errno, fmt, ap);
    va_end(ap);
    return status;
}

tally_status tl_fail_code(struct tally_error *err, tally_status status, const char *code,
                          const char *fmt, ...)
{
    bool first = err != NULL && err->status == TALLY_OK;
    va_list ap;
    va_start(ap, fmt);
    vfail(err, status, 0, fmt, ap);
    va_end(ap);
    if (first) {
        (void)snprintf(err->code, sizeof(err->code), "%s", code);
    }
    return status;
}

tally_status tl_refuse(struct tally_error *err, const char *code, const char *pointer,
                       const char *fmt, ...)
{
    bool first = err != NULL && err->status == TALLY_OK;
    va_list ap;
    va_start(ap, fmt);
    vfail(err, TALLY_EREFUSED, 0, fmt, ap);
    va_end(ap);
    if (first) {
        (void)snprintf(err->code, sizeof(err->code), "%s", code);
        (void)snprintf(err->pointer, sizeof(err->pointer), "%s", pointer); /* a cut one is fine */
    }
    return TALLY_EREFUSED;
}

tally_status tl_refuse_at(struct tally_error *err, const char *code, size_t offset, const char *fmt,
                          ...)
{
    bool first = err != NULL && err->status == TALLY_OK;
    va_list ap;
    va_start(ap, fmt);
    vfail(err, TALLY_EREFUSED, 0, fmt, ap);
    va_end(ap);
    if (first) {
        (void)snprintf(err->code, sizeof(err->code), "%s", code);
        err->offset = (int64_t)offset;
        err->has_offset = 1;
    }
    return TALLY_EREFUSED;
}

_Noreturn void tl_assert_fail(const char *cond, const char *file, int line, const char *func)
{
    (void)fprintf(stderr, "%s:%d: %s: invariant broken: %s\n", file, line, func, cond);
    abort();
}
