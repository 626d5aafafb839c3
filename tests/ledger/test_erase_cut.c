/* Erasures that were cut short: however many there are, the next one finishes all of them. */
#include <tally/tally.h>

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "support/site.h"

static const struct tally_actor dpo = { .by = "dpo", .reason = "GDPR 17" };

/* Records m/0 to m/<count - 1>: several batches of a removal. */
#define COUNT     1600u
#define FIRST_END 300u /* the first erasure is of those before it */

static uint64_t seq_of(struct tally_ledger *ledger, const char *id)
{
    struct tally_page *page = NULL;
    check_ok(tally_get_by_id(ledger, id, &page, NULL));
    uint64_t seq = page->items[0].seq;
    tally_page_free(page);
    return seq;
}

static void fill(struct tally_ledger *ledger)
{
    static struct tally_receipt receipts[COUNT];
    struct tally_events *events = NULL;
    check_ok(tally_events_new(&events, ledger, NULL));
    for (unsigned i = 0; i < COUNT; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "m/%u", i);
        site_add(events, id, i);
    }
    check_ok(tally_append_events(ledger, events, receipts, NULL));
    tally_events_free(events);
}

typedef int progress_fn(void *ctx, uint64_t done, uint64_t total);

static int stop(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    return done < total;
}

static int die(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    assert_true(done < total);
    return kill(getpid(), SIGKILL);
}

static tally_status erase(struct tally_ledger *ledger, uint64_t first, uint64_t last,
                          progress_fn *progress)
{
    const struct tally_range range = { first, last };
    struct tally_erase_options options = TALLY_ERASE_OPTIONS_INIT;
    struct tally_erased erased;
    options.selection.ranges = &range;
    options.selection.range_count = 1;
    options.progress = progress;
    return tally_erase(ledger, &options, &dpo, &erased, NULL, NULL);
}

static void hold(struct tally_ledger *ledger, uint64_t seq)
{
    const struct tally_range range = { seq, seq };
    const struct tally_selection selection = { .ranges = &range, .range_count = 1 };
    struct tally_held held;
    check_ok(tally_hold_add(ledger, "late", &selection, 0, 0, &dpo, &held, NULL, NULL));
}

/* Erases the others, and dies after the first batch. */
static void die_while_erasing(const struct site *site, uint64_t first, uint64_t last)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct tally_ledger *ledger = site_open(site);
        _exit(erase(ledger, first, last, die) == TALLY_OK ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static void two_that_were_cut_short_are_finished(void **state)
{
    struct site site;
    site_init(&site, *state, NULL, 0);
    struct tally_ledger *ledger = site_open(&site);
    fill(ledger);
    uint64_t first = seq_of(ledger, "m/0");
    check_status(erase(ledger, first, first + FIRST_END - 1, stop), TALLY_ECANCELED);
    hold(ledger, first + FIRST_END - 1); /* it keeps the next one from finishing this one */
    tally_close(ledger);
    die_while_erasing(&site, first + FIRST_END, first + COUNT - 2);

    ledger = site_open(&site);
    assert_true(site_has(ledger, "m/299"));
    assert_true(site_has(ledger, "m/1598"));
    assert_false(site_has(ledger, "m/298"));
    check_ok(tally_hold_release(ledger, "late", &dpo, NULL, NULL));
    uint64_t another = site_append(ledger, "another", 1).seq;
    check_ok(erase(ledger, another, another, NULL));
    assert_false(site_has(ledger, "m/299"));
    assert_false(site_has(ledger, "m/1598"));
    assert_true(site_has(ledger, "m/1599"));
    tally_close(ledger);
    (void)site_verify(&site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_that_were_cut_short_are_finished, check_mkdir,
                                        check_rmdir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
