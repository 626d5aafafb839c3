#include "cli/out.h"

tally_status tl_js_print(struct tl_js *js, FILE *to, struct tally_error *err)
{
    if (tl_buf_status(&js->buf) != TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    (void)fwrite(js->buf.data, 1, js->buf.len, to); /* main() looks at ferror() */
    (void)fputc('\n', to);
    tl_buf_clear(&js->buf);
    js->comma = false;
    return TALLY_OK;
}
