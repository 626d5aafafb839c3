/* ledger/page.h - a page of records while it fills, and what it owns afterwards. */
#ifndef TL_LEDGER_PAGE_H
#define TL_LEDGER_PAGE_H

#include "ledger/render.h"

#define TL_PAGE_BYTES_HARD_MAX (TL_PAGE_BYTES_MAX + 4 * TL_EVENT_BYTES_MAX)

struct tl_page {
    struct tally_page public; /* what the caller sees; first, so that it can be freed */
    struct tl_buf text;
    struct tl_rendered *parts;
    struct tally_item *items;
    size_t capacity;
    char next[64];
    /* while it fills */
    const struct tally_ledger *ledger;
    uint64_t skip;
    size_t limit;
    bool more; /* there is a record after the page */
    int64_t last_occurred;
    uint64_t last_seq;
};

/* NULL without memory. */
struct tl_page *tl_page_new(const struct tally_ledger *ledger, size_t limit);
void tl_page_dropp(struct tl_page **page);

/* Sets the pointers, now that the text does not move any more. */
void tl_page_finish(struct tl_page *page);

#endif /* TL_LEDGER_PAGE_H */
