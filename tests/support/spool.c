#include "support/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

struct seen seen;

struct tl_spool_options spool_options_in(void **state)
{
    return (struct tl_spool_options){ .dir = *state,
                                      .segment_bytes = 65536,
                                      .bytes_max = UINT64_C(1) << 30,
                                      .sync_interval_ms = 20 };
}

struct tl_spool *spool_open_ok(const struct tl_spool_options *options)
{
    struct tl_spool *spool = NULL;
    check_ok(tl_spool_open(&spool, options, NULL));
    return spool;
}

uint8_t *spool_room(void)
{
    uint8_t *room = tl_alloc_array(tl_spool_span(TL_SPOOL_TEXT_MAX), 1);
    assert_non_null(room);
    return room;
}

static void put_text(char *out, unsigned writer, unsigned number, size_t len)
{
    char prefix[64];
    (void)snprintf(prefix, sizeof(prefix), PREFIX_FORMAT, writer, number, len);
    memset(out, 'a' + (int)((writer + number) % 26), len);
    memcpy(out, prefix, PREFIX_LEN);
}

tally_status spool_put(struct tl_spool *spool, uint8_t *room, unsigned writer, unsigned number,
                       size_t len, enum tl_spool_level level, int64_t until_us,
                       struct tl_spool_place *place, struct tally_error *err)
{
    assert_true(len >= PREFIX_LEN && len <= TL_SPOOL_TEXT_MAX);
    put_text((char *)room + TL_SPOOL_HEADER_LEN, writer, number, len);
    const struct tl_spool_record record = { .kind = TL_SPOOL_EVENT,
                                            .len = (uint32_t)len,
                                            .time_us = number };
    return tl_spool_write(spool, &record, room, level, until_us, place, err);
}

void spool_put_ok(struct tl_spool *spool, uint8_t *room, unsigned writer, unsigned number,
                  size_t len)
{
    struct tl_spool_place place;
    check_ok(spool_put(spool, room, writer, number, len, TL_SPOOL_QUEUED, FAR, &place, NULL));
    assert_int_equal(place.level, TL_SPOOL_QUEUED);
}

static unsigned number_at(const char *text, size_t len)
{
    unsigned value = 0;
    for (size_t i = 0; i < len; i++) {
        assert_in_range(text[i], '0', '9');
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    return value;
}

static void see_record(const struct tl_spool_record *record)
{
    assert_true(record->len >= PREFIX_LEN);
    unsigned writer = number_at(record->text + 1, 2);
    unsigned number = number_at(record->text + 4, 6);
    assert_true(writer < TL_ARRAY_LEN(seen.times) && number < RECORDS_MAX);
    char *want = tl_alloc_array(record->len, 1);
    put_text(want, writer, number, record->len);
    assert_memory_equal(record->text, want, record->len);
    tl_free(want);
    assert_int_equal(record->time_us, number);
    seen.times[writer][number]++;
    seen.records++;
}

/* All of a segment, with system calls of its own: those of the spool may be made to fail. */
static void see_segment(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    size_t size = (size_t)st.st_size;
    uint8_t *bytes = tl_alloc_array(size, 1);
    assert_int_equal(pread(fd, bytes, size, 0), size);
    struct tl_segment segment;
    check_ok(tl_segment_decode(&segment, bytes, NULL));
    assert_int_equal(segment.size, size);
    uint32_t index = 0;
    size_t at = TL_SEGMENT_HEADER_LEN;
    while (at < size) {
        struct tl_spool_record record;
        if (tl_spool_look(&record, bytes + at, size - at, segment.nonce) != TL_SPOOL_WHOLE) {
            bool nothing;
            at = tl_spool_next(bytes, size, at, segment.nonce, &nothing);
            seen.damaged += !nothing;
            continue;
        }
        seen.holes += record.index - index;
        index = record.index + 1;
        if (record.kind == TL_SPOOL_VOID) {
            seen.voids++;
        } else {
            see_record(&record);
        }
        at += tl_spool_span(record.len);
    }
    seen.segments++;
    tl_free(bytes);
}

unsigned seen_directory(const char *dir, bool removes, bool reads_locked)
{
    DIR *listing = opendir(dir);
    assert_non_null(listing);
    unsigned left = 0;
    for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
        size_t len = strlen(entry->d_name);
        if (len < 4 || strcmp(entry->d_name + len - 4, TL_SPOOL_SUFFIX) != 0) {
            left += entry->d_name[0] != '.';
            continue;
        }
        char path[512];
        check_path(path, sizeof(path), dir, entry->d_name);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0) {
            continue; /* an empty one, removed by its writer */
        }
        if (reads_locked || flock(fd, LOCK_EX | LOCK_NB) == 0) {
            see_segment(fd);
            assert_true(!removes || unlink(path) == 0 || errno == ENOENT);
        } else {
            left++;
        }
        assert_int_equal(close(fd), 0);
    }
    assert_int_equal(closedir(listing), 0);
    return left;
}

void check_all_seen(unsigned writer, unsigned count, bool allows_doubles)
{
    for (unsigned i = 0; i < RECORDS_MAX; i++) {
        unsigned times = seen.times[writer][i];
        if (i < count ? times == 0 || (times > 1 && !allows_doubles) : times != 0) {
            fail_msg("record %u of writer %u was seen %u times", i, writer, times);
        }
    }
}

void check_left_in_order(const char *dir)
{
    assert_int_equal(seen_directory(dir, true, false), 0);
    assert_int_equal(seen.holes, 0);
}

struct tl_spool_counts spool_counts_of(struct tl_spool *spool)
{
    struct tl_spool_counts counts;
    tl_spool_count(spool, &counts);
    return counts;
}

size_t spool_length_of(unsigned n)
{
    return n % 500 == 499 ? TEXT_MAX_LEN : PREFIX_LEN + n * 37 % 1500;
}

int seen_set_up(void **state)
{
    memset(&seen, 0, sizeof(seen));
    return check_mkdir(state);
}
