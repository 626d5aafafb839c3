/* tally_doctor(): looks at what a ledger needs from its surroundings. */
#include "ledger/doctor.h"

#include <errno.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "ledger/anchor.h"
#include "ledger/erase.h"
#include "ledger/keys.h"
#include "ledger/ledger.h"
#include "ledger/trust.h"

/* One visit. Large: allocate. */
struct visit {
    struct tl_paths paths;
    struct tl_config config;
    tally_diagnosis_fn *fn;
    void *ctx;
    enum tally_health worst;
    struct tally_head head;
    bool has_head;
};

static void say(struct visit *visit, const char *check, enum tally_health health, const char *what,
                const char *advice)
{
    const struct tally_diagnosis diagnosis = {
        .check = check, .health = health, .what = what, .advice = advice
    };
    visit->worst = health > visit->worst ? health : visit->worst;
    visit->fn(visit->ctx, &diagnosis);
}

static void look_at_mode(struct visit *visit, const char *check, const char *path, mode_t refused)
{
    struct stat st;
    char what[TL_PATH_SIZE + 64];
    if (stat(path, &st) != 0) {
        (void)snprintf(what, sizeof(what), "'%s' cannot be looked at", path);
        say(visit, check, TALLY_HEALTH_ERROR, what, "restore it from where it is kept");
        return;
    }
    (void)snprintf(what, sizeof(what), "'%s' has mode %04o", path, (unsigned)st.st_mode & 07777u);
    bool open = (st.st_mode & refused) != 0;
    say(visit, check, open ? TALLY_HEALTH_ERROR : TALLY_HEALTH_OK, what,
        open ? "take the rights of group and others away (chmod go-rwx)" : "");
}

static void look_at_permissions(struct visit *visit)
{
    look_at_mode(visit, "directory.permissions", visit->paths.dir, S_IRWXG | S_IRWXO);
    look_at_mode(visit, "keys.permissions", visit->paths.keys, S_IRWXG | S_IRWXO);
}

static void look_at_keys(struct visit *visit)
{
    struct tally_error error = TALLY_ERROR_INIT;
    struct tl_keys *keys = NULL;
    if (tl_keys_load(&keys, visit->paths.keys, &error) != TALLY_OK) {
        say(visit, "keys.files", TALLY_HEALTH_ERROR, error.message,
            "nothing can be appended without keys; see docs/operating.md, \"A key file is lost\"");
        return;
    }
    char what[160];
    (void)snprintf(what, sizeof(what),
                   "log key, state of epoch %u and high-water mark %llu are there",
                   keys->state.current.epoch, (unsigned long long)keys->mark.size);
    say(visit, "keys.files", TALLY_HEALTH_OK, what, "");
    tl_keys_free(keys);

    struct tl_trust *trust = NULL;
    bool there = tl_trust_read(&trust, visit->paths.trust, &error) == TALLY_OK;
    tl_free(trust);
    say(visit, "keys.trust", there ? TALLY_HEALTH_OK : TALLY_HEALTH_ERROR,
        there ? "the trust file can be read" : error.message,
        there ? "" : "copy trust.txt back from where you keep it");
}

static void look_at_store(struct visit *visit)
{
    struct tally_error error = TALLY_ERROR_INIT;
    struct tally_store *store = NULL;
    tally_status status = tl_store_open(&store, visit->paths.store, TALLY_STORE_READ, &error);
    if (status == TALLY_OK) {
        status = tl_store_head(store, &visit->head, &error);
    }
    tl_store_close(store);
    visit->has_head = status == TALLY_OK;
    char what[96];
    (void)snprintf(what, sizeof(what), "the store holds %llu records",
                   (unsigned long long)visit->head.size);
    say(visit, "store.open", status == TALLY_OK ? TALLY_HEALTH_OK : TALLY_HEALTH_ERROR,
        status == TALLY_OK ? what : error.message,
        status == TALLY_OK ? "" : "run 'tally verify'; restore a backup if it is damaged");
}

