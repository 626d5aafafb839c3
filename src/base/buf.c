#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#define CAPACITY_MIN 256u

void tl_buf_init(struct tl_buf *buf, size_t len_max)
{
    tl_assert(len_max > 0);
    tl_assert(len_max <= SIZE_MAX / 4);
    *buf = (struct tl_buf){ .len_max = len_max };
}

void tl_buf_release(struct tl_buf *buf)
{
    tl_free(buf->data);
    *buf = (struct tl_buf){ 0 };
}

void tl_buf_clear(struct tl_buf *buf)
{
    buf->len = 0;
    buf->status = TALLY_OK;
}

void tl_buf_init_fixed(struct tl_buf *buf, char *memory, size_t size)
{
    tl_assert(size > 1);
    *buf = (struct tl_buf){ .data = memory, .capacity = size, .len_max = size - 1 };
}

static bool grow(struct tl_buf *buf, size_t need)
{
    size_t capacity = buf->capacity < CAPACITY_MIN ? CAPACITY_MIN : buf->capacity;
    while (capacity < need) {
        capacity *= 2;
    }
    char *data = tl_realloc_array(buf->data, capacity, 1);
    if (data == NULL) {
        buf->status = TALLY_ENOMEM;
        return false;
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

char *tl_buf_reserve(struct tl_buf *buf, size_t len)
{
    tl_assert(buf->len_max > 0); /* initialised */
    if (buf->status != TALLY_OK) {
        return NULL;
    }
    if (len > buf->len_max - buf->len) {
        buf->status = TALLY_ELIMIT;
        return NULL;
    }
    /* One byte more, so that tl_buf_take() never has to grow. */
    if (buf->len + len + 1 > buf->capacity && !grow(buf, buf->len + len + 1)) {
        return NULL;
    }
    return buf->data + buf->len;
}

void tl_buf_commit(struct tl_buf *buf, size_t len)
{
    tl_assert(len <= buf->len_max - buf->len);
    tl_assert(len < buf->capacity - buf->len || len == 0); /* a byte stays free */
    buf->len += len;
}

void tl_buf_add(struct tl_buf *buf, const void *bytes, size_t len)
{
    char *to = tl_buf_reserve(buf, len);
    if (to != NULL && len > 0) {
        memcpy(to, bytes, len);
        buf->len += len;
    }
}

void tl_buf_add_str(struct tl_buf *buf, struct tl_str str)
{
    tl_buf_add(buf, str.text, str.len);
}

void tl_buf_add_text(struct tl_buf *buf, const char *text)
{
    tl_buf_add(buf, text, strlen(text));
}

void tl_buf_add_char(struct tl_buf *buf, char c)
{
    tl_buf_add(buf, &c, 1);
}

void tl_buf_add_u64(struct tl_buf *buf, uint64_t value)
{
    char text[20];
    size_t at = sizeof(text);
    do {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    tl_buf_add(buf, text + at, sizeof(text) - at);
}

void tl_buf_addf(struct tl_buf *buf, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    tl_assert(len >= 0);
    char *to = tl_buf_reserve(buf, (size_t)len);
    if (to != NULL) {
        va_start(ap, fmt);
        (void)vsnprintf(to, (size_t)len + 1, fmt, ap);
        va_end(ap);
        buf->len += (size_t)len;
    }
}

tally_status tl_buf_status(const struct tl_buf *buf)
{
    return buf->status;
}

struct tl_str tl_buf_str(const struct tl_buf *buf)
{
    return (struct tl_str){ .text = buf->data == NULL ? "" : buf->data, .len = buf->len };
}

char *tl_buf_take(struct tl_buf *buf, size_t *len_out)
{
    char *end = tl_buf_reserve(buf, 0);
    if (end == NULL) {
        return NULL;
    }
    *end = '\0';
    if (len_out != NULL) {
        *len_out = buf->len;
    }
    char *data = TL_TAKE(buf->data);
    buf->len = 0;
    buf->capacity = 0;
    return data;
}
