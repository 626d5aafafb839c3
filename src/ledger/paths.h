/* ledger/paths.h - where the parts of a ledger lie. */
#ifndef TL_LEDGER_PATHS_H
#define TL_LEDGER_PATHS_H

#include <tally/ledger.h>

#include "base/base.h"
#include "base/str.h"

#define TL_PATH_SIZE 4096u /* bytes, the NUL included; as PATH_MAX */

/* Absolute or relative paths, NUL-terminated. Immutable after init. */
struct tl_paths {
    bool remote; /* a ledger behind HTTP: `dir` is where its spool is, "" if there is none */
    bool memory; /* the ledger has no directory; all paths are "" */
    char dir[TL_PATH_SIZE];        /* or the whole URI of a memory ledger */
    char store[TL_PATH_SIZE + 32]; /* URI */
    char index[TL_PATH_SIZE];
    char lock[TL_PATH_SIZE];
    char config[TL_PATH_SIZE];
    char checkpoints[TL_PATH_SIZE];
    char spool[TL_PATH_SIZE];
    char trouble[TL_PATH_SIZE]; /* text: why nothing is recorded now */
    char keys[TL_PATH_SIZE];
    char trust[TL_PATH_SIZE];
};

/*
 * Finds the paths for the ledger at `uri`. `store` and `keys_dir` are configuration; absent ones
 * stand for the defaults. Errors: TALLY_EINVAL for a path that is too long or empty.
 */
tally_status tl_paths_init(struct tl_paths *paths, const char *uri, struct tl_str store,
                           struct tl_str keys_dir, struct tally_error *err);

/* The same for a remote ledger, whose spool is in `dir`. */
tally_status tl_paths_init_remote(struct tl_paths *paths, struct tl_str dir,
                                  struct tally_error *err);

/* Writes "dir/name" to out, of TL_PATH_SIZE bytes. Errors: TALLY_EINVAL if it does not fit. */
tally_status tl_path_join(char *out, const char *dir, const char *name, struct tally_error *err);

#endif /* TL_LEDGER_PATHS_H */
