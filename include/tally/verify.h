/*
 * tally/verify.h - check a ledger: findings, coverage, verdict.
 *
 * "Could not check" is never "fine": no key, no checkpoint, nothing checked, a part that cannot be
 * read: UNVERIFIABLE, with the reason. What the findings mean is in docs/evidence.md.
 */
#ifndef TALLY_VERIFY_H
#define TALLY_VERIFY_H

#include <stddef.h>
#include <stdint.h>

#include <tally/error.h>
#include <tally/export.h>
#include <tally/ledger.h>
#include <tally/query.h>
#include <tally/verdict.h>

TALLY_BEGIN_DECLS

/* How much a finding weighs. */
enum tally_weight {
    TALLY_WEIGHT_NOTE = 1,
    TALLY_WEIGHT_WARNING = 2,
    TALLY_WEIGHT_UNVERIFIABLE = 3,
    TALLY_WEIGHT_TAMPERED = 4
};

/* One thing that was found. Strings never hold contents of events. */
struct tally_finding {
    const char *code; /* "CONTENT_MODIFIED"; static */
    enum tally_weight weight;
    int has_seq;
    uint64_t seq;
    char id[40];       /* the leaf id in hexadecimal, if the record has one; else "" */
    char what[200];    /* one sentence */
    char expected[80]; /* "" if that makes no sense */
    char actual[80];
};

/* Told of each finding as it is made; return 0 to go on, 1 to stop. */
typedef int tally_finding_fn(void *ctx, const struct tally_finding *finding);

enum tally_scope {
    TALLY_SCOPE_ALL = 0,
    TALLY_SCOPE_NEWEST = 1, /* evidence whole, content of the newest `newest` records */
    TALLY_SCOPE_RANGE = 2,  /* evidence whole, content of first..last, inclusive */
    TALLY_SCOPE_ID = 3,     /* evidence whole, content of one event, by `id` */
    TALLY_SCOPE_SINCE = 4   /* evidence whole, content since the remembered checkpoint `against` */
};

/* Borrowed for the call. */
struct tally_verify_options {
    size_t struct_size; /* bytes; set by TALLY_VERIFY_OPTIONS_INIT */
    enum tally_scope scope;
    uint64_t newest;
    uint64_t first;
    uint64_t last;
    const char *id;
    const char *against_path;       /* a checkpoint remembered elsewhere; NULL for none */
    const char *trust_path;         /* NULL: trust.txt in the ledger's key directory */
    const char *mac_key_path;       /* the secret of tally_init(); NULL: MACs are not checked */
    uint32_t max_age_s;             /* the newest checkpoint may be so old; 0: no limit */
    int skip_index;                 /* 1: do not compare the search index with the records */
    int ledger_only;                /* 1: a bundle is not checked in place of a ledger */
    tally_finding_fn *on_finding;   /* NULL is allowed */
    tally_progress_fn *on_progress; /* NULL is allowed */
    void *ctx;                      /* for both */
};

#define TALLY_VERIFY_OPTIONS_INIT                                                                 \
    {                                                                                             \
        sizeof(struct tally_verify_options), TALLY_SCOPE_ALL, 0, 0, 0, NULL, NULL, NULL, NULL, 0, \
            0, 0, NULL, NULL, NULL                                                                \
    }

enum tally_qualifier {
    TALLY_QUALIFIER_UNANCHORED = 1 << 0, /* no memory outside: the tail could have been cut */
    TALLY_QUALIFIER_MAC_UNCHECKED = 1 << 1,
    TALLY_QUALIFIER_CONTENT_PART = 1 << 2, /* not all contents were checked */
    TALLY_QUALIFIER_PURGED = 1 << 3,
    TALLY_QUALIFIER_ERASED = 1 << 4,
    TALLY_QUALIFIER_WITHHELD = 1 << 5,
    TALLY_QUALIFIER_GAPS = 1 << 6,
    TALLY_QUALIFIER_RESTORED = 1 << 7,
    TALLY_QUALIFIER_VOLATILE = 1 << 8,
    TALLY_QUALIFIER_INDEX_UNCHECKED = 1 << 9
};

#define TALLY_REPORT_FINDINGS_MAX 1000u

/* Owned: tally_report_free(). */
struct tally_report {
    enum tally_verdict verdict;
    uint32_t qualifiers;     /* enum tally_qualifier */
    uint64_t expected;       /* records that the scope asks to check */
    uint64_t checked;        /* of these, records whose check was finished, good or bad */
    uint64_t skipped;        /* expected - checked */
    const char *skipped_why; /* "" if none were */
    uint64_t leaves;         /* leaves whose evidence was checked */
    uint64_t contents;       /* contents compared with their commitments */
    uint64_t size;           /* leaves under the checkpoint that was verified; 0 if none was */
    int64_t sealed_s;        /* its time, seconds since 1970 */
    char origin[208];
    uint64_t tampered; /* findings of each weight */
    uint64_t unverifiable;
    uint64_t warnings;
    uint64_t notes;
    const struct tally_finding *findings; /* the first TALLY_REPORT_FINDINGS_MAX of them */
    size_t finding_count;
    int canceled; /* a callback stopped it; never VERIFIED then */
};

/*
 * Checks the ledger at `uri` (a directory) as of one moment, or the evidence bundle or tlog-tiles
 * directory there, which needs a trust_path: no key that comes with one is believed. What has a part
 * of a ledger in it is a ledger, whatever else is there. It takes no handle on a ledger, so that it
 * also works where tally_open() refuses. Writers are not held up. TALLY_OK means that a report was
 * made, whatever its verdict; a ledger that cannot be read is a report too.
 *
 * Errors: TALLY_EINVAL an option is wrong or names a file that cannot be read; TALLY_ENOMEM
 */
TALLY_API tally_status tally_verify_at(const char *uri, const struct tally_verify_options *options,
                                       struct tally_report **report_out, struct tally_error *err);

/* The same for a ledger that is open; the only way for one in memory. */
TALLY_API tally_status tally_verify(struct tally_ledger *ledger,
                                    const struct tally_verify_options *options,
                                    struct tally_report **report_out, struct tally_error *err);
TALLY_API void tally_report_free(struct tally_report *report);

TALLY_API const char *tally_verdict_name(enum tally_verdict verdict); /* "VERIFIED" */
TALLY_API const char *tally_weight_name(enum tally_weight weight);    /* "tampered" */

TALLY_END_DECLS

#endif /* TALLY_VERIFY_H */
