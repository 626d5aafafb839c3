/* bundle/reader.h - what the files that make up the store share. */
#ifndef TL_BUNDLE_READER_H
#define TL_BUNDLE_READER_H

#include "bundle/bundle.h"
#include "bundle/layout.h"
#include "bundle/openings.h"
#include "evidence/content.h"
#include "evidence/note.h"
#include "tree/tree.h"

#define TL_BUNDLE_TOKEN_MAX ((size_t)1 << 20)

/* Confined to one thread, as every store. */
struct tl_bundle {
    struct tally_store base;
    char dir[TL_BUNDLE_PATH_SIZE];
    char path[TL_BUNDLE_PATH_SIZE]; /* of the file at hand */

    char *note; /* of the file `checkpoint`; NULL if there is none */
    size_t note_len;
    uint64_t size; /* that it claims; 0 if it does not parse */
    uint8_t root[TL_HASH_LEN];
    uint64_t *sizes; /* ascending: the names in checkpoints/, and `size` */
    size_t size_count;

    struct tl_openings openings;
    bool has_openings;
    const struct tl_opening *line; /* of the record at hand; NULL if there is none */
    struct tl_buf event;
    struct tl_buf opened;
    struct tl_erasable_set *set; /* scratch */

    /* The tile of entries at hand. */
    bool has_entries;
    uint64_t entries_n;
    char *entries; /* NULL if there is no such file */
    size_t entries_len;
    uint32_t leaf_count; /* leaves that parse */
    uint32_t leaf_at[TL_TILE_WIDTH];
    uint32_t entries_end; /* bytes that they take */
};

/* Makes the tile of entries `n` the one at hand. Errors: TALLY_EIO, TALLY_ENOMEM */
tally_status tl_bundle_load_entries(struct tl_bundle *bundle, uint64_t n, struct tally_error *err);

/* Leaf `i` of the tile at hand, i < bundle->leaf_count. */
const uint8_t *tl_bundle_leaf(const struct tl_bundle *bundle, uint32_t i, size_t *len_out);

/* Reads a file of the bundle. TALLY_ENOTFOUND: it is not there, no regular file, or longer than it may
 * be. Owned: tl_free(). Errors: TALLY_EIO, TALLY_ENOMEM */
tally_status tl_bundle_read(struct tl_bundle *bundle, const char *name, size_t len_max,
                            char **data_out, size_t *len_out, struct tally_error *err);

/* Reads the checkpoint of `size`: checkpoints/<size>, or for the newest size `checkpoint`. */
tally_status tl_bundle_read_note(struct tl_bundle *bundle, uint64_t size, char **data_out,
                                 size_t *len_out, struct tally_error *err);

/* check.c: fits the member self_check of a store. */
tally_status tl_bundle_self_check(struct tally_store *store,
                                  void (*fn)(void *ctx, const char *code, uint64_t seq,
                                             const char *what),
                                  void *ctx, struct tally_error *err);

static inline struct tl_bundle *tl_bundle_of(struct tally_store *store)
{
    return tl_container_of(store, struct tl_bundle, base);
}

#endif /* TL_BUNDLE_READER_H */
