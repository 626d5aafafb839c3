#include "json_diff.h"

#include <jansson.h>
#include <string.h>

#include "codec/json.h"

#define BYTES_MAX ((size_t)64 << 20)

/* Integers become doubles, as ours are; U+0000 stays forbidden. */
#define JANSSON_FLAGS (JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL)

static bool same_text(struct tl_str ours, const char *theirs, size_t len)
{
    return ours.len == len && memcmp(ours.text, theirs, len) == 0;
}

static bool same_number(double ours, double theirs)
{
    return ours <= theirs && ours >= theirs;
}

static bool same_value(const struct tl_json *ours, json_t *theirs);

static bool same_array(const struct tl_json *ours, json_t *theirs)
{
    size_t index = 0;
    for (const struct tl_json *element = ours->first; element != NULL; element = element->next) {
        if (!same_value(element, json_array_get(theirs, index++))) {
            return false;
        }
    }
    return index == ours->count && index == json_array_size(theirs);
}

static bool same_object(const struct tl_json *ours, json_t *theirs)
{
    size_t count = 0;
    for (const struct tl_json *member = ours->first; member != NULL; member = member->next) {
        json_t *other = json_object_getn(theirs, member->key.text, member->key.len);
        if (other == NULL || !same_value(member, other)) {
            return false;
        }
        count++;
    }
    return count == ours->count && count == json_object_size(theirs);
}

/* Recursion ends at the depth limit of our reader. */
static bool same_value(const struct tl_json *ours, json_t *theirs)
{
    switch (ours->type) {
    case TL_JSON_NULL:
        return json_is_null(theirs);
    case TL_JSON_FALSE:
        return json_is_false(theirs);
    case TL_JSON_TRUE:
        return json_is_true(theirs);
    case TL_JSON_NUMBER:
        return json_is_real(theirs) && same_number(ours->number, json_real_value(theirs));
    case TL_JSON_STRING:
        return json_is_string(theirs) &&
               same_text(ours->text, json_string_value(theirs), json_string_length(theirs));
    case TL_JSON_ARRAY:
        return json_is_array(theirs) && same_array(ours, theirs);
    case TL_JSON_OBJECT:
        return json_is_object(theirs) && same_object(ours, theirs);
    }
    return false;
}

bool json_diff(const char *text, size_t len)
{
    TL_CLEANUP(tl_arena_release) struct tl_arena arena;
    tl_arena_init(&arena, BYTES_MAX);
    const struct tl_json *ours = NULL;
    if (tl_json_read(&arena, text, len, &tl_json_limits_format, &ours, NULL) != TALLY_OK) {
        return false;
    }
    json_t *theirs = json_loadb(text, len, JANSSON_FLAGS, NULL);
    tl_assert(theirs != NULL);
    tl_assert(same_value(ours, theirs));
    json_decref(theirs);

    TL_CLEANUP(tl_buf_release) struct tl_buf out;
    tl_buf_init(&out, BYTES_MAX);
    tl_json_write(&out, ours);
    tl_assert(tl_buf_status(&out) == TALLY_OK);
    theirs = json_loadb(out.data, out.len, JANSSON_FLAGS, NULL);
    tl_assert(theirs != NULL);
    tl_assert(same_value(ours, theirs));
    json_decref(theirs);
    return true;
}
