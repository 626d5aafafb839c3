/* Makes, opens and closes ledgers. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/io.h"
#include "base/random.h"
#include "evidence/trust.h"
#include "ledger/ledger.h"

#define DEFAULT_URI_CONFIG "tally.yaml"

static tally_status read_config_text(const struct tally_options *options,
                                     const struct tl_paths *paths, const char **path_out,
                                     char **text_out, size_t *len_out, struct tally_error *err)
{
    *path_out = options->config_path;
    if (options->config_path != NULL) {
        return tl_io_read_file(options->config_path, TL_CONFIG_BYTES_MAX, text_out, len_out, err);
    }
    *path_out = paths->config;
    if (paths->memory) {
        return TALLY_OK;
    }
    tally_status status =
        tl_io_read_file(paths->config, TL_CONFIG_BYTES_MAX, text_out, len_out, NULL);
    if (status == TALLY_ENOTFOUND) {
        return TALLY_OK; /* there need not be one */
    }
    return status == TALLY_OK ? status : tl_fail(err, status, "cannot read '%s'", paths->config);
}

tally_status tl_options_read(const struct tally_options *options, struct tl_paths *paths_out,
                             struct tl_config *config_out, struct tally_error *err)
{
    if (options->struct_size != sizeof(*options)) {
        return tl_fail(err, TALLY_EINVAL, "struct tally_options has an unknown size");
    }
    if (options->uri == NULL) {
        return tl_fail(err, TALLY_EINVAL, "no ledger was named");
    }
    TL_TRY(tl_paths_init(paths_out, options->uri, (struct tl_str){ 0 }, (struct tl_str){ 0 }, err));
    const char *path = NULL;
    TL_CLEANUP(tl_freep) char *text = NULL;
    size_t len = 0;
    TL_TRY(read_config_text(options, paths_out, &path, &text, &len, err));
    TL_TRY(tl_config_read(config_out, path, (struct tl_str){ .text = text, .len = len },
                          options->settings, options->setting_count, err));
    tally_status status =
        tl_paths_init(paths_out, options->uri, config_out->store, config_out->keys_dir, err);
    if (status != TALLY_OK) {
        tl_config_release(config_out);
    }
    return status;
}

tally_status tl_lock_take(const char *path, int *fd_out, struct tally_error *err)
{
    int fd = tl_io->open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot open lock '%s'", path);
    }
    int rc = 0;
    do {
        rc = tl_io->flock(fd, LOCK_EX | LOCK_NB);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        int os_errno = errno;
        tl_io_closep(&fd);
        if (os_errno == EWOULDBLOCK) {
            return tl_fail(err, TALLY_EBUSY,
                           "the ledger is open for writing elsewhere ('%s' is locked); one process "
                           "at a time may write",
                           path);
        }
        return tl_fail_errno(err, TALLY_EIO, os_errno, "cannot lock '%s'", path);
    }
    *fd_out = fd;
    return TALLY_OK;
}

/* "<host>/<directory>-<8 hex digits>": an origin is never used again, so it holds chance. */
static tally_status make_origin(char out[TL_ORIGIN_LEN_MAX + 1], const struct tl_paths *paths,
                                const char *wanted, struct tally_error *err)
{
    char host[64] = "localhost";
    uint8_t random[4];
    char hex[2 * sizeof(random) + 1];
    if (wanted != NULL) {
        if (!tl_origin_is_valid(tl_str_of(wanted))) {
            return tl_fail(err, TALLY_EINVAL,
                           "the origin must have 1 to 200 bytes, no white space and no '+'");
        }
        (void)snprintf(out, TL_ORIGIN_LEN_MAX + 1, "%s", wanted);
        return TALLY_OK;
    }
    (void)gethostname(host, sizeof(host)); /* the default will do as well */
    host[sizeof(host) - 1] = '\0';
    tl_random_bytes(random, sizeof(random));
    tl_hex_encode(hex, random, sizeof(random));
    const char *slash = strrchr(paths->dir, '/');
    const char *name = slash == NULL ? paths->dir : slash + 1;
    (void)snprintf(out, TL_ORIGIN_LEN_MAX + 1, "%s/%.80s-%s", host,
                   paths->memory || name[0] == '\0' ? "memory" : name, hex);
    for (char *p = out; *p != '\0'; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || strchr("-._/", *p) != NULL;
        if (!plain) {
            *p = '_';
        }
    }
    return TALLY_OK;
}

