/* The words of the members that free text searches. */
#include "codec/json.h"
#include "model/terms.h"

bool tl_word_equal(struct tl_str word, struct tl_str lower)
{
    if (word.len != lower.len) {
        return false;
    }
    for (size_t i = 0; i < word.len; i++) {
        if (tl_fold(word.text[i]) != lower.text[i]) {
            return false;
        }
    }
    return true;
}

static bool is_word_byte(char c)
{
    char lower = tl_fold(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
}

bool tl_word_next(struct tl_str text, bool raw_json, size_t *at, struct tl_str *word_out)
{
    size_t start = *at;
    while (start < text.len && !is_word_byte(text.text[start])) {
        if (raw_json && text.text[start] == '\\' && start + 1 < text.len) {
            start += text.text[start + 1] == 'u' ? 6 : 2;
        } else {
            start++;
        }
    }
    size_t end = start;
    while (end < text.len && is_word_byte(text.text[end])) {
        end++;
    }
    *at = end;
    if (start >= text.len) {
        return false;
    }
    *word_out = (struct tl_str){ .text = text.text + start, .len = end - start };
    return true;
}

static void each_word(struct tl_str text, bool raw_json, tl_word_fn *fn, void *ctx)
{
    size_t at = 0;
    struct tl_str word = { 0 };
    while (tl_word_next(text, raw_json, &at, &word)) {
        fn(ctx, word);
    }
}

struct path {
    struct tl_str name;
    size_t offset;
};

/* clang-format off */
#define VIEW(name, member)   { { (name), sizeof(name) - 1 }, offsetof(struct tl_event_view, member) }
#define TARGET(name, member) { { (name), sizeof(name) - 1 }, offsetof(struct tl_target_view, member) }

static const struct path texts[] = {
    VIEW("action", action),
    VIEW("actor.id", actor_id),
    VIEW("actor.name", actor_name),
    VIEW("actor.type", actor_type),
    VIEW("causation_id", causation_id),
    VIEW("correlation_id", correlation_id),
    VIEW("id", id),
    VIEW("reason", reason),
    VIEW("request_id", request_id),
    VIEW("session_id", session_id),
    VIEW("source.host", host),
    VIEW("source.ip", ip),
    VIEW("source.service", service),
    VIEW("source.user_agent", user_agent),
    VIEW("tenant_id", tenant_id),
    VIEW("transport", transport),
};
static const struct path target_texts[] = {
    TARGET("targets.id", id),
    TARGET("targets.name", name),
    TARGET("targets.type", type),
};
static const struct path objects[] = {
    VIEW("metadata", metadata_json),
    VIEW("new_values", new_values_json),
    VIEW("old_values", old_values_json),
    VIEW("request", request_json),
    VIEW("response", response_json),
};
/* clang-format on */

/* Whether `member` is `name`, or an object that holds it. */
static bool covers(struct tl_str member, struct tl_str name)
{
    return member.len > 0 && name.len >= member.len && name.text[0] == member.text[0] &&
           tl_str_starts(name, member) && (name.len == member.len || name.text[member.len] == '.');
}

static struct tl_str string_in(const void *base, size_t offset)
{
    const void *at = (const char *)base + offset;
    return *(const struct tl_str *)at;
}

/* The byte after the string that opens at text[at]. */
static size_t string_end(struct tl_str text, size_t at)
{
    for (at++; at < text.len && text.text[at] != '"'; at++) {
        at += text.text[at] == '\\';
    }
    return at < text.len ? at + 1 : text.len;
}

/* Every string in JSON text but the names of members. */
static void each_string(struct tl_str json, tl_word_fn *fn, void *ctx)
{
    size_t at = 0;
    while (at < json.len) {
        if (json.text[at] != '"') {
            at++;
            continue;
        }
        size_t end = string_end(json, at);
        if (end >= json.len || json.text[end] != ':') {
            each_word((struct tl_str){ .text = json.text + at + 1, .len = end - at - 1 }, true, fn,
                      ctx);
        }
        at = end;
    }
}

/* Goes down one name of a dotted path; false if there is no such member. */
static bool descend(struct tl_str *json, struct tl_str name)
{
    struct tl_json_iter it = { .at = 0 };
    if (json->len == 0 || json->text[0] != '{') {
        return false;
    }
    while (tl_json_next(&it, json->text, json->len) == TALLY_OK) {
        if (tl_str_equal(it.raw_name, name)) {
            *json = (struct tl_str){ .text = json->text + it.value_start,
                                     .len = it.value_end - it.value_start };
            return true;
        }
    }
    return false;
}

/* Words at `path` below a free object; an empty path is all of it. */
static void each_below(struct tl_str json, struct tl_str path, tl_word_fn *fn, void *ctx)
{
    while (path.len > 0) {
        const char *dot = memchr(path.text, '.', path.len);
        size_t len = dot == NULL ? path.len : (size_t)(dot - path.text);
        if (!descend(&json, (struct tl_str){ .text = path.text, .len = len })) {
            return;
        }
        len += dot != NULL;
        path = (struct tl_str){ .text = path.text + len, .len = path.len - len };
    }
    each_string(json, fn, ctx);
}

static void each_of_object(const struct tl_event_view *view, struct tl_str member, tl_word_fn *fn,
                           void *ctx)
{
    for (size_t i = 0; i < TL_ARRAY_LEN(objects); i++) {
        struct tl_str name = objects[i].name;
        struct tl_str json = string_in(view, objects[i].offset);
        if (!covers(name, member) || json.text == NULL) { /* NOLINT: the right way round */
            continue;
        }
        size_t below = member.len > name.len ? name.len + 1 : name.len;
        each_below(json, (struct tl_str){ .text = member.text + below, .len = member.len - below },
                   fn, ctx);
    }
}

void tl_words_each(const struct tl_event_view *view, const struct tl_str *members, size_t count,
                   tl_word_fn *fn, void *ctx)
{
    for (size_t m = 0; m < count; m++) {
        for (size_t i = 0; i < TL_ARRAY_LEN(texts); i++) {
            if (covers(members[m], texts[i].name)) {
                each_word(string_in(view, texts[i].offset), false, fn, ctx);
            }
        }
        for (size_t i = 0; i < TL_ARRAY_LEN(target_texts); i++) {
            for (uint32_t t = 0; covers(members[m], target_texts[i].name) && t < view->target_count;
                 t++) {
                each_word(string_in(&view->targets[t], target_texts[i].offset), false, fn, ctx);
            }
        }
        for (uint32_t i = 0; tl_str_is(members[m], "tags") && i < view->tag_count; i++) {
            each_word(view->tags[i], false, fn, ctx);
        }
        each_of_object(view, members[m], fn, ctx);
    }
}

static bool knows(const struct path *paths, size_t count, struct tl_str member)
{
    for (size_t i = 0; i < count; i++) {
        if (covers(member, paths[i].name)) {
            return true;
        }
    }
    return false;
}

bool tl_words_knows(struct tl_str member)
{
    for (size_t i = 0; i < TL_ARRAY_LEN(objects); i++) {
        if (covers(objects[i].name, member)) {
            return true;
        }
    }
    return member.len > 0 &&
           (tl_str_is(member, "tags") || knows(texts, TL_ARRAY_LEN(texts), member) ||
            knows(target_texts, TL_ARRAY_LEN(target_texts), member));
}
