#include "codec/gunzip.h"

#include <limits.h>
#include <string.h>
#include <zlib.h>

struct tl_gunzip {
    z_stream stream;
    bool complete;
};

tally_status tl_gunzip_new(struct tl_gunzip **gunzip_out, struct tally_error *err)
{
    struct tl_gunzip *gunzip = tl_alloc_array(1, sizeof(*gunzip));
    if (gunzip == NULL || inflateInit2(&gunzip->stream, 16 + MAX_WBITS) != Z_OK) {
        tl_free(gunzip);
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    *gunzip_out = gunzip;
    return TALLY_OK;
}

void tl_gunzip_free(struct tl_gunzip *gunzip)
{
    if (gunzip != NULL) {
        (void)inflateEnd(&gunzip->stream); /* nothing to be told at the end */
        tl_free(gunzip);
    }
}

static unsigned int clamp(size_t len)
{
    return len > UINT_MAX ? UINT_MAX : (unsigned int)len;
}

tally_status tl_gunzip_run(struct tl_gunzip *gunzip, const uint8_t **in, size_t *in_len, char *out,
                           size_t out_size, size_t *out_len, struct tally_error *err)
{
    z_stream *stream = &gunzip->stream;
    unsigned int in_given = clamp(*in_len);
    unsigned int out_given = clamp(out_size);
    if (gunzip->complete && in_given > 0) {
        (void)inflateReset(stream); /* fails on a stream that was never made only */
    }
    /* zlib was built before const: it does not write to its input. */
    memcpy(&stream->next_in, in, sizeof(*in));
    stream->avail_in = in_given;
    stream->next_out = (unsigned char *)out;
    stream->avail_out = out_given;
    int rc = inflate(stream, Z_NO_FLUSH);
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) {
        return tl_fail(err, rc == Z_MEM_ERROR ? TALLY_ENOMEM : TALLY_EINVAL,
                       "the gzip data is damaged");
    }
    if (in_given > 0 || rc == Z_STREAM_END) {
        gunzip->complete = rc == Z_STREAM_END;
    }
    *in += in_given - stream->avail_in;
    *in_len -= in_given - stream->avail_in;
    *out_len = out_given - stream->avail_out;
    return TALLY_OK;
}

bool tl_gunzip_is_complete(const struct tl_gunzip *gunzip)
{
    return gunzip->complete;
}
