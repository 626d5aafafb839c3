/* server/assets.h - the files of web/, embedded when the program is built. */
#ifndef TL_SERVER_ASSETS_H
#define TL_SERVER_ASSETS_H

#include <stddef.h>

struct tl_asset {
    const char *name;
    const unsigned char *bytes;
    size_t len;
};

extern const struct tl_asset tl_assets[];
extern const size_t tl_asset_count;

#endif /* TL_SERVER_ASSETS_H */
