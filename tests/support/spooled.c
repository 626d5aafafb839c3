#include "spooled.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "fake_clock.h"

struct spooled spooled_begin(uint32_t size)
{
    struct spooled image = { .bytes = tl_alloc_array(size, 1),
                             .size = size,
                             .at = TL_SEGMENT_HEADER_LEN };
    assert_non_null(image.bytes);
    const struct tl_segment header = {
        .nonce = SPOOLED_NONCE, .created_us = 5, .size = size, .pid = 1
    };
    tl_segment_encode(image.bytes, &header);
    return image;
}

void spooled_end(struct spooled *image)
{
    tl_free(image->bytes);
}

/* The text of a record tells its index. */
void spooled_text(char *out, uint32_t index, uint32_t len)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "{\"n\":%u}", index);
    for (uint32_t i = 0; i < len; i++) {
        out[i] = '.';
        if (i < (uint32_t)n) {
            out[i] = text[i];
        }
    }
}

size_t spooled_add_kind(struct spooled *image, enum tl_spool_kind kind, uint32_t len)
{
    size_t at = image->at;
    struct tl_spool_record record = {
        .kind = kind, .index = image->index, .time_us = 1000 + image->index, .len = len
    };
    assert_true(at + tl_spool_span(len) <= image->size);
    spooled_text((char *)image->bytes + at + TL_SPOOL_HEADER_LEN, image->index, len);
    tl_spool_encode(image->bytes + at, &record, SPOOLED_NONCE);
    image->at += tl_spool_span(len);
    image->index++;
    return at;
}

size_t spooled_add(struct spooled *image, uint32_t len)
{
    return spooled_add_kind(image, TL_SPOOL_EVENT, len);
}

/* Space that was reserved and not written. */
void spooled_add_hole(struct spooled *image, uint32_t len)
{
    size_t at = spooled_add(image, len);
    memset(image->bytes + at, 0, image->at - at);
}

void spooled_write_bytes(const char *dir, const char *name, const void *bytes, size_t len)
{
    char path[SPOOLED_PATH_LEN];
    check_path(path, sizeof(path), dir, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_true(fwrite(bytes, 1, len, file) == len);
    assert_int_equal(fclose(file), 0);
}

void spooled_write(const char *dir, const char *name, const struct spooled *image)
{
    spooled_write_bytes(dir, name, image->bytes, image->size);
}

/* Holds a segment as its writer would. Close it to let go. */
int spooled_lock(const char *dir, const char *name)
{
    char path[SPOOLED_PATH_LEN];
    check_path(path, sizeof(path), dir, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    return fd;
}

bool spooled_exists(const char *dir, const char *name)
{
    char path[SPOOLED_PATH_LEN];
    check_path(path, sizeof(path), dir, name);
    return access(path, F_OK) == 0;
}

bool spooled_take_kept(const char *dir, const char *name)
{
    char kept[SPOOLED_PATH_LEN];
    char path[SPOOLED_PATH_LEN];
    check_path(kept, sizeof(kept), dir, "quarantine");
    check_path(path, sizeof(path), kept, name);
    return unlink(path) == 0;
}

struct tl_drain *drained_open(const char *dir)
{
    struct tl_drain *drain = NULL;
    check_ok(tl_drain_open(&drain, dir, NULL));
    return drain;
}

struct drained drained;

void drained_check_text(const struct tl_drain_item *item)
{
    static char want[TL_SPOOL_TEXT_MAX];
    spooled_text(want, item->record.index, item->record.len);
    assert_true(item->record.len == 0 || memcmp(want, item->record.text, item->record.len) == 0);
}

size_t drained_take(struct tl_drain *drain, size_t max, size_t bytes_max)
{
    struct tl_drain_item items[256];
    size_t count = 0;
    check_ok(tl_drain_take(drain, items, max, bytes_max, &count, NULL));
    assert_true(count <= max);
    for (size_t i = 0; i < count; i++) {
        drained_check_text(&items[i]);
        assert_true(drained.count < DRAINED_MAX);
        drained.index[drained.count] = items[i].record.index;
        drained.name[drained.count++] = items[i].segment->name[0];
    }
    return count;
}

/* Takes until there is nothing now, after the time in which locks and directory may be old. */
void drained_take_all(struct tl_drain *drain)
{
    drained.count = 0;
    fake_clock_pass(FAKE_SECOND * 2);
    while (drained_take(drain, 256, SIZE_MAX) > 0) {
    }
}

void drained_check(const char *want)
{
    char got[256] = "";
    size_t at = 0;
    for (size_t i = 0; i < drained.count; i++) {
        at += (size_t)snprintf(got + at, sizeof(got) - at, "%s%c%u", i > 0 ? " " : "",
                               drained.name[i], drained.index[i]);
        assert_true(at < sizeof(got));
    }
    assert_string_equal(got, want);
}

void drained_check_lost(const struct tl_drain_segment *segment, uint64_t in_flight, uint64_t torn,
                        uint64_t damaged)
{
    assert_non_null(segment);
    assert_int_equal(segment->lost[TL_DRAIN_IN_FLIGHT].count, in_flight);
    assert_int_equal(segment->lost[TL_DRAIN_TORN].count, torn);
    assert_int_equal(segment->lost[TL_DRAIN_DAMAGED].count, damaged);
    assert_true(segment->lost[TL_DRAIN_IN_FLIGHT].exact && segment->lost[TL_DRAIN_TORN].exact);
    assert_true(segment->lost[TL_DRAIN_DAMAGED].exact == (damaged == 0));
}

/* Reads one final segment and checks what it gives. */
void drained_final(const char *dir, const struct spooled *image, const char *want,
                   const uint64_t lost[3], bool is_kept)
{
    spooled_write(dir, "a.seg", image);
    struct tl_drain *drain = drained_open(dir);
    drained_take_all(drain);
    drained_check(want);
    tl_drain_commit(drain);
    struct tl_drain_segment *segment = tl_drain_ended(drain);
    drained_check_lost(segment, lost[0], lost[1], lost[2]);
    tl_drain_finish(drain, segment);
    assert_null(tl_drain_ended(drain));
    assert_false(spooled_exists(dir, "a.seg"));
    assert_true(spooled_take_kept(dir, "a.seg") == is_kept);
    tl_drain_close(drain);
}
