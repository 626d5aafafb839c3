/*
 * ledger/backup_parts.h - what a backup directory holds, shared by those who write and read it.
 *
 *   backup.json     says that the rest is whole; written last
 *   ledger.db       the store
 *   trust.txt       the keys that verify it, public
 *   config.yaml     the ledger's configuration, if it has a file. Not "tally.yaml": what it says of the
 *                   place of keys and store is not true here
 *   checkpoints/    as in the ledger; anchors/, if there are any
 *   backup.lock     locked by who works here
 */
#ifndef TL_LEDGER_BACKUP_PARTS_H
#define TL_LEDGER_BACKUP_PARTS_H

#include <tally/backup.h>

#include "evidence/trust.h"
#include "ledger/paths.h"
#include "store/store.h"

#define TL_BACKUP_MANIFEST_MAX 4096u /* bytes */
#define TL_BACKUP_STORE        "ledger.db"
#define TL_BACKUP_LOCK         "backup.lock"

/* Large: allocate. */
struct tl_backup_paths {
    char dir[TL_PATH_SIZE];
    char manifest[TL_PATH_SIZE];
    char store[TL_PATH_SIZE];
    char trust[TL_PATH_SIZE];
    char config[TL_PATH_SIZE];
    char checkpoints[TL_PATH_SIZE];
    char anchors[TL_PATH_SIZE];
    char lock[TL_PATH_SIZE];
};

tally_status tl_backup_paths_init(struct tl_backup_paths *paths, const char *dir,
                                  struct tally_error *err);

/* One at a time works in a backup. TALLY_EBUSY: another does */
tally_status tl_backup_lock(const struct tl_backup_paths *paths, int *fd_out,
                            struct tally_error *err);

/* What backup.json says. A backup that is complete may have grown since: never shrunk. */
struct tl_manifest {
    bool complete;
    uint64_t size; /* leaves */
    uint8_t root[TALLY_HASH_LEN];
    char origin[TL_ORIGIN_LEN_MAX + 1];
};

void tl_manifest_format(struct tl_buf *out, const struct tl_manifest *manifest);
/* Errors: TALLY_ECORRUPT, TALLY_ENOMEM */
tally_status tl_manifest_parse(struct tl_manifest *out, const char *text, size_t len,
                               struct tally_error *err);
/* TALLY_ENOTFOUND if there is none. */
tally_status tl_manifest_read(struct tl_manifest *out, const char *path, struct tally_error *err);
tally_status tl_manifest_write(const char *path, const struct tl_manifest *manifest,
                               struct tally_error *err);

/* Copies a file that differs, atomically; adds what it wrote to *bytes. TALLY_ENOTFOUND */
tally_status tl_backup_copy_file(const char *from, const char *to, uint64_t *bytes,
                                 struct tally_error *err);

/* The same for the files of a directory, but for one name (NULL: for none) and unfinished ones. A
 * directory that is not there is an empty one. */
tally_status tl_backup_copy_files(const char *from, const char *to, const char *but,
                                  uint64_t *bytes, struct tally_error *err);

/* The store must be VERIFIED. Witnesses are not asked for: a running ledger's newest checkpoint is
 * rarely witnessed yet. Errors: TALLY_ECORRUPT, with what was found; TALLY_EIO a part cannot be read;
 * TALLY_ECANCELED; TALLY_ENOMEM */
tally_status tl_backup_verify(struct tally_store *store, const struct tl_trust *trust,
                              tally_progress_fn *progress, void *ctx, struct tally_error *err);

/* The same for a bundle: a store of tl_bundle_open(). */
tally_status tl_backup_verify_bundle(struct tally_store *store, const struct tl_trust *trust,
                                     struct tally_error *err);

#endif /* TL_LEDGER_BACKUP_PARTS_H */
