#!/bin/sh
# What `make run` does: a ledger under var/, the examples and any files given, a query, a verification,
# and then it serves, at port $PORT or 8080.
# usage: demo.sh TALLY [FILE]...
set -eu
tally=$1
shift
ledger=var/audit
mkdir -p var
if [ ! -d "$ledger" ]; then
    echo "--- a new ledger at $ledger (keep what is in var/init.txt elsewhere in earnest)"
    (umask 077 && "$tally" init "$ledger" >var/init.txt)
fi
echo "--- importing the examples: a week of a small company"
"$tally" -C "$ledger" import examples/events.ndjson
for file in "$@"; do
    echo "--- importing $file"
    "$tally" -C "$ledger" import "$file" || [ $? -eq 6 ] # 6: some lines were refused, and reported
done
echo
echo "--- records: $("$tally" -C "$ledger" count --exact)"
"$tally" -C "$ledger" stats --by outcome
echo
echo "--- what was critical?  tally find --severity-min critical --limit 10"
"$tally" -C "$ledger" find --severity-min critical --limit 10
echo
echo "--- was anything changed?  tally verify"
"$tally" -C "$ledger" verify
cat <<END

From another terminal:
  export TALLY_LEDGER=\$PWD/$ledger PATH=\$PWD/$(dirname "$tally"):\$PATH
  tally find --action 'user.*' --outcome failure
  tally log --action note.add --actor-id \$USER --reason 'my first record'
  tally drill          # tamper with copies in every known way, and see it found
  tally help

--- the same in a browser, until Ctrl-C:  tally serve
END
# A token for this run alone: nobody has to look for that of the last one.
rm -f var/tokens.json
serve() {
    "$tally" -C "$ledger" serve --tokens var/tokens.json --listen "127.0.0.1:$1"
}
[ -z "${PORT:-}" ] || { serve "$PORT"; exit; }
serve 8080 || { [ $? -eq 5 ] && echo "--- at another port, then" && serve 0; }
