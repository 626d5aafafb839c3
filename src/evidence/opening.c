#include "evidence/opening.h"

#include "base/parse.h"
#include "codec/base64.h"

#define FORMAT     "tallystick/v1 openings"
#define NUMBER_MAX UINT64_C(9007199254740991) /* 2^53 - 1 */

static const struct tl_json_limits limits = {
    .bytes_max = TL_OPENING_LEN_MAX,
    .depth_max = 4,
    .members_max = 8,
    .elements_max = TL_ERASABLE_MAX,
};

static const char *const state_names[] = {
    [TL_OPENING_PURGED] = "purged",
    [TL_OPENING_ERASED] = "erased",
    [TL_OPENING_EVICTED] = "evicted",
    [TL_OPENING_WITHHELD] = "withheld",
};

static tally_status malformed(struct tally_error *err, const char *what)
{
    (void)tl_fail(err, TALLY_ECORRUPT, "a line of the openings: %s", what);
    return TALLY_ECORRUPT;
}

/* Reads an object that fills the line, in its canonical spelling. */
static tally_status read_line(const struct tl_json **root_out, struct tl_arena *arena,
                              struct tl_str line, struct tally_error *err)
{
    const struct tl_json *root = NULL;
    tally_status status = tl_json_read(arena, line.text, line.len, &limits, &root, NULL);
    if (status == TALLY_ENOMEM) {
        (void)tl_fail(err, TALLY_ENOMEM, "cannot allocate a line of the openings");
        return TALLY_ENOMEM;
    }
    if (status != TALLY_OK || root == NULL || root->type != TL_JSON_OBJECT) {
        return malformed(err, "no JSON object that could be one");
    }
    *root_out = root;
    struct tl_buf again;
    tl_buf_init(&again, TL_OPENING_LEN_MAX);
    tl_json_write(&again, root);
    status = tl_buf_status(&again);
    bool same = status == TALLY_OK && tl_str_equal(tl_buf_str(&again), line);
    tl_buf_release(&again);
    if (status == TALLY_ENOMEM) {
        (void)tl_fail(err, TALLY_ENOMEM, "cannot allocate a line of the openings");
        return TALLY_ENOMEM;
    }
    return same ? TALLY_OK : malformed(err, "not in canonical form");
}

static bool take_text(struct tl_str *out, const struct tl_json *object, const char *name)
{
    const struct tl_json *value = tl_json_member(object, name);
    if (value == NULL || value->type != TL_JSON_STRING) {
        return false;
    }
    *out = value->text;
    return true;
}

static bool take_number(uint64_t *out, const struct tl_json *object, const char *name)
{
    const struct tl_json *value = tl_json_member(object, name);
    return value != NULL && value->type == TL_JSON_NUMBER &&
           tl_parse_u64(value->text.text, value->text.len, NUMBER_MAX, out) == TALLY_OK;
}

static bool take_bytes(uint8_t *out, size_t len, const struct tl_json *object, const char *name)
{
    struct tl_str text = { 0 };
    size_t got = 0;
    return take_text(&text, object, name) &&
           tl_base64_decode(out, len, &got, text.text, text.len) == TALLY_OK && got == len;
}

tally_status tl_openings_head_parse(struct tl_openings_head *out, struct tl_arena *arena,
                                    struct tl_str line, struct tally_error *err)
{
    const struct tl_json *root = NULL;
    struct tl_str format = { 0 };
    TL_TRY(read_line(&root, arena, line, err));
    const struct tl_json *complete = tl_json_member(root, "complete");
    if (root->count != 5 || complete == NULL ||
        (complete->type != TL_JSON_TRUE && complete->type != TL_JSON_FALSE) ||
        !take_number(&out->count, root, "count") || !take_text(&format, root, "format") ||
        !tl_str_is(format, FORMAT) || !take_text(&out->origin, root, "origin") ||
        !take_number(&out->size, root, "size")) {
        return malformed(err, "the first is not that of this format");
    }
    out->complete = complete->type == TL_JSON_TRUE;
    return TALLY_OK;
}

void tl_openings_head_format(struct tl_buf *out, const struct tl_openings_head *head)
{
    tl_buf_addf(out, "{\"complete\":%s,\"count\":%llu,\"format\":\"" FORMAT "\",\"origin\":", /* */
                head->complete ? "true" : "false", (unsigned long long)head->count);
    tl_json_write_string(out, head->origin);
    tl_buf_addf(out, ",\"size\":%llu}", (unsigned long long)head->size);
}

