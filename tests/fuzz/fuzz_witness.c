/* What a witness answers: lines of which one is believed, or a size. The line that is taken is one of
 * those that came, and holds under the checkpoint. */
#include <string.h>

#include "base/buf.h"
#include "fuzz.h"
#include "project/witness.h"
#include "witnessed.h"

static struct tl_note note;

static bool try_lines(struct tl_str answer)
{
    struct tl_vkey key;
    struct tl_buf line;
    struct tl_buf again;
    uint64_t time_s = 0;
    enum tl_note_verdict verdict = TL_NOTE_NO_LINE;
    tl_assert(tl_vkey_parse(&key, TL_STR(WITNESSED_VKEY), NULL) == TALLY_OK);
    tl_buf_init(&line, TL_NOTE_LEN_MAX);
    tl_buf_init(&again, 2 * (size_t)TL_NOTE_LEN_MAX);
    tally_status status =
        tl_witness_read_line(&line, &time_s, TL_STR(WITNESSED_NOTE), answer, &key, NULL);
    tl_assert(status == TALLY_OK || (status == TALLY_ECORRUPT && line.len == 0));
    if (status == TALLY_OK) {
        tl_assert(memmem(answer.text, answer.len, line.data, line.len) != NULL);
        tl_buf_add_str(&again, TL_STR(WITNESSED_NOTE));
        tl_buf_add_str(&again, tl_buf_str(&line));
        tl_assert(tl_note_parse(&note, again.data, again.len, NULL) == TALLY_OK);
        tl_assert(tl_note_verify(&note, &key, &verdict, NULL) == TALLY_OK);
        tl_assert(verdict == TL_NOTE_GOOD);
    }
    tl_buf_release(&line);
    tl_buf_release(&again);
    return status == TALLY_OK;
}

static bool try_size(struct tl_str answer)
{
    uint64_t size = 0;
    char again[24];
    struct tl_buf text;
    if (tl_witness_read_size(&size, answer) != TALLY_OK) {
        return false;
    }
    tl_buf_init_fixed(&text, again, sizeof(again));
    tl_buf_add_u64(&text, size);
    tl_buf_add_char(&text, '\n');
    tl_assert(tl_str_equal(tl_buf_str(&text), answer));
    return true;
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    const struct tl_str answer = { .text = (const char *)data, .len = len };
    bool lines = try_lines(answer);
    return try_size(answer) || lines;
}
