#include "project/git.h"

#include <git2.h>
#include <stdio.h>

#define OBJECT_MAX 65536u

static void repository_freep(git_repository **repository)
{
    git_repository_free(*repository);
}

static void reference_freep(git_reference **reference)
{
    git_reference_free(*reference);
}

static void commit_freep(git_commit **commit)
{
    git_commit_free(*commit);
}

static void tree_freep(git_tree **tree)
{
    git_tree_free(*tree);
}

static void signature_freep(git_signature **signature)
{
    git_signature_free(*signature);
}

static void remote_freep(git_remote **remote)
{
    git_remote_free(*remote);
}

static void config_freep(git_config **config)
{
    git_config_free(*config);
}

static void iterator_freep(git_config_iterator **iterator)
{
    git_config_iterator_free(*iterator);
}

static void odb_freep(git_odb **odb)
{
    git_odb_free(*odb);
}

static void object_freep(git_odb_object **object)
{
    git_odb_object_free(*object);
}

/* What libgit2 says may hold a URL with a password: the part before an '@' of one is left out. */
static tally_status explain(struct tally_error *err, const char *what)
{
    const git_error *why = git_error_last();
    const char *text = why == NULL || why->message == NULL ? "no reason given" : why->message;
    if (why != NULL && why->klass == GIT_ERROR_NOMEMORY) {
        return tl_fail(err, TALLY_ENOMEM, "%s: no memory", what);
    }
    bool has_url = strstr(text, "://") != NULL && strchr(text, '@') != NULL;
    return tl_fail(err, TALLY_EIO, "%s: %s", what, has_url ? "the remote cannot be used" : text);
}

/* The newest commit of the current branch; NULL if it has none yet. */
static tally_status find_parent(git_repository *repository, git_commit **parent_out,
                                struct tally_error *err)
{
    git_oid id;
    int rc = git_reference_name_to_id(&id, repository, "HEAD");
    if (rc == GIT_ENOTFOUND) {
        *parent_out = NULL;
        return TALLY_OK;
    }
    return rc == 0 && git_commit_lookup(parent_out, repository, &id) == 0
               ? TALLY_OK
               : explain(err, "cannot read the branch");
}

/* The tree of `parent` with the file in it; *same_out if it was so already. */
static tally_status write_tree(git_repository *repository, git_commit *parent,
                               const struct tl_git_request *request, git_tree **tree_out,
                               bool *same_out, struct tally_error *err)
{
    TL_CLEANUP(tree_freep) git_tree *before = NULL;
    git_tree_update update = { .action = GIT_TREE_UPDATE_UPSERT,
                               .filemode = GIT_FILEMODE_BLOB,
                               .path = request->path };
    git_oid id;
    if ((parent != NULL && git_commit_tree(&before, parent) != 0) ||
        git_blob_create_from_buffer(&update.id, repository, request->content.text,
                                    request->content.len) != 0 ||
        git_tree_create_updated(&id, repository, before, 1, &update) != 0 ||
        git_tree_lookup(tree_out, repository, &id) != 0) {
        return explain(err, "cannot write the checkpoint");
    }
    *same_out = before != NULL && git_oid_equal(git_tree_id(before), &id) != 0;
    return TALLY_OK;
}

static tally_status write_commit(git_repository *repository, git_commit *parent,
                                 const struct tl_git_request *request, git_oid *id_out,
                                 struct tally_error *err)
{
    TL_CLEANUP(tree_freep) git_tree *tree = NULL;
    TL_CLEANUP(signature_freep) git_signature *who = NULL;
    bool same = false;
    TL_TRY(write_tree(repository, parent, request, &tree, &same, err));
    if (same) {
        git_oid_cpy(id_out, git_commit_id(parent));
        return TALLY_OK;
    }
    const char *author = request->author == NULL ? "tally" : request->author;
    const git_commit *parents[] = { parent };
    if (git_signature_now(&who, author, "tally@localhost") != 0 ||
        git_commit_create(id_out, repository, "HEAD", who, who, "UTF-8", request->message, tree,
                          parent == NULL ? 0 : 1, parents) != 0) {
        return explain(err, "cannot commit the checkpoint");
    }
    return TALLY_OK;
}

