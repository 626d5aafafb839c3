/*
 * model/terms.h - the fields of conditions, and the words and terms that they make; inside model/.
 */
#ifndef TL_MODEL_TERMS_H
#define TL_MODEL_TERMS_H

#include "model/filter.h"
#include "model/fold.h"

/* Fields with one string in a view come first, in the order of their names in terms. */
enum tl_field {
    TL_FIELD_ACTION,
    TL_FIELD_ACTOR_ID,
    TL_FIELD_ACTOR_NAME,
    TL_FIELD_ACTOR_TYPE,
    TL_FIELD_CAUSATION_ID,
    TL_FIELD_CORRELATION_ID,
    TL_FIELD_HOST,
    TL_FIELD_ID,
    TL_FIELD_IP,
    TL_FIELD_OUTCOME,
    TL_FIELD_REQUEST_ID,
    TL_FIELD_SERVICE,
    TL_FIELD_SESSION_ID,
    TL_FIELD_SEVERITY,
    TL_FIELD_SPAN_ID,
    TL_FIELD_TENANT_ID,
    TL_FIELD_TRACE_ID,
    TL_FIELD_TRANSPORT,
    TL_FIELD_SINGLE_COUNT,
    TL_FIELD_TAG = TL_FIELD_SINGLE_COUNT,
    TL_FIELD_TARGET_ID,
    TL_FIELD_TARGET_TYPE,
    TL_FIELD_KIND,
    TL_FIELD_STATE,
    TL_FIELD_SEVERITY_MIN,
    TL_FIELD_TEXT,
    TL_FIELD_FROM,
    TL_FIELD_TO,
    TL_FIELD_UNTIL,
    TL_FIELD_RECORDED_FROM,
    TL_FIELD_RECORDED_TO,
    TL_FIELD_SEQ_FROM,
    TL_FIELD_SEQ_TO,
    TL_FIELD_COUNT,
};

/* Finds a field by its name or an alias of it; TL_FIELD_COUNT if there is none. */
enum tl_field tl_field_find(struct tl_str name);

const char *tl_field_name(enum tl_field field);

/* The string of a field below TL_FIELD_SINGLE_COUNT. */
struct tl_str tl_field_string(const struct tl_event_view *view, enum tl_field field);

/* Whether an event is one of the ledger's own. */
bool tl_view_is_own(const struct tl_event_view *view);

/* The state that has a term: whether a content went by a purge or an erasure is known to the ledger's
 * acts, not to the index, in which both are "purged". */
struct tl_str tl_term_state(struct tl_str state);

/*
 * Appends the term for a value of a field. Returns false if a hash stands for the value, so that
 * the term may name records that do not fit.
 */
bool tl_term_write(struct tl_buf *out, enum tl_field field, struct tl_str value);

/* The same for a prefix of an action. */
bool tl_term_write_prefix(struct tl_buf *out, struct tl_str prefix);

/* The term of records that have one target; and, for those that have more, the term for the type
 * and the id of one of them together. */
void tl_term_write_one_target(struct tl_buf *out);
bool tl_term_write_pair(struct tl_buf *out, struct tl_str type, struct tl_str id);

/* The same for a word of free text. */
bool tl_term_write_word(struct tl_buf *out, struct tl_str word);

/* Steps to the next word of `text`; false at the end. Start with *at = 0. In raw JSON text, escapes
 * separate words: canonical text escapes nothing that is part of one. */
bool tl_word_next(struct tl_str text, bool raw_json, size_t *at, struct tl_str *word_out);

/* Words compare with ASCII letters folded; `lower` is folded already. */
bool tl_word_equal(struct tl_str word, struct tl_str lower);

typedef void tl_word_fn(void *ctx, struct tl_str word);

/* Calls `fn` for each word of the text members of a view. */
void tl_words_each(const struct tl_event_view *view, const struct tl_str *members, size_t count,
                   tl_word_fn *fn, void *ctx);

/* Whether free text can search `member`. */
bool tl_words_knows(struct tl_str member);

#endif /* TL_MODEL_TERMS_H */
