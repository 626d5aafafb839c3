#!/bin/sh
# How fast `tally serve` is, asked by wrk on the same machine; docs/performance.md has figures.
# usage: bench.sh TALLY [SECONDS [DIR]]
# Prints a line of JSON for each load: /healthz and `tally bench ingest` as the ceilings, single events,
# many events in one request; then WRITE_SECONDS (180) of single events with the memory of the server, and the first page
# of searches among what was written. DIR holds the ledger, which is removed.
set -eu
tally=$1
seconds=${2:-10}
dir=$(mktemp -d "${3:-.}/bench-http-XXXXXX")
script=$(dirname "$0")/bench.lua
server=
trap 'kill $server 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

"$tally" init "$dir/audit" --origin bench.example/http >/dev/null
"$tally" -C "$dir/audit" serve --listen 127.0.0.1:0 >"$dir/log" 2>&1 &
server=$!
until grep -q 'web page:' "$dir/log"; do
    kill -0 $server
    sleep 0.1
done
url=$(sed -n 's/^listening: //p' "$dir/log")
token=$(sed -n 's/^first token (shown once): //p' "$dir/log")

load() { # NAME CONNECTIONS SECONDS PATH EVENTS [TYPE]
    threads=$(($2 < 2 ? 1 : 2))
    BENCH_NAME=$1 BENCH_EVENTS=$5 wrk -t $threads -c "$2" -d "$3" -s "$script" "$url$4" -- \
        "$1" "$token" "$5" "${6:-application/json}" | grep '^{'
}

memory() { # writes the server's memory every 15 seconds
    while sleep 15; do
        awk '/VmRSS/ { printf "%d ", $2 / 1024 }' /proc/$server/status >>"$dir/memory"
    done
}

load 'healthz, 64 connections' 64 "$seconds" /healthz 0
"$tally" bench ingest --events 300000 --alone --dir "$dir" --json
load 'one event, 64 connections' 64 "$seconds" /v1/events 1
load 'one event, 256 connections' 256 "$seconds" /v1/events 1
load 'array of 100, 8 connections' 8 "$seconds" /v1/events 100
load 'NDJSON of 1,000, 8 connections' 8 "$seconds" /v1/events 1000 application/x-ndjson
memory &
watcher=$!
load 'one event, 64 connections, long' 64 "${WRITE_SECONDS:-180}" /v1/events 1
kill $watcher
echo "{\"bench\":\"memory every 15 s, MiB\",\"values\":\"$(cat "$dir/memory" 2>/dev/null)\"}"
echo "{\"bench\":\"records\",\"count\":$("$tally" -C "$dir/audit" count --exact)}"
load 'find, first page of 50, 1 connection' 1 "$seconds" '/v1/events?limit=50' 0
load 'find by actor, 1 connection' 1 "$seconds" '/v1/events?actor_id=user-42&limit=50' 0
load 'find nothing, 1 connection' 1 "$seconds" '/v1/events?action=none.such' 0
