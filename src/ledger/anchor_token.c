/* Tokens: what proves an anchor, in <ledger>/anchors, beside the record that names its hash. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/parse.h"
#include "ledger/act.h"
#include "ledger/anchor.h"

#define SEAL_TRIES      8u
#define PENDING         "pending-" /* and its digest: a token whose record is about to be sealed */
#define PENDING_AGE_MAX 3600       /* seconds: no act is sealed so late */
#define LAST            "last"

static tally_status name_token(char out[TL_PATH_SIZE], const char *dir, uint64_t seq,
                               struct tally_error *err)
{
    char name[24];
    (void)snprintf(name, sizeof(name), "%llu", (unsigned long long)seq);
    return tl_path_join(out, dir, name, err);
}

/* One for each token: of those whose sealing failed some are sealed all the same, later. */
static tally_status name_pending(char out[TL_PATH_SIZE], const char *dir,
                                 const uint8_t digest[TL_SHA256_LEN], struct tally_error *err)
{
    char name[sizeof(PENDING) + (size_t)2 * TL_SHA256_LEN] = PENDING;
    tl_hex_encode(name + sizeof(PENDING) - 1, digest, TL_SHA256_LEN);
    return tl_path_join(out, dir, name, err);
}

static tally_status move_pending(const struct tl_anchor_run *run, const char *from, uint64_t seq,
                                 struct tally_error *err)
{
    char to[TL_PATH_SIZE];
    TL_TRY(name_token(to, run->dir, seq, err));
    if (tl_io->rename(from, to) != 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot keep the token '%s'", to);
    }
    return tl_io_sync_directory_of(to, err);
}

static tally_status seal_once(struct tl_anchor_run *run, const struct tl_control *control,
                              struct tally_error *err)
{
    uint64_t newest = TALLY_SEQ_NONE;
    TL_TRY(tl_acts_newest(run->ledger, &newest, err));
    return tl_act_seal(run->ledger, control, newest, &run->seq, err);
}

tally_status tl_anchor_seal(struct tl_anchor_run *run, const char *kind, const char *ref,
                            struct tl_str token, struct tally_error *err)
{
    struct tl_control control = { .kind = TL_LEAF_ANCHOR,
                                  .by = tl_str_of(run->by),
                                  .anchor_kind = tl_str_of(kind),
                                  .size = run->note.body.size,
                                  .ref = tl_str_of(ref) };
    memcpy(control.root, run->note.body.root, sizeof(control.root));
    tl_sha256(control.digest, token.text, token.len);
    /* First the token: a full disk is met before there is a record of what could not be kept. */
    char path[TL_PATH_SIZE];
    TL_TRY(name_pending(path, run->dir, control.digest, err));
    TL_TRY(tl_io_replace_file(path, token.text, token.len, 0600, err));
    tally_status status = TALLY_ECONFLICT;
    struct tally_error why = TALLY_ERROR_INIT;
    for (unsigned i = 0; i < SEAL_TRIES && status == TALLY_ECONFLICT; i++) {
        why = (struct tally_error)TALLY_ERROR_INIT;
        status = seal_once(run, &control, &why);
    }
    return status == TALLY_OK ? move_pending(run, path, run->seq, err)
                              : tl_fail_with(err, status, &why);
}

/* Looks for the record of a token. */
struct owner {
    uint8_t digest[32];
    uint64_t seq;
};

static tally_status meet_anchor(void *ctx, const struct tl_leaf *leaf,
                                const struct tl_control *control)
{
    struct owner *owner = ctx;
    if (leaf->kind == TL_LEAF_ANCHOR &&
        memcmp(control->digest, owner->digest, sizeof(owner->digest)) == 0) {
        owner->seq = leaf->seq;
    }
    return TALLY_OK;
}

