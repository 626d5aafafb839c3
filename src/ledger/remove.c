#include "ledger/remove.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "evidence/keystate.h"

#define FILES_OPEN 16

static void wipe_file(const char *path)
{
    static const uint8_t zeros[TL_KEYSTATE_LEN];
    TL_CLEANUP(tl_io_closep) int fd = tl_io->open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd >= 0 && tl_io_write_at(fd, zeros, sizeof(zeros), 0, NULL) == TALLY_OK) {
        (void)tl_io->fsync(fd); /* there is no more to be done */
    }
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    const char *name = path + ftw->base;
    if (type == FTW_F && (strcmp(name, "state") == 0 || strcmp(name, "log.key") == 0)) {
        wipe_file(path);
    }
    return remove(path);
}

void tl_remove_tree(const char *path)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): it is safe without FTW_CHDIR */
    (void)nftw(path, remove_entry, FILES_OPEN, FTW_DEPTH | FTW_PHYS);
}
