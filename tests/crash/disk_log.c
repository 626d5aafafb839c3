/*
 * nbdkit disk_log.so file=IMAGE log=LOG oracle=ORACLE - a disk that records what it is asked to do.
 *
 * Every write and flush is in the log, with what was acknowledged when it arrived; disk_cut makes
 * from it any disk that a power cut could have left.
 */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash/disk_log.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_SERIALIZE_ALL_REQUESTS

static const char *file_path;
static const char *log_path;
static const char *oracle_path;
static int disk = -1;
static int out = -1;
static const struct oracle *oracle;

static int disk_config(const char *key, const char *value)
{
    const char **slot = strcmp(key, "file") == 0     ? &file_path
                        : strcmp(key, "log") == 0    ? &log_path
                        : strcmp(key, "oracle") == 0 ? &oracle_path
                                                     : NULL;
    if (slot == NULL) {
        nbdkit_error("unknown parameter '%s'", key);
        return -1;
    }
    *slot = nbdkit_absolute_path(value);
    return *slot == NULL ? -1 : 0;
}

static int disk_get_ready(void)
{
    if (file_path == NULL || log_path == NULL || oracle_path == NULL) {
        nbdkit_error("file=, log= and oracle= are required");
        return -1;
    }
    disk = open(file_path, O_RDWR | O_CLOEXEC);
    out = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (disk < 0 || out < 0) {
        nbdkit_error("cannot open the files: %m");
        return -1;
    }
    oracle = oracle_map(oracle_path);
    return 0;
}

static void *disk_open(int readonly)
{
    (void)readonly;
    return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t disk_get_size(void *handle)
{
    struct stat st;
    (void)handle;
    return fstat(disk, &st) == 0 ? st.st_size : -1;
}

static int note(enum disk_log_type type, const void *bytes, uint32_t len, uint64_t offset)
{
    struct disk_log_entry entry = {
        .magic = DISK_LOG_MAGIC, .type = type, .offset = offset, .len = len
    };
    for (unsigned i = 0; i < ORACLE_SLOTS; i++) {
        entry.acked[i] = atomic_load(&oracle->slots[i].acked);
    }
    if (write(out, &entry, sizeof(entry)) != (ssize_t)sizeof(entry) ||
        (len > 0 && write(out, bytes, len) != (ssize_t)len)) {
        nbdkit_error("cannot write the log: %m");
        return -1;
    }
    return 0;
}

static int disk_pread(void *handle, void *bytes, uint32_t len, uint64_t offset, uint32_t flags)
{
    (void)handle;
    (void)flags;
    return pread(disk, bytes, len, (off_t)offset) == (ssize_t)len ? 0 : -1;
}

static int disk_pwrite(void *handle, const void *bytes, uint32_t len, uint64_t offset,
                       uint32_t flags)
{
    (void)handle;
    (void)flags;
    if (note(DISK_LOG_WRITE, bytes, len, offset) != 0) {
        return -1;
    }
    return pwrite(disk, bytes, len, (off_t)offset) == (ssize_t)len ? 0 : -1;
}

static int disk_flush(void *handle, uint32_t flags)
{
    (void)handle;
    (void)flags;
    return note(DISK_LOG_FLUSH, NULL, 0, 0);
}

static int disk_can_fua(void *handle)
{
    (void)handle;
    return NBDKIT_FUA_EMULATE; /* a forced write becomes a write and a flush */
}

static struct nbdkit_plugin plugin = {
    .name = "disklog",
    .config = disk_config,
    .get_ready = disk_get_ready,
    .open = disk_open,
    .get_size = disk_get_size,
    .can_fua = disk_can_fua,
    .pread = disk_pread,
    .pwrite = disk_pwrite,
    .flush = disk_flush,
    .errno_is_preserved = 1,
};

struct nbdkit_plugin *plugin_init(void); /* which the macro defines */
NBDKIT_REGISTER_PLUGIN(plugin)
