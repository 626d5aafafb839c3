#include "ledger/paths.h"

#include <stdio.h>

tally_status tl_path_join(char *out, const char *dir, const char *name, struct tally_error *err)
{
    size_t dir_len = strlen(dir);
    size_t name_len = strlen(name);
    if (dir_len + 1 + name_len >= TL_PATH_SIZE) {
        return tl_fail(err, TALLY_EINVAL, "the path to '%s' is longer than %u bytes", name,
                       TL_PATH_SIZE - 1);
    }
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): the end comes with the name */
    memmove(out, dir, dir_len);
    out[dir_len] = '/';
    memcpy(out + dir_len + 1, name, name_len + 1);
    return TALLY_OK;
}

static tally_status copy_dir(struct tl_paths *paths, const char *uri, struct tally_error *err)
{
    size_t len = strlen(uri);
    while (len > 1 && uri[len - 1] == '/') {
        len--;
    }
    if (len == 0) {
        return tl_fail(err, TALLY_EINVAL, "the ledger has no name: a directory is needed");
    }
    if (len >= sizeof(paths->dir)) {
        return tl_fail(err, TALLY_EINVAL, "the ledger's path is too long");
    }
    memcpy(paths->dir, uri, len);
    return TALLY_OK;
}

static tally_status join_keys(struct tl_paths *paths, struct tl_str keys_dir,
                              struct tally_error *err)
{
    char name[TL_PATH_SIZE] = "keys";
    if (keys_dir.len >= sizeof(name)) {
        return tl_fail(err, TALLY_EINVAL, "keys.dir is too long");
    }
    if (keys_dir.len > 0) {
        memcpy(name, keys_dir.text, keys_dir.len);
        name[keys_dir.len] = '\0';
    }
    if (name[0] == '/') {
        memcpy(paths->keys, name, sizeof(name));
    } else {
        TL_TRY(tl_path_join(paths->keys, paths->dir, name, err));
    }
    return tl_path_join(paths->trust, paths->keys, "trust.txt", err);
}

tally_status tl_paths_init(struct tl_paths *paths, const char *uri, struct tl_str store,
                           struct tl_str keys_dir, struct tally_error *err)
{
    memset(paths, 0, sizeof(*paths));
    paths->memory = strncmp(uri, "memory:", 7) == 0;
    TL_TRY(copy_dir(paths, uri, err));
    if (paths->memory) {
        memcpy(paths->store, paths->dir, sizeof(paths->dir));
        return TALLY_OK;
    }
    if (store.len > 0 && memchr(store.text, ':', store.len) != NULL) {
        if (store.len >= sizeof(paths->store)) {
            return tl_fail(err, TALLY_EINVAL, "the value of 'store' is too long");
        }
        memcpy(paths->store, store.text, store.len); /* a kind of store the program registered */
    } else {
        (void)snprintf(paths->store, sizeof(paths->store), "sqlite:%s/ledger.db", paths->dir);
    }
    TL_TRY(tl_path_join(paths->index, paths->dir, "index.db", err));
    TL_TRY(tl_path_join(paths->lock, paths->dir, "ledger.lock", err));
    TL_TRY(tl_path_join(paths->config, paths->dir, "tally.yaml", err));
    TL_TRY(tl_path_join(paths->checkpoints, paths->dir, "checkpoints", err));
    TL_TRY(tl_path_join(paths->spool, paths->dir, "spool", err));
    TL_TRY(tl_path_join(paths->trouble, paths->spool, "trouble.txt", err));
    return join_keys(paths, keys_dir, err);
}

tally_status tl_paths_init_remote(struct tl_paths *paths, struct tl_str dir,
                                  struct tally_error *err)
{
    memset(paths, 0, sizeof(*paths));
    paths->remote = true;
    if (dir.len == 0) {
        return TALLY_OK;
    }
    if (dir.len >= sizeof(paths->dir)) {
        return tl_fail(err, TALLY_EINVAL, "remote.spool is too long");
    }
    tl_str_copy(paths->dir, sizeof(paths->dir), dir);
    TL_TRY(tl_path_join(paths->lock, paths->dir, "shipper.lock", err));
    TL_TRY(tl_path_join(paths->config, paths->dir, "tally.yaml", err));
    TL_TRY(tl_path_join(paths->spool, paths->dir, "spool", err));
    return tl_path_join(paths->trouble, paths->spool, "trouble.txt", err);
}
