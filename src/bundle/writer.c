#include "bundle/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/io.h"
#include "base/random.h"
#include "evidence/opening.h"

#define LINES_FLUSH ((size_t)256 << 10)
#define FILE_FLAGS  (O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW)

/* Beside the place where it is to appear, under a name that says what it is. */
static tally_status name_made(struct tl_bundle_writer *writer, struct tally_error *err)
{
    uint8_t random[4];
    char hex[2 * sizeof(random) + 1];
    struct tl_buf made;
    tl_random_bytes(random, sizeof(random));
    tl_hex_encode(hex, random, sizeof(random));
    tl_buf_init_fixed(&made, writer->made, sizeof(writer->made));
    tl_buf_addf(&made, "%s.%s.tmp", writer->dir, hex);
    tl_buf_add_char(&made, '\0');
    if (tl_buf_status(&made) != TALLY_OK) {
        writer->made[0] = '\0';
        return tl_fail(err, TALLY_EINVAL, "the path of the bundle is too long");
    }
    return TALLY_OK;
}

tally_status tl_bundle_writer_init(struct tl_bundle_writer *writer, const char *dir,
                                   struct tally_error *err)
{
    struct stat st;
    size_t len = strlen(dir);
    while (len > 1 && dir[len - 1] == '/') {
        len--;
    }
    writer->made[0] = '\0';
    writer->lines_fd = -1;
    tl_buf_init(&writer->entries, TL_BUNDLE_ENTRIES_LEN_MAX);
    tl_buf_init(&writer->lines, LINES_FLUSH + TL_OPENING_LEN_MAX);
    if (len == 0 || len >= sizeof(writer->dir)) {
        return tl_fail(err, TALLY_EINVAL, "the path of the bundle is empty or too long");
    }
    memcpy(writer->dir, dir, len);
    writer->dir[len] = '\0';
    if (lstat(writer->dir, &st) == 0) {
        return tl_fail(err, TALLY_ECONFLICT, "there is something at '%s' already", writer->dir);
    }
    TL_TRY(name_made(writer, err));
    if (tl_io->mkdir(writer->made, 0700) != 0) {
        int os_errno = errno;
        tally_status status =
            tl_fail_errno(err, TALLY_EIO, os_errno, "cannot make directory '%s'", writer->made);
        writer->made[0] = '\0';
        return status;
    }
    return TALLY_OK;
}

/* What is done with everything below a directory, from the leaves up. */
struct tree_walk {
    char *path; /* TL_BUNDLE_PATH_SIZE */
    tally_status (*file)(const char *path, struct tally_error *err);
    tally_status (*directory)(const char *path, struct tally_error *err);
    struct tally_error *err;
};

static tally_status walk_directory(struct tree_walk *walk);

static tally_status walk_entry(void *ctx, const char *name)
{
    struct tree_walk *walk = ctx;
    struct stat st;
    size_t len = strlen(walk->path);
    size_t name_len = strlen(name);
    if (len + 1 + name_len >= TL_BUNDLE_PATH_SIZE) {
        return tl_fail(walk->err, TALLY_EIO, "a path below '%s' is too long", walk->path);
    }
    walk->path[len] = '/';
    memcpy(walk->path + len + 1, name, name_len + 1);
    bool inner = lstat(walk->path, &st) == 0 && S_ISDIR(st.st_mode);
    tally_status status = inner ? walk_directory(walk) : walk->file(walk->path, walk->err);
    walk->path[len] = '\0';
    return status;
}

/* As deep as what was made here: four levels and three for each thousand of the tiles. */
static tally_status walk_directory(struct tree_walk *walk)
{
    TL_TRY(tl_io_each_entry(walk->path, walk_entry, walk, walk->err));
    return walk->directory(walk->path, walk->err);
}

static tally_status remove_file(const char *path, struct tally_error *err)
{
    (void)err;
    (void)tl_io->unlink(path); /* what stays has a name that says what it is */
    return TALLY_OK;
}

static tally_status remove_directory(const char *path, struct tally_error *err)
{
    (void)err;
    (void)rmdir(path);
    return TALLY_OK;
}

