/*
 * ledger/drill.h - what the source files of tally_drill() share.
 *
 * `sound` is a copy of the ledger that has grown by a few events and verifies; `damaged` is made
 * anew from it for each attack. Both, and everything else, lie in the work directory.
 */
#ifndef TL_LEDGER_DRILL_H
#define TL_LEDGER_DRILL_H

#include "evidence/control.h"
#include "ledger/ledger.h"
#include "store/tamper.h"

#define TL_DRILL_MEMBER      "/metadata" /* of the drill's events: one that can be erased, mostly */
#define TL_DRILL_CASE_CLOSED "drill/released"

/* Acts that `sound` has seen. */
enum tl_drill_act {
    TL_DID_KEY,
    TL_DID_HOLD,
    TL_DID_RELEASE, /* of another hold */
    TL_DID_PURGE,   /* before their day; one of its records is on hold */
    TL_DID_DUE,     /* of what was due long ago: nothing is */
    TL_DID_ERASE,   /* of all of a record */
    TL_DID_PART,    /* of a member of a record */
    TL_DID_ANCHOR,
    TL_DID_COUNT
};

/* The events that they were about, by their distance from `life`. */
enum tl_drill_role {
    TL_ROLE_PURGED = 0, /* two */
    TL_ROLE_ERASED = 2,
    TL_ROLE_HELD,     /* a PURGE names it all the same */
    TL_ROLE_PARTED,   /* a member was erased */
    TL_ROLE_WHOLE,    /* nothing happened to it */
    TL_ROLE_RELEASED, /* was on hold */
    TL_ROLE_COUNT = 16
};

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
    struct tl_paths older;     /* the ledger before it grew for the last time, keys included */
    char memory[TL_PATH_SIZE]; /* where an attack puts a checkpoint that was kept elsewhere */

    uint64_t size;    /* leaves of `sound` */
    uint64_t covered; /* of these, the ones below full tiles */
    uint64_t first;   /* two events with all their content, below `covered` */
    uint64_t second;
    uint64_t late; /* another, that no PURGE names */

    uint64_t life;               /* the first of the events that acts were about */
    uint64_t acts[TL_DID_COUNT]; /* seqs of their records; TALLY_SEQ_NONE: was not possible */
    char *approver;              /* secret of the one whom the copies' trust file names */
    struct tally_report *usual;  /* what is found in `sound`: warnings and notes */

    const struct tl_attack_list *lists; /* the last one is empty */

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
    /* Nothing that lies with the ledger can tell of it: why, for people. It is made all the same. */
    const char *beyond;
};

struct tl_attack_list {
    const struct tl_attack *attacks;
    size_t count;
};

/* drill_attacks.c: those of somebody who has the files; drill_acts.c: those on acts, and by whom has
 * keys. */
extern const struct tl_attack_list tl_attacks_on_files;
extern const struct tl_attack_list tl_attacks_on_acts;

/* tally_drill() with attacks of the caller's choice; an empty list ends them. */
tally_status tl_drill_run(const struct tally_options *options, const char *work_dir,
                          const struct tl_attack_list *lists, tally_drill_fn *fn, void *ctx,
                          uint64_t *missed_out, struct tally_error *err);

/* The file of the store. */
const char *tl_drill_db(const struct tl_paths *paths);

/* Opens the damaged store, unless it is open; the second function closes it, so that others may
 * use it. The drill does so too. */
tally_status tl_drill_open(struct tl_drill *drill, struct tally_error *err);
void tl_drill_close(struct tl_drill *drill);

/* Copies the sound ledger; `needs` is of enum tl_attack_needs. What is there goes. */
tally_status tl_drill_copy(const struct tl_drill *drill, const struct tl_paths *to, uint8_t needs,
                           struct tally_error *err);

/* Puts a copy in the place of the damaged one, all of it. */
tally_status tl_drill_replace(const struct tl_drill *drill, const struct tl_paths *from,
                              struct tally_error *err);

/* Appends `count` events to a copy, the way any writer does. */
tally_status tl_drill_grow(const struct tl_drill *drill, const struct tl_paths *paths,
                           uint64_t count, struct tally_error *err);

/* Opens a copy for writing, as any process does. */
tally_status tl_drill_ledger(const struct tl_drill *drill, const struct tl_paths *paths,
                             struct tally_ledger **ledger_out, struct tally_error *err);

/* drill_life.c: lets `sound` see every act once. */
tally_status tl_drill_live(struct tl_drill *drill, struct tally_error *err);
/* Seals `control` in a ledger, without asking whether it may be. */
tally_status tl_drill_seal(struct tally_ledger *ledger, const struct tl_control *control,
                           uint64_t *seq_out, struct tally_error *err);

