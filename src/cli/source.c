#include "cli/source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/io.h"
#include "base/limits.h"
#include "cli/cli.h"

#define CHUNK   ((size_t)256 << 10)
#define IDLE_MS 200

static tally_status wait_for_input(struct tl_source *source, struct tally_error *err)
{
    struct pollfd wanted = { .fd = source->fd, .events = POLLIN };
    int ready = poll(&wanted, 1, IDLE_MS);
    while (ready == 0 || (ready < 0 && errno == EINTR)) {
        if (tl_stopped()) {
            return tl_fail(err, TALLY_ECANCELED, "stopped by a signal");
        }
        bool is_idle = ready == 0 && source->on_idle != NULL;
        tally_status status = is_idle ? source->on_idle(source->ctx, err) : TALLY_OK;
        TL_TRY(status);
        ready = poll(&wanted, 1, IDLE_MS);
    }
    return TALLY_OK;
}

/* Reads some bytes of the file; 0 at its end. */
static tally_status read_some(struct tl_source *source, void *to, size_t size, size_t *len_out,
                              struct tally_error *err)
{
    for (;;) {
        TL_TRY(wait_for_input(source, err));
        ssize_t n = read(source->fd, to, size);
        if (n >= 0) {
            source->bytes_read += (size_t)n;
            *len_out = (size_t)n;
            if (source->on_read != NULL) {
                source->on_read(source->ctx, source);
            }
            return TALLY_OK;
        }
        if (errno != EINTR) {
            return tl_fail_errno(err, TALLY_EIO, errno, "cannot read '%s'", source->path);
        }
    }
}

