/*
 * crash_ledger make DIR ORACLE           makes DIR/ledger, and promises nothing
 * crash_ledger check DIR ORACLE [torn]   opens it, and compares it with what was promised
 *
 * For rigs that are scripts. "torn": the machine failed, so that segments may be damaged. Prints one
 * line of JSON; exit status 0 if all is well, 1 if not.
 */
#include <stdio.h>
#include <string.h>

#include "crash/rig.h"

int main(int argc, char **argv)
{
    static struct rig rig;
    struct rig_found found = { 0 };
    if (argc < 4) {
        return 64;
    }
    rig_use(&rig, argv[2], argv[3]);
    if (strcmp(argv[1], "make") == 0) {
        return rig_make(&rig) ? 0 : 1;
    }
    rig.logs = true;
    rig.may_be_torn = argc > 4;
    rig.gaps_max = UINT64_MAX;
    bool good = rig_check(&rig, &found);
    (void)printf("{\"test\":\"crash_ledger\",\"good\":%s,\"started\":%llu,\"stored\":%llu,"
                 "\"unacked_kept\":%llu,\"declared\":%llu,\"quarantined\":%llu}\n",
                 good ? "true" : "false", (unsigned long long)rig_started(&rig),
                 (unsigned long long)found.stored, (unsigned long long)found.unacked,
                 (unsigned long long)found.declared, (unsigned long long)found.quarantined);
    return good ? 0 : 1;
}
