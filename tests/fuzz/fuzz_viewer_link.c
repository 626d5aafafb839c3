/* What is read of a link is written, and read as the same again; as a text it opens nothing. */
#include <string.h>

#include "fuzz.h"
#include "server/viewer_link.h"

static void check_text(const uint8_t *data, size_t len)
{
    static const uint8_t key[TL_LINK_KEY_LEN] = { 1 };
    char text[TL_LINK_TEXT_SIZE + 8] = TL_LINK_PREFIX;
    struct tl_viewer_link *link = NULL;
    size_t start = strlen(text);
    size_t room = sizeof(text) - 1 - start;
    memcpy(text + start, data, len < room ? len : room);
    tl_assert(tl_viewer_link_open(&link, text, key) == TALLY_ENOTFOUND && link == NULL);
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    struct tl_viewer_link *link = NULL;
    struct tl_viewer_link *again = NULL;
    check_text(data, len);
    if (tl_viewer_link_read(&link, (struct tl_str){ (const char *)data, len }) != TALLY_OK) {
        tl_assert(link == NULL);
        return false;
    }
    struct tl_buf text;
    struct tl_buf second;
    tl_buf_init(&text, (size_t)1 << 20);
    tl_buf_init(&second, (size_t)1 << 20);
    tl_viewer_link_write(&text, link);
    if (text.len <= TL_LINK_TEXT_SIZE) { /* escapes may make it longer than any link */
        tl_assert(tl_viewer_link_read(&again, tl_buf_str(&text)) == TALLY_OK);
        tl_viewer_link_write(&second, again);
        tl_assert(tl_str_equal(tl_buf_str(&text), tl_buf_str(&second)));
    }
    tl_viewer_link_free(link);
    tl_viewer_link_free(again);
    tl_buf_release(&text);
    tl_buf_release(&second);
    return true;
}