/* Whoever erases next finishes what was cut short; until then somebody has to know. */
static void look_at_erasures(struct visit *visit)
{
    struct tally_error error = TALLY_ERROR_INIT;
    struct tally_store *store = NULL;
    uint64_t seq = TALLY_SEQ_NONE;
    uint64_t left = 0;
    tally_status status = tl_store_open(&store, visit->paths.store, TALLY_STORE_READ, &error);
    if (status == TALLY_OK) {
        status = tl_erase_left(store, &seq, &left, &error);
    }
    tl_store_close(store);
    if (status != TALLY_OK) {
        say(visit, "erasure.complete", TALLY_HEALTH_ERROR, error.message,
            "run 'tally verify'; restore a backup if it is damaged");
        return;
    }
    if (left == 0) {
        say(visit, "erasure.complete", TALLY_HEALTH_OK, "nothing is left of what was erased", "");
        return;
    }
    char what[128];
    (void)snprintf(what, sizeof(what),
                   "%llu records still have contents that erasures up to record %llu cover",
                   (unsigned long long)left, (unsigned long long)seq);
    say(visit, "erasure.complete", TALLY_HEALTH_WARNING, what,
        "repeat the 'tally erase' that was cut short: it finishes what was sealed");
}

static void say_of_part(void *ctx, const char *check, enum tally_health health, const char *what,
                        const char *advice)
{
    say(ctx, check, health, what, advice);
}

static void look_at_holds(struct visit *visit)
{
    struct tally_store *store = NULL;
    if (tl_store_open(&store, visit->paths.store, TALLY_STORE_READ, NULL) == TALLY_OK) {
        tl_doctor_holds(store, say_of_part, visit);
    } /* else it was said already */
    tl_store_close(store);
}

static void look_at_index(struct visit *visit)
{
    struct tally_error error = TALLY_ERROR_INIT;
    struct tl_index *index = NULL;
    uint64_t position = 0;
    tally_status status = tl_index_open(&index, visit->paths.index, TALLY_STORE_READ, &error);
    if (status == TALLY_OK) {
        status = tl_index_position(index, &position, &error);
    }
    tl_index_close(index);
    if (status != TALLY_OK) {
        say(visit, "index.open", TALLY_HEALTH_WARNING, error.message,
            "queries read every record until you run 'tally reindex'");
        return;
    }
    char what[96];
    bool behind = visit->has_head && position + 100000 < visit->head.size;
    bool ahead = visit->has_head && position > visit->head.size;
    (void)snprintf(what, sizeof(what), "the index reaches record %llu of %llu",
                   (unsigned long long)position, (unsigned long long)visit->head.size);
    say(visit, "index.position", ahead || behind ? TALLY_HEALTH_WARNING : TALLY_HEALTH_OK, what,
        ahead    ? "it belongs to another state of the ledger: run 'tally reindex'"
        : behind ? "it catches up while a writer runs; or run 'tally reindex'"
                 : "");
}

static void look_at_disk(struct visit *visit)
{
    struct statvfs fs;
    if (tl_io->statvfs(visit->paths.dir, &fs) != 0) {
        say(visit, "disk.space", TALLY_HEALTH_WARNING, "the file system cannot be asked", "");
        return;
    }
    uint64_t left = (uint64_t)fs.f_bavail * fs.f_frsize;
    enum tl_disk_level level =
        tl_disk_level_of(&visit->config, left, (uint64_t)fs.f_blocks * fs.f_frsize, TL_DISK_ROOM);
    char what[96];
    (void)snprintf(what, sizeof(what), "%llu MiB are free", (unsigned long long)(left >> 20));
    say(visit, "disk.space",
        level == TL_DISK_ROOM   ? TALLY_HEALTH_OK
        : level == TL_DISK_SOFT ? TALLY_HEALTH_WARNING
                                : TALLY_HEALTH_ERROR,
        what,
        level == TL_DISK_ROOM   ? ""
        : level == TL_DISK_SOFT ? "make room: below disk.hard, best_effort events are dropped"
        : level == TL_DISK_HARD
            ? "make room: best_effort events are dropped, and declared as lost"
            : "make room: only strict events are taken; the others are declared as lost");
}

