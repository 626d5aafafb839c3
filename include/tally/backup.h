/*
 * tally/backup.h - a copy of a ledger, and a ledger from a copy.
 */
#ifndef TALLY_BACKUP_H
#define TALLY_BACKUP_H

#include <stdint.h>

#include <tally/error.h>
#include <tally/export.h>
#include <tally/ledger.h>
#include <tally/lifecycle.h>

TALLY_BEGIN_DECLS

struct tally_backup_result {
    uint64_t size;       /* leaves in the copy */
    uint64_t from;       /* leaves that were in it before: 0 for a whole one */
    uint64_t bytes;      /* written */
    int verified;        /* the copy was verified, and is VERIFIED */
    char checkpoint[64]; /* file of the newest checkpoint, relative to the directory */
};

/*
 * Copies the ledger to `dir`, online and consistent: store, configuration, checkpoints, anchors, trust
 * file; never keys. If there is a backup of the same ledger, only what was recorded since its
 * checkpoint is added, and what was purged or erased since is removed from it. The copy is verified
 * before this returns; recorded as tally.backup.
 *
 * Errors: TALLY_EINVAL nobody who does it is named, the ledger is open for reading, or has no trust
 *         file; TALLY_ENOTSUP it is not in SQLite; TALLY_EBUSY another backup is at work in `dir`;
 *         TALLY_ECONFLICT `dir` holds something else, or a backup that is no part of this ledger
 *         (fork, rollback: err says which); TALLY_ECORRUPT the copy does not verify;
 *         TALLY_ECANCELED progress stopped it; TALLY_EIO, ENOMEM
 */
TALLY_API tally_status tally_backup(struct tally_ledger *ledger, const char *dir,
                                    const struct tally_actor *actor, tally_progress_fn *progress,
                                    void *ctx, struct tally_backup_result *result_out,
                                    struct tally_error *err);

struct tally_restore_options {
    size_t struct_size;          /* bytes; set by TALLY_RESTORE_OPTIONS_INIT */
    const char *origin;          /* of the new incarnation; NULL picks one */
    uint64_t lost_size;          /* largest size known to have been signed; 0: that of the backup */
    const char *lost_checkpoint; /* note text of that size, if it is at hand; NULL */
    /* A bundle or tlog-tiles directory of the lost ledger, newer than the backup, which verifies by
     * the backup's trust file: its PURGE, ERASE, HOLD and RELEASE records are sealed and applied
     * again, and what it holds counts as signed. NULL: none. */
    const char *bundle_dir;
    int dry_run;
};
#define TALLY_RESTORE_OPTIONS_INIT                                   \
    {                                                                \
        sizeof(struct tally_restore_options), NULL, 0, NULL, NULL, 0 \
    }

struct tally_restored {
    uint64_t from_size;
    uint64_t lost;      /* leaves known to be lost: lost_size - from_size */
    uint64_t reapplied; /* records purged or erased again; 0 in a dry run */
    struct tally_init_result keys;
};

/*
 * Makes a ledger at `uri` from the backup in `dir`: a new incarnation with new origin and keys, whose
 * RESTORE record says where it comes from and what is lost. Auditors pin the new keys by hand. In place
 * of a backup `dir` can be a ledger in SQLite whose keys are lost, with keys/trust.txt in it. There is
 * nothing to sign yet: `request_out` stays as it is.
 *
 * Errors: TALLY_EINVAL actor->by or ->reason is missing, the origin is the old one, what is said to be
 *         lost does not go with the backup, or its configuration keeps a part elsewhere;
 *         TALLY_ENOTFOUND there is no backup in `dir`; TALLY_ENOTSUP `uri` is in memory; TALLY_EBUSY
 *         somebody is at work in `dir`; TALLY_ECONFLICT there is something at `uri`, or the bundle is
 *         older than the backup, or of another history; TALLY_ECORRUPT the backup, or the bundle, does
 *         not verify;
 *         TALLY_EDENIED the trust file asks for an approval of RESTORE, or of an act that is to be
 *         done again, or that act is an early purge; TALLY_EIO, ENOMEM
 */
TALLY_API tally_status tally_restore(const char *dir, const char *uri,
                                     const struct tally_restore_options *options,
                                     const struct tally_actor *actor,
                                     struct tally_restored *restored_out, char **request_out,
                                     struct tally_error *err);

TALLY_END_DECLS

#endif /* TALLY_BACKUP_H */
