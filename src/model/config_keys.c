#include "model/config_keys.h"

#include "base/limits.h"
#include "model/fold.h"

/* In order of name. */
const struct tl_config_key tl_config_keys[] = {
    { .name = "anchor.ca_file",
      .kind = TL_CONFIG_PATH,
      .offset = offsetof(struct tl_config, anchor_ca_file),
      .fallback = "",
      .doc = "Certificates (PEM) to believe servers by, in place of the system's." },
    { .name = "anchor.schedule",
      .kind = TL_CONFIG_TEXT,
      .offset = offsetof(struct tl_config, anchor_schedule),
      .fallback = "@hourly",
      .doc = "When the newest checkpoint is taken to the anchors: a cron expression, or 'off'." },
    { .name = "anchor.targets",
      .kind = TL_CONFIG_TARGETS,
      .fallback = "",
      .doc = "Where checkpoints are taken: 'file:/PATH', 'git:/DIR', 'https://HOST/PATH', "
             "'rfc3161+https://HOST/PATH', 'witness+https://HOST/PATH#VKEY'." },
    { .name = "anchor.timeout_s",
      .kind = TL_CONFIG_SECONDS,
      .offset = offsetof(struct tl_config, anchor_timeout_s),
      .fallback = "10",
      .min = 1,
      .max = 300,
      .doc = "How long a server may take to answer." },
    { .name = "anchor.token_file",
      .kind = TL_CONFIG_PATH,
      .offset = offsetof(struct tl_config, anchor_token_file),
      .fallback = "",
      .doc = "File (mode 0600) of lines 'HOST VALUE': what servers get as Authorization." },
    { .name = "anchor.tsa_ca_file",
      .kind = TL_CONFIG_PATH,
      .offset = offsetof(struct tl_config, anchor_tsa_ca_file),
      .fallback = "",
      .doc = "Certificates (PEM) of the authorities whose time stamps are believed." },
    { .name = "archive.dir",
      .kind = TL_CONFIG_TEXT,
      .offset = offsetof(struct tl_config, archive_dir),
      .fallback = "none",
      .doc = "Where a purge writes contents before they go: absolute, or relative to the ledger." },
    { .name = "backup.dir",
      .kind = TL_CONFIG_TEXT,
      .offset = offsetof(struct tl_config, backup_dir),
      .fallback = "none",
      .doc = "Where scheduled backups go: absolute." },
    { .name = "backup.schedule",
      .kind = TL_CONFIG_TEXT,
      .offset = offsetof(struct tl_config, backup_schedule),
      .fallback = "off",
      .doc = "When a backup is made: a cron expression, or 'off'." },
    { .name = "disk.hard",
      .kind = TL_CONFIG_SIZE,
      .offset = offsetof(struct tl_config, disk_hard_bytes),
      .fallback = "256MiB",
      .max = (int64_t)1 << 50,
      .doc = "With less room on the disk, best_effort events are dropped; 0: never." },
    { .name = "disk.reserve",
      .kind = TL_CONFIG_SIZE,
      .offset = offsetof(struct tl_config, disk_reserve_bytes),
      .fallback = "64MiB",
      .max = (int64_t)1 << 50,
      .doc = "With less room on the disk, durable events are dropped as well; 0: never." },
    { .name = "disk.soft",
      .kind = TL_CONFIG_SIZE,
      .offset = offsetof(struct tl_config, disk_soft_bytes),
      .fallback = "1024MiB",
      .max = (int64_t)1 << 50,
      .doc = "With less room on the disk, people are warned; 0: never." },
    { .name = "epoch.seconds",
      .kind = TL_CONFIG_SECONDS,
      .offset = offsetof(struct tl_config, epoch_seconds),
      .fallback = "3600",
      .min = 60,
      .max = 86400,
      .doc = "How long an epoch of a new ledger lasts." },
    { .name = "erasable",
      .kind = TL_CONFIG_POINTERS,
      .fallback = "/actor/name,/metadata,/new_values,/old_values,/reason,/request,/response,"
                  "/source/ip,/source/user_agent,/targets",
      .doc = "Members that can be erased from a record later, as JSON pointers." },
    { .name = "ingest.oversize",
      .kind = TL_CONFIG_CHOICE,
      .offset = offsetof(struct tl_config, event.refuse_oversize),
      .fallback = "trim",
      .words = { "trim", "refuse" },
      .doc = "What happens to an event that is too large: 'trim' or 'refuse'." },
    { .name = "ingest.unknown",
      .kind = TL_CONFIG_CHOICE,
      .offset = offsetof(struct tl_config, event.unknown_to_metadata),
      .fallback = "refuse",
      .words = { "refuse", "metadata" },
      .doc = "What happens to unknown members: 'refuse', or move them into 'metadata'." },
    { .name = "keys.dir",
      .kind = TL_CONFIG_TEXT,
      .offset = offsetof(struct tl_config, keys_dir),
      .fallback = "keys",
      .doc = "Where the keys are: absolute, or relative to the ledger's directory." },
    { .name = "limits.event_bytes",
      .kind = TL_CONFIG_SIZE,
      .offset = offsetof(struct tl_config, event.bytes_max),
      .fallback = "256KiB",
      .min = 1024,
      .max = (int64_t)TL_EVENT_BYTES_MAX,
      .doc = "How large the canonical text of an event may be." },
    { .name = "log.timeout_ms",
      .kind = TL_CONFIG_MS,
      .offset = offsetof(struct tl_config, log_timeout_ms),
      .fallback = "1000",
      .max = 3600000,
      .doc = "How long a call that logs may wait, unless it says otherwise." },
    { .name = "policy.allow",
      .kind = TL_CONFIG_ACTIONS,
      .offset = TL_LIST_ALLOW,
      .fallback = "all",
      .doc = "Actions that are recorded: 'all', or names and patterns such as 'user.*'." },
    { .name = "policy.deny",
      .kind = TL_CONFIG_ACTIONS,
      .offset = TL_LIST_DENY,
      .fallback = "",
      .doc = "Actions that are not recorded, although they are allowed." },
    { .name = "policy.enabled",
      .kind = TL_CONFIG_CHOICE,
      .offset = offsetof(struct tl_config, policy_enabled),
      .fallback = "true",
      .words = { "false", "true" },
      .doc = "Whether anything is recorded of what is logged: 'true' or 'false'." },
    { .name = "policy.redact.keys",
      .kind = TL_CONFIG_NAMES,
      .fallback = "password,passwd,secret,token,api_key,apikey,authorization,auth,session_id,"
                  "session_token,access_token,refresh_token,private_key,client_secret",
      .doc = "Members whose values are masked, whatever the letter case of their names." },
    { .name = "policy.redact.patterns",
      .kind = TL_CONFIG_PATTERNS,
      .fallback = "",
      .doc = "Regular expressions whose matches in texts are masked." },
    { .name = "policy.rules",
      .kind = TL_CONFIG_RULES,
      .doc = "How much of which events is recorded, and how; the first rule that matches." },
    { .name = "policy.text_bytes",
      .kind = TL_CONFIG_SIZE,
      .offset = offsetof(struct tl_config, policy_text_bytes),
      .fallback = "0",
      .max = (int64_t)TL_EVENT_BYTES_MAX,
      .doc = "Longer texts are cut; 0 for no bound, else 64 and more." },
    { .name = "remote.ca_file",
      .kind = TL_CONFIG_PATH,
      .offset = offsetof(struct tl_config, remote_ca_file),
      .fallback = "",
      .doc = "Certificates (PEM) to believe a remote ledger's server by, not the system's." },
    { .name = "remote.spool",
      .kind = TL_CONFIG_PATH,
      .offset = offsetof(struct tl_config, remote_spool),
      .fallback = "",
      .doc = "The directory where events wait for a remote ledger's server." },
    { .name = "remote.timeout_s",
      .kind = TL_CONFIG_SECONDS,
      .offset = offsetof(struct tl_config, remote_timeout_s),
      .fallback = "30",
      .min = 1,
      .max = 300,
      .doc = "How long a remote ledger's server may take to answer." },
    { .name = "remote.token_file",
      .kind = TL_CONFIG_PATH,
      .offset = offsetof(struct tl_config, remote_token_file),
      .fallback = "",
      .doc = "File (mode 0600) with the token for a remote ledger's server." },
    { .name = "retention.basis",
      .kind = TL_CONFIG_CHOICE,
      .offset = offsetof(struct tl_config, retention.by_occurred),
      .fallback = "recorded",
      .words = { "recorded", "occurred" },
      .doc = "What retention counts from: the time 'recorded', or 'occurred'." },
    { .name = "retention.by_action",
      .kind = TL_CONFIG_MAP,
      .offset = TL_MAP_ACTION,
      .doc = "Days to keep events of an action, or of a prefix such as 'user.*'." },
    { .name = "retention.by_outcome",
      .kind = TL_CONFIG_MAP,
      .offset = TL_MAP_OUTCOME,
      .doc = "Days to keep events of an outcome: success, failure, pending or unknown." },
    { .name = "retention.by_severity",
      .kind = TL_CONFIG_MAP,
      .offset = TL_MAP_SEVERITY,
      .doc = "Days to keep events of a severity." },
    { .name = "retention.by_source",
      .kind = TL_CONFIG_MAP,
      .offset = TL_MAP_SERVICE,
      .doc = "Days to keep events of a service." },
    { .name = "retention.by_tenant",
      .kind = TL_CONFIG_MAP,
      .offset = TL_MAP_TENANT,
      .doc = "Days to keep events of a tenant." },
    { .name = "retention.default_days",
      .kind = TL_CONFIG_DAYS,
      .offset = offsetof(struct tl_config, retention.default_days),
      .fallback = "365",
      .doc = "Days to keep events that no other rule covers; 0 or 'forever' keeps them." },
    { .name = "retention.schedule",
      .kind = TL_CONFIG_TEXT,
      .offset = offsetof(struct tl_config, retention_schedule),
      .fallback = "@hourly",
      .doc = "When contents that are due are purged: a cron expression, or 'off'." },
    { .name = "route.create",
      .kind = TL_CONFIG_CHOICE,
      .offset = offsetof(struct tl_config, route_create),
      .fallback = "no",
      .words = { "no", "yes" },
      .doc = "Whether a ledger that events are routed to is made if it is not there." },
    { .name = "route.dir",
      .kind = TL_CONFIG_TEXT,
      .offset = offsetof(struct tl_config, route_dir),
      .fallback = "ledgers",
      .doc = "Where ledgers that events are routed to lie: absolute, or relative to the ledger." },
    { .name = "route.open_max",
      .kind = TL_CONFIG_SIZE,
      .offset = offsetof(struct tl_config, route_open_max),
      .fallback = "16",
      .min = 1,
      .max = 1024,
      .doc = "How many ledgers that events are routed to are open at a time." },
    { .name = "search.text",
      .kind = TL_CONFIG_MEMBERS,
      .fallback = "reason,actor.name,targets.name",
      .doc = "Members that free text searches." },
    { .name = "server.listen",
      .kind = TL_CONFIG_LISTEN,
      .fallback = "",
      .doc = "Where 'tally serve' listens; if nothing says so, at 127.0.0.1:8080." },
    { .name = "server.plain",
      .kind = TL_CONFIG_CHOICE,
      .offset = offsetof(struct tl_config, server.plain),
      .fallback = "no",
      .words = { "no", "yes" },
      .doc = "Whether plain HTTP is served beyond loopback: a proxy in front does TLS." },
    { .name = "server.public_tlog",
      .kind = TL_CONFIG_CHOICE,
      .offset = offsetof(struct tl_config, server.public_tlog),
      .fallback = "no",
      .words = { "no", "yes" },
      .doc = "Whether the tiles of the tree are served to anybody, without a token." },
    { .name = "server.rate_per_address",
      .kind = TL_CONFIG_NUMBER,
      .offset = offsetof(struct tl_config, server.rate_per_address),
      .fallback = "50",
      .max = 1000000,
      .doc = "Requests without a token in force that an address may make in a second; 0: any." },
    { .name = "server.rate_per_token",
      .kind = TL_CONFIG_NUMBER,
      .offset = offsetof(struct tl_config, server.rate_per_token),
      .fallback = "0",
      .max = 1000000,
      .doc = "Requests that a token may make in a second; 0: any number." },
    { .name = "server.tls_cert",
      .kind = TL_CONFIG_PATH,
      .offset = offsetof(struct tl_config, server.tls_cert),
      .fallback = "",
      .doc = "The server's certificate and its chain (PEM)." },
    { .name = "server.tls_key",
      .kind = TL_CONFIG_PATH,
      .offset = offsetof(struct tl_config, server.tls_key),
      .fallback = "",
      .doc = "The key of that certificate (PEM)." },
    { .name = "server.tokens",
      .kind = TL_CONFIG_TEXT,
      .offset = offsetof(struct tl_config, server.tokens),
      .fallback = "tokens.json",
      .doc = "The file of tokens for 'tally serve'." },
    { .name = "server.unix",
      .kind = TL_CONFIG_PATH,
      .offset = offsetof(struct tl_config, server.unix_path),
      .fallback = "",
      .doc = "A Unix socket that 'tally serve' listens at as well." },
    { .name = "server.viewer_origins",
      .kind = TL_CONFIG_ORIGINS,
      .fallback = "",
      .doc = "Pages of other servers that may ask for views: 'https://admin.example'." },
    { .name = "spool.max_bytes",
      .kind = TL_CONFIG_SIZE,
      .offset = offsetof(struct tl_config, spool_bytes_max),
      .fallback = "256MiB",
      .min = 1 << 20,
      .max = (int64_t)1 << 40,
      .doc = "How much one process may have waiting in the spool." },
    { .name = "spool.segment_age_s",
      .kind = TL_CONFIG_SECONDS,
      .offset = offsetof(struct tl_config, spool_segment_age_s),
      .fallback = "60",
      .min = 1,
      .max = 86400,
      .doc = "After how long a segment of the spool is closed." },
    { .name = "spool.segment_bytes",
      .kind = TL_CONFIG_SIZE,
      .offset = offsetof(struct tl_config, spool_segment_bytes),
      .fallback = "8MiB",
      .min = 64 << 10,
      .max = 256 << 20,
      .doc = "How large a segment of the spool is." },
    { .name = "spool.sync_ms",
      .kind = TL_CONFIG_MS,
      .offset = offsetof(struct tl_config, spool_sync_ms),
      .fallback = "50",
      .max = 60000,
      .doc =
          "After how long, at most, the spool is on stable storage; 0 never syncs it by itself." },
    { .name = "store",
      .kind = TL_CONFIG_TEXT,
      .offset = offsetof(struct tl_config, store),
      .fallback = "sqlite",
      .doc = "The store: 'sqlite', or the URI of another kind." },
    { .name = "verify.max_age_s",
      .kind = TL_CONFIG_SECONDS,
      .offset = offsetof(struct tl_config, max_age_s),
      .fallback = "0",
      .max = UINT32_MAX,
      .doc = "How old the newest checkpoint may be when verifying; 0 for any age." },
    { .name = "verify.part",
      .kind = TL_CONFIG_SIZE,
      .offset = offsetof(struct tl_config, verify_part),
      .fallback = "1000000",
      .max = (int64_t)1 << 40,
      .doc = "How many records' contents a scheduled verification checks, in turns; 0: all." },
    { .name = "verify.schedule",
      .kind = TL_CONFIG_TEXT,
      .offset = offsetof(struct tl_config, verify_schedule),
      .fallback = "@daily",
      .doc = "When the ledger is verified: a cron expression, or 'off'." },
};
const size_t tl_config_key_count = TL_ARRAY_LEN(tl_config_keys);

