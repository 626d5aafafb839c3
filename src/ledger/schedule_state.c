#include "ledger/schedule_state.h"

#include "base/arena.h"
#include "base/io.h"
#include "base/parse.h"
#include "codec/json.h"
#include "codec/time.h"
#include "codec/utf8.h"
#include "ledger/paths.h"

#define STATE_FILE      "schedule.json"
#define STATE_BYTES_MAX ((size_t)16 << 10)
#define COUNT_MAX       ((UINT64_C(1) << 53) - 1)
#define STATUS_MAX      100u

static const char *const names[TL_JOB_COUNT] = {
    [TL_JOB_ANCHOR] = "anchor",
    [TL_JOB_BACKUP] = "backup",
    [TL_JOB_PURGE] = "purge",
    [TL_JOB_VERIFY] = "verify",
};

const char *tl_job_name(enum tl_job job)
{
    return names[job];
}

enum tl_job tl_job_of(const char *name)
{
    for (unsigned i = 0; i < TL_JOB_COUNT; i++) {
        if (strcmp(names[i], name) == 0) {
            return (enum tl_job)i;
        }
    }
    return TL_JOB_COUNT;
}

/* Members are read one after the other; the first that is wrong makes all of it so. */
struct reading {
    const struct tl_json *object;
    bool good;
};

static uint64_t read_number(struct reading *in, const char *name, uint64_t max)
{
    const struct tl_json *value = tl_json_member(in->object, name);
    uint64_t number = 0;
    if (value == NULL || value->type != TL_JSON_NUMBER ||
        tl_parse_u64(value->text.text, value->text.len, max, &number) != TALLY_OK) {
        in->good = false;
    }
    return number;
}

static int64_t read_time(struct reading *in, const char *name)
{
    const struct tl_json *value = tl_json_member(in->object, name);
    int64_t us = 0;
    if (value == NULL || (value->type == TL_JSON_STRING && value->text.len == 0)) {
        in->good = in->good && value != NULL;
        return 0;
    }
    if (value->type != TL_JSON_STRING || tl_time_parse(&us, value->text) != TALLY_OK || us < 0) {
        in->good = false;
    }
    return us;
}

static bool read_job(const struct tl_json *object, struct tl_job_state *out)
{
    struct reading in = { .object = object, .good = object->type == TL_JSON_OBJECT };
    if (!in.good) {
        return false;
    }
    out->since_us = read_time(&in, "since");
    out->last_us = read_time(&in, "last");
    out->full_pass_us = read_time(&in, "full_pass");
    out->took_us = (int64_t)read_number(&in, "took_us", COUNT_MAX);
    uint64_t failure = read_number(&in, "status", STATUS_MAX);
    out->status = (tally_status)(-(int)failure);
    out->runs = read_number(&in, "runs", COUNT_MAX);
    out->missed = read_number(&in, "missed", COUNT_MAX);
    out->verified_to = read_number(&in, "verified_to", COUNT_MAX);
    uint64_t verdict = read_number(&in, "verdict", TALLY_VERDICT_UNVERIFIABLE);
    out->verdict = (enum tally_verdict)verdict;
    const struct tl_json *detail = tl_json_member(object, "detail");
    if (detail == NULL || detail->type != TL_JSON_STRING) {
        return false;
    }
    tl_str_copy(out->detail, sizeof(out->detail), detail->text);
    return in.good;
}

static tally_status read_root(struct tl_schedule_state *out, const struct tl_json *root)
{
    for (unsigned i = 0; i < TL_JOB_COUNT; i++) {
        const struct tl_json *job = tl_json_member(root, names[i]);
        if (job == NULL || !read_job(job, &out->jobs[i])) {
            *out = (struct tl_schedule_state){ 0 };
            return TALLY_ECORRUPT;
        }
    }
    return TALLY_OK;
}

tally_status tl_schedule_state_read(struct tl_schedule_state *out, struct tl_str text)
{
    *out = (struct tl_schedule_state){ 0 };
    const struct tl_json_limits limits = {
        .bytes_max = STATE_BYTES_MAX, .depth_max = 4, .members_max = 32, .elements_max = 1
    };
    struct tl_arena arena;
    tl_arena_init(&arena, (size_t)1 << 20);
    const struct tl_json *root = NULL;
    tally_status status = tl_json_read(&arena, text.text, text.len, &limits, &root, NULL);
    if (status == TALLY_OK) {
        status = root->type == TL_JSON_OBJECT ? read_root(out, root) : TALLY_ECORRUPT;
    }
    tl_arena_release(&arena);
    return status == TALLY_EREFUSED ? TALLY_ECORRUPT : status;
}

