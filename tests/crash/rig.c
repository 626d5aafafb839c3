#include "crash/rig.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/parse.h"

#define RESTART_MS 2000
#define DRAIN_MS   10000
#define FLUSH_MS   10000u
#define LOG_MS     20000u

#define SETTINGS 2u

static void put_settings(const struct rig *rig, struct tally_setting settings[SETTINGS])
{
    const char *bytes = rig->segment_bytes == NULL ? "65536" : rig->segment_bytes;
    settings[0] = (struct tally_setting){ "epoch.seconds", "60", "test" };
    settings[1] = (struct tally_setting){ "spool.segment_bytes", bytes, "test" };
}

bool rig_complain(const char *what, const char *why)
{
    (void)fprintf(stderr, "%s: %s\n", what, why);
    return false;
}

void rig_sleep_us(uint64_t us)
{
    const struct timespec time = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };
    (void)nanosleep(&time, NULL);
}

uint64_t rig_number(const char *variable, const char *text)
{
    const char *given = getenv(variable);
    uint64_t value = 0;
    text = given != NULL ? given : text;
    return tl_parse_u64(text, strlen(text), UINT64_MAX, &value) == TALLY_OK ? value : 0;
}

int64_t rig_patience(void)
{
    return (int64_t)rig_number("CRASH_PATIENCE", "1");
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void rig_use(struct rig *rig, const char *dir, const char *oracle_path)
{
    (void)snprintf(rig->dir, sizeof(rig->dir), "%s", dir);
    (void)snprintf(rig->ledger, sizeof(rig->ledger), "%s/ledger", dir);
    (void)snprintf(rig->mac_key, sizeof(rig->mac_key), "%s/mac.key", dir);
    (void)snprintf(rig->oracle_path, sizeof(rig->oracle_path), "%s", oracle_path);
    rig->oracle = oracle_map(oracle_path);
}

bool rig_set_up(struct rig *rig, const char *name)
{
    char dir[256];
    char oracle[256];
    /* What a killed process wrote is there whatever the disk: memory is as good, and faster. */
    const char *base = getenv("CRASH_DIR");
    (void)snprintf(dir, sizeof(dir), "%s/tally-%s.XXXXXX", base != NULL ? base : "/dev/shm", name);
    if (mkdtemp(dir) == NULL) {
        return rig_complain("mkdtemp", dir);
    }
    (void)snprintf(oracle, sizeof(oracle), "/dev/shm/tally-oracle.%ld", (long)getpid());
    rig_use(rig, dir, oracle);
    return true;
}

void rig_tear_down(const struct rig *rig, bool good)
{
    (void)unlink(rig->oracle_path);
    if (good) {
        (void)nftw(rig->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    } else {
        (void)fprintf(stderr, "the ledger is left in %s\n", rig->dir);
    }
}

bool rig_make(struct rig *rig)
{
    struct tally_options options = TALLY_OPTIONS_INIT;
    struct tally_init_result made;
    struct tally_error error = TALLY_ERROR_INIT;
    (void)nftw(rig->ledger, remove_entry, 8, FTW_DEPTH | FTW_PHYS); /* need not be there */
    memset(rig->oracle, 0, sizeof(*rig->oracle));
    options.uri = rig->ledger;
    struct tally_setting settings[SETTINGS];
    put_settings(rig, settings);
    options.settings = settings;
    options.setting_count = SETTINGS;
    if (tally_init(&options, "test.example/crash", &made, &error) != TALLY_OK) {
        return rig_complain("init", error.message);
    }
    (void)unlink(rig->mac_key);
    FILE *file = fopen(rig->mac_key, "w");
    return file != NULL && chmod(rig->mac_key, 0600) == 0 && fputs(made.mac_key, file) >= 0 &&
           fclose(file) == 0;
}

bool rig_open(const struct rig *rig, struct tally_ledger **ledger_out,
              struct tally_logger **logger_out)
{
    struct tally_options options = TALLY_OPTIONS_INIT;
    struct tally_error error = TALLY_ERROR_INIT;
    options.uri = rig->ledger;
    struct tally_setting settings[SETTINGS];
    put_settings(rig, settings);
    options.settings = settings;
    options.setting_count = SETTINGS;
    options.writable = 1;
    options.unattended = 1;
    if (tally_open(ledger_out, &options, &error) != TALLY_OK) {
        return rig_complain("open", error.message);
    }
    return logger_out == NULL ||
           tally_logger_open(logger_out, *ledger_out, NULL, &error) == TALLY_OK ||
           rig_complain("logger", error.message);
}

tally_status rig_log(struct oracle *oracle, struct tally_logger *logger, char kind, unsigned slot,
                     uint64_t n, struct tally_error *err)
{
    struct tally_log_options options = TALLY_LOG_OPTIONS_INIT;
    struct tally_receipt receipt;
    size_t len = 0;
    TL_CLEANUP(tl_freep) char *text = oracle_text(slot, n, &len);
    enum tally_level wanted = TALLY_LEVEL_QUEUED;
    options.timeout_ms = LOG_MS;
    options.delivery =
        kind == 'b' || kind == 'u' ? TALLY_DELIVERY_BEST_EFFORT : TALLY_DELIVERY_DURABLE;
    if (kind == 's') {
        options.level = wanted = TALLY_LEVEL_SYNCED;
    } else if (kind == 'r') {
        options.delivery = TALLY_DELIVERY_STRICT;
        wanted = TALLY_LEVEL_RECORDED;
    }
    int64_t began = oracle_now_us();
    if (atomic_load(&oracle->slots[slot].started) < n) {
        atomic_store(&oracle->slots[slot].started, n);
    }
    TL_TRY(tally_log_text(logger, text, len, &options, &receipt, err));
    tl_assert(receipt.level >= wanted); /* TALLY_OK says so */
    if (kind != 'u') {
        atomic_store(&oracle->slots[slot].acked, n);
    }
    if (receipt.level >= TALLY_LEVEL_RECORDED) {
        atomic_store(&oracle->slots[slot].proved_us, began);
    }
    return TALLY_OK;
}

uint64_t rig_started(const struct rig *rig)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < ORACLE_SLOTS; i++) {
        count += atomic_load(&rig->oracle->slots[i].started);
    }
    return count;
}

