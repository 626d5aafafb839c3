/* Built without libseccomp, or with sanitizers, which look into their own process. */
#include "server/server.h"

const char *tl_sandbox_name(void)
{
    return "none";
}

tally_status tl_sandbox_enter(struct tally_error *err)
{
    return tl_fail(err, TALLY_ENOTSUP, "this program has no filter of system calls");
}
