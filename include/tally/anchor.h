/*
 * tally/anchor.h - checkpoints kept where the ledger's machine cannot change them: a file, a git
 * repository, an HTTP endpoint, a time stamping authority (RFC 3161), witnesses (C2SP tlog-witness).
 */
#ifndef TALLY_ANCHOR_H
#define TALLY_ANCHOR_H

#include <stdint.h>

#include <tally/error.h>
#include <tally/export.h>
#include <tally/ledger.h>

TALLY_BEGIN_DECLS

/*
 * Where to, as configured under `anchors:` or given by hand:
 *   file:PATH            appends nothing: the file is replaced, its directory synced
 *   git:DIR              commits the checkpoint to the repository at DIR; pushes if it has a remote
 *   https://HOST/PATH    POSTs the note, text/plain; any 2xx counts
 *   rfc3161+https://HOST/PATH   asks for a time stamp of the body's SHA-256
 *   witness+https://HOST/PATH   asks for a cosignature (add-checkpoint), vkey after a '#'
 * http:// is taken for loopback addresses alone.
 */
struct tally_anchored {
    const char *target;
    tally_status status; /* TALLY_OK: it is there */
    uint64_t size;       /* of the checkpoint */
    uint64_t seq;        /* of the ANCHOR record, TALLY_SEQ_NONE for a kind that has none */
    const char *detail;  /* what was answered, for people */
};
typedef void tally_anchor_fn(void *ctx, const struct tally_anchored *anchored);

/*
 * Takes the newest checkpoint to each of `targets`, or to all that are configured if `count` is 0, and
 * records each one that took it: ANCHOR for time stamps, git and object stores, whose token goes to
 * <ledger>/anchors/<seq>; cosignatures are added to the kept checkpoint. One that fails does not keep
 * the others from going on. TALLY_EIO if any failed.
 */
TALLY_API tally_status tally_anchor(struct tally_ledger *ledger, const char *const *targets,
                                    size_t count, const char *by, tally_anchor_fn *fn, void *ctx,
                                    struct tally_error *err);

TALLY_END_DECLS

#endif /* TALLY_ANCHOR_H */