static tally_status take_leaf(struct tl_opening *out, struct tl_arena *arena,
                              const struct tl_json *root, struct tally_error *err)
{
    struct tl_str text = { 0 };
    if (!take_text(&text, root, "leaf")) {
        return malformed(err, "no leaf");
    }
    size_t size = tl_base64_decoded_len_max(text.len);
    uint8_t *leaf = tl_arena_alloc(arena, size == 0 ? 1 : size);
    if (leaf == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a leaf");
    }
    if (tl_base64_decode(leaf, size, &out->leaf_len, text.text, text.len) != TALLY_OK ||
        out->leaf_len < TL_LEAF_LEN) {
        return malformed(err, "the leaf is none");
    }
    out->leaf = leaf;
    return TALLY_OK;
}

static bool take_member(struct tl_opening_member *out, const struct tl_json *object)
{
    const struct tl_json *mark = tl_json_member(object, "w");
    *out = (struct tl_opening_member){ .gone = tl_json_member(object, "d") != NULL };
    out->withheld = mark != NULL;
    if (object->type != TL_JSON_OBJECT || !take_text(&out->pointer, object, "p") ||
        out->pointer.len == 0 || out->pointer.len > TL_POINTER_LEN_MAX) {
        return false;
    }
    if (out->gone) {
        return object->count == (mark == NULL ? 2 : 3) &&
               (mark == NULL || mark->type == TL_JSON_TRUE) &&
               take_bytes(out->part, 32, object, "d");
    }
    return object->count == 3 && take_bytes(out->part, TL_SALT_LEN, object, "s") &&
           take_text(&out->value, object, "v") && out->value.len > 0;
}

static tally_status take_content(struct tl_opening *out, const struct tl_json *root,
                                 struct tally_error *err)
{
    const struct tl_json *members = tl_json_member(root, "members");
    if (root->count != 5 || !take_text(&out->rest, root, "rest") || members == NULL ||
        members->type != TL_JSON_ARRAY || !take_bytes(out->salt0, TL_SALT_LEN, root, "salt")) {
        return malformed(err, "not the members of a content");
    }
    out->state = TL_OPENING_CONTENT;
    out->count = 0;
    for (const struct tl_json *item = members->first; item != NULL; item = item->next) {
        struct tl_opening_member *member = &out->members[out->count];
        if (!take_member(member, item) ||
            (out->count > 0 && tl_str_compare(member[-1].pointer, member->pointer) >= 0)) {
            return malformed(err, "a member that was split off does not parse");
        }
        out->count++;
    }
    return TALLY_OK;
}

static tally_status take_state(struct tl_opening *out, const struct tl_json *root,
                               struct tally_error *err)
{
    struct tl_str text = { 0 };
    if (root->count == 3 && take_text(&text, root, "state")) {
        for (uint32_t i = TL_OPENING_PURGED; i <= TL_OPENING_WITHHELD; i++) {
            if (tl_str_is(text, state_names[i])) {
                out->state = (enum tl_opening_state)i;
                return TALLY_OK;
            }
        }
    }
    return malformed(err, "no state of a content");
}

tally_status tl_opening_parse(struct tl_opening *out, struct tl_arena *arena, struct tl_str line,
                              struct tally_error *err)
{
    const struct tl_json *root = NULL;
    TL_TRY(read_line(&root, arena, line, err));
    out->count = 0;
    if (!take_number(&out->seq, root, "seq")) {
        return malformed(err, "no position");
    }
    TL_TRY(take_leaf(out, arena, root, err));
    if (out->leaf[4] != TL_LEAF_ENTRY) { /* the byte for the kind */
        out->state = TL_OPENING_CONTROL;
        return root->count == 2 ? TALLY_OK : malformed(err, "a control leaf has content");
    }
    return tl_json_member(root, "rest") != NULL ? take_content(out, root, err)
                                                : take_state(out, root, err);
}

static void write_bytes(struct tl_buf *out, const char *name, const uint8_t *bytes, size_t len)
{
    tl_buf_addf(out, "\"%s\":\"", name);
    tl_base64_encode(out, bytes, len);
    tl_buf_add_char(out, '"');
}

