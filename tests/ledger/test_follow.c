/* Writers without the lock: they append through who has it, and take its place when it goes. */
#include <tally/tally.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "fault.h"
#include "support/logs.h"
#include "support/site.h"
#include "support/spooled.h"

#define BATCH 300u

static struct site site;

static int set_up(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    site_init(&site, *state, NULL, 0);
    return 0;
}

/* A child process that runs `run` when it is told to, says so when it has, and waits to be killed. */
struct child {
    pid_t pid;
    int ready; /* becomes readable once `run` is done, or the child is dead */
};

static struct child child_start(void (*run)(void))
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct child child = { .pid = fork(), .ready = ends[0] };
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        (void)close(ends[0]);
        run();
        (void)!write(ends[1], "r", 1);
        for (;;) {
            (void)pause();
        }
    }
    assert_int_equal(close(ends[1]), 0);
    char byte = 0;
    assert_int_equal(read(child.ready, &byte, 1), 1);
    return child;
}

static void child_kill(const struct child *child)
{
    int status = 0;
    assert_int_equal(kill(child->pid, SIGKILL), 0);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(close(child->ready), 0);
}

/* For children: has the lock from now on. */
static void hold_lock(void)
{
    (void)site_append(logs_open(&site), "child", 1);
}

/* For children: leaves 100 events in the spool, as the store is not there. */
static void spool_hundred(void)
{
    struct tally_logger *logger = logs_logger(logs_open(&site), NULL);
    for (unsigned i = 0; i < 100; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "spooled/%u", i);
        check_ok(logs_one(logger, id, i));
    }
}

static void check_same_record(const struct tally_receipt *a, const struct tally_receipt *b)
{
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->level, b->level);
    assert_int_equal(a->seq, b->seq);
    assert_int_equal(a->recorded_us, b->recorded_us);
    assert_memory_equal(a->leaf_hash, b->leaf_hash, sizeof(a->leaf_hash));
    assert_string_equal(a->id, b->id);
    assert_true(a->seq < a->checkpoint_size && b->seq < b->checkpoint_size);
}

static void a_second_writer_appends_through_the_first(void **state)
{
    (void)state;
    struct tally_ledger *first = site_open(&site);
    struct tally_ledger *second = site_open(&site);
    assert_string_equal(tally_origin(second), tally_origin(first));

    struct tally_receipt one = site_append(second, "a", 1);
    assert_int_equal(one.level, TALLY_LEVEL_RECORDED);
    assert_int_equal(one.flags, 0);
    struct tally_receipt again = site_append(first, "a", 1);
    assert_int_equal(again.flags, TALLY_RECEIPT_DUPLICATE);
    check_same_record(&one, &again);
    again = site_append(second, "a", 1);
    assert_int_equal(again.flags, TALLY_RECEIPT_DUPLICATE);
    check_same_record(&one, &again);

    struct tally_page *page = NULL;
    check_ok(tally_get_by_id(second, "a", &page, NULL));
    assert_int_equal(page->items[0].seq, one.seq);
    assert_memory_equal(page->items[0].leaf_hash, one.leaf_hash, sizeof(one.leaf_hash));
    tally_page_free(page);

    struct tally_receipt without_id;
    static const char text[] = "{\"action\":\"test.event\"}";
    check_ok(tally_append(second, text, sizeof(text) - 1, &without_id, NULL));
    assert_int_equal(without_id.flags, TALLY_RECEIPT_ID_GENERATED);
    assert_int_equal(without_id.seq, one.seq + 1);
    assert_true(site_has(first, without_id.id));
    tally_close(second);
    tally_close(first);
    (void)site_verify(&site);
}

