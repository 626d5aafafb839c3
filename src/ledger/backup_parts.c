#include "ledger/backup_parts.h"

#include <errno.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/parse.h"
#include "bundle/bundle.h"
#include "codec/json.h"
#include "ledger/ledger.h"
#include "verify/verify.h"

#define FORMAT     "tallystick/v1 backup"
#define LEAVES_MAX ((UINT64_C(1) << 53) - 1) /* exact in JSON */

tally_status tl_backup_paths_init(struct tl_backup_paths *paths, const char *dir,
                                  struct tally_error *err)
{
    size_t len = strlen(dir);
    while (len > 1 && dir[len - 1] == '/') {
        len--;
    }
    if (len == 0 || len >= sizeof(paths->dir)) {
        return tl_fail(err, TALLY_EINVAL, "a backup needs the path of a directory");
    }
    memset(paths, 0, sizeof(*paths));
    memcpy(paths->dir, dir, len);
    TL_TRY(tl_path_join(paths->manifest, paths->dir, "backup.json", err));
    TL_TRY(tl_path_join(paths->store, paths->dir, TL_BACKUP_STORE, err));
    TL_TRY(tl_path_join(paths->trust, paths->dir, "trust.txt", err));
    TL_TRY(tl_path_join(paths->config, paths->dir, "config.yaml", err));
    TL_TRY(tl_path_join(paths->checkpoints, paths->dir, "checkpoints", err));
    TL_TRY(tl_path_join(paths->anchors, paths->dir, "anchors", err));
    return tl_path_join(paths->lock, paths->dir, TL_BACKUP_LOCK, err);
}

tally_status tl_backup_lock(const struct tl_backup_paths *paths, int *fd_out,
                            struct tally_error *err)
{
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = tl_lock_take(paths->lock, fd_out, &why);
    if (status == TALLY_EBUSY) {
        return tl_fail(err, status, "somebody is at work there: '%s' is locked", paths->lock);
    }
    return status == TALLY_OK ? status : tl_fail_with(err, status, &why);
}

void tl_manifest_format(struct tl_buf *out, const struct tl_manifest *manifest)
{
    char root[2 * TALLY_HASH_LEN + 1];
    tl_hex_encode(root, manifest->root, sizeof(manifest->root));
    tl_buf_addf(out, "{\"complete\":%s,\"format\":\"" FORMAT "\",\"origin\":",
                manifest->complete ? "true" : "false");
    tl_json_write_string(out, tl_str_of(manifest->origin));
    tl_buf_addf(out, ",\"root\":\"%s\",\"size\":%llu}\n", root, (unsigned long long)manifest->size);
}

static bool read_members(struct tl_manifest *out, const struct tl_json *root)
{
    const struct tl_json *complete = tl_json_member(root, "complete");
    const struct tl_json *format = tl_json_member(root, "format");
    const struct tl_json *origin = tl_json_member(root, "origin");
    const struct tl_json *hash = tl_json_member(root, "root");
    const struct tl_json *size = tl_json_member(root, "size");
    if (complete == NULL || format == NULL || origin == NULL || hash == NULL || size == NULL ||
        root->count != 5) {
        return false;
    }
    bool is_bool = complete->type == TL_JSON_TRUE || complete->type == TL_JSON_FALSE;
    if (!is_bool || format->type != TL_JSON_STRING || !tl_str_is(format->text, FORMAT) ||
        origin->type != TL_JSON_STRING || !tl_origin_is_valid(origin->text) ||
        hash->type != TL_JSON_STRING || size->type != TL_JSON_NUMBER) {
        return false;
    }
    if (tl_hex_decode(out->root, sizeof(out->root), hash->text.text, hash->text.len) != TALLY_OK ||
        tl_parse_u64(size->text.text, size->text.len, LEAVES_MAX, &out->size) != TALLY_OK) {
        return false;
    }
    out->complete = complete->type == TL_JSON_TRUE;
    tl_str_copy(out->origin, sizeof(out->origin), origin->text);
    return !out->complete || out->size > 0;
}

tally_status tl_manifest_parse(struct tl_manifest *out, const char *text, size_t len,
                               struct tally_error *err)
{
    static const struct tl_json_limits limits = {
        .bytes_max = TL_BACKUP_MANIFEST_MAX, .depth_max = 1, .members_max = 8, .elements_max = 1
    };
    struct tl_arena arena;
    const struct tl_json *root = NULL;
    *out = (struct tl_manifest){ 0 };
    tl_arena_init(&arena, (size_t)1 << 20);
    tally_status status = tl_json_read(&arena, text, len, &limits, &root, NULL);
    bool is_good = status == TALLY_OK && root->type == TL_JSON_OBJECT && read_members(out, root);
    tl_arena_release(&arena);
    if (status == TALLY_ENOMEM) {
        return tl_fail(err, status, "cannot allocate what backup.json says");
    }
    return is_good ? TALLY_OK : tl_fail(err, TALLY_ECORRUPT, "backup.json is not that of a backup");
}

tally_status tl_manifest_read(struct tl_manifest *out, const char *path, struct tally_error *err)
{
    TL_CLEANUP(tl_freep) char *text = NULL;
    size_t len = 0;
    TL_TRY(tl_io_read_file(path, TL_BACKUP_MANIFEST_MAX, &text, &len, err));
    return tl_manifest_parse(out, text, len, err);
}

