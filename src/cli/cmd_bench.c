#include <string.h>

#include "cli/bench.h"
#include "cli/cmd.h"

static const struct tl_opt opts[] = {
    { "events", 0, "N", "how many events to make up (default 1000000; log: 100000)" },
    { "dir", 0, "DIR", "where to work; what is made there is removed (default: here)" },
    { "ids", 0, "v7|v4", "ingest: ids in order of time, or random" },
    { "alone", 0, NULL, "ingest, log: without what they are compared with" },
    { "no-index", 0, NULL, "verify: leave the search index out" },
    { "threads", 0, "N", "log: threads that log (default 1)" },
    { "pace", 0, "N", "log: events a second in the paced run (default 10000; 0: no such run)" },
    { "seconds", 0, "N", "log: how long the paced run takes; http: each load (default 5)" },
    { "connections", 0, "N", "http: that ask at the same time (default 64)" },
    { "only", 0, "healthz|single|array_100|ndjson_1000|find", "http: this load alone" },
    { "verify", 0, NULL, "http: verify the ledger in the end" },
    { "class", 0, "best_effort|durable|strict", "log: the delivery class (default durable)" },
    { "timeout-ms", 0, "N", "log: the bound of a call (default 1000)" },
    { "into", 0, "DIR", "log: into this ledger, which stays, perhaps beside another process" },
    { 0 },
};

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    static const struct {
        const char *name;
        enum tl_exit (*run)(struct tl_cli *cli, const struct tl_args *args);
    } kinds[] = {
        { "ingest", tl_bench_ingest }, { "find", tl_bench_find }, { "http", tl_bench_http },
        { "life", tl_bench_life },     { "log", tl_bench_log },   { "verify", tl_bench_verify },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(kinds); i++) {
        if (strcmp(args->rest[0], kinds[i].name) == 0) {
            return kinds[i].run(cli, args);
        }
    }
    return tl_cli_usage(cli, "there is no benchmark '%s': ingest, find, http, life, log or verify",
                        args->rest[0]);
}

const struct tl_cmd tl_cmd_bench = {
    .name = "bench",
    .summary = "measure speed on this machine",
    .arguments = "ingest|find|http|life|log|verify",
    .about =
        "ingest  events recorded and indexed in a second, beside the same events in a plain\n"
        "        SQLite table and in an ordinary audit table with six indexes\n"
        "find    latency of a first page, for each filter alone and for pairs\n"
        "http    a server, asked over HTTP from this machine: requests and events in a second,\n"
        "        latency, processor time and memory, for each kind of request\n"
        "life    purge of every second record and erasure of 1,000 subjects, with a writer beside\n"
        "        it: time, longest write, bytes, and verification before and after\n"
        "log     how long a call of tally_log() takes, in a burst and at a pace, beside fprintf\n"
        "        with fflush, syslog and an SQLite INSERT for each event\n"
        "verify  records checked in a second by one thread, and peak memory\n",
    .examples = "tally bench ingest --events 2000000 --json\n"
                "tally bench find --events 1000000\n"
                "tally bench http --connections 64 --seconds 5 --json\n"
                "tally bench log --threads 4 --events 200000 --json\n",
    .opts = opts,
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