static void write_member(struct tl_buf *out, const struct tl_opening_member *member)
{
    tl_buf_add_char(out, '{');
    if (member->gone) {
        write_bytes(out, "d", member->part, 32);
        tl_buf_add_char(out, ',');
    }
    tl_buf_add_text(out, "\"p\":");
    tl_json_write_string(out, member->pointer);
    if (!member->gone) {
        tl_buf_add_char(out, ',');
        write_bytes(out, "s", member->part, TL_SALT_LEN);
        tl_buf_add_text(out, ",\"v\":");
        tl_json_write_string(out, member->value);
    } else if (member->withheld) {
        tl_buf_add_text(out, ",\"w\":true");
    }
    tl_buf_add_char(out, '}');
}

void tl_opening_format(struct tl_buf *out, const struct tl_opening *opening)
{
    bool content = opening->state == TL_OPENING_CONTENT;
    tl_buf_add_char(out, '{');
    write_bytes(out, "leaf", opening->leaf, opening->leaf_len);
    if (content) {
        tl_buf_add_text(out, ",\"members\":[");
        for (uint32_t i = 0; i < opening->count; i++) {
            tl_buf_add_text(out, i == 0 ? "" : ",");
            write_member(out, &opening->members[i]);
        }
        tl_buf_add_text(out, "],\"rest\":");
        tl_json_write_string(out, opening->rest);
        tl_buf_add_char(out, ',');
        write_bytes(out, "salt", opening->salt0, TL_SALT_LEN);
    }
    tl_buf_addf(out, ",\"seq\":%llu", (unsigned long long)opening->seq);
    if (!content && opening->state != TL_OPENING_CONTROL) {
        tl_buf_addf(out, ",\"state\":\"%s\"", state_names[opening->state]);
    }
    tl_buf_add_char(out, '}');
}

/* A walk through R that puts in what was cut out, in the order of the names. */
struct join {
    struct tl_buf *out;
    struct tl_str rest;
    size_t copied; /* bytes of rest that are in `out` */
    const struct tl_opening *opening;
    const struct tl_erasable_set *set;
    uint32_t at; /* next of set->walk */
};

static struct tl_str raw_token(const struct tl_pointer *pointer, uint32_t token)
{
    return (struct tl_str){ .text = pointer->tokens[token].raw, .len = pointer->tokens[token].len };
}

static void copy_rest(struct join *join, size_t end)
{
    tl_buf_add(join->out, join->rest.text + join->copied, end - join->copied);
    join->copied = end;
}

/* Puts the next member in at rest[offset]. */
static void put_member(struct join *join, uint32_t token, size_t offset, const char *before,
                       const char *after)
{
    uint8_t index = join->set->walk[join->at];
    const struct tl_opening_member *member = &join->opening->members[index];
    copy_rest(join, offset);
    tl_buf_add_text(join->out, before);
    tl_buf_add_char(join->out, '"');
    tl_buf_add_str(join->out, raw_token(&join->set->pointers[index], token));
    tl_buf_add_text(join->out, "\":");
    tl_buf_add_str(join->out, member->value);
    tl_buf_add_text(join->out, after);
}

static bool is_gone(const struct join *join)
{
    return join->opening->members[join->set->walk[join->at]].gone;
}

/* The next member to put in, if it belongs to the object at hand: to R itself, or to the member called
 * `parent` of it. */
static const struct tl_pointer *wanted_in(const struct join *join, const struct tl_str *parent)
{
    if (join->at == join->set->count) {
        return NULL;
    }
    const struct tl_pointer *pointer = &join->set->pointers[join->set->walk[join->at]];
    bool inside = parent == NULL ||
                  (pointer->token_count == 2 && tl_str_equal(raw_token(pointer, 0), *parent));
    return inside ? pointer : NULL;
}

/* Where the walk through an object is. */
struct place {
    const struct tl_str *parent; /* its name; NULL is R itself */
    bool over;                   /* there are no more members */
    bool some;                   /* there was one, or one was put in */
    size_t end;                  /* of the last one */
};

/* Puts in those that come before the member that `it` is at, or the end. *order_out tells how the
 * next one compares with that member. */
