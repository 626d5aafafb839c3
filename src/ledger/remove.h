/* ledger/remove.h - removes directories that may hold keys. */
#ifndef TL_LEDGER_REMOVE_H
#define TL_LEDGER_REMOVE_H

#include "base/base.h"

/* Overwrites the file of secrets that is open for writing, so that its blocks do not keep them beyond
 * its name. Errors: TALLY_EIO */
tally_status tl_wipe_file(int fd, struct tally_error *err);

/* Removes `path` and all in it, keys overwritten first: the blocks of a file keep what was in it. What is
 * left cannot be helped, and the next step that needs the name free tells. */
void tl_remove_tree(const char *path);

#endif /* TL_LEDGER_REMOVE_H */