void tl_bundle_writer_release(struct tl_bundle_writer *writer)
{
    tl_io_closep(&writer->lines_fd); /* if it is open still, it is thrown away */
    writer->lines_fd = -1;
    tl_buf_release(&writer->entries);
    tl_buf_release(&writer->lines);
    if (writer->made[0] != '\0') {
        struct tree_walk walk = { .path = writer->made,
                                  .file = remove_file,
                                  .directory = remove_directory };
        (void)walk_directory(&walk);
        writer->made[0] = '\0';
    }
}

/* Makes the directories that a file lies in. Most lie where the one before did. */
static tally_status make_parents(struct tl_bundle_writer *writer, const char *name,
                                 struct tally_error *err)
{
    const char *last = strrchr(name, '/');
    size_t len = last == NULL ? 0 : (size_t)(last - name);
    tl_assert(len < sizeof(writer->parent));
    if (len == strlen(writer->parent) && memcmp(name, writer->parent, len) == 0) {
        return TALLY_OK;
    }
    char part[TL_BUNDLE_NAME_SIZE];
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        memcpy(part, name, (size_t)(slash - name));
        part[slash - name] = '\0';
        TL_TRY(tl_bundle_path(writer->path, writer->made, part, err));
        if (tl_io->mkdir(writer->path, 0700) != 0 && errno != EEXIST) {
            return tl_fail_errno(err, TALLY_EIO, errno, "cannot make directory '%s'", writer->path);
        }
    }
    memcpy(writer->parent, name, len);
    writer->parent[len] = '\0';
    return TALLY_OK;
}

static tally_status create(struct tl_bundle_writer *writer, const char *name, int *fd_out,
                           struct tally_error *err)
{
    TL_TRY(make_parents(writer, name, err));
    TL_TRY(tl_bundle_path(writer->path, writer->made, name, err));
    *fd_out = tl_io->open(writer->path, FILE_FLAGS, 0600);
    return *fd_out >= 0 ? TALLY_OK
                        : tl_fail_errno(err, TALLY_EIO, errno, "cannot create '%s'", writer->path);
}

/* A disk may say only now that it could not take what was written. */
static tally_status close_file(const char *path, int fd, tally_status status,
                               struct tally_error *err)
{
    if (tl_io->close(fd) != 0 && status == TALLY_OK) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot close '%s'", path);
    }
    return status;
}

tally_status tl_bundle_write_file(struct tl_bundle_writer *writer, const char *name,
                                  const void *data, size_t len, struct tally_error *err)
{
    int fd = -1;
    TL_TRY(create(writer, name, &fd, err));
    tally_status status = tl_io_write_at(fd, data, len, 0, err);
    writer->bytes += len;
    return close_file(writer->path, fd, status, err);
}

static tally_status write_tile(struct tl_bundle_writer *writer, const struct tl_bundle_tile *tile,
                               const void *data, size_t len, struct tally_error *err)
{
    char name[TL_BUNDLE_NAME_SIZE];
    tl_bundle_tile_name(name, tile);
    return tl_bundle_write_file(writer, name, data, len, err);
}

static tally_status write_full_tile(void *ctx, uint32_t level, uint64_t n, const uint8_t *data)
{
    struct tl_bundle_writer *writer = ctx;
    struct tl_bundle_tile tile = { .level = level, .n = n, .width = TL_TILE_WIDTH };
    return write_tile(writer, &tile, data, TL_TILE_LEN, writer->err);
}

/* Writes the leaves that were collected for the tile of entries that ends at `size`. */
static tally_status write_entries(struct tl_bundle_writer *writer, uint64_t size,
                                  struct tally_error *err)
{
    uint32_t partial = (uint32_t)(size % TL_TILE_WIDTH);
    struct tl_bundle_tile tile = { .level = TL_BUNDLE_ENTRIES,
                                   .n = (size - 1) / TL_TILE_WIDTH,
                                   .width = partial == 0 ? TL_TILE_WIDTH : partial };
    TL_TRY(write_tile(writer, &tile, writer->entries.data, writer->entries.len, err));
    tl_buf_clear(&writer->entries);
    return TALLY_OK;
}

