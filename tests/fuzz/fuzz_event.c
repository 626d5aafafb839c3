/*
 * Whatever tl_event_canonical accepts, natively or from an importer, it turns into text that it
 * accepts natively and leaves as it is, that is canonical, within its limit, and can be read back.
 * What native ingest accepts, importers take for the same. Any bytes at all may be read back.
 */
#include "codec/json.h"
#include "crypto/crypto.h"
#include "fuzz.h"
#include "model/filter.h"

#define EVENT_BYTES_MAX 2000u /* small, so that inputs get trimmed */
#define TERMS_BYTES_MAX ((size_t)16 << 20)

static const struct tl_event_rules rules = { .bytes_max = EVENT_BYTES_MAX };
static const struct tl_str members[] = { { "reason", 6 }, { "targets", 7 }, { "metadata", 8 } };

static bool read_event(struct tl_buf *out, struct tl_str text, bool import)
{
    static const uint8_t fresh[16] = { 1, 2, 3 };
    struct tl_event_reader reader;
    tl_event_reader_init(&reader, &rules, tl_sha256);
    struct tl_event_input input = {
        .json = text.text, .len = text.len, .import = import, .random = fresh
    };
    uint32_t notes = 0;
    struct tally_error err = TALLY_ERROR_INIT;
    tally_status status = tl_event_canonical(&reader, &input, out, &notes, &err);
    tl_event_reader_release(&reader);
    tl_assert(status == TALLY_OK || status == TALLY_EREFUSED);
    tl_assert((status == TALLY_OK) == (err.code[0] == '\0'));
    return status == TALLY_OK;
}

static void read_back(struct tl_str text, bool sound)
{
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    tl_arena_init(&arena, TERMS_BYTES_MAX);
    struct tl_event_view view;
    struct tl_event_keys keys;
    bool read = tl_event_view_read(&view, &arena, text.text, text.len) == TALLY_OK;
    bool has_keys = tl_event_keys_read(&keys, text.text, text.len) == TALLY_OK;
    tl_assert(!sound || (read && has_keys && tl_str_equal(view.action, keys.action) &&
                         view.id.len > 0 && view.occurred_at.len > 0));
    if (read) {
        struct tl_record_facts facts = { .kind = TL_STR("event"), .state = TL_STR("present") };
        TL_CLEANUP(tl_buf_release) struct tl_buf terms = { 0 };
        tl_buf_init(&terms, TERMS_BYTES_MAX);
        tl_terms_add(&terms, &facts, &view, members, TL_ARRAY_LEN(members));
    }
}

/* Checks what an accepted event became. */
static void check_canonical(const struct tl_buf *text)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf again = { 0 };
    tl_buf_init(&again, EVENT_BYTES_MAX);
    tl_assert(text->len <= EVENT_BYTES_MAX);
    tl_assert(tl_json_check_canonical(text->data, text->len, NULL) == TALLY_OK);
    tl_assert(read_event(&again, tl_buf_str(text), false));
    tl_assert(tl_str_equal(tl_buf_str(text), tl_buf_str(&again)));
    read_back(tl_buf_str(text), true);
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    struct tl_str text = { .text = (const char *)data, .len = len };
    TL_CLEANUP(tl_buf_release) struct tl_buf native = { 0 };
    TL_CLEANUP(tl_buf_release) struct tl_buf imported = { 0 };
    tl_buf_init(&native, EVENT_BYTES_MAX);
    tl_buf_init(&imported, EVENT_BYTES_MAX);
    bool accepted = read_event(&native, text, false);
    bool lenient = read_event(&imported, text, true);
    tl_assert(!accepted || (lenient && tl_str_equal(tl_buf_str(&native), tl_buf_str(&imported))));
    if (lenient) {
        check_canonical(&imported);
    }
    read_back(text, false);
    return lenient;
}
