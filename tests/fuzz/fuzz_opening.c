/*
 * A line that is accepted is written again as the same bytes. If its parts can be joined to an event,
 * splitting that again at the same members gives them back.
 */
#include <string.h>

#include "evidence/opening.h"
#include "fuzz.h"

static struct tl_opening opening;
static struct tl_opening again;
static struct tl_erasable_set set;
static struct tl_split split;

static void check_line(const struct tl_opening *line, struct tl_str text)
{
    struct tl_buf out;
    tl_buf_init(&out, TL_OPENING_LEN_MAX);
    tl_opening_format(&out, line);
    tl_assert(tl_str_equal(tl_buf_str(&out), text));
    tl_buf_release(&out);
}

static void check_joined(const struct tl_opening *line)
{
    struct tl_buf event;
    struct tl_buf opened;
    struct tl_buf rest;
    tl_buf_init(&event, TL_OPENING_LEN_MAX);
    tl_buf_init(&opened, TL_OPENING_LEN_MAX);
    tl_buf_init(&rest, TL_OPENING_LEN_MAX);
    if (tl_opening_join(&event, &opened, line, &set) == TALLY_OK &&
        tl_json_check_canonical(event.data, event.len, NULL) == TALLY_OK) {
        const struct tl_opening_source source = { .event = tl_buf_str(&event),
                                                  .opened = (const uint8_t *)opened.data,
                                                  .opened_len = opened.len,
                                                  .set = &set };
        tl_assert(tl_opening_fill(&again, &source, NULL, &split, &rest, NULL) == TALLY_OK);
        tl_assert(tl_str_equal(again.rest, line->rest) && again.count == line->count);
        for (uint32_t i = 0; i < line->count; i++) {
            tl_assert(tl_str_equal(again.members[i].value, line->members[i].value));
        }
    }
    tl_buf_release(&event);
    tl_buf_release(&opened);
    tl_buf_release(&rest);
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    struct tl_arena arena;
    struct tl_openings_head head;
    struct tl_str text = { .text = (const char *)data, .len = len };
    tl_arena_init(&arena, (size_t)32 << 20);
    bool accepted = tl_opening_parse(&opening, &arena, text, NULL) == TALLY_OK;
    if (accepted) {
        check_line(&opening, text);
    }
    if (accepted && opening.state == TL_OPENING_CONTENT) {
        check_joined(&opening);
    }
    if (!accepted && tl_openings_head_parse(&head, &arena, text, NULL) == TALLY_OK) {
        struct tl_buf out;
        tl_buf_init(&out, TL_OPENING_LEN_MAX);
        tl_openings_head_format(&out, &head);
        tl_assert(tl_str_equal(tl_buf_str(&out), text));
        tl_buf_release(&out);
        accepted = true;
    }
    tl_arena_release(&arena);
    return accepted;
}
