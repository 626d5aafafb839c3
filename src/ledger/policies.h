/* ledger/policies.h - which members could be erased, of records of any age. */
#ifndef TL_LEDGER_POLICIES_H
#define TL_LEDGER_POLICIES_H

#include "ledger/act.h"

/* The erasable sets that have been in force. Owned: tl_policies_release(). A zeroed one is empty. */
struct tl_policies {
    struct tl_policy_span {
        uint64_t after_seq; /* of GENESIS or POLICY: in force for the leaves after it */
        struct tl_erasable_set *set;
    } * items;
    size_t count;
    size_t capacity;
};

/* Errors: TALLY_ECORRUPT a policy cannot be read; TALLY_ELIMIT there were too many;
 *         TALLY_EIO, TALLY_ENOMEM */
tally_status tl_policies_read(struct tl_policies *policies, struct tally_store *store,
                              struct tally_error *err);
void tl_policies_release(struct tl_policies *policies);

/* The set that was in force when record `seq`, which is not the first, was sealed. */
const struct tl_erasable_set *tl_policies_at(const struct tl_policies *policies, uint64_t seq);

#endif /* TL_LEDGER_POLICIES_H */
