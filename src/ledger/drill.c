/* tally_drill(): copies the ledger, damages the copies, and looks whether verification tells. */
#include "ledger/drill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/io.h"
#include "ledger/events.h"
#include "ledger/remove.h"
#include "tree/tree.h"

#define EVENTS_MIN   16u /* so many whole events at least lie below full tiles, and above them */
#define COPIES_MAX   3u
#define SCHEME       "sqlite:"
#define CODES_SIZE   1024u
#define OWN_SETTINGS 3u /* that keep a copy within its directory */
#define KEY_FILE_MAX ((size_t)64 << 10)

static const char *const key_files[] = { "highwater", "trust.txt", "log.key", "state" };
#define PUBLIC_FILES 2u /* of these */

const char *tl_drill_db(const struct tl_paths *paths)
{
    return paths->store + sizeof(SCHEME) - 1;
}

tally_status tl_drill_open(struct tl_drill *drill, struct tally_error *err)
{
    return drill->db != NULL ? TALLY_OK
                             : tl_tamper_open(&drill->db, tl_drill_db(&drill->damaged), err);
}

void tl_drill_close(struct tl_drill *drill)
{
    tl_tamper_close(TL_TAKE(drill->db));
}

/* Without a sync: a copy that is lost with the machine is no loss. */
static tally_status write_file(const char *path, const char *bytes, size_t len,
                               struct tally_error *err)
{
    int fd = tl_io->open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot create '%s'", path);
    }
    tally_status status = tl_io_write_at(fd, bytes, len, 0, err);
    tl_io_closep(&fd);
    return status;
}

static tally_status copy_key(const char *from, const char *to, const char *name,
                             struct tally_error *err)
{
    char path[TL_PATH_SIZE];
    char *bytes = NULL;
    size_t len = 0;
    TL_TRY(tl_path_join(path, from, name, err));
    TL_TRY(tl_io_read_file(path, KEY_FILE_MAX, &bytes, &len, err));
    tally_status status = tl_path_join(path, to, name, err);
    if (status == TALLY_OK) {
        status = write_file(path, bytes, len, err);
    }
    explicit_bzero(bytes, len);
    tl_free(bytes);
    return status;
}

static tally_status make_directory(const char *path, struct tally_error *err)
{
    if (tl_io->mkdir(path, 0700) != 0) {
        tally_status status = errno == EEXIST ? TALLY_ECONFLICT : TALLY_EIO;
        return tl_fail_errno(err, status, errno, "cannot make directory '%s'", path);
    }
    return TALLY_OK;
}

/* What copy_token() copies between. */
struct tokens {
    char from[TL_PATH_SIZE];
    char to[TL_PATH_SIZE];
    struct tally_error *err;
};

static tally_status copy_token(void *ctx, const char *name)
{
    const struct tokens *tokens = ctx;
    return copy_key(tokens->from, tokens->to, name, tokens->err);
}

static tally_status copy_tokens(const struct tl_paths *from, const struct tl_paths *to,
                                struct tally_error *err)
{
    struct tokens tokens = { .err = err };
    struct tally_error why = TALLY_ERROR_INIT;
    TL_TRY(tl_path_join(tokens.from, from->dir, "anchors", err));
    TL_TRY(tl_path_join(tokens.to, to->dir, "anchors", err));
    TL_TRY(make_directory(tokens.to, err));
    tally_status status = tl_io_each_entry(tokens.from, copy_token, &tokens, &why);
    return status == TALLY_OK || status == TALLY_ENOTFOUND ? TALLY_OK
                                                           : tl_fail_with(err, status, &why);
}

static tally_status copy_ledger(const struct tl_paths *from, const struct tl_paths *to,
                                uint8_t needs, struct tally_error *err)
{
    tl_remove_tree(to->dir);
    TL_TRY(make_directory(to->dir, err));
    TL_TRY(make_directory(to->keys, err));
    TL_TRY(make_directory(to->checkpoints, err));
    size_t count = (needs & TL_ATTACK_KEYS) != 0 ? TL_ARRAY_LEN(key_files) : PUBLIC_FILES;
    for (size_t i = 0; i < count; i++) {
        TL_TRY(copy_key(from->keys, to->keys, key_files[i], err));
    }
    TL_TRY(copy_tokens(from, to, err));
    /* The index before the store: it may know less than the store has, never more. */
    if ((needs & TL_ATTACK_INDEX) != 0) {
        tally_status status = tl_tamper_copy(from->index, to->index, NULL);
        if (status == TALLY_ENOMEM) {
            return tl_fail(err, status, "cannot copy the index");
        }
        if (status != TALLY_OK) {
            (void)remove(to->index); /* a writer makes it anew */
        }
    }
    return tl_tamper_copy(tl_drill_db(from), tl_drill_db(to), err);
}

