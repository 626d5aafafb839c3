#include "store_fill.h"

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "store/store.h"

static const char note[] = "example.org/log\n";

static bool is_control(uint64_t seq)
{
    return seq % 5 == 0;
}

void fill_id(uint8_t id[TALLY_LEAF_ID_LEN], uint64_t seq)
{
    memset(id, 0, TALLY_LEAF_ID_LEN);
    if (is_control(seq)) {
        return;
    }
    uint64_t mixed = (seq + 1) * 0x9e3779b97f4a7c15; /* spreads: ids come in no order */
    memcpy(id, &mixed, sizeof(mixed));
    memcpy(id + 8, &seq, sizeof(seq));
    id[15] = 1;
}

void fill_record(struct fill_record *fill, uint64_t seq)
{
    *fill = (struct fill_record){
        .record = { .seq = seq, .leaf = fill->leaf, .leaf_len = TALLY_LEAF_LEN }
    };
    memcpy(fill->leaf, "TLY1", 4);
    memcpy(fill->leaf + 8, &seq, sizeof(seq));
    fill_id(fill->leaf + TALLY_LEAF_ID_AT, seq);
    if (is_control(seq)) {
        memcpy(fill->leaf + TALLY_LEAF_LEN, "{}", 2);
        fill->record.leaf_len += 2;
        return;
    }
    /* With a zero byte, and bytes that are no UTF-8: a store takes whatever it is given. */
    int len = snprintf(fill->event, sizeof(fill->event), "{\"seq\":%llu,\"odd\":\"_\xff\xfe\"}",
                       (unsigned long long)seq);
    fill->event[len - 5] = '\0';
    fill->record.event = fill->event;
    fill->record.event_len = seq % 7 == 1 ? 0 : (size_t)len; /* empty is not absent */
    if (seq % 3 == 0) {
        memcpy(fill->opened, &seq, sizeof(seq));
        fill->record.opened = fill->opened;
        fill->record.opened_len = sizeof(fill->opened);
    } else {
        memset(fill->seed, (int)(seq % 251), sizeof(fill->seed));
        fill->record.seed = fill->seed;
        fill->record.seed_len = sizeof(fill->seed);
    }
}

void fill_tile(uint8_t data[TALLY_TILE_LEN], uint32_t level, uint64_t n)
{
    memset(data, (int)((uint64_t)level * 16 + n % 16), TALLY_TILE_LEN);
}

#define BATCH_MAX 1024
#define TILES_MAX (BATCH_MAX / 256 + 2)

tally_status fill_append(struct tally_store *store, struct tally_head *head, size_t count,
                         struct tally_error *err)
{
    static struct fill_record fills[BATCH_MAX];
    static struct tally_record records[BATCH_MAX];
    static uint8_t data[TILES_MAX][TALLY_TILE_LEN];
    struct tally_tile tiles[TILES_MAX];
    assert_true(count <= BATCH_MAX);
    struct tally_batch batch = { .records = records, .count = count, .tiles = tiles };
    uint64_t end = head->size + count;
    for (size_t i = 0; i < count; i++) {
        fill_record(&fills[i], head->size + i);
        records[i] = fills[i].record;
    }
    for (uint32_t level = 0; level < 2; level++) {
        uint32_t shift = 8 * (level + 1);
        for (uint64_t n = head->size >> shift; n < end >> shift; n++) {
            fill_tile(data[batch.tile_count], level, n);
            tiles[batch.tile_count] =
                (struct tally_tile){ .level = level, .n = n, .data = data[batch.tile_count] };
            batch.tile_count++;
        }
    }
    batch.head = *head;
    batch.head.size = end;
    batch.head.root[0]++; /* any root will do: a store does not compute it */
    batch.head.frontier_len = TALLY_HASH_LEN * (size_t)__builtin_popcountll(end);
    memset(batch.head.frontier, (int)(end % 251), batch.head.frontier_len);
    batch.head.epoch = (uint32_t)end;
    batch.checkpoint =
        (struct tally_checkpoint){ .size = end, .note = note, .note_len = sizeof(note) - 1 };
    batch.drop_checkpoint = head->size % 100 == 0 ? 0 : head->size;
    TL_TRY(tl_store_append(store, head, &batch, err));
    *head = batch.head;
    return TALLY_OK;
}

static void check_bytes(const void *got, size_t got_len, const void *want, size_t want_len)
{
    assert_int_equal(got == NULL, want == NULL);
    assert_int_equal(got_len, want_len);
    if (want_len > 0) {
        assert_memory_equal(got, want, want_len);
    }
}

static tally_status check_record(void *ctx, const struct tally_record *record)
{
    uint64_t *next = ctx;
    struct fill_record fill;
    fill_record(&fill, *next);
    const struct tally_record *want = &fill.record;
    assert_int_equal(record->seq, *next);
    check_bytes(record->leaf, record->leaf_len, want->leaf, want->leaf_len);
    check_bytes(record->event, record->event_len, want->event, want->event_len);
    check_bytes(record->seed, record->seed_len, want->seed, want->seed_len);
    check_bytes(record->opened, record->opened_len, want->opened, want->opened_len);
    ++*next;
    return TALLY_OK;
}

struct tiles_seen {
    uint64_t counts[2]; /* by level */
};

static tally_status check_tile(void *ctx, const struct tally_tile *tile)
{
    struct tiles_seen *seen = ctx;
    static uint8_t want[TALLY_TILE_LEN];
    assert_true(tile->level < 2 && (tile->level == 1 || seen->counts[1] == 0));
    assert_int_equal(tile->n, seen->counts[tile->level]++);
    fill_tile(want, tile->level, tile->n);
    assert_memory_equal(tile->data, want, sizeof(want));
    return TALLY_OK;
}

static void check_tiles(struct tally_store *store, uint64_t size)
{
    struct tiles_seen seen = { 0 };
    check_ok(tl_store_scan_tiles(store, check_tile, &seen, NULL));
    static uint8_t got[TALLY_TILE_LEN];
    static uint8_t want[TALLY_TILE_LEN];
    for (uint32_t level = 0; level < 2; level++) {
        uint64_t count = size >> (8 * (level + 1));
        assert_int_equal(seen.counts[level], count);
        check_status(tl_store_tile(store, level, count, got, NULL), TALLY_ENOTFOUND);
        if (count > 0) {
            check_ok(tl_store_tile(store, level, count - 1, got, NULL));
            fill_tile(want, level, count - 1);
            assert_memory_equal(got, want, sizeof(want));
        }
    }
}

void fill_check(struct tally_store *store, uint64_t size)
{
    struct tally_head head;
    check_ok(tl_store_head(store, &head, NULL));
    assert_int_equal(head.size, size);
    assert_int_equal(head.epoch, size);
    assert_int_equal(head.frontier_len, TALLY_HASH_LEN * (size_t)__builtin_popcountll(size));
    uint64_t next = 0;
    check_ok(tl_store_scan(store, 0, UINT64_MAX, check_record, &next, NULL));
    assert_int_equal(next, size);
    check_tiles(store, size);
    uint64_t newest = TALLY_SEQ_NONE;
    check_ok(tl_store_newest_checkpoint(store, &newest, NULL));
    assert_int_equal(newest, size);
    for (uint64_t seq = 0; seq < size; seq++) {
        uint8_t ids[1][TALLY_LEAF_ID_LEN];
        uint64_t found = 0;
        fill_id(ids[0], seq);
        check_ok(tl_store_find_ids(store, (void *)ids, 1, &found, NULL));
        assert_int_equal(found, is_control(seq) ? TALLY_SEQ_NONE : seq);
    }
}
