/*
 * tally/bundle.h - evidence that leaves the house: bundles and tlog-tiles directories
 * (docs/evidence.md, "Evidence bundle"; c2sp.org/tlog-tiles).
 */
#ifndef TALLY_BUNDLE_H
#define TALLY_BUNDLE_H

#include <stddef.h>
#include <stdint.h>

#include <tally/error.h>
#include <tally/export.h>
#include <tally/ledger.h>
#include <tally/lifecycle.h>

TALLY_BEGIN_DECLS

struct tally_bundle_options {
    size_t struct_size; /* bytes; set by TALLY_BUNDLE_OPTIONS_INIT */
    /* Whose contents go along; the leaves of all records always do. Others are "withheld". */
    struct tally_selection selection;
    const char *const *withhold; /* pointers of erasable members that stay here */
    size_t withhold_count;
    int proofs;    /* 1: also a .tlog-proof for each record whose content goes along */
    int tlog_only; /* 1: checkpoint, tiles, entries and keys alone: no contents */
    tally_progress_fn *progress;
    void *ctx;
};
#define TALLY_BUNDLE_OPTIONS_INIT                                                         \
    {                                                                                     \
        sizeof(struct tally_bundle_options), { NULL, NULL, 0 }, NULL, 0, 0, 0, NULL, NULL \
    }

struct tally_bundle_result {
    uint64_t size;     /* leaves */
    uint64_t contents; /* records whose content went along, wholly or in part */
    uint64_t withheld;
    uint64_t bytes; /* written */
};

/*
 * Writes the bundle of the ledger, as of its newest checkpoint, to the new directory `dir`: checkpoint,
 * checkpoints, tiles, entries, openings, anchors, trust.txt, README.txt for the auditor, and the
 * second verifier tally_check.py. It is made beside it under another name, synced, and appears whole.
 *
 * Errors: TALLY_ECONFLICT there is something at `dir`; TALLY_EINVAL; TALLY_EIO; TALLY_ECANCELED
 */
TALLY_API tally_status tally_bundle_write(struct tally_ledger *ledger, const char *dir,
                                          const struct tally_bundle_options *options,
                                          struct tally_bundle_result *result_out,
                                          struct tally_error *err);

/*
 * Gives one tile of the tlog-tiles directory that `tlog_only` writes, as of the newest checkpoint, by its
 * path there: "tile/0/x001/067", "tile/entries/000.p/12". One that is not full may be asked for with
 * fewer hashes or leaves than there are. Owned: tally_free().
 *
 * Errors: TALLY_ENOTFOUND the tree has no such tile, or that is no path of one; TALLY_ECORRUPT
 */
TALLY_API tally_status tally_tlog_tile(struct tally_ledger *ledger, const char *path,
                                       void **bytes_out, size_t *len_out, struct tally_error *err);

TALLY_END_DECLS

#endif /* TALLY_BUNDLE_H */
