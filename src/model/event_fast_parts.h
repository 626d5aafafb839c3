/*
 * model/event_fast_parts.h - a simple event between input and canonical text; inside model/ only.
 *
 * event_fast_read.c reads it, event_fast_text.c checks its texts, event_fast.c finishes and writes.
 */
#ifndef TL_MODEL_EVENT_FAST_PARTS_H
#define TL_MODEL_EVENT_FAST_PARTS_H

#include "codec/json_tidy.h"
#include "model/event_draft.h"

/* A value and the quotes around it, in whole blocks. */
#define TL_FAST_TEXT_SIZE 64u

/* The members of an event, in canonical order. */
enum tl_top {
    TL_TOP_ACTION,
    TL_TOP_ACTOR,
    TL_TOP_CAUSATION_ID,
    TL_TOP_CORRELATION_ID,
    TL_TOP_ENDED_AT,
    TL_TOP_ID,
    TL_TOP_METADATA,
    TL_TOP_NEW_VALUES,
    TL_TOP_OCCURRED_AT,
    TL_TOP_OLD_VALUES,
    TL_TOP_OUTCOME,
    TL_TOP_REASON,
    TL_TOP_REQUEST,
    TL_TOP_REQUEST_ID,
    TL_TOP_RESPONSE,
    TL_TOP_SESSION_ID,
    TL_TOP_SEVERITY,
    TL_TOP_SOURCE,
    TL_TOP_SPAN_ID,
    TL_TOP_STARTED_AT,
    TL_TOP_TAGS,
    TL_TOP_TARGETS,
    TL_TOP_TENANT_ID,
    TL_TOP_TRACE_ID,
    TL_TOP_TRANSPORT,
    TL_TOP_COUNT,
};

/* 32 bytes, two blocks, so that a label can be copied as such. */
struct tl_fast_member {
    char label[29]; /* the name in quotes, and a colon */
    uint8_t label_len;
    uint8_t kind;
    uint8_t place;
};
_Static_assert(sizeof(struct tl_fast_member) == 2 * sizeof(tl_json_block),
               "labels are copied by blocks");

extern const struct tl_fast_member tl_fast_members[TL_TOP_COUNT];

/* An event on its way. Values are canonical JSON text. */
struct tl_fast {
    struct tl_json_tidy tidy;
    const struct tl_event_reader *reader;
    const struct tl_event_input *input;
    uint32_t seen;  /* a bit for each member that the input has */
    uint32_t there; /* for each that has a value, and only then is it set */
    struct tl_str values[TL_TOP_COUNT];
    struct tl_str service;                /* inside the value of `source`; with quotes, as all */
    struct tl_str target_type, target_id; /* of the first target that is not empty */
    bool has_target;
    int64_t occurred_us, started_us, ended_us;
    char occurred_text[TL_FAST_TEXT_SIZE], started_text[TL_FAST_TEXT_SIZE],
        ended_text[TL_FAST_TEXT_SIZE];
    char id_text[TL_FAST_TEXT_SIZE], ip_text[TL_FAST_TEXT_SIZE], severity_text[TL_FAST_TEXT_SIZE];
};

/* Reads the whole of f->tidy; false if anything is not simple. */
bool tl_fast_read(struct tl_fast *f);

/* Checks the text that *value, with its quotes, is to be at `place`, or changes it; false if it is not
 * simple. */
bool tl_fast_check_text(struct tl_fast *f, enum tl_place place, struct tl_str *value);

/* Puts quotes around text[1..len]. */
static inline struct tl_str tl_fast_quoted(char *text, size_t len)
{
    text[0] = '"';
    text[len + 1] = '"';
    return (struct tl_str){ .text = text, .len = len + 2 };
}

#endif /* TL_MODEL_EVENT_FAST_PARTS_H */
