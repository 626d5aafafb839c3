/*
 * tally/error.h - status codes and error details.
 *
 * Every function that can fail returns a tally_status. Functions that can fail for a reason worth
 * telling a person also take a `struct tally_error *err` as their last parameter; pass NULL if you
 * only need the code.
 */
#ifndef TALLY_ERROR_H
#define TALLY_ERROR_H

#include <stdint.h>

#include <tally/export.h>

TALLY_BEGIN_DECLS

/*
 * Codes are part of the ABI: a value never changes meaning and is never reused. Clang warns
 * wherever a tally_status is dropped; write (void) and say why if that is right.
 */
typedef enum TALLY_STATUS_NODISCARD tally_status {
    TALLY_OK = 0,
    TALLY_EINVAL = -1,    /* an argument breaks a documented precondition */
    TALLY_ENOMEM = -2,    /* an allocation failed; the object is unchanged */
    TALLY_ENOTFOUND = -3, /* no such record, key or file */
    TALLY_EBUSY = -4,     /* someone else holds it, or a server is away; retrying may succeed */
    TALLY_EIO = -5,       /* the operating system or a server reported a failure */
    TALLY_ECORRUPT = -6,  /* stored bytes do not parse; verification says more */
    TALLY_ENOTSUP = -7,   /* this store, build or format version cannot do that */
    TALLY_ELIMIT = -8,    /* a configured bound was reached; nothing was done */
    TALLY_ECONFLICT = -9, /* another writer came first, or this id holds another event */
    TALLY_EREFUSED = -10, /* the event breaks a rule; `code` and `pointer` of the error say which */
    TALLY_ECANCELED = -11, /* a callback asked to stop */
    TALLY_EDISABLED = -12, /* policy or configuration says that this event is not recorded */
    TALLY_EDENIED = -13    /* a second person has to sign it first, or a hold forbids it */
} tally_status;

/*
 * Why a call failed. Owned by the caller, usually on the stack; holds no heap memory, so it needs
 * no release call. The first failure in a call chain wins: later ones do not overwrite it.
 */
struct tally_error {
    tally_status status;
    int os_errno;   /* errno at the point of failure, or 0 */
    int64_t offset; /* byte of the input at which it is wrong; only where `has_offset` is 1 */
    int has_offset;
    char code[32];     /* why input was refused: a word of docs/errors, "bad_json"; else "" */
    char pointer[160]; /* RFC 6901 pointer to the member that is wrong; else "" */
    char message[256]; /* one line, no trailing newline, English; "" if there was no failure */
};

#define TALLY_ERROR_INIT              \
    {                                 \
        TALLY_OK, 0, 0, 0, "", "", "" \
    }

/* Returns the name of `status`, for example "TALLY_ENOMEM". Never NULL; static storage. */
TALLY_API const char *tally_status_name(tally_status status);

/* Returns 1 if the same call, made again later, may succeed without anyone changing anything. */
TALLY_API int tally_status_is_retryable(tally_status status);

TALLY_END_DECLS

#endif /* TALLY_ERROR_H */
