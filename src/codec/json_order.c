/* The canonical order of names, and objects put into it. */
#include "codec/json.h"

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

/* Sorts the `count` members from `first` on; sets *rest_out to the one after them. */
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

const struct tl_json *tl_json_sort(struct tl_json *object)
{
    tl_assert(object->type == TL_JSON_OBJECT);
    if (object->count < 2) {
        return NULL;
    }
    struct tl_json *rest = NULL;
    object->first = sort(object->first, object->count, &rest);
    tl_assert(rest == NULL);
    for (const struct tl_json *member = object->first; member->next != NULL;
         member = member->next) {
        if (tl_str_equal(member->key, member->next->key)) {
            return member->next;
        }
    }
    return NULL;
}