static void a_second_writer_is_told_of_conflicts(void **state)
{
    (void)state;
    struct tally_ledger *first = site_open(&site);
    struct tally_ledger *second = site_open(&site);
    struct tally_receipt taken = site_append(first, "a", 1);
    static const char text[] = "{\"id\":\"a\",\"action\":\"other\"}";
    struct tally_receipt receipt;
    struct tally_error err = TALLY_ERROR_INIT;
    check_status(tally_append(second, text, sizeof(text) - 1, &receipt, &err), TALLY_ECONFLICT);
    assert_string_equal(err.code, "id_conflict");
    assert_int_equal(receipt.status, TALLY_ECONFLICT);
    assert_int_equal(receipt.level, TALLY_LEVEL_NONE);
    assert_int_equal(receipt.seq, taken.seq);

    struct tally_events *events = NULL;
    struct tally_receipt receipts[3];
    check_ok(tally_events_new(&events, second, NULL));
    site_add(events, "b", 1);
    site_add(events, "a", 2);
    site_add(events, "c", 1);
    check_ok(tally_append_events(second, events, receipts, NULL));
    check_ok(receipts[0].status);
    check_status(receipts[1].status, TALLY_ECONFLICT);
    check_ok(receipts[2].status);
    assert_int_equal(receipts[2].seq, receipts[0].seq + 1);
    tally_events_free(events);

    tally_close(second);
    tally_close(first);
    struct tally_ledger *reader = site_open_read(&site);
    assert_int_equal(logs_gaps_of(reader, NULL).records, 0); /* whoever waits was told */
    tally_close(reader);
}

static void a_batch_through_the_first_keeps_its_order(void **state)
{
    (void)state;
    static struct tally_receipt receipts[BATCH];
    struct tally_ledger *first = site_open(&site);
    struct tally_ledger *second = site_open(&site);
    struct tally_events *events = NULL;
    check_ok(tally_events_new(&events, second, NULL));
    for (unsigned i = 0; i < BATCH; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "batch/%u", i);
        site_add(events, id, i);
    }
    check_ok(tally_append_events(second, events, receipts, NULL));
    for (unsigned i = 0; i < BATCH; i++) {
        check_ok(receipts[i].status);
        assert_int_equal(receipts[i].seq, receipts[0].seq + i);
        assert_true(receipts[i].checkpoint_size > receipts[i].seq);
    }
    tally_events_free(events);
    tally_close(second);
    tally_close(first);
    (void)site_verify(&site);
}

struct appender {
    pthread_t thread;
    struct tally_ledger *ledger;
    unsigned number;
};

static void *append_some(void *ctx)
{
    const struct appender *appender = ctx;
    for (unsigned i = 0; i < 20; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "%u/%u", appender->number, i);
        struct tally_receipt receipt = site_append(appender->ledger, id, i);
        assert_int_equal(receipt.level, TALLY_LEVEL_RECORDED);
        assert_int_equal(receipt.flags, 0);
    }
    return NULL;
}

static void many_threads_of_two_writers_append_at_once(void **state)
{
    (void)state;
    struct tally_ledger *ledgers[] = { site_open(&site), site_open(&site) };
    struct appender appenders[8];
    for (unsigned i = 0; i < 8; i++) {
        appenders[i] = (struct appender){ .ledger = ledgers[i % 2], .number = i };
        assert_int_equal(pthread_create(&appenders[i].thread, NULL, append_some, &appenders[i]), 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(appenders[i].thread, NULL), 0);
    }
    assert_int_equal(site_count(ledgers[1]), 160);
    tally_close(ledgers[1]);
    tally_close(ledgers[0]);
    (void)site_verify(&site);
}

static int64_t sequencer_pid(void)
{
    struct tally_activity activity = TALLY_ACTIVITY_INIT;
    struct tally_options options = logs_options(&site);
    check_ok(tally_activity_read(&options, &activity, NULL));
    return activity.sequencer_pid;
}

static void takes_over_when_the_first_closes(void **state)
{
    (void)state;
    struct tally_ledger *first = site_open(&site);
    struct tally_ledger *second = site_open(&site);
    (void)site_append(second, "before", 1);
    tally_close(first);
    struct tally_receipt receipt = site_append(second, "after", 2);
    assert_int_equal(receipt.level, TALLY_LEVEL_RECORDED);
    check_soon(sequencer_pid() == getpid());
    tally_close(second);
    assert_int_equal(sequencer_pid(), 0);
    (void)site_verify(&site);
    struct tally_ledger *reader = site_open_read(&site);
    assert_int_equal(site_count(reader), 2);
    tally_close(reader);
}

