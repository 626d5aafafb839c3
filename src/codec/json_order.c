/* The canonical order of names, and objects put into it. */
#include "codec/json.h"

#define FEW_MEMBERS 32

/*
 * UTF-8 sorts by bytes as the characters do, and UTF-16 does as well, but for U+E000 to U+FFFF,
 * which begin with EE or EF and come after the surrogates of what begins with F0 and above.
 */
static unsigned rank(char c)
{
    unsigned byte = (unsigned char)c;
    return byte == 0xEE || byte == 0xEF ? byte + 0x10 : byte;
}

int tl_json_compare_names(struct tl_str a, struct tl_str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    for (size_t i = 0; i < len; i++) {
        if (a.text[i] != b.text[i]) {
            return rank(a.text[i]) < rank(b.text[i]) ? -1 : 1;
        }
    }
    return a.len < b.len ? -1 : a.len > b.len ? 1 : 0;
}

/* Joins two sorted lists; of equal names the one of `a` comes first. */
static struct tl_json *merge(struct tl_json *a, struct tl_json *b)
{
    struct tl_json *first = NULL;
    struct tl_json **tail = &first;
    while (a != NULL && b != NULL) {
        struct tl_json **from = tl_json_compare_names(a->key, b->key) <= 0 ? &a : &b;
        struct tl_json *member = *from;
        *from = member->next;
        *tail = member;
        tail = &member->next;
    }
    *tail = a != NULL ? a : b;
    return first;
}

/* Sorts many members: the `count` from `first` on; sets *rest_out to the one after them. */
static struct tl_json *sort(struct tl_json *first, uint32_t count, struct tl_json **rest_out)
{
    if (count == 1) {
        *rest_out = first->next;
        first->next = NULL;
        return first;
    }
    struct tl_json *middle = NULL;
    struct tl_json *a = sort(first, count / 2, &middle);
    struct tl_json *b = sort(middle, count - count / 2, rest_out);
    return merge(a, b);
}

/* A member with the first eight bytes of its name, as a number that sorts as they do. */
struct entry {
    uint64_t prefix;
    struct tl_json *member;
};

static uint64_t prefix_of(struct tl_str name)
{
    uint64_t prefix = 0;
    size_t len = name.len < sizeof(prefix) ? name.len : sizeof(prefix);
    for (size_t i = 0; i < len; i++) {
        prefix |= (uint64_t)rank(name.text[i]) << 8 * (sizeof(prefix) - 1 - i);
    }
    return prefix;
}

static bool comes_before(const struct entry *a, const struct entry *b)
{
    if (a->prefix != b->prefix) {
        return a->prefix < b->prefix;
    }
    return tl_json_compare_names(a->member->key, b->member->key) < 0;
}

/* Sorts up to FEW_MEMBERS by insertion, which is the fastest for so few. */
static struct tl_json *sort_few(struct tl_json *first)
{
    struct entry entries[FEW_MEMBERS];
    size_t count = 0;
    for (struct tl_json *member = first; member != NULL; member = member->next) {
        struct entry entry = { .prefix = prefix_of(member->key), .member = member };
        size_t i = count++;
        for (; i > 0 && comes_before(&entry, &entries[i - 1]); i--) {
            entries[i] = entries[i - 1];
        }
        entries[i] = entry;
    }
    struct tl_json *next = NULL;
    for (size_t i = count; i > 0; i--) {
        entries[i - 1].member->next = next;
        next = entries[i - 1].member;
    }
    return next;
}

const struct tl_json *tl_json_sort(struct tl_json *object)
{
    tl_assert(object->type == TL_JSON_OBJECT);
    if (object->count < 2) {
        return NULL;
    }
    struct tl_json *rest = NULL;
    object->first = object->count <= FEW_MEMBERS ? sort_few(object->first)
                                                 : sort(object->first, object->count, &rest);
    tl_assert(rest == NULL);
    for (const struct tl_json *member = object->first; member->next != NULL;
         member = member->next) {
        if (tl_str_equal(member->key, member->next->key)) {
            return member->next;
        }
    }
    return NULL;
}