tally_status tl_drill_copy(const struct tl_drill *drill, const struct tl_paths *to, uint8_t needs,
                           struct tally_error *err)
{
    return copy_ledger(&drill->sound, to, needs, err);
}

tally_status tl_drill_replace(const struct tl_drill *drill, const struct tl_paths *from,
                              struct tally_error *err)
{
    return copy_ledger(from, &drill->damaged, TL_ATTACK_KEYS, err);
}

/* Whether the writer changed its epoch while it was being copied. */
static tally_status same_state(const struct tl_drill *drill, bool *same_out,
                               struct tally_error *err)
{
    char path[TL_PATH_SIZE];
    TL_CLEANUP(tl_secret_release) struct tl_secret live = { 0 };
    TL_CLEANUP(tl_secret_release) struct tl_secret copy = { 0 };
    TL_TRY(tl_path_join(path, drill->live.keys, "state", err));
    TL_TRY(tl_secret_read_sized(&live, path, 1, TL_KEYSTATE_LEN, err));
    TL_TRY(tl_path_join(path, drill->sound.keys, "state", err));
    TL_TRY(tl_secret_read_sized(&copy, path, 1, TL_KEYSTATE_LEN, err));
    *same_out = live.len == copy.len && tl_equal_const_time(live.bytes, copy.bytes, copy.len);
    return TALLY_OK;
}

static tally_status copy_live(const struct tl_drill *drill, struct tally_error *err)
{
    bool same = false;
    for (unsigned int i = 0; i < COPIES_MAX && !same; i++) {
        TL_TRY(copy_ledger(&drill->live, &drill->sound, TL_ATTACK_INDEX | TL_ATTACK_KEYS, err));
        TL_TRY(same_state(drill, &same, err));
    }
    return same ? TALLY_OK
                : tl_fail(err, TALLY_EBUSY, "the ledger changes its keys faster than it is copied");
}

static struct tally_options options_of(const struct tl_drill *drill, const struct tl_paths *paths)
{
    struct tally_options options = drill->options;
    options.uri = paths->dir;
    options.config_path = drill->config_path[0] == '\0' ? NULL : drill->config_path;
    options.settings = drill->settings;
    options.setting_count = drill->options.setting_count + OWN_SETTINGS;
    options.writable = 1;
    options.accept_clock = 1; /* it is the ledger itself that has to be told */
    return options;
}

static tally_status append(struct tally_ledger *ledger, struct tally_events *events, uint64_t count,
                           struct tally_error *err)
{
    static const char text[] =
        "{\"action\":\"tally.drill\",\"actor\":{\"id\":\"tally\",\"type\":\"system\"},"
        "\"metadata\":{\"copy\":true},\"severity\":\"low\",\"source\":{\"service\":\"tally\"}}";
    for (uint64_t i = 0; i < count; i++) {
        TL_TRY(tl_events_add(events, text, sizeof(text) - 1, 0, true, err));
    }
    TL_CLEANUP(tl_freep)
    struct tally_receipt *receipts = tl_alloc_array((size_t)count, sizeof(*receipts));
    if (receipts == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate receipts");
    }
    return tally_append_events(ledger, events, receipts, err);
}

tally_status tl_drill_ledger(const struct tl_drill *drill, const struct tl_paths *paths,
                             struct tally_ledger **ledger_out, struct tally_error *err)
{
    struct tally_options options = options_of(drill, paths);
    return tally_open(ledger_out, &options, err);
}

tally_status tl_drill_grow(const struct tl_drill *drill, const struct tl_paths *paths,
                           uint64_t count, struct tally_error *err)
{
    struct tally_ledger *ledger = NULL;
    struct tally_events *events = NULL;
    TL_TRY(tl_drill_ledger(drill, paths, &ledger, err));
    tally_status status = tally_events_new(&events, ledger, err);
    if (status == TALLY_OK) {
        status = append(ledger, events, count, err);
    }
    tally_events_free(events);
    tally_close(ledger);
    return status;
}

