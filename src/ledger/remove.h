/* ledger/remove.h - removes directories that may hold keys. */
#ifndef TL_LEDGER_REMOVE_H
#define TL_LEDGER_REMOVE_H

/* Removes `path` and all in it, keys overwritten first: the blocks of a file keep what was in it. What is
 * left cannot be helped, and the next step that needs the name free tells. */
void tl_remove_tree(const char *path);

#endif /* TL_LEDGER_REMOVE_H */
