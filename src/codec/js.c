#include "codec/js.h"

#include <string.h>

#include "base/bytes.h"
#include "codec/json.h"
#include "codec/time.h"
#include "codec/utf8.h"

void tl_js_init(struct tl_js *js)
{
    *js = (struct tl_js){ .comma = false };
    tl_buf_init(&js->buf, SIZE_MAX / 8);
}

void tl_js_release(struct tl_js *js)
{
    tl_buf_release(&js->buf);
    js->comma = false;
}

/* Begins a member or an element: comma, name, colon. */
static void begin(struct tl_js *js, const char *key)
{
    if (js->comma) {
        tl_buf_add_char(&js->buf, ',');
    }
    if (key != NULL) {
        tl_json_write_string(&js->buf, tl_str_of(key));
        tl_buf_add_char(&js->buf, ':');
    }
    js->comma = true;
}

void tl_js_open(struct tl_js *js, const char *key, char bracket)
{
    begin(js, key);
    tl_buf_add_char(&js->buf, bracket);
    js->comma = false;
}

void tl_js_close(struct tl_js *js, char bracket)
{
    tl_buf_add_char(&js->buf, bracket);
    js->comma = true;
}

void tl_js_str(struct tl_js *js, const char *key, struct tl_str value)
{
    begin(js, key);
    if (value.text == NULL) {
        tl_buf_add_text(&js->buf, "null");
        return;
    }
    tl_json_lossy(&js->buf, value);
}

void tl_js_text(struct tl_js *js, const char *key, const char *value)
{
    tl_js_str(js, key, tl_str_of(value));
}

void tl_js_u64(struct tl_js *js, const char *key, uint64_t value)
{
    begin(js, key);
    tl_buf_add_u64(&js->buf, value);
}

void tl_js_bool(struct tl_js *js, const char *key, bool value)
{
    begin(js, key);
    tl_buf_add_text(&js->buf, value ? "true" : "false");
}

void tl_js_null(struct tl_js *js, const char *key)
{
    begin(js, key);
    tl_buf_add_text(&js->buf, "null");
}

void tl_js_raw(struct tl_js *js, const char *key, struct tl_str json)
{
    begin(js, key);
    tl_buf_add_str(&js->buf, json);
}

void tl_js_member(struct tl_js *js, struct tl_str key, struct tl_str json)
{
    begin(js, NULL);
    tl_json_write_string(&js->buf, key);
    tl_buf_add_char(&js->buf, ':');
    tl_buf_add_str(&js->buf, json);
}

void tl_js_time(struct tl_js *js, const char *key, int64_t us)
{
    char text[TL_TIME_SIZE];
    (void)tl_time_format_fixed(text, us); /* "" for a time that has no text */
    tl_js_text(js, key, text[0] == '\0' ? NULL : text);
}

void tl_js_hex(struct tl_js *js, const char *key, const uint8_t *bytes, size_t len)
{
    char text[129];
    tl_assert(len * 2 < sizeof(text));
    tl_hex_encode(text, bytes, len);
    tl_js_text(js, key, text);
}

void tl_json_lossy(struct tl_buf *out, struct tl_str text)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf valid = { 0 };
    tl_buf_init(&valid, SIZE_MAX / 8);
    for (size_t at = 0; at < text.len;) {
        size_t len = tl_utf8_valid_len(text.text + at, text.len - at);
        tl_buf_add(&valid, text.text + at, len);
        at += len;
        if (at < text.len) {
            tl_buf_add_text(&valid, "\xEF\xBF\xBD");
            at++;
        }
    }
    if (tl_buf_status(&valid) != TALLY_OK) {
        out->status = tl_buf_status(&valid);
        return;
    }
    tl_json_write_string(out, (struct tl_str){ valid.len == 0 ? "" : valid.data, valid.len });
}
