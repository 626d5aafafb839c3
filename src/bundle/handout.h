/* bundle/handout.h - what goes along with a bundle for the person who checks it. */
#ifndef TL_BUNDLE_HANDOUT_H
#define TL_BUNDLE_HANDOUT_H

#include "base/buf.h"

/* The program tally_check.py, which shares no code with this one. Made from tools/ by the build. */
extern const unsigned char tl_bundle_checker[];
extern const size_t tl_bundle_checker_len;

struct tl_bundle_facts {
    const char *origin;
    uint64_t size;
    uint64_t contents;
    bool complete;
};

/* Appends README.txt. */
void tl_bundle_readme(struct tl_buf *out, const struct tl_bundle_facts *facts);

#endif /* TL_BUNDLE_HANDOUT_H */
