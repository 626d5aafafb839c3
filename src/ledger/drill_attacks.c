/* What is done to a ledger in a drill: one function for each kind of damage, one row for each. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/io.h"
#include "base/random.h"
#include "ledger/drill.h"
#include "tree/tree.h"

#define VALUE_BYTES_MAX ((size_t)32 << 20)
#define TIME_AT         16u
#define PAGE_MAX        65536u
#define A_FEW           3u /* records */

static const struct tl_edit_place note_of = { "SELECT note FROM checkpoint WHERE size = ?1",
                                              "UPDATE checkpoint SET note = ?2 WHERE size = ?1",
                                              true };
static const struct tl_edit_place tile_of = {
    "SELECT data FROM tile WHERE level = 0 AND n = ?1",
    "UPDATE tile SET data = ?2 WHERE level = 0 AND n = ?1", false
};
static const struct tl_edit_place head_root = { "SELECT root FROM head WHERE one = ?1",
                                                "UPDATE head SET root = ?2 WHERE one = ?1", false };
static const struct tl_edit_place head_frontier = { "SELECT frontier FROM head WHERE one = ?1",
                                                    "UPDATE head SET frontier = ?2 WHERE one = ?1",
                                                    false };
static const struct tl_edit_place recent_ids = {
    "SELECT ids FROM event_id_recent WHERE first = ?1",
    "UPDATE event_id_recent SET ids = ?2 WHERE first = ?1", false
};

static tally_status edit_same_length(struct tl_drill *drill, const struct tl_attack *attack,
                                     struct tally_error *err)
{
    (void)attack;
    return tl_edit_after(drill, &tl_edit_event, drill->first, "\"action\":\"", "ab", err);
}

static tally_status edit_value(struct tl_drill *drill, const struct tl_attack *attack,
                               struct tally_error *err)
{
    (void)attack;
    TL_CLEANUP(tl_buf_release) struct tl_buf event = { 0 };
    TL_CLEANUP(tl_buf_release) struct tl_buf edited = { 0 };
    TL_TRY(tl_edit_load(drill, &tl_edit_event, drill->first, &event, err));
    size_t at = tl_edit_find(&event, 0, "\"action\":\"");
    tl_buf_init(&edited, VALUE_BYTES_MAX);
    tl_buf_add(&edited, event.data, at);
    tl_buf_add_text(&edited, "un");
    tl_buf_add(&edited, event.data + at, event.len - at);
    TL_TRY(tl_buf_status(&edited));
    return tl_edit_save(drill, &tl_edit_event, drill->first, &edited, err);
}

static tally_status flip_leaf(struct tl_drill *drill, const struct tl_attack *attack,
                              struct tally_error *err)
{
    return tl_edit_flip(drill, &tl_edit_leaf, drill->first, attack->at, attack->bit, err);
}

static tally_status flip_seed(struct tl_drill *drill, const struct tl_attack *attack,
                              struct tally_error *err)
{
    return tl_edit_flip(drill, &tl_edit_seed, drill->first, attack->at, attack->bit, err);
}

/* An hour earlier: what somebody does who was elsewhere at that time. */
static tally_status move_time(struct tl_drill *drill, const struct tl_attack *attack,
                              struct tally_error *err)
{
    (void)attack;
    TL_CLEANUP(tl_buf_release) struct tl_buf leaf = { 0 };
    TL_TRY(tl_edit_load(drill, &tl_edit_leaf, drill->first, &leaf, err));
    uint8_t *time = (uint8_t *)leaf.data + TIME_AT;
    tl_put_be64(time, tl_get_be64(time) - UINT64_C(3600000000));
    return tl_edit_save(drill, &tl_edit_leaf, drill->first, &leaf, err);
}

static tally_status delete_record(struct tl_drill *drill, const struct tl_attack *attack,
                                  struct tally_error *err)
{
    (void)attack;
    return tl_edit_run1(drill, "DELETE FROM record WHERE seq = ?1", drill->first, err);
}

static tally_status delete_content(struct tl_drill *drill, const struct tl_attack *attack,
                                   struct tally_error *err)
{
    (void)attack;
    return tl_edit_run1(drill, "UPDATE record SET event = NULL, seed = NULL WHERE seq = ?1",
                        drill->late, err);
}

