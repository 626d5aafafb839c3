/*
 * model/event_draft.h - an event between input and canonical text; inside model/ only.
 *
 * A draft is filled from the tree of the input in any order of members: every name, alias or not,
 * leads to a place, and what is put into a place is normalised first. So two names that mean the
 * same place can be compared, and nothing after this knows an alias.
 */
#ifndef TL_MODEL_EVENT_DRAFT_H
#define TL_MODEL_EVENT_DRAFT_H

#include "codec/ip.h"
#include "codec/json.h"
#include "codec/time.h"
#include "codec/uuid.h"
#include "model/event.h"
#include "model/fold.h"

/* Of events handed in. */
extern const struct tl_json_limits tl_event_input_limits;

/* Every place that holds one text. The first target is here, because aliases lead to it. */
enum tl_place {
    TL_PLACE_ACTION,
    TL_PLACE_ACTOR_ID,
    TL_PLACE_ACTOR_NAME,
    TL_PLACE_ACTOR_TYPE,
    TL_PLACE_CAUSATION_ID,
    TL_PLACE_CORRELATION_ID,
    TL_PLACE_ENDED_AT,
    TL_PLACE_ID,
    TL_PLACE_OCCURRED_AT,
    TL_PLACE_OUTCOME,
    TL_PLACE_REASON,
    TL_PLACE_REQUEST_ID,
    TL_PLACE_SESSION_ID,
    TL_PLACE_SEVERITY,
    TL_PLACE_HOST,
    TL_PLACE_IP,
    TL_PLACE_SERVICE,
    TL_PLACE_USER_AGENT,
    TL_PLACE_SPAN_ID,
    TL_PLACE_STARTED_AT,
    TL_PLACE_TARGET_ID,
    TL_PLACE_TARGET_NAME,
    TL_PLACE_TARGET_TYPE,
    TL_PLACE_TENANT_ID,
    TL_PLACE_TRACE_ID,
    TL_PLACE_TRANSPORT,
    TL_PLACE_COUNT,
};

/* The five objects that hold any JSON. */
enum tl_free_object {
    TL_FREE_METADATA,
    TL_FREE_NEW_VALUES,
    TL_FREE_OLD_VALUES,
    TL_FREE_REQUEST,
    TL_FREE_RESPONSE,
    TL_FREE_COUNT,
};

enum tl_place_kind {
    TL_KIND_TEXT,
    TL_KIND_ACTION,
    TL_KIND_ID,
    TL_KIND_TIME,
    TL_KIND_OUTCOME,
    TL_KIND_SEVERITY,
    TL_KIND_IP,
    TL_KIND_HEX,
};

struct tl_place_rule {
    const char *name; /* canonical, dotted, for messages */
    enum tl_place_kind kind;
    size_t len_max; /* bytes; of hex, the exact number of digits */
};
extern const struct tl_place_rule tl_place_rules[TL_PLACE_COUNT];

/* What a top-level name stands for. */
enum tl_name_kind {
    TL_NAME_UNKNOWN,
    TL_NAME_TEXT,    /* `arg` is a place */
    TL_NAME_KEY,     /* the same; a number becomes its decimal text */
    TL_NAME_FREE,    /* `arg` is a free object */
    TL_NAME_ACTOR,   /* an object of texts */
    TL_NAME_SOURCE,  /* the same, or the text of source.service */
    TL_NAME_TARGETS, /* an array of such objects */
    TL_NAME_TARGET,  /* one such object, the first target */
    TL_NAME_TAGS,
    TL_NAME_USER,    /* user_id */
    TL_NAME_BANK,    /* bank_id: a target of its own */
    TL_NAME_CHANGES, /* old and new values, paired by field */
    TL_NAME_DURATION,
    TL_NAME_NOTE,   /* a scalar that belongs into metadata under the same name */
    TL_NAME_HASH,   /* the same, lower-case hex */
    TL_NAME_STORED, /* a column of an imported table: into metadata.import; else unknown */
};

struct tl_event_name {
    struct tl_str name;
    enum tl_name_kind kind;
    uint8_t arg;
    bool framework_m; /* says that the event comes from that system */
};

/* Finds a name; one with TL_NAME_UNKNOWN if there is none. */
const struct tl_event_name *tl_event_name_find(const struct tl_event_reader *reader,
                                               struct tl_str name);
void tl_event_names_index(struct tl_event_reader *reader);

