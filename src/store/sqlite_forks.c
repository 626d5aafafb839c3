#include "store/sqlite_forks.h"

#include <pthread.h>
#include <sys/stat.h>

#include "base/fork.h"
#include "base/thread.h"

/* A file with connections, or with some that an ancestor had. */
struct file {
    dev_t device;
    ino_t inode;
    uint32_t connections;
    bool inherited;
};

static struct {
    pthread_once_t once;
    struct tl_fork_watch watch;
    struct tl_mutex mu;
    /* guarded by mu */
    struct file *files;
    size_t count;
    size_t capacity;
} open_files = { .once = PTHREAD_ONCE_INIT, .mu = { PTHREAD_MUTEX_INITIALIZER } };

static void prepare(void *ctx) TL_NO_ANALYSIS
{
    (void)ctx;
    tl_mutex_lock(&open_files.mu);
}

static void in_parent(void *ctx) TL_NO_ANALYSIS
{
    (void)ctx;
    tl_mutex_unlock(&open_files.mu);
}

static void in_child(void *ctx) TL_NO_ANALYSIS
{
    (void)ctx;
    for (size_t i = 0; i < open_files.count; i++) {
        struct file *file = &open_files.files[i];
        file->inherited = file->inherited || file->connections > 0;
    }
    tl_mutex_renew(&open_files.mu);
}

static void watch_forks(void)
{
    open_files.watch = (struct tl_fork_watch){
        .prepare = prepare, .parent = in_parent, .child = in_child, .ctx = NULL
    };
    tl_fork_watch(&open_files.watch);
}

/* The entry of a file, or of none that is in use any more; NULL if there is neither. */
static struct file *find(const struct stat *st) TL_REQUIRES(open_files.mu)
{
    struct file *unused = NULL;
    for (size_t i = 0; i < open_files.count; i++) {
        struct file *file = &open_files.files[i];
        if (file->device == st->st_dev && file->inode == st->st_ino) {
            return file;
        }
        unused = file->connections == 0 && !file->inherited ? file : unused;
    }
    return unused;
}

static struct file *add(void) TL_REQUIRES(open_files.mu)
{
    if (open_files.count == open_files.capacity) {
        size_t capacity = open_files.capacity == 0 ? 16 : 2 * open_files.capacity;
        struct file *files = tl_realloc_array(open_files.files, capacity, sizeof(*files));
        if (files == NULL) {
            return NULL;
        }
        open_files.files = files;
        open_files.capacity = capacity;
    }
    struct file *file = &open_files.files[open_files.count++];
    *file = (struct file){ 0 };
    return file;
}

static tally_status enter(const struct stat *st, struct tally_error *err) TL_REQUIRES(open_files.mu)
{
    struct file *file = find(st);
    if (file == NULL) {
        file = add();
    }
    if (file == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot note an open file");
    }
    if (file->device != st->st_dev || file->inode != st->st_ino) {
        *file = (struct file){ .device = st->st_dev, .inode = st->st_ino };
    }
    if (file->inherited) {
        return tl_fail(err, TALLY_ENOTSUP,
                       "the ledger was open when this process was forked: here it can be logged to "
                       "by the handle that was inherited, nothing else; fork first, or execute a "
                       "program");
    }
    file->connections++;
    return TALLY_OK;
}

tally_status tl_sqlite_enter(const char *path, struct tally_error *err)
{
    struct stat st;
    tl_assert(pthread_once(&open_files.once, watch_forks) == 0);
    if (stat(path, &st) != 0) {
        return TALLY_OK; /* opening it will tell */
    }
    tl_mutex_lock(&open_files.mu);
    tally_status status = enter(&st, err);
    tl_mutex_unlock(&open_files.mu);
    return status;
}

/* A file that was renamed or removed meanwhile keeps its count: in a child it counts as inherited,
 * which is the safe side. */
void tl_sqlite_leave(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return;
    }
    tl_mutex_lock(&open_files.mu);
    struct file *file = find(&st);
    if (file != NULL && file->device == st.st_dev && file->inode == st.st_ino &&
        file->connections > 0) {
        file->connections--;
    }
    tl_mutex_unlock(&open_files.mu);
}
