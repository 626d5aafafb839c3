#include <string.h>

#include "store/index_parts.h"

/* FTS5 wants an object for each table; ours has no state. */
static int create(void *ctx, const char **args, int arg_count, Fts5Tokenizer **out)
{
    static char nothing;
    (void)ctx;
    (void)args;
    (void)arg_count;
    *out = (Fts5Tokenizer *)(void *)&nothing;
    return SQLITE_OK;
}

static void delete (Fts5Tokenizer *tokenizer)
{
    (void)tokenizer;
}

static int tokenize(Fts5Tokenizer *tokenizer, void *ctx, int flags, const char *text, int len,
                    int (*token)(void *ctx, int flags, const char *token, int len, int start,
                                 int end))
{
    (void)tokenizer;
    (void)flags;
    int at = 0;
    while (at < len) {
        const char *end = memchr(text + at, TL_INDEX_SEPARATOR, (size_t)(len - at));
        int stop = end == NULL ? len : (int)(end - text);
        if (stop > at) {
            int rc = token(ctx, 0, text + at, stop - at, at, stop);
            if (rc != SQLITE_OK) {
                return rc;
            }
        }
        at = stop + 1;
    }
    return SQLITE_OK;
}

tally_status tl_index_tokenizer(sqlite3 *db, struct tally_error *err)
{
    static fts5_tokenizer tokenizer = { create, delete, tokenize };
    TL_CLEANUP(tl_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
    fts5_api *api = NULL;
    bool row = false;
    if (sqlite3_prepare_v2(db, "SELECT fts5(?)", -1, &stmt, NULL) != SQLITE_OK) {
        return tl_fail(err, TALLY_ENOTSUP, "this SQLite comes without FTS5");
    }
    (void)sqlite3_bind_pointer(stmt, 1, (void *)&api, "fts5_api_ptr", NULL); /* cannot fail */
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    if (api == NULL || api->xCreateTokenizer(api, "tally", NULL, &tokenizer, NULL) != SQLITE_OK) {
        return tl_fail(err, TALLY_ENOMEM, "cannot register a tokenizer");
    }
    return TALLY_OK;
}
