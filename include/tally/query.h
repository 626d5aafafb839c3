/*
 * tally/query.h - find, count and summarise records, and export them.
 *
 * A query that cannot be answered is an error, never an empty page.
 */
#ifndef TALLY_QUERY_H
#define TALLY_QUERY_H

#include <stddef.h>
#include <stdint.h>

#include <tally/error.h>
#include <tally/export.h>
#include <tally/ledger.h>

TALLY_BEGIN_DECLS

/*
 * One condition. Fields: id, action, actor_id, actor_type, actor_name, target_type, target_id,
 * outcome, severity, service, host, ip, transport, tenant_id, correlation_id, causation_id,
 * trace_id, span_id, request_id, session_id, tag, kind, state, severity_min, text; the range ends
 * from, to, until (occurred_at), recorded_from, recorded_to, seq_from, seq_to; and the aliases of
 * docs/events.md (user_id, doctype, since, ...).
 *
 * Different fields are ANDed, the same field given again is ORed; range ends may be given once.
 * An action that ends in ".*" (or in '*' after ':' or '/') is a prefix. An empty value means that
 * the member is absent. Times: RFC 3339, a date (UTC), "now", "-15m", "-24h", "-7d". target_type
 * and target_id together must hold for one and the same target. Without `kind`, only events are
 * found: no control records, and of the ledger's own events ("tally.") only those that `action` or
 * `id` name. kind=all finds everything.
 */
struct tally_condition {
    const char *field;
    const char *value;
};

enum tally_order {
    TALLY_ORDER_SEQ = 0,
    TALLY_ORDER_OCCURRED = 1 /* by occurred_at, then seq */
};

enum tally_count_mode {
    TALLY_COUNT_NONE = 0,
    TALLY_COUNT_CAPPED = 1, /* stops at 10,000 */
    TALLY_COUNT_EXACT = 2
};

/* Borrowed for the call. */
struct tally_query {
    size_t struct_size; /* bytes; set by TALLY_QUERY_INIT */
    const struct tally_condition *conditions;
    size_t condition_count; /* at most 1,000 */
    uint32_t limit;         /* 1-1,000 records; 0 picks 50 */
    uint64_t offset;        /* at most 100,000; for compatibility: use cursors. Excludes `cursor` */
    const char *cursor;     /* `next` of the page before, for the same conditions and order */
    enum tally_order order;
    int ascending; /* 0: newest first */
    enum tally_count_mode count;
    /* NULL: none. For tally_find(), tally_count() and tally_stats() of a local ledger: what is found
     * fits these as well, as if they had been asked for alone. */
    const struct tally_condition *within;
    size_t within_count;
};

#define TALLY_QUERY_INIT                                                                       \
    {                                                                                          \
        sizeof(struct tally_query), NULL, 0, 0, 0, NULL, TALLY_ORDER_SEQ, 0, TALLY_COUNT_NONE, \
            NULL, 0                                                                            \
    }

/* One record as reading interfaces show it. Borrowed from its page. */
struct tally_item {
    uint64_t seq;
    int64_t recorded_us; /* microseconds since 1970, UTC */
    int64_t occurred_us; /* of a record without content, recorded_us */
    const char *id;      /* NUL-terminated; "" in control records and without content */
    const char *kind;    /* "event", or a control kind in lower case: "genesis" */
    const char *state;   /* "present", "partial", "erased", "purged", "evicted" */
    uint8_t leaf_hash[32];
    const char *line;  /* the record as JSON in one line (docs/events.md); NUL-terminated */
    size_t line_len;   /* bytes */
    const char *event; /* canonical bytes, within `line`; NULL without content */
    size_t event_len;  /* bytes */
};

/* Owned: tally_page_free(). */
struct tally_page {
    const struct tally_item *items;
    size_t count;
    const char *next;    /* cursor of the next page; NULL on the last */
    int complete;        /* 0 if part of what the filter covers could not be read */
    const char *problem; /* what was in the way; NULL if complete */
    uint64_t indexed_to; /* how far the index reached; what is newer was searched without it */
    int has_total;
    uint64_t total; /* records that fit, over all pages; capped unless total_exact */
    int total_exact;
};

/*
 * Errors: TALLY_EREFUSED err->code is unknown_filter, bad_parameter, bad_limit or bad_cursor, and
 *                        err->message names the condition
 *         TALLY_ECORRUPT a record that may fit cannot be read
 *         TALLY_EIO, TALLY_EBUSY, TALLY_ENOMEM
 */
TALLY_API tally_status tally_find(struct tally_ledger *ledger, const struct tally_query *query,
                                  struct tally_page **page_out, struct tally_error *err);
TALLY_API void tally_page_free(struct tally_page *page);

/* A page with one item. TALLY_ENOTFOUND if there is no such record. */
TALLY_API tally_status tally_get_by_id(struct tally_ledger *ledger, const char *id,
                                       struct tally_page **page_out, struct tally_error *err);
TALLY_API tally_status tally_get_by_seq(struct tally_ledger *ledger, uint64_t seq,
                                        struct tally_page **page_out, struct tally_error *err);

