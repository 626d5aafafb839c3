/*
 * Splits any canonical object by a set that its own names make up. What is left is canonical and
 * has none of the members; a naive reading finds the same members; and the commitment is that of
 * the parts.
 */
#include <string.h>

#include "codec/json.h"
#include "evidence/content.h"
#include "fuzz.h"

static struct tl_erasable_set set;
static struct tl_commit_part parts[TL_ERASABLE_MAX];

/* Appends a name as a token of a pointer. */
static void add_token(struct tl_buf *out, struct tl_str name)
{
    tl_buf_add_char(out, '/');
    for (size_t i = 0; i < name.len; i++) {
        char c = name.text[i];
        tl_buf_add(out, c == '~' ? "~0" : c == '/' ? "~1" : &c, c == '~' || c == '/' ? 2 : 1);
    }
}

/* Finds what a pointer leads to, without the code under test. */
static const struct tl_json *resolve(const struct tl_json *root, struct tl_str pointer)
{
    struct tl_buf want;
    const struct tl_json *found = NULL;
    tl_buf_init(&want, 10000);
    for (const struct tl_json *a = root->first; a != NULL && found == NULL; a = a->next) {
        tl_buf_clear(&want);
        add_token(&want, a->key);
        found = tl_str_equal(tl_buf_str(&want), pointer) ? a : NULL;
        size_t len = want.len;
        for (const struct tl_json *b = a->type == TL_JSON_OBJECT ? a->first : NULL;
             b != NULL && found == NULL; b = b->next) {
            want.len = len;
            add_token(&want, b->key);
            found = tl_str_equal(tl_buf_str(&want), pointer) ? b : NULL;
        }
    }
    tl_buf_release(&want);
    return found;
}

/* Puts a pointer where it belongs in a set, if it may be there. */
static void add_sorted(struct tl_str pointer)
{
    static struct tl_erasable_set old;
    memcpy(&old, &set, sizeof(set));
    bool done = false;
    set.count = 0;
    for (uint32_t i = 0; i < old.count; i++) {
        struct tl_str next = tl_str_of(old.pointers[i].text);
        if (!done && tl_str_compare(pointer, next) < 0) {
            (void)tl_erasable_add(&set, pointer, NULL); /* refused is fine */
            done = true;
        }
        (void)tl_erasable_add(&set, next, NULL); /* may be within what was added */
    }
    if (!done) {
        (void)tl_erasable_add(&set, pointer, NULL);
    }
}

/* About every second member, and members of some others. */
static void make_set(const struct tl_json *root)
{
    struct tl_buf pointer;
    unsigned turn = 0;
    tl_buf_init(&pointer, (size_t)1 << 20);
    set.count = 0;
    add_sorted(TL_STR("/not there"));
    for (const struct tl_json *a = root->first; a != NULL && set.count < 16; a = a->next, turn++) {
        tl_buf_clear(&pointer);
        add_token(&pointer, a->key);
        size_t len = pointer.len;
        if ((turn + a->offset) % 2 == 0 || a->type != TL_JSON_OBJECT) {
            if (turn % 3 != 2) {
                add_sorted(tl_buf_str(&pointer));
            }
            continue;
        }
        for (const struct tl_json *b = a->first; b != NULL && set.count < 16; b = b->next) {
            pointer.len = len;
            add_token(&pointer, b->key);
            if (b->end % 3 != 0) {
                add_sorted(tl_buf_str(&pointer));
            }
        }
    }
    tl_buf_release(&pointer);
}

/* Checks the members against a naive reading and fills `parts`. */
static void check_members(const struct tl_split *split, const struct tl_json *root,
                          const char *event, const uint8_t seed[TL_SEED_LEN])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < set.count; i++) {
        struct tl_str pointer = tl_str_of(set.pointers[i].text);
        const struct tl_json *value = resolve(root, pointer);
        if (value == NULL) {
            continue;
        }
        tl_assert(count < split->count);
        const struct tl_member *member = &split->members[count];
        tl_assert(member->pointer == &set.pointers[i]);
        tl_assert(member->value_start == value->offset && member->value_end == value->end);
        uint8_t salt[TL_SALT_LEN];
        tl_salt(salt, seed, pointer);
        struct tl_str text = { .text = event + value->offset, .len = value->end - value->offset };
        tl_member_digest(parts[count].digest, salt, pointer, text);
        parts[count++].pointer = pointer;
    }
    tl_assert(count == split->count);
}

/* The rest is canonical, and as much shorter as what was cut is long. */
static void check_rest(struct tl_arena *arena, const struct tl_split *split, struct tl_str rest)
{
    const struct tl_json *root = NULL;
    tl_assert(tl_json_check_canonical(rest.text, rest.len, NULL) == TALLY_OK);
    tl_assert(tl_json_read(arena, rest.text, rest.len, &tl_json_limits_format, &root, NULL) ==
              TALLY_OK);
    for (uint32_t i = 0; i < split->count; i++) {
        tl_assert(resolve(root, tl_str_of(split->members[i].pointer->text)) == NULL);
    }
}

static void check_split(struct tl_arena *arena, const struct tl_json *root, const char *event,
                        size_t len)
{
    static struct tl_split split;
    struct tl_json_index index;
    const uint8_t seed[TL_SEED_LEN] = { 1, 2, 3 };
    uint8_t commit[TL_COMMIT_LEN];
    uint8_t naive[TL_COMMIT_LEN];
    uint8_t salt0[TL_SALT_LEN];
    struct tl_buf rest;
    struct tl_buf scratch;
    tl_buf_init(&rest, (size_t)4 << 20);
    tl_buf_init(&scratch, (size_t)4 << 20);
    make_set(root);
    tl_assert(tl_split_event(&split, &set, event, len) == TALLY_OK);
    check_members(&split, root, event, seed);
    tl_assert(tl_json_check_members(event, len, &index, NULL) == TALLY_OK);
    tl_assert(tl_split_indexed(&split, &set, event, len, &index) == TALLY_OK);
    check_members(&split, root, event, seed);
    tl_split_rest(&rest, &split, event, len);
    check_rest(arena, &split, tl_buf_str(&rest));
    tl_assert(tl_commit_event(commit, &split, event, len, seed, &scratch) == TALLY_OK);
    tl_salt(salt0, seed, TL_STR(""));
    tl_commit_parts(naive, salt0, tl_buf_str(&rest), parts, split.count);
    tl_assert(memcmp(commit, naive, sizeof(commit)) == 0);
    tl_buf_release(&rest);
    tl_buf_release(&scratch);
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    const char *event = (const char *)data;
    static struct tl_split split;
    struct tl_arena arena;
    const struct tl_json *root = NULL;
    tl_arena_init(&arena, (size_t)256 << 20);
    bool canonical =
        tl_json_check_canonical(event, len, NULL) == TALLY_OK &&
        tl_json_read(&arena, event, len, &tl_json_limits_format, &root, NULL) == TALLY_OK &&
        root->type == TL_JSON_OBJECT;
    if (canonical) {
        check_split(&arena, root, event, len);
    } else if (set.count > 0) { /* stays within its bounds, whatever this is */
        (void)tl_split_event(&split, &set, event, len);
    }
    tl_arena_release(&arena);
    return canonical;
}
