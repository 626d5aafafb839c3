/*
 * verify/excuses.h - the PURGE, ERASE, HOLD and RELEASE leaves of a ledger, and which contents may
 * be gone because of them (docs/evidence.md, "Purge, erase, hold, restore").
 */
#ifndef TL_VERIFY_EXCUSES_H
#define TL_VERIFY_EXCUSES_H

#include "base/arena.h"
#include "evidence/control.h"

struct tl_purge {
    uint64_t seq;
    uint64_t before_seq;
    uint64_t count;   /* as the leaf says */
    uint64_t covered; /* as counted */
    uint32_t cutoff_day;
    uint32_t cutoff_max; /* of this leaf and all before it */
    bool override_days;
    bool invalid; /* there is a finding about it, which needs no more of them */
    const struct tl_range *ranges;
    uint32_t range_count;
};

struct tl_erasure {
    uint64_t seq;
    const struct tl_str *pointers;
    uint32_t pointer_count;
    bool whole;
    const struct tl_range *seqs;
    uint32_t seq_count;
};

struct tl_hold {
    struct tl_str name;
    bool released;
    uint64_t release_seq; /* TALLY_SEQ_NONE as long as it is active */
};

struct tl_held_range {
    uint32_t hold;     /* index */
    uint64_t from_seq; /* of the HOLD leaf */
    struct tl_range range;
};

/* Confined to one thread; a zeroed one must be initialised. Lists in order of seq. */
struct tl_excuses {
    struct tl_arena arena; /* what the lists point to */
    struct tl_purge *purges;
    size_t purge_count;
    size_t purge_capacity;
    size_t override_count; /* of the purges */
    struct tl_erasure *erasures;
    size_t erasure_count;
    size_t erasure_capacity;
    struct tl_hold *holds;
    size_t hold_count;
    size_t hold_capacity;
    struct tl_held_range *held;
    size_t held_count;
    size_t held_capacity;
};

void tl_excuses_init(struct tl_excuses *excuses);
void tl_excuses_release(struct tl_excuses *excuses);

/*
 * Takes over what a leaf says. `invalid` is for a PURGE with a finding about it.
 *
 * Errors: TALLY_ENOMEM; TALLY_ELIMIT there are more than can be kept;
 *         TALLY_ENOTFOUND RELEASE of a hold that is unknown; TALLY_ECONFLICT a released hold again
 */
tally_status tl_excuses_add(struct tl_excuses *excuses, uint64_t seq,
                            const struct tl_control *control, bool invalid);

/* Whether leaves of this kind are for tl_excuses_add(). */
bool tl_excuses_concern(enum tl_leaf_kind kind);

/* What is wrong with a PURGE or an ERASE at `seq`, sealed at `time_us`, in itself; NULL: nothing. */
const char *tl_excuse_fault(const struct tl_control *control, uint64_t seq, int64_t time_us);

/* What became of one record, as far as the leaves permit it. */
struct tl_excuse {
    bool purged;    /* a PURGE covers it */
    bool counted;   /* and no ERASE before it: the purge counts it */
    bool erased;    /* an ERASE of the whole content covers it */
    bool only_held; /* there was one, but during a hold */
    size_t purge;   /* index of the first that covers it, if `purged` */
};

/* Which excuses concern the records of [first, end); made anew for each chunk of records. */
struct tl_excuse_scope {
    const struct tl_excuses *excuses;
    uint32_t *erasures; /* owned; indexes */
    size_t erasure_count;
    uint32_t *held; /* owned; indexes */
    size_t held_count;
    uint64_t first;
    uint64_t end;
};
tally_status tl_excuse_scope_init(struct tl_excuse_scope *scope, const struct tl_excuses *excuses);
void tl_excuse_scope_release(struct tl_excuse_scope *scope);
void tl_excuse_scope_set(struct tl_excuse_scope *scope, uint64_t first, uint64_t end);

/* The same for who meets records one by one: some thousand about `seq`, unless it is among them. */
void tl_excuse_scope_at(struct tl_excuse_scope *scope, uint64_t seq);

struct tl_excuse tl_excuse_of(const struct tl_excuse_scope *scope, uint64_t seq,
                              uint32_t retain_until);

/* Whether a hold on the record was active when leaf `at_seq` was sealed; the size of the ledger asks for
 * the holds that are active now. */
bool tl_excuse_held(const struct tl_excuse_scope *scope, uint64_t seq, uint64_t at_seq);

/* Whether records of the erasure were put on hold after it was sealed, and are free again. */
bool tl_excuse_was_kept(const struct tl_excuses *excuses, const struct tl_erasure *erasure);

/* Whether a PURGE of the override form covers the record, whatever its day. */
bool tl_excuse_overridden(const struct tl_excuse_scope *scope, uint64_t seq);

/* Whether a PURGE names the record, due or not. */
bool tl_excuse_purge_names(const struct tl_excuses *excuses, uint64_t seq);

/* Whether an ERASE covers the member; *only_held_out says that one did, but during a hold. */
bool tl_excuse_member(const struct tl_excuse_scope *scope, uint64_t seq, struct tl_str pointer,
                      bool *only_held_out);

#endif /* TL_VERIFY_EXCUSES_H */
