/* Makes, opens and closes ledgers. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/io.h"
#include "base/random.h"
#include "evidence/trust.h"
#include "ledger/ledger.h"
#include "ledger/remote.h"
#include "ledger/trust.h"

#define DEFAULT_URI_CONFIG "tally.yaml"
#define FIRST_LOCK_MS      2000u

static tally_status read_config_text(const struct tally_options *options,
                                     const struct tl_paths *paths, const char **path_out,
                                     char **text_out, size_t *len_out, struct tally_error *err)
{
    *path_out = options->config_path;
    if (options->config_path != NULL) {
        return tl_io_read_file(options->config_path, TL_CONFIG_BYTES_MAX, text_out, len_out, err);
    }
    *path_out = paths->config;
    if (paths->memory || paths->config[0] == '\0') {
        return TALLY_OK;
    }
    tally_status status =
        tl_io_read_file(paths->config, TL_CONFIG_BYTES_MAX, text_out, len_out, NULL);
    if (status == TALLY_ENOTFOUND) {
        return TALLY_OK; /* there need not be one */
    }
    return status == TALLY_OK ? status : tl_fail(err, status, "cannot read '%s'", paths->config);
}

/* Of settings with the same name the last one counts. */
static struct tl_str spool_setting(const struct tally_options *options)
{
    struct tl_str found = { 0 };
    for (size_t i = 0; i < options->setting_count; i++) {
        if (strcmp(options->settings[i].key, "remote.spool") == 0) {
            found = tl_str_of(options->settings[i].value);
        }
    }
    return found;
}

/* `config` is NULL before the configuration is read, which may lie in the ledger. */
static tally_status find_paths(struct tl_paths *paths, const struct tally_options *options,
                               const struct tl_config *config, struct tally_error *err)
{
    static const struct tl_str none = { 0 };
    if (tl_remote_is_url(options->uri)) {
        return tl_paths_init_remote(
            paths, config != NULL ? config->remote_spool : spool_setting(options), err);
    }
    return tl_paths_init(paths, options->uri, config != NULL ? config->store : none,
                         config != NULL ? config->keys_dir : none, err);
}

tally_status tl_options_read(const struct tally_options *options, struct tl_paths *paths_out,
                             struct tl_config *config_out, struct tally_error *err)
{
    if (options->uri != NULL && tl_remote_is_url(options->uri)) {
        return tl_fail(err, TALLY_ENOTSUP,
                       "not through HTTP: do it on the machine where the ledger lies");
    }
    return tl_options_read_any(options, paths_out, config_out, err);
}

tally_status tl_options_read_any(const struct tally_options *options, struct tl_paths *paths_out,
                                 struct tl_config *config_out, struct tally_error *err)
{
    if (options->struct_size != sizeof(*options)) {
        return tl_fail(err, TALLY_EINVAL, "struct tally_options has an unknown size");
    }
    if (options->uri == NULL) {
        return tl_fail(err, TALLY_EINVAL, "no ledger was named");
    }
    TL_TRY(find_paths(paths_out, options, NULL, err));
    const char *path = NULL;
    TL_CLEANUP(tl_freep) char *text = NULL;
    size_t len = 0;
    TL_TRY(read_config_text(options, paths_out, &path, &text, &len, err));
    TL_TRY(tl_config_read(config_out, path, (struct tl_str){ .text = text, .len = len },
                          options->settings, options->setting_count, err));
    tally_status status = find_paths(paths_out, options, config_out, err);
    if (status != TALLY_OK) {
        tl_config_release(config_out);
    }
    return status;
}