/* What an auditor who trusts these keys must pin, kept beside them until it is kept elsewhere. */
static tally_status write_trust(const struct tl_paths *paths, const struct tl_keys *keys,
                                struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_trust *trust = tl_alloc_array(1, sizeof(*trust));
    if (trust == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a trust file");
    }
    trust->logs[0] = keys->log_key;
    trust->log_count = 1;
    trust->epochs[0] = keys->epoch_key;
    trust->epoch_count = 1;
    struct tl_buf text;
    tl_buf_init(&text, TL_CONFIG_BYTES_MAX);
    tl_trust_format(&text, trust);
    tally_status status = tl_buf_status(&text);
    if (status == TALLY_OK) {
        status = tl_io_replace_file(paths->trust, text.data, text.len, 0644, err);
    }
    tl_buf_release(&text);
    return status;
}

/* What is there already is not ours to write over. */
static tally_status check_vacant(const struct tl_paths *paths, struct tally_error *err)
{
    static const char *const taken[] = { "ledger.db", "index.db", "ledger.lock" };
    char path[TL_PATH_SIZE];
    for (size_t i = 0; i < TL_ARRAY_LEN(taken); i++) {
        TL_TRY(tl_path_join(path, paths->dir, taken[i], err));
        if (access(path, F_OK) == 0) {
            return tl_fail(err, TALLY_ECONFLICT, "'%s' is there already", path);
        }
    }
    TL_TRY(tl_path_join(path, paths->keys, "log.key", err));
    return access(path, F_OK) == 0 ? tl_fail(err, TALLY_ECONFLICT, "'%s' is there already", path)
                                   : TALLY_OK;
}

static tally_status make_directories(const struct tl_paths *paths, struct tally_error *err)
{
    TL_TRY(tl_io_make_directory(paths->dir, 0700, err));
    TL_TRY(tl_io_make_directory(paths->checkpoints, 0700, err));
    return tl_io_make_directory(paths->keys, 0700, err);
}

/* Takes back what a failed tally_init() made, so that it can be tried again. What cannot be removed
 * is seen by the next try. */
static void remove_directories(const struct tl_paths *paths)
{
    static const char *const files[] = { "ledger.db", "ledger.db-wal", "ledger.db-shm",
                                         "ledger.lock", "checkpoints/newest" };
    static const char *const keys[] = { "log.key", "state", "highwater", "trust.txt" };
    char path[TL_PATH_SIZE];
    for (size_t i = 0; i < TL_ARRAY_LEN(files); i++) {
        if (tl_path_join(path, paths->dir, files[i], NULL) == TALLY_OK) {
            (void)tl_io->unlink(path);
        }
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(keys); i++) {
        if (tl_path_join(path, paths->keys, keys[i], NULL) == TALLY_OK) {
            (void)tl_io->unlink(path);
        }
    }
    (void)rmdir(paths->checkpoints);
    (void)rmdir(paths->keys);
    (void)rmdir(paths->dir);
}

static void fill_result(struct tally_init_result *result, const struct tl_keys *keys)
{
    (void)snprintf(result->origin, sizeof(result->origin), "%s", keys->state.origin);
    tl_vkey_format(result->log_key, &keys->log_key);
    tl_vkey_format(result->epoch_key, &keys->epoch_key);
    tl_mac_key_format(result->mac_key, keys->state.current.mac_key, keys->state.current.epoch);
}

/* Creates keys and the sequencer of a ledger whose store is open and empty. */
static tally_status create_sequencer(struct tl_sequencer **sequencer_out,
                                     const struct tl_paths *paths, const struct tl_config *config,
                                     struct tally_store *store, const char *origin,
                                     struct tally_init_result *result, struct tally_error *err)
{
    char name[TL_ORIGIN_LEN_MAX + 1];
    struct tl_keys *keys = NULL;
    TL_TRY(make_origin(name, paths, origin, err));
    TL_TRY(tl_keys_create(&keys, paths->keys, tl_str_of(name), err));
    fill_result(result, keys);
    if (!paths->memory) {
        tally_status status = write_trust(paths, keys, err);
        if (status != TALLY_OK) {
            tl_keys_free(keys);
            return status;
        }
    }
    const struct tl_sequencer_input input = {
        .paths = paths, .config = config, .store = store, .keys = keys, .accept_clock = true
    };
    return tl_sequencer_create(sequencer_out, &input, err);
}

