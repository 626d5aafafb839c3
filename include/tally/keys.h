/*
 * tally/keys.h - epochs and keys of a ledger: what is there, closing an epoch, a new log key.
 */
#ifndef TALLY_KEYS_H
#define TALLY_KEYS_H

#include <stdint.h>

#include <tally/error.h>
#include <tally/export.h>
#include <tally/ledger.h>
#include <tally/lifecycle.h>

TALLY_BEGIN_DECLS

/* One key of the ledger's history. Borrowed for the callback. Never a secret. */
struct tally_key {
    const char *kind; /* "log", "epoch", "mac", "approver" */
    const char *vkey; /* verifier key; of a MAC generation, its id in hexadecimal */
    uint32_t epoch;   /* of an epoch key; of another, the epoch it began in */
    uint64_t seq;     /* of the record that names it */
    int64_t since_us; /* when that was sealed */
    int64_t until_us; /* when it was replaced; 0 while in force */
    int is_here;      /* its secret is in the ledger's key directory */
};
typedef int tally_key_fn(void *ctx, const struct tally_key *key); /* 0 to go on, 1 to stop */

/* Calls `fn` for each key, oldest first: log keys, MAC generations, epoch keys, approvers. */
TALLY_API tally_status tally_keys_each(struct tally_ledger *ledger, tally_key_fn *fn, void *ctx,
                                       struct tally_error *err);

/* What tally_keys_rotate() made. Holds a secret: wipe it after use. */
struct tally_rotated {
    uint64_t seq;      /* of the KEY record */
    char log_key[320]; /* verifier key, public: to be pinned, or reached from the one before */
    char mac_key[128]; /* secret, shown once; "" if the MAC key was not rotated */
};

/*
 * Makes a new log key, and with `mac` a new MAC generation, and seals the KEY record, whose checkpoint
 * both keys sign. The old secrets are destroyed. If another process is the sequencer it makes them;
 * a new MAC key is then handed over in a file of the key directory, mode 0600, read and removed here.
 *
 * *request_out is always NULL: nobody can sign for keys that do not exist yet.
 *
 * Errors: TALLY_EINVAL nobody who does it is named, or the ledger is open for reading; TALLY_ENOTSUP
 *         the trust file asks for an approval of KEY; TALLY_ECONFLICT another act was recorded
 *         meanwhile: repeat it; TALLY_EBUSY nobody is the sequencer; TALLY_EIO
 */
TALLY_API tally_status tally_keys_rotate(struct tally_ledger *ledger, int mac,
                                         const struct tally_actor *actor,
                                         struct tally_rotated *rotated_out, char **request_out,
                                         struct tally_error *err);

/* An epoch, as it stands. */
struct tally_epoch {
    uint32_t epoch;     /* in force */
    uint32_t seconds;   /* how long one lasts */
    int64_t begins_us;  /* its bounds */
    int64_t ends_us;    /* the sequencer closes it within a second of this, also when idle */
    int closed;         /* by this call: one that was due was closed */
    uint64_t seal_size; /* of the newest seal; 0: there is none yet */
};

/* Says how it stands. Errors: TALLY_EIO, TALLY_ECORRUPT */
TALLY_API tally_status tally_epoch_read(struct tally_ledger *ledger, struct tally_epoch *epoch_out,
                                        struct tally_error *err);

/*
 * Closes the epoch in force if its time is over. Epochs are bound to the clock: none can be closed
 * early. Errors: TALLY_EBUSY nobody is the sequencer; TALLY_EIO
 */
TALLY_API tally_status tally_epoch_close(struct tally_ledger *ledger, struct tally_epoch *epoch_out,
                                         struct tally_error *err);

TALLY_END_DECLS

#endif /* TALLY_KEYS_H */