const struct tl_config_key *tl_config_key_find(struct tl_str name, struct tl_str *rest_out)
{
    *rest_out = (struct tl_str){ 0 };
    for (size_t i = 0; i < tl_config_key_count; i++) {
        const struct tl_config_key *key = &tl_config_keys[i];
        struct tl_str known = tl_str_of(key->name);
        bool has_entries = key->kind == TL_CONFIG_MAP || key->kind == TL_CONFIG_RULES;
        if (key->kind != TL_CONFIG_MAP && tl_str_equal(known, name)) {
            return key;
        }
        if (has_entries && name.len > known.len + 1 && tl_str_starts(name, known) &&
            name.text[known.len] == '.') {
            *rest_out = (struct tl_str){ .text = name.text + known.len + 1,
                                         .len = name.len - known.len - 1 };
            return key;
        }
    }
    return NULL;
}

#define NEAR_MAX 64u

/* How many letters must be added, taken away or changed; both have at most NEAR_MAX. */
static size_t distance(struct tl_str a, struct tl_str b)
{
    size_t row[NEAR_MAX + 1];
    for (size_t j = 0; j <= b.len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t best = diagonal + (a.text[i - 1] != b.text[j - 1]);
            diagonal = row[j];
            best = best < row[j] + 1 ? best : row[j] + 1;
            row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
        }
    }
    return row[b.len];
}