static tally_status fill_directories(const struct tl_paths *paths, const struct tl_config *config,
                                     const char *origin, struct tally_init_result *result,
                                     struct tally_error *err)
{
    TL_CLEANUP(tl_io_closep) int lock = -1;
    TL_TRY(tl_lock_take(paths->lock, &lock, err));
    struct tally_store *store = NULL;
    struct tl_sequencer *sequencer = NULL;
    TL_TRY(tl_store_open(&store, paths->store, TALLY_STORE_CREATE, err));
    tally_status status = create_sequencer(&sequencer, paths, config, store, origin, result, err);
    tl_sequencer_close(sequencer);
    tl_store_close(store);
    return status;
}

static tally_status init_at(const struct tl_paths *paths, const struct tl_config *config,
                            const char *origin, struct tally_init_result *result,
                            struct tally_error *err)
{
    TL_TRY(check_vacant(paths, err));
    tally_status status = make_directories(paths, err);
    if (status == TALLY_OK) {
        status = fill_directories(paths, config, origin, result, err);
    }
    if (status != TALLY_OK) {
        remove_directories(paths);
    }
    return status;
}

tally_status tally_init(const struct tally_options *options, const char *origin,
                        struct tally_init_result *result_out, struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_paths *paths = tl_alloc_array(1, sizeof(*paths));
    TL_CLEANUP(tl_freep) struct tl_config *config = tl_alloc_array(1, sizeof(*config));
    if (paths == NULL || config == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a ledger");
    }
    TL_TRY(tl_options_read(options, paths, config, err));
    struct tally_init_result result = { "", "", "", "" };
    tally_status status = paths->memory
                              ? tl_fail(err, TALLY_EINVAL, "a memory ledger is made by opening it")
                              : init_at(paths, config, origin, &result, err);
    tl_config_release(config);
    if (status == TALLY_OK) {
        *result_out = result;
    }
    explicit_bzero(&result, sizeof(result));
    return status;
}

static tally_status init_locks(struct tally_ledger *ledger, struct tally_error *err)
{
    bool done = tl_mutex_init(&ledger->queue.mu) == TALLY_OK &&
                tl_cond_init(&ledger->queue.work) == TALLY_OK &&
                tl_cond_init(&ledger->queue.done) == TALLY_OK &&
                tl_mutex_init(&ledger->state.mu) == TALLY_OK &&
                tl_cond_init(&ledger->state.changed) == TALLY_OK &&
                tl_mutex_init(&ledger->readers.mu) == TALLY_OK;
    return done ? TALLY_OK : tl_fail(err, TALLY_ENOMEM, "cannot initialise locks");
}

static void release_locks(struct tally_ledger *ledger)
{
    tl_mutex_release(&ledger->queue.mu);
    tl_cond_release(&ledger->queue.work);
    tl_cond_release(&ledger->queue.done);
    tl_mutex_release(&ledger->state.mu);
    tl_cond_release(&ledger->state.changed);
    tl_mutex_release(&ledger->readers.mu);
}

void tally_close(struct tally_ledger *ledger)
{
    if (ledger == NULL) {
        return;
    }
    tl_queue_stop(ledger);
    tl_indexer_stop(ledger, true);
    tl_sequencer_close(ledger->sequencer);
    tl_readers_close(ledger);
    tl_store_close(ledger->store);
    tl_io_closep(&ledger->lock_fd);
    tl_config_release(&ledger->config);
    release_locks(ledger);
    tl_free(ledger);
}

static void closep(struct tally_ledger **ledger)
{
    tally_close(*ledger);
    *ledger = NULL;
}

static tally_status open_memory(struct tally_ledger *ledger, struct tally_error *err)
{
    struct tally_init_result result = { "", "", "", "" };
    TL_TRY(tl_store_open(&ledger->store, ledger->paths.store, TALLY_STORE_CREATE, err));
    tally_status status = create_sequencer(&ledger->sequencer, &ledger->paths, &ledger->config,
                                           ledger->store, NULL, &result, err);
    if (status == TALLY_OK) {
        memcpy(ledger->origin, result.origin, sizeof(ledger->origin));
    }
    explicit_bzero(&result, sizeof(result));
    return status;
}