static void takes_over_within_a_second_when_the_first_is_killed(void **state)
{
    (void)state;
    struct child child = child_start(hold_lock);
    assert_int_equal(sequencer_pid(), child.pid);
    struct tally_ledger *ledger = site_open(&site);
    (void)site_append(ledger, "through the child", 1);
    child_kill(&child);
    int64_t killed_ms = logs_now_ms();
    struct tally_receipt receipt = site_append(ledger, "after", 2);
    int64_t took_ms = logs_now_ms() - killed_ms;
    assert_int_equal(receipt.level, TALLY_LEVEL_RECORDED);
    if (took_ms > 1000) {
        fail_msg("took over after %lld ms", (long long)took_ms);
    }
    assert_int_equal(sequencer_pid(), getpid());
    tally_close(ledger);
    (void)site_verify(&site);
}

static void who_waits_for_a_sequencer_that_hangs_is_told_in_time(void **state)
{
    (void)state;
    struct child child = child_start(hold_lock);
    assert_int_equal(kill(child.pid, SIGSTOP), 0);
    struct tally_ledger *ledger = logs_open(&site);
    struct tally_logger *logger = logs_logger(ledger, NULL);
    struct tally_log_options options = TALLY_LOG_OPTIONS_INIT;
    options.delivery = TALLY_DELIVERY_STRICT;
    options.timeout_ms = 300;
    struct tally_receipt receipt;
    int64_t began_ms = logs_now_ms();
    check_status(logs_put(logger, "strict", "a", 1, &options, &receipt), TALLY_EBUSY);
    int64_t took_ms = logs_now_ms() - began_ms;
    assert_true(took_ms >= 290 && took_ms < 5000);
    assert_int_equal(receipt.level, TALLY_LEVEL_QUEUED);
    assert_int_equal(logs_check_balance(logger).late, 1);

    struct tally_left left = { .struct_size = sizeof(left) };
    check_status(tally_flush(logger, TALLY_LEVEL_RECORDED, 100, &left, NULL), TALLY_EBUSY);
    assert_int_equal(left.events, 2); /* with the policy, that the logger recorded */

    assert_int_equal(kill(child.pid, SIGCONT), 0);
    logs_flush(logger);
    assert_true(site_has(ledger, "strict"));
    tally_logger_close(logger, 0, NULL);
    child_kill(&child);
    tally_close(ledger);
}

static void who_appends_while_nobody_records_is_told(void **state)
{
    (void)state;
    logs_hide_store(&site);
    struct tally_ledger *ledger = logs_open(&site);
    static const char text[] = "{\"id\":\"a\",\"action\":\"a\"}";
    struct tally_error err = TALLY_ERROR_INIT;
    int64_t began_ms = logs_now_ms();
    check_status(tally_append(ledger, text, sizeof(text) - 1, NULL, &err), TALLY_EBUSY);
    assert_true(logs_now_ms() - began_ms < LOGS_SOON_MS);
    assert_true(err.message[0] != '\0');
    logs_show_store(&site);
    check_soon(sequencer_pid() == getpid());
    check_ok(tally_append(ledger, text, sizeof(text) - 1, NULL, NULL));
    tally_close(ledger);
    struct tally_ledger *reader = site_open_read(&site);
    assert_int_equal(site_count(reader), 1); /* late, not lost, and not twice */
    tally_close(reader);
}