pid_t rig_start(const char *const *arguments)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        static char texts[16][RIG_PATH_SIZE + 16]; /* execv() wants what may be changed */
        char *copies[TL_ARRAY_LEN(texts)] = { NULL };
        for (size_t i = 0; arguments[i] != NULL && i + 1 < TL_ARRAY_LEN(texts); i++) {
            (void)snprintf(texts[i], sizeof(texts[i]), "%s", arguments[i]);
            copies[i] = texts[i];
        }
        (void)execv(texts[0], copies);
        _exit(127);
    }
    return pid;
}

bool rig_kill(pid_t pid)
{
    int status = 0;
    if (pid < 0 || kill(pid, SIGKILL) != 0 || waitpid(pid, &status, 0) != pid) {
        return rig_complain("kill", "no process");
    }
    return !WIFEXITED(status) || rig_complain("writer", "ended by itself");
}

/* Which events of a slot are there. */
struct seen {
    uint64_t started;
    uint64_t newest;
    bool *stored; /* [started + 1] */
};

struct reading {
    const struct rig *rig;
    struct rig_found *found;
    struct seen slots[ORACLE_SLOTS];
};

static bool check_item(struct reading *reading, const struct tally_item *item)
{
    uint64_t slot = 0;
    uint64_t n = 0;
    const char *slash = strchr(item->id, '/');
    if (item->id[0] != 'w' || slash == NULL ||
        tl_parse_u64(item->id + 1, (size_t)(slash - item->id) - 1, ORACLE_SLOTS - 1, &slot) !=
            TALLY_OK ||
        tl_parse_u64(slash + 1, strlen(slash + 1), UINT64_MAX, &n) != TALLY_OK) {
        return rig_complain("no event of ours", item->id);
    }
    struct seen *seen = &reading->slots[slot];
    if (n == 0 || n > seen->started) {
        return rig_complain("a record that nobody handed in", item->id);
    }
    if (seen->stored[n]) {
        return rig_complain("there twice", item->id);
    }
    seen->stored[n] = true;
    reading->found->stored++;
    reading->found->displaced += n < seen->newest ? 1 : 0;
    seen->newest = n > seen->newest ? n : seen->newest;
    size_t len = 0;
    TL_CLEANUP(tl_freep) char *text = oracle_text((unsigned)slot, n, &len);
    if (item->event == NULL || len != item->event_len || memcmp(item->event, text, len) != 0) {
        return rig_complain("changed", item->id);
    }
    return true;
}