static tally_status open_for_writing(struct tally_ledger *ledger, bool accept_clock,
                                     struct tally_error *err)
{
    TL_TRY(tl_lock_take(ledger->paths.lock, &ledger->lock_fd, err));
    TL_TRY(tl_store_open(&ledger->store, ledger->paths.store, TALLY_STORE_WRITE, err));
    struct tl_keys *keys = NULL;
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = tl_keys_load(&keys, ledger->paths.keys, &why);
    if (status != TALLY_OK) {
        /* Not TALLY_ENOTFOUND: the ledger is there, and making a new one would be the wrong way. */
        return tl_fail_errno(err, status == TALLY_ENOTFOUND ? TALLY_EIO : status, why.os_errno,
                             "%s; without its keys the ledger can be read, not written",
                             why.message);
    }
    memcpy(ledger->origin, keys->state.origin, sizeof(ledger->origin));
    const struct tl_sequencer_input input = { .paths = &ledger->paths,
                                              .config = &ledger->config,
                                              .store = ledger->store,
                                              .keys = keys,
                                              .accept_clock = accept_clock };
    return tl_sequencer_resume(&ledger->sequencer, &input, err);
}

static tally_status read_origin(void *ctx, const struct tally_checkpoint *checkpoint)
{
    struct tally_ledger *ledger = ctx;
    const char *end = memchr(checkpoint->note, '\n', checkpoint->note_len);
    size_t len = end == NULL ? 0 : (size_t)(end - checkpoint->note);
    if (len == 0 || len > TL_ORIGIN_LEN_MAX) {
        return TALLY_ECORRUPT;
    }
    memcpy(ledger->origin, checkpoint->note, len);
    ledger->origin[len] = '\0';
    return TALLY_ECANCELED; /* one is enough */
}

/* A reader has no keys; it takes the name that the ledger gives itself. */
static tally_status open_for_reading(struct tally_ledger *ledger, struct tally_error *err)
{
    TL_TRY(tl_store_open(&ledger->store, ledger->paths.store, TALLY_STORE_READ, err));
    tally_status status = tl_store_scan_checkpoints(ledger->store, 0, read_origin, ledger, err);
    if (status != TALLY_ECANCELED) {
        return status == TALLY_OK ? tl_fail(err, TALLY_ECORRUPT, "the ledger has no checkpoint")
                                  : tl_fail(err, status, "cannot read the first checkpoint");
    }
    return TALLY_OK;
}

static tally_status require_directory(const struct tl_paths *paths, struct tally_error *err)
{
    if (!paths->memory && access(paths->dir, F_OK) != 0) {
        return tl_fail_errno(err, errno == ENOENT ? TALLY_ENOTFOUND : TALLY_EIO, errno,
                             "there is no ledger at '%s'", paths->dir);
    }
    return TALLY_OK;
}

static tally_status start(struct tally_ledger *ledger, struct tally_error *err)
{
    if (!ledger->writable) {
        return TALLY_OK;
    }
    ledger->state.size = tl_sequencer_head(ledger->sequencer)->size;
    if (!ledger->paths.memory) {
        TL_TRY(tl_indexer_start(ledger, err));
    }
    return tl_queue_start(ledger, err);
}

tally_status tally_open(struct tally_ledger **ledger_out, const struct tally_options *options,
                        struct tally_error *err)
{
    struct tally_ledger *made = tl_alloc_array(1, sizeof(*made));
    if (made == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a ledger");
    }
    made->lock_fd = -1;
    tally_status status = init_locks(made, err);
    if (status == TALLY_OK) {
        status = tl_options_read(options, &made->paths, &made->config, err);
    }
    if (status != TALLY_OK) {
        release_locks(made);
        tl_free(made);
        return status;
    }

    TL_CLEANUP(closep) struct tally_ledger *ledger = made;
    TL_TRY(require_directory(&ledger->paths, err));
    ledger->writable = options->writable != 0 || ledger->paths.memory;
    if (ledger->paths.memory) {
        TL_TRY(open_memory(ledger, err));
    } else if (ledger->writable) {
        TL_TRY(open_for_writing(ledger, options->accept_clock != 0, err));
    } else {
        TL_TRY(open_for_reading(ledger, err));
    }
    ledger->is_volatile = (tl_store_caps(ledger->store) & TALLY_STORE_VOLATILE) != 0;
    TL_TRY(start(ledger, err));
    *ledger_out = TL_TAKE(ledger);
    return TALLY_OK;
}

const char *tally_origin(const struct tally_ledger *ledger)
{
    return ledger->origin;
}

void tally_free(void *text)
{
    tl_free(text);
}