static tally_status delete_newest(struct tl_drill *drill, const struct tl_attack *attack,
                                  struct tally_error *err)
{
    (void)attack;
    return tl_edit_run1(drill, "DELETE FROM record WHERE seq >= ?1", drill->size - A_FEW, err);
}

static tally_status swap_rows(struct tl_drill *drill, struct tally_error *err)
{
    static const char move[] = "UPDATE record SET seq = ?2 WHERE seq = ?1";
    uint64_t aside = drill->size + 1;
    TL_TRY(tl_edit_run2(drill, move, drill->first, aside, err));
    TL_TRY(tl_edit_run2(drill, move, drill->second, drill->first, err));
    return tl_edit_run2(drill, move, aside, drill->second, err);
}

static tally_status swap_records(struct tl_drill *drill, const struct tl_attack *attack,
                                 struct tally_error *err)
{
    (void)attack;
    return swap_rows(drill, err);
}

static tally_status swap_contents(struct tl_drill *drill, const struct tl_attack *attack,
                                  struct tally_error *err)
{
    (void)attack;
    TL_CLEANUP(tl_buf_release) struct tl_buf first = { 0 };
    TL_CLEANUP(tl_buf_release) struct tl_buf second = { 0 };
    TL_TRY(tl_edit_load(drill, &tl_edit_leaf, drill->first, &first, err));
    TL_TRY(tl_edit_load(drill, &tl_edit_leaf, drill->second, &second, err));
    TL_TRY(swap_rows(drill, err));
    TL_TRY(tl_edit_save(drill, &tl_edit_leaf, drill->first, &first, err));
    return tl_edit_save(drill, &tl_edit_leaf, drill->second, &second, err);
}

static tally_status copy_row(struct tl_drill *drill, uint64_t from, uint64_t to,
                             struct tally_error *err)
{
    return tl_edit_run2(drill,
                        "INSERT INTO record(seq, leaf, event, seed, opened) "
                        "SELECT ?2, leaf, event, seed, opened FROM record WHERE seq = ?1",
                        from, to, err);
}

static tally_status duplicate(struct tl_drill *drill, const struct tl_attack *attack,
                              struct tally_error *err)
{
    (void)attack;
    return copy_row(drill, drill->first, drill->size, err);
}

/* The number in the leaf of what is inserted is right; those of all that follow are one too low. */
static tally_status insert_record(struct tl_drill *drill, const struct tl_attack *attack,
                                  struct tally_error *err)
{
    (void)attack;
    TL_CLEANUP(tl_buf_release) struct tl_buf leaf = { 0 };
    TL_TRY(tl_edit_run1(drill, "UPDATE record SET seq = -seq - 2 WHERE seq >= ?1", drill->second,
                        err));
    TL_TRY(tl_edit_run(drill, "UPDATE record SET seq = -seq - 1 WHERE seq < 0", err));
    TL_TRY(copy_row(drill, drill->first, drill->second, err));
    TL_TRY(tl_edit_load(drill, &tl_edit_leaf, drill->second, &leaf, err));
    tl_put_be64((uint8_t *)leaf.data + 8, drill->second);
    return tl_edit_save(drill, &tl_edit_leaf, drill->second, &leaf, err);
}

static tally_status take_id(struct tl_drill *drill, const struct tl_attack *attack,
                            struct tally_error *err)
{
    (void)attack;
    TL_CLEANUP(tl_buf_release) struct tl_buf first = { 0 };
    TL_CLEANUP(tl_buf_release) struct tl_buf second = { 0 };
    TL_TRY(tl_edit_load(drill, &tl_edit_leaf, drill->first, &first, err));
    TL_TRY(tl_edit_load(drill, &tl_edit_leaf, drill->second, &second, err));
    memcpy(second.data + TALLY_LEAF_ID_AT, first.data + TALLY_LEAF_ID_AT, TALLY_LEAF_ID_LEN);
    return tl_edit_save(drill, &tl_edit_leaf, drill->second, &second, err);
}

