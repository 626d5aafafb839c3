#!/bin/sh
# Fills disks of several sizes with `tally import`, frees them, and checks what is left.
#
# usage: diskfull.sh TALLY
#
# For each size: a tmpfs, a ledger on it, an import that cannot fit. It must end with exit status 5
# and say why; the ledger must be VERIFIED on the full disk; given more room, the same import must go
# through, and every event be there once. DISK_SIZES in the environment: other sizes, in KiB. Prints
# one line of JSON; exit status 77 where it may not mount.
set -u
tally=$(realpath "$1")
sizes=${DISK_SIZES:-"768 1024 1536 2048 3072 4096"}
events=12000

work=$(mktemp -d)
disk=$work/disk
mkdir "$disk"
trap 'umount "$disk" 2>/dev/null; rm -rf "$work"' EXIT
if ! mount -t tmpfs -o size=1m tmpfs "$disk" 2>/dev/null; then
    echo "diskfull.sh: skipped: it needs root, to mount a tmpfs"
    exit 77
fi
umount "$disk"

awk -v n="$events" 'BEGIN { for (i = 0; i < n; i++) printf "{\"id\":\"d%d\",\"action\":\"disk.test\"," \
    "\"occurred_at\":\"2026-01-01T00:00:00Z\",\"metadata\":{\"fill\":\"%0300d\"}}\n", i, i }' \
    >"$work/events.ndjson"

bad=0
runs=0
filled=0
complain() {
    echo "BAD  ${size}k: $*"
    bad=$((bad + 1))
}
count() {
    "$tally" -C "$disk/audit" count --action disk.test --exact
}

for size in $sizes; do
    runs=$((runs + 1))
    mount -t tmpfs -o "size=${size}k" tmpfs "$disk" || exit 70
    "$tally" init "$disk/audit" --origin test.example/disk >/dev/null || complain "init: exit status $?"
    "$tally" -C "$disk/audit" import --json --rejects "$work/rejects" "$work/events.ndjson" \
        >"$work/out" 2>"$work/err"
    status=$?
    [ "$status" = 5 ] || complain "import: exit status $status: $(tail -n 1 "$work/err")"
    grep -qi 'space\|full' "$work/err" "$work/out" || complain "no word of a full disk: $(cat "$work/err")"
    [ "$status" = 5 ] && filled=$((filled + 1))
    "$tally" -C "$disk/audit" verify >"$work/out" 2>&1 || complain "full: $(tail -n 3 "$work/out")"
    before=$(count) || complain "full: count: exit status $?"

    mount -o "remount,size=$((size + 65536))k" "$disk"
    "$tally" -C "$disk/audit" import --rejects "$work/rejects" "$work/events.ndjson" \
        >"$work/out" 2>&1 || complain "with room: $(tail -n 1 "$work/out")"
    after=$(count)
    [ "$after" = "$events" ] || complain "$after of $events events, $before before"
    "$tally" -C "$disk/audit" verify >"$work/out" 2>&1 || complain "with room: $(tail -n 3 "$work/out")"
    umount "$disk"
    rm -f "$work/rejects"
done
printf '{"test":"diskfull","sizes_kib":"%s","runs":%d,"filled":%d,"bad":%d}\n' \
    "$sizes" "$runs" "$filled" "$bad"
[ "$bad" = 0 ]
