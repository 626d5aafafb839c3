#include "codec/zstd.h"

#include <zstd.h>

#define LEVEL          6
#define WINDOW_LOG_MAX 23 /* 8 MiB */

struct tl_zstd_writer {
    ZSTD_CCtx *context;
};

struct tl_zstd_reader {
    ZSTD_DCtx *context;
    bool complete;
};

tally_status tl_zstd_writer_new(struct tl_zstd_writer **writer_out, struct tally_error *err)
{
    struct tl_zstd_writer *writer = tl_alloc_array(1, sizeof(*writer));
    if (writer == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    writer->context = ZSTD_createCCtx();
    if (writer->context == NULL ||
        ZSTD_isError(ZSTD_CCtx_setParameter(writer->context, ZSTD_c_compressionLevel, LEVEL)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(writer->context, ZSTD_c_windowLog, WINDOW_LOG_MAX)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(writer->context, ZSTD_c_checksumFlag, 1))) {
        tl_zstd_writer_free(writer);
        return tl_fail(err, TALLY_ENOMEM, "cannot compress: out of memory");
    }
    *writer_out = writer;
    return TALLY_OK;
}

void tl_zstd_writer_free(struct tl_zstd_writer *writer)
{
    if (writer != NULL) {
        (void)ZSTD_freeCCtx(writer->context); /* nothing to be told at the end */
        tl_free(writer);
    }
}

tally_status tl_zstd_write(struct tl_zstd_writer *writer, struct tl_zstd_piece *piece, bool end,
                           bool *done_out, struct tally_error *err)
{
    ZSTD_inBuffer in = { .src = piece->in, .size = piece->in_len };
    ZSTD_outBuffer out = { .dst = piece->out, .size = piece->out_size };
    size_t left =
        ZSTD_compressStream2(writer->context, &out, &in, end ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left)) {
        return tl_fail(err, TALLY_ENOMEM, "cannot compress: %s", ZSTD_getErrorName(left));
    }
    piece->in += in.pos;
    piece->in_len -= in.pos;
    piece->out_len = out.pos;
    *done_out = end && left == 0;
    return TALLY_OK;
}

tally_status tl_zstd_reader_new(struct tl_zstd_reader **reader_out, struct tally_error *err)
{
    struct tl_zstd_reader *reader = tl_alloc_array(1, sizeof(*reader));
    if (reader == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    reader->context = ZSTD_createDCtx();
    if (reader->context == NULL || ZSTD_isError(ZSTD_DCtx_setParameter(
                                       reader->context, ZSTD_d_windowLogMax, WINDOW_LOG_MAX))) {
        tl_zstd_reader_free(reader);
        return tl_fail(err, TALLY_ENOMEM, "cannot decompress: out of memory");
    }
    *reader_out = reader;
    return TALLY_OK;
}

void tl_zstd_reader_free(struct tl_zstd_reader *reader)
{
    if (reader != NULL) {
        (void)ZSTD_freeDCtx(reader->context); /* nothing to be told at the end */
        tl_free(reader);
    }
}

tally_status tl_zstd_read(struct tl_zstd_reader *reader, struct tl_zstd_piece *piece,
                          struct tally_error *err)
{
    ZSTD_inBuffer in = { .src = piece->in, .size = piece->in_len };
    ZSTD_outBuffer out = { .dst = piece->out, .size = piece->out_size };
    size_t left = ZSTD_decompressStream(reader->context, &out, &in);
    if (ZSTD_isError(left)) {
        return tl_fail(err, TALLY_EINVAL, "the Zstandard data is damaged (%s)",
                       ZSTD_getErrorName(left));
    }
    if (in.pos > 0 || out.pos > 0) {
        reader->complete = left == 0;
    }
    piece->in += in.pos;
    piece->in_len -= in.pos;
    piece->out_len = out.pos;
    return TALLY_OK;
}

bool tl_zstd_is_complete(const struct tl_zstd_reader *reader)
{
    return reader->complete;
}
