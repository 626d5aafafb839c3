#include "cli/import.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/thread.h"
#include "codec/time.h"

/* Rejects that a person is told of one by one; the file has them all. */
#define REJECTS_TOLD 20u

/* Where an event of a batch comes from. */
struct place {
    const char *file;
    uint64_t line;
};

struct batch {
    struct tally_events *events;
    struct place *places;
    struct tally_receipt *receipts;
    size_t count; /* receipts that were filled in; only after it was appended */
};

/* The thread that appends. Internally synchronised. */
struct appender {
    struct tally_ledger *ledger;
    pthread_t thread;
    bool started;
    struct tl_mutex mu;
    struct tl_cond cond;
    /* guarded by mu */
    struct batch *work; /* NULL: it is idle */
    bool ending;
    tally_status status; /* of the last batch */
    struct tally_error err;
};

struct tl_import {
    const struct tl_cli *cli;
    struct tally_ledger *ledger;
    struct tl_import_options options;
    struct tl_import_counts counts;
    const char *file;
    struct batch batches[2];
    struct batch *filling;
    struct batch *appending; /* handed to the thread, or NULL */
    struct appender appender;
    char *rejects_path;
    int rejects_fd; /* -1 until the first one */
    uint64_t rejects_len;
};

static void append_work(struct appender *appender, struct batch *batch)
{
    struct tally_error err = TALLY_ERROR_INIT;
    tally_status status =
        tally_append_events(appender->ledger, batch->events, batch->receipts, &err);
    tl_mutex_lock(&appender->mu);
    appender->status = status;
    appender->err = err;
    appender->work = NULL;
    tl_cond_broadcast(&appender->cond);
    tl_mutex_unlock(&appender->mu);
}

static void *run_appender(void *ctx)
{
    struct appender *appender = ctx;
    for (;;) {
        tl_mutex_lock(&appender->mu);
        while (appender->work == NULL && !appender->ending) {
            tl_cond_wait(&appender->cond, &appender->mu);
        }
        struct batch *batch = appender->work;
        tl_mutex_unlock(&appender->mu);
        if (batch == NULL) {
            return NULL;
        }
        append_work(appender, batch);
    }
}

static tally_status start_appender(struct tl_import *import, struct tally_error *err)
{
    struct appender *appender = &import->appender;
    appender->ledger = import->ledger;
    tally_status status = tl_mutex_init(&appender->mu);
    if (status == TALLY_OK) {
        status = tl_cond_init(&appender->cond);
        if (status != TALLY_OK) {
            tl_mutex_release(&appender->mu);
        }
    }
    if (status == TALLY_OK) {
        status = tl_thread_start(&appender->thread, "tally-append", run_appender, appender);
        appender->started = status == TALLY_OK;
        if (status != TALLY_OK) {
            tl_cond_release(&appender->cond);
            tl_mutex_release(&appender->mu);
        }
    }
    return status == TALLY_OK ? TALLY_OK : tl_fail(err, status, "cannot start a thread");
}

static void stop_appender(struct appender *appender)
{
    if (!appender->started) {
        return;
    }
    tl_mutex_lock(&appender->mu);
    appender->ending = true;
    tl_cond_broadcast(&appender->cond);
    tl_mutex_unlock(&appender->mu);
    tl_thread_join(appender->thread);
    tl_cond_release(&appender->cond);
    tl_mutex_release(&appender->mu);
    appender->started = false;
}

static tally_status make_batches(struct tl_import *import, struct tally_error *err)
{
    for (size_t i = 0; i < TL_ARRAY_LEN(import->batches); i++) {
        struct batch *batch = &import->batches[i];
        TL_TRY(tally_events_new(&batch->events, import->ledger, err));
        batch->places = tl_alloc_array(TL_BATCH_EVENTS_MAX, sizeof(batch->places[0]));
        batch->receipts = tl_alloc_array(TL_BATCH_EVENTS_MAX, sizeof(batch->receipts[0]));
        if (batch->places == NULL || batch->receipts == NULL) {
            return tl_fail(err, TALLY_ENOMEM, "out of memory");
        }
    }
    return TALLY_OK;
}

