/* Asks the resolver which ledger an event is for. */
#include "ledger/logger.h"
#include "ledger/router.h"

#define TEXTS 6u

/* Begins a record's text behind the room for its header. */
static tally_status begin_record(struct tl_buf *room)
{
    tl_buf_clear(room);
    if (tl_buf_reserve(room, TL_SPOOL_HEADER_LEN) == NULL) {
        return tl_buf_status(room);
    }
    tl_buf_commit(room, TL_SPOOL_HEADER_LEN);
    return TALLY_OK;
}

static void swap(struct tl_log_context *context)
{
    struct tl_buf room = context->room;
    context->room = context->spare;
    context->spare = room;
}

/* Asks with NUL-terminated copies in context->spare. The answer is copied to `name`. */
static tally_status ask(struct tally_logger *logger, struct tl_log_context *context,
                        struct tl_str event, char name[TL_ROUTE_NAME_MAX + 2])
{
    struct tl_event_view view;
    TL_TRY(tl_event_view_read(&view, &context->reader.arena, event.text, event.len));
    const struct tl_str texts[TEXTS] = {
        view.action,
        view.tenant_id,
        view.actor_id,
        view.service,
        view.target_count > 0 ? view.targets[0].type : (struct tl_str){ 0 },
        view.target_count > 0 ? view.targets[0].id : (struct tl_str){ 0 },
    };
    size_t at[TEXTS];
    struct tl_buf *spare = &context->spare;
    tl_buf_clear(spare);
    for (size_t i = 0; i < TEXTS; i++) {
        at[i] = spare->len;
        if (texts[i].len > 0) {
            tl_buf_add_str(spare, texts[i]);
        }
        tl_buf_add_char(spare, '\0');
    }
    TL_TRY(tl_buf_status(spare));
    const struct tally_route_input input = { .struct_size = sizeof(input),
                                             .action = spare->data + at[0],
                                             .tenant_id = spare->data + at[1],
                                             .actor_id = spare->data + at[2],
                                             .service = spare->data + at[3],
                                             .target_type = spare->data + at[4],
                                             .target_id = spare->data + at[5] };
    const char *answer = logger->options.route(logger->options.route_ctx, &input);
    /* One that is too long stays too long. */
    tl_str_copy(name, TL_ROUTE_NAME_MAX + 2, tl_str_of(answer != NULL ? answer : ""));
    return TALLY_OK;
}

tally_status tl_route_apply(struct tally_logger *logger, struct tl_log_context *context,
                            struct tl_spool_record *record, struct tally_error *err)
{
    char name[TL_ROUTE_NAME_MAX + 2];
    const struct tl_str event = { .text = context->room.data + TL_SPOOL_HEADER_LEN,
                                  .len = context->room.len - TL_SPOOL_HEADER_LEN };
    tally_status status = ask(logger, context, event, name);
    if (status == TALLY_OK) {
        status = begin_record(&context->spare);
    }
    if (status == TALLY_OK && tl_route_name_is_valid(tl_str_of(name))) {
        record->kind = TL_SPOOL_ROUTED;
        tl_buf_add_text(&context->spare, name);
        tl_buf_add_char(&context->spare, '\n');
        tl_buf_add_str(&context->spare, event);
        status = tl_buf_status(&context->spare);
    } else if (status == TALLY_OK) {
        tl_counter_add(&logger->counts.unrouted, 1);
        status = tl_route_tag(&context->spare, event.text, event.len);
    }
    if (status != TALLY_OK) {
        return tl_fail(err, status, "cannot route the event");
    }
    swap(context);
    return TALLY_OK;
}
