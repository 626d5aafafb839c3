/*
 * tally/anchor.h - checkpoints kept where the ledger's machine cannot change them: a file, a git
 * repository, an HTTP endpoint, a time stamping authority (RFC 3161), witnesses (C2SP tlog-witness).
 */
#ifndef TALLY_ANCHOR_H
#define TALLY_ANCHOR_H

#include <stddef.h>
#include <stdint.h>

#include <tally/error.h>
#include <tally/export.h>
#include <tally/ledger.h>
#include <tally/verdict.h>

TALLY_BEGIN_DECLS

/*
 * Where to, as configured under `anchor.targets` or given by hand; paths are absolute:
 *   file:PATH            the file is replaced, its directory synced; one that holds a later
 *                        checkpoint, or another of the same size, is left alone
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
 * records each one that took it: ANCHOR for time stamps and git, whose token goes to
 * <ledger>/anchors/<seq>; an event tally.anchor for files and endpoints. Witnesses come last, asked for
 * the checkpoint that covers all of that, so that what they sign stays the newest one of an idle
 * ledger: the event that names them says that they are asked, and what they answer is added to the
 * checkpoint itself. The checkpoints are kept for ever. One target that fails does not keep the others
 * from going on. `by` is who asks, NULL for the system.
 *
 * Errors: TALLY_EIO if any failed; TALLY_EINVAL a target cannot be read, or there is none: nothing was
 *         done; TALLY_EBUSY another process is anchoring this ledger
 */
TALLY_API tally_status tally_anchor(struct tally_ledger *ledger, const char *const *targets,
                                    size_t count, const char *by, tally_anchor_fn *fn, void *ctx,
                                    struct tally_error *err);

/* One anchor that the ledger knows of. Borrowed for the callback. */
struct tally_anchor_entry {
    const char *kind; /* "rfc3161", "git", ..., of an ANCHOR record; "witness" of a cosignature */
    uint64_t seq;     /* TALLY_SEQ_NONE for a cosignature */
    uint64_t size;    /* of the checkpoint */
    int64_t recorded_us; /* when it was sealed; of a cosignature: the time it says */
    const char *ref;     /* URL, commit, name of the witness */
    int has_token;       /* <ledger>/anchors/<seq> is there; of a cosignature: it holds, by a key
                            that is configured or in the ledger's trust file */
};
typedef void tally_anchor_entry_fn(void *ctx, const struct tally_anchor_entry *entry);

/* Calls `fn` for each ANCHOR record, then for each cosignature, in order. Nothing is verified but what
 * is said above. */
TALLY_API tally_status tally_anchor_list(struct tally_ledger *ledger, tally_anchor_entry_fn *fn,
                                         void *ctx, struct tally_error *err);

/* What a check of one anchor found. */
struct tally_anchor_result {
    enum tally_verdict verdict;
    uint64_t size;       /* of the checkpoint */
    int64_t time_s;      /* that the time stamp, or the newest cosignature, says; 0: none */
    char authority[256]; /* who says so; "" */
    char reason[256];    /* what it rests on, or why not */
};

/*
 * Checks one ANCHOR record: its token against the record, the checkpoint that is kept, the ledger's own
 * leaves, and with `anchor.tsa_ca_file` the authority. Without, a time stamp is UNVERIFIABLE: anybody
 * can make one. Errors: TALLY_ENOTFOUND there is no such record; TALLY_EIO, TALLY_ENOMEM, TALLY_EINVAL
 */
TALLY_API tally_status tally_anchor_check(struct tally_ledger *ledger, uint64_t seq,
                                          struct tally_anchor_result *result_out,
                                          struct tally_error *err);

/*
 * Checks a checkpoint that was kept elsewhere, as note text: signed by the ledger's key, and with the
 * root that the ledger's leaves have at that size. Larger than the ledger, or another root: TAMPERED.
 * It reads all leaves up to there, and no contents: those are for tally_verify().
 */
TALLY_API tally_status tally_anchor_compare(struct tally_ledger *ledger, const char *note,
                                            size_t note_len, struct tally_anchor_result *result_out,
                                            struct tally_error *err);

TALLY_END_DECLS

#endif /* TALLY_ANCHOR_H */