static tally_status edit_retention(struct tl_drill *drill, const struct tl_attack *attack,
                                   struct tally_error *err)
{
    (void)attack;
    return tl_edit_after(drill, &tl_edit_leaf, 0, "\"days\":", "12", err);
}

/* That of the copy's own start at the latest lies below full tiles. */
static tally_status edit_resume(struct tl_drill *drill, const struct tl_attack *attack,
                                struct tally_error *err)
{
    (void)attack;
    uint64_t seq = 0;
    TL_TRY(tl_drill_open(drill, err));
    TL_TRY(tl_tamper_get(drill->db,
                         "SELECT seq FROM record WHERE substr(leaf, 5, 1) = x'8a' ORDER BY seq "
                         "LIMIT 1",
                         NULL, 0, NULL, &seq, err));
    return tl_edit_after(drill, &tl_edit_leaf, seq, "\"size\":", "12", err);
}

static tally_status give_control_content(struct tl_drill *drill, const struct tl_attack *attack,
                                         struct tally_error *err)
{
    (void)attack;
    return tl_edit_run1(
        drill,
        "UPDATE record SET (event, seed) = (SELECT event, seed FROM record WHERE seq = ?1) "
        "WHERE seq = 0",
        drill->first, err);
}

static tally_status edit_note_body(struct tl_drill *drill, const struct tl_attack *attack,
                                   struct tally_error *err)
{
    (void)attack;
    TL_CLEANUP(tl_buf_release) struct tl_buf note = { 0 };
    TL_TRY(tl_edit_load(drill, &note_of, drill->size, &note, err));
    size_t at = tl_edit_find(&note, tl_edit_find(&note, 0, "\n"), "\n"); /* the root */
    if (at >= note.len) {
        return tl_edit_nothing(err, "no such line");
    }
    note.data[at] = note.data[at] == 'A' ? 'B' : 'A';
    return tl_edit_save(drill, &note_of, drill->size, &note, err);
}

/* A byte in the middle of the signature of line attack->at. */
static tally_status edit_signature(struct tl_drill *drill, const struct tl_attack *attack,
                                   struct tally_error *err)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf note = { 0 };
    TL_TRY(tl_edit_load(drill, &note_of, drill->size, &note, err));
    size_t at = tl_edit_find(&note, 0, "\n\n");
    for (unsigned int i = 0; i < attack->at; i++) {
        at = tl_edit_find(&note, at, "\n");
    }
    at = tl_edit_find(&note, tl_edit_find(&note, at, " "), " ") + 40;
    if (at >= note.len) {
        return tl_edit_nothing(err, "no such line");
    }
    note.data[at] = note.data[at] == 'A' ? 'B' : 'A';
    return tl_edit_save(drill, &note_of, drill->size, &note, err);
}

static tally_status drop_newest_checkpoint(struct tl_drill *drill, const struct tl_attack *attack,
                                           struct tally_error *err)
{
    (void)attack;
    return tl_edit_run1(drill, "DELETE FROM checkpoint WHERE size = ?1", drill->size, err);
}

static tally_status drop_all_checkpoints(struct tl_drill *drill, const struct tl_attack *attack,
                                         struct tally_error *err)
{
    (void)attack;
    return tl_edit_run(drill, "DELETE FROM checkpoint", err);
}

static tally_status edit_tile(struct tl_drill *drill, const struct tl_attack *attack,
                              struct tally_error *err)
{
    return tl_edit_flip(drill, &tile_of, drill->first / TL_TILE_WIDTH, attack->at, attack->bit,
                        err);
}

static tally_status delete_tile(struct tl_drill *drill, const struct tl_attack *attack,
                                struct tally_error *err)
{
    (void)attack;
    return tl_edit_run1(drill, "DELETE FROM tile WHERE level = 0 AND n = ?1",
                        drill->first / TL_TILE_WIDTH, err);
}

static tally_status edit_head(struct tl_drill *drill, const struct tl_attack *attack,
                              struct tally_error *err)
{
    return tl_edit_flip(drill, &head_root, 1, attack->at, attack->bit, err);
}

