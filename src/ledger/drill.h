/*
 * ledger/drill.h - what the source files of tally_drill() share.
 *
 * `sound` is a copy of the ledger that has grown by a few events and verifies; `damaged` is made
 * anew from it for each attack. Both, and everything else, lie in the work directory.
 */
#ifndef TL_LEDGER_DRILL_H
#define TL_LEDGER_DRILL_H

#include "ledger/ledger.h"
#include "store/tamper.h"

/* Confined to one thread. Large: allocated. */
struct tl_drill {
    struct tally_options options;   /* of the ledger; uri is that of the ledger itself */
    struct tally_setting *settings; /* of copies: the caller's, and that all lies in their place */
    struct tl_config config;
    char config_path[TL_PATH_SIZE]; /* "" if there is no file */
    struct tl_paths live;
    struct tl_paths sound;
    struct tl_paths damaged;
    struct tl_paths fork;      /* where a second line of history grows */
    struct tl_paths other;     /* a ledger that has nothing to do with this one */
    struct tl_paths namesake;  /* another that says it is this one */
    char origin[208];          /* of this one */
    char older[TL_PATH_SIZE];  /* the store as it was before it grew */
    char memory[TL_PATH_SIZE]; /* where an attack puts a checkpoint that was kept elsewhere */

    uint64_t size;    /* leaves of `sound` */
    uint64_t covered; /* of these, the ones below full tiles */
    uint64_t first;   /* two events with all their content, below `covered` */
    uint64_t second;

    /* Of the attack at hand. */
    struct tl_tamper *db; /* the store of `damaged`; NULL until tl_drill_open() */
    bool remembers;       /* `memory` was written: verification gets it */
};

/* What of the ledger is copied beside the store, the trust file and the high-water mark. */
enum tl_attack_needs {
    TL_ATTACK_INDEX = 1 << 0, /* it is compared, too */
    TL_ATTACK_KEYS = 1 << 1
};

/* One attack. Static and const. */
struct tl_attack {
    const char *name;
    const char *expected; /* code of the finding */
    const char *told_by;
    /* Damages drill->damaged. TALLY_ENOTFOUND, err says what: the ledger lacks what it needs. */
    tally_status (*run)(struct tl_drill *drill, const struct tl_attack *attack,
                        struct tally_error *err);
    uint8_t needs; /* enum tl_attack_needs */
    uint8_t at;    /* for `run`: an offset */
    uint8_t bit;
};

extern const struct tl_attack tl_attacks[];
extern const size_t tl_attack_count;

/* The file of the store. */
const char *tl_drill_db(const struct tl_paths *paths);

/* Opens the damaged store, unless it is open; the second function closes it, so that others may
 * use it. The drill does so too. */
tally_status tl_drill_open(struct tl_drill *drill, struct tally_error *err);
void tl_drill_close(struct tl_drill *drill);

/* Copies the sound ledger; `needs` is of enum tl_attack_needs. What is there goes. */
tally_status tl_drill_copy(const struct tl_drill *drill, const struct tl_paths *to, uint8_t needs,
                           struct tally_error *err);

/* Appends `count` events to a copy, the way any writer does. */
tally_status tl_drill_grow(const struct tl_drill *drill, const struct tl_paths *paths,
                           uint64_t count, struct tally_error *err);

/* The attacks that need keys and a new tree; in drill_resign.c. */
tally_status tl_drill_cut(struct tl_drill *drill, const struct tl_attack *attack,
                          struct tally_error *err);
tally_status tl_drill_sign_log_key(struct tl_drill *drill, const struct tl_attack *attack,
                                   struct tally_error *err);
tally_status tl_drill_sign_all_keys(struct tl_drill *drill, const struct tl_attack *attack,
                                    struct tally_error *err);
tally_status tl_drill_sign_closed_epoch(struct tl_drill *drill, const struct tl_attack *attack,
                                        struct tally_error *err);

/* Rewrites record `seq`, the tree, and every checkpoint that comes after it, as far as the keys of the
 * copy go. */
tally_status tl_drill_rewrite(struct tl_drill *drill, uint64_t seq, struct tally_error *err);

#endif /* TL_LEDGER_DRILL_H */
