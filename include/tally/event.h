/*
 * tally/event.h - builds one event, member by member, without writing JSON by hand.
 *
 * The text is for logging and appending: tally_log(), or tally_event_text() and tally_append().
 * docs/events.md has the members with their limits.
 */
#ifndef TALLY_EVENT_H
#define TALLY_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include <tally/error.h>
#include <tally/export.h>

TALLY_BEGIN_DECLS

#if defined(__GNUC__)
#    define TALLY_LIKE_PRINTF(at, first) __attribute__((format(printf, at, first)))
#else
#    define TALLY_LIKE_PRINTF(at, first)
#endif

/*
 * An event being built. Confined to one thread at a time; used again after tally_event_clear().
 * What fails while it is built is remembered: the first failure is what tally_event_text() and
 * tally_log() report, so that the calls between need no checks. All functions take NULL for an event
 * and do nothing with it.
 */
struct tally_event;

TALLY_API tally_status tally_event_new(struct tally_event **event_out, struct tally_error *err);
TALLY_API void tally_event_free(struct tally_event *event); /* NULL is allowed */
TALLY_API void tally_event_clear(struct tally_event *event);

/* Members whose value is text. Those of time take RFC 3339 here, or tally_event_set_time(). */
enum tally_member {
    TALLY_ACTION = 1,
    TALLY_ID,
    TALLY_OCCURRED_AT,
    TALLY_STARTED_AT,
    TALLY_ENDED_AT,
    TALLY_ACTOR_ID,
    TALLY_ACTOR_TYPE,
    TALLY_ACTOR_NAME,
    TALLY_OUTCOME,  /* success, failure, pending, unknown */
    TALLY_SEVERITY, /* low, medium, high, critical */
    TALLY_REASON,
    TALLY_SOURCE_SERVICE,
    TALLY_SOURCE_HOST,
    TALLY_SOURCE_IP,
    TALLY_SOURCE_USER_AGENT,
    TALLY_TRANSPORT,
    TALLY_TENANT_ID,
    TALLY_CORRELATION_ID,
    TALLY_CAUSATION_ID,
    TALLY_TRACE_ID,
    TALLY_SPAN_ID,
    TALLY_REQUEST_ID,
    TALLY_SESSION_ID
};

/* Sets a member, in place of what it was. NULL takes it away. Text is UTF-8 and copied; what is no
 * UTF-8 has its bad bytes replaced by U+FFFD and the event the tag "tally:replaced". */
TALLY_API void tally_event_set(struct tally_event *event, enum tally_member member,
                               const char *text);
TALLY_API void tally_event_set_len(struct tally_event *event, enum tally_member member,
                                   const char *text, size_t len);
/* `time_us`: microseconds since 1970, UTC. */
TALLY_API void tally_event_set_time(struct tally_event *event, enum tally_member member,
                                    int64_t time_us);
/* An id from the 16 bytes of a UUID; of a trace id, its 32 hex digits. */
TALLY_API void tally_event_set_uuid(struct tally_event *event, enum tally_member member,
                                    const uint8_t uuid[16]);

/* Adds a target; NULL leaves a part out. At most 64. */
TALLY_API void tally_event_add_target(struct tally_event *event, const char *type, const char *id,
                                      const char *name);
/* Adds a tag, unless it is there already. At most 64. */
TALLY_API void tally_event_add_tag(struct tally_event *event, const char *tag);

/* Members that are objects with members of your own. */
enum tally_object {
    TALLY_METADATA = 1,
    TALLY_OLD_VALUES,
    TALLY_NEW_VALUES,
    TALLY_REQUEST,
    TALLY_RESPONSE
};

/*
 * Add a member to an object, or to what was opened in it; in an array `name` is NULL. A name that is
 * there already is a failure ("duplicate_name").
 *
 * What JSON cannot say is replaced, never dropped, and the event gets the tag "tally:replaced": NaN
 * and the infinities become the texts "NaN", "Infinity" and "-Infinity". Integers beyond 2^53 - 1
 * become the text of their digits, which loses nothing and sets no tag. A NULL text is null.
 */
TALLY_API void tally_event_add_text(struct tally_event *event, enum tally_object object,
                                    const char *name, const char *text);
TALLY_API void tally_event_add_text_len(struct tally_event *event, enum tally_object object,
                                        const char *name, const char *text, size_t len);
TALLY_API void tally_event_add_int(struct tally_event *event, enum tally_object object,
                                   const char *name, int64_t value);
TALLY_API void tally_event_add_uint(struct tally_event *event, enum tally_object object,
                                    const char *name, uint64_t value);
TALLY_API void tally_event_add_double(struct tally_event *event, enum tally_object object,
                                      const char *name, double value);
TALLY_API void tally_event_add_bool(struct tally_event *event, enum tally_object object,
                                    const char *name, int value);
TALLY_API void tally_event_add_null(struct tally_event *event, enum tally_object object,
                                    const char *name);
/* {"b64":"..."} */
TALLY_API void tally_event_add_binary(struct tally_event *event, enum tally_object object,
                                      const char *name, const void *bytes, size_t len);
TALLY_API void tally_event_add_uuid(struct tally_event *event, enum tally_object object,
                                    const char *name, const uint8_t uuid[16]);
TALLY_API void tally_event_add_time(struct tally_event *event, enum tally_object object,
                                    const char *name, int64_t time_us);
/* Text as of printf; arguments are text, never JSON: nothing in them can change the event's shape.
 * What printf cannot format, and a format with %n, leaves a marker and the tag "tally:replaced". */
TALLY_API void tally_event_add_format(struct tally_event *event, enum tally_object object,
                                      const char *name, const char *format, ...)
    TALLY_LIKE_PRINTF(4, 5);
/* A value that is JSON already, of any kind; checked. */
TALLY_API void tally_event_add_json(struct tally_event *event, enum tally_object object,
                                    const char *name, const char *json, size_t len);
/* Opens an object '{' or an array '[' in an object; what is added to that object next goes into it,
 * until it is closed. At most 16 deep. What is still open counts as closed at the end. */
TALLY_API void tally_event_open(struct tally_event *event, enum tally_object object,
                                const char *name, char bracket);
TALLY_API void tally_event_close(struct tally_event *event, enum tally_object object);

/*
 * The JSON text of the event, NUL-terminated; borrowed until the next change of `event`. Whether the
 * members keep the event model's rules is checked when it is logged.
 *
 * Errors: TALLY_EREFUSED with code, if a call before failed
 *         TALLY_ELIMIT   the text has more than 1 MiB
 *         TALLY_ENOMEM   also if `event` is NULL, which is what a span without memory has
 */
TALLY_API tally_status tally_event_text(struct tally_event *event, const char **text_out,
                                        size_t *len_out, struct tally_error *err);

/* Values as text, for other places. All texts end with a NUL. */
#define TALLY_TIME_SIZE          28u
#define TALLY_UUID_SIZE          37u
#define TALLY_BASE64_SIZE(bytes) (((bytes) + 2u) / 3u * 4u + 1u)

/* RFC 3339, UTC; returns its length, or 0 for a time that is not in the years 0001 to 9999. */
TALLY_API size_t tally_format_time(char out[TALLY_TIME_SIZE], int64_t time_us);
TALLY_API void tally_format_uuid(char out[TALLY_UUID_SIZE], const uint8_t uuid[16]);
/* Errors: TALLY_ELIMIT `size` is less than TALLY_BASE64_SIZE(len) */
TALLY_API tally_status tally_format_base64(char *out, size_t size, const void *bytes, size_t len);

TALLY_END_DECLS

#endif /* TALLY_EVENT_H */