/* "<host>/<directory>-<8 hex digits>": an origin is never used again, so it holds chance. */
tally_status tl_origin_make(char out[TL_ORIGIN_LEN_MAX + 1], const struct tl_paths *paths,
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

static tally_status write_trust(const struct tl_paths *paths, const struct tl_keys *keys,
                                struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_trust *trust = tl_alloc_array(1, sizeof(*trust));
    if (trust == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a trust file");
    }
    return tl_trust_write(trust, keys, paths->trust, err);
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

tally_status tl_make_directories(const struct tl_paths *paths, struct tally_error *err)
{
    TL_TRY(tl_io_make_directory(paths->dir, 0700, err));
    TL_TRY(tl_io_make_directory(paths->checkpoints, 0700, err));
    TL_TRY(tl_io_make_directory(paths->spool, 0700, err));
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
    (void)rmdir(paths->spool);
    (void)rmdir(paths->keys);
    (void)rmdir(paths->dir);
}

void tl_init_result_fill(struct tally_init_result *result, const struct tl_keys *keys)
{
    (void)snprintf(result->origin, sizeof(result->origin), "%s", keys->state.origin);
    tl_vkey_format(result->log_key, &keys->log_key);
    tl_vkey_format(result->epoch_key, &keys->epoch_key);
    tl_mac_key_format(result->mac_key, keys->state.current.mac_key, keys->state.current.epoch);
}

/* Creates keys and the sequencer of a ledger whose store is open and empty. */
tally_status tl_create_sequencer(struct tl_sequencer **sequencer_out, const struct tl_paths *paths,
                                 const struct tl_config *config, struct tally_store *store,
                                 const char *origin, struct tally_init_result *result,
                                 struct tally_error *err)
{
    char name[TL_ORIGIN_LEN_MAX + 1];
    struct tl_keys *keys = NULL;
    TL_TRY(tl_origin_make(name, paths, origin, err));
    TL_TRY(tl_keys_create(&keys, paths->keys, tl_str_of(name), err));
    tl_init_result_fill(result, keys);
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

/* Whoever looks at a directory that came into being a moment ago holds its lock while it looks. */
static tally_status take_first_lock(const char *path, int *fd_out, struct tally_error *err)
{
    for (unsigned i = 0;; i++) {
        const struct timespec pause = { .tv_nsec = 1000000 };
        struct tally_error why = TALLY_ERROR_INIT;
        tally_status status = tl_lock_take(path, fd_out, &why);
        if (status != TALLY_EBUSY || i == FIRST_LOCK_MS) {
            return status == TALLY_OK ? TALLY_OK : tl_fail_with(err, status, &why);
        }
        (void)nanosleep(&pause, NULL); /* a signal only shortens it */
    }
}

static tally_status fill_directories(const struct tl_paths *paths, const struct tl_config *config,
                                     const char *origin, struct tally_init_result *result,
                                     struct tally_error *err)
{
    TL_CLEANUP(tl_io_closep) int lock = -1;
    TL_TRY(take_first_lock(paths->lock, &lock, err));
    struct tally_store *store = NULL;
    struct tl_sequencer *sequencer = NULL;
    TL_TRY(tl_store_open(&store, paths->store, TALLY_STORE_CREATE, err));
    tally_status status =
        tl_create_sequencer(&sequencer, paths, config, store, origin, result, err);
    tl_sequencer_close(sequencer);
    tl_store_close(store);
    return status;
}

static tally_status init_at(const struct tl_paths *paths, const struct tl_config *config,
                            const char *origin, struct tally_init_result *result,
                            struct tally_error *err)
{
    TL_TRY(check_vacant(paths, err));
    tally_status status = tl_make_directories(paths, err);
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
                tl_losses_init(&ledger->losses) == TALLY_OK &&
                tl_mutex_init(&ledger->state.mu) == TALLY_OK &&
                tl_cond_init(&ledger->state.changed) == TALLY_OK &&
                tl_mutex_init(&ledger->gates.mu) == TALLY_OK &&
                tl_cond_init(&ledger->gates.changed) == TALLY_OK &&
                tl_mutex_init(&ledger->readers.mu) == TALLY_OK;
    return done ? TALLY_OK : tl_fail(err, TALLY_ENOMEM, "cannot initialise locks");
}

static void release_locks(struct tally_ledger *ledger)
{
    tl_mutex_release(&ledger->queue.mu);
    tl_cond_release(&ledger->queue.work);
    tl_cond_release(&ledger->queue.done);
    tl_losses_release(&ledger->losses);
    tl_mutex_release(&ledger->state.mu);
    tl_cond_release(&ledger->state.changed);
    tl_mutex_release(&ledger->gates.mu);
    tl_cond_release(&ledger->gates.changed);
    tl_mutex_release(&ledger->readers.mu);
}

void tally_close(struct tally_ledger *ledger)
{
    if (ledger == NULL) {
        return;
    }
    tl_fork_unwatch(&ledger->watch);
    tl_sequence_stop(ledger);
    tl_spool_close(ledger->spool);
    struct tally_store *memory_store = ledger->paths.memory ? ledger->role.store : NULL;
    tl_readers_close(ledger); /* the one who writes is last, and tidies up the store's files */
    tl_role_drop(ledger, true);
    tl_store_close(memory_store);
    tl_remote_close(ledger->remote);
    tl_free(ledger->erasable);
    tl_config_release(&ledger->config);
    tl_arena_release(&ledger->options_arena);
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
    struct tl_role *role = &ledger->role;
    TL_TRY(tl_role_prepare(ledger, err));
    TL_TRY(tl_store_open(&role->store, ledger->paths.store, TALLY_STORE_CREATE, err));
    tally_status status = tl_create_sequencer(&role->sequencer, &ledger->paths, &ledger->config,
                                              role->store, NULL, &result, err);
    if (status == TALLY_OK) {
        memcpy(ledger->origin, result.origin, sizeof(ledger->origin));
        role->held = true;
        ledger->state.size = tl_sequencer_head(role->sequencer)->size;
    }
    explicit_bzero(&result, sizeof(result));
    return status;
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

/* Takes the name that the ledger gives itself, and opens the store for the readers to come. */
static tally_status open_for_reading(struct tally_ledger *ledger, struct tally_error *err)
{
    struct tl_reader reader;
    TL_TRY(tl_reader_get(ledger, &reader, err));
    ledger->is_volatile = (tl_store_caps(reader.store) & TALLY_STORE_VOLATILE) != 0;
    uint64_t newest = 0; /* the name may have changed since the first one */
    tally_status status = tl_store_newest_checkpoint(reader.store, &newest, err);
    if (status == TALLY_OK) {
        status = tl_store_scan_checkpoints(reader.store, newest, read_origin, ledger, err);
    }
    tl_reader_put(ledger, &reader);
    if (status != TALLY_ECANCELED) {
        return status == TALLY_OK ? tl_fail(err, TALLY_ECORRUPT, "the ledger has no checkpoint")
                                  : tl_fail(err, status, "cannot read the newest checkpoint");
    }
    return TALLY_OK;
}

/* The name, where the store cannot tell it: from the newest checkpoint that was published. */
static void read_published_origin(struct tally_ledger *ledger)
{
    char path[TL_PATH_SIZE];
    TL_CLEANUP(tl_freep) char *text = NULL;
    size_t len = 0;
    if (tl_path_join(path, ledger->paths.checkpoints, "newest", NULL) != TALLY_OK ||
        tl_io_read_file(path, TL_CONFIG_BYTES_MAX, &text, &len, NULL) != TALLY_OK) {
        return; /* then it has none */
    }
    const struct tl_str origin = { text, strcspn(text, "\n") };
    if (tl_origin_is_valid(origin)) {
        tl_str_copy(ledger->origin, sizeof(ledger->origin), origin);
    }
}

static void on_spooled(void *ctx)
{
    tl_sequence_wake(ctx);
}

static tally_status open_spool(struct tally_ledger *ledger, struct tally_error *err)
{
    const struct tl_config *config = &ledger->config;
    const struct tl_spool_options options = {
        .dir = ledger->paths.spool,
        .segment_bytes = (uint32_t)config->spool_segment_bytes,
        .bytes_max = config->spool_bytes_max,
        .sync_interval_ms = config->spool_sync_ms,
        .segment_age_ms = 1000 * config->spool_segment_age_s,
        .on_write = on_spooled,
        .ctx = ledger,
    };
    return tl_spool_open(&ledger->spool, &options, err);
}

/* Ledgers of the first version have none. */
static tally_status make_spool(const struct tl_paths *paths, struct tally_error *err)
{
    return tl_io->access(paths->spool, F_OK) == 0 ? TALLY_OK
                                                  : tl_io_make_directory(paths->spool, 0700, err);
}

/* With the lock as the sequencer, else as one who only spools, for now. */
static tally_status open_for_writing(struct tally_ledger *ledger, struct tally_error *err)
{
    struct tally_error why = TALLY_ERROR_INIT;
    bool elsewhere = false;
    tally_status status = make_spool(&ledger->paths, &why);
    if (status == TALLY_OK) {
        status = tl_role_take(ledger, &elsewhere, &why);
    }
    if (status == TALLY_OK) {
        tl_trouble_clear(ledger);
    } else if (!elsewhere && !ledger->unattended) {
        return tl_fail_with(err, status, &why);
    } else if (!elsewhere) {
        tl_trouble_note(ledger, status, &why);
    }
    why = (struct tally_error)TALLY_ERROR_INIT;
    status = open_for_reading(ledger, &why);
    if (status != TALLY_OK && !ledger->unattended) {
        return tl_fail_with(err, status, &why);
    }
    if (status != TALLY_OK) {
        read_published_origin(ledger);
    }
    return open_spool(ledger, err);
}

/* With the lock as the shipper, else as one who only spools, for now. That the server answers is not
 * needed. */
static tally_status open_remote(struct tally_ledger *ledger, struct tally_error *err)
{
    TL_TRY(tl_remote_open(ledger, err));
    if (!ledger->writable) {
        return TALLY_OK;
    }
    if (ledger->paths.dir[0] == '\0') {
        return tl_fail(err, TALLY_EINVAL,
                       "a remote ledger needs a directory where events wait: set 'remote.spool'");
    }
    struct tally_error why = TALLY_ERROR_INIT;
    bool elsewhere = false;
    TL_TRY(tl_remote_make_directories(&ledger->paths, err));
    tally_status status = tl_role_take(ledger, &elsewhere, &why);
    if (status != TALLY_OK && !elsewhere) {
        return tl_fail_with(err, status, &why);
    }
    TL_TRY(open_spool(ledger, err));
    return tl_sequence_start(ledger, err);
}

static tally_status require_directory(const struct tl_paths *paths, struct tally_error *err)
{
    if (!paths->memory && access(paths->dir, F_OK) != 0) {
        return tl_fail_errno(err, errno == ENOENT ? TALLY_ENOTFOUND : TALLY_EIO, errno,
                             "there is no ledger at '%s'", paths->dir);
    }
    return TALLY_OK;
}

/* With it callers make commitments; without it the sequencer does, which also names the pointer that
 * cannot be erasable. */
static tally_status make_erasable(struct tally_ledger *ledger, struct tally_error *err)
{
    struct tl_erasable_set *set = tl_alloc_array(1, sizeof(*set));
    if (set == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate the erasable members");
    }
    for (size_t i = 0; i < ledger->config.erasable_count; i++) {
        if (tl_erasable_add(set, ledger->config.erasable[i], NULL) != TALLY_OK) {
            tl_free(set);
            return TALLY_OK;
        }
    }
    ledger->erasable = set;
    return TALLY_OK;
}

static tally_status open_as(struct tally_ledger *ledger, const struct tally_options *options,
                            struct tally_error *err)
{
    ledger->writable = options->writable != 0 || ledger->paths.memory;
    ledger->unattended = options->unattended != 0;
    ledger->accept_clock = options->accept_clock != 0;
    if (ledger->paths.remote) {
        return open_remote(ledger, err);
    }
    TL_TRY(require_directory(&ledger->paths, err));
    if (!ledger->writable) {
        return open_for_reading(ledger, err);
    }
    TL_TRY(make_erasable(ledger, err));
    if (ledger->paths.memory) {
        TL_TRY(open_memory(ledger, err));
        ledger->is_volatile = true;
    } else {
        TL_TRY(open_for_writing(ledger, err));
    }
    return tl_sequence_start(ledger, err);
}

/* NULL stays NULL; false without memory. */
static bool copy_text(struct tl_arena *arena, const char **text)
{
    if (*text == NULL) {
        return true;
    }
    size_t size = strlen(*text) + 1;
    char *copy = tl_arena_alloc(arena, size);
    if (copy != NULL) {
        memcpy(copy, *text, size);
    }
    *text = copy;
    return copy != NULL;
}

static tally_status copy_options(struct tally_ledger *ledger, const struct tally_options *options)
{
    struct tl_arena *arena = &ledger->options_arena;
    struct tally_options *copy = &ledger->options;
    *copy = *options;
    struct tally_setting *settings =
        tl_arena_alloc(arena, (options->setting_count + 1) * sizeof(*settings));
    bool done =
        settings != NULL && copy_text(arena, &copy->uri) && copy_text(arena, &copy->config_path);
    for (size_t i = 0; done && i < options->setting_count; i++) {
        settings[i] = options->settings[i];
        done = copy_text(arena, &settings[i].key) && copy_text(arena, &settings[i].value) &&
               copy_text(arena, &settings[i].origin);
    }
    copy->settings = settings;
    return done ? TALLY_OK : TALLY_ENOMEM;
}

tally_status tally_open(struct tally_ledger **ledger_out, const struct tally_options *options,
                        struct tally_error *err)
{
    struct tally_ledger *made = tl_alloc_array(1, sizeof(*made));
    if (made == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a ledger");
    }
    made->queue.lock_fd = -1;
    made->gates.fds[TL_GATE_REMOVAL] = -1;
    made->gates.fds[TL_GATE_BATCH] = -1;
    tl_arena_init(&made->options_arena, 4 * TL_CONFIG_BYTES_MAX);
    tally_status status = init_locks(made, err);
    if (status == TALLY_OK) {
        status = tl_options_read_any(options, &made->paths, &made->config, err);
    }
    if (status == TALLY_OK && copy_options(made, options) != TALLY_OK) {
        tl_config_release(&made->config);
        status = tl_fail(err, TALLY_ENOMEM, "cannot allocate options");
    }
    if (status != TALLY_OK) {
        tl_arena_release(&made->options_arena);
        release_locks(made);
        tl_free(made);
        return status;
    }
    tl_ledger_watch_forks(made);
    TL_CLEANUP(closep) struct tally_ledger *ledger = made;
    TL_TRY(open_as(ledger, options, err));
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
