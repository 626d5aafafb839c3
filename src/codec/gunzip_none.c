/* Stands for codec/gunzip.c in builds without zlib. */
#include "codec/gunzip.h"

tally_status tl_gunzip_new(struct tl_gunzip **gunzip_out, struct tally_error *err)
{
    (void)gunzip_out;
    return tl_fail(err, TALLY_ENOTSUP, "this build has no zlib, and cannot read gzip files");
}

void tl_gunzip_free(struct tl_gunzip *gunzip)
{
    tl_assert(gunzip == NULL); /* none was ever made */
}

tally_status tl_gunzip_run(struct tl_gunzip *gunzip, const uint8_t **in, size_t *in_len, char *out,
                           size_t out_size, size_t *out_len, struct tally_error *err)
{
    (void)gunzip;
    (void)in;
    (void)in_len;
    (void)out;
    (void)out_size;
    (void)out_len;
    return tl_fail(err, TALLY_ENOTSUP, "this build has no zlib, and cannot read gzip files");
}

bool tl_gunzip_is_complete(const struct tl_gunzip *gunzip)
{
    (void)gunzip;
    return true;
}
