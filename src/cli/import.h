/*
 * cli/import.h - from texts of events to records: batches, a thread that appends, rejects.
 *
 * Readers of formats hand in one event after the other; while a batch is being appended by the
 * thread, the next one is being filled.
 */
#ifndef TL_CLI_IMPORT_H
#define TL_CLI_IMPORT_H

#include "base/base.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "cli/source.h"

/* A column of CSV and the member that it is given with --map. */
struct tl_import_map {
    struct tl_str column;
    const char *member;
};

/* What was asked for. Borrowed. */
struct tl_import_options {
    uint32_t flags; /* enum tally_event_flags, for each event */
    bool dry_run;
    const char *rejects_path; /* NULL: a new file in the ledger */
    const struct tl_import_map *maps;
    size_t map_count;
    const char *conflict_code; /* what an id is called that holds another event */
};

struct tl_import_counts {
    uint64_t read;
    uint64_t recorded;
    uint64_t already;
    uint64_t rejected;
    uint64_t conflicts; /* of those, the ones whose id holds another event */
};

struct tl_import; /* confined to the main thread, but for the one it starts itself */

tally_status tl_import_new(struct tl_import **import_out, const struct tl_cli *cli,
                           struct tally_ledger *ledger, const struct tl_import_options *options,
                           struct tally_error *err);
void tl_import_free(struct tl_import *import);

/* Names the file of what is handed in from now on. Borrowed until the import is freed. */
void tl_import_begin_file(struct tl_import *import, const char *file);

const struct tl_import_options *tl_import_options(const struct tl_import *import);
const char *tl_import_origin(const struct tl_import *import); /* of the ledger */

/*
 * Hands in the JSON text of an event from line `line`; `input` is what the file had, which goes
 * with a reject. A refused event is counted, written to the rejects, and no failure.
 *
 * Errors, as of all below: what appending or writing the rejects gave; TALLY_ECANCELED after a
 * signal; TALLY_ENOMEM
 */
tally_status tl_import_event(struct tl_import *import, uint64_t line, struct tl_str json,
                             struct tl_str input, struct tally_error *err);

/* Counts and writes down what did not even become an event. */
tally_status tl_import_reject(struct tl_import *import, uint64_t line,
                              const struct tally_error *why, struct tl_str input,
                              struct tally_error *err);

/* Appends what was handed in so far, and waits for that. */
tally_status tl_import_flush(struct tl_import *import, struct tally_error *err);

struct tl_import_counts tl_import_counts(const struct tl_import *import);

/* The file with rejects; NULL if there is none. */
const char *tl_import_rejects_path(const struct tl_import *import);

/* Reads a source of one format to its end. */
typedef tally_status tl_import_fn(struct tl_import *import, struct tl_source *source,
                                  struct tally_error *err);

tl_import_fn tl_import_ndjson;
tl_import_fn tl_import_json;       /* an array, objects in a row, or our own export */
tl_import_fn tl_import_cloudtrail; /* {"Records":[...]} */
tl_import_fn tl_import_csv;

/* Makes the event of a CloudTrail record that was read from `text`. */
struct tl_json;
void tl_cloudtrail_event(struct tl_js *js, const char *text, const struct tl_json *record);

/* Files to read, directories replaced by what is in them. tl_paths_release(). */
struct tl_paths {
    char **items;
    size_t count;
    size_t capacity;
};

/* Adds a file, or all files of a directory, and of those in it, whose names look like events, in
 * order of name. Errors: TALLY_EIO, TALLY_ELIMIT, TALLY_ENOMEM */
tally_status tl_paths_add(struct tl_paths *paths, const char *path, struct tally_error *err);
void tl_paths_release(struct tl_paths *paths);

#endif /* TL_CLI_IMPORT_H */
