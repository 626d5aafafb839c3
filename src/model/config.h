/*
 * model/config.h - the settings of a ledger: one table of keys, read from text.
 */
#ifndef TL_MODEL_CONFIG_H
#define TL_MODEL_CONFIG_H

#include <tally/config.h>
#include <tally/ledger.h>

#include "base/arena.h"
#include "base/str.h"
#include "model/event.h"
#include "model/retention.h"

#define TL_TEXT_MEMBERS_MAX 32u

struct tl_config_entry;

/* What `tally serve` goes by. It takes it as text, from tally_config_list(). */
struct tl_config_server {
    const struct tl_str *listen; /* "127.0.0.1:8080"; none for the default */
    size_t listen_count;
    const struct tl_str *viewer_origins;
    size_t viewer_origin_count;
    struct tl_str unix_path; /* these four: absolute, or relative to the ledger; "" for none */
    struct tl_str tls_cert;
    struct tl_str tls_key;
    struct tl_str tokens;
    size_t rate_per_address; /* a second; 0: no limit */
    size_t rate_per_token;
    bool plain;
    bool public_tlog;
};

/* Immutable after it was read; strings live in its arena. */
struct tl_config {
    struct tl_arena arena;
    struct tl_str store;       /* "sqlite"; or the URI of a registered kind of store */
    struct tl_str archive_dir; /* relative to the ledger's directory, or absolute; "none" */
    struct tl_str keys_dir;    /* relative to the ledger's directory, or absolute; "keys" */
    const struct tl_str *anchor_targets; /* as in tally/anchor.h */
    size_t anchor_target_count;
    struct tl_str
        anchor_ca_file; /* these three: absolute, or relative to the ledger; "" for none */
    struct tl_str anchor_token_file;
    struct tl_str anchor_tsa_ca_file;
    uint32_t anchor_timeout_s;
    struct tl_event_rules event;
    struct tl_retention retention;
    const struct tl_str *erasable; /* pointers, sorted */
    size_t erasable_count;
    const struct tl_str *text_members; /* searched by `text`: "reason", "actor.name", ... */
    size_t text_member_count;
    struct tl_log_policy *policy; /* what is recorded of events that are logged; owned */
    bool policy_enabled;
    size_t policy_text_bytes;
    struct tl_str route_dir; /* relative to the ledger's directory, or absolute */
    size_t route_open_max;   /* ledgers open at a time */
    bool route_create;       /* a ledger that is not there is made */
    uint32_t log_timeout_ms; /* how long a call waits, unless it says otherwise */
    size_t spool_bytes_max;  /* of one process */
    size_t spool_segment_bytes;
    uint32_t spool_sync_ms;       /* what is spooled is synced after at most so long; 0: never */
    uint32_t spool_segment_age_s; /* a segment is closed after so long */
    uint32_t epoch_seconds;       /* of a new ledger */
    size_t disk_soft_bytes;       /* free room; see ledger/disk.h */
    size_t disk_hard_bytes;
    size_t disk_reserve_bytes;
    struct tl_str remote_spool;   /* "" for none */
    struct tl_str remote_ca_file; /* these two: absolute, or relative to remote.spool; "" */
    struct tl_str remote_token_file;
    uint32_t remote_timeout_s;
    struct tl_config_server server;
    struct tl_str anchor_schedule; /* cron expressions, or "off" */
    struct tl_str backup_schedule;
    struct tl_str retention_schedule;
    struct tl_str verify_schedule;
    struct tl_str backup_dir;        /* "none" */
    size_t verify_part;              /* contents that one scheduled verification checks; 0: all */
    uint32_t max_age_s;              /* verification: age of the newest checkpoint; 0 no limit */
    struct tl_config_entry *entries; /* every value in force, in order of name */
};

/*
 * Reads settings: built-in defaults, then the text of the file (`path` names it in errors; absent
 * text for none), then `settings`.
 *
 * Errors: TALLY_EINVAL with file, line and column or the origin of the setting, and the nearest
 *         name for an unknown key; TALLY_ENOMEM
 */
tally_status tl_config_read(struct tl_config *config, const char *path, struct tl_str text,
                            const struct tally_setting *settings, size_t setting_count,
                            struct tally_error *err);
void tl_config_release(struct tl_config *config);

/* Calls `fn` for every key in order of name, with its effective value and where it came from. */
void tl_config_each(const struct tl_config *config, tally_config_fn *fn, void *ctx);

/* Where the value of a key came from, for messages: "tally.yaml:3:18". */
const char *tl_config_where(const struct tl_config *config, const char *key);

/*
 * Gives the key that an environment variable sets, from its name without TALLY_:
 * "RETENTION_DEFAULT_DAYS" sets "retention.default_days". Entries of maps come in lower case.
 * TALLY_ENOTFOUND if it sets none, TALLY_ELIMIT if `size` is too small.
 */
tally_status tl_config_key_of_variable(struct tl_str variable, char *key_out, size_t size);

#endif /* TL_MODEL_CONFIG_H */