static tally_status edit_frontier(struct tl_drill *drill, const struct tl_attack *attack,
                                  struct tally_error *err)
{
    return tl_edit_flip(drill, &head_frontier, 1, attack->at, attack->bit, err);
}

/* The row of recent ids that holds the one of a record. */
static tally_status blank_recent_id(struct tl_drill *drill, uint64_t seq, struct tally_error *err)
{
    const struct tl_tamper_value value = tl_tamper_number(seq);
    uint64_t row = 0;
    TL_TRY(tl_tamper_get(drill->db,
                         "SELECT first FROM event_id_recent WHERE first <= ?1 AND "
                         "first + length(ids) / 16 > ?1 ORDER BY first DESC LIMIT 1",
                         &value, 1, NULL, &row, err));
    TL_CLEANUP(tl_buf_release) struct tl_buf ids = { 0 };
    TL_TRY(tl_edit_load(drill, &recent_ids, row, &ids, err));
    memset(ids.data + (seq - row) * TALLY_LEAF_ID_LEN, 0, TALLY_LEAF_ID_LEN);
    return tl_edit_save(drill, &recent_ids, row, &ids, err);
}

/* So that the event can be handed in again. An id may be in both tables. */
static tally_status delete_id(struct tl_drill *drill, const struct tl_attack *attack,
                              struct tally_error *err)
{
    (void)attack;
    struct tally_error none = TALLY_ERROR_INIT;
    tally_status moved =
        tl_edit_run1(drill, "DELETE FROM event_id WHERE seq = ?1", drill->first, &none);
    tally_status recent = blank_recent_id(drill, drill->first, err);
    return recent == TALLY_ENOTFOUND ? moved : recent;
}

/* So that an event cannot be handed in any more: its id seems taken. */
static tally_status insert_id(struct tl_drill *drill, const struct tl_attack *attack,
                              struct tally_error *err)
{
    (void)attack;
    uint8_t id[TALLY_LEAF_ID_LEN];
    tl_random_bytes(id, sizeof(id));
    const struct tl_tamper_value values[] = { tl_tamper_blob(id, sizeof(id)),
                                              tl_tamper_number(drill->first) };
    TL_TRY(tl_drill_open(drill, err));
    return tl_tamper_run(drill->db, "INSERT INTO event_id(id, seq) VALUES(?, ?)", values, 2, NULL,
                         err);
}

static tally_status add_trigger(struct tl_drill *drill, const struct tl_attack *attack,
                                struct tally_error *err)
{
    (void)attack;
    return tl_edit_run(drill,
                       "CREATE TRIGGER forget AFTER INSERT ON record BEGIN "
                       "DELETE FROM record WHERE seq = new.seq; END",
                       err);
}

/* Times by which records are found are kept in blocks. */
static tally_status delete_index_times(struct tl_drill *drill, const struct tl_attack *attack,
                                       struct tally_error *err)
{
    (void)attack;
    struct tl_tamper *index = NULL;
    TL_TRY(tl_tamper_open(&index, drill->damaged.index, err));
    tally_status status =
        tl_tamper_run(index, "DELETE FROM zone WHERE block = 0", NULL, 0, NULL, err);
    tl_tamper_close(index);
    return status;
}

static tally_status rebuild_index(const struct tl_drill *drill, struct tally_error *err)
{
    struct tl_index *index = NULL;
    struct tally_store *store = NULL;
    TL_TRY(tl_index_open(&index, drill->damaged.index, TALLY_STORE_CREATE, err));
    tally_status status = tl_store_open(&store, drill->damaged.store, TALLY_STORE_READ, err);
    if (status == TALLY_OK) {
        status = tl_index_fill(index, store, drill->size, &drill->config, NULL, NULL, err);
    }
    tl_store_close(store);
    tl_index_close(index);
    return status;
}

/* An index made from a ledger that is damaged, beside one that is not. */
static tally_status doctor_index(struct tl_drill *drill, struct tally_error *err)
{
    tl_drill_close(drill);
    TL_TRY(rebuild_index(drill, err));
    return tl_tamper_copy(tl_drill_db(&drill->sound), tl_drill_db(&drill->damaged), err);
}

