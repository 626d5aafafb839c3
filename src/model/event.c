#include "model/event.h"

#include "base/limits.h"
#include "model/event_draft.h"
#include "model/event_fast.h"
#include "model/policy_parts.h"

/* A tree may take many times the bytes of its text: an event that needs more is too large. */
#define ARENA_BYTES_MAX   (16 * TL_INPUT_BYTES_MAX)
#define SCRATCH_BYTES_MAX (4 * TL_INPUT_BYTES_MAX)

/* What a reader keeps from one event to the next, beyond which it starts anew. */
#define KEPT_BYTES_MAX ((size_t)8 << 20)

const struct tl_json_limits tl_event_input_limits = {
    .bytes_max = TL_INPUT_BYTES_MAX,
    .depth_max = TL_EVENT_DEPTH_MAX,
    .members_max = TL_EVENT_MEMBERS_MAX,
    .elements_max = TL_EVENT_ELEMENTS_MAX,
    .keep_integers = true,
};

void tl_event_reader_init(struct tl_event_reader *reader, const struct tl_event_rules *rules,
                          tl_event_hash_fn *hash)
{
    *reader = (struct tl_event_reader){ .rules = rules, .hash = hash };
    tl_arena_init(&reader->arena, ARENA_BYTES_MAX);
    tl_buf_init(&reader->scratch, SCRATCH_BYTES_MAX);
    tl_event_names_index(reader);
    tl_event_fast_index(reader);
}

void tl_event_reader_release(struct tl_event_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    tl_arena_release(&reader->arena);
    tl_buf_release(&reader->scratch);
    tl_policy_matcher_free(reader->matcher);
    *reader = (struct tl_event_reader){ 0 };
}

static void reset(struct tl_event_reader *reader)
{
    if (reader->arena.bytes > KEPT_BYTES_MAX) {
        tl_arena_release(&reader->arena);
        tl_arena_init(&reader->arena, ARENA_BYTES_MAX);
    }
    tl_arena_reset(&reader->arena);
    if (reader->scratch.capacity > KEPT_BYTES_MAX) {
        tl_buf_release(&reader->scratch);
        tl_buf_init(&reader->scratch, SCRATCH_BYTES_MAX);
    }
    tl_buf_clear(&reader->scratch);
}

static tally_status read_tree(struct tl_event_reader *reader, const struct tl_event_input *input,
                              const struct tl_json **root_out, struct tally_error *err)
{
    struct tally_error cause = TALLY_ERROR_INIT;
    const struct tl_json *root = NULL;
    tally_status status = tl_json_read(&reader->arena, input->json, input->len,
                                       &tl_event_input_limits, &root, &cause);
    if (status == TALLY_ENOMEM && reader->arena.bytes > ARENA_BYTES_MAX / 2) {
        return tl_refuse(err, "too_large", "", "the event is too large to be read");
    }
    if (status != TALLY_OK) {
        if (err != NULL && err->status == TALLY_OK) {
            *err = cause;
        }
        return status;
    }
    if (root->type != TL_JSON_OBJECT) {
        return tl_refuse_at(err, "bad_json", root->offset, "an event is a JSON object");
    }
    *root_out = root;
    return TALLY_OK;
}

/* Only what is read before it is written; the rest of a draft is large. */
static void init_draft(struct tl_draft *draft, struct tl_event_reader *reader,
                       const struct tl_event_input *input, struct tally_error *err)
{
    draft->reader = reader;
    draft->input = input;
    draft->err = err;
    memset(draft->text, 0, sizeof(draft->text));
    memset(draft->free_objects, 0, sizeof(draft->free_objects));
    draft->tags = NULL;
    draft->changes[0] = NULL;
    draft->changes[1] = NULL;
    draft->duration = NULL;
    draft->bank = NULL;
    draft->extras = NULL;
    draft->outcome_word = (struct tl_str){ 0 };
    draft->has_user = false;
    draft->framework_m = false;
    draft->target_count = 0;
}

tally_status tl_event_draft(struct tl_event_reader *reader, const struct tl_event_input *input,
                            struct tl_buf *out, uint32_t *notes_out, struct tally_error *err)
{
    const struct tl_json *root = NULL;
    tl_buf_clear(&reader->scratch);
    TL_TRY(read_tree(reader, input, &root, err));
    struct tl_draft draft;
    init_draft(&draft, reader, input, err);
    uint32_t notes = 0;
    TL_TRY(tl_draft_read(&draft, root));
    TL_TRY(tl_draft_finish(&draft, &notes));
    if (input->policy != NULL && !input->own) {
        TL_TRY(tl_draft_apply_policy(&draft, input->policy, &notes));
    }
    TL_TRY(tl_draft_write(&draft, out, &notes));
    *notes_out = notes;
    return TALLY_OK;
}

tally_status tl_event_canonical(struct tl_event_reader *reader, const struct tl_event_input *input,
                                struct tl_buf *out, uint32_t *notes_out, struct tally_error *err)
{
    bool simple = false;
    reset(reader);
    TL_TRY(tl_event_fast(reader, input, out, notes_out, &simple, err));
    return simple ? TALLY_OK : tl_event_draft(reader, input, out, notes_out, err);
}
