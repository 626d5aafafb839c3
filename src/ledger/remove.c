#include "ledger/remove.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "evidence/keystate.h"

#define FILES_OPEN 16

tally_status tl_wipe_file(int fd, struct tally_error *err)
{
    static const uint8_t zeros[TL_KEYSTATE_LEN];
    struct stat st;
    if (tl_io->fstat(fd, &st) != 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot look at an old key file");
    }
    size_t len = (uint64_t)st.st_size < sizeof(zeros) ? (size_t)st.st_size : sizeof(zeros);
    TL_TRY(tl_io_write_at(fd, zeros, len, 0, err));
    if (tl_io->fsync(fd) != 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot sync an old key file");
    }
    return TALLY_OK;
}

/* The files of keys/, and what a crash leaves of those that are replaced. */
static bool holds_secrets(const char *name)
{
    static const char *const names[] = { "state", "log.key", "mac-" };
    bool holds = false;
    for (size_t i = 0; i < TL_ARRAY_LEN(names); i++) {
        holds = holds || strncmp(name, names[i], strlen(names[i])) == 0;
    }
    return holds;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    if (type == FTW_F && holds_secrets(path + ftw->base)) {
        TL_CLEANUP(tl_io_closep) int fd = tl_io->open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0);
        if (fd >= 0) {
            (void)tl_wipe_file(fd, NULL); /* there is no more to be done */
        }
    }
    return remove(path);
}

void tl_remove_tree(const char *path)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): it is safe without FTW_CHDIR */
    (void)nftw(path, remove_entry, FILES_OPEN, FTW_DEPTH | FTW_PHYS);
}
