#include "evidence/content.h"

#include "base/bytes.h"
#include "crypto/crypto.h"

/* The first byte of what is hashed says what it is. */
enum {
    HASH_SALT = 2,
    HASH_MEMBER = 3,
    HASH_CONTENT = 4,
    HASH_CONTROL = 5,
};

/* A walk through an event, member after member, and through the set beside it. */
struct walk {
    struct tl_split *split;
    const struct tl_erasable_set *set;
    uint32_t at; /* in set->walk */
    const char *event;
    size_t len;
};

/*
 * Takes the next byte of a name in canonical JSON, with escapes undone. None of them stands for
 * more than one byte.
 */
static unsigned take_byte(struct tl_str *name)
{
    static const char from[] = "btnfr";
    static const uint8_t to[] = "\b\t\n\f\r";
    unsigned c = (unsigned char)name->text[0];
    size_t len = 1;
    if (c == '\\' && name->len > 1) {
        c = (unsigned char)name->text[1];
        len = 2;
        const char *found = memchr(from, (int)c, sizeof(from) - 1);
        if (found != NULL) {
            c = to[found - from];
        } else if (c == 'u' && name->len >= 6) {
            uint8_t byte = 0;
            /* What is no escape does not come from canonical text, and compares as anything. */
            (void)tl_hex_decode(&byte, 1, name->text + 4, 2);
            c = byte;
            len = 6;
        }
    }
    name->text += len;
    name->len -= len;
    return c;
}

/* U+E000 ... U+FFFF come after the surrogate pairs of what is above U+FFFF. */
static int compare_bytes(unsigned x, unsigned y)
{
    bool x_last = (x == 0xee || x == 0xef) && y >= 0xf0;
    bool y_last = (y == 0xee || y == 0xef) && x >= 0xf0;
    return x_last || (x > y && !y_last) ? 1 : -1;
}

static int compare_escaped(struct tl_str a, struct tl_str b)
{
    while (a.len > 0 && b.len > 0) {
        unsigned x = take_byte(&a);
        unsigned y = take_byte(&b);
        if (x != y) {
            return compare_bytes(x, y);
        }
    }
    return a.len > 0 ? 1 : b.len > 0 ? -1 : 0;
}

int tl_raw_name_compare(struct tl_str a, struct tl_str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    for (size_t i = 0; i < len; i++) {
        unsigned x = (unsigned char)a.text[i];
        unsigned y = (unsigned char)b.text[i];
        if (x == '\\' || y == '\\') {
            return compare_escaped((struct tl_str){ .text = a.text + i, .len = a.len - i },
                                   (struct tl_str){ .text = b.text + i, .len = b.len - i });
        }
        if (x != y) {
            return compare_bytes(x, y);
        }
    }
    return a.len > len ? 1 : b.len > len ? -1 : 0;
}

static const struct tl_pointer *wanted(const struct walk *walk)
{
    return walk->at < walk->set->count ? &walk->set->pointers[walk->set->walk[walk->at]] : NULL;
}

static struct tl_str token_of(const struct tl_pointer *pointer, size_t token)
{
    return (struct tl_str){ .text = pointer->tokens[token].raw, .len = pointer->tokens[token].len };
}

/* Files the member that the iterator is at. Those of a split are in order of pointer. */
static void add_member(struct walk *walk, const struct tl_json_iter *it, bool is_after_kept)
{
    struct tl_split *split = walk->split;
    const struct tl_pointer *pointer = wanted(walk);
    uint32_t slot = split->count;
    while (slot > 0 && split->members[slot - 1].pointer > pointer) {
        split->members[slot] = split->members[slot - 1];
        slot--;
    }
    for (uint32_t i = 0; slot < split->count && i < split->count; i++) {
        split->by_position[i] = (uint8_t)(split->by_position[i] + (split->by_position[i] >= slot));
    }
    struct tl_member *member = &split->members[slot];
    *member = (struct tl_member){
        .pointer = pointer,
        .cut_start = it->member_start,
        .cut_end = it->value_end,
        .value_start = it->value_start,
        .value_end = it->value_end,
    };
    /* A comma goes with it: the one before, if that still parts it from a member that stays. */
    if (is_after_kept) {
        member->cut_start--;
    } else if (it->value_end < walk->len && walk->event[it->value_end] == ',') {
        member->cut_end++;
    }
    split->by_position[split->count++] = (uint8_t)slot;
}

/* Moves to the next member of an object. The names of canonical text ascend; who has made an index
 * has seen to that. */
