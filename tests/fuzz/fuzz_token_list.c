/* What is read is written, and read as the same again. */
#include <string.h>

#include "fuzz.h"
#include "server/token_list.h"

bool fuzz_one(const uint8_t *data, size_t len)
{
    struct tl_token_list list = { 0 };
    struct tl_token_list again = { 0 };
    if (tl_token_list_read(&list, (struct tl_str){ (const char *)data, len }) != TALLY_OK) {
        tl_assert(list.tokens == NULL && list.count == 0);
        return false;
    }
    struct tl_buf text;
    struct tl_buf second;
    tl_buf_init(&text, TL_TOKENS_BYTES_MAX);
    tl_buf_init(&second, TL_TOKENS_BYTES_MAX);
    tl_token_list_write(&text, &list);
    tl_assert(tl_token_list_read(&again, tl_buf_str(&text)) == TALLY_OK);
    tl_token_list_write(&second, &again);
    tl_assert(tl_str_equal(tl_buf_str(&text), tl_buf_str(&second)));
    tl_token_list_release(&list);
    tl_token_list_release(&again);
    tl_buf_release(&text);
    tl_buf_release(&second);
    return true;
}