static tally_status read_size(const struct tl_drill *drill, uint64_t *size_out,
                              struct tally_error *err)
{
    struct tl_tamper *db = NULL;
    TL_TRY(tl_tamper_open(&db, tl_drill_db(&drill->sound), err));
    tally_status status = tl_tamper_get(db, "SELECT size FROM head", NULL, 0, NULL, size_out, err);
    tl_tamper_close(db);
    return status;
}

/* Events enough that full tiles lie over some of them, and not over others. */
static tally_status grow_sound(struct tl_drill *drill, struct tally_error *err)
{
    uint64_t size = 0;
    TL_TRY(tl_drill_grow(drill, &drill->sound, TL_ROLE_COUNT, err));
    TL_TRY(read_size(drill, &size, err));
    drill->life = size - TL_ROLE_COUNT;
    TL_TRY(tl_drill_live(drill, err));
    TL_TRY(tl_drill_copy(drill, &drill->older, TL_ATTACK_INDEX | TL_ATTACK_KEYS, err));
    TL_TRY(read_size(drill, &size, err));
    drill->late = size;
    uint64_t covered = size + EVENTS_MIN + TL_TILE_WIDTH;
    covered -= covered % TL_TILE_WIDTH;
    return tl_drill_grow(drill, &drill->sound, covered - size + EVENTS_MIN, err);
}

static tally_status find_whole(struct tl_tamper *db, uint64_t from, uint64_t end, uint64_t *seq_out,
                               struct tally_error *err)
{
    const struct tl_tamper_value range[] = { tl_tamper_number(from), tl_tamper_number(end) };
    return tl_tamper_get(db,
                         "SELECT seq FROM record WHERE seq >= ? AND seq < ? AND event IS NOT NULL "
                         "AND seed IS NOT NULL AND opened IS NULL ORDER BY seq LIMIT 1",
                         range, TL_ARRAY_LEN(range), NULL, seq_out, err);
}

/* Two events from the middle, so that there is something before and after them. */
static tally_status choose_victims(struct tl_drill *drill, struct tally_error *err)
{
    struct tl_tamper *db = NULL;
    TL_TRY(tl_tamper_open(&db, tl_drill_db(&drill->sound), err));
    tally_status status =
        tl_tamper_get(db, "SELECT size FROM head", NULL, 0, NULL, &drill->size, err);
    drill->covered = drill->size - drill->size % TL_TILE_WIDTH;
    if (status == TALLY_OK) {
        status = find_whole(db, drill->covered / 2, drill->covered, &drill->first, err);
    }
    if (status == TALLY_OK) {
        status = find_whole(db, drill->first + 1, drill->covered, &drill->second, err);
    }
    if (status == TALLY_OK) {
        status = find_whole(db, drill->late, drill->covered, &drill->late, err);
    }
    tl_tamper_close(db);
    return status;
}

/* Whether it was found before there was an attack. */
static bool is_usual(const struct tally_report *usual, const struct tally_finding *finding)
{
    for (size_t i = 0; usual != NULL && i < usual->finding_count; i++) {
        if (usual->findings[i].seq == finding->seq &&
            strcmp(usual->findings[i].code, finding->code) == 0) {
            return true;
        }
    }
    return false;
}

/* Each code once, comma-separated; what does not fit is left out. */
static void list_codes(char out[CODES_SIZE], const struct tally_report *report,
                       const struct tally_report *usual)
{
    struct tl_buf codes;
    tl_buf_init_fixed(&codes, out, CODES_SIZE);
    for (size_t i = 0; i < report->finding_count; i++) {
        const struct tally_finding *finding = &report->findings[i];
        bool known = finding->weight == TALLY_WEIGHT_NOTE || is_usual(usual, finding);
        for (size_t j = 0; j < i && !known; j++) {
            known = strcmp(report->findings[j].code, finding->code) == 0 &&
                    !is_usual(usual, &report->findings[j]);
        }
        if (!known) {
            tl_buf_addf(&codes, codes.len == 0 ? "%s" : ",%s", finding->code);
        }
    }
    out[codes.len] = '\0';
}

/* What was to be found was: and it is no mere remark that a verdict of VERIFIED goes with, unless
 * that is all the format says about it. */
