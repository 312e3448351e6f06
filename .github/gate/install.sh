#!/usr/bin/env bash
# Makes the environment in which the gate's own whisperbench runs, beside this job's other files.
# Its argument names another list of what is installed, in this folder. Offline, pip is told by
# PIP_NO_INDEX and PIP_FIND_LINKS where the packages lie (docs/runners.md).
set -euo pipefail
suite=$(cd "$(dirname "$0")/../.." && pwd)
work=${RUNNER_TEMP:?is not set: run this in a job of GitHub Actions}/whisperbench

mkdir -p "$work"
python3 -m venv --clear "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --only-binary :all: -c "$suite/constraints.txt" -r "$suite/.github/gate/${1:-requirements.txt}"