tally_status tl_import_new(struct tl_import **import_out, const struct tl_cli *cli,
                           struct tally_ledger *ledger, const struct tl_import_options *options,
                           struct tally_error *err)
{
    struct tl_import *import = tl_alloc_array(1, sizeof(*import));
    if (import == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    import->cli = cli;
    import->ledger = ledger;
    import->options = *options;
    import->file = "";
    import->rejects_fd = -1;
    import->filling = &import->batches[0];
    tally_status status = make_batches(import, err);
    if (status == TALLY_OK && !options->dry_run) {
        status = start_appender(import, err);
    }
    if (status != TALLY_OK) {
        tl_import_free(import);
        return status;
    }
    *import_out = import;
    return TALLY_OK;
}

void tl_import_free(struct tl_import *import)
{
    if (import == NULL) {
        return;
    }
    stop_appender(&import->appender);
    for (size_t i = 0; i < TL_ARRAY_LEN(import->batches); i++) {
        tally_events_free(import->batches[i].events);
        tl_free(import->batches[i].places);
        tl_free(import->batches[i].receipts);
    }
    if (import->rejects_fd >= 0) {
        (void)tl_io->close(import->rejects_fd); /* each write was looked at */
    }
    tl_free(import->rejects_path);
    tl_free(import);
}

void tl_import_begin_file(struct tl_import *import, const char *file)
{
    import->file = file;
}

const struct tl_import_options *tl_import_options(const struct tl_import *import)
{
    return &import->options;
}

const char *tl_import_origin(const struct tl_import *import)
{
    return tally_origin(import->ledger);
}

struct tl_import_counts tl_import_counts(const struct tl_import *import)
{
    return import->counts;
}

const char *tl_import_rejects_path(const struct tl_import *import)
{
    return import->rejects_fd >= 0 ? import->rejects_path : NULL;
}

/* "DIR/rejects-20260314T092653.589793Z.ndjson", or what was asked for. */
static char *name_rejects(const struct tl_import *import)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf path = { 0 };
    tl_buf_init(&path, 65536);
    if (import->options.rejects_path != NULL) {
        tl_buf_add_text(&path, import->options.rejects_path);
        return tl_buf_take(&path, NULL);
    }
    char time[TL_TIME_SIZE];
    (void)tl_time_format_fixed(time, tl_clock->wall_us()); /* "" beyond the year 9999 */
    tl_buf_addf(&path, "%s/rejects-", import->cli->spool[0] != '\0' ? "." : import->cli->ledger);
    for (const char *at = time; *at != '\0'; at++) {
        if (*at != '-' && *at != ':') {
            tl_buf_add_char(&path, *at);
        }
    }
    tl_buf_add_text(&path, ".ndjson");
    return tl_buf_take(&path, NULL);
}

static tally_status open_rejects(struct tl_import *import, struct tally_error *err)
{
    if (import->rejects_fd >= 0) {
        return TALLY_OK;
    }
    import->rejects_path = name_rejects(import);
    if (import->rejects_path == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    bool chosen = import->options.rejects_path != NULL;
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (chosen ? O_TRUNC : O_EXCL);
    import->rejects_fd = tl_io->open(import->rejects_path, flags, 0600);
    if (import->rejects_fd < 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot create '%s'", import->rejects_path);
    }
    return TALLY_OK;
}

static tally_status write_reject(struct tl_import *import, struct place place,
                                 const struct tally_error *why, struct tl_str input,
                                 struct tally_error *err)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "file", place.file);
    tl_js_u64(&js, "line", place.line);
    tl_js_text(&js, "code", why->code);
    tl_js_text(&js, "pointer", why->pointer);
    if (why->has_offset && why->offset >= 0) {
        tl_js_u64(&js, "offset", (uint64_t)why->offset);
    }
    tl_js_text(&js, "message", why->message);
    tl_js_str(&js, "input", input.text == NULL ? TL_STR("") : input);
    tl_js_close(&js, '}');
    tl_buf_add_char(&js.buf, '\n');
    if (tl_buf_status(&js.buf) != TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    TL_TRY(open_rejects(import, err));
    TL_TRY(tl_io_write_at(import->rejects_fd, js.buf.data, js.buf.len, import->rejects_len, err));
    import->rejects_len += js.buf.len;
    return TALLY_OK;
}

static tally_status reject(struct tl_import *import, struct place place,
                           const struct tally_error *why, struct tl_str input,
                           struct tally_error *err)
{
    import->counts.rejected++;
    if (import->counts.rejected <= REJECTS_TOLD) {
        tl_cli_note(import->cli, "%s:%llu: %s%s%s: %s", place.file, (unsigned long long)place.line,
                    why->code, why->pointer[0] != '\0' ? " at " : "", why->pointer, why->message);
    }
    return write_reject(import, place, why, input, err);
}

/* Why an event was not recorded, as a failure; of a remote ledger nobody here knows the record that
 * has the id. */
