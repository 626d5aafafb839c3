#include "ledger/gone.h"

void tl_gone_release(struct tl_gone *gone)
{
    if (gone->known) {
        tl_excuse_scope_release(&gone->scope);
        tl_acts_release(&gone->acts);
    }
    *gone = (struct tl_gone){ .asked = false };
}

/* Newer acts than those of the caller's snapshot do no harm: they are about what came before them. */
static void ask(struct tl_gone *gone, struct tally_ledger *ledger)
{
    struct tl_reader reader;
    gone->asked = true;
    if (tl_reader_get(ledger, &reader, NULL) != TALLY_OK) {
        return;
    }
    tally_status status = tl_reader_begin(&reader, NULL);
    if (status == TALLY_OK) {
        status = tl_acts_read(&gone->acts, reader.store, NULL);
        gone->known = true; /* to be released */
    }
    tl_reader_put(ledger, &reader);
    if (status == TALLY_OK) {
        status = tl_excuse_scope_init(&gone->scope, &gone->acts.excuses);
    }
    if (status != TALLY_OK) {
        tl_gone_release(gone);
        gone->asked = true;
    }
}

struct tl_str tl_gone_state(struct tl_gone *gone, struct tally_ledger *ledger,
                            const struct tl_leaf *leaf, struct tl_str otherwise)
{
    if (!gone->asked) {
        ask(gone, ledger);
    }
    if (!gone->known) {
        return otherwise;
    }
    tl_excuse_scope_at(&gone->scope, leaf->seq);
    struct tl_excuse excuse = tl_excuse_of(&gone->scope, leaf->seq, leaf->retain_until);
    return excuse.counted ? TL_STR("purged") : excuse.erased ? TL_STR("erased") : otherwise;
}
