/*
 * tests/support/erasing.h - what the tests of erasures share: one record with a value in every kind of
 * member, and orders to erase.
 */
#ifndef TESTS_ERASING_H
#define TESTS_ERASING_H

#include <tally/tally.h>

#include <string.h>

#include "check.h"
#include "support/site.h"

static const struct tally_actor dpo = { .by = "dpo", .reason = "GDPR 17", .ticket = "DSR-9" };

/* A ledger with one record that has a value in every kind of member. */
#define SHORT  "Zq7"
#define NAME   "Quibblethwaite \xf0\x9f\x90\xa7\xf0\x9d\x94\x98"
#define NUMBER "8675309.25"
#define FULL                                                                                     \
    "{'id':'full','action':'user.update','actor':{'id':'u-41','name':'" NAME "','type':'user'}," \
    "'targets':[{'id':'t-17','type':'doc'}],'metadata':{'n':" NUMBER ",'s':'" SHORT "'},"        \
    "'reason':'because of Xylophonic','source':{'ip':'203.0.113.77','service':'web'},"           \
    "'occurred_at':'2026-01-01T00:00:00Z'}"

static inline void append(struct tally_ledger *ledger, const char *quoted)
{
    struct tally_error error = TALLY_ERROR_INIT;
    size_t size = strlen(quoted) + 1;
    char *text = tl_alloc_array(size, 1);
    assert_non_null(text);
    site_unquote(text, size, quoted);
    tally_status status = tally_append(ledger, text, size - 1, NULL, &error);
    if (status != TALLY_OK) {
        print_error("%s\n", error.message);
    }
    check_ok(status);
    tl_free(text);
}

/* The item of an id; the page is freed with tally_page_free(). */
static inline struct tally_page *get(struct tally_ledger *ledger, const char *id)
{
    struct tally_page *page = NULL;
    check_ok(tally_get_by_id(ledger, id, &page, NULL));
    assert_int_equal(page->count, 1);
    return page;
}

static inline void expect_state(struct tally_ledger *ledger, const char *id, const char *state)
{
    struct tally_page *page = get(ledger, id);
    assert_string_equal(page->items[0].state, state);
    tally_page_free(page);
}

static inline struct tally_erase_options by_id(const char *id, const char *const *members,
                                               size_t count)
{
    struct tally_erase_options options = TALLY_ERASE_OPTIONS_INIT;
    options.id = id;
    options.members = members;
    options.member_count = count;
    return options;
}

static inline tally_status try_erase(struct tally_ledger *ledger,
                                     const struct tally_erase_options *options,
                                     struct tally_erased *erased, struct tally_error *error)
{
    *erased = (struct tally_erased){ .seq = 0 };
    *error = (struct tally_error)TALLY_ERROR_INIT;
    return tally_erase(ledger, options, &dpo, erased, NULL, error);
}

static inline struct tally_erased erase(struct tally_ledger *ledger,
                                        const struct tally_erase_options *options)
{
    struct tally_error error = TALLY_ERROR_INIT;
    struct tally_erased erased = { .seq = 0 };
    tally_status status = tally_erase(ledger, options, &dpo, &erased, NULL, &error);
    if (status != TALLY_OK) {
        print_error("%s\n", error.message);
    }
    check_ok(status);
    return erased;
}

#endif /* TESTS_ERASING_H */