static void who_appends_into_a_full_spool_while_nobody_records_is_told(void **state)
{
    (void)state;
    static const struct tally_setting small[] = { { "spool.max_bytes", "1MiB", "test" },
                                                  { "log.timeout_ms", "1", "test" } };
    static char text[200000];
    site.settings = small;
    site.setting_count = TL_ARRAY_LEN(small);
    logs_hide_store(&site);
    struct tally_ledger *ledger = logs_open(&site);
    struct tally_logger *logger = logs_logger(ledger, NULL);
    size_t len = (size_t)snprintf(text, sizeof(text), "{\"action\":\"a\",\"reason\":\"");
    for (unsigned i = 0; i < 1000; i++) {
        text[len++] = 'x';
    }
    len += (size_t)snprintf(text + len, sizeof(text) - len, "\"}");
    while (tally_log_text(logger, text, len, NULL, NULL, NULL) == TALLY_OK) {
    }
    assert_true(logs_check_balance(logger).lost > 0);
    int64_t began_ms = logs_now_ms();
    struct tally_error err = TALLY_ERROR_INIT;
    tally_status status = tally_append(ledger, text, len, NULL, &err);
    assert_true(status == TALLY_EBUSY || status == TALLY_ELIMIT);
    assert_true(logs_now_ms() - began_ms < LOGS_SOON_MS && err.message[0] != '\0');
    logs_show_store(&site);
    check_soon(sequencer_pid() == getpid());
    logs_flush(logger);
    assert_int_equal(logs_gaps_of(ledger, "spool full").events, logs_counts(logger).lost);
    tally_logger_close(logger, 0, NULL);
    tally_close(ledger);
    (void)site_verify(&site);
}

static void keeps_events_while_the_store_is_away(void **state)
{
    (void)state;
    logs_hide_store(&site);
    struct tally_ledger *refused = NULL;
    assert_true(site_try_open(&site, 1, &refused, NULL) != TALLY_OK); /* who is attended is told */
    struct tally_ledger *ledger = logs_open(&site);
    struct tally_logger *logger = logs_logger(ledger, NULL);
    for (unsigned i = 0; i < 50; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "away/%u", i);
        check_ok(logs_one(logger, id, i));
    }
    struct tally_left left = { .struct_size = sizeof(left) };
    check_status(tally_flush(logger, TALLY_LEVEL_RECORDED, 50, &left, NULL), TALLY_EBUSY);
    assert_true(left.events > 0); /* the store cannot be asked which ones: all that there may be */
    assert_int_equal(logs_spool_files(&site, "trouble.txt"), 0);
    logs_show_store(&site);
    logs_flush(logger);
    for (unsigned i = 0; i < 50; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "away/%u", i);
        assert_true(site_has(ledger, id));
    }
    assert_int_equal(logs_gaps_of(ledger, NULL).records, 0);
    check_ok(tally_record_act(ledger, "tally.test", NULL, NULL, NULL, NULL));
    assert_string_equal(tally_origin(ledger), "test.example/site");
    tally_logger_close(logger, 1000, NULL);
    tally_close(ledger);
    (void)site_verify(&site);
}

static void adopts_what_a_dead_process_left(void **state)
{
    (void)state;
    logs_hide_store(&site);
    struct child child = child_start(spool_hundred);
    child_kill(&child);
    logs_show_store(&site);
    assert_true(logs_spool_files(&site, ".seg") > 0);
    struct tally_ledger *ledger = site_open(&site);
    check_soon(logs_spool_files(&site, ".seg") == 0);
    for (unsigned i = 0; i < 100; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "spooled/%u", i);
        assert_true(site_has(ledger, id));
    }
    assert_int_equal(logs_gaps_of(ledger, NULL).records, 0);
    tally_close(ledger);
    (void)site_verify(&site);
}

/* For children: logs the same ids again, with other contents. */
static void spool_taken_ids(void)
{
    struct tally_logger *logger = logs_logger(logs_open(&site), NULL);
    for (unsigned i = 0; i < 10; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "id/%u", i);
        check_ok(logs_put(logger, id, "another.event", i, NULL, NULL));
        check_ok(logs_one(logger, id, i)); /* what is there already is not refused */
    }
}

static void record_ten(void)
{
    struct tally_ledger *ledger = site_open(&site);
    for (unsigned i = 0; i < 10; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "id/%u", i);
        (void)site_append(ledger, id, i);
    }
    tally_close(ledger);
}