static tally_status hide_from_index(struct tl_drill *drill, const struct tl_attack *attack,
                                    struct tally_error *err)
{
    TL_TRY(delete_content(drill, attack, err));
    return doctor_index(drill, err);
}

static tally_status lie_in_index(struct tl_drill *drill, const struct tl_attack *attack,
                                 struct tally_error *err)
{
    TL_TRY(edit_value(drill, attack, err));
    return doctor_index(drill, err);
}

static tally_status roll_back(struct tl_drill *drill, const struct tl_attack *attack,
                              struct tally_error *err)
{
    (void)attack;
    return tl_tamper_copy(tl_drill_db(&drill->older), tl_drill_db(&drill->damaged), err);
}

static tally_status replace_ledger(struct tl_drill *drill, const struct tl_attack *attack,
                                   struct tally_error *err)
{
    (void)attack;
    return tl_tamper_copy(tl_drill_db(&drill->other), tl_drill_db(&drill->damaged), err);
}

static tally_status replace_by_namesake(struct tl_drill *drill, const struct tl_attack *attack,
                                        struct tally_error *err)
{
    (void)attack;
    return tl_tamper_copy(tl_drill_db(&drill->namesake), tl_drill_db(&drill->damaged), err);
}

static tally_status splice_record(struct tl_drill *drill, const struct tl_attack *attack,
                                  struct tally_error *err)
{
    (void)attack;
    const struct tl_tamper_value path = tl_tamper_text(tl_str_of(tl_drill_db(&drill->other)));
    TL_TRY(tl_drill_open(drill, err));
    TL_TRY(tl_tamper_run(drill->db, "ATTACH ? AS other", &path, 1, NULL, err));
    return tl_edit_run1(drill,
                        "UPDATE record SET (leaf, event, seed) = (SELECT leaf, event, seed FROM "
                        "other.record WHERE event IS NOT NULL ORDER BY seq LIMIT 1) WHERE seq = ?1",
                        drill->first, err);
}

tally_status tl_drill_remember(struct tl_drill *drill, const char *store, struct tally_error *err)
{
    struct tl_tamper *db = NULL;
    TL_CLEANUP(tl_buf_release) struct tl_buf note = { 0 };
    TL_TRY(tl_tamper_open(&db, store, err));
    tl_buf_init(&note, TL_NOTE_LEN_MAX);
    tally_status status = tl_tamper_get(
        db, "SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1", NULL, 0, &note, NULL, err);
    tl_tamper_close(db);
    TL_TRY(status);
    drill->remembers = true;
    return tl_io_replace_file(drill->memory, note.data, note.len, 0600, err);
}

/* Two copies go on from the same state, each for itself; the one is shown, the other remembered. */
static tally_status fork_history(struct tl_drill *drill, const struct tl_attack *attack,
                                 struct tally_error *err)
{
    (void)attack;
    TL_TRY(tl_drill_copy(drill, &drill->fork, TL_ATTACK_KEYS, err));
    TL_TRY(tl_drill_grow(drill, &drill->fork, A_FEW, err));
    TL_TRY(tl_drill_grow(drill, &drill->damaged, A_FEW, err));
    return tl_drill_remember(drill, tl_drill_db(&drill->fork), err);
}

static tally_status remove_file(const char *path, struct tally_error *err)
{
    if (remove(path) != 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot remove '%s'", path);
    }
    return TALLY_OK;
}

tally_status tl_drill_forget_mark(struct tl_drill *drill, struct tally_error *err)
{
    char mark[TL_PATH_SIZE];
    TL_TRY(tl_path_join(mark, drill->damaged.keys, "highwater", err));
    return remove_file(mark, err);
}

static tally_status cut_and_forget(struct tl_drill *drill, const struct tl_attack *attack,
                                   struct tally_error *err)
{
    TL_TRY(tl_drill_remember(drill, tl_drill_db(&drill->damaged), err));
    TL_TRY(tl_drill_cut(drill, attack, err));
    return tl_drill_forget_mark(drill, err);
}

static tally_status remove_trust(struct tl_drill *drill, const struct tl_attack *attack,
                                 struct tally_error *err)
{
    (void)attack;
    return remove_file(drill->damaged.trust, err);
}