static tally_status next_member(struct tl_json_iter *it, const struct walk *walk)
{
    struct tl_str last = it->raw_name;
    bool check_order = it->started && it->index == NULL;
    tally_status status = tl_json_next(it, walk->event, walk->len);
    if (status == TALLY_OK && check_order && tl_raw_name_compare(last, it->raw_name) >= 0) {
        return TALLY_ECORRUPT;
    }
    return status;
}

/* Passes by the pointers that are not there, and returns the first that begins with `name`. */
static const struct tl_pointer *find_wanted(struct walk *walk, struct tl_str name)
{
    const struct tl_pointer *pointer;
    while ((pointer = wanted(walk)) != NULL) {
        int order = tl_raw_name_compare(token_of(pointer, 0), name);
        if (order >= 0) {
            return order == 0 ? pointer : NULL;
        }
        walk->at++;
    }
    return NULL;
}

/* Passes by the wanted pointer, and returns the next if that leads into the same object. */
static const struct tl_pointer *pass(struct walk *walk, struct tl_str name)
{
    walk->at++;
    const struct tl_pointer *next = wanted(walk);
    return next != NULL && tl_str_equal(token_of(next, 0), name) ? next : NULL;
}

/* Walks the object in a member, into which the wanted pointer and perhaps more after it lead. */
static tally_status split_object(struct walk *walk, const struct tl_json_iter *parent)
{
    struct tl_str name = parent->raw_name;
    struct tl_json_iter it = tl_json_walk_value(parent);
    bool has_kept = false;
    tally_status status;
    const struct tl_pointer *pointer = wanted(walk);
    while ((status = next_member(&it, walk)) == TALLY_OK) {
        int order = 1;
        while (pointer != NULL &&
               (order = tl_raw_name_compare(token_of(pointer, 1), it.raw_name)) < 0) {
            pointer = pass(walk, name);
        }
        if (pointer == NULL) {
            return TALLY_OK;
        }
        if (order == 0) {
            add_member(walk, &it, has_kept);
            pointer = pass(walk, name);
        }
        has_kept = has_kept || order != 0;
    }
    return status == TALLY_ENOTFOUND ? TALLY_OK : status;
}

/* Deals with one member of the event itself. */
static tally_status split_member(struct walk *walk, const struct tl_json_iter *it, bool *has_kept)
{
    const struct tl_pointer *pointer = find_wanted(walk, it->raw_name);
    if (pointer != NULL && pointer->token_count == 1) {
        add_member(walk, it, *has_kept);
        walk->at++;
        return TALLY_OK;
    }
    *has_kept = true; /* a parent stays, even without members */
    if (pointer != NULL && walk->event[it->value_start] == '{') {
        return split_object(walk, it);
    }
    return TALLY_OK;
}

tally_status tl_split_event(struct tl_split *split, const struct tl_erasable_set *set,
                            const char *event, size_t len)
{
    return tl_split_indexed(split, set, event, len, NULL);
}

tally_status tl_split_indexed(struct tl_split *split, const struct tl_erasable_set *set,
                              const char *event, size_t len, const struct tl_json_index *index)
{
    struct walk walk = { .split = split, .set = set, .event = event, .len = len };
    struct tl_json_iter it = tl_json_walk(index);
    bool has_kept = false;
    split->count = 0;
    tally_status status = next_member(&it, &walk);
    while (status == TALLY_OK) {
        TL_TRY(split_member(&walk, &it, &has_kept));
        if (walk.at == set->count) { /* nothing more to find */
            return TALLY_OK;
        }
        status = next_member(&it, &walk);
    }
    return status == TALLY_ENOTFOUND ? TALLY_OK : status;
}

/* How long R is. */
static size_t rest_len(const struct tl_split *split, size_t len)
{
    for (uint32_t i = 0; i < split->count; i++) {
        len -= split->members[i].cut_end - split->members[i].cut_start;
    }
    return len;
}

/* Writes R to `to` and returns the byte after it. */
static uint8_t *write_rest(uint8_t *to, const struct tl_split *split, const char *event, size_t len)
{
    size_t at = 0;
    for (uint32_t i = 0; i < split->count; i++) {
        const struct tl_member *member = &split->members[split->by_position[i]];
        memcpy(to, event + at, member->cut_start - at);
        to += member->cut_start - at;
        at = member->cut_end;
    }
    memcpy(to, event + at, len - at);
    return to + (len - at);
}

void tl_split_rest(struct tl_buf *out, const struct tl_split *split, const char *event, size_t len)
{
    size_t rest = rest_len(split, len);
    uint8_t *to = (uint8_t *)tl_buf_reserve(out, rest);
    if (to != NULL) {
        tl_assert(write_rest(to, split, event, len) == to + rest);
        tl_buf_commit(out, rest);
    }
}