static void look_at_clock(struct visit *visit)
{
    bool synchronised = tl_clock->is_synchronised();
    say(visit, "clock.synchronised", synchronised ? TALLY_HEALTH_OK : TALLY_HEALTH_WARNING,
        synchronised ? "the kernel says that the clock is synchronised"
                     : "the kernel does not say that the clock is synchronised",
        synchronised ? "" : "run a time service (chrony, systemd-timesyncd)");
}

static void look_at_writer(struct visit *visit)
{
    int lock = -1;
    struct tally_error error = TALLY_ERROR_INIT;
    tally_status status = tl_lock_take(visit->paths.lock, &lock, &error);
    tl_io_closep(&lock);
    if (status == TALLY_OK || status == TALLY_EBUSY) {
        say(visit, "writer", TALLY_HEALTH_OK,
            status == TALLY_OK ? "no writer is active" : "a writer is active", "");
    } else {
        say(visit, "writer", TALLY_HEALTH_ERROR, error.message,
            "the user who appends must own the ledger's directory");
    }
}

/* What happens between two anchors, who has all the keys can change unseen. */
static void look_at_anchors(struct visit *visit)
{
    if (visit->config.anchor_target_count == 0) {
        return;
    }
    int64_t last_s = tl_anchor_last(&visit->paths);
    int64_t age_s = tl_clock->wall_us() / 1000000 - last_s;
    char what[96];
    if (last_s == 0) {
        (void)snprintf(what, sizeof(what), "no checkpoint was taken to 'anchor.targets' yet");
    } else {
        (void)snprintf(what, sizeof(what), "all of 'anchor.targets' had a checkpoint %lld s ago",
                       (long long)(age_s > 0 ? age_s : 0));
    }
    bool old = last_s == 0 || age_s > TL_ANCHOR_AGE_MAX_S;
    say(visit, "anchors", old ? TALLY_HEALTH_WARNING : TALLY_HEALTH_OK, what,
        old ? "run 'tally anchor', every day at least, and see what it says" : "");
}

static void look_around(struct visit *visit, const struct tally_options *options)
{
    say(visit, "configuration", TALLY_HEALTH_OK, "the configuration can be read", "");
    look_at_permissions(visit);
    look_at_keys(visit);
    look_at_store(visit);
    look_at_erasures(visit);
    look_at_holds(visit);
    look_at_index(visit);
    look_at_disk(visit);
    look_at_clock(visit);
    look_at_writer(visit);
    look_at_anchors(visit);
    tl_doctor_schedule(options, say_of_part, visit);
    tl_doctor_logging(options, visit->config.policy, say_of_part, visit);
}

tally_status tally_doctor(const struct tally_options *options, tally_diagnosis_fn *fn, void *ctx,
                          enum tally_health *worst_out, struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct visit *visit = tl_alloc_array(1, sizeof(*visit));
    if (visit == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a visit");
    }
    visit->fn = fn;
    visit->ctx = ctx;
    visit->worst = TALLY_HEALTH_OK;
    struct tally_error error = TALLY_ERROR_INIT;
    tally_status status = tl_options_read(options, &visit->paths, &visit->config, &error);
    if (status == TALLY_ENOMEM || options->uri == NULL) {
        return tl_fail(err, status, "%s", error.message);
    }
    if (status != TALLY_OK) {
        say(visit, "configuration", TALLY_HEALTH_ERROR, error.message, "correct it");
        *worst_out = visit->worst;
        return TALLY_OK;
    }
    if (visit->paths.memory) {
        status = tl_fail(err, TALLY_ENOTSUP, "a memory ledger has nothing on disk to look at");
    } else if (access(visit->paths.dir, F_OK) != 0) {
        status = tl_fail_errno(err, TALLY_ENOTFOUND, errno, "there is no ledger at '%s'",
                               visit->paths.dir);
    } else {
        look_around(visit, options);
        *worst_out = visit->worst;
    }
    tl_config_release(&visit->config);
    return status;
}
