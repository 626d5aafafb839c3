#include "evidence/tlogproof.h"

#include "base/parse.h"
#include "codec/base64.h"

#define HEADER       "c2sp.org/tlog-proof@v1"
#define EXTRA_PREFIX "extra "
#define INDEX_PREFIX "index "

/* What is left to read. */
struct reader {
    const char *text;
    size_t len;
};

/* Takes the next line, without its newline. False if there is none. */
static bool take_line(struct reader *reader, struct tl_str *line_out)
{
    const char *end = reader->len == 0 ? NULL : memchr(reader->text, '\n', reader->len);
    if (end == NULL) {
        return false;
    }
    *line_out = (struct tl_str){ .text = reader->text, .len = (size_t)(end - reader->text) };
    reader->text += line_out->len + 1;
    reader->len -= line_out->len + 1;
    return true;
}

static bool take_prefix(struct tl_str *line, struct tl_str prefix)
{
    if (!tl_str_starts(*line, prefix)) {
        return false;
    }
    line->text += prefix.len;
    line->len -= prefix.len;
    return true;
}

static tally_status read_extra(struct tl_tlogproof *out, struct tl_buf *extra_buf,
                               struct tl_str base64, struct tally_error *err)
{
    size_t len_max = tl_base64_decoded_len_max(base64.len);
    char *to = tl_buf_reserve(extra_buf, len_max);
    if (to == NULL) {
        return tl_fail(err, tl_buf_status(extra_buf), "no room for the extra bytes of a proof");
    }
    if (tl_base64_decode((uint8_t *)to, len_max, &out->extra_len, base64.text, base64.len) !=
            TALLY_OK ||
        out->extra_len == 0) {
        return tl_fail(err, TALLY_ECORRUPT, "proof whose extra bytes are malformed");
    }
    tl_buf_commit(extra_buf, out->extra_len);
    out->extra = (const uint8_t *)to;
    return TALLY_OK;
}

/* Reads the hashes and the empty line after them. */
static tally_status read_hashes(struct tl_proof *out, struct reader *reader,
                                struct tally_error *err)
{
    out->count = 0;
    struct tl_str line;
    while (take_line(reader, &line)) {
        if (line.len == 0) {
            return TALLY_OK;
        }
        if (out->count == TL_PROOF_MAX) {
            return tl_fail(err, TALLY_ECORRUPT, "proof of over %u hashes", TL_PROOF_MAX);
        }
        size_t len = 0;
        if (tl_base64_decode(out->hashes[out->count], TL_HASH_LEN, &len, line.text, line.len) !=
                TALLY_OK ||
            len != TL_HASH_LEN) {
            return tl_fail(err, TALLY_ECORRUPT, "proof whose hash %u is malformed", out->count);
        }
        out->count++;
    }
    return tl_fail(err, TALLY_ECORRUPT, "proof that ends before its checkpoint");
}

tally_status tl_tlogproof_parse(struct tl_tlogproof *out, struct tl_buf *extra_buf,
                                const char *text, size_t len, struct tally_error *err)
{
    struct reader reader = { .text = text, .len = len };
    struct tl_str line;
    tl_buf_clear(extra_buf);
    if (len > TL_TLOGPROOF_LEN_MAX || !take_line(&reader, &line) || !tl_str_is(line, HEADER) ||
        !take_line(&reader, &line)) {
        return tl_fail(err, TALLY_ECORRUPT, "not a proof that begins with '" HEADER "'");
    }
    out->extra = NULL;
    out->extra_len = 0;
    if (take_prefix(&line, TL_STR(EXTRA_PREFIX))) {
        TL_TRY(read_extra(out, extra_buf, line, err));
        if (!take_line(&reader, &line)) {
            return tl_fail(err, TALLY_ECORRUPT, "proof without an index");
        }
    }
    if (!take_prefix(&line, TL_STR(INDEX_PREFIX)) ||
        tl_parse_u64(line.text, line.len, INT64_MAX, &out->index) != TALLY_OK) {
        return tl_fail(err, TALLY_ECORRUPT, "proof without an index");
    }
    TL_TRY(read_hashes(&out->proof, &reader, err));
    if (reader.len == 0) {
        return tl_fail(err, TALLY_ECORRUPT, "proof without a checkpoint");
    }
    out->note = (struct tl_str){ .text = reader.text, .len = reader.len };
    return TALLY_OK;
}

void tl_tlogproof_format(struct tl_buf *out, const struct tl_tlogproof *proof)
{
    tl_buf_add_text(out, HEADER "\n");
    if (proof->extra != NULL) {
        tl_buf_add_text(out, EXTRA_PREFIX);
        tl_base64_encode(out, proof->extra, proof->extra_len);
        tl_buf_add_char(out, '\n');
    }
    tl_buf_add_text(out, INDEX_PREFIX);
    tl_buf_add_u64(out, proof->index);
    tl_buf_add_char(out, '\n');
    for (uint32_t i = 0; i < proof->proof.count; i++) {
        tl_base64_encode(out, proof->proof.hashes[i], TL_HASH_LEN);
        tl_buf_add_char(out, '\n');
    }
    tl_buf_add_char(out, '\n');
    tl_buf_add_str(out, proof->note);
}
