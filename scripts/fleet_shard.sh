#!/usr/bin/env bash
# Measures a shard of this checkout's suite in a job of GitHub Actions on a machine of one's own: in an
# environment of the job with what constraints.txt and pyproject.toml name, and under the lock of the
# card. docs/examples/fleet.yml calls it; offline, pip is told by PIP_NO_INDEX and PIP_FIND_LINKS where
# the packages lie (docs/runners.md).
#
#   CARD, SHARD                  the card's name and the shard, as in h100 and 1/2: the file is CARD-1.json
#   WHISPERBENCH_ARGUMENTS       arguments of pytest, with spaces between; no quotes
set -euo pipefail
cd "$(dirname "$0")/.."
work=${RUNNER_TEMP:?is not set: run this in a job of GitHub Actions}/whisperbench
card=${CARD:?say the name of the card} shard=${SHARD:?say the shard, as in 1/2}
read -r -a arguments <<<"${WHISPERBENCH_ARGUMENTS:-}"

# Nothing is fetched from the hub: the runner's HF_HOME has the models, and cannot be written.
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 WHISPERBENCH_CACHE=$work/cache
mkdir -p "$WHISPERBENCH_CACHE"
if [[ -n ${WHISPERBENCH_DUMMIES:-} ]]; then
    ln -sfn "$WHISPERBENCH_DUMMIES" "$WHISPERBENCH_CACHE/dummies"
fi

python3 -m venv --clear "$work/suite"
python3 -c '
import tomllib

with open("pyproject.toml", "rb") as file:
    print("\n".join(tomllib.load(file)["project"]["dependencies"]))
' >"$work/needs.txt"
"$work/suite/bin/python" -m pip install --quiet --disable-pip-version-check \
    --only-binary :all: -c constraints.txt -r "$work/needs.txt"
exec bash scripts/runner/with-card.sh "$work/suite/bin/python" -m pytest benchmarks/ \
    --shard "$shard" --result "$card-${shard%/*}.json" "${arguments[@]}"