static bool read_all(struct tally_ledger *ledger, struct reading *reading)
{
    static const struct tally_condition ours = { "action", "crash.test" };
    struct tally_query query = TALLY_QUERY_INIT;
    char cursor[128] = "";
    query.conditions = &ours;
    query.condition_count = 1;
    query.ascending = 1;
    query.limit = 1000;
    bool more = true;
    bool good = true;
    while (more && good) {
        struct tally_page *page = NULL;
        struct tally_error error = TALLY_ERROR_INIT;
        if (tally_find(ledger, &query, &page, &error) != TALLY_OK) {
            return rig_complain("find", error.message);
        }
        for (size_t i = 0; i < page->count && good; i++) {
            good = check_item(reading, &page->items[i]);
        }
        more = page->next != NULL;
        if (more) {
            (void)snprintf(cursor, sizeof(cursor), "%s", page->next);
            query.cursor = cursor;
        }
        tally_page_free(page);
    }
    return good;
}

static bool check_promises(const struct reading *reading)
{
    for (unsigned i = 0; i < ORACLE_SLOTS; i++) {
        uint64_t acked = atomic_load(&reading->rig->oracle->slots[i].acked);
        for (uint64_t n = 1; n <= reading->slots[i].started; n++) {
            bool stored = reading->slots[i].stored[n];
            reading->found->unacked += stored && n > acked ? 1 : 0;
            if (!stored && n <= acked) {
                (void)fprintf(stderr, "w%u/%llu of %llu acknowledged is not there\n", i,
                              (unsigned long long)n, (unsigned long long)acked);
                return false;
            }
        }
    }
    return true;
}

static bool check_events(const struct rig *rig, struct tally_ledger *ledger,
                         struct rig_found *found)
{
    struct reading reading = { .rig = rig, .found = found };
    for (unsigned i = 0; i < ORACLE_SLOTS; i++) {
        reading.slots[i].started = atomic_load(&rig->oracle->slots[i].started);
        reading.slots[i].stored = tl_alloc_array(reading.slots[i].started + 1, sizeof(bool));
        if (reading.slots[i].stored == NULL) {
            abort();
        }
    }
    bool good = read_all(ledger, &reading) && check_promises(&reading);
    for (unsigned i = 0; i < ORACLE_SLOTS; i++) {
        tl_free(reading.slots[i].stored);
    }
    return good && (rig->logs || found->displaced == 0 || rig_complain("events", "displaced"));
}

static bool check_verdict(const struct rig *rig)
{
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    struct tally_report *report = NULL;
    struct tally_error error = TALLY_ERROR_INIT;
    options.mac_key_path = rig->mac_key;
    if (tally_verify_at(rig->ledger, &options, &report, &error) != TALLY_OK) {
        return rig_complain("verify", error.message);
    }
    bool good = report->verdict == TALLY_VERDICT_VERIFIED && report->skipped == 0;
    for (size_t i = 0; i < report->finding_count && !good; i++) {
        (void)rig_complain(report->findings[i].code, report->findings[i].what);
    }
    tally_report_free(report);
    return good;
}

