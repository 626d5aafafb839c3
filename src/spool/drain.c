#include "spool/drain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "spool/reading.h"
#include "spool/segment_file.h"

#define BUFFER_LEN ((size_t)4 << 20)
#define READ_MIN   ((size_t)4 << 10) /* where nothing came the last time */
#define READ_FIRST ((size_t)64 << 10)
#define READ_MAX   ((size_t)1 << 20)
_Static_assert(BUFFER_LEN >= TL_READING_WINDOW, "an empty buffer takes what a step may need");

#define FILES_MAX  32u /* open at a time */
#define SCAN_US    INT64_C(20000)
#define RETRY_US   INT64_C(1000000) /* after a failure */
#define QUARANTINE "quarantine"

/* A segment's file, from when it is first seen to when it is gone. */
struct source {
    struct tl_drain_segment segment; /* first: callers hold pointers to it */
    struct tl_reading reading;
    struct tl_reading_mark committed;
    int fd;             /* negative while it is closed */
    bool has_header;    /* reading has begun */
    bool is_left_alone; /* of a later version, or no file */
    bool is_finished;   /* only its removal is left to do */
    bool is_there;      /* when the directory was looked at last */
    size_t uncommitted; /* items */
    size_t want;        /* bytes to read at once */
    int64_t retry_us;   /* not touched before; steady time */
    int64_t lock_us;    /* its lock is not looked at before */
};

/* Bytes of one source: buffer[at..end) stand at its mark. */
struct window {
    const struct source *source;
    size_t at, end;
    bool is_new;      /* read by the take that is going on */
    bool had_records; /* some were taken from it */
};

struct tl_drain {
    struct tl_spool_dir dir, quarantine;
    struct source **sources; /* owned; sorted by name */
    size_t count, capacity;
    struct source *opened_last;
    size_t open_count;
    uint8_t *buffer; /* of BUFFER_LEN */
    size_t used;     /* bytes of it before this are those of items */
    struct window window;
    bool has_scanned;
    int64_t scan_us; /* when the next one is due; steady time */
};

/* What one take has put together. */
struct batch {
    struct tl_drain_item *items;
    size_t max, bytes_max;
    size_t count, bytes;
    bool is_full;
    int64_t now_us;
};

static void close_source(struct tl_drain *drain, struct source *source)
{
    if (source->fd >= 0) {
        (void)tl_io->close(source->fd); /* only read */
        source->fd = -1;
        drain->open_count--;
    }
    if (drain->opened_last == source) {
        drain->opened_last = NULL;
    }
    if (drain->window.source == source) {
        drain->window.source = NULL;
    }
}

static void free_source(struct tl_drain *drain, size_t i)
{
    close_source(drain, drain->sources[i]);
    tl_free(drain->sources[i]);
    drain->count--;
    memmove(drain->sources + i, drain->sources + i + 1,
            (drain->count - i) * sizeof(struct source *));
}

tally_status tl_drain_open(struct tl_drain **drain_out, const char *dir, struct tally_error *err)
{
    struct tl_drain *drain = tl_alloc_array(1, sizeof(*drain));
    if (drain == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a drain");
    }
    tally_status status = tl_spool_dir_init(&drain->dir, dir, NULL, err);
    if (status == TALLY_OK) {
        status = tl_spool_dir_init(&drain->quarantine, dir, QUARANTINE, err);
    }
    drain->buffer = status == TALLY_OK ? tl_alloc_array(BUFFER_LEN, 1) : NULL;
    if (drain->buffer == NULL) {
        tl_drain_close(drain);
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate %zu bytes", BUFFER_LEN);
    }
    *drain_out = drain;
    return TALLY_OK;
}

void tl_drain_close(struct tl_drain *drain)
{
    if (drain == NULL) {
        return;
    }
    while (drain->count > 0) {
        free_source(drain, drain->count - 1);
    }
    tl_free(drain->sources);
    tl_free(drain->buffer);
    tl_spool_dir_release(&drain->quarantine);
    tl_spool_dir_release(&drain->dir);
    tl_free(drain);
}

/* One that was left behind by a writer which died while it made it: there is nothing in it yet. A
 * writer that lives makes another one. */