static void check_ten_refused(struct tally_ledger *ledger)
{
    check_soon(logs_spool_files(&site, ".seg") == 0);
    struct logs_gaps gaps = logs_gaps_of(ledger, NULL);
    assert_int_equal(gaps.events, 10);
    assert_int_equal(gaps.records, 1);
    assert_true(gaps.exact && gaps.from_us > 0 && gaps.from_us <= gaps.to_us);
    assert_int_equal(logs_gaps_of(ledger, "id taken by another event").records, 1);
    assert_int_equal(logs_count_action(ledger, "another.event", NULL, 0), 0);
}

static void refused_events_become_one_gap(void **state)
{
    (void)state;
    record_ten();
    struct tally_ledger *ledger = logs_open(&site);
    struct tally_logger *logger = logs_logger(ledger, NULL);
    for (unsigned i = 0; i < 10; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "id/%u", i);
        check_ok(logs_put(logger, id, "another.event", i, NULL, NULL));
    }
    logs_flush(logger);
    check_ten_refused(ledger);
    tally_logger_close(logger, 0, NULL);
    tally_close(ledger);
    (void)site_verify(&site);
}

/* Opens the ledger and works through its spool, dying at the nth file operation. False if it did not
 * come to that. */
static bool die_while_recording(size_t n)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        fault_die_at_io(n);
        struct tally_ledger *ledger = logs_open(&site);
        int64_t until_ms = logs_now_ms() + LOGS_SOON_MS;
        while (logs_spool_files(&site, ".seg") > 0 && logs_now_ms() < until_ms) {
            logs_pause();
        }
        tally_close(ledger);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

/* The sequencer dies at one file operation after the other, and the next one goes on. */
static void refused_events_become_one_gap_whenever_the_sequencer_dies(void **state)
{
    record_ten();
    logs_hide_store(&site);
    struct child child = child_start(spool_taken_ids);
    child_kill(&child);
    logs_show_store(&site);
    const struct site prepared = site;
    bool died = true;
    for (size_t n = 1; died; n += 3) {
        char name[32];
        (void)snprintf(name, sizeof(name), "run-%zu", n);
        check_path(site.dir, sizeof(site.dir), *state, name);
        site_copy(prepared.dir, site.dir);
        died = die_while_recording(n);
        (void)die_while_recording(n / 2 + 1);
        struct tally_ledger *ledger = site_open(&site);
        check_ten_refused(ledger);
        tally_close(ledger);
    }
    (void)site_verify(&site);
}

/* Records that are whole, and hold neither an event nor a gap: nobody but an intruder writes such. */
static void what_is_no_event_becomes_a_gap(void **state)
{
    (void)state;
    char spool[SITE_PATH_SIZE];
    check_path(spool, sizeof(spool), site.dir, "spool");
    struct spooled image = spooled_begin(1 << 16);
    (void)spooled_add(&image, 100);
    (void)spooled_add(&image, 20);
    (void)spooled_add_kind(&image, TL_SPOOL_GAP, 50);
    (void)spooled_add(&image, 3);
    spooled_write(spool, "0a.seg", &image);
    spooled_end(&image);
    struct tally_ledger *ledger = site_open(&site);
    check_soon(logs_spool_files(&site, ".seg") == 0);
    struct logs_gaps gaps = logs_gaps_of(ledger, NULL);
    assert_int_equal(gaps.events, 4);
    assert_int_equal(gaps.records, 1);
    assert_true(gaps.exact);
    (void)site_append(ledger, "a", 1);
    tally_close(ledger);
    (void)site_verify(&site);
}

static void a_gap_of_a_follower_is_declared_once(void **state)
{
    (void)state;
    struct tally_ledger *first = site_open(&site);
    struct tally_ledger *second = site_open(&site);
    check_ok(tally_declare_gap(second, 7, 0, 1000, 2000, "told by hand", NULL));
    tally_close(second);
    check_soon(logs_spool_files(&site, ".seg") == 0);
    struct logs_gaps gaps = logs_gaps_of(first, "told by hand");
    assert_int_equal(gaps.records, 1);
    assert_int_equal(gaps.events, 7);
    assert_false(gaps.exact);
    assert_int_equal(gaps.from_us, 1000);
    assert_int_equal(gaps.to_us, 2000);
    tally_close(first);
    (void)site_verify(&site);
}