static void tell_refusal(const struct tl_import *import, const struct tally_receipt *receipt,
                         struct tally_error *why)
{
    if (receipt->status == TALLY_EREFUSED) {
        (void)tl_refuse(why, "refused", "", "the server refuses the event");
    } else if (receipt->seq == UINT64_MAX) {
        (void)tl_refuse(why, import->options.conflict_code, "/id",
                        "another record has this id and other content");
    } else {
        (void)tl_refuse(why, import->options.conflict_code, "/id",
                        "record %llu has this id and other content",
                        (unsigned long long)receipt->seq);
    }
}

/* Adds up the receipts of a batch that was appended. */
static tally_status count_receipts(struct tl_import *import, struct batch *batch,
                                   struct tally_error *err)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct tally_receipt *receipt = &batch->receipts[i];
        if (receipt->status == TALLY_OK) {
            bool known = (receipt->flags & (uint32_t)TALLY_RECEIPT_DUPLICATE) != 0;
            import->counts.already += known ? 1 : 0;
            import->counts.recorded += known ? 0 : 1;
            continue;
        }
        import->counts.conflicts++;
        struct tally_error why = TALLY_ERROR_INIT;
        tell_refusal(import, receipt, &why);
        struct tl_str text = { NULL, 0 };
        text.text = tally_events_text(batch->events, i, &text.len);
        TL_TRY(reject(import, batch->places[i], &why, text, err));
    }
    return TALLY_OK;
}

/* Waits for the batch that is being appended, and takes its results. */
static tally_status settle(struct tl_import *import, struct tally_error *err)
{
    struct appender *appender = &import->appender;
    struct batch *batch = import->appending;
    if (batch == NULL) {
        return TALLY_OK;
    }
    import->appending = NULL;
    tl_mutex_lock(&appender->mu);
    while (appender->work != NULL) {
        tl_cond_wait(&appender->cond, &appender->mu);
    }
    tally_status status = appender->status;
    struct tally_error why = appender->err;
    tl_mutex_unlock(&appender->mu);
    if (status != TALLY_OK) {
        tally_events_clear(batch->events);
        return tl_fail_errno(err, status, why.os_errno, "%s", why.message);
    }
    tally_status counted = count_receipts(import, batch, err);
    tally_events_clear(batch->events);
    return counted;
}

/* Gives the filled batch to the thread and goes on with the other one. */
static tally_status hand_over(struct tl_import *import, struct tally_error *err)
{
    TL_TRY(settle(import, err));
    struct batch *batch = import->filling;
    batch->count = tally_events_count(batch->events);
    if (batch->count == 0) {
        return TALLY_OK;
    }
    if (import->options.dry_run) {
        tally_events_clear(batch->events);
        return TALLY_OK;
    }
    import->appending = batch;
    import->filling = batch == &import->batches[0] ? &import->batches[1] : &import->batches[0];
    tl_mutex_lock(&import->appender.mu);
    import->appender.work = batch;
    tl_cond_broadcast(&import->appender.cond);
    tl_mutex_unlock(&import->appender.mu);
    return TALLY_OK;
}

tally_status tl_import_flush(struct tl_import *import, struct tally_error *err)
{
    TL_TRY(hand_over(import, err));
    return settle(import, err);
}

tally_status tl_import_reject(struct tl_import *import, uint64_t line,
                              const struct tally_error *why, struct tl_str input,
                              struct tally_error *err)
{
    import->counts.read++;
    struct tally_error told = *why;
    if (told.code[0] == '\0') {
        (void)snprintf(told.code, sizeof(told.code), "%s",
                       why->status == TALLY_ELIMIT ? "too_large" : "bad_value");
    }
    return reject(import, (struct place){ import->file, line }, &told, input, err);
}

tally_status tl_import_event(struct tl_import *import, uint64_t line, struct tl_str json,
                             struct tl_str input, struct tally_error *err)
{
    if (tl_stopped()) {
        return tl_fail(err, TALLY_ECANCELED, "stopped by a signal");
    }
    for (;;) {
        struct tally_error why = TALLY_ERROR_INIT;
        struct batch *batch = import->filling;
        size_t index = tally_events_count(batch->events);
        tally_status status =
            index == TL_BATCH_EVENTS_MAX
                ? TALLY_ELIMIT
                : tally_events_add(batch->events, json.text, json.len, import->options.flags, &why);
        if (status == TALLY_OK) {
            batch->places[index] = (struct place){ import->file, line };
            import->counts.read++;
            return TALLY_OK;
        }
        if (status == TALLY_EREFUSED || (status == TALLY_ELIMIT && index == 0)) {
            return tl_import_reject(import, line, &why, input, err);
        }
        if (status != TALLY_ELIMIT) {
            return tl_fail(err, status, "%s", why.message);
        }
        TL_TRY(hand_over(import, err));
    }
}