/* Counts what fits the conditions of `query`; *exact_out is 0 if it stopped at 10,000. */
TALLY_API tally_status tally_count(struct tally_ledger *ledger, const struct tally_query *query,
                                   uint64_t *count_out, int *exact_out, struct tally_error *err);

/* One row of a summary. Borrowed from its result. */
struct tally_stats_row {
    const char *key; /* the value counted, or "" for records that lack it */
    int64_t day_us;  /* first microsecond of the UTC day or hour; 0 if by neither */
    uint64_t count;
};

/* What rows are split by. */
enum tally_bucket { TALLY_BUCKET_NONE = 0, TALLY_BUCKET_DAY = 1, TALLY_BUCKET_HOUR = 2 };

/* Owned: tally_stats_free(). Rows by time, then by count, falling. */
struct tally_stats {
    const struct tally_stats_row *rows;
    size_t count;
    uint64_t total;  /* records counted */
    uint64_t others; /* records whose key had no row of its own any more: 10,000 keys are kept */
    enum tally_bucket bucket;
};

/*
 * Counts records by the value of `by`: day, hour, action, actor_id, outcome, severity, or any other
 * field of a condition; `bucket`, an enum tally_bucket, also splits by day or hour of occurred_at, those
 * without records included with count 0 and key "". TALLY_EREFUSED with bad_parameter for another word.
 */
TALLY_API tally_status tally_stats(struct tally_ledger *ledger, const struct tally_query *query,
                                   const char *by, int bucket, struct tally_stats **stats_out,
                                   struct tally_error *err);
TALLY_API void tally_stats_free(struct tally_stats *stats);

/* A service that sent events (source.service) in the last 30 days. Borrowed from its result. */
struct tally_source {
    const char *service; /* "#..." and a hash, if the name has more than 128 bytes */
    uint64_t events;
    int64_t last_us;        /* the newest occurred_at that is not in the future */
    int64_t silent_after_s; /* half as much again as its longest pause; 0: it was active in less */
    int silent;             /* than three hours. 1: nothing came for longer than that */
};

/* An action that no list of a policy names, and which was not recorded therefore. */
struct tally_unlisted {
    const char *action;
    uint64_t count;
    int64_t last_us; /* when it was reported last */
};

/* Owned: tally_sources_free(). Both lists in order of name, 200 at most; `cut` 1: there are others. */
struct tally_sources {
    const struct tally_source *sources;
    size_t source_count;
    int sources_cut;
    const struct tally_unlisted *unlisted;
    size_t unlisted_count;
    int unlisted_cut;
};

/*
 * Who sent events in the last 30 days and who fell silent, from the index alone; and what was reported
 * as unlisted in that time. Pauses are counted in whole hours. TALLY_ENOTSUP without an index, and of a
 * remote ledger.
 */
TALLY_API tally_status tally_sources(struct tally_ledger *ledger,
                                     struct tally_sources **sources_out, struct tally_error *err);
TALLY_API void tally_sources_free(struct tally_sources *sources);

/* Takes the next bytes of an export. Anything but TALLY_OK stops it: there are no more after these. */
typedef tally_status tally_write_fn(void *ctx, const char *bytes, size_t len);

/* Told from time to time; return 0 to go on, 1 to stop. `total` is 0 if it is not known. */
typedef int tally_progress_fn(void *ctx, uint64_t done, uint64_t total);

enum tally_format { TALLY_FORMAT_NDJSON = 1, TALLY_FORMAT_JSON = 2, TALLY_FORMAT_CSV = 3 };

enum tally_export_flags { TALLY_EXPORT_NO_FORMULA_GUARD = 1 << 0, TALLY_EXPORT_BOM = 1 << 1 };

/* What an export held. `manifest` is the JSON object that ends it (docs/events.md). */
struct tally_export_result {
    uint64_t count;
    uint64_t first_seq; /* only with count > 0 */
    uint64_t last_seq;
    uint64_t tree_size; /* of the state that was exported */
    uint8_t root[32];
    int complete; /* 0 if it was stopped or something could not be read */
    char manifest[1024];
};

/* Borrowed for the call. */
struct tally_export_options {
    size_t struct_size; /* bytes; set by TALLY_EXPORT_OPTIONS_INIT */
    enum tally_format format;
    uint32_t flags; /* enum tally_export_flags */
    tally_write_fn *write;
    tally_progress_fn *progress; /* NULL is allowed */
    void *ctx;                   /* for both */
};

#define TALLY_EXPORT_OPTIONS_INIT                                                     \
    {                                                                                 \
        sizeof(struct tally_export_options), TALLY_FORMAT_NDJSON, 0, NULL, NULL, NULL \
    }

/*
 * Writes every record that fits the conditions of `query`, in ascending order of seq, as of one
 * moment, without holding more than one batch in memory. NDJSON and JSON end with the manifest
 * within; for CSV the caller keeps result_out->manifest beside the file. *result_out is set on
 * failure too, with complete 0.
 *
 * Errors: those of tally_find(); TALLY_ECANCELED if `progress` said so; the status of `write`
 */
TALLY_API tally_status tally_export(struct tally_ledger *ledger, const struct tally_query *query,
                                    const struct tally_export_options *options,
                                    struct tally_export_result *result_out,
                                    struct tally_error *err);

TALLY_END_DECLS

#endif /* TALLY_QUERY_H */
