#include "bundle/layout.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/parse.h"
#include "tree/tree.h"

tally_status tl_bundle_path(char *out, const char *dir, const char *name, struct tally_error *err)
{
    struct tl_buf path;
    tl_buf_init_fixed(&path, out, TL_BUNDLE_PATH_SIZE);
    tl_buf_add_text(&path, dir);
    tl_buf_add_char(&path, '/');
    tl_buf_add_text(&path, name);
    tl_buf_add_char(&path, '\0');
    return tl_buf_status(&path) == TALLY_OK
               ? TALLY_OK
               : tl_fail(err, TALLY_EINVAL, "the path to '%s' is longer than %u bytes", name,
                         TL_BUNDLE_PATH_SIZE - 2);
}

void tl_bundle_tile_name(char out[TL_BUNDLE_NAME_SIZE], const struct tl_bundle_tile *tile)
{
    struct tl_buf name;
    uint64_t unit = 1; /* of the first group of three digits */
    while (tile->n / unit >= 1000) {
        unit *= 1000;
    }
    tl_buf_init_fixed(&name, out, TL_BUNDLE_NAME_SIZE);
    if (tile->level == TL_BUNDLE_ENTRIES) {
        tl_buf_add_text(&name, "tile/entries/");
    } else {
        tl_buf_addf(&name, "tile/%" PRIu32 "/", tile->level);
    }
    for (; unit > 1; unit /= 1000) {
        tl_buf_addf(&name, "x%03u/", (unsigned)(tile->n / unit % 1000));
    }
    tl_buf_addf(&name, "%03u", (unsigned)(tile->n % 1000));
    if (tile->width < TL_TILE_WIDTH) {
        tl_buf_addf(&name, ".p/%" PRIu32, tile->width);
    }
    tl_buf_add_char(&name, '\0');
    tl_assert(tl_buf_status(&name) == TALLY_OK);
}

/* Reads groups of digits up to the end or a ".p/"; NULL if they are none. */
static const char *read_groups(const char *at, uint64_t *n_out)
{
    uint64_t n = 0;
    bool more = true;
    while (more) {
        more = *at == 'x';
        at += more ? 1 : 0;
        for (int i = 0; i < 3; i++, at++) {
            if (*at < '0' || *at > '9' || n > UINT64_MAX / 16) {
                return NULL;
            }
            n = n * 10 + (uint64_t)(*at - '0');
        }
        if (more && *at++ != '/') {
            return NULL;
        }
    }
    *n_out = n;
    return at;
}

tally_status tl_bundle_tile_parse(struct tl_bundle_tile *out, const char *name)
{
    static const char entries[] = "tile/entries/";
    struct tl_bundle_tile tile = { .level = TL_BUNDLE_ENTRIES, .width = TL_TILE_WIDTH };
    const char *at = name + sizeof(entries) - 1;
    uint64_t width = 0;
    char again[TL_BUNDLE_NAME_SIZE];
    if (strncmp(name, entries, sizeof(entries) - 1) != 0) {
        if (strncmp(name, "tile/", 5) != 0 || name[5] < '0' || name[5] > '9' || name[6] != '/') {
            return TALLY_EINVAL;
        }
        tile.level = (uint32_t)(name[5] - '0');
        at = name + 7;
    }
    at = read_groups(at, &tile.n);
    if (at == NULL) {
        return TALLY_EINVAL;
    }
    if (strncmp(at, ".p/", 3) == 0) {
        TL_TRY(tl_parse_u64(at + 3, strlen(at + 3), TL_TILE_WIDTH - 1, &width));
        tile.width = (uint32_t)width;
    }
    /* One spelling alone: a second file for one tile would be one that nobody looks at. */
    tl_bundle_tile_name(again, &tile);
    if (strcmp(again, name) != 0) {
        return TALLY_EINVAL;
    }
    *out = tile;
    return TALLY_OK;
}

/* Nodes that the level of a tile has in a tree of `size` leaves. */
static uint64_t count_hashes(const struct tl_bundle_tile *tile, uint64_t size)
{
    uint32_t level = tile->level == TL_BUNDLE_ENTRIES ? 0 : tile->level;
    return level >= TL_TILE_LEVELS ? 0 : size >> (8 * level);
}

bool tl_bundle_tile_fits(const struct tl_bundle_tile *tile, uint64_t size)
{
    uint64_t hashes = count_hashes(tile, size);
    uint64_t full = hashes / TL_TILE_WIDTH;
    return tile->n < full
               ? tile->width == TL_TILE_WIDTH
               : tile->n == full && tile->width > 0 && tile->width == hashes % TL_TILE_WIDTH;
}

bool tl_bundle_tile_reaches(const struct tl_bundle_tile *tile, uint64_t size)
{
    uint64_t hashes = count_hashes(tile, size);
    uint64_t full = hashes / TL_TILE_WIDTH;
    return tile->width > 0 &&
           (tile->n < full || (tile->n == full && tile->width <= hashes % TL_TILE_WIDTH));
}

tally_status tl_bundle_add_entry(struct tl_buf *entries, const uint8_t *leaf, size_t len,
                                 struct tally_error *err)
{
    uint8_t head[2];
    if (len > UINT16_MAX) {
        return tl_fail(err, TALLY_ECORRUPT, "a leaf is too long; run 'tally verify'");
    }
    tl_put_be16(head, (uint16_t)len);
    tl_buf_add(entries, head, sizeof(head));
    tl_buf_add(entries, leaf, len);
    tally_status status = tl_buf_status(entries);
    return status == TALLY_OK ? status : tl_fail(err, status, "cannot allocate a tile of entries");
}