/* Makes room for CHUNK bytes behind what is in the window. */
static tally_status make_room(struct tl_source *source, struct tally_error *err)
{
    if (source->start > 0) {
        memmove(source->data, source->data + source->start, source->end - source->start);
        source->end -= source->start;
        source->start = 0;
    }
    if (source->capacity - source->end >= CHUNK) {
        return TALLY_OK;
    }
    size_t capacity = source->capacity == 0 ? 4 * CHUNK : 2 * source->capacity;
    char *data = tl_realloc_array(source->data, capacity, 1);
    if (data == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    source->data = data;
    source->capacity = capacity;
    return TALLY_OK;
}

/* Reads more of the gzip file, once all of it was decoded. */
static tally_status fill_raw(struct tl_source *source, struct tally_error *err)
{
    if (source->raw_start < source->raw_end) {
        return TALLY_OK;
    }
    source->raw_start = 0;
    TL_TRY(read_some(source, source->raw, CHUNK, &source->raw_end, err));
    if (source->raw_end == 0 && !tl_gunzip_is_complete(source->gunzip)) {
        return tl_fail(err, TALLY_EINVAL, "'%s' ends within its gzip data", source->path);
    }
    source->ended = source->raw_end == 0;
    return TALLY_OK;
}

static tally_status fill_gzip(struct tl_source *source, struct tally_error *err)
{
    size_t len = 0;
    while (len == 0 && !source->ended) {
        TL_TRY(fill_raw(source, err));
        const uint8_t *in = source->raw + source->raw_start;
        size_t in_len = source->raw_end - source->raw_start;
        if (in_len == 0) {
            break;
        }
        TL_TRY(tl_gunzip_run(source->gunzip, &in, &in_len, source->data + source->end,
                             source->capacity - source->end, &len, err));
        source->raw_start = source->raw_end - in_len;
    }
    source->end += len;
    return TALLY_OK;
}

/* Puts more into the window, or finds that nothing follows. What is in it may move. */
static tally_status fill(struct tl_source *source, struct tally_error *err)
{
    TL_TRY(make_room(source, err));
    if (source->gunzip != NULL) {
        return fill_gzip(source, err);
    }
    size_t len = 0;
    TL_TRY(
        read_some(source, source->data + source->end, source->capacity - source->end, &len, err));
    source->end += len;
    source->ended = len == 0;
    return TALLY_OK;
}

static bool begins(const struct tl_source *source, const char *bytes, size_t len)
{
    return source->end - source->start >= len &&
           memcmp(source->data + source->start, bytes, len) == 0;
}

/* What was read of the file so far is gzip: it becomes the raw input. */
static tally_status start_gzip(struct tl_source *source, struct tally_error *err)
{
    TL_TRY(tl_gunzip_new(&source->gunzip, err));
    /* The window has what one read() gave, and that may be more than CHUNK. */
    source->raw = tl_alloc_array(source->capacity, 1);
    if (source->raw == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    memcpy(source->raw, source->data, source->end);
    source->raw_end = source->end;
    source->end = 0;
    source->ended = false;
    return fill(source, err);
}

tally_status tl_source_open(struct tl_source *source, const char *path, struct tally_error *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    *source = (struct tl_source){ .path = path, .fd = STDIN_FILENO, .line = 1 };
    if (!is_stdin) {
        source->fd = tl_io->open(path, O_RDONLY | O_CLOEXEC, 0);
    }
    if (source->fd < 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot open '%s'", path);
    }
    tally_status status = fill(source, err);
    while (status == TALLY_OK && source->end < 3 && !source->ended) {
        status = fill(source, err);
    }
    if (status == TALLY_OK && begins(source, "\x1f\x8b", 2)) {
        status = start_gzip(source, err);
    }
    if (status != TALLY_OK) {
        tl_source_close(source);
        return status;
    }
    if (begins(source, "\xEF\xBB\xBF", 3)) {
        source->start += 3;
    }
    return TALLY_OK;
}

void tl_source_close(struct tl_source *source)
{
    if (source->fd > STDIN_FILENO) {
        tl_io_closep(&source->fd);
    }
    if (source->csv_open) {
        tl_csv_release(&source->csv);
    }
    tl_gunzip_free(source->gunzip);
    tl_free(source->raw);
    tl_free(source->data);
    *source = (struct tl_source){ .fd = -1 };
}

struct tl_str tl_source_window(const struct tl_source *source)
{
    size_t len = source->end - source->start;
    return len == 0 ? TL_STR("") : (struct tl_str){ source->data + source->start, len };
}

/* Takes `len` bytes off the window and counts their lines. */
static void take(struct tl_source *source, size_t len)
{
    tl_assert(len <= source->end - source->start);
    size_t end = source->start + len;
    while (source->start < end) {
        const char *from = source->data + source->start;
        const char *newline = memchr(from, '\n', end - source->start);
        if (newline == NULL) {
            source->start = end;
            return;
        }
        source->line++;
        source->start += (size_t)(newline - from) + 1;
    }
}

/* Takes what is left of a line that is too long. */
static tally_status pass_over_line(struct tl_source *source, struct tally_error *err)
{
    for (;;) {
        struct tl_str left = tl_source_window(source);
        const char *newline = left.len == 0 ? NULL : memchr(left.text, '\n', left.len);
        if (newline != NULL) {
            take(source, (size_t)(newline - left.text) + 1);
            return TALLY_OK;
        }
        take(source, left.len);
        if (source->ended) {
            return TALLY_OK;
        }
        TL_TRY(fill(source, err));
    }
}

tally_status tl_source_line(struct tl_source *source, struct tl_str *line_out, uint64_t *number_out,
                            struct tally_error *err)
{
    size_t seen = 0; /* bytes without a newline */
    *number_out = source->line;
    for (;;) {
        struct tl_str left = tl_source_window(source);
        const char *newline =
            left.len == seen ? NULL : memchr(left.text + seen, '\n', left.len - seen);
        if (newline != NULL) {
            size_t len = (size_t)(newline - left.text);
            bool has_cr = len > 0 && left.text[len - 1] == '\r';
            *line_out = (struct tl_str){ left.text, has_cr ? len - 1 : len };
            take(source, len + 1);
            return TALLY_OK;
        }
        seen = left.len;
        if (source->ended) {
            *line_out = left;
            take(source, left.len);
            return left.len == 0 ? TALLY_ENOTFOUND : TALLY_OK;
        }
        if (seen > TL_INPUT_BYTES_MAX) {
            *line_out = TL_STR("");
            tally_status status = pass_over_line(source, err);
            return status == TALLY_OK ? tl_fail(err, TALLY_ELIMIT, "the line is too long") : status;
        }
        TL_TRY(fill(source, err));
    }
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

tally_status tl_source_peek(struct tl_source *source, int *c_out, struct tally_error *err)
{
    for (;;) {
        struct tl_str left = tl_source_window(source);
        size_t len = 0;
        while (len < left.len && is_space(left.text[len])) {
            len++;
        }
        take(source, len);
        if (len < left.len) {
            *c_out = (unsigned char)left.text[len];
            return TALLY_OK;
        }
        if (source->ended) {
            *c_out = -1;
            return TALLY_OK;
        }
        TL_TRY(fill(source, err));
    }
}

void tl_source_skip(struct tl_source *source)
{
    take(source, 1);
}

/* Counts brackets through a value, over several windows. */
struct extent {
    size_t at; /* how far it was looked */
    size_t depth;
    bool in_string;
    bool escaped;
    bool scalar; /* a number or a word: ends before a delimiter */
};

/* Looks at a character within a string. */
static void pass_string(struct extent *extent, char c)
{
    if (extent->escaped) {
        extent->escaped = false;
    } else if (c == '\\') {
        extent->escaped = true;
    } else if (c == '"') {
        extent->in_string = false;
    }
}

/* Goes on to the end of the value; true if it is there. */
static bool find_end(struct extent *extent, struct tl_str left)
{
    for (; extent->at < left.len; extent->at++) {
        char c = left.text[extent->at];
        bool is_over = extent->scalar ? is_space(c) || strchr(",]}[{\"", c) != NULL
                                      : extent->depth == 0 && extent->at > 0;
        if (extent->in_string) {
            pass_string(extent, c);
        } else if (is_over) {
            return true;
        } else if (c == '"') {
            extent->in_string = true;
        } else if (c == '{' || c == '[') {
            extent->depth++;
        } else if ((c == '}' || c == ']') && extent->depth > 0) {
            extent->depth--;
        } else if (extent->at == 0) {
            extent->scalar = true;
        }
    }
    return !extent->in_string && extent->depth == 0 && !extent->scalar && extent->at > 0;
}

tally_status tl_source_value(struct tl_source *source, struct tl_str *text_out,
                             uint64_t *number_out, struct tally_error *err)
{
    int first = -1;
    TL_TRY(tl_source_peek(source, &first, err));
    *number_out = source->line;
    *text_out = TL_STR("");
    struct extent extent = { .at = 0 };
    while (!find_end(&extent, tl_source_window(source))) {
        struct tl_str left = tl_source_window(source);
        if (source->ended) {
            if (extent.scalar) {
                break;
            }
            *text_out = left;
            take(source, left.len);
            return tl_refuse(err, "bad_json", "", "the input ends within a value");
        }
        if (left.len > TL_INPUT_BYTES_MAX) {
            return tl_fail(err, TALLY_ELIMIT, "a value is too long");
        }
        TL_TRY(fill(source, err));
    }
    *text_out = (struct tl_str){ tl_source_window(source).text, extent.at };
    take(source, extent.at);
    return extent.at > 0 ? TALLY_OK : tl_refuse(err, "bad_json", "", "a value is missing");
}

/* After a malformed record, and before the first one: the reader begins anew. */
static void reset_csv(struct tl_source *source)
{
    static const struct tl_csv_limits limits = {
        .field_bytes_max = TL_INPUT_BYTES_MAX,
        .record_bytes_max = TL_INPUT_BYTES_MAX,
        .fields_max = 1000,
    };
    if (source->csv_open) {
        tl_csv_release(&source->csv);
    }
    tl_csv_init(&source->csv, &limits);
    source->csv_open = true;
    source->csv_fed = 0;
}

/* Gives the reader what it does not have yet. */
static tally_status feed_csv(struct tl_source *source, struct tally_error *err)
{
    struct tl_str left = tl_source_window(source);
    if (left.len == source->csv_fed && !source->ended) {
        TL_TRY(fill(source, err));
        left = tl_source_window(source);
    }
    if (left.len > source->csv_fed) {
        tl_csv_feed(&source->csv, left.text + source->csv_fed, left.len - source->csv_fed);
        source->csv_fed = left.len;
    } else if (source->ended) {
        tl_csv_end(&source->csv);
    }
    return TALLY_OK;
}

/* Passes over the line that is malformed; its text stays in the window. */
static tally_status pass_over_csv(struct tl_source *source, struct tl_str *text_out,
                                  struct tally_error *err)
{
    reset_csv(source);
    struct tl_str left = tl_source_window(source);
    const char *newline = left.len == 0 ? NULL : memchr(left.text, '\n', left.len);
    if (newline == NULL) {
        *text_out = TL_STR("");
        return pass_over_line(source, err);
    }
    *text_out = (struct tl_str){ left.text, (size_t)(newline - left.text) };
    take(source, text_out->len + 1);
    return TALLY_OK;
}

static tally_status refuse_csv(struct tl_source *source, tally_status why, struct tl_str *text_out,
                               struct tally_error *err)
{
    TL_TRY(pass_over_csv(source, text_out, err));
    return why == TALLY_ENOMEM ? tl_fail(err, why, "out of memory")
                               : tl_refuse(err, "bad_csv", "", "malformed CSV");
}

tally_status tl_source_csv(struct tl_source *source, struct tl_csv_record *record_out,
                           struct tl_str *text_out, uint64_t *number_out, struct tally_error *err)
{
    if (!source->csv_open) {
        reset_csv(source);
    }
    *number_out = source->line;
    *text_out = TL_STR("");
    for (;;) {
        struct tally_error why = TALLY_ERROR_INIT;
        tally_status status = tl_csv_next(&source->csv, record_out, &why);
        size_t unread = (size_t)(source->csv.end - source->csv.at);
        if (status == TALLY_OK) {
            *text_out = (struct tl_str){ tl_source_window(source).text, source->csv_fed - unread };
            take(source, text_out->len);
            source->csv_fed = unread;
            return TALLY_OK;
        }
        if (status != TALLY_ENOTFOUND) {
            return refuse_csv(source, status, text_out, err);
        }
        if (source->csv.ended) {
            return TALLY_ENOTFOUND;
        }
        TL_TRY(feed_csv(source, err));
    }
}
