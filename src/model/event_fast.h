/*
 * model/event_fast.h - events that are almost canonical already; inside model/ only.
 *
 * Most events are: members under their own names, in any order, with values that need no change.
 * Such an event is read and written without a tree or a draft. Whatever else there is, all that is
 * wrong included, is left to the draft: what comes out is the same, and only the draft refuses.
 */
#ifndef TL_MODEL_EVENT_FAST_H
#define TL_MODEL_EVENT_FAST_H

#include "model/event.h"

/*
 * Does what tl_event_canonical() does if the event is simple; *simple_out is whether it was. If it
 * was not, nothing has happened.
 *
 * Errors: TALLY_EDISABLED and TALLY_ENOMEM, as tl_event_canonical()
 */
tally_status tl_event_fast(struct tl_event_reader *reader, const struct tl_event_input *input,
                           struct tl_buf *out, uint32_t *notes_out, bool *simple_out,
                           struct tally_error *err);

/* The same for any event, without this short way. */
tally_status tl_event_draft(struct tl_event_reader *reader, const struct tl_event_input *input,
                            struct tl_buf *out, uint32_t *notes_out, struct tally_error *err);

/* Fills the table of names of a new reader. */
void tl_event_fast_index(struct tl_event_reader *reader);

#endif /* TL_MODEL_EVENT_FAST_H */