/* Writes a length and a text, as hashes contain pointers; returns the byte after it. */
static uint8_t *put_pointer(uint8_t *to, struct tl_str pointer)
{
    tl_put_be16(to, (uint16_t)pointer.len);
    if (pointer.len > 0) {
        memcpy(to + 2, pointer.text, pointer.len);
    }
    return to + 2 + pointer.len;
}

void tl_salt(uint8_t salt_out[TL_SALT_LEN], const uint8_t seed[TL_SEED_LEN], struct tl_str pointer)
{
    uint8_t preimage[1 + TL_SEED_LEN + 2 + TL_POINTER_LEN_MAX];
    tl_assert(pointer.len <= TL_POINTER_LEN_MAX);
    preimage[0] = HASH_SALT;
    memcpy(preimage + 1, seed, TL_SEED_LEN);
    const uint8_t *end = put_pointer(preimage + 1 + TL_SEED_LEN, pointer);
    uint8_t hash[TL_SHA256_LEN];
    tl_sha256(hash, preimage, (size_t)(end - preimage));
    memcpy(salt_out, hash, TL_SALT_LEN);
}

void tl_member_digest(uint8_t out[32], const uint8_t salt[TL_SALT_LEN], struct tl_str pointer,
                      struct tl_str value)
{
    uint8_t preimage[1 + TL_SALT_LEN + 2 + TL_POINTER_LEN_MAX + 256];
    tl_assert(pointer.len <= TL_POINTER_LEN_MAX);
    preimage[0] = HASH_MEMBER;
    memcpy(preimage + 1, salt, TL_SALT_LEN);
    uint8_t *end = put_pointer(preimage + 1 + TL_SALT_LEN, pointer);
    if (value.len <= (size_t)(preimage + sizeof(preimage) - end)) { /* most are short: one call */
        memcpy(end, value.text, value.len);
        tl_sha256(out, preimage, (size_t)(end - preimage) + value.len);
        return;
    }
    struct tl_sha256 hash;
    tl_sha256_init(&hash);
    tl_sha256_add(&hash, preimage, (size_t)(end - preimage));
    tl_sha256_add(&hash, value.text, value.len);
    tl_sha256_end(&hash, out);
}

static struct tl_str pointer_text(const struct tl_pointer *pointer)
{
    return (struct tl_str){ .text = pointer->text, .len = pointer->len };
}

/* The digest of a member of an event, whose salt comes from the seed. */
static void digest_member(uint8_t out[32], const struct tl_member *member, const char *event,
                          const uint8_t seed[TL_SEED_LEN])
{
    struct tl_str pointer = pointer_text(member->pointer);
    struct tl_str value = { .text = event + member->value_start,
                            .len = member->value_end - member->value_start };
    uint8_t salt[TL_SALT_LEN];
    tl_salt(salt, seed, pointer);
    tl_member_digest(out, salt, pointer, value);
}

tally_status tl_commit_event(uint8_t commit_out[TL_COMMIT_LEN], const struct tl_split *split,
                             const char *event, size_t len, const uint8_t seed[TL_SEED_LEN],
                             struct tl_buf *scratch)
{
    size_t rest = rest_len(split, len);
    tl_assert(rest <= UINT32_MAX);
    size_t room = 1 + TL_SALT_LEN + 4 + rest + 2;
    for (uint32_t i = 0; i < split->count; i++) {
        room += 2u + split->members[i].pointer->len + TL_SHA256_LEN;
    }
    tl_buf_clear(scratch);
    uint8_t *preimage = (uint8_t *)tl_buf_reserve(scratch, room);
    if (preimage == NULL) {
        return tl_buf_status(scratch);
    }
    uint8_t *to = preimage;
    *to++ = HASH_CONTENT;
    tl_salt(to, seed, TL_STR(""));
    to += TL_SALT_LEN;
    tl_put_be32(to, (uint32_t)rest);
    to = write_rest(to + 4, split, event, len);
    tl_put_be16(to, (uint16_t)split->count);
    to += 2;
    for (uint32_t i = 0; i < split->count; i++) {
        to = put_pointer(to, pointer_text(split->members[i].pointer));
        digest_member(to, &split->members[i], event, seed);
        to += TL_SHA256_LEN;
    }
    tl_assert(to == preimage + room);
    tl_sha256(commit_out, preimage, room);
    return TALLY_OK;
}

void tl_commit_control(uint8_t commit_out[TL_COMMIT_LEN], const char *payload, size_t len)
{
    const uint8_t prefix = HASH_CONTROL;
    struct tl_sha256 hash;
    tl_sha256_init(&hash);
    tl_sha256_add(&hash, &prefix, 1);
    tl_sha256_add(&hash, payload, len);
    tl_sha256_end(&hash, commit_out);
}

