/* Root is given up before anything is read from anybody. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "server/server.h"

/* Whether there is a way back. */
static bool is_still_root(void)
{
    uid_t real = 0;
    uid_t effective = 0;
    uid_t saved = 0;
    return getresuid(&real, &effective, &saved) != 0 || real == 0 || effective == 0 || saved == 0 ||
           setuid(0) == 0;
}

tally_status tl_user_become(const char *name, struct tally_error *err)
{
    if (geteuid() != 0) {
        return tl_fail(err, TALLY_EINVAL, "only root can go on as another user");
    }
    errno = 0;
    const struct passwd *user = getpwnam(name); /* NOLINT(concurrency-mt-unsafe): no threads yet */
    if (user == NULL || user->pw_uid == 0) {
        return tl_fail(err, TALLY_EINVAL, "there is no user '%s', or it is root", name);
    }
    if (initgroups(name, user->pw_gid) != 0 ||
        setresgid(user->pw_gid, user->pw_gid, user->pw_gid) != 0 ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) != 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot go on as user '%s'", name);
    }
    return is_still_root() ? tl_fail(err, TALLY_EIO, "root was not given up") : TALLY_OK;
}
