/* Whatever tl_yaml_read accepts has distinct keys in order, and texts without NUL. */
#include "codec/yaml.h"
#include "fuzz.h"

static void check_text(struct tl_str text)
{
    tl_assert(text.text != NULL);
    tl_assert(strlen(text.text) == text.len);
}

static void check_item(const struct tl_yaml_item *item)
{
    check_text(item->key);
    tl_assert(item->key.len > 0 && item->place.line > 0 && item->place.column > 0);
    if (item->values == NULL) {
        check_text(item->value);
        tl_assert(item->count == 0);
    }
    for (size_t i = 0; i < item->count; i++) {
        check_text(item->values[i]);
        tl_assert(item->places[i].line >= item->place.line && item->places[i].column > 0);
    }
    for (const struct tl_yaml_item *next = item->next; next != NULL; next = next->next) {
        tl_assert(next->place.line >= item->place.line);
        tl_assert(!tl_str_equal(next->key, item->key));
    }
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    tl_arena_init(&arena, (size_t)64 << 20);
    struct tally_error err = TALLY_ERROR_INIT;
    const struct tl_yaml_item *first = NULL;
    tally_status status = tl_yaml_read(&arena, (const char *)data, len, &first, &err);
    if (status != TALLY_OK) {
        tl_assert(first == NULL);
        tl_assert(err.status == status && err.message[0] != '\0');
        return false;
    }
    for (const struct tl_yaml_item *item = first; item != NULL; item = item->next) {
        check_item(item);
    }
    return true;
}
