/*
 * codec/yaml.h - the part of YAML that configuration needs: names, texts and lists of texts.
 *
 * Mappings within mappings, scalars, and lists of scalars. Every scalar stays text, so that `no`,
 * `1e3` and `2026-01-01` mean what the type of their key says. No anchors, aliases, tags,
 * directives, duplicate keys or further documents.
 */
#ifndef TL_CODEC_YAML_H
#define TL_CODEC_YAML_H

#include "base/arena.h"
#include "base/str.h"

#define TL_YAML_DEPTH_MAX 8u /* names in one dotted key */
#define TL_YAML_KEYS_MAX \
    4096u /* keys in one file, those of mappings included: each is compared
                                   with all before it */

/* One setting. Lives in the arena, as do its texts. */
struct tl_yaml_item {
    const struct tl_yaml_item *next; /* as the file orders them */
    struct tl_str key;               /* "retention.default_days" */
    struct tl_str value;             /* absent for a list; empty for `key:` with nothing after it */
    const struct tl_str *values;     /* the elements of a list */
    size_t count;                    /* elements; 0 for a value or an empty list */
    uint32_t line;                   /* of the value, from 1 */
    uint32_t column;                 /* likewise, in characters */
};

/*
 * Reads all of `text`. A mapping gives one item for each value in it, under the names that lead
 * there joined by points; an empty mapping gives none. *first_out is NULL if there are no items at
 * all. Names and values have no NUL; names are not empty and have no control characters.
 *
 * Errors: TALLY_EINVAL it is not YAML, or not of that part; the message begins with line and column
 *         TALLY_ELIMIT more than TL_CONFIG_BYTES_MAX, TL_YAML_KEYS_MAX or TL_YAML_DEPTH_MAX
 *         TALLY_ENOMEM
 */
tally_status tl_yaml_read(struct tl_arena *arena, const char *text, size_t len,
                          const struct tl_yaml_item **first_out, struct tally_error *err);

#endif /* TL_CODEC_YAML_H */
