/*
 * Bytes drive the calls that build an event. Whatever they are, the event has one first failure, or
 * text that is canonical, reads back with the shape that the calls gave it, and stays the same.
 */
#include <string.h>

#include <tally/event.h>

#include "base/limits.h"
#include "codec/json.h"
#include "fuzz.h"

#define CALLS_MAX 2000u

struct source {
    const uint8_t *data;
    size_t len;
};

static uint8_t next_byte(struct source *source)
{
    if (source->len == 0) {
        return 0;
    }
    source->len--;
    return *source->data++;
}

static uint64_t next_u64(struct source *source)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value = value << 8 | next_byte(source);
    }
    return value;
}

/* Text of up to 63 bytes, of any kind; NULL now and then. In a block of its own, so that ASan sees
 * an overrun. */
static char *next_text(struct source *source, size_t *len_out)
{
    size_t len = next_byte(source);
    *len_out = 0;
    if (len >= 64) {
        return NULL;
    }
    len = len < source->len ? len : source->len;
    char *text = tl_alloc_array(len + 1, 1);
    tl_assert(text != NULL);
    memcpy(text, source->data, len);
    source->data += len;
    source->len -= len;
    *len_out = len;
    return text;
}

static void add_number(struct tally_event *event, enum tally_object object, const char *name,
                       struct source *source, uint8_t kind)
{
    uint64_t bits = next_u64(source);
    double number = 0;
    memcpy(&number, &bits, sizeof(number));
    switch (kind % 4) {
    case 0:
        tally_event_add_int(event, object, name, (int64_t)bits);
        break;
    case 1:
        tally_event_add_uint(event, object, name, bits >> (bits & 63));
        break;
    case 2:
        tally_event_add_double(event, object, name, number);
        break;
    default:
        tally_event_add_time(event, object, name, (int64_t)bits);
        break;
    }
}

static void add_value(struct tally_event *event, enum tally_object object, const char *name,
                      struct source *source)
{
    uint8_t kind = next_byte(source);
    size_t len = 0;
    char *text = next_text(source, &len);
    switch (kind % 10) {
    case 0:
        tally_event_add_text(event, object, name, text);
        break;
    case 1:
        tally_event_add_text_len(event, object, name, text, len);
        break;
    case 2:
        tally_event_add_binary(event, object, name, text, len);
        break;
    case 3:
        tally_event_add_json(event, object, name, text, len);
        break;
    case 4:
        tally_event_add_format(event, object, name, "%s:%d%%%c", text == NULL ? "" : text, kind,
                               kind);
        break;
    case 5:
        tally_event_add_uuid(event, object, name, len < 16 ? NULL : (const uint8_t *)text);
        break;
    case 6:
        tally_event_add_bool(event, object, name, kind & 16);
        break;
    case 7:
        tally_event_add_null(event, object, name);
        break;
    default:
        add_number(event, object, name, source, kind);
        break;
    }
    tl_free(text);
}

static void set_member(struct tally_event *event, struct source *source)
{
    enum tally_member member = (enum tally_member)(1 + next_byte(source) % TALLY_SESSION_ID);
    uint8_t kind = next_byte(source);
    size_t len = 0;
    char *text = next_text(source, &len);
    if (kind % 8 == 0) {
        tally_event_set_time(event, member, (int64_t)next_u64(source));
    } else if (kind % 8 == 1) {
        tally_event_set_uuid(event, member, len < 16 ? NULL : (const uint8_t *)text);
    } else if (kind % 2 == 0) {
        tally_event_set(event, member, text);
    } else {
        tally_event_set_len(event, member, text, len);
    }
    tl_free(text);
}

static void add_target(struct tally_event *event, struct source *source)
{
    char *parts[3];
    size_t len = 0;
    for (int i = 0; i < 3; i++) {
        parts[i] = next_text(source, &len);
    }
    tally_event_add_target(event, parts[0], parts[1], parts[2]);
    tally_event_add_tag(event, parts[0]);
    for (int i = 0; i < 3; i++) {
        tl_free(parts[i]);
    }
}

static bool check_text(struct tally_event *event)
{
    const char *text = NULL;
    size_t len = 0;
    struct tally_error err = TALLY_ERROR_INIT;
    tally_status status = tally_event_text(event, &text, &len, &err);
    tl_assert(status == err.status);
    if (status != TALLY_OK) {
        tl_assert(status == TALLY_EREFUSED || status == TALLY_ELIMIT);
        tl_assert(err.code[0] != '\0' && err.message[0] != '\0');
        return false;
    }
    tl_assert(len <= TL_EVENT_BYTES_MAX && text[len] == '\0' && strlen(text) == len);
    tl_assert(tl_json_check_canonical(text, len, NULL) == TALLY_OK);
    return true;
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    struct source source = { .data = data, .len = len };
    struct tally_event *event = NULL;
    tally_status status = tally_event_new(&event, NULL);
    tl_assert(status == TALLY_OK);
    for (size_t i = 0; i < CALLS_MAX && source.len > 0; i++) {
        uint8_t call = next_byte(&source);
        enum tally_object object = (enum tally_object)(1 + call / 16 % 5);
        size_t name_len = 0;
        char *name = call % 8 < 4 ? next_text(&source, &name_len) : NULL;
        switch (call % 8) {
        case 0:
        case 1:
        case 4:
            add_value(event, object, name, &source);
            break;
        case 2:
        case 5:
            tally_event_open(event, object, name, call & 8 ? '[' : '{');
            break;
        case 3:
            tally_event_close(event, object);
            break;
        case 6:
            add_target(event, &source);
            break;
        default:
            set_member(event, &source);
            break;
        }
        tl_free(name);
        if (call == 255) {
            (void)check_text(event); /* in between */
        }
    }
    bool accepted = check_text(event);
    tl_assert(check_text(event) == accepted);
    tally_event_clear(event);
    tl_assert(check_text(event));
    tally_event_free(event);
    return accepted;
}
