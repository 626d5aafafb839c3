/* Events that the server of a remote ledger refuses for good: kept on this machine, for people. */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/io.h"
#include "codec/js.h"
#include "ledger/remote.h"

#define FILE_NAME "refused.ndjson"
#define BYTES_MAX ((size_t)16 << 20)

tally_status tl_refused_begin(struct tl_refused *refused, const struct tl_paths *paths,
                              struct tally_error *err)
{
    TL_TRY(tl_path_join(refused->path, paths->dir, FILE_NAME, err));
    tl_buf_init(&refused->lines, BYTES_MAX);
    tally_status status =
        tl_io_read_file(refused->path, BYTES_MAX, &refused->text, &refused->len, NULL);
    refused->is_full = status == TALLY_ELIMIT;
    return status == TALLY_OK || status == TALLY_ENOTFOUND || refused->is_full
               ? TALLY_OK
               : tl_fail(err, status, "cannot read '%s'", refused->path);
}

static void write_line(struct tl_js *js, const char *source, const char *code, struct tl_str event)
{
    tl_js_open(js, NULL, '{');
    tl_js_text(js, "from", source);
    tl_js_text(js, "code", code);
    tl_js_time(js, "refused_at", tl_clock->wall_us());
    tl_js_raw(js, "event", event);
    tl_js_close(js, '}');
    tl_buf_add_char(&js->buf, '\n');
}

/* Whether a whole line begins in the same way, up to the code. */
static bool is_there(const struct tl_refused *refused, const char *line)
{
    size_t head_len = (size_t)(strchr(line, ',') - line) + 1;
    const char *at = refused->text;
    size_t left = refused->len;
    while (left > 0) {
        const char *next = memchr(at, '\n', left);
        if (next == NULL) {
            return false; /* cut short by a crash */
        }
        size_t len = (size_t)(next - at);
        if (len > head_len && memcmp(at, line, head_len) == 0) {
            return true;
        }
        at = next + 1;
        left -= len + 1;
    }
    return false;
}

bool tl_refused_add(struct tl_refused *refused, const char *source, const char *code,
                    struct tl_str event)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    write_line(&js, source, code, event);
    if (refused->is_full || tl_buf_status(&js.buf) != TALLY_OK) {
        return false;
    }
    if (is_there(refused, js.buf.data)) {
        return true;
    }
    bool fits = refused->len + refused->lines.len + js.buf.len < BYTES_MAX;
    if (fits) {
        tl_buf_add_str(&refused->lines, tl_buf_str(&js.buf));
    }
    return fits;
}

tally_status tl_refused_end(struct tl_refused *refused, struct tally_error *err)
{
    uint64_t offset = refused->len;
    TL_TRY(tl_buf_status(&refused->lines));
    if (refused->lines.len == 0) {
        return TALLY_OK;
    }
    TL_CLEANUP(tl_io_closep)
    int fd = tl_io->open(refused->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot open '%s'", refused->path);
    }
    if (offset > 0 && refused->text[offset - 1] != '\n') {
        TL_TRY(tl_io_write_at(fd, "\n", 1, offset++, err));
    }
    TL_TRY(tl_io_write_at(fd, refused->lines.data, refused->lines.len, offset, err));
    if (tl_io->fsync(fd) != 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot sync '%s'", refused->path);
    }
    return offset == 0 ? tl_io_sync_directory_of(refused->path, err) : TALLY_OK;
}

void tl_refused_release(struct tl_refused *refused)
{
    tl_free(refused->text);
    tl_buf_release(&refused->lines);
}

tally_status tl_refused_count(const struct tl_paths *paths, uint64_t *count_out,
                              struct tally_error *err)
{
    TL_CLEANUP(tl_refused_release) struct tl_refused refused = { 0 };
    TL_TRY(tl_refused_begin(&refused, paths, err));
    *count_out = refused.is_full ? 1 : 0; /* somebody else made it larger: at least that */
    for (size_t i = 0; i < refused.len; i++) {
        *count_out += refused.text[i] == '\n' ? 1 : 0;
    }
    return TALLY_OK;
}