static bool is_found(const struct tally_report *report, const struct tally_report *usual,
                     const char *code)
{
    for (size_t i = 0; i < report->finding_count; i++) {
        const struct tally_finding *finding = &report->findings[i];
        if (strcmp(finding->code, code) == 0 && !is_usual(usual, finding)) {
            return report->verdict != TALLY_VERDICT_VERIFIED ||
                   finding->weight == TALLY_WEIGHT_WARNING;
        }
    }
    return false;
}

static tally_status verify(const struct tl_drill *drill, const struct tl_paths *paths,
                           bool with_index, struct tally_report **report_out,
                           struct tally_error *err)
{
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    options.skip_index = with_index ? 0 : 1;
    options.against_path = drill->remembers ? drill->memory : NULL;
    return tl_verify_files(paths, &drill->config, &options, report_out, err);
}

/* Damage is seen on what was sound alone. The caller frees *report_out, also on failure. */
static tally_status require_sound(const struct tl_drill *drill, struct tally_report **report_out,
                                  struct tally_error *err)
{
    struct tally_report *report = NULL;
    TL_TRY(verify(drill, &drill->sound, true, &report, err));
    *report_out = report;
    tally_status status = TALLY_OK;
    if (report->verdict != TALLY_VERDICT_VERIFIED) {
        char codes[CODES_SIZE];
        list_codes(codes, report, NULL);
        status = tl_fail(err, TALLY_ECORRUPT,
                         "the ledger is %s as it is (%s): a drill needs a sound one",
                         tally_verdict_name(report->verdict), codes);
    }
    return status;
}

/* `origin` as of tally_init(). */
static tally_status make_other(const struct tl_drill *drill, const struct tl_paths *paths,
                               const char *origin, struct tally_error *err)
{
    struct tally_options options = options_of(drill, paths);
    struct tally_init_result result;
    tally_status status = tally_init(&options, origin, &result, err);
    explicit_bzero(&result, sizeof(result));
    TL_TRY(status);
    return tl_drill_grow(drill, paths, EVENTS_MIN, err);
}

static tally_status make_sound(struct tl_drill *drill, struct tally_error *err)
{
    struct tally_report *report = NULL;
    TL_TRY(copy_live(drill, err));
    tally_status status = require_sound(drill, &report, err);
    tally_report_free(report);
    TL_TRY(status);
    TL_TRY(grow_sound(drill, err));
    TL_TRY(choose_victims(drill, err));
    TL_TRY(require_sound(drill, &drill->usual, err));
    memcpy(drill->origin, drill->usual->origin, sizeof(drill->origin));
    TL_TRY(make_other(drill, &drill->other, NULL, err));
    return make_other(drill, &drill->namesake, drill->origin, err);
}

static tally_status tell(tally_drill_fn *fn, void *ctx, const struct tally_drill_row *row,
                         struct tally_error *err)
{
    return fn(ctx, row) == 0 ? TALLY_OK : tl_fail(err, TALLY_ECANCELED, "the drill was stopped");
}

static tally_status attack_once(struct tl_drill *drill, const struct tl_attack *attack,
                                tally_drill_fn *fn, void *ctx, uint64_t *missed,
                                struct tally_error *err)
{
    struct tally_error why = TALLY_ERROR_INIT;
    char codes[CODES_SIZE] = "";
    struct tally_drill_row row = { .attack = attack->name,
                                   .codes = codes,
                                   .expected = attack->expected,
                                   .told_by = attack->told_by };
    drill->remembers = false;
    TL_TRY(tl_drill_copy(drill, &drill->damaged, attack->needs, err));
    tally_status status = attack->run(drill, attack, &why);
    tl_drill_close(drill);
    if (status == TALLY_ENOTFOUND) {
        row.skipped = why.message;
        return tell(fn, ctx, &row, err);
    }
    if (status != TALLY_OK) {
        return tl_fail(err, status, "cannot %s: %s", attack->name, why.message);
    }
    struct tally_report *report = NULL;
    TL_TRY(verify(drill, &drill->damaged, (attack->needs & TL_ATTACK_INDEX) != 0, &report, err));
    row.found = is_found(report, drill->usual, attack->expected);
    if (attack->beyond != NULL && report->verdict == TALLY_VERDICT_VERIFIED) {
        row.skipped = attack->beyond;
    } else {
        list_codes(codes, report, drill->usual);
        *missed += row.found == 0;
    }
    tally_report_free(report);
    return tell(fn, ctx, &row, err);
}