static bool look(const struct rig *rig, struct tally_activity *activity)
{
    struct tally_options options = TALLY_OPTIONS_INIT;
    struct tally_error error = TALLY_ERROR_INIT;
    *activity = (struct tally_activity){ .struct_size = sizeof(*activity) };
    options.uri = rig->ledger;
    return tally_activity_read(&options, activity, &error) == TALLY_OK ||
           rig_complain("activity", error.message);
}

/* What dead processes left in the spool is recorded without being asked for. */
static bool wait_for_drain(const struct rig *rig, struct rig_found *found)
{
    struct tally_activity activity;
    int64_t start = oracle_now_us();
    do {
        if (!look(rig, &activity)) {
            return false;
        }
        found->drain_ms = (oracle_now_us() - start) / 1000;
        if (activity.spool_segments == 0) {
            return true;
        }
        rig_sleep_us(500);
    } while (found->drain_ms < DRAIN_MS);
    (void)fprintf(stderr, "left in the spool: %llu segments, %llu events, trouble '%s'\n",
                  (unsigned long long)activity.spool_segments,
                  (unsigned long long)activity.spool_events, activity.trouble);
    return false;
}

static bool check_account(const struct rig *rig, struct rig_found *found)
{
    struct tally_activity activity;
    if (!look(rig, &activity)) {
        return false;
    }
    found->declared = activity.dropped;
    found->quarantined = activity.quarantined;
    if (activity.sequencer_pid != 0) {
        return rig_complain("activity", "the ledger is closed, but somebody has its lock");
    }
    if (found->quarantined != 0 && !rig->may_be_torn) {
        return rig_complain("activity", "segments were put aside as damaged");
    }
    if (found->declared > rig->gaps_max) {
        (void)fprintf(stderr, "%llu events declared as lost, at most %llu can be\n",
                      (unsigned long long)found->declared, (unsigned long long)rig->gaps_max);
        return false;
    }
    return true;
}

bool rig_check(const struct rig *rig, struct rig_found *found_out)
{
    struct tally_ledger *ledger = NULL;
    struct tally_logger *logger = NULL;
    *found_out = (struct rig_found){ 0 };
    if (!check_verdict(rig)) {
        return rig_complain("as the crash left it", "not VERIFIED");
    }
    int64_t start = oracle_now_us();
    if (!rig_open(rig, &ledger, rig->logs ? &logger : NULL)) {
        return false;
    }
    found_out->restart_ms = (oracle_now_us() - start) / 1000;
    struct tally_info info = { 0 };
    struct tally_error error = TALLY_ERROR_INIT;
    bool good = !rig->logs ||
                tally_flush(logger, TALLY_LEVEL_RECORDED, FLUSH_MS, NULL, &error) == TALLY_OK ||
                rig_complain("flush", error.message);
    good = good && wait_for_drain(rig, found_out) && check_events(rig, ledger, found_out) &&
           tally_info(ledger, &info, NULL) == TALLY_OK;
    found_out->epoch = info.epoch;
    tally_logger_close(logger, FLUSH_MS, NULL);
    tally_close(ledger);
    if (found_out->restart_ms > RESTART_MS * rig_patience()) {
        return rig_complain("open", "took too long");
    }
    return good && check_account(rig, found_out) && check_verdict(rig);
}

bool rig_conserves(const struct rig *rig, const struct rig_found *found, uint64_t refused)
{
    uint64_t handed_in = rig_started(rig) + refused;
    if (handed_in == found->stored + refused + found->declared) {
        return true;
    }
    (void)fprintf(stderr, "%llu handed in, but %llu stored, %llu refused, %llu declared as lost\n",
                  (unsigned long long)handed_in, (unsigned long long)found->stored,
                  (unsigned long long)refused, (unsigned long long)found->declared);
    return false;
}