/* Where a value stood in the input: /top, /top/inner, /top/index or /top/index/inner. */
struct tl_spot {
    const struct tl_json *top;
    const struct tl_json *inner; /* NULL if it is `top` itself, or the element */
    int index;                   /* of an array element; -1 for none */
};

/* A value that waits for metadata, which may come later in the input. */
struct tl_extra {
    struct tl_extra *next;
    struct tl_spot at;
    struct tl_str key;
    const struct tl_json *value;
    bool stored; /* into metadata.import */
};

struct tl_draft {
    struct tl_event_reader *reader;
    const struct tl_event_input *input;
    struct tally_error *err;

    struct tl_str text[TL_PLACE_COUNT];
    struct tl_spot from[TL_PLACE_COUNT]; /* set where `text` is */
    int64_t started_us, ended_us;        /* set where `text` is */
    char occurred_text[TL_TIME_SIZE], started_text[TL_TIME_SIZE], ended_text[TL_TIME_SIZE];
    char ip_text[TL_IP_TEXT_SIZE];
    char id_text[TL_UUID_TEXT_SIZE];

    struct tl_json *free_objects[TL_FREE_COUNT]; /* NULL: absent */
    const struct tl_json *tags;                  /* a checked array, or NULL */
    const struct tl_json *changes[2];            /* checked to be objects, or NULL */
    const struct tl_json *duration, *bank;
    struct tl_extra *extras;
    struct tl_str outcome_word; /* becomes the reason if there is none */
    bool has_user;              /* the actor's id came as user_id */
    bool framework_m;

    uint32_t target_count;                         /* of those below; the first is not there */
    struct tl_target_view targets[TL_TARGETS_MAX]; /* the second and so on */
};

/* Reads all members of `root` into the draft. */
tally_status tl_draft_read(struct tl_draft *draft, const struct tl_json *root);

/* Resolves what needs all members to be known, fills in defaults, and checks the whole. */
tally_status tl_draft_finish(struct tl_draft *draft, uint32_t *notes_out);

/*
 * Applies a policy to a finished draft: reader->decision, severity, what is left out, masked or
 * cut. Errors: TALLY_EDISABLED it is not recorded; TALLY_ENOMEM
 */
tally_status tl_draft_apply_policy(struct tl_draft *draft, const struct tl_log_policy *policy,
                                   uint32_t *notes_out);

/* How many containers are in each other: 0 for a scalar. */
uint32_t tl_draft_depth(const struct tl_json *node);

/* Appends the canonical text, trimmed if it must be; the rules say how large it may be. Notes where
 * its keys are in draft->reader->spans. */
tally_status tl_draft_write(struct tl_draft *draft, struct tl_buf *out, uint32_t *notes_out);

/* Puts the value at `at` into a place, unless it is empty: normalised, and without conflict. */
tally_status tl_draft_put(struct tl_draft *draft, enum tl_place place, struct tl_spot at,
                          struct tl_str value);

/* Normalises a value; *value may then point into the draft or its arena. */
tally_status tl_draft_normalise(struct tl_draft *draft, enum tl_place place, struct tl_spot at,
                                struct tl_str *value);

/* Remembers a value for metadata. The text form makes a string of it. */
tally_status tl_draft_extra(struct tl_draft *draft, struct tl_spot at, struct tl_str key,
                            const struct tl_json *value, bool stored);
tally_status tl_draft_extra_text(struct tl_draft *draft, struct tl_spot at, const char *key,
                                 struct tl_str text);

/* The member called `key`, or NULL. */
struct tl_json *tl_draft_member(const struct tl_json *object, struct tl_str key);

/* Whether `node` counts as absent at top level: null, "", {} or []. */
bool tl_draft_is_empty(const struct tl_json *node);

/* Appends "/name" to a pointer as RFC 6901 writes it, as far as there is room for that and a NUL,
 * which the caller adds; returns the new length. */
size_t tl_pointer_add(char *pointer, size_t len, size_t size, struct tl_str name);

/* The value that a spot names. */
const struct tl_json *tl_spot_value(struct tl_spot at);

/* Refuses with a pointer to the spot. */
tally_status tl_draft_refuse(struct tl_draft *draft, struct tl_spot at, const char *code,
                             const char *fmt, ...) TL_PRINTF(4, 5);
static inline tally_status tl_draft_no_memory(struct tl_draft *draft)
{
    (void)tl_fail(draft->err, TALLY_ENOMEM, "no memory for an event");
    return TALLY_ENOMEM;
}

#endif /* TL_MODEL_EVENT_DRAFT_H */