/* A value in the store: how to read it, and how to put another in its place, by one number. */
struct tl_edit_place {
    const char *get;
    const char *set;
    bool is_text;
};
extern const struct tl_edit_place tl_edit_leaf;
extern const struct tl_edit_place tl_edit_event;
extern const struct tl_edit_place tl_edit_seed;

/* drill_edit.c: statements on the damaged store, with as many numbers as the name says; those that
 * change nothing are TALLY_ENOTFOUND, but for the first. */
tally_status tl_edit_run(struct tl_drill *drill, const char *sql, struct tally_error *err);
tally_status tl_edit_run1(struct tl_drill *drill, const char *sql, uint64_t a,
                          struct tally_error *err);
tally_status tl_edit_run2(struct tl_drill *drill, const char *sql, uint64_t a, uint64_t b,
                          struct tally_error *err);
/* The caller releases *out, also on failure. */
tally_status tl_edit_load(struct tl_drill *drill, const struct tl_edit_place *place, uint64_t key,
                          struct tl_buf *out, struct tally_error *err);
tally_status tl_edit_save(struct tl_drill *drill, const struct tl_edit_place *place, uint64_t key,
                          const struct tl_buf *bytes, struct tally_error *err);
tally_status tl_edit_flip(struct tl_drill *drill, const struct tl_edit_place *place, uint64_t key,
                          size_t at, uint8_t bits, struct tally_error *err);
/* Where the byte after `marker` stands; bytes->len if nowhere. */
size_t tl_edit_find(const struct tl_buf *bytes, size_t from, const char *marker);
/* Puts one of two characters in the place of the one after `marker`; both stand for something sensible
 * there. */
tally_status tl_edit_after(struct tl_drill *drill, const struct tl_edit_place *place, uint64_t key,
                           const char *marker, const char two[2], struct tally_error *err);
/* TALLY_ENOTFOUND: "the ledger has WHAT". */
tally_status tl_edit_nothing(struct tally_error *err, const char *what);

/* Keeps the newest checkpoint of a store where an attack cannot reach it. */
tally_status tl_drill_remember(struct tl_drill *drill, const char *store, struct tally_error *err);
/* Without the mark, only who kept a checkpoint elsewhere can tell of what is missing at the end. */
tally_status tl_drill_forget_mark(struct tl_drill *drill, struct tally_error *err);

/* The attacks that need keys and a new tree; in drill_resign.c. */
tally_status tl_drill_cut(struct tl_drill *drill, const struct tl_attack *attack,
                          struct tally_error *err);
tally_status tl_drill_sign_log_key(struct tl_drill *drill, const struct tl_attack *attack,
                                   struct tally_error *err);
tally_status tl_drill_sign_all_keys(struct tl_drill *drill, const struct tl_attack *attack,
                                    struct tally_error *err);
tally_status tl_drill_sign_closed_epoch(struct tl_drill *drill, const struct tl_attack *attack,
                                        struct tally_error *err);

tally_status tl_drill_sign_before_key(struct tl_drill *drill, const struct tl_attack *attack,
                                      struct tally_error *err);
tally_status tl_drill_sign_as_other(struct tl_drill *drill, const struct tl_attack *attack,
                                    struct tally_error *err);

/* Makes the act at `seq` say `control`, and signs all that follows with the keys of the copy. */
tally_status tl_drill_forge(struct tl_drill *drill, uint64_t seq, const struct tl_control *control,
                            struct tally_error *err);

/* Signs all from `seq` on with the keys of the copy, as it is. */
tally_status tl_drill_resign(struct tl_drill *drill, uint64_t seq, struct tally_error *err);
tally_status tl_drill_write_with_mac(struct tl_drill *drill, const struct tl_attack *attack,
                                     struct tally_error *err);

/* The members that are erasable in record `seq`, in `control`, which lives in `arena` and `leaf`. The
 * caller releases both, also on failure. */
tally_status tl_drill_policy(struct tl_drill *drill, uint64_t seq, struct tl_buf *leaf,
                             struct tl_arena *arena, struct tl_control *control,
                             struct tally_error *err);

/* Rewrites record `seq`, the tree, and every checkpoint that comes after it, as far as the keys of the
 * copy go. */
tally_status tl_drill_rewrite(struct tl_drill *drill, uint64_t seq, struct tally_error *err);

#endif /* TL_LEDGER_DRILL_H */
