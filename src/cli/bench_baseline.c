#include "cli/bench_baseline.h"

#include <sqlite3.h> /* check_tree: ok, the tables that Tallystick is compared with */

#include "base/bytes.h"
#include "crypto/crypto.h" /* check_tree: ok, the HMAC of an ordinary audit table */

struct tl_baseline {
    sqlite3 *db;
    sqlite3_stmt *insert;
    enum tl_baseline_kind kind;
    struct tl_hmac_key key;
};

static const char plain_schema[] = "CREATE TABLE audit(seq INTEGER PRIMARY KEY, event TEXT)";

static const char ordinary_schema[] =
    "CREATE TABLE audit(seq INTEGER PRIMARY KEY, id TEXT, occurred_at TEXT, action TEXT,"
    " actor_id TEXT, target_type TEXT, target_id TEXT, outcome TEXT, severity TEXT,"
    " tenant_id TEXT, event TEXT, checksum TEXT);"
    "CREATE UNIQUE INDEX audit_id ON audit(id);"
    "CREATE INDEX audit_time ON audit(occurred_at);"
    "CREATE INDEX audit_actor ON audit(actor_id, occurred_at);"
    "CREATE INDEX audit_action ON audit(action, occurred_at);"
    "CREATE INDEX audit_target ON audit(target_type, target_id, occurred_at);"
    "CREATE INDEX audit_tenant ON audit(tenant_id, occurred_at)";

static tally_status fail_sqlite(struct tl_baseline *baseline, struct tally_error *err)
{
    return tl_fail(err, TALLY_EIO, "the table to compare with: %s", sqlite3_errmsg(baseline->db));
}

static tally_status run(struct tl_baseline *baseline, const char *sql, struct tally_error *err)
{
    return sqlite3_exec(baseline->db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? TALLY_OK
               : fail_sqlite(baseline, err);
}

void tl_baseline_close(struct tl_baseline *baseline)
{
    if (baseline != NULL) {
        (void)sqlite3_finalize(baseline->insert); /* repeats the error of the last step */
        (void)sqlite3_close(baseline->db);        /* nothing is open any more */
        tl_free(baseline);
    }
}

static tally_status prepare(struct tl_baseline *baseline, struct tally_error *err)
{
    bool plain = baseline->kind == TL_BASELINE_PLAIN;
    static const uint8_t key[32] = "a key that protects nothing here";
    tl_hmac_key_init(&baseline->key, key, sizeof(key));
    TL_TRY(run(baseline,
               "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-65536", err));
    TL_TRY(run(baseline, plain ? plain_schema : ordinary_schema, err));
    const char *sql = plain ? "INSERT INTO audit(event) VALUES(?1)"
                            : "INSERT INTO audit(id, occurred_at, action, actor_id, target_type,"
                              " target_id, outcome, severity, tenant_id, event, checksum)"
                              " VALUES(?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?1, ?11)";
    return sqlite3_prepare_v2(baseline->db, sql, -1, &baseline->insert, NULL) == SQLITE_OK
               ? TALLY_OK
               : fail_sqlite(baseline, err);
}

tally_status tl_baseline_open(struct tl_baseline **baseline_out, const char *path,
                              enum tl_baseline_kind kind, struct tally_error *err)
{
    struct tl_baseline *baseline = tl_alloc_array(1, sizeof(*baseline));
    if (baseline == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a table to compare with");
    }
    baseline->kind = kind;
    tally_status status = sqlite3_open(path, &baseline->db) == SQLITE_OK
                              ? prepare(baseline, err)
                              : fail_sqlite(baseline, err);
    if (status != TALLY_OK) {
        tl_baseline_close(baseline);
        return status;
    }
    *baseline_out = baseline;
    return TALLY_OK;
}

static void bind_text(struct tl_baseline *baseline, int column, const char *text, size_t len)
{
    (void)sqlite3_bind_text(baseline->insert, column, text, (int)len, SQLITE_STATIC);
}

static tally_status insert(struct tl_baseline *baseline, const struct tl_bench_event *event,
                           struct tally_error *err)
{
    char checksum[2 * TL_SHA256_LEN + 1];
    bind_text(baseline, 1, event->json, event->len);
    if (baseline->kind == TL_BASELINE_ORDINARY) {
        uint8_t mac[TL_SHA256_LEN];
        tl_hmac(&baseline->key, event->json, event->len, mac);
        tl_hex_encode(checksum, mac, sizeof(mac));
        bind_text(baseline, 2, event->id, strlen(event->id));
        bind_text(baseline, 3, event->occurred_at, strlen(event->occurred_at));
        bind_text(baseline, 4, event->action, strlen(event->action));
        bind_text(baseline, 5, event->actor_id, strlen(event->actor_id));
        bind_text(baseline, 6, event->target_type, strlen(event->target_type));
        bind_text(baseline, 7, event->target_id, strlen(event->target_id));
        bind_text(baseline, 8, event->outcome, strlen(event->outcome));
        bind_text(baseline, 9, event->severity, strlen(event->severity));
        bind_text(baseline, 10, event->tenant_id, strlen(event->tenant_id));
        bind_text(baseline, 11, checksum, sizeof(checksum) - 1);
    }
    int rc = sqlite3_step(baseline->insert);
    (void)sqlite3_reset(baseline->insert); /* repeats the code of the step */
    return rc == SQLITE_DONE ? TALLY_OK : fail_sqlite(baseline, err);
}

tally_status tl_baseline_insert(struct tl_baseline *baseline, struct tl_bench_event *events,
                                size_t count, struct tally_error *err)
{
    TL_TRY(run(baseline, "BEGIN IMMEDIATE", err));
    for (size_t i = 0; i < count; i++) {
        TL_TRY(insert(baseline, &events[i], err));
    }
    return run(baseline, "COMMIT", err);
}

tally_status tl_baseline_relax(struct tl_baseline *baseline, struct tally_error *err)
{
    return run(baseline, "PRAGMA synchronous=NORMAL", err);
}

tally_status tl_baseline_insert_alone(struct tl_baseline *baseline,
                                      const struct tl_bench_event *event, struct tally_error *err)
{
    return insert(baseline, event, err);
}
