#!/bin/bash
# Cuts the power of a machine that logs, many times, and checks what is left on the disk.
#
# usage: power.sh BINDIR CUTS KINDS [no-sync]
#
# BINDIR holds kill_writer, crash_ledger, disk_cut and disk_log.so; KINDS are those of kill_writer. A
# writer works for POWER_SECONDS (2) on a file system whose disk records each write and flush; from
# that, CUTS disks are made that a power cut could have left, with writes lost, reordered and torn,
# and on each of them the ledger is checked. "no-sync" is the negative control, a writer that never
# syncs its spool: the run passes if that is found. POWER_FS (ext4), POWER_SIZE (256M) and CRASH_SEED
# in the environment.
#
#   file system -> loop device -> FUSE file (nbdfuse) -> nbdkit -> image file
#
# Prints one line of JSON; exit status 77 where that cannot be built: it needs root, loop devices,
# /dev/fuse, and nbdkit, libnbd-bin, fuse3 and e2fsprogs.
set -u
bin=$(realpath "$1")
cuts=${POWER_CUTS:-$2}
kinds=$3
wrong=${4:-}
seconds=${POWER_SECONDS:-2}
fs=${POWER_FS:-ext4}
seed=${CRASH_SEED:-1}
work=$(mktemp -d)
disk=$work/disk
oracle=$(mktemp /dev/shm/tally-power.XXXXXX)
writer='' nbdkit='' nbdfuse='' loop=''

finish() {
    [ -n "$writer" ] && { kill -9 "$writer"; wait "$writer"; } 2>/dev/null
    mountpoint -q "$work/cut" && umount "$work/cut"
    mountpoint -q "$disk" && { umount "$disk" || umount -l "$disk"; } 2>/dev/null
    [ -n "$loop" ] && losetup -d "$loop" 2>/dev/null
    mountpoint -q "$work/fuse" && { umount "$work/fuse" || umount -l "$work/fuse"; } 2>/dev/null
    [ -n "$nbdfuse" ] && { kill "$nbdfuse"; wait "$nbdfuse"; } 2>/dev/null
    [ -n "$nbdkit" ] && { kill "$nbdkit"; wait "$nbdkit"; } 2>/dev/null
    rm -rf "$work" "$oracle" "$oracle.cut"
}
trap finish EXIT
skip() {
    echo "power.sh: skipped: $*"
    exit 77
}
wait_for() {
    for _ in $(seq 100); do
        "$@" && return 0
        sleep .05
    done
    return 1
}

[ "$(id -u)" = 0 ] || skip "it needs root, to mount"
[ -e /dev/fuse ] && [ -e /dev/loop-control ] || skip "it needs /dev/fuse and loop devices"
for tool in nbdkit nbdfuse losetup "mkfs.$fs"; do
    command -v "$tool" >/dev/null || skip "$tool is missing"
done

mkdir "$disk" "$work/fuse" "$work/cut"
truncate -s "${POWER_SIZE:-256M}" "$work/image"
nbdkit -f -U "$work/socket" "$bin/disk_log.so" file="$work/image" log="$work/log" oracle="$oracle" \
    >"$work/nbdkit.out" 2>&1 &
nbdkit=$!
wait_for test -S "$work/socket" || { cat "$work/nbdkit.out"; exit 70; }
nbdfuse "$work/fuse" "nbd+unix:///?socket=$work/socket" >"$work/nbdfuse.out" 2>&1 &
nbdfuse=$!
wait_for test -e "$work/fuse/nbd" || skip "nbdfuse: $(cat "$work/nbdfuse.out")"
loop=$(losetup -f --show "$work/fuse/nbd") || skip "no loop device"
options=
[ "$fs" = ext4 ] && options='-E lazy_itable_init=0,lazy_journal_init=0'
# shellcheck disable=SC2086
"mkfs.$fs" -q $options "$loop" >/dev/null 2>&1 || exit 70
mount -o noatime "$loop" "$disk" || skip "it may not mount"
mkdir "$disk/site"
"$bin/crash_ledger" make "$disk/site" "$oracle" || exit 70
sync
made=$(stat -c %s "$work/log")

# shellcheck disable=SC2086
"$bin/kill_writer" "$disk/site/ledger" "$oracle" "$seed" 0 "$kinds" $wrong >"$work/writer.out" 2>&1 &
writer=$!
sleep "$seconds"
kill -0 "$writer" 2>/dev/null || { cat "$work/writer.out"; exit 70; }
kill -9 "$writer"
wait "$writer" 2>/dev/null
writer=
cp "$work/log" "$work/run"

cat >"$work/check" <<EOF
device=\$(losetup -f --show "$work/image.cut") || exit 91
if mount $([ "$fs" = xfs ] && echo "-o nouuid") "\$device" "$work/cut"; then
    "$bin/crash_ledger" check "$work/cut/site" "$oracle.cut" torn >"$work/found" 2>"$work/why"
    good=\$?
    [ \$good = 0 ] || cat "$work/why" >&2
    umount "$work/cut"
else
    good=90
fi
losetup -d "\$device"
exit \$good
EOF
truncate -s "$(stat -c %s "$work/image")" "$work/image.cut"
[ -n "$wrong" ] && export DISK_CUT_STOP=1
"$bin/disk_cut" "$work/run" "$work/image.cut" "$oracle" "$cuts" "$seed" "$made" "sh $work/check"
status=$?
[ -s "$work/found" ] && cat "$work/found"
[ "$status" -le 1 ] || exit "$status"
[ -z "$wrong" ] && exit "$status"
[ "$status" = 1 ] && echo "power.sh: caught: $wrong"
exit $((1 - status))