const char *tl_config_key_nearest(struct tl_str name)
{
    const char *nearest = NULL;
    size_t least = name.len / 2 + 1;
    for (size_t i = 0; name.len <= NEAR_MAX && i < tl_config_key_count; i++) {
        size_t far = distance(name, tl_str_of(tl_config_keys[i].name));
        if (far < least) {
            least = far;
            nearest = tl_config_keys[i].name;
        }
    }
    return nearest;
}

/* Names of variables are those of keys in upper case, with '_' for '.'. */
static bool starts_with_key(struct tl_str variable, const char *name)
{
    for (size_t i = 0; name[i] != '\0'; i++) {
        bool dot = name[i] == '.';
        if (i >= variable.len || tl_fold(variable.text[i]) != (dot ? '_' : name[i])) {
            return false;
        }
    }
    return true;
}

tally_status tl_config_key_of_variable(struct tl_str variable, char *key_out, size_t size)
{
    for (size_t i = 0; i < tl_config_key_count; i++) {
        const struct tl_config_key *key = &tl_config_keys[i];
        size_t len = strlen(key->name);
        bool map = key->kind == TL_CONFIG_MAP;
        if (!starts_with_key(variable, key->name) ||
            (map ? variable.len <= len + 1 || variable.text[len] != '_' : variable.len != len)) {
            continue;
        }
        if (variable.len + 1 > size) {
            return TALLY_ELIMIT;
        }
        memcpy(key_out, key->name, len);
        for (size_t j = len; j < variable.len; j++) {
            key_out[j] = tl_fold(variable.text[j]);
        }
        if (map) {
            key_out[len] = '.';
        }
        key_out[variable.len] = '\0';
        return TALLY_OK;
    }
    return TALLY_ENOTFOUND;
}
