/*
 * server/stream.h - bytes on their way from a thread that makes them to a connection.
 *
 * Bounded: who writes waits for who reads, and hears if nobody reads any more.
 */
#ifndef TL_SERVER_STREAM_H
#define TL_SERVER_STREAM_H

#include "base/base.h"

struct tl_stream;

/* `wake` is called, with no lock held, when a reader that found nothing may look again. Errors: ENOMEM */
tally_status tl_stream_new(struct tl_stream **stream_out, size_t size);
void tl_stream_wake_by(struct tl_stream *stream, void (*wake)(void *ctx), void *ctx);

/* Both sides hold it; the last one to let go frees it. What is not whole is not read any further. */
void tl_stream_end_writing(struct tl_stream *stream, bool is_whole);
void tl_stream_end_reading(struct tl_stream *stream);

/* As much as there is room for; waits for some at most `wait_ms`. TALLY_ECANCELED: nobody reads any more. */
tally_status tl_stream_write(struct tl_stream *stream, const char *bytes, size_t len,
                             unsigned wait_ms, size_t *len_out);
/* The same without waiting: all or nothing. TALLY_ELIMIT: there is no room. */
tally_status tl_stream_offer(struct tl_stream *stream, const char *bytes, size_t len);
bool tl_stream_is_deserted(struct tl_stream *stream);

enum tl_stream_state { TL_STREAM_BYTES = 1, TL_STREAM_LATER, TL_STREAM_END, TL_STREAM_BROKEN };

/* Copies what there is. LATER: nothing now; `wake` will be called, once. */
enum tl_stream_state tl_stream_read(struct tl_stream *stream, char *out, size_t size,
                                    size_t *len_out);

#endif /* TL_SERVER_STREAM_H */
