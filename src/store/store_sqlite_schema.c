#include "store/store_sqlite_parts.h"

/*
 * One row of a record holds everything about it: verification needs leaf and content together, and
 * pages fill without gaps. Tiles have a rowid because 8 KiB do not fit into an index page.
 */
#define TABLE_RECORD \
    "CREATE TABLE record(seq INTEGER PRIMARY KEY, leaf BLOB, event TEXT, seed BLOB, opened BLOB)"
#define TABLE_EVENT_ID        "CREATE TABLE event_id(id BLOB PRIMARY KEY, seq INTEGER) WITHOUT ROWID"
#define TABLE_EVENT_ID_RECENT "CREATE TABLE event_id_recent(first INTEGER PRIMARY KEY, ids BLOB)"
#define TABLE_TILE            "CREATE TABLE tile(level INTEGER, n INTEGER, data BLOB, PRIMARY KEY(level, n))"
#define TABLE_CHECKPOINT      "CREATE TABLE checkpoint(size INTEGER PRIMARY KEY, note TEXT)"
#define TABLE_HEAD                                                                        \
    "CREATE TABLE head(one INTEGER PRIMARY KEY CHECK(one = 1), size INTEGER, root BLOB, " \
    "frontier BLOB, epoch INTEGER)"

/* A view and not generated columns: those would be computed, and could fail, with each insert. */
#define VIEW_EVENT                                                                              \
    "CREATE VIEW event AS SELECT seq, event->>'$.occurred_at' AS occurred_at, "                 \
    "event->>'$.action' AS action, event->>'$.actor.id' AS actor_id, "                          \
    "event->>'$.actor.type' AS actor_type, event->>'$.targets[0].type' AS target_type, "        \
    "event->>'$.targets[0].id' AS target_id, event->>'$.outcome' AS outcome, "                  \
    "event->>'$.severity' AS severity, event->>'$.tenant_id' AS tenant_id, event AS json FROM " \
    "record"

/* Against accidents with other programs; our own connections have triggers switched off. */
#define GUARD(table, verb)                                           \
    "CREATE TRIGGER " table "_no_" verb " BEFORE " verb " ON " table \
    " BEGIN SELECT RAISE(ABORT, 'append-only: " table " takes no " verb "'); END"
#define GUARDED(table) GUARD(table, "UPDATE"), GUARD(table, "DELETE")

const char *const tl_sqlite_ledger_objects[] = {
    TABLE_RECORD,    TABLE_EVENT_ID,        TABLE_EVENT_ID_RECENT,
    TABLE_TILE,      TABLE_CHECKPOINT,      TABLE_HEAD,
    VIEW_EVENT,      GUARDED("record"),     GUARDED("event_id"),
    GUARDED("tile"), GUARDED("checkpoint"),
};
const size_t tl_sqlite_ledger_object_count = TL_ARRAY_LEN(tl_sqlite_ledger_objects);

#define END           ";"
#define GUARDS(table) GUARD(table, "UPDATE") END GUARD(table, "DELETE") END

/*
 * Pages of 32 KiB waste little on records of some hundred bytes and need fewer calls: 4 KiB pages
 * took 50 bytes more for each record and twice the time. The log is moved into the database when it
 * has reached 64 MiB; a smaller one writes the same pages of event_id more often. Pages that become
 * free are given back by reclaim(); in a file made without auto_vacuum they are used again.
 */
const struct tl_sqlite_kind tl_sqlite_ledger_kind = {
    .noun = "ledger",
    .application_id = 0x544c5931, /* "TLY1" */
    .version = 1,
    .layout = "PRAGMA page_size=32768; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA encoding='UTF-8'",
    .schema = "BEGIN IMMEDIATE;" TABLE_RECORD END TABLE_EVENT_ID END TABLE_EVENT_ID_RECENT END
        TABLE_TILE END TABLE_CHECKPOINT END TABLE_HEAD END VIEW_EVENT END GUARDS("record")
            GUARDS("event_id") GUARDS("tile") GUARDS(
                "checkpoint") "PRAGMA application_id=0x544c5931; PRAGMA user_version=1; COMMIT",
    .pragmas =
        (const struct tl_sqlite_pragma[]){
            { "PRAGMA journal_mode=WAL", "PRAGMA journal_mode", "wal" },
            { "PRAGMA synchronous=FULL", "PRAGMA synchronous", "2" },
            { "PRAGMA secure_delete=ON", "PRAGMA secure_delete", "1" },
            { "PRAGMA wal_autocheckpoint=2048", "PRAGMA wal_autocheckpoint", "2048" },
            { "PRAGMA cache_size=-32768", "PRAGMA cache_size", "-32768" }, /* KiB */
            { 0 },
        },
    .reader_cache = "PRAGMA cache_size=-4096",
};
