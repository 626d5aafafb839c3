/*
 * A note that is accepted is put together again from its parts, but for signatures of lengths that
 * are none of ours. What is no note may still be a verifier key: that has one spelling.
 */

#include "codec/base64.h"
#include "evidence/note.h"
#include "fuzz.h"

static struct tl_note note;

static void check_key(const char *text, size_t len)
{
    struct tl_vkey key;
    char again[TL_VKEY_SIZE];
    if (tl_vkey_parse(&key, (struct tl_str){ .text = text, .len = len }, NULL) == TALLY_OK) {
        tl_vkey_format(again, &key);
        tl_assert(strlen(again) == len && memcmp(again, text, len) == 0);
    }
}

static void check_checkpoint(void)
{
    struct tl_checkpoint_body body;
    struct tl_buf again;
    tl_buf_init(&again, TL_NOTE_LEN_MAX);
    if (tl_checkpoint_parse(&body, note.body, NULL) == TALLY_OK) {
        tl_checkpoint_format(&again, &body);
        tl_assert(tl_str_equal(tl_buf_str(&again), note.body));
    }
    tl_buf_release(&again);
}

/* Writes the note again; false if it has a line of which not all is kept. */
static bool write_again(struct tl_buf *out)
{
    tl_buf_add_str(out, note.body);
    tl_buf_add_char(out, '\n');
    for (uint32_t i = 0; i < note.line_count; i++) {
        const struct tl_note_line *line = &note.lines[i];
        uint8_t bytes[4 + sizeof(line->blob)];
        if (line->blob_len == 0) {
            return false;
        }
        for (size_t b = 0; b < 4; b++) {
            bytes[b] = (uint8_t)(line->key_id >> (24 - 8 * b));
        }
        memcpy(bytes + 4, line->blob, line->blob_len);
        tl_buf_add_text(out, "\xe2\x80\x94 ");
        tl_buf_add_str(out, line->name);
        tl_buf_add_char(out, ' ');
        tl_base64_encode(out, bytes, 4 + line->blob_len);
        tl_buf_add_char(out, '\n');
    }
    return true;
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    const char *text = (const char *)data;
    if (tl_note_parse(&note, text, len, NULL) != TALLY_OK) {
        check_key(text, len);
        return false;
    }
    struct tl_buf again;
    tl_buf_init(&again, TL_NOTE_LEN_MAX);
    if (write_again(&again)) {
        tl_assert(again.len == len && memcmp(again.data, data, len) == 0);
    }
    tl_buf_release(&again);
    check_checkpoint();

    struct tl_vkey key;
    enum tl_note_verdict verdict = TL_NOTE_NO_LINE;
    const uint8_t public_key[TL_ED25519_KEY_LEN] = { 1 };
    if (tl_vkey_make(&key, note.lines[0].name, TL_NOTE_TYPE_ED25519, public_key, NULL) ==
        TALLY_OK) {
        key.key_id = note.lines[0].key_id;
        tl_assert(tl_note_verify(&note, &key, &verdict, NULL) == TALLY_OK);
        tl_assert(verdict != TL_NOTE_NO_LINE);
    }
    return true;
}
