/* cli/import_lexigram.h - the tables of lexigram-audit, with their checksums checked. */
#ifndef TL_CLI_IMPORT_LEXIGRAM_H
#define TL_CLI_IMPORT_LEXIGRAM_H

#include "cli/import.h"

/* What was asked for. Borrowed. */
struct tl_lexigram_options {
    const char *table;        /* "audit_log" */
    const char *name;         /* within the ids of the events; NULL: the table's */
    const char *key_path;     /* NULL: checksums are not checked */
    const char *key_encoding; /* utf8, hex, base64, auto */
    bool drop_original;       /* leave the columns as stored out of the event */
};

/* What was found, added up over files. */
struct tl_lexigram_report {
    uint64_t match;
    uint64_t mismatch;
    uint64_t absent;          /* no checksum was stored */
    uint64_t no_key;          /* there is one, and nothing to check it with */
    uint64_t missing_ids;     /* numbers that the sequence of ids passes over */
    uint64_t shared;          /* rows whose checksum another one has as well */
    uint64_t unparsed;        /* rows in which a column that should be JSON is none */
    const char *key_encoding; /* that was taken; static; NULL without a key */
};

/* Imports one SQLite file. Errors: those of tl_lexigram_rows() and tl_import_event(), and
 * TALLY_EINVAL a key that cannot be decoded. */
tally_status tl_import_lexigram(struct tl_import *import, const char *path,
                                const struct tl_lexigram_options *options,
                                struct tl_lexigram_report *report, struct tally_error *err);

/* What the report means for the exit status; `changed` rows are not as they were imported before. */
enum tl_exit tl_lexigram_exit(const struct tl_lexigram_report *report, uint64_t changed);

#endif /* TL_CLI_IMPORT_LEXIGRAM_H */
