#!/usr/bin/env bash
# Measures a run as a Slurm array, a task a shard, and merges it: run it in a checkout of whisperbench
# with whisperbench's environment active.
#
#   scripts/slurm/submit.sh SHARDS FOLDER [OPTION OF SBATCH...] [-- ARGUMENT OF PYTEST...]
#   scripts/slurm/submit.sh 4 results/h100 --gres=gpu:1 --cpus-per-task=8 --time=30 \
#       -- --model dummy:large-v3-turbo --shard-times baselines/KEY/default.json
#
# FOLDER must be new, and one that all nodes and this machine have in common. The options are those
# of each task. It waits until the shards are merged into FOLDER/run.json, prints the summary, and
# exits as `whisperbench merge` does.
set -euo pipefail

if [ $# -lt 2 ]; then
    sed -n '2,12s/^# \{0,1\}//p' "$0"
    exit 2
fi
shards=$1 folder=$2
shift 2
[[ $shards =~ ^[1-9][0-9]{0,3}$ ]] || { echo "submit.sh: SHARDS $shards: must be a number" >&2; exit 2; }
[ -f benchmarks/suite.toml ] || { echo "submit.sh: start it in a checkout of whisperbench" >&2; exit 2; }
options=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    options+=("$1")
    shift
done
[ $# -eq 0 ] || shift
mkdir -p "$(dirname "$folder")"
mkdir "$folder" || { echo "submit.sh: $folder: name a folder that is not there yet" >&2; exit 2; }
folder=$(cd "$folder" && pwd)

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
job=$(sbatch --parsable --array="1-$shards" --output="$folder/shard-%a.log" \
    ${options[@]+"${options[@]}"} "$scripts/shard.sbatch" "$folder" "$@")
job=${job%%;*} # a federation adds the cluster's name
trap 'scancel "$job" 2> /dev/null || true' INT TERM
echo "submit.sh: array $job, $shards shards; their logs: $folder/shard-*.log" >&2
code=0
# afterany: after a task that failed, too, for the merging says which shard is absent.
sbatch --wait --dependency="afterany:$job" --output="$folder/merge.log" \
    "$scripts/merge.sbatch" "$folder" >&2 || code=$?
cat "$folder/merge.log"
exit "$code"
