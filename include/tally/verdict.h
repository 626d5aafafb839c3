/* tally/verdict.h - the answer of a verification. */
#ifndef TALLY_VERDICT_H
#define TALLY_VERDICT_H

/*
 * A verdict is never better than the check behind it: what could not be checked is UNVERIFIABLE,
 * and a zeroed verdict says nothing.
 */
enum tally_verdict {
    TALLY_VERDICT_UNKNOWN = 0,
    TALLY_VERDICT_VERIFIED = 1,
    TALLY_VERDICT_TAMPERED = 2,
    TALLY_VERDICT_UNVERIFIABLE = 3
};

#endif /* TALLY_VERDICT_H */