static tally_status find_owner(struct tally_ledger *ledger, struct owner *owner,
                               struct tally_error *err)
{
    struct tl_reader reader;
    TL_TRY(tl_reader_get(ledger, &reader, err));
    tally_status status = tl_reader_begin(&reader, err);
    if (status == TALLY_OK) {
        status = tl_acts_each(reader.store, meet_anchor, owner, err);
    }
    tl_reader_put(ledger, &reader);
    return status;
}

/* A token without a record is kept as long as there may yet be one. */
static void drop_old(const char *path)
{
    struct stat st;
    TL_CLEANUP(tl_io_closep) int fd = tl_io->open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd >= 0 && tl_io->fstat(fd, &st) == 0 &&
        tl_clock->wall_us() / 1000000 - st.st_mtime > PENDING_AGE_MAX) {
        (void)tl_io->unlink(path); /* seen again the next time */
    }
}

struct recovery {
    const struct tl_anchor_run *run;
    struct tally_error *err;
};

static tally_status recover_one(void *ctx, const char *name)
{
    const struct recovery *recovery = ctx;
    const struct tl_anchor_run *run = recovery->run;
    char path[TL_PATH_SIZE];
    TL_CLEANUP(tl_freep) char *token = NULL;
    size_t len = 0;
    if (!tl_str_starts(tl_str_of(name), TL_STR(PENDING))) {
        return TALLY_OK;
    }
    TL_TRY(tl_path_join(path, run->dir, name, recovery->err));
    TL_TRY(tl_io_read_file(path, TL_ANCHOR_TOKEN_MAX, &token, &len, recovery->err));
    struct owner owner = { .seq = TALLY_SEQ_NONE };
    tl_sha256(owner.digest, token, len);
    TL_TRY(find_owner(run->ledger, &owner, recovery->err));
    if (owner.seq != TALLY_SEQ_NONE) {
        return move_pending(run, path, owner.seq, recovery->err);
    }
    drop_old(path);
    return TALLY_OK;
}

tally_status tl_anchor_recover(struct tl_anchor_run *run, struct tally_error *err)
{
    struct recovery recovery = { .run = run, .err = err };
    return tl_io_each_entry(run->dir, recover_one, &recovery, err);
}

tally_status tl_anchor_token(const struct tl_paths *paths, uint64_t seq, struct tl_buf *out,
                             struct tally_error *err)
{
    char dir[TL_PATH_SIZE];
    char path[TL_PATH_SIZE];
    TL_CLEANUP(tl_freep) char *token = NULL;
    size_t len = 0;
    TL_TRY(tl_path_join(dir, paths->dir, "anchors", err));
    TL_TRY(name_token(path, dir, seq, err));
    TL_TRY(tl_io_read_file(path, TL_ANCHOR_TOKEN_MAX, &token, &len, err));
    tl_buf_add(out, token, len);
    return tl_buf_status(out);
}

tally_status tl_anchor_note_success(const struct tl_anchor_run *run, struct tally_error *err)
{
    char path[TL_PATH_SIZE];
    char text[64];
    if (run->dir[0] == '\0') {
        return TALLY_OK;
    }
    TL_TRY(tl_path_join(path, run->dir, LAST, err));
    int len = snprintf(text, sizeof(text), "%lld\n", (long long)(tl_clock->wall_us() / 1000000));
    return tl_io_replace_file(path, text, (size_t)len, 0600, err);
}

int64_t tl_anchor_last(const struct tl_paths *paths)
{
    char dir[TL_PATH_SIZE];
    char path[TL_PATH_SIZE];
    TL_CLEANUP(tl_freep) char *text = NULL;
    size_t len = 0;
    uint64_t seconds = 0;
    if (tl_path_join(dir, paths->dir, "anchors", NULL) != TALLY_OK ||
        tl_path_join(path, dir, LAST, NULL) != TALLY_OK ||
        tl_io_read_file(path, 64, &text, &len, NULL) != TALLY_OK || len == 0 ||
        tl_parse_u64(text, len - 1, INT64_MAX, &seconds) != TALLY_OK) {
        return 0;
    }
    return (int64_t)seconds;
}
