/*
 * project/git.h - checkpoints committed to a git repository; the only user of libgit2.
 *
 * Objects and the current branch are written, not the files of a work tree: the repository is best
 * a bare one of its own.
 */
#ifndef TL_PROJECT_GIT_H
#define TL_PROJECT_GIT_H

#include "base/buf.h"
#include "base/str.h"

#define TL_GIT_ID_SIZE 65u

/* What is to be committed. */
struct tl_git_request {
    const char *dir;       /* the repository */
    const char *path;      /* of the file in it */
    struct tl_str content; /* of that file */
    const char *message;
    const char *author; /* a name; NULL: "tally" */
};

struct tl_git_commit {
    char id[TL_GIT_ID_SIZE];
    struct tl_buf object; /* the commit as git hashes it, without its header */
    bool pushed;          /* to the remote "origin", or the only one; false: there is none */
};

/*
 * Commits the file to the current branch, unless its newest commit has it like that already, and
 * pushes the branch if the repository has a remote: at one that takes no push nothing counts as
 * done, although the commit stays. Waits for remotes as long as the system does.
 *
 * Errors: TALLY_ENOTFOUND no repository there; TALLY_EIO with what libgit2 says; TALLY_ENOMEM
 */
tally_status tl_git_commit(const struct tl_git_request *request, struct tl_git_commit *out,
                           struct tally_error *err);
void tl_git_commit_release(struct tl_git_commit *commit);

#endif /* TL_PROJECT_GIT_H */