/* The page that everything about records is found from. */
static tally_status spoil_page(struct tl_drill *drill, const struct tl_attack *attack,
                               struct tally_error *err)
{
    (void)attack;
    uint64_t page = 0;
    uint64_t len = 0;
    TL_TRY(tl_drill_open(drill, err));
    TL_TRY(tl_tamper_get(drill->db, "SELECT rootpage FROM sqlite_schema WHERE name = 'record'",
                         NULL, 0, NULL, &page, err));
    TL_TRY(tl_tamper_get(drill->db, "PRAGMA page_size", NULL, 0, NULL, &len, err));
    tl_drill_close(drill);
    TL_CLEANUP(tl_freep) uint8_t *garbage = tl_alloc_array(PAGE_MAX, 1);
    if (garbage == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a page");
    }
    tl_random_bytes(garbage, PAGE_MAX);
    garbage[0] = 0xa5; /* no kind of page */
    TL_CLEANUP(tl_io_closep)
    int fd = tl_io->open(tl_drill_db(&drill->damaged), O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd < 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot open the copy of the store");
    }
    return tl_io_write_at(fd, garbage, (size_t)len, (page - 1) * len, err);
}

#define FLIP(field, offset, mask)                                                    \
    {                                                                                \
        .name = "flip a bit of a leaf: " field, .expected = "LEAF_MODIFIED",         \
        .told_by = "tree and tiles", .run = flip_leaf, .at = (offset), .bit = (mask) \
    }

#define ATTACK(name_, expected_, told_by_, run_, needs_, at_, bit_)                     \
    {                                                                                   \
        .name = (name_), .expected = (expected_), .told_by = (told_by_), .run = (run_), \
        .needs = (needs_), .at = (at_), .bit = (bit_)                                   \
    }

