/* codec/js.h - writes JSON for programs that show things: member by member, never canonical. */
#ifndef TL_CODEC_JS_H
#define TL_CODEC_JS_H

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"

/* JSON that is put together member by member. Confined to one thread. */
struct tl_js {
    struct tl_buf buf;
    bool comma; /* the next member needs one before it */
};

void tl_js_init(struct tl_js *js);
void tl_js_release(struct tl_js *js);

/* `key` is NULL in arrays and for the outermost value. */
void tl_js_open(struct tl_js *js, const char *key, char bracket);
void tl_js_close(struct tl_js *js, char bracket);
void tl_js_str(struct tl_js *js, const char *key, struct tl_str value); /* absent: null */
void tl_js_text(struct tl_js *js, const char *key, const char *value);  /* NULL: null */
void tl_js_u64(struct tl_js *js, const char *key, uint64_t value);
void tl_js_bool(struct tl_js *js, const char *key, bool value);
void tl_js_null(struct tl_js *js, const char *key);
void tl_js_raw(struct tl_js *js, const char *key, struct tl_str json);      /* JSON as it is */
void tl_js_member(struct tl_js *js, struct tl_str key, struct tl_str json); /* the same */
void tl_js_time(struct tl_js *js, const char *key, int64_t us);
void tl_js_hex(struct tl_js *js, const char *key, const uint8_t *bytes, size_t len);

/*
 * Appends `text` as a JSON string, with U+FFFD for bytes that are no UTF-8: for names of files and
 * input that was refused.
 */
void tl_json_lossy(struct tl_buf *out, struct tl_str text);

#endif /* TL_CODEC_JS_H */
