/*
 * bundle/writer.h - writes the files of a bundle into a new directory, which appears whole or not at
 * all. Knows the layout and the tree, and nothing of ledgers.
 */
#ifndef TL_BUNDLE_WRITER_H
#define TL_BUNDLE_WRITER_H

#include "base/buf.h"
#include "bundle/layout.h"
#include "tree/tree.h"

/* A bundle in the making. Large: allocated. Confined to one thread. */
struct tl_bundle_writer {
    char dir[TL_BUNDLE_PATH_SIZE];  /* where it is to appear */
    char made[TL_BUNDLE_PATH_SIZE]; /* where it is made; "" before, and once it has appeared */
    char path[TL_BUNDLE_PATH_SIZE];
    char parent[TL_BUNDLE_NAME_SIZE]; /* the directory that was made last */
    uint64_t bytes;                   /* written */
    struct tl_tiler tiler;
    struct tl_frontier frontier; /* of the leaves so far */
    struct tl_buf entries;       /* of the tile at hand */
    struct tl_buf lines;         /* of the openings, not written yet */
    int lines_fd;                /* -1 if not open */
    uint64_t lines_at;
    struct tally_error *err; /* of the call at hand */
};

/* Begins one that is to appear at `dir`. End it with tl_bundle_writer_release(), also after a failure.
 * Errors: TALLY_ECONFLICT there is something at `dir`; TALLY_EINVAL, TALLY_EIO, TALLY_ENOMEM */
tally_status tl_bundle_writer_init(struct tl_bundle_writer *writer, const char *dir,
                                   struct tally_error *err);

/* Removes what was made, unless it has appeared. */
void tl_bundle_writer_release(struct tl_bundle_writer *writer);

/* Writes a file whose name has at most TL_BUNDLE_NAME_SIZE - 1 bytes, and the directories it lies in.
 * Errors: TALLY_EIO, TALLY_ENOMEM */
tally_status tl_bundle_write_file(struct tl_bundle_writer *writer, const char *name,
                                  const void *data, size_t len, struct tally_error *err);

/* Adds the next leaf, and writes the tiles that it fills. */
tally_status tl_bundle_write_leaf(struct tl_bundle_writer *writer, const uint8_t *leaf, size_t len,
                                  struct tally_error *err);

/* After the last leaf: writes the tiles that are not full. */
tally_status tl_bundle_write_partial(struct tl_bundle_writer *writer, struct tally_error *err);

/* Adds what writer->lines holds to openings.ndjson, once it is worth a write or `all` is wanted. */
tally_status tl_bundle_write_lines(struct tl_bundle_writer *writer, bool all,
                                   struct tally_error *err);

/* Syncs all of it, and gives it its name. */
tally_status tl_bundle_publish(struct tl_bundle_writer *writer, struct tally_error *err);

#endif /* TL_BUNDLE_WRITER_H */
