/*
 * model/builder.h - what an event being built is made of; inside model/ only.
 *
 * Members are kept as clean text, everything else as trees whose members are in canonical order from
 * the start. So nothing that was handed in is ever read as JSON again, and the text is canonical.
 */
#ifndef TL_MODEL_BUILDER_H
#define TL_MODEL_BUILDER_H

#include <tally/event.h>

#include "base/arena.h"
#include "base/buf.h"
#include "codec/json.h"

#define TL_BUILDER_MEMBERS   ((size_t)TALLY_SESSION_ID)
#define TL_BUILDER_DEPTH_MAX 16u /* opened in one object */

/* Trees: the five objects, in the order of enum tally_object, and two arrays. */
enum tl_builder_tree_name {
    TL_BUILDER_METADATA,
    TL_BUILDER_OLD_VALUES,
    TL_BUILDER_NEW_VALUES,
    TL_BUILDER_REQUEST,
    TL_BUILDER_RESPONSE,
    TL_BUILDER_TAGS,
    TL_BUILDER_TARGETS,
    TL_BUILDER_TREES,
};

/* A container that is open, and its last child: names mostly come in order, or order is free. */
struct tl_builder_level {
    struct tl_json *node;
    struct tl_json *last;
};

struct tl_builder_tree {
    struct tl_json root;
    uint32_t depth; /* of the level that is added to */
    struct tl_builder_level levels[TL_BUILDER_DEPTH_MAX + 1];
};

/* The text of a member; empty if it is not there. The memory is used again for another value. */
struct tl_builder_text {
    char *text;
    size_t len;
    size_t capacity;
    bool is_plain; /* ASCII that stands for itself between quotes, as most is */
};

struct tally_event {
    struct tl_arena arena; /* holds all there is */
    struct tl_builder_text members[TL_BUILDER_MEMBERS];
    struct tl_builder_tree trees[TL_BUILDER_TREES];
    struct tl_json replaced_tag; /* for the tag that says so */
    bool is_replaced;            /* something was replaced */
    bool is_written;             /* `text` is of what there is now */
    struct tl_buf text;
    struct tally_error failure; /* the first one */
};

/* Begins a change; false if there is no event, or it has failed. */
bool tl_builder_begin(struct tally_event *event);

/* Memory of the event; NULL after a failure, which the event keeps. */
void *tl_builder_alloc(struct tally_event *event, size_t len);

/* Remember that the event is over its limit; that its arena gave no memory, for whatever reason. */
void tl_builder_fail_large(struct tally_event *event);
void tl_builder_fail_memory(struct tally_event *event);

/* Lets the failure point to `key` in what is open in a tree; if absent, to what is open. */
void tl_builder_point(struct tally_event *event, enum tl_builder_tree_name name, struct tl_str key);

/* Copies text, with what is no UTF-8 replaced; false after a failure, which the event keeps. */
bool tl_builder_copy(struct tally_event *event, struct tl_str text, struct tl_str *copy_out);

/*
 * Adds a value without contents to what is open in a tree, which the caller then fills in. An absent
 * `name` is for arrays. NULL after a failure, which the event keeps.
 */
struct tl_json *tl_builder_add(struct tally_event *event, enum tl_builder_tree_name name,
                               struct tl_str key, enum tl_json_type type);

/* Writes the text anew. Returns the status of the buffer. */
tally_status tl_builder_write(struct tally_event *event);

#endif /* TL_MODEL_BUILDER_H */