static const struct tl_attack attacks[] = {
    ATTACK("edit a value in a record", "CONTENT_MODIFIED", "commitment", edit_value, 0, 0, 0),
    ATTACK("edit a value, keeping its length", "CONTENT_MODIFIED", "commitment", edit_same_length,
           0, 0, 0),
    ATTACK("change the seed of a record", "CONTENT_MODIFIED", "commitment", flip_seed, 0, 5, 1),
    ATTACK("swap the contents of two records", "CONTENT_MODIFIED", "commitment", swap_contents, 0,
           0, 0),
    ATTACK("delete the content of a record", "CONTENT_MISSING", "no purge or erasure covers it",
           delete_content, 0, 0, 0),
    ATTACK("give a control record content", "ROW_INSERTED", "leaf", give_control_content, 0, 0, 0),
    ATTACK("move the time of a record back", "LEAF_MODIFIED", "tree and tiles", move_time, 0, 0, 0),
    FLIP("kind", 4, 1),
    FLIP("flags", 5, 1),
    FLIP("retention class", 7, 1),
    FLIP("position", 15, 1),
    FLIP("time", 23, 1),
    FLIP("retained until", 27, 1),
    FLIP("epoch", 31, 1),
    FLIP("id", 40, 1),
    FLIP("commitment", 60, 1),
    FLIP("MAC generation", 83, 1),
    FLIP("incarnation", 87, 1),
    FLIP("MAC", 95, 1),
    ATTACK("delete a record", "LEAF_MISSING", "positions", delete_record, 0, 0, 0),
    ATTACK("delete the newest records", "TRUNCATED", "signed size", delete_newest, 0, 0, 0),
    ATTACK("cut the ledger back to an old checkpoint", "ROLLBACK", "high-water mark", tl_drill_cut,
           0, 0, 0),
    ATTACK("cut it back, and remove the high-water mark", "ROLLBACK", "remembered checkpoint",
           cut_and_forget, 0, 0, 0),
    ATTACK("swap two records", "LEAF_MODIFIED", "tree and tiles", swap_records, 0, 0, 0),
    ATTACK("append a copy of a record", "LEAF_EXTRA", "signed size", duplicate, 0, 0, 0),
    ATTACK("insert a record and renumber the rest", "LEAF_EXTRA", "signed size", insert_record, 0,
           0, 0),
    ATTACK("give a record the id of another", "DUPLICATE_ID", "ids", take_id, 0, 0, 0),
    ATTACK("shorten a retention in GENESIS", "LEAF_MODIFIED", "tree and tiles", edit_retention, 0,
           0, 0),
    ATTACK("edit a RESUME record", "LEAF_MODIFIED", "tree and tiles", edit_resume, 0, 0, 0),
    ATTACK("edit the root in the checkpoint", "SIGNATURE_INVALID", "log key's signature",
           edit_note_body, 0, 0, 0),
    ATTACK("edit the log key's signature", "SIGNATURE_INVALID", "log key's signature",
           edit_signature, 0, 0, 0),
    ATTACK("edit the epoch key's signature", "EPOCH_SIGNATURE_INVALID", "epoch key's signature",
           edit_signature, 0, 1, 0),
    ATTACK("drop the newest checkpoint", "LEAF_EXTRA", "signed size", drop_newest_checkpoint, 0, 0,
           0),
    ATTACK("drop every checkpoint", "CHECKPOINT_MISSING", "nothing is signed", drop_all_checkpoints,
           0, 0, 0),
    ATTACK("edit a tile", "TILE_MISMATCH", "leaves", edit_tile, 0, 40, 1),
    ATTACK("delete a tile", "TILE_MISSING", "leaves", delete_tile, 0, 0, 0),
    ATTACK("edit the root in the head", "HEAD_MISMATCH", "checkpoint", edit_head, 0, 3, 1),
    ATTACK("edit the frontier in the head", "HEAD_MISMATCH", "leaves", edit_frontier, 0, 3, 1),
    ATTACK("delete the entry of an id", "INDEX_MISMATCH", "ids of the leaves", delete_id, 0, 0, 0),
    ATTACK("insert an entry for an id", "INDEX_MISMATCH", "ids of the leaves", insert_id, 0, 0, 0),
    ATTACK("delete times from the search index", "INDEX_MISMATCH", "contents", delete_index_times,
           TL_ATTACK_INDEX, 0, 0),
    ATTACK("hide a record from the search index", "INDEX_MISMATCH", "contents", hide_from_index,
           TL_ATTACK_INDEX, 0, 0),
    ATTACK("lie about a record in the search index", "INDEX_MISMATCH", "contents", lie_in_index,
           TL_ATTACK_INDEX, 0, 0),
    ATTACK("put an older copy of the store back", "ROLLBACK", "high-water mark", roll_back, 0, 0,
           0),
    ATTACK("put another ledger in its place", "ORIGIN_MISMATCH", "pinned origin", replace_ledger, 0,
           0, 0),
    ATTACK("put another ledger of this name in its place", "GENESIS_MISMATCH", "pinned keys",
           replace_by_namesake, 0, 0, 0),
    ATTACK("splice in a record of another ledger", "LEAF_MODIFIED", "tree and tiles", splice_record,
           0, 0, 0),
    ATTACK("show two histories", "FORK", "remembered checkpoint", fork_history, TL_ATTACK_KEYS, 0,
           0),
    ATTACK("rewrite a record, with the log key", "EPOCH_SIGNATURE_INVALID", "epoch key's signature",
           tl_drill_sign_log_key, TL_ATTACK_KEYS, 0, 0),
    ATTACK("rewrite a record, with all current keys", "FORK", "high-water mark",
           tl_drill_sign_all_keys, TL_ATTACK_KEYS, 0, 0),
    ATTACK("rewrite a closed epoch, with all current keys", "EPOCH_SEAL_INVALID",
           "destroyed key of the epoch", tl_drill_sign_closed_epoch, TL_ATTACK_KEYS, 0, 0),
    ATTACK("remove the trust file", "KEY_UNKNOWN", "nothing is pinned", remove_trust, 0, 0, 0),
    ATTACK("hide a trigger in the database", "STORE_ERROR", "database's schema", add_trigger, 0, 0,
           0),
    ATTACK("write garbage over a page", "STORE_ERROR", "database's checks", spoil_page, 0, 0, 0),
};
const struct tl_attack_list tl_attacks_on_files = { attacks, TL_ARRAY_LEN(attacks) };
