#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "spool/segment_file.h"

/* Larger than any segment: a file of this size is none. */
#define FILE_BYTES_MAX ((uint64_t)1 << 30)

struct names {
    char (*names)[TL_DRAIN_NAME_SIZE];
    size_t count, capacity;
};

static void release_names(struct names *names)
{
    tl_free(names->names);
}

static tally_status add_name(void *ctx, const char *name)
{
    struct names *names = ctx;
    if (!tl_spool_is_name(name)) {
        return TALLY_OK;
    }
    if (names->count == names->capacity) {
        size_t capacity = names->capacity == 0 ? 16 : 2 * names->capacity;
        void *more = tl_realloc_array(names->names, capacity, sizeof(*names->names));
        if (more == NULL) {
            return TALLY_ENOMEM;
        }
        names->names = more;
        names->capacity = capacity;
    }
    memcpy(names->names[names->count++], name, strlen(name) + 1);
    return TALLY_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The whole records of one segment. */
struct records {
    struct tl_spool_record *records;
    size_t count, capacity;
    bool has_damage;
};

static void release_records(struct records *records)
{
    tl_free(records->records);
}

static tally_status add_record(struct records *records, const struct tl_spool_record *record)
{
    if (record->kind == TL_SPOOL_VOID) {
        return TALLY_OK;
    }
    if (records->count == records->capacity) {
        size_t capacity = records->capacity == 0 ? 64 : 2 * records->capacity;
        void *more = tl_realloc_array(records->records, capacity, sizeof(*record));
        if (more == NULL) {
            return TALLY_ENOMEM;
        }
        records->records = more;
        records->capacity = capacity;
    }
    records->records[records->count++] = *record;
    return TALLY_OK;
}

static tally_status find_records(struct records *records, const uint8_t *bytes, size_t len,
                                 uint64_t nonce)
{
    size_t at = TL_SEGMENT_HEADER_LEN;
    while (at < len) {
        struct tl_spool_record record;
        if (tl_spool_look(&record, bytes + at, len - at, nonce) != TL_SPOOL_WHOLE) {
            bool nothing = false;
            at = tl_spool_next(bytes, len, at, nonce, &nothing);
            records->has_damage = records->has_damage || !nothing;
            continue;
        }
        TL_TRY(add_record(records, &record));
        at += tl_spool_span(record.len);
    }
    return TALLY_OK;
}

/* Reads up to `size` bytes into *bytes_out, which the caller frees. */
static tally_status read_whole(int fd, uint64_t size, uint8_t **bytes_out, size_t *len_out)
{
    TL_CLEANUP(tl_freep) uint8_t *bytes = tl_alloc_array((size_t)size, 1);
    if (bytes == NULL) {
        return TALLY_ENOMEM;
    }
    TL_TRY(tl_segment_file_read(fd, bytes, (size_t)size, 0, len_out, NULL));
    *bytes_out = TL_TAKE(bytes);
    return TALLY_OK;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

static tally_status view_file(int fd, struct tl_spool_segment_view *view, tl_spool_view_fn *fn,
                              void *ctx)
{
    uint64_t size = 0;
    view->is_live = !tl_segment_file_is_final(fd); /* before it is read */
    TL_TRY(tl_segment_file_size(fd, &size, NULL));
    if (size > FILE_BYTES_MAX) {
        view->has_damage = true;
        return fn(ctx, view);
    }
    TL_CLEANUP(tl_freep) uint8_t *bytes = NULL;
    size_t len = 0;
    uint64_t end = tl_segment_file_data_end(fd, size); /* behind it there are zeros */
    TL_TRY(read_whole(fd, end, &bytes, &len));
    TL_CLEANUP(release_records) struct records records = { 0 };
    tally_status status = len < TL_SEGMENT_HEADER_LEN
                              ? TALLY_ECORRUPT
                              : tl_segment_decode(&view->header, bytes, NULL);
    if (status == TALLY_ECORRUPT && (view->is_live || is_zero(bytes, len))) {
        return TALLY_OK; /* it is only being made, or was */
    }
    if (status == TALLY_OK) {
        TL_TRY(find_records(&records, bytes, len, view->header.nonce));
        records.has_damage = records.has_damage || len != end || size != view->header.size;
    }
    view->records = records.records;
    view->record_count = records.count;
    /* In a live one, what is no record may become one. */
    view->has_damage = !view->is_live && (status == TALLY_ECORRUPT || records.has_damage);
    return fn(ctx, view);
}

static tally_status view_segment(struct tl_spool_dir *dir, const char *name, tl_spool_view_fn *fn,
                                 void *ctx, struct tally_error *err)
{
    TL_CLEANUP(tl_io_closep) int fd = tl_segment_file_open(dir, name);
    if (fd < 0 && (errno == ENOENT || errno == EINVAL || errno == ELOOP)) {
        return TALLY_OK; /* recorded and removed by now, or nothing of ours */
    }
    if (fd < 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot open spool segment '%s'", name);
    }
    struct tl_spool_segment_view view = { 0 };
    memcpy(view.name, name, sizeof(view.name));
    tally_status status = view_file(fd, &view, fn, ctx);
    return status == TALLY_OK ? TALLY_OK
                              : tl_fail(err, status, "cannot look at spool segment '%s'", name);
}

tally_status tl_spool_each_segment(const char *dir, tl_spool_view_fn *fn, void *ctx,
                                   struct tally_error *err)
{
    TL_CLEANUP(release_names) struct names names = { 0 };
    tally_status status = tl_io_each_entry(dir, add_name, &names, err);
    if (status == TALLY_ENOTFOUND) {
        return TALLY_OK;
    }
    if (status != TALLY_OK) {
        return tl_fail(err, status, "cannot list the segments of a spool");
    }
    TL_CLEANUP(tl_spool_dir_release) struct tl_spool_dir paths = { 0 };
    TL_TRY(tl_spool_dir_init(&paths, dir, NULL, err));
    if (names.count > 0) {
        qsort(names.names, names.count, sizeof(*names.names), compare_names);
    }
    for (size_t i = 0; i < names.count; i++) {
        TL_TRY(view_segment(&paths, names.names[i], fn, ctx, err));
    }
    return TALLY_OK;
}
