#include "built.h"

#include <string.h>

#include "base/limits.h"
#include "check.h"
#include "codec/json.h"
#include "crypto/crypto.h"
#include "model/event.h"

struct tally_event *built;

int built_set_up(void **state)
{
    (void)state;
    check_ok(tally_event_new(&built, NULL));
    return 0;
}

int built_tear_down(void **state)
{
    (void)state;
    tally_event_free(built);
    return 0;
}

const char *built_text(size_t *len_out)
{
    const char *text = NULL;
    struct tally_error err = TALLY_ERROR_INIT;
    if (tally_event_text(built, &text, len_out, &err) != TALLY_OK) {
        fail_msg("%s %s: %s", err.code, err.pointer, err.message);
    }
    assert_int_equal(strlen(text), *len_out);
    check_ok(tl_json_check_canonical(text, *len_out, NULL));
    return text;
}

void built_check(const char *want)
{
    size_t len = 0;
    assert_string_equal(built_text(&len), want);
}

void built_check_failed(tally_status want, const char *code, const char *pointer)
{
    struct tally_error err = TALLY_ERROR_INIT;
    const char *text = "untouched";
    size_t len = 0;
    check_status(tally_event_text(built, &text, &len, &err), want);
    assert_int_equal(err.status, want);
    assert_string_equal(err.code, code);
    assert_string_equal(err.pointer, pointer);
    assert_string_equal(text, "untouched");
}

char *built_canonical(void)
{
    size_t len = 0;
    const char *text = built_text(&len);
    static const uint8_t fresh[16];
    struct tl_event_rules rules = { .bytes_max = TL_EVENT_BYTES_MAX };
    struct tl_event_reader reader;
    tl_event_reader_init(&reader, &rules, tl_sha256);
    struct tl_buf out;
    tl_buf_init(&out, TL_EVENT_BYTES_MAX);
    struct tl_event_input input = { .json = text, .len = len, .random = fresh };
    uint32_t notes = 0;
    struct tally_error err = TALLY_ERROR_INIT;
    if (tl_event_canonical(&reader, &input, &out, &notes, &err) != TALLY_OK) {
        fail_msg("%s %s: %s", err.code, err.pointer, err.message);
    }
    char *canonical = tl_buf_take(&out, NULL);
    assert_non_null(canonical);
    tl_buf_release(&out);
    tl_event_reader_release(&reader);
    return canonical;
}
