#!/usr/bin/env bash
# Merges the shards of each card, and writes one table of all cards into the step summary of GitHub
# Actions, or to the terminal. CARDS names them, with spaces; the shards of CARD are
# FOLDER/CARD-1.json, FOLDER/CARD-2.json and so on.
#
#   CARDS="h100 h200" scripts/fleet_table.sh FOLDER [WHISPERBENCH]
#
# WHISPERBENCH is the command, where it is not the one on PATH. What a merge exits with that is no pass
# is what this exits with in the end, and the table has those cards whose shards could be merged.
# NEEDS, where it is set, is what the jobs that measured came to: GitHub's toJSON(needs).
set -euo pipefail
folder=${1:?say the folder of the shards} whisperbench=${2:-whisperbench}
[ $# -lt 2 ] || whisperbench=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
shopt -s extglob nullglob
code=0 runs=()
for card in ${CARDS:?say the cards in CARDS}; do
    if "$whisperbench" merge "$folder/$card"-+([0-9]).json -o "$folder/$card.run.json"; then
        runs+=("$folder/$card.run.json")
    else
        code=$?
        [ ! -f "$folder/$card.run.json" ] || runs+=("$folder/$card.run.json")
    fi
done
if [ ${#runs[@]} -gt 0 ]; then
    "$whisperbench" show "${runs[@]}" --format markdown >> "${GITHUB_STEP_SUMMARY:-/dev/stdout}"
fi
if [ -n "${NEEDS:-}" ] && ! "$whisperbench" pull needs; then
    [ "$code" -ne 0 ] || code=4
fi
exit "$code"
