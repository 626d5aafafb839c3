/*
 * model/event.h - events handed in: aliases, validation, defaults, canonical text (docs/events.md).
 */
#ifndef TL_MODEL_EVENT_H
#define TL_MODEL_EVENT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "model/policy.h"

/* Rules for taking events in. Immutable after init. */
struct tl_event_rules {
    size_t bytes_max;         /* of canonical text */
    bool refuse_oversize;     /* else the largest free objects are trimmed */
    bool unknown_to_metadata; /* else unknown top-level members are refused */
};

/* What one event needs from outside: pure code asks nobody. */
struct tl_event_input {
    const char *json;
    size_t len;
    bool import;           /* the lenient readings of importers, see docs/events.md */
    int64_t now_us;        /* occurred_at if absent */
    const uint8_t *random; /* 16 fresh random bytes, for a UUIDv7 if `id` is absent */
    bool own;              /* the ledger's own event: the reserved prefix "tally." is allowed */
    const struct tl_log_policy *policy; /* NULL, or own: everything is recorded as it is */
};

enum tl_event_notes {
    TL_EVENT_ID_GENERATED = 1 << 0,
    TL_EVENT_TRIMMED = 1 << 1,
    TL_EVENT_TIME_GENERATED = 1 << 2, /* occurred_at was absent */
    TL_EVENT_MASKED = 1 << 3,         /* the policy hid a value */
    TL_EVENT_CUT = 1 << 4,            /* the policy cut a value */
};

/*
 * SHA-256 of trimmed members comes from here: model knows no cryptography.
 */
typedef void tl_event_hash_fn(uint8_t out[32], const void *bytes, size_t len);

#define TL_EVENT_NAME_SLOTS 256u
#define TL_EVENT_FAST_SLOTS 32u

/* Text in an event: from its byte `at` on; without a length, absent. */
struct tl_event_span {
    uint32_t at;
    uint32_t len;
};

/* Where in a canonical event its keys are, between their quotes; see struct tl_event_keys. */
struct tl_event_spans {
    struct tl_event_span id, action, outcome, severity, tenant_id, service, occurred_at;
    int64_t occurred_us;
};

/* Scratch memory for one thread, used again for each event. */
struct tl_event_reader {
    const struct tl_event_rules *rules;
    tl_event_hash_fn *hash;
    struct tl_arena arena;
    struct tl_buf scratch;
    uint8_t names[TL_EVENT_NAME_SLOTS]; /* where each name of the input is in the table of names */
    uint8_t slots[TL_EVENT_FAST_SLOTS]; /* the same for the names of simple events */
    struct tl_event_spans spans;        /* of the last event that was taken in */
    struct tl_log_policy_decision decision; /* on the last event, if there was a policy */
    struct tl_policy_matcher *matcher;      /* for its expressions, from the first use on */
};

void tl_event_reader_init(struct tl_event_reader *reader, const struct tl_event_rules *rules,
                          tl_event_hash_fn *hash);
void tl_event_reader_release(struct tl_event_reader *reader);

/*
 * Appends the canonical text of the event to `out` and sets *notes_out (enum tl_event_notes).
 *
 * Errors: TALLY_EREFUSED  with code and pointer or offset, `out` as it was
 *         TALLY_EDISABLED the policy does not record it; reader->decision says more
 *         TALLY_ENOMEM
 */
tally_status tl_event_canonical(struct tl_event_reader *reader, const struct tl_event_input *input,
                                struct tl_buf *out, uint32_t *notes_out, struct tally_error *err);

/* A target of a view. Absent members are absent strings. */
struct tl_target_view {
    struct tl_str type;
    struct tl_str id;
    struct tl_str name;
};

#define TL_TARGETS_MAX 64u
#define TL_TAGS_MAX    64u

/*
 * The members of a recorded event that filters, index, tables and CSV need. Strings are unescaped,
 * and borrow from the text or the arena; spans are canonical JSON text.
 */
struct tl_event_view {
    struct tl_str id, action, outcome, severity, reason;
    struct tl_str occurred_at, started_at, ended_at; /* text */
    int64_t occurred_us;
    struct tl_str actor_id, actor_type, actor_name;
    struct tl_str service, host, ip, user_agent;
    struct tl_str transport, tenant_id, correlation_id, causation_id;
    struct tl_str trace_id, span_id, request_id, session_id;
    struct tl_target_view targets[TL_TARGETS_MAX];
    uint32_t target_count;
    struct tl_str tags[TL_TAGS_MAX];
    uint32_t tag_count;
    struct tl_str targets_json, tags_json, old_values_json, new_values_json; /* spans */
    struct tl_str request_json, response_json, metadata_json;
};

/*
 * Reads a recorded event, whole or partly erased; fast. Members of other types than they should be
 * are absent: stored bytes are not to be trusted. Errors: TALLY_ECORRUPT if it is no canonical
 * object; TALLY_ENOMEM
 */
tally_status tl_event_view_read(struct tl_event_view *view, struct tl_arena *arena,
                                const char *event, size_t len);

/* Only what sealing needs, without an arena: spans between the quotes, escapes as they are (the
 * members asked for rarely hold any). */
struct tl_event_keys {
    struct tl_str id, action, outcome, severity, tenant_id, service, occurred_at;
};
tally_status tl_event_keys_read(struct tl_event_keys *keys, const char *event, size_t len);

/* Notes where they are, as tl_event_canonical() does. Errors: the same, and TALLY_EINVAL if
 * occurred_at is no time */
tally_status tl_event_spans_read(struct tl_event_spans *spans, const char *event, size_t len);

/* The keys of an event of which this was noted. */
struct tl_event_keys tl_event_spans_keys(const struct tl_event_spans *spans, const char *event);

/* Rank of a severity: low 1 ... critical 4; 0 for anything else. */
int tl_severity_rank(struct tl_str severity);

#endif /* TL_MODEL_EVENT_H */