static tally_status join_before(struct join *join, const struct tl_json_iter *it,
                                struct place *place, int *order_out)
{
    uint32_t token = place->parent == NULL ? 0 : 1;
    const struct tl_pointer *pointer;
    *order_out = 1;
    while ((pointer = wanted_in(join, place->parent)) != NULL) {
        *order_out =
            place->over ? -1 : tl_raw_name_compare(raw_token(pointer, token), it->raw_name);
        if (*order_out >= 0) {
            return TALLY_OK;
        }
        if (pointer->token_count != token + 1) {
            return TALLY_ECORRUPT; /* its parent is not there */
        }
        if (!is_gone(join)) {
            put_member(join, token, place->over ? place->end : it->member_start,
                       place->over && place->some ? "," : "", place->over ? "" : ",");
            place->some = true;
        }
        join->at++;
    }
    *order_out = 1;
    return TALLY_OK;
}

static tally_status join_object(struct join *join, struct tl_json_iter *it, size_t start,
                                const struct tl_str *parent)
{
    struct place place = { .parent = parent, .end = start + 1 };
    while (!place.over && wanted_in(join, parent) != NULL) {
        int order = 1;
        tally_status status = tl_json_next(it, join->rest.text, join->rest.len);
        place.over = status == TALLY_ENOTFOUND;
        if (status != TALLY_OK && !place.over) {
            return status;
        }
        TL_TRY(join_before(join, it, &place, &order));
        if (order == 0) {
            /* What has this name is the parent of the next member, or that member itself. */
            const struct tl_pointer *pointer = wanted_in(join, parent);
            if (parent != NULL || pointer == NULL || pointer->token_count != 2 ||
                join->rest.text[it->value_start] != '{') {
                return TALLY_ECORRUPT;
            }
            struct tl_json_iter inner = { .at = it->value_start };
            TL_TRY(join_object(join, &inner, it->value_start, &it->raw_name));
        }
        place.some = place.some || !place.over;
        place.end = place.over ? place.end : it->value_end;
    }
    return TALLY_OK;
}

static tally_status join_event(struct tl_buf *event, const struct tl_opening *opening,
                               struct tl_erasable_set *set)
{
    set->count = 0;
    for (uint32_t i = 0; i < opening->count; i++) {
        if (tl_erasable_add(set, opening->members[i].pointer, NULL) != TALLY_OK) {
            return TALLY_ECORRUPT;
        }
    }
    struct join join = { .out = event, .rest = opening->rest, .opening = opening, .set = set };
    struct tl_json_iter it = { .at = 0 };
    tl_buf_clear(event);
    if (opening->rest.len < 2 || opening->rest.text[0] != '{') {
        return TALLY_ECORRUPT;
    }
    TL_TRY(join_object(&join, &it, 0, NULL));
    copy_rest(&join, opening->rest.len);
    return join.at == set->count ? tl_buf_status(event) : TALLY_ECORRUPT;
}

tally_status tl_opening_join(struct tl_buf *event, struct tl_buf *opened,
                             const struct tl_opening *opening, struct tl_erasable_set *set)
{
    struct tl_opened columns = { .salt0 = opening->salt0, .count = opening->count };
    for (uint32_t i = 0; i < opening->count; i++) {
        const struct tl_opening_member *member = &opening->members[i];
        columns.parts[i] = (struct tl_opened_part){ .erased = member->gone,
                                                    .pointer = member->pointer,
                                                    .part = member->part };
    }
    tl_buf_clear(opened);
    tl_opened_encode(opened, &columns);
    TL_TRY(tl_buf_status(opened));
    return join_event(event, opening, set);
}

void tl_opening_commit(uint8_t commit_out[TL_COMMIT_LEN], const struct tl_opening *opening)
{
    struct tl_commit_part parts[TL_ERASABLE_MAX];
    for (uint32_t i = 0; i < opening->count; i++) {
        const struct tl_opening_member *member = &opening->members[i];
        parts[i].pointer = member->pointer;
        if (member->gone) {
            memcpy(parts[i].digest, member->part, sizeof(parts[i].digest));
        } else {
            tl_member_digest(parts[i].digest, member->part, member->pointer, member->value);
        }
    }
    tl_commit_parts(commit_out, opening->salt0, opening->rest, parts, opening->count);
}

static struct tl_str pointer_of(const struct tl_pointer *pointer)
{
    return (struct tl_str){ .text = pointer->text, .len = pointer->len };
}