static void put_gap_into(const char *spool, const char *name)
{
    static const char text[] = "{\"count\":7,\"exact\":true,\"from\":1000,\"reason\":\"told\","
                               "\"source\":\"log/1\",\"to\":2000}";
    struct spooled image = spooled_begin(1 << 16);
    uint8_t *room = image.bytes + image.at;
    const struct tl_spool_record record = { .kind = TL_SPOOL_GAP, .len = sizeof(text) - 1 };
    memcpy(room + TL_SPOOL_HEADER_LEN, text, sizeof(text) - 1);
    tl_spool_encode(room, &record, SPOOLED_NONCE);
    spooled_write(spool, "making", &image);
    spooled_end(&image);
    char from[SITE_PATH_SIZE];
    char to[SITE_PATH_SIZE];
    check_path(from, sizeof(from), spool, "making");
    check_path(to, sizeof(to), spool, name);
    assert_int_equal(rename(from, to), 0);
}

/* A segment that cannot be synced is copied, gaps and all. */
static void a_gap_in_two_segments_is_declared_once(void **state)
{
    (void)state;
    char spool[SITE_PATH_SIZE];
    check_path(spool, sizeof(spool), site.dir, "spool");
    struct tally_ledger *ledger = site_open(&site);
    put_gap_into(spool, "0a.seg");
    put_gap_into(spool, "0b.seg");
    check_soon(logs_spool_files(&site, ".seg") == 0);
    struct logs_gaps gaps = logs_gaps_of(ledger, NULL);
    assert_int_equal(gaps.records, 1);
    assert_int_equal(gaps.events, 7);
    tally_close(ledger);
    (void)site_verify(&site);
}

static tally_status append_as_second(void)
{
    static unsigned round_number;
    char id[32];
    struct tally_ledger *second = NULL;
    (void)snprintf(id, sizeof(id), "round/%u", round_number++);
    TL_TRY(site_try_open(&site, 1, &second, NULL));
    char text[128];
    int len = snprintf(text, sizeof(text), "{\"id\":\"%s\",\"action\":\"a\"}", id);
    tally_status status = tally_append(second, text, (size_t)len, NULL, NULL);
    tally_close(second);
    return status;
}

static tally_status follow_once(const void *ctx)
{
    (void)ctx;
    struct tally_ledger *first = NULL;
    TL_TRY(site_try_open(&site, 1, &first, NULL));
    tally_status status = append_as_second();
    tally_close(first);
    return status;
}

static void a_follower_survives_each_failed_allocation(void **state)
{
    (void)state;
    assert_true(fault_each_alloc_or_ok(follow_once, NULL) > 10);
    (void)site_verify(&site);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, check_rmdir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_second_writer_appends_through_the_first),
        TEST(a_second_writer_is_told_of_conflicts),
        TEST(a_batch_through_the_first_keeps_its_order),
        TEST(many_threads_of_two_writers_append_at_once),
        TEST(takes_over_when_the_first_closes),
        TEST(takes_over_within_a_second_when_the_first_is_killed),
        TEST(who_waits_for_a_sequencer_that_hangs_is_told_in_time),
        TEST(who_appends_while_nobody_records_is_told),
        TEST(who_appends_into_a_full_spool_while_nobody_records_is_told),
        TEST(keeps_events_while_the_store_is_away),
        TEST(adopts_what_a_dead_process_left),
        TEST(refused_events_become_one_gap),
        TEST(refused_events_become_one_gap_whenever_the_sequencer_dies),
        TEST(what_is_no_event_becomes_a_gap),
        TEST(a_gap_of_a_follower_is_declared_once),
        TEST(a_gap_in_two_segments_is_declared_once),
        TEST(a_follower_survives_each_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