static tally_status attack_all(struct tl_drill *drill, tally_drill_fn *fn, void *ctx,
                               uint64_t *missed_out, struct tally_error *err)
{
    uint64_t missed = 0;
    TL_TRY(make_sound(drill, err));
    for (size_t i = 0; drill->lists[i].count > 0; i++) {
        const struct tl_attack_list *list = &drill->lists[i];
        for (size_t k = 0; k < list->count; k++) {
            TL_TRY(attack_once(drill, &list->attacks[k], fn, ctx, &missed, err));
        }
    }
    *missed_out = missed;
    return TALLY_OK;
}

static tally_status place(struct tl_paths *paths, const char *work_dir, const char *name,
                          struct tally_error *err)
{
    char dir[TL_PATH_SIZE];
    TL_TRY(tl_path_join(dir, work_dir, name, err));
    return tl_paths_init(paths, dir, (struct tl_str){ 0 }, (struct tl_str){ 0 }, err);
}

/* All paths, and the settings that keep the copies' stores and keys in their own directories. */
static tally_status set_up(struct tl_drill *drill, const struct tally_options *options,
                           const char *work_dir, struct tally_error *err)
{
    if (drill->live.memory || strncmp(drill->live.store, SCHEME, sizeof(SCHEME) - 1) != 0) {
        return tl_fail(err, TALLY_ENOTSUP, "only a ledger in SQLite files can be copied");
    }
    size_t count = options->setting_count;
    drill->options = *options;
    drill->settings = tl_alloc_array(count + OWN_SETTINGS, sizeof(*drill->settings));
    if (drill->settings == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate settings");
    }
    for (size_t i = 0; i < count; i++) {
        drill->settings[i] = options->settings[i];
    }
    drill->settings[count] = (struct tally_setting){ "store", "sqlite", "drill" };
    drill->settings[count + 1] = (struct tally_setting){ "keys.dir", "keys", "drill" };
    drill->settings[count + 2] = (struct tally_setting){ "archive.dir", "none", "drill" };
    const char *config = options->config_path == NULL ? drill->live.config : options->config_path;
    char *text = NULL;
    size_t len = 0;
    if (tl_io_read_file(config, TL_CONFIG_BYTES_MAX, &text, &len, NULL) == TALLY_OK) {
        (void)snprintf(drill->config_path, sizeof(drill->config_path), "%s", config);
    }
    tl_free(text);
    TL_TRY(place(&drill->sound, work_dir, "sound", err));
    TL_TRY(place(&drill->damaged, work_dir, "damaged", err));
    TL_TRY(place(&drill->fork, work_dir, "fork", err));
    TL_TRY(place(&drill->other, work_dir, "other", err));
    TL_TRY(place(&drill->namesake, work_dir, "namesake", err));
    TL_TRY(place(&drill->older, work_dir, "older", err));
    return tl_path_join(drill->memory, work_dir, "remembered", err);
}

static tally_status drill_in(struct tl_drill *drill, const char *work_dir, tally_drill_fn *fn,
                             void *ctx, uint64_t *missed_out, struct tally_error *err)
{
    TL_TRY(make_directory(work_dir, err));
    tally_status status = attack_all(drill, fn, ctx, missed_out, err);
    tl_remove_tree(work_dir);
    return status;
}

tally_status tl_drill_run(const struct tally_options *options, const char *work_dir,
                          const struct tl_attack_list *lists, tally_drill_fn *fn, void *ctx,
                          uint64_t *missed_out, struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_drill *drill = tl_alloc_array(1, sizeof(*drill));
    if (drill == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a drill");
    }
    drill->lists = lists;
    TL_TRY(tl_options_read(options, &drill->live, &drill->config, err));
    tally_status status = set_up(drill, options, work_dir, err);
    if (status == TALLY_OK) {
        status = drill_in(drill, work_dir, fn, ctx, missed_out, err);
    }
    tally_report_free(drill->usual);
    if (drill->approver != NULL) {
        explicit_bzero(drill->approver, strlen(drill->approver));
    }
    tally_free(drill->approver);
    tl_free(drill->settings);
    tl_config_release(&drill->config);
    return status;
}

tally_status tally_drill(const struct tally_options *options, const char *work_dir,
                         tally_drill_fn *fn, void *ctx, uint64_t *missed_out,
                         struct tally_error *err)
{
    const struct tl_attack_list lists[] = { tl_attacks_on_files, tl_attacks_on_acts, { 0 } };
    return tl_drill_run(options, work_dir, lists, fn, ctx, missed_out, err);
}