tally_status tl_manifest_write(const char *path, const struct tl_manifest *manifest,
                               struct tally_error *err)
{
    struct tl_buf text;
    tl_buf_init(&text, TL_BACKUP_MANIFEST_MAX);
    tl_manifest_format(&text, manifest);
    tally_status status = tl_buf_status(&text);
    status = status == TALLY_OK ? tl_io_replace_file(path, text.data, text.len, 0600, err)
                                : tl_fail(err, status, "cannot write backup.json");
    tl_buf_release(&text);
    return status;
}

tally_status tl_backup_copy_file(const char *from, const char *to, uint64_t *bytes,
                                 struct tally_error *err)
{
    TL_CLEANUP(tl_freep) char *now = NULL;
    TL_CLEANUP(tl_freep) char *had = NULL;
    size_t now_len = 0;
    size_t had_len = 0;
    TL_TRY(tl_io_read_file(from, TL_CONFIG_BYTES_MAX, &now, &now_len, err));
    tally_status status = tl_io_read_file(to, TL_CONFIG_BYTES_MAX, &had, &had_len, NULL);
    if (status == TALLY_OK && had_len == now_len && memcmp(had, now, now_len) == 0) {
        return TALLY_OK;
    }
    *bytes += now_len;
    return tl_io_replace_file(to, now, now_len, 0600, err);
}

struct copying {
    const char *from;
    const char *to;
    const char *but;
    uint64_t *bytes;
    struct tally_error *err;
};

static bool is_unfinished(const char *name)
{
    size_t len = strlen(name);
    return len >= 4 && strcmp(name + len - 4, ".tmp") == 0;
}

static tally_status copy_entry(void *ctx, const char *name)
{
    const struct copying *copying = ctx;
    char from[TL_PATH_SIZE];
    char to[TL_PATH_SIZE];
    if ((copying->but != NULL && strcmp(name, copying->but) == 0) || is_unfinished(name)) {
        return TALLY_OK;
    }
    TL_TRY(tl_path_join(from, copying->from, name, copying->err));
    TL_TRY(tl_path_join(to, copying->to, name, copying->err));
    return tl_backup_copy_file(from, to, copying->bytes, copying->err);
}

tally_status tl_backup_copy_files(const char *from, const char *to, const char *but,
                                  uint64_t *bytes, struct tally_error *err)
{
    if (tl_io->access(from, F_OK) != 0) {
        return errno == ENOENT ? TALLY_OK
                               : tl_fail_errno(err, TALLY_EIO, errno, "cannot look at '%s'", from);
    }
    TL_TRY(tl_io_make_directory(to, 0700, err));
    struct copying copying = { .from = from, .to = to, .but = but, .bytes = bytes, .err = err };
    return tl_io_each_entry(from, copy_entry, &copying, err);
}

static tally_status judge(const struct tally_report *report, const char *what,
                          struct tally_error *err)
{
    if (report->verdict == TALLY_VERDICT_VERIFIED) {
        return TALLY_OK;
    }
    if (report->canceled != 0) {
        return tl_fail(err, TALLY_ECANCELED, "stopped while verifying");
    }
    for (size_t i = 0; i < report->finding_count; i++) {
        const struct tally_finding *finding = &report->findings[i];
        if (finding->weight >= TALLY_WEIGHT_UNVERIFIABLE) {
            bool is_unread = strcmp(finding->code, "STORE_ERROR") == 0;
            return tl_fail(err, is_unread ? TALLY_EIO : TALLY_ECORRUPT, "the %s is %s: %s: %s",
                           what, tally_verdict_name(report->verdict), finding->code, finding->what);
        }
    }
    return tl_fail(err, TALLY_ECORRUPT, "the %s is %s", what, tally_verdict_name(report->verdict));
}

/* With all that `input` says, and the trust file but for its witnesses. */
static tally_status verify(struct tl_verify_input *input, const struct tl_trust *trust,
                           const char *what, struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_trust *pinned = tl_alloc_array(1, sizeof(*pinned));
    if (pinned == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a trust file");
    }
    *pinned = *trust;
    pinned->has_quorum = false;
    input->trust = pinned;
    input->now_s = tl_clock->wall_us() / 1000000;
    struct tally_report *report = NULL;
    TL_TRY(tl_verify(input, &report, err));
    tally_status status = judge(report, what, err);
    tally_report_free(report);
    return status;
}

tally_status tl_backup_verify(struct tally_store *store, const struct tl_trust *trust,
                              tally_progress_fn *progress, void *ctx, struct tally_error *err)
{
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    options.on_progress = progress;
    options.ctx = ctx;
    struct tl_verify_input input = { .store = store, .options = &options };
    return verify(&input, trust, "copy", err);
}

tally_status tl_backup_verify_bundle(struct tally_store *store, const struct tl_trust *trust,
                                     struct tally_error *err)
{
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    const struct tl_handover handover = tl_bundle_handover(store);
    struct tl_verify_input input = { .store = store, .handover = &handover, .options = &options };
    return verify(&input, trust, "bundle", err);
}
