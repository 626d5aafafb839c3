/*
 * bundle/layout.h - where the parts of an evidence bundle lie (docs/evidence.md, "Evidence bundle";
 * c2sp.org/tlog-tiles).
 */
#ifndef TL_BUNDLE_LAYOUT_H
#define TL_BUNDLE_LAYOUT_H

#include "base/buf.h"

#define TL_BUNDLE_PATH_SIZE 4096u

/* A tile of entries is a level of its own. */
#define TL_BUNDLE_ENTRIES UINT32_MAX

/* Bytes of 256 leaves, each with its length in front. */
#define TL_BUNDLE_ENTRIES_LEN_MAX ((size_t)256 * (2 + 65535))

/* A tile as its path names it; `width` is 256 for a full one. */
struct tl_bundle_tile {
    uint32_t level;
    uint64_t n;
    uint32_t width;
};

/* Writes "DIR/NAME" to out, of TL_BUNDLE_PATH_SIZE bytes. Errors: TALLY_EINVAL it does not fit */
tally_status tl_bundle_path(char *out, const char *dir, const char *name, struct tally_error *err);

/* Writes the path of a tile below a bundle, "tile/0/x001/067.p/12". */
#define TL_BUNDLE_NAME_SIZE 64u
void tl_bundle_tile_name(char out[TL_BUNDLE_NAME_SIZE], const struct tl_bundle_tile *tile);

/* Reads such a path. Errors: TALLY_EINVAL for any other spelling */
tally_status tl_bundle_tile_parse(struct tl_bundle_tile *out, const char *name);

/* Whether a tree of `size` leaves has this tile, of this width. */
bool tl_bundle_tile_fits(const struct tl_bundle_tile *tile, uint64_t size);

/* Whether it has this tile, of this width or more. */
bool tl_bundle_tile_reaches(const struct tl_bundle_tile *tile, uint64_t size);

/* Appends a leaf to a tile of entries. Errors: TALLY_ECORRUPT it is too long; TALLY_ENOMEM */
tally_status tl_bundle_add_entry(struct tl_buf *entries, const uint8_t *leaf, size_t len,
                                 struct tally_error *err);

#endif /* TL_BUNDLE_LAYOUT_H */
