#include "project/witness.h"

#include "base/parse.h"
#include "codec/base64.h"

void tl_witness_request(struct tl_buf *out, uint64_t old_size, const struct tl_proof *proof,
                        struct tl_str note)
{
    tl_buf_add_text(out, "old ");
    tl_buf_add_u64(out, old_size);
    tl_buf_add_char(out, '\n');
    for (uint32_t i = 0; i < proof->count; i++) {
        tl_base64_encode(out, proof->hashes[i], TL_HASH_LEN);
        tl_buf_add_char(out, '\n');
    }
    tl_buf_add_char(out, '\n');
    tl_buf_add_str(out, note);
}

tally_status tl_witness_read_size(uint64_t *size_out, struct tl_str answer)
{
    if (answer.len < 2 || answer.text[answer.len - 1] != '\n' ||
        tl_parse_u64(answer.text, answer.len - 1, INT64_MAX, size_out) != TALLY_OK) {
        return TALLY_ECORRUPT;
    }
    return TALLY_OK;
}

/* One line of an answer, put under the body of the checkpoint. */
struct candidate {
    struct tl_note note;
    struct tl_buf text;
};

static tally_status check_line(struct candidate *candidate, struct tl_str body, struct tl_str line,
                               const struct tl_vkey *key, enum tl_note_verdict *verdict_out,
                               uint64_t *time_out)
{
    struct tl_buf *text = &candidate->text;
    tl_buf_clear(text);
    tl_buf_add_str(text, body);
    tl_buf_add_char(text, '\n');
    tl_buf_add_str(text, line);
    *verdict_out = TL_NOTE_NO_LINE;
    if (tl_buf_status(text) != TALLY_OK) {
        return tl_buf_status(text) == TALLY_ENOMEM ? TALLY_ENOMEM : TALLY_OK;
    }
    if (tl_note_parse(&candidate->note, text->data, text->len, NULL) != TALLY_OK) {
        return TALLY_OK; /* no signature line */
    }
    return tl_note_verify(&candidate->note, key, verdict_out, time_out);
}

/* Cuts the first line off, newline included; absent if there is none. */
static struct tl_str next_line(struct tl_str *rest)
{
    const char *end = rest->len == 0 ? NULL : memchr(rest->text, '\n', rest->len);
    struct tl_str line = { 0 };
    if (end != NULL) {
        line = (struct tl_str){ .text = rest->text, .len = (size_t)(end - rest->text) + 1 };
        rest->text += line.len;
        rest->len -= line.len;
    }
    return line;
}

static tally_status look_for_line(struct candidate *candidate, struct tl_buf *line_out,
                                  uint64_t *time_out, struct tl_str body, struct tl_str answer,
                                  const struct tl_vkey *key, struct tally_error *err)
{
    for (uint32_t i = 0; i < TL_NOTE_LINES_MAX; i++) {
        enum tl_note_verdict verdict = TL_NOTE_NO_LINE;
        uint64_t time_s = 0;
        struct tl_str line = next_line(&answer);
        if (line.text == NULL) {
            break;
        }
        if (check_line(candidate, body, line, key, &verdict, &time_s) != TALLY_OK) {
            return tl_fail(err, TALLY_ENOMEM, "cannot check a cosignature");
        }
        if (verdict == TL_NOTE_BAD) {
            return tl_fail(err, TALLY_ECORRUPT, "the signature of '%s' is wrong", key->name);
        }
        if (verdict == TL_NOTE_GOOD) {
            *time_out = time_s;
            tl_buf_add_str(line_out, line);
            return tl_buf_status(line_out);
        }
    }
    return tl_fail(err, TALLY_ECORRUPT, "the answer has no signature of '%s'", key->name);
}

tally_status tl_witness_read_line(struct tl_buf *line_out, uint64_t *time_out, struct tl_str note,
                                  struct tl_str answer, const struct tl_vkey *key,
                                  struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct candidate *candidate = tl_alloc_array(1, sizeof(*candidate));
    if (candidate == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot check a cosignature");
    }
    if (tl_note_parse(&candidate->note, note.text, note.len, NULL) != TALLY_OK) {
        return tl_fail(err, TALLY_ECORRUPT, "the checkpoint does not parse");
    }
    struct tl_str body = candidate->note.body;
    tl_buf_init(&candidate->text, TL_NOTE_LEN_MAX);
    tally_status status = look_for_line(candidate, line_out, time_out, body, answer, key, err);
    tl_buf_release(&candidate->text);
    return status;
}
