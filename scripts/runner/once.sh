#!/usr/bin/env bash
# Serves one job with a fresh copy of the Actions runner, and leaves nothing of it behind. Whatever
# restarts it (whisperbench-runner@.service does) has a runner that no job has seen before.
#
# Usage: once.sh RUNNER WORK, with the just-in-time configuration of one runner on standard input
#   RUNNER    the folder of the unpacked Actions runner, which is copied and not run in
#   WORK      a folder that is not there yet, or is empty; it is removed at the end
#
# Of the environment these go into the runner's own .env: CUDA_VISIBLE_DEVICES, HF_HOME, PIP_*, UV_*,
# and WHISPERBENCH_*. docs/runners.md says what each is for.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

fail() { # words
    printf 'once: %s\n' "$1" >&2
    exit 2
}
if [[ $# -ne 2 ]]; then fail "name the folder of the runner and a folder to work in"; fi
runner=$1 work=$2
if ! [[ -x $runner/run.sh ]]; then fail "$runner: holds no Actions runner: run.sh is not there"; fi
# The runner would let the steps with `if: always()` run where its hook is not there.
if ! [[ -r $here/job-started.sh ]]; then fail "$here/job-started.sh: cannot be read"; fi
if [[ -d $work && -n $(ls -A "$work") ]]; then fail "$work: is not empty: it may be in use"; fi
for name in CUDA_VISIBLE_DEVICES WHISPERBENCH_LOCKS WHISPERBENCH_REPOSITORY; do
    if [[ -z ${!name+set} ]]; then fail "$name is not set: docs/runners.md says to what"; fi
done
jit=$(head -c 100000)
if [[ -z $jit ]]; then fail "standard input has no just-in-time configuration"; fi

mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
# With its times, by which the doctor tells how old it is.
cp -a "$runner/." "$work/"
{
    printf 'ACTIONS_RUNNER_HOOK_JOB_STARTED=%s/job-started.sh\n' "$here"
    compgen -e | grep -E '^(CUDA_VISIBLE_DEVICES|HF_HOME|(PIP|UV|WHISPERBENCH)_[A-Z_]+)$' |
        while read -r name; do printf '%s=%s\n' "$name" "${!name}"; done
} >"$work/.env"

# Not as an argument: those can be read by every user of the machine. The runner takes it out of
# its environment before it starts a job.
code=0
env -i HOME="$work" PATH="$PATH" LANG=C.UTF-8 ACTIONS_RUNNER_INPUT_JITCONFIG="$jit" \
    bash "$work/run.sh" </dev/null || code=$?
exit "$code"
