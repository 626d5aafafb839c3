#include "server/stream.h"

#include <string.h>

#include "base/thread.h"

struct tl_stream {
    struct tl_mutex mu;
    struct tl_cond room;
    char *bytes; /* a ring of `size` */
    size_t size, at, len;
    bool has_writer, has_reader, is_whole, is_waiting;
    void (*wake)(void *ctx);
    void *ctx;
};

tally_status tl_stream_new(struct tl_stream **stream_out, size_t size)
{
    TL_CLEANUP(tl_freep) struct tl_stream *stream = tl_alloc_array(1, sizeof(*stream));
    TL_CLEANUP(tl_freep) char *bytes = tl_alloc_array(size, 1);
    if (stream == NULL || bytes == NULL || tl_mutex_init(&stream->mu) != TALLY_OK) {
        return TALLY_ENOMEM;
    }
    if (tl_cond_init(&stream->room) != TALLY_OK) {
        tl_mutex_release(&stream->mu);
        return TALLY_ENOMEM;
    }
    stream->bytes = TL_TAKE(bytes);
    stream->size = size;
    stream->has_writer = stream->has_reader = true;
    *stream_out = TL_TAKE(stream);
    return TALLY_OK;
}

void tl_stream_wake_by(struct tl_stream *stream, void (*wake)(void *ctx), void *ctx)
{
    tl_mutex_lock(&stream->mu);
    stream->wake = wake;
    stream->ctx = ctx;
    tl_mutex_unlock(&stream->mu);
}

static void free_stream(struct tl_stream *stream)
{
    tl_cond_release(&stream->room);
    tl_mutex_release(&stream->mu);
    tl_free(stream->bytes);
    tl_free(stream);
}

/* Under the lock: a reader that stops meanwhile takes it first, so that what is woken is there. */
static void wake(struct tl_stream *stream) TL_REQUIRES(stream->mu)
{
    if (stream->is_waiting && stream->has_reader && stream->wake != NULL) {
        stream->is_waiting = false;
        stream->wake(stream->ctx);
    }
}

void tl_stream_end_writing(struct tl_stream *stream, bool is_whole)
{
    tl_mutex_lock(&stream->mu);
    stream->has_writer = false;
    stream->is_whole = is_whole;
    stream->len = is_whole ? stream->len : 0;
    wake(stream);
    bool is_last = !stream->has_reader;
    tl_mutex_unlock(&stream->mu);
    if (is_last) {
        free_stream(stream);
    }
}

void tl_stream_end_reading(struct tl_stream *stream)
{
    tl_mutex_lock(&stream->mu);
    stream->has_reader = false;
    bool is_last = !stream->has_writer;
    tl_cond_broadcast(&stream->room);
    tl_mutex_unlock(&stream->mu);
    if (is_last) {
        free_stream(stream);
    }
}

/* As much as there is room for. */
static size_t put(struct tl_stream *stream, const char *bytes, size_t len) TL_REQUIRES(stream->mu)
{
    size_t room = stream->size - stream->len;
    len = len < room ? len : room;
    size_t end = (stream->at + stream->len) % stream->size;
    size_t first = stream->size - end < len ? stream->size - end : len;
    memcpy(stream->bytes + end, bytes, first);
    memcpy(stream->bytes, bytes + first, len - first);
    stream->len += len;
    return len;
}

tally_status tl_stream_write(struct tl_stream *stream, const char *bytes, size_t len,
                             unsigned wait_ms, size_t *len_out)
{
    tl_mutex_lock(&stream->mu);
    if (stream->len == stream->size && stream->has_reader) {
        (void)tl_cond_wait_for(&stream->room, &stream->mu, wait_ms); /* none is told as well */
    }
    tally_status status = stream->has_reader ? TALLY_OK : TALLY_ECANCELED;
    if (status == TALLY_OK) {
        *len_out = put(stream, bytes, len);
        wake(stream);
    }
    tl_mutex_unlock(&stream->mu);
    return status;
}

tally_status tl_stream_offer(struct tl_stream *stream, const char *bytes, size_t len)
{
    tl_mutex_lock(&stream->mu);
    bool fits = stream->size - stream->len >= len;
    if (fits) {
        (void)put(stream, bytes, len);
        wake(stream);
    }
    tl_mutex_unlock(&stream->mu);
    return fits ? TALLY_OK : TALLY_ELIMIT;
}

bool tl_stream_is_deserted(struct tl_stream *stream)
{
    tl_mutex_lock(&stream->mu);
    bool is_deserted = !stream->has_reader;
    tl_mutex_unlock(&stream->mu);
    return is_deserted;
}

enum tl_stream_state tl_stream_read(struct tl_stream *stream, char *out, size_t size,
                                    size_t *len_out)
{
    tl_mutex_lock(&stream->mu);
    size_t len = stream->len < size ? stream->len : size;
    size_t first = stream->size - stream->at < len ? stream->size - stream->at : len;
    memcpy(out, stream->bytes + stream->at, first);
    memcpy(out + first, stream->bytes, len - first);
    stream->at = (stream->at + len) % stream->size;
    stream->len -= len;
    *len_out = len;
    enum tl_stream_state state = len > 0              ? TL_STREAM_BYTES
                                 : stream->has_writer ? TL_STREAM_LATER
                                 : stream->is_whole   ? TL_STREAM_END
                                                      : TL_STREAM_BROKEN;
    stream->is_waiting = state == TL_STREAM_LATER;
    tl_cond_signal(&stream->room);
    tl_mutex_unlock(&stream->mu);
    return state;
}