tally_status tl_bundle_write_leaf(struct tl_bundle_writer *writer, const uint8_t *leaf, size_t len,
                                  struct tally_error *err)
{
    uint8_t hash[TL_HASH_LEN];
    TL_TRY(tl_bundle_add_entry(&writer->entries, leaf, len, err));
    tl_tree_hash_leaf(hash, leaf, len);
    tl_frontier_add(&writer->frontier, hash);
    writer->err = err;
    TL_TRY(tl_tiler_add(&writer->tiler, hash, write_full_tile, writer));
    return writer->tiler.size % TL_TILE_WIDTH == 0 ? write_entries(writer, writer->tiler.size, err)
                                                   : TALLY_OK;
}

tally_status tl_bundle_write_partial(struct tl_bundle_writer *writer, struct tally_error *err)
{
    uint64_t size = writer->tiler.size;
    for (uint32_t level = 0; level < TL_TILE_LEVELS; level++) {
        struct tl_bundle_tile tile = { .level = level,
                                       .n = size >> (8 * level) >> 8,
                                       .width = tl_tile_partial_width(size, level) };
        if (tile.width > 0) {
            TL_TRY(write_tile(writer, &tile, writer->tiler.hashes[level],
                              (size_t)tile.width * TL_HASH_LEN, err));
        }
    }
    return writer->entries.len == 0 ? TALLY_OK : write_entries(writer, size, err);
}

tally_status tl_bundle_write_lines(struct tl_bundle_writer *writer, bool all,
                                   struct tally_error *err)
{
    TL_TRY(tl_buf_status(&writer->lines));
    if (writer->lines.len < LINES_FLUSH && !all) {
        return TALLY_OK;
    }
    if (writer->lines_fd < 0) {
        TL_TRY(create(writer, "openings.ndjson", &writer->lines_fd, err));
    }
    TL_TRY(tl_io_write_at(writer->lines_fd, writer->lines.data, writer->lines.len, writer->lines_at,
                          err));
    writer->lines_at += writer->lines.len;
    writer->bytes += writer->lines.len;
    tl_buf_clear(&writer->lines);
    if (!all) {
        return TALLY_OK;
    }
    int fd = writer->lines_fd;
    writer->lines_fd = -1;
    return close_file("openings.ndjson", fd, TALLY_OK, err);
}

static tally_status sync_path(const char *path, int flags, struct tally_error *err)
{
    TL_CLEANUP(tl_io_closep) int fd = tl_io->open(path, flags | O_CLOEXEC, 0);
    if (fd < 0 || tl_io->fsync(fd) != 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot sync '%s'", path);
    }
    return TALLY_OK;
}

static tally_status sync_file(const char *path, struct tally_error *err)
{
    return sync_path(path, O_RDONLY, err);
}

static tally_status sync_directory(const char *path, struct tally_error *err)
{
    return sync_path(path, O_RDONLY | O_DIRECTORY, err);
}

/* Of the directory that the bundle lies in. Nothing may fail here for want of memory: it is there. */
static tally_status sync_parent(struct tl_bundle_writer *writer, struct tally_error *err)
{
    const char *slash = strrchr(writer->dir, '/');
    size_t len = slash == NULL ? 1 : slash == writer->dir ? 1 : (size_t)(slash - writer->dir);
    memcpy(writer->path, slash == NULL ? "." : writer->dir, len);
    writer->path[len] = '\0';
    return sync_directory(writer->path, err);
}

/* All files at the end: the first sync makes the system write most of them, the others find little
 * left to do. */
tally_status tl_bundle_publish(struct tl_bundle_writer *writer, struct tally_error *err)
{
    struct tree_walk walk = {
        .path = writer->made, .file = sync_file, .directory = sync_directory, .err = err
    };
    TL_TRY(walk_directory(&walk));
    if (tl_io->rename(writer->made, writer->dir) != 0) {
        tally_status status =
            errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR ? TALLY_ECONFLICT : TALLY_EIO;
        return tl_fail_errno(err, status, errno, "cannot rename '%s'", writer->made);
    }
    writer->made[0] = '\0';
    return sync_parent(writer, err);
}
