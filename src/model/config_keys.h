/* model/config_keys.h - the table of settings, and how their values are read; inside model/ only. */
#ifndef TL_MODEL_CONFIG_KEYS_H
#define TL_MODEL_CONFIG_KEYS_H

#include "codec/yaml.h"
#include "model/config.h"

enum tl_config_kind {
    TL_CONFIG_TEXT,     /* a tl_str, not empty */
    TL_CONFIG_PATH,     /* a tl_str; empty for none */
    TL_CONFIG_TARGETS,  /* anchor_targets */
    TL_CONFIG_LISTEN,   /* server.listen */
    TL_CONFIG_ORIGINS,  /* server.viewer_origins */
    TL_CONFIG_SIZE,     /* a size_t: 65536, 64KiB, 1MiB */
    TL_CONFIG_NUMBER,   /* a size_t: 50 */
    TL_CONFIG_CHOICE,   /* a bool: the second of two words */
    TL_CONFIG_SECONDS,  /* a uint32_t: 3600, 90s, 1h */
    TL_CONFIG_MS,       /* a uint32_t: 20, 20ms, 1s */
    TL_CONFIG_DAYS,     /* an int32_t: 365, 365d, forever */
    TL_CONFIG_POINTERS, /* erasable */
    TL_CONFIG_MEMBERS,  /* text_members */
    TL_CONFIG_ACTIONS,  /* lists of the policy, which is read as a whole: names and patterns */
    TL_CONFIG_NAMES,    /* names of members */
    TL_CONFIG_PATTERNS, /* regular expressions; as one text, an array in JSON */
    TL_CONFIG_RULES,    /* a list of mappings; as one text, an array of objects in JSON */
    TL_CONFIG_MAP,      /* rules: every entry is a key of its own, with days as its value */
};

enum tl_config_map {
    TL_MAP_ACTION,
    TL_MAP_OUTCOME,
    TL_MAP_SERVICE,
    TL_MAP_SEVERITY,
    TL_MAP_TENANT,
    TL_MAP_COUNT,
};

enum tl_config_list {
    TL_LIST_ALLOW,
    TL_LIST_DENY,
};

struct tl_config_key {
    const char *name; /* dotted; of a map, what comes before the entry */
    enum tl_config_kind kind;
    size_t offset; /* in struct tl_config; of a map or a list of the policy, its number */
    const char *fallback;
    int64_t min, max;
    const char *words[2];
    const char *doc;
};

extern const struct tl_config_key tl_config_keys[];
extern const size_t tl_config_key_count;

/* Finds the key that a dotted name sets; *rest_out is the entry of a map, else absent. NULL if
 * there is none. */
const struct tl_config_key *tl_config_key_find(struct tl_str name, struct tl_str *rest_out);

/* The name that is nearest to a wrong one, or NULL if none is near. */
const char *tl_config_key_nearest(struct tl_str name);

/* One value in force, and where it came from. */
struct tl_config_entry {
    struct tl_config_entry *next; /* in order of name */
    const struct tl_config_key *key;
    const char *name;            /* whole */
    struct tl_str map;           /* the entry of a map; of a rule, its number and member */
    const char *value;           /* as text; lists with commas */
    const struct tl_str *values; /* of a list */
    size_t count;
    const struct tl_yaml_place *places; /* of its elements, if it is of a file */
    const char *path;                   /* of that file */
    const char *origin;                 /* "default", "tally.yaml:3" */
    const char *where;                  /* for messages: with the column, if there is one */
};

/*
 * Makes a policy of the entries that are about it. On success *policy_out lives in the arena, and
 * is ended with tl_policy_release() before it.
 *
 * Errors: TALLY_EINVAL with the place of what is wrong, TALLY_ENOMEM
 */
tally_status tl_policy_read(struct tl_log_policy **policy_out, struct tl_config *config,
                            struct tally_error *err);

/* NULL is allowed. */
void tl_policy_release(struct tl_log_policy *policy);

/* Reads the value of an entry into its place. Errors: TALLY_EINVAL, TALLY_ENOMEM */
tally_status tl_config_apply(struct tl_config *config, const struct tl_config_entry *entry,
                             struct tally_error *err);

#endif /* TL_MODEL_CONFIG_KEYS_H */