static void remove_new(struct tl_drain *drain, const char *name)
{
    TL_CLEANUP(tl_io_closep) int fd = tl_segment_file_open(&drain->dir, name);
    if (fd >= 0 && tl_segment_file_is_final(fd)) {
        (void)tl_io->unlink(
            tl_spool_dir_path(&drain->dir, name)); /* else it stays, and is ignored */
    }
}

/* Where a name is among the sources, or belongs. */
static size_t place_of(const struct tl_drain *drain, const char *name)
{
    size_t low = 0;
    size_t high = drain->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(drain->sources[middle]->segment.name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static tally_status add_source(struct tl_drain *drain, size_t place, const char *name)
{
    if (drain->count == drain->capacity) {
        size_t capacity = drain->capacity == 0 ? 16 : 2 * drain->capacity;
        struct source **more = tl_realloc_array(drain->sources, capacity, sizeof(struct source *));
        if (more == NULL) {
            return TALLY_ENOMEM;
        }
        drain->sources = more;
        drain->capacity = capacity;
    }
    struct source *source = tl_alloc_array(1, sizeof(*source));
    if (source == NULL) {
        return TALLY_ENOMEM;
    }
    (void)snprintf(source->segment.name, sizeof(source->segment.name), "%s", name);
    source->segment.inherited = !drain->has_scanned;
    source->fd = -1;
    source->is_there = true;
    source->segment.lost[TL_DRAIN_REFUSED].exact = true;
    source->segment.lost[TL_DRAIN_UNFIT].exact = true;
    source->want = READ_FIRST;
    memmove(drain->sources + place + 1, drain->sources + place,
            (drain->count - place) * sizeof(struct source *));
    drain->sources[place] = source;
    drain->count++;
    return TALLY_OK;
}

static tally_status see_entry(void *ctx, const char *name)
{
    struct tl_drain *drain = ctx;
    if (!drain->has_scanned && tl_spool_is_new_name(name)) {
        remove_new(drain, name);
    }
    if (!tl_spool_is_name(name)) {
        return TALLY_OK;
    }
    size_t place = place_of(drain, name);
    if (place < drain->count && strcmp(drain->sources[place]->segment.name, name) == 0) {
        drain->sources[place]->is_there = true;
        return TALLY_OK;
    }
    return add_source(drain, place, name);
}

/* Whether nothing can be done about a source any more: someone else has removed its file. */
static bool is_gone(const struct source *source)
{
    bool is_ended = source->reading.mark.is_read && !source->is_finished;
    return !source->is_there && source->fd < 0 && source->uncommitted == 0 && !is_ended;
}

static tally_status scan(struct tl_drain *drain, int64_t now_us, struct tally_error *err)
{
    drain->scan_us = now_us + SCAN_US;
    for (size_t i = 0; i < drain->count; i++) {
        drain->sources[i]->is_there = false;
    }
    const char *path = tl_spool_dir_path(&drain->dir, NULL);
    tally_status status = tl_io_each_entry(path, see_entry, drain, err);
    if (status != TALLY_OK && status != TALLY_ENOTFOUND) {
        return tl_fail(err, status, "cannot list the segments of a spool");
    }
    drain->has_scanned = true;
    for (size_t i = drain->count; i > 0; i--) {
        if (is_gone(drain->sources[i - 1])) {
            free_source(drain, i - 1);
        }
    }
    return TALLY_OK;
}

/* Nothing of it is touched for a while; the others go on. */
static void put_off(struct source *source, const struct batch *batch)
{
    source->retry_us = batch->now_us + RETRY_US;
}

/* Makes what was found since the last commit visible to the caller. */
static void publish(struct source *source)
{
    const struct tl_reading_mark *mark = &source->reading.mark;
    source->segment.from_us = mark->from_us;
    source->segment.to_us = mark->to_us;
    for (size_t i = 0; i < TL_DRAIN_REFUSED; i++) {
        source->segment.lost[i] = mark->lost[i];
    }
}

/* There are no more than FILES_MAX: those beyond take turns with the one that was opened last. */
static bool open_source(struct tl_drain *drain, struct source *source, const struct batch *batch)
{
    if (source->fd >= 0) {
        return true;
    }
    if (drain->open_count >= FILES_MAX && drain->opened_last != NULL) {
        close_source(drain, drain->opened_last);
    }
    source->fd = tl_segment_file_open(&drain->dir, source->segment.name);
    if (source->fd >= 0) {
        drain->open_count++;
        drain->opened_last = source;
        return true;
    }
    source->is_left_alone = errno == EINVAL || errno == ELOOP; /* a pipe, a link: nothing of ours */
    if (errno != ENOENT) {
        put_off(source, batch);
    }
    return false;
}

/* Whether a file has nothing but zeros. */
static tally_status check_all_zero(const struct source *source, bool *is_zero_out)
{
    uint8_t block[4096];
    size_t len = sizeof(block);
    bool is_zero = true;
    for (uint64_t offset = 0; is_zero && len == sizeof(block); offset += len) {
        TL_TRY(tl_segment_file_read(source->fd, block, sizeof(block), offset, &len, NULL));
        is_zero = offset <= UINT32_MAX &&
                  (len == 0 || (block[0] == 0 && memcmp(block, block + 1, len - 1) == 0));
    }
    *is_zero_out = is_zero;
    return TALLY_OK;
}

/*
 * Of a final segment whose header cannot be read. Without a writer's death while it made the file,
 * there are not even zeros to explain it.
 */
static tally_status give_up(struct source *source)
{
    bool is_zero = false;
    TL_TRY(check_all_zero(source, &is_zero));
    tl_reading_give_up(&source->reading);
    source->committed = source->reading.mark;
    source->is_finished = is_zero;
    if (is_zero) {
        source->reading.mark.has_unknown = false;
    }
    publish(source);
    return TALLY_OK;
}

/* Whether the writer is gone, asked not more often than every SCAN_US: if in doubt, it is not. */
static bool is_abandoned(struct source *source, const struct batch *batch)
{
    if (batch->now_us < source->lock_us) {
        return false;
    }
    source->lock_us = batch->now_us + SCAN_US;
    return tl_segment_file_is_final(source->fd);
}

static tally_status read_header(struct source *source, struct tl_segment *header)
{
    uint8_t bytes[TL_SEGMENT_HEADER_LEN];
    size_t len = 0;
    TL_TRY(tl_segment_file_read(source->fd, bytes, sizeof(bytes), 0, &len, NULL));
    return len < sizeof(bytes) ? TALLY_ECORRUPT : tl_segment_decode(header, bytes, NULL);
}

/* Reads the header, once. TALLY_EBUSY: it is not there yet, or none of ours. */
static tally_status start(struct source *source, const struct batch *batch)
{
    if (source->has_header) {
        return TALLY_OK;
    }
    struct tl_segment header;
    tally_status status = read_header(source, &header);
    if (status == TALLY_ECORRUPT && is_abandoned(source, batch)) {
        status = read_header(source, &header);
        if (status == TALLY_ECORRUPT) {
            return give_up(source);
        }
    }
    if (status != TALLY_OK) {
        source->is_left_alone = status == TALLY_ENOTSUP;
        return status == TALLY_EIO ? status : TALLY_EBUSY;
    }
    tl_reading_start(&source->reading, &header);
    source->segment.header = header;
    source->committed = source->reading.mark;
    source->has_header = true;
    return TALLY_OK;
}

/* The writer is gone: what is in the window may be older than that. */
static tally_status become_final(struct tl_drain *drain, struct source *source)
{
    uint64_t size = 0;
    TL_TRY(tl_segment_file_size(source->fd, &size, NULL));
    tl_reading_is_final(&source->reading, size);
    tl_reading_ends_at(&source->reading, tl_segment_file_data_end(source->fd, size));
    source->want = READ_MAX;
    drain->window.source = NULL;
    return TALLY_OK;
}

/*
 * Reads at least `need` bytes from the mark on into the window. *is_short_out: the file has fewer.
 * Sets batch->is_full instead if there is no room for them behind those of the items.
 */
static tally_status fill(struct tl_drain *drain, struct source *source, struct batch *batch,
                         size_t need, bool *is_short_out)
{
    struct window *window = &drain->window;
    const struct tl_reading *reading = &source->reading;
    if (window->source == source && window->had_records) {
        source->want = source->want * 4 < READ_MAX ? source->want * 4 : READ_MAX;
    }
    drain->used = batch->count == 0 ? 0 : drain->used;
    size_t room = BUFFER_LEN - drain->used;
    uint64_t rest = reading->limit - reading->mark.offset;
    size_t len = need > source->want ? need : source->want;
    len = len < rest ? len : (size_t)rest;
    if (room < need) {
        batch->is_full = true;
        return TALLY_OK;
    }
    size_t got = 0;
    window->source = NULL; /* until it is read, the window holds nothing */
    TL_TRY(tl_segment_file_read(source->fd, drain->buffer + drain->used, len < room ? len : room,
                                reading->mark.offset, &got, NULL));
    *window = (struct window){
        .source = source, .at = drain->used, .end = drain->used + got, .is_new = true
    };
    *is_short_out = got < need;
    return TALLY_OK;
}

static void add_item(struct tl_drain *drain, struct source *source, struct batch *batch,
                     const struct tl_spool_record *record)
{
    drain->used = drain->window.at;
    batch->items[batch->count++] =
        (struct tl_drain_item){ .record = *record, .segment = &source->segment };
    batch->bytes += record->len;
    batch->is_full = batch->count == batch->max || batch->bytes >= batch->bytes_max;
    source->uncommitted++;
}

/* There is nothing whole at the mark. *go_on_out: look again, at newer bytes or with other eyes. */
static tally_status wait_for_writer(struct tl_drain *drain, struct source *source,
                                    const struct batch *batch, bool *go_on_out)
{
    struct window *window = &drain->window;
    bool is_old = window->source == source && !window->is_new;
    if (is_old) {
        window->source = NULL;
        *go_on_out = true;
        return TALLY_OK;
    }
    if (!window->had_records) {
        source->want = READ_MIN;
    }
    *go_on_out = is_abandoned(source, batch);
    return *go_on_out ? become_final(drain, source) : TALLY_OK;
}

/* Reads on. A file may be shorter than its header says, and then there is no more to come. */
static tally_status read_more(struct tl_drain *drain, struct source *source, struct batch *batch,
                              size_t need, bool *go_on_out)
{
    bool is_short = false;
    TL_TRY(fill(drain, source, batch, need, &is_short));
    if (!is_short) {
        return TALLY_OK;
    }
    if (!source->reading.is_final) {
        return wait_for_writer(drain, source, batch, go_on_out);
    }
    uint64_t got = drain->window.end - drain->window.at;
    tl_reading_is_final(&source->reading, source->reading.mark.offset + got);
    return TALLY_OK;
}

/* Takes what it can from one segment. Failures are those of its file. */
static tally_status take_records(struct tl_drain *drain, struct source *source, struct batch *batch)
{
    struct window *window = &drain->window;
    bool go_on = true;
    while (go_on && !batch->is_full) {
        bool is_mine = window->source == source;
        const uint8_t *bytes = drain->buffer + window->at;
        size_t len = is_mine ? window->end - window->at : 0;
        uint64_t offset = source->reading.mark.offset;
        struct tl_spool_record record;
        size_t need = 0;
        enum tl_step step = tl_reading_step(&source->reading, bytes, len, &record, &need);
        if (is_mine) {
            window->at += (size_t)(source->reading.mark.offset - offset);
        }
        switch (step) {
        case TL_STEP_RECORD:
            window->had_records = true;
            if (record.kind != TL_SPOOL_VOID) {
                add_item(drain, source, batch, &record);
            }
            break;
        case TL_STEP_PASSED:
            break;
        case TL_STEP_MORE:
            TL_TRY(read_more(drain, source, batch, need, &go_on));
            break;
        case TL_STEP_WAIT:
            TL_TRY(wait_for_writer(drain, source, batch, &go_on));
            break;
        case TL_STEP_END:
            go_on = false;
            break;
        }
    }
    return TALLY_OK;
}

static void take_from(struct tl_drain *drain, struct source *source, struct batch *batch)
{
    if (source->is_left_alone || source->is_finished || source->reading.mark.is_read ||
        batch->now_us < source->retry_us || !open_source(drain, source, batch)) {
        return;
    }
    tally_status status = start(source, batch);
    if (status == TALLY_OK) {
        status = take_records(drain, source, batch);
    }
    if (status == TALLY_EIO) {
        put_off(source, batch);
    }
    if (source->uncommitted == 0) {
        source->committed = source->reading.mark; /* what was passed over is not passed again */
    }
    if (source->has_header) {
        publish(source);
    }
    if (source->reading.mark.is_read || source->is_left_alone) {
        close_source(drain, source);
    }
}

/* What the last take left in the window is taken on from there; if little of the buffer is before
 * it, it stays where it is. */
static void reuse_window(struct tl_drain *drain)
{
    struct window *window = &drain->window;
    size_t left = window->source == NULL ? 0 : window->end - window->at;
    if (left <= window->at) {
        memcpy(drain->buffer, drain->buffer + window->at, left);
        window->at = 0;
        window->end = left;
    }
    drain->used = window->at;
    window->is_new = false;
}

/* Frees the source if its file is gone, or has gone to where people look at it. */
static void remove_file(struct tl_drain *drain, size_t i, int64_t now_us)
{
    struct source *source = drain->sources[i];
    const char *from = tl_spool_dir_path(&drain->dir, source->segment.name);
    int rc = 0;
    if (source->reading.mark.has_unknown || source->segment.keep_aside) {
        const char *dir = tl_spool_dir_path(&drain->quarantine, NULL);
        rc = tl_io_make_directory(dir, 0700, NULL) != TALLY_OK ? -1 : 0;
        if (rc == 0) {
            rc = tl_io->rename(from, tl_spool_dir_path(&drain->quarantine, source->segment.name));
        }
    } else {
        rc = tl_io->unlink(from);
    }
    if (rc == 0 || !source->is_there || errno == ENOENT) {
        free_source(drain, i);
    } else {
        source->retry_us = now_us + RETRY_US;
    }
}

/* Tries again what could not be removed before. */
static void remove_finished(struct tl_drain *drain, int64_t now_us)
{
    for (size_t i = drain->count; i > 0; i--) {
        const struct source *source = drain->sources[i - 1];
        if (source->is_finished && now_us >= source->retry_us) {
            remove_file(drain, i - 1, now_us);
        }
    }
}

tally_status tl_drain_take(struct tl_drain *drain, struct tl_drain_item *items, size_t max,
                           size_t bytes_max, size_t *count_out, struct tally_error *err)
{
    tl_assert(max > 0);
    struct batch batch = {
        .items = items, .max = max, .bytes_max = bytes_max, .now_us = tl_clock->steady_us()
    };
    if (batch.now_us >= drain->scan_us) {
        TL_TRY(scan(drain, batch.now_us, err));
        remove_finished(drain, batch.now_us);
    }
    reuse_window(drain);
    for (size_t i = 0; i < drain->count && !batch.is_full; i++) {
        take_from(drain, drain->sources[i], &batch);
    }
    *count_out = batch.count;
    return TALLY_OK;
}

void tl_drain_commit(struct tl_drain *drain)
{
    for (size_t i = 0; i < drain->count; i++) {
        struct source *source = drain->sources[i];
        source->committed = source->reading.mark;
        source->uncommitted = 0;
    }
}

void tl_drain_rollback(struct tl_drain *drain)
{
    for (size_t i = 0; i < drain->count; i++) {
        struct source *source = drain->sources[i];
        if (source->uncommitted > 0) {
            source->reading.mark = source->committed;
            source->uncommitted = 0;
            publish(source);
        }
    }
    drain->window.source = NULL;
}

struct tl_drain_segment *tl_drain_ended(struct tl_drain *drain)
{
    for (size_t i = 0; i < drain->count; i++) {
        struct source *source = drain->sources[i];
        if (source->reading.mark.is_read && !source->is_finished && source->uncommitted == 0) {
            return &source->segment;
        }
    }
    return NULL;
}

void tl_drain_finish(struct tl_drain *drain, struct tl_drain_segment *segment)
{
    size_t i = place_of(drain, segment->name);
    tl_assert(i < drain->count && segment == &drain->sources[i]->segment);
    struct source *source = drain->sources[i];
    tl_assert(source->reading.mark.is_read && source->uncommitted == 0);
    source->is_finished = true;
    remove_file(drain, i, tl_clock->steady_us());
}
