/*
 * base/base.h - the few definitions every source file may use.
 *
 * Includes no other project header but the public error codes, and knows nothing of audit logs.
 */
#ifndef TL_BASE_BASE_H
#define TL_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tally/error.h>

#define TL_CLEANUP(fn)  __attribute__((cleanup(fn)))
#define TL_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define TL_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define tl_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Moves a pointer out of an owning variable, leaving NULL behind so that cleanup does nothing. */
#define TL_TAKE(p)                                \
    __extension__({                               \
        __typeof__(p) *tl_take_from_ = &(p);      \
        __typeof__(p) tl_taken_ = *tl_take_from_; \
        *tl_take_from_ = NULL;                    \
        tl_taken_;                                \
    })

/* Returns the status to the caller if it is a failure. The only macro that hides a return. */
#define TL_TRY(expr)                   \
    do {                               \
        tally_status tl_try_ = (expr); \
        if (tl_try_ != TALLY_OK) {     \
            return tl_try_;            \
        }                              \
    } while (0)

/* Always compiled in: a broken invariant must not go on to seal a ledger that looks sound. */
#define tl_assert(cond) ((cond) ? (void)0 : tl_assert_fail(#cond, __FILE__, __LINE__, __func__))

_Noreturn void tl_assert_fail(const char *cond, const char *file, int line, const char *func);

/*
 * Allocation. All project code allocates through these functions, so that tests can make the nth
 * allocation fail. count * size is checked for overflow; NULL means that there is no memory. An
 * empty array is still a valid pointer.
 */
extern bool (*tl_alloc_should_fail)(void); /* set by tests only; see tests/support/fault.h */

void *tl_alloc_array(size_t count, size_t size);              /* zeroed */
void *tl_realloc_array(void *ptr, size_t count, size_t size); /* what is added is not zeroed */
char *tl_strdup(const char *text);
void tl_free(void *ptr);
void tl_freep(void *ptr_to_ptr); /* for TL_CLEANUP: frees the pointer and sets it to NULL */

/*
 * Records a failure in `err`, unless that is NULL or already holds one, and returns `status`, so
 * that a function can end with `return tl_fail(...)`.
 */
tally_status tl_fail(struct tally_error *err, tally_status status, const char *fmt, ...)
    TL_PRINTF(3, 4);

/* Passes on `status` with the details that `cause` holds, if any. */
tally_status tl_fail_with(struct tally_error *err, tally_status status,
                          const struct tally_error *cause);

/* The same, with the errno of the system call that failed. */
tally_status tl_fail_errno(struct tally_error *err, tally_status status, int os_errno,
                           const char *fmt, ...) TL_PRINTF(4, 5);

/* The same with a word for programs in err->code. */
tally_status tl_fail_code(struct tally_error *err, tally_status status, const char *code,
                          const char *fmt, ...) TL_PRINTF(4, 5);

/*
 * The same for input that breaks a rule, always TALLY_EREFUSED: with the word that names the rule
 * (interop: "bad_type") and either the pointer to the member that is wrong or the byte offset at
 * which the text is. Messages never quote the input.
 */
tally_status tl_refuse(struct tally_error *err, const char *code, const char *pointer,
                       const char *fmt, ...) TL_PRINTF(4, 5);
tally_status tl_refuse_at(struct tally_error *err, const char *code, size_t offset, const char *fmt,
                          ...) TL_PRINTF(4, 5);

#endif /* TL_BASE_BASE_H */