static tally_status copy_object(git_repository *repository, const git_oid *id,
                                struct tl_git_commit *out, struct tally_error *err)
{
    TL_CLEANUP(odb_freep) git_odb *odb = NULL;
    TL_CLEANUP(object_freep) git_odb_object *object = NULL;
    if (git_repository_odb(&odb, repository) != 0 || git_odb_read(&object, odb, id) != 0) {
        return explain(err, "cannot read the commit");
    }
    tl_buf_add(&out->object, git_odb_object_data(object), git_odb_object_size(object));
    (void)git_oid_tostr(out->id, sizeof(out->id), id);
    return tl_buf_status(&out->object) == TALLY_OK
               ? TALLY_OK
               : tl_fail(err, tl_buf_status(&out->object), "cannot hold the commit");
}

/* What a push is told, and whether it was tried. */
struct push {
    char refusal[128];
    unsigned tries;
};

static int take_refusal(const char *reference, const char *status, void *ctx)
{
    struct push *push = ctx;
    (void)reference;
    if (status != NULL) {
        tl_str_copy(push->refusal, sizeof(push->refusal), tl_str_of(status));
    }
    return 0;
}

/* Keys come from the agent of whoever runs this; asked once, for libgit2 would ask for ever. */
static int give_credential(git_credential **out, const char *url, const char *user,
                           unsigned int allowed, void *ctx)
{
    struct push *push = ctx;
    (void)url;
    if (push->tries++ == 0 && (allowed & (unsigned int)GIT_CREDENTIAL_SSH_KEY) != 0) {
        return git_credential_ssh_key_from_agent(out, user);
    }
    return GIT_EAUTH;
}

static tally_status push_branch(git_repository *repository, git_remote *remote,
                                struct tally_error *err)
{
    TL_CLEANUP(reference_freep) git_reference *head = NULL;
    struct push push = { 0 };
    char refspec[512];
    git_push_options options;
    if (git_push_options_init(&options, GIT_PUSH_OPTIONS_VERSION) != 0 ||
        git_repository_head(&head, repository) != 0) {
        return explain(err, "committed, but not pushed");
    }
    const char *branch = git_reference_name(head);
    int len = snprintf(refspec, sizeof(refspec), "%s:%s", branch, branch);
    if (len < 0 || (size_t)len >= sizeof(refspec)) {
        return tl_fail(err, TALLY_EIO, "committed, but not pushed: the branch has too long a name");
    }
    char *specs[] = { refspec };
    const git_strarray list = { .strings = specs, .count = 1 };
    options.callbacks.push_update_reference = take_refusal;
    options.callbacks.credentials = give_credential;
    options.callbacks.payload = &push;
    if (git_remote_push(remote, &list, &options) != 0) {
        return explain(err, "committed, but not pushed");
    }
    return push.refusal[0] == '\0'
               ? TALLY_OK
               : tl_fail(err, TALLY_EIO, "committed, but the remote refused it: %s", push.refusal);
}

/* A value that belongs to a remote: "remote.NAME.url". */
struct place {
    char name[128];
    char url[1024];
    size_t count; /* of remotes */
};

static void take_entry(struct place *place, const git_config_entry *entry)
{
    static const struct tl_str prefix = { .text = "remote.", .len = 7 };
    struct tl_str name = tl_str_of(entry->name);
    if (!tl_str_starts(name, prefix) || name.len < prefix.len + 5 ||
        memcmp(name.text + name.len - 4, ".url", 4) != 0) {
        return;
    }
    name.text += prefix.len;
    name.len -= prefix.len + 4;
    place->count++;
    if (place->count == 1 || tl_str_is(name, "origin")) {
        tl_str_copy(place->name, sizeof(place->name), name);
        tl_str_copy(place->url, sizeof(place->url), tl_str_of(entry->value));
    }
}