void tl_commit_parts(uint8_t commit_out[TL_COMMIT_LEN], const uint8_t salt0[TL_SALT_LEN],
                     struct tl_str rest, const struct tl_commit_part *parts, uint32_t count)
{
    tl_assert(rest.len <= UINT32_MAX && count <= UINT16_MAX);
    uint8_t head[1 + TL_SALT_LEN + 4] = { HASH_CONTENT };
    memcpy(head + 1, salt0, TL_SALT_LEN);
    tl_put_be32(head + 1 + TL_SALT_LEN, (uint32_t)rest.len);
    uint8_t n[2];
    tl_put_be16(n, (uint16_t)count);

    struct tl_sha256 hash;
    tl_sha256_init(&hash);
    tl_sha256_add(&hash, head, sizeof(head));
    tl_sha256_add(&hash, rest.text, rest.len);
    tl_sha256_add(&hash, n, sizeof(n));
    for (uint32_t i = 0; i < count; i++) {
        uint8_t pointer_len[2];
        tl_assert(parts[i].pointer.len <= UINT16_MAX);
        tl_put_be16(pointer_len, (uint16_t)parts[i].pointer.len);
        tl_sha256_add(&hash, pointer_len, sizeof(pointer_len));
        tl_sha256_add(&hash, parts[i].pointer.text, parts[i].pointer.len);
        tl_sha256_add(&hash, parts[i].digest, sizeof(parts[i].digest));
    }
    tl_sha256_end(&hash, commit_out);
}

/* opened = 01, salt0, u16 count, then per member: tag, u16 length, pointer, salt or digest. */
#define OPENED_VERSION 0x01
#define OPENED_HEAD    (1u + TL_SALT_LEN + 2u)
#define PART_HEAD      3u
#define TAG_ERASED     0x00
#define TAG_OPEN       0x01

static size_t part_len(bool erased)
{
    return erased ? TL_SHA256_LEN : TL_SALT_LEN;
}

/* Takes one part off the front of `bytes`. False if there is none. */
static bool decode_part(struct tl_opened_part *out, const uint8_t **bytes, size_t *len)
{
    const uint8_t *at = *bytes;
    if (*len < PART_HEAD || at[0] > TAG_OPEN) {
        return false;
    }
    out->erased = at[0] == TAG_ERASED;
    out->pointer.text = (const char *)at + PART_HEAD;
    out->pointer.len = tl_get_be16(at + 1);
    size_t whole = PART_HEAD + out->pointer.len + part_len(out->erased);
    if (out->pointer.len == 0 || out->pointer.len > TL_POINTER_LEN_MAX || *len < whole ||
        out->pointer.text[0] != '/') {
        return false;
    }
    out->part = at + PART_HEAD + out->pointer.len;
    *bytes += whole;
    *len -= whole;
    return true;
}

tally_status tl_opened_decode(struct tl_opened *out, const uint8_t *bytes, size_t len)
{
    if (len < OPENED_HEAD || bytes[0] != OPENED_VERSION) {
        return TALLY_ECORRUPT;
    }
    out->salt0 = bytes + 1;
    out->count = tl_get_be16(bytes + 1 + TL_SALT_LEN);
    if (out->count > TL_ERASABLE_MAX) {
        return TALLY_ECORRUPT;
    }
    bytes += OPENED_HEAD;
    len -= OPENED_HEAD;
    for (uint32_t i = 0; i < out->count; i++) {
        struct tl_opened_part *part = &out->parts[i];
        if (!decode_part(part, &bytes, &len) ||
            (i > 0 && tl_str_compare(part[-1].pointer, part->pointer) >= 0)) {
            return TALLY_ECORRUPT;
        }
    }
    return len == 0 ? TALLY_OK : TALLY_ECORRUPT;
}

void tl_opened_encode(struct tl_buf *out, const struct tl_opened *opened)
{
    tl_assert(opened->count <= TL_ERASABLE_MAX);
    uint8_t n[2];
    tl_put_be16(n, (uint16_t)opened->count);
    tl_buf_add_char(out, OPENED_VERSION);
    tl_buf_add(out, opened->salt0, TL_SALT_LEN);
    tl_buf_add(out, n, sizeof(n));
    for (uint32_t i = 0; i < opened->count; i++) {
        const struct tl_opened_part *part = &opened->parts[i];
        uint8_t head[PART_HEAD] = { part->erased ? TAG_ERASED : TAG_OPEN };
        tl_assert(part->pointer.len <= TL_POINTER_LEN_MAX);
        tl_put_be16(head + 1, (uint16_t)part->pointer.len);
        tl_buf_add(out, head, sizeof(head));
        tl_buf_add_str(out, part->pointer);
        tl_buf_add(out, part->part, part_len(part->erased));
    }
}