static void fill_member(struct tl_opening_member *out, const struct tl_member *member,
                        const char *event, const uint8_t *salt)
{
    *out = (struct tl_opening_member){
        .pointer = pointer_of(member->pointer),
        .value = { .text = event + member->value_start,
                   .len = member->value_end - member->value_start },
    };
    memcpy(out->part, salt, TL_SALT_LEN);
}

static void fill_whole(struct tl_opening *out, const struct tl_opening_source *source,
                       const struct tl_split *split)
{
    uint8_t salt[TL_SALT_LEN];
    tl_salt(out->salt0, source->seed, TL_STR(""));
    out->count = split->count;
    for (uint32_t i = 0; i < split->count; i++) {
        tl_salt(salt, source->seed, pointer_of(split->members[i].pointer));
        fill_member(&out->members[i], &split->members[i], source->event.text, salt);
    }
}

/* Both lists ascend. */
static tally_status fill_opened(struct tl_opening *out, const struct tl_opening_source *source,
                                const struct tl_split *split)
{
    struct tl_opened opened;
    uint32_t at = 0;
    TL_TRY(tl_opened_decode(&opened, source->opened, source->opened_len));
    memcpy(out->salt0, opened.salt0, TL_SALT_LEN);
    out->count = opened.count;
    for (uint32_t i = 0; i < opened.count; i++) {
        const struct tl_opened_part *part = &opened.parts[i];
        if (part->erased) {
            out->members[i] = (struct tl_opening_member){ .pointer = part->pointer, .gone = true };
            memcpy(out->members[i].part, part->part, 32);
        } else if (at < split->count &&
                   tl_str_equal(pointer_of(split->members[at].pointer), part->pointer)) {
            fill_member(&out->members[i], &split->members[at++], source->event.text, part->part);
        } else {
            return TALLY_ECORRUPT;
        }
    }
    return at == split->count ? TALLY_OK : TALLY_ECORRUPT;
}

/* Leaves digests in place of the members at `pointer`. False if there is none. */
static bool withhold_member(struct tl_opening *opening, struct tl_str pointer)
{
    for (uint32_t i = 0; i < opening->count; i++) {
        struct tl_opening_member *member = &opening->members[i];
        if (!tl_str_equal(member->pointer, pointer)) {
            continue;
        }
        if (!member->gone) {
            uint8_t salt[TL_SALT_LEN];
            memcpy(salt, member->part, sizeof(salt));
            tl_member_digest(member->part, salt, pointer, member->value);
            member->value = (struct tl_str){ 0 };
            member->gone = true;
            member->withheld = true;
        }
        return true;
    }
    return false;
}

/* What cannot be left out on its own is not handed over either: that is for the caller to decide. */
static tally_status withhold_members(struct tl_opening *opening, struct tl_str event,
                                     const struct tl_erasable_set *withhold, struct tl_split *split,
                                     struct tally_error *err)
{
    TL_TRY(tl_split_event(split, withhold, event.text, event.len));
    for (uint32_t i = 0; i < split->count; i++) {
        struct tl_str pointer = pointer_of(split->members[i].pointer);
        if (!withhold_member(opening, pointer)) {
            return tl_fail(err, TALLY_EINVAL,
                           "'%.*s' of record %llu cannot be withheld: the policy in force did not "
                           "make it erasable. Leave the record out",
                           (int)pointer.len, pointer.text, (unsigned long long)opening->seq);
        }
    }
    return TALLY_OK;
}

tally_status tl_opening_fill(struct tl_opening *out, const struct tl_opening_source *source,
                             const struct tl_erasable_set *withhold, struct tl_split *split,
                             struct tl_buf *rest, struct tally_error *err)
{
    struct tl_str event = source->event;
    TL_TRY(tl_split_event(split, source->set, event.text, event.len));
    tl_buf_clear(rest);
    tl_split_rest(rest, split, event.text, event.len);
    TL_TRY(tl_buf_status(rest));
    out->state = TL_OPENING_CONTENT;
    out->rest = tl_buf_str(rest);
    if (source->seed != NULL) {
        fill_whole(out, source, split);
    } else {
        TL_TRY(fill_opened(out, source, split));
    }
    return withhold == NULL ? TALLY_OK : withhold_members(out, event, withhold, split, err);
}