static void write_label(struct tl_buf *out, const char *name, char before)
{
    tl_buf_add_char(out, before);
    tl_json_write_string(out, tl_str_of(name));
    tl_buf_add_char(out, ':');
}

static void write_count(struct tl_buf *out, const char *name, uint64_t value)
{
    write_label(out, name, ',');
    tl_json_write_number(out, (double)(value < COUNT_MAX ? value : COUNT_MAX));
}

static void write_time(struct tl_buf *out, const char *name, int64_t us)
{
    char text[TL_TIME_SIZE] = "";
    if (us > 0) {
        (void)tl_time_format(text, us);
    }
    write_label(out, name, ',');
    tl_json_write_string(out, tl_str_of(text));
}

static void write_job(struct tl_buf *out, const struct tl_job_state *job)
{
    struct tl_str detail = tl_str_of(job->detail);
    detail.len =
        tl_utf8_valid_len(detail.text, detail.len); /* it may have been cut in a character */
    write_label(out, "detail", '{');
    tl_json_write_string(out, detail);
    write_time(out, "since", job->since_us);
    write_time(out, "last", job->last_us);
    write_time(out, "full_pass", job->full_pass_us);
    write_count(out, "took_us", job->took_us > 0 ? (uint64_t)job->took_us : 0);
    write_count(out, "status", (uint64_t)-job->status);
    write_count(out, "runs", job->runs);
    write_count(out, "missed", job->missed);
    write_count(out, "verified_to", job->verified_to);
    write_count(out, "verdict", job->verdict);
    tl_buf_add_char(out, '}');
}

void tl_schedule_state_write(struct tl_buf *out, const struct tl_schedule_state *state)
{
    for (unsigned i = 0; i < TL_JOB_COUNT; i++) {
        write_label(out, names[i], i == 0 ? '{' : ',');
        write_job(out, &state->jobs[i]);
    }
    tl_buf_add_text(out, "}\n");
}

tally_status tl_schedule_state_load(struct tl_schedule_state *out, const char *dir,
                                    struct tally_error *err)
{
    char path[TL_PATH_SIZE];
    TL_CLEANUP(tl_freep) char *text = NULL;
    size_t len = 0;
    struct tally_error why = TALLY_ERROR_INIT;
    *out = (struct tl_schedule_state){ 0 };
    TL_TRY(tl_path_join(path, dir, STATE_FILE, err));
    tally_status status = tl_io_read_file(path, STATE_BYTES_MAX, &text, &len, &why);
    if (status == TALLY_ENOTFOUND) {
        return TALLY_OK;
    }
    if (status != TALLY_OK) {
        return tl_fail_with(err, status, &why);
    }
    status = tl_schedule_state_read(out, (struct tl_str){ .text = text, .len = len });
    return status == TALLY_OK ? TALLY_OK : tl_fail(err, status, "cannot make sense of '%s'", path);
}

static tally_status save(const struct tl_schedule_state *state, const char *dir,
                         struct tally_error *err)
{
    char path[TL_PATH_SIZE];
    TL_TRY(tl_path_join(path, dir, STATE_FILE, err));
    TL_CLEANUP(tl_buf_release) struct tl_buf text = { 0 };
    tl_buf_init(&text, STATE_BYTES_MAX);
    tl_schedule_state_write(&text, state);
    if (tl_buf_status(&text) != TALLY_OK) {
        return tl_fail(err, tl_buf_status(&text), "cannot write down what was scheduled");
    }
    return tl_io_replace_file(path, text.data, text.len, 0600, err);
}

tally_status tl_schedule_state_put(enum tl_job job, const struct tl_job_state *state,
                                   const char *dir, struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_schedule_state *all = tl_alloc_array(1, sizeof(*all));
    if (all == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot write down what was scheduled");
    }
    tally_status status = tl_schedule_state_load(all, dir, NULL);
    if (status != TALLY_OK && status != TALLY_ECORRUPT) {
        return tl_fail(err, status, "cannot read what was scheduled");
    }
    all->jobs[job] = *state;
    return save(all, dir, err);
}
