/* What only the memory store can do, what opens stores, and the sets of ids. */
#include <string.h>

#include "check.h"
#include "fault.h"
#include "store/idset.h"
#include "store/store.h"
#include "store_fill.h"

static void refuses_what_it_cannot_open(void **state)
{
    (void)state;
    static const struct {
        const char *uri, *message;
        enum tally_store_mode mode;
        tally_status status;
    } table[] = {
        { "", "'' names no store: a scheme and ':' are missing", 2, TALLY_EINVAL },
        { "memory", "'memory' names no store: a scheme and ':' are missing", 2, TALLY_EINVAL },
        { "memoryx:1", "there is no store 'memoryx'", 2, TALLY_EINVAL },
        { "memory:", "memory store wants a number of records, not ''", 2, TALLY_EINVAL },
        { "memory:-1", "memory store wants a number of records, not '-1'", 2, TALLY_EINVAL },
        { "memory:1?full=", "memory store wants a number of records, not '1?full='", 2,
          TALLY_EINVAL },
        { "memory:1", "a memory store ends with the process that made it", 0, TALLY_ENOTFOUND },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tally_error err = TALLY_ERROR_INIT;
        struct tally_store *store = NULL;
        check_status(tl_store_open(&store, table[i].uri, table[i].mode, &err), table[i].status);
        assert_string_equal(err.message, table[i].message);
        assert_null(store);
    }
    tl_store_close(NULL);
}

static void takes_no_kind_of_store_that_is_not_whole(void **state)
{
    (void)state;
    static const struct tally_store_ops old = { .version = 0, .scheme = "old" };
    static const struct tally_store_ops part = { .version = TALLY_STORE_VERSION, .scheme = "part" };
    check_status(tally_store_register(NULL, NULL), TALLY_EINVAL);
    check_status(tally_store_register(&old, NULL), TALLY_EINVAL);
    check_status(tally_store_register(&part, NULL), TALLY_EINVAL);
    struct tally_store *store = NULL;
    check_ok(tl_store_open(&store, "memory:1", TALLY_STORE_CREATE, NULL));
    check_status(tally_store_register(store->ops, NULL), TALLY_ECONFLICT); /* the name is taken */
    static struct tally_store_ops others[20];
    static char schemes[20][2];
    for (size_t i = 0; i < TL_ARRAY_LEN(others); i++) {
        schemes[i][0] = (char)('a' + i);
        others[i] = *store->ops;
        others[i].scheme = schemes[i];
        check_status(tally_store_register(&others[i], NULL), i < 14 ? TALLY_OK : TALLY_ELIMIT);
    }
    tl_store_close(store);
}

static void refuses_more_than_it_was_made_for(void **state)
{
    (void)state;
    struct tally_store *store = NULL;
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_head head = { 0 };
    check_ok(tl_store_open(&store, "memory:10", TALLY_STORE_CREATE, NULL));
    check_ok(fill_append(store, &head, 8, NULL));
    check_status(fill_append(store, &head, 3, &err), TALLY_ELIMIT);
    assert_string_equal(err.message, "memory store is full (10 records)");
    check_ok(fill_append(store, &head, 2, NULL));
    fill_check(store, 10);
    tl_store_close(store);
}

struct kept {
    uint64_t leaves, contents, first_content;
};

static tally_status count_kept(void *ctx, const struct tally_record *record)
{
    struct kept *kept = ctx;
    kept->leaves++;
    if (record->event != NULL || record->seed != NULL) {
        kept->first_content = kept->contents++ == 0 ? record->seq : kept->first_content;
    }
    return TALLY_OK;
}

static void drops_the_oldest_content_and_keeps_its_leaf(void **state)
{
    (void)state;
    struct tally_store *store = NULL;
    struct tally_store *reader = NULL;
    struct tally_head head = { 0 };
    check_ok(tl_store_open(&store, "memory:10?full=drop", TALLY_STORE_CREATE, NULL));
    assert_true((tl_store_caps(store) & TALLY_STORE_VOLATILE) != 0);
    check_ok(fill_append(store, &head, 10, NULL));
    fill_check(store, 10);
    check_ok(tl_store_open_reader(store, &reader, NULL));
    check_ok(tl_store_begin_read(reader, NULL));
    check_ok(fill_append(store, &head, 5, NULL));
    fill_check(reader, 10); /* what it saw at first stays until it is done */
    struct kept kept = { 0 };
    check_ok(tl_store_scan(store, 0, UINT64_MAX, count_kept, &kept, NULL));
    assert_true(kept.leaves == 15 && kept.first_content == 6); /* 5 is a control record */
    tl_store_end_read(reader);
    check_ok(fill_append(store, &head, 2, NULL));
    kept = (struct kept){ 0 };
    check_ok(tl_store_scan(reader, 0, UINT64_MAX, count_kept, &kept, NULL));
    assert_true(kept.leaves == 17 && kept.first_content == 7);
    tl_store_close(reader);
    tl_store_close(store);
}

/* Appends to an empty store; after a failure nothing of it may be there. */
static tally_status append_some(const void *ctx)
{
    struct tally_store *store = NULL;
    struct tally_head head = { 0 };
    TL_TRY(tl_store_open(&store, ctx, TALLY_STORE_CREATE, NULL));
    tally_status status = fill_append(store, &head, 257, NULL);
    struct tally_head now;
    check_ok(tl_store_head(store, &now, NULL));
    assert_int_equal(now.size, status == TALLY_OK ? 257 : 0);
    if (status != TALLY_OK) {
        bool (*saved)(void) = tl_alloc_should_fail;
        tl_alloc_should_fail = NULL;
        fill_check(store, 0);
        check_ok(fill_append(store, &head, 257, NULL)); /* the same once more, from a clean slate */
        fill_check(store, 257);
        tl_alloc_should_fail = saved;
    }
    tl_store_close(store);
    return status;
}

static void keeps_nothing_of_a_batch_that_runs_out_of_memory(void **state)
{
    (void)state;
    assert_true(fault_each_alloc(append_some, "memory:300") > 0);
}

static void a_set_of_ids_forgets_the_last_ones_only(void **state)
{
    (void)state;
    struct tl_idset set;
    tl_idset_init(&set);
    uint8_t id[TALLY_LEAF_ID_LEN];
    for (uint64_t seq = 1; seq < 3000; seq++) {
        fill_id(id, seq * 5 + 1);
        check_ok(tl_idset_reserve(&set, 1, NULL));
        assert_true(tl_idset_add(&set, id, seq));
        assert_false(tl_idset_add(&set, id, seq + 1));
    }
    tl_idset_truncate(&set, 1000);
    for (uint64_t seq = 1; seq < 3000; seq++) {
        fill_id(id, seq * 5 + 1);
        assert_int_equal(tl_idset_find(&set, id), seq <= 1000 ? seq : TALLY_SEQ_NONE);
    }
    tl_idset_truncate(&set, 0);
    fill_id(id, 6);
    assert_int_equal(tl_idset_find(&set, id), TALLY_SEQ_NONE);
    assert_true(tl_idset_add(&set, id, 1));
    tl_idset_release(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_it_cannot_open),
        cmocka_unit_test(refuses_more_than_it_was_made_for),
        cmocka_unit_test(drops_the_oldest_content_and_keeps_its_leaf),
        cmocka_unit_test(keeps_nothing_of_a_batch_that_runs_out_of_memory),
        cmocka_unit_test(a_set_of_ids_forgets_the_last_ones_only),
        cmocka_unit_test(takes_no_kind_of_store_that_is_not_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
