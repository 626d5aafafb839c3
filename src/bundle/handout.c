#include "bundle/handout.h"

#include <inttypes.h>

static const char what_it_is[] =
    "EVIDENCE BUNDLE OF AN AUDIT LOG\n"
    "\n"
    "This directory holds a copy of an append-only audit log, or of a part of it, together with\n"
    "what it takes to check that nothing in the log was changed, removed or slipped in. Nothing\n"
    "but this directory, Python 3 and one file of keys is needed to check it.\n"
    "\n";

static const char how_to_check[] =
    "HOW TO CHECK IT\n"
    "\n"
    "    python3 tally_check.py . --trust trust.txt\n"
    "\n"
    "But do not use the file trust.txt that lies here: whoever can forge a log can put his own "
    "keys\n"
    "beside it. Get the trust file another way, from the people who run the log, once, early, and\n"
    "by a channel that you believe; keep it, and give its path to --trust. The one here is a\n"
    "sample, and the form in which the other may be compared with it.\n"
    "\n"
    "The program tally_check.py is plain Python without anything to install. You may read it, or\n"
    "take your own copy of it, or write another: the format is public. `tally verify . --trust\n"
    "FILE` checks the same with other code.\n"
    "\n"
    "WHAT THE ANSWER MEANS\n"
    "\n"
    "    VERIFIED      (exit status 0) The records are those that were sealed, in that order, at\n"
    "                  those times, and none is missing up to the size that is named. Read the\n"
    "                  qualifiers: they say what was not part of the check.\n"
    "    TAMPERED      (exit status 1) Something differs from what was sealed. The findings say "
    "what\n"
    "                  and where. Keep this directory as it is, and ask for an explanation.\n"
    "    UNVERIFIABLE  (exit status 2) It could not be checked, for want of a key, a checkpoint or "
    "a\n"
    "                  file. That is no all-clear.\n"
    "\n"
    "Contents may be gone from a sound log: purged when their time was over, or erased at\n"
    "somebody's request. That is on record in the log itself, and counts as VERIFIED. "
    "\"Withheld\"\n"
    "means that a content was left out of this directory by those who made it: ask them for it. "
    "Its\n"
    "place, its time and its digest are here, so that it cannot be replaced by another later.\n"
    "\n"
    "No check can tell whether an event was true when it was recorded, or whether there were "
    "events\n"
    "that never reached the log. Whether this is the newest state of the log is told by a "
    "checkpoint\n"
    "that you kept from before (--against FILE), or by witnesses.\n"
    "\n"
    "WHAT IS WHAT\n"
    "\n"
    "    checkpoint        the newest signed state: origin, number of records, root of the hash "
    "tree\n"
    "    checkpoints/      those of before, by number of records\n"
    "    tile/             the hash tree (C2SP tlog-tiles); tile/entries/ holds a leaf for each "
    "record\n"
    "    openings.ndjson   contents, a line for each record, and what ties each to its leaf\n"
    "    anchors/          proofs by others that a checkpoint existed, if there are any\n"
    "    proofs/           a proof for each single record, if they were asked for\n"
    "    trust.txt         public keys, a sample\n"
    "    tally_check.py    the program that checks\n";

void tl_bundle_readme(struct tl_buf *out, const struct tl_bundle_facts *facts)
{
    tl_buf_add_text(out, what_it_is);
    tl_buf_addf(out, "    log         %s\n", facts->origin);
    tl_buf_addf(out, "    records     %" PRIu64 ", each with its leaf\n", facts->size);
    tl_buf_addf(out, "    contents    %" PRIu64 "%s\n\n", facts->contents,
                facts->complete ? "" : "; the others were left out of this directory");
    tl_buf_add_text(out, how_to_check);
}
