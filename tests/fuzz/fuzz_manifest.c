/* backup.json: what is read can be written, and is then read as the same. */
#include <string.h>

#include "fuzz.h"
#include "ledger/backup_parts.h"

bool fuzz_one(const uint8_t *data, size_t len)
{
    struct tl_manifest manifest;
    struct tl_manifest again;
    struct tl_buf text;
    if (tl_manifest_parse(&manifest, (const char *)data, len, NULL) != TALLY_OK) {
        return false;
    }
    tl_buf_init(&text, TL_BACKUP_MANIFEST_MAX);
    tl_manifest_format(&text, &manifest);
    tl_assert(tl_buf_status(&text) == TALLY_OK);
    tl_assert(tl_manifest_parse(&again, text.data, text.len, NULL) == TALLY_OK);
    tl_buf_release(&text);
    tl_assert(again.size == manifest.size && again.complete == manifest.complete &&
              memcmp(again.root, manifest.root, sizeof(again.root)) == 0 &&
              strcmp(again.origin, manifest.origin) == 0);
    return true;
}