/* git_remote_lookup() and git_remote_list() of libgit2 1.5 lose half a megabyte at each call. */
static tally_status find_place(git_repository *repository, struct place *place,
                               struct tally_error *err)
{
    TL_CLEANUP(config_freep) git_config *config = NULL;
    TL_CLEANUP(iterator_freep) git_config_iterator *iterator = NULL;
    git_config_entry *entry = NULL;
    if (git_repository_config_snapshot(&config, repository) != 0 ||
        git_config_iterator_new(&iterator, config) != 0) {
        return explain(err, "cannot list the remotes");
    }
    while (git_config_next(&entry, iterator) == 0) {
        take_entry(place, entry);
    }
    return TALLY_OK;
}

/* Finds the remote: "origin", or the only one. *remote_out is NULL if there is none. */
static tally_status find_remote(git_repository *repository, git_remote **remote_out,
                                struct tally_error *err)
{
    struct place place = { .count = 0 };
    git_remote_create_options options;
    *remote_out = NULL;
    TL_TRY(find_place(repository, &place, err));
    if (place.count == 0) {
        return TALLY_OK;
    }
    if (place.count > 1 && strcmp(place.name, "origin") != 0) {
        return tl_fail(err, TALLY_EIO,
                       "committed, but not pushed: none of the repository's remotes is 'origin'");
    }
    if (git_remote_create_options_init(&options, GIT_REMOTE_CREATE_OPTIONS_VERSION) != 0) {
        return explain(err, "committed, but not pushed");
    }
    options.repository = repository;
    options.flags = GIT_REMOTE_CREATE_SKIP_INSTEADOF | GIT_REMOTE_CREATE_SKIP_DEFAULT_FETCHSPEC;
    return git_remote_create_with_opts(remote_out, place.url, &options) == 0
               ? TALLY_OK
               : explain(err, "committed, but not pushed");
}

static tally_status push_commit(git_repository *repository, struct tl_git_commit *out,
                                struct tally_error *err)
{
    TL_CLEANUP(remote_freep) git_remote *remote = NULL;
    TL_TRY(find_remote(repository, &remote, err));
    if (remote == NULL) {
        return TALLY_OK;
    }
    TL_TRY(push_branch(repository, remote, err));
    out->pushed = true;
    return TALLY_OK;
}

static tally_status commit_to(const struct tl_git_request *request, struct tl_git_commit *out,
                              struct tally_error *err)
{
    TL_CLEANUP(repository_freep) git_repository *repository = NULL;
    TL_CLEANUP(commit_freep) git_commit *parent = NULL;
    git_oid id;
    /* Not one further up: it would be somebody's source code. */
    if (git_repository_open_ext(&repository, request->dir, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL) !=
        0) {
        return tl_fail(err, TALLY_ENOTFOUND, "there is no git repository at '%s': git init --bare",
                       request->dir);
    }
    TL_TRY(find_parent(repository, &parent, err));
    TL_TRY(write_commit(repository, parent, request, &id, err));
    TL_TRY(copy_object(repository, &id, out, err));
    return push_commit(repository, out, err);
}

tally_status tl_git_commit(const struct tl_git_request *request, struct tl_git_commit *out,
                           struct tally_error *err)
{
    *out = (struct tl_git_commit){ 0 };
    tl_buf_init(&out->object, OBJECT_MAX);
    if (git_libgit2_init() < 0) {
        return tl_fail(err, TALLY_ENOMEM, "cannot start libgit2");
    }
    tally_status status = commit_to(request, out, err);
    (void)git_libgit2_shutdown(); /* counted */
    return status;
}

void tl_git_commit_release(struct tl_git_commit *commit)
{
    tl_buf_release(&commit->object);
}
