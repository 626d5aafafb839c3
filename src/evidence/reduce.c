#include "evidence/reduce.h"

#include "base/limits.h"

#define OPENED_MAX ((size_t)64 << 10) /* 64 members with pointers of 255 bytes are 19 KiB */

void tl_reducer_init(struct tl_reducer *reducer)
{
    *reducer = (struct tl_reducer){ .members = 0 };
    tl_buf_init(&reducer->event, TL_INPUT_BYTES_MAX);
    tl_buf_init(&reducer->rest, TL_INPUT_BYTES_MAX);
    tl_buf_init(&reducer->opened, OPENED_MAX);
}

void tl_reducer_release(struct tl_reducer *reducer)
{
    tl_buf_release(&reducer->event);
    tl_buf_release(&reducer->rest);
    tl_buf_release(&reducer->opened);
    explicit_bzero(reducer, sizeof(*reducer)); /* salts of members that are there */
}

static struct tl_str text_of(const struct tl_pointer *pointer)
{
    return (struct tl_str){ .text = pointer->text, .len = pointer->len };
}

bool tl_erasable_has(const struct tl_erasable_set *set, struct tl_str pointer)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (tl_str_equal(text_of(&set->pointers[i]), pointer)) {
            return true;
        }
    }
    return false;
}

static const struct tl_member *find_member(const struct tl_split *split, struct tl_str pointer)
{
    for (uint32_t i = 0; i < split->count; i++) {
        if (tl_str_equal(text_of(split->members[i].pointer), pointer)) {
            return &split->members[i];
        }
    }
    return NULL;
}

static struct tl_str value_of(const struct tl_member *member, const char *event)
{
    return (struct tl_str){ .text = event + member->value_start,
                            .len = member->value_end - member->value_start };
}

/* The parts of a whole record: all members, each with the salt that the seed gives. */
static void open_whole(struct tl_reducer *reducer, const struct tally_record *record)
{
    struct tl_opened *parts = &reducer->parts;
    tl_salt(reducer->salt0, record->seed, TL_STR(""));
    parts->salt0 = reducer->salt0;
    parts->count = reducer->all.count;
    for (uint32_t i = 0; i < parts->count; i++) {
        struct tl_opened_part *part = &parts->parts[i];
        *part = (struct tl_opened_part){ .pointer = text_of(reducer->all.members[i].pointer),
                                         .part = reducer->part_bytes[i] };
        tl_salt(reducer->part_bytes[i], record->seed, part->pointer);
    }
}

static tally_status open_record(struct tl_reducer *reducer, const struct tally_record *record)
{
    if (record->seed != NULL && record->opened == NULL && record->seed_len == TL_SEED_LEN) {
        open_whole(reducer, record);
        return TALLY_OK;
    }
    return record->seed == NULL && record->opened != NULL
               ? tl_opened_decode(&reducer->parts, record->opened, record->opened_len)
               : TALLY_ECORRUPT;
}

/* Keeps of each member that goes its digest alone. */
static tally_status close_parts(struct tl_reducer *reducer, const char *event)
{
    uint32_t closed = 0;
    for (uint32_t i = 0; i < reducer->parts.count; i++) {
        struct tl_opened_part *part = &reducer->parts.parts[i];
        const struct tl_member *member = find_member(&reducer->gone, part->pointer);
        if (member == NULL) {
            continue;
        }
        if (part->erased) {
            return TALLY_ECORRUPT; /* it is said to be gone, and there it is */
        }
        uint8_t digest[TL_COMMIT_LEN];
        tl_member_digest(digest, part->part, part->pointer, value_of(member, event));
        memcpy(reducer->part_bytes[i], digest, sizeof(digest));
        part->erased = true;
        part->part = reducer->part_bytes[i];
        closed++;
    }
    return closed == reducer->gone.count ? TALLY_OK : TALLY_ECORRUPT;
}

/* Opens what is to be left, as a verifier will. */
static tally_status check_left(struct tl_reducer *reducer, const struct tl_erasable_set *set,
                               const uint8_t commit[TL_COMMIT_LEN])
{
    const struct tl_str left = tl_buf_str(&reducer->event);
    struct tl_commit_part parts[TL_ERASABLE_MAX];
    uint32_t there = 0;
    TL_TRY(tl_split_event(&reducer->all, set, left.text, left.len));
    for (uint32_t i = 0; i < reducer->parts.count; i++) {
        const struct tl_opened_part *part = &reducer->parts.parts[i];
        const struct tl_member *member = find_member(&reducer->all, part->pointer);
        parts[i].pointer = part->pointer;
        if (part->erased != (member == NULL)) {
            return TALLY_ECORRUPT;
        }
        if (member == NULL) {
            memcpy(parts[i].digest, part->part, sizeof(parts[i].digest));
            continue;
        }
        tl_member_digest(parts[i].digest, part->part, part->pointer, value_of(member, left.text));
        there++;
    }
    tl_buf_clear(&reducer->rest);
    tl_split_rest(&reducer->rest, &reducer->all, left.text, left.len);
    TL_TRY(tl_buf_status(&reducer->rest));
    uint8_t opens_to[TL_COMMIT_LEN];
    tl_commit_parts(opens_to, reducer->parts.salt0, tl_buf_str(&reducer->rest), parts,
                    reducer->parts.count);
    return there == reducer->all.count && memcmp(opens_to, commit, sizeof(opens_to)) == 0
               ? TALLY_OK
               : TALLY_ECORRUPT;
}

tally_status tl_reduce_record(struct tl_reducer *reducer, const struct tally_record *record,
                              const struct tl_erasable_set *set,
                              const struct tl_erasable_set *erase,
                              const uint8_t commit[TL_COMMIT_LEN])
{
    TL_TRY(tl_split_event(&reducer->gone, erase, record->event, record->event_len));
    if (reducer->gone.count == 0) {
        return TALLY_ENOTFOUND;
    }
    for (uint32_t i = 0; i < reducer->gone.count; i++) {
        if (!tl_erasable_has(set, text_of(reducer->gone.members[i].pointer))) {
            return TALLY_EINVAL;
        }
    }
    TL_TRY(tl_split_event(&reducer->all, set, record->event, record->event_len));
    TL_TRY(open_record(reducer, record));
    TL_TRY(close_parts(reducer, record->event));
    tl_buf_clear(&reducer->event);
    tl_buf_clear(&reducer->opened);
    tl_split_rest(&reducer->event, &reducer->gone, record->event, record->event_len);
    tl_opened_encode(&reducer->opened, &reducer->parts);
    TL_TRY(tl_buf_status(&reducer->event));
    TL_TRY(tl_buf_status(&reducer->opened));
    reducer->members = reducer->gone.count;
    reducer->bytes = record->event_len - reducer->event.len;
    return check_left(reducer, set, commit);
}
