#include "server/tar.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"

#define BLOCK     512u
#define PART      ((size_t)64 << 10)
#define PATH_SIZE 4096u
#define FILE_MAX  UINT64_C(077777777777) /* what eleven octal digits hold */

/* One entry, as POSIX lays it out. */
struct header {
    char name[100];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char checksum[8];
    char type;
    char linkname[100];
    char magic[6];
    char version[2];
    char rest[247]; /* names of owners, devices, a prefix: none */
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is one block");

/* One archive in the making. */
struct tar {
    const struct tl_tar_options *options;
    struct tally_error *err;
    size_t dir_len;
    char path[PATH_SIZE]; /* of the entry at hand */
    char part[PART];
};

static void octal(char *field, size_t digits, uint64_t value)
{
    for (size_t i = digits; i-- > 0; value /= 8) {
        field[i] = (char)('0' + value % 8);
    }
}

/* Counted as if the field for it were spaces. */
static void add_checksum(struct header *header)
{
    const unsigned char *bytes = (const unsigned char *)header;
    uint64_t sum = 0;
    memset(header->checksum, ' ', sizeof(header->checksum));
    for (size_t i = 0; i < sizeof(*header); i++) {
        sum += bytes[i];
    }
    octal(header->checksum, 6, sum);
    header->checksum[6] = '\0';
}

static tally_status put(struct tar *tar, const void *bytes, size_t len)
{
    return tar->options->write(tar->options->ctx, bytes, len);
}

static tally_status put_header(struct tar *tar, bool is_directory, uint64_t size)
{
    struct header header = { 0 };
    int len = snprintf(header.name, sizeof(header.name), "%s%s%s", tar->options->name,
                       tar->path + tar->dir_len, is_directory ? "/" : "");
    if (len < 0 || (size_t)len >= sizeof(header.name) || size > FILE_MAX) {
        return tl_fail(tar->err, TALLY_ELIMIT, "'%s' is too large for an archive", tar->path);
    }
    octal(header.mode, 7, is_directory ? 0755 : 0644);
    octal(header.uid, 7, 0);
    octal(header.gid, 7, 0);
    octal(header.size, 11, size);
    octal(header.mtime, 11, (uint64_t)tar->options->time_s);
    header.type = is_directory ? '5' : '0';
    memcpy(header.magic, "ustar", sizeof(header.magic));
    memcpy(header.version, "00", sizeof(header.version));
    add_checksum(&header);
    return put(tar, &header, sizeof(header));
}

static tally_status put_contents(struct tar *tar, int fd, uint64_t size)
{
    static const char zeros[BLOCK];
    for (uint64_t at = 0; at < size; at += sizeof(tar->part)) {
        size_t len = size - at < sizeof(tar->part) ? (size_t)(size - at) : sizeof(tar->part);
        TL_TRY(tl_io_read_at(fd, tar->part, len, at, tar->err));
        TL_TRY(put(tar, tar->part, len));
    }
    return put(tar, zeros, (BLOCK - size % BLOCK) % BLOCK);
}

static tally_status add_directory(struct tar *tar);

static tally_status add_one(struct tar *tar)
{
    struct stat st;
    TL_CLEANUP(tl_io_closep)
    int fd = tl_io->open(tar->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0 || tl_io->fstat(fd, &st) != 0) {
        return tl_fail_errno(tar->err, TALLY_EIO, errno, "cannot read '%s'", tar->path);
    }
    if (S_ISDIR(st.st_mode)) {
        return add_directory(tar);
    }
    if (!S_ISREG(st.st_mode)) {
        return tl_fail(tar->err, TALLY_EINVAL, "'%s' is no regular file", tar->path);
    }
    TL_TRY(put_header(tar, false, (uint64_t)st.st_size));
    return put_contents(tar, fd, (uint64_t)st.st_size);
}

static tally_status add_entry(void *ctx, const char *name)
{
    struct tar *tar = ctx;
    size_t len = strlen(tar->path);
    if (snprintf(tar->path + len, sizeof(tar->path) - len, "/%s", name) >=
        (int)(sizeof(tar->path) - len)) {
        return tl_fail(tar->err, TALLY_ELIMIT, "a path is too long for an archive");
    }
    tally_status status = add_one(tar);
    tar->path[len] = '\0';
    return status;
}

/* No deeper than names of 99 bytes can be. */
static tally_status add_directory(struct tar *tar)
{
    TL_TRY(put_header(tar, true, 0));
    return tl_io_each_entry(tar->path, add_entry, tar, tar->err);
}

tally_status tl_tar_directory(const char *dir, const struct tl_tar_options *options,
                              struct tally_error *err)
{
    static const char end[2 * BLOCK];
    TL_CLEANUP(tl_freep) struct tar *tar = tl_alloc_array(1, sizeof(*tar));
    if (tar == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    tar->options = options;
    tar->err = err;
    tar->dir_len = strlen(dir);
    if (tar->dir_len >= sizeof(tar->path)) {
        return tl_fail(err, TALLY_EINVAL, "the path of the directory is too long");
    }
    memcpy(tar->path, dir, tar->dir_len);
    TL_TRY(add_directory(tar));
    return put(tar, end, sizeof(end));
}
