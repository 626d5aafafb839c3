/*
 * codec/yaml.h - the part of YAML that configuration needs: names, texts and lists.
 *
 * Mappings within mappings, scalars, lists of scalars and lists of mappings. Every scalar stays text, so that `no`,
 * `1e3` and `2026-01-01` mean what the type of their key says. No anchors, aliases, tags,
 * directives, duplicate keys or further documents.
 */
#ifndef TL_CODEC_YAML_H
#define TL_CODEC_YAML_H

#include "base/arena.h"
#include "base/str.h"

#define TL_YAML_DEPTH_MAX 8u /* names and numbers in one dotted key */

/* Keys in one file, those of mappings and the mappings in lists included: each is compared with all
 * before it. */
#define TL_YAML_KEYS_MAX 4096u

/* Where something stands, from 1; columns count characters. */
struct tl_yaml_place {
    uint32_t line;
    uint32_t column;
};

/* One setting. Lives in the arena, as do its texts. */
struct tl_yaml_item {
    const struct tl_yaml_item *next; /* as the file orders them */
    struct tl_str key;               /* "retention.default_days" */
    struct tl_str value;             /* absent for a list; empty for `key:` with nothing after it */
    const struct tl_str *values;     /* the elements of a list */
    const struct tl_yaml_place *places; /* where they stand */
    size_t count;                       /* elements; 0 for a value or an empty list */
    struct tl_yaml_place place;         /* of the value */
};

/*
 * Reads all of `text`. A mapping gives one item for each value in it, under the names that lead
 * there joined by points; an empty mapping gives none. The mappings in a list are numbered from 0:
 * "policy.rules.0.action". *first_out is NULL if there are no items at
 * all. Names and values have no NUL; names are not empty and have no control characters.
 *
 * Errors: TALLY_EINVAL it is not YAML, or not of that part; the message begins with line and column
 *         TALLY_ELIMIT more than TL_CONFIG_BYTES_MAX, TL_YAML_KEYS_MAX or TL_YAML_DEPTH_MAX
 *         TALLY_ENOMEM
 */
tally_status tl_yaml_read(struct tl_arena *arena, const char *text, size_t len,
                          const struct tl_yaml_item **first_out, struct tally_error *err);

#endif /* TL_CODEC_YAML_H */
