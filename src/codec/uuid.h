/* codec/uuid.h - UUIDs (RFC 9562): text in its one canonical spelling, and version 7 made anew. */
#ifndef TL_CODEC_UUID_H
#define TL_CODEC_UUID_H

#include "base/str.h"

#define TL_UUID_LEN        16u /* bytes */
#define TL_UUID_TEXT_SIZE  37u /* 36 characters and a NUL */
#define TL_UUID_RANDOM_LEN 8u  /* random bytes that one takes, all but two bits of them */

/*
 * Writes a version 7 UUID and a NUL. The microseconds below the millisecond go into `rand_a` as a
 * fraction of 4,096 (section 6.2, method 3), so that ids of different microseconds sort as they
 * were made. Times before 1970 count as 1970.
 */
void tl_uuid_v7(char out[TL_UUID_TEXT_SIZE], int64_t unix_us,
                const uint8_t random[TL_UUID_RANDOM_LEN]);

/*
 * Reads lower-case 8-4-4-4-12 text of any version. Errors: TALLY_EINVAL; `out` is then undefined.
 */
tally_status tl_uuid_parse(uint8_t out[TL_UUID_LEN], struct tl_str text);

/* Writes the text and a NUL. */
void tl_uuid_format(char out[TL_UUID_TEXT_SIZE], const uint8_t uuid[TL_UUID_LEN]);

#endif /* TL_CODEC_UUID_H */
