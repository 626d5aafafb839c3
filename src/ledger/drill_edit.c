/* Statements and values by which attacks of a drill change the damaged store. */
#include "ledger/drill.h"

#define VALUE_BYTES_MAX ((size_t)32 << 20)

const struct tl_edit_place tl_edit_leaf = { "SELECT leaf FROM record WHERE seq = ?1",
                                            "UPDATE record SET leaf = ?2 WHERE seq = ?1", false };
const struct tl_edit_place tl_edit_event = { "SELECT event FROM record WHERE seq = ?1",
                                             "UPDATE record SET event = ?2 WHERE seq = ?1", true };
const struct tl_edit_place tl_edit_seed = { "SELECT seed FROM record WHERE seq = ?1",
                                            "UPDATE record SET seed = ?2 WHERE seq = ?1", false };

tally_status tl_edit_nothing(struct tally_error *err, const char *what)
{
    return tl_fail(err, TALLY_ENOTFOUND, "the ledger has %s", what);
}

tally_status tl_edit_run2(struct tl_drill *drill, const char *sql, uint64_t a, uint64_t b,
                          struct tally_error *err)
{
    const struct tl_tamper_value values[] = { tl_tamper_number(a), tl_tamper_number(b) };
    uint64_t changed = 0;
    TL_TRY(tl_drill_open(drill, err));
    TL_TRY(tl_tamper_run(drill->db, sql, values, 2, &changed, err));
    return changed > 0 ? TALLY_OK : tl_edit_nothing(err, "nothing of this kind");
}

tally_status tl_edit_run1(struct tl_drill *drill, const char *sql, uint64_t a,
                          struct tally_error *err)
{
    const struct tl_tamper_value value = tl_tamper_number(a);
    uint64_t changed = 0;
    TL_TRY(tl_drill_open(drill, err));
    TL_TRY(tl_tamper_run(drill->db, sql, &value, 1, &changed, err));
    return changed > 0 ? TALLY_OK : tl_edit_nothing(err, "nothing of this kind");
}

tally_status tl_edit_run(struct tl_drill *drill, const char *sql, struct tally_error *err)
{
    TL_TRY(tl_drill_open(drill, err));
    return tl_tamper_run(drill->db, sql, NULL, 0, NULL, err);
}

tally_status tl_edit_load(struct tl_drill *drill, const struct tl_edit_place *place, uint64_t key,
                          struct tl_buf *out, struct tally_error *err)
{
    const struct tl_tamper_value value = tl_tamper_number(key);
    TL_TRY(tl_drill_open(drill, err));
    tl_buf_init(out, VALUE_BYTES_MAX);
    return tl_tamper_get(drill->db, place->get, &value, 1, out, NULL, err);
}

tally_status tl_edit_save(struct tl_drill *drill, const struct tl_edit_place *place, uint64_t key,
                          const struct tl_buf *bytes, struct tally_error *err)
{
    const struct tl_tamper_value values[] = { tl_tamper_number(key),
                                              place->is_text
                                                  ? tl_tamper_text(tl_buf_str(bytes))
                                                  : tl_tamper_blob(bytes->data, bytes->len) };
    return tl_tamper_run(drill->db, place->set, values, TL_ARRAY_LEN(values), NULL, err);
}

tally_status tl_edit_flip(struct tl_drill *drill, const struct tl_edit_place *place, uint64_t key,
                          size_t at, uint8_t bits, struct tally_error *err)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf bytes = { 0 };
    TL_TRY(tl_edit_load(drill, place, key, &bytes, err));
    if (at >= bytes.len) {
        return tl_edit_nothing(err, "a shorter value here");
    }
    bytes.data[at] = (char)((uint8_t)bytes.data[at] ^ bits);
    return tl_edit_save(drill, place, key, &bytes, err);
}

size_t tl_edit_find(const struct tl_buf *bytes, size_t from, const char *marker)
{
    size_t len = strlen(marker);
    const char *found = memmem(bytes->data + from, bytes->len - from, marker, len);
    return found == NULL ? bytes->len : (size_t)(found - bytes->data) + len;
}

tally_status tl_edit_after(struct tl_drill *drill, const struct tl_edit_place *place, uint64_t key,
                           const char *marker, const char two[2], struct tally_error *err)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf bytes = { 0 };
    TL_TRY(tl_edit_load(drill, place, key, &bytes, err));
    size_t at = tl_edit_find(&bytes, 0, marker);
    if (at >= bytes.len) {
        return tl_edit_nothing(err, "no such member");
    }
    bytes.data[at] = two[bytes.data[at] == two[0] ? 1 : 0];
    return tl_edit_save(drill, place, key, &bytes, err);
}
