#!/usr/bin/env bash
# The runner's job-started hook (ACTIONS_RUNNER_HOOK_JOB_STARTED): ends every job but those of the
# named workflows of one repository, started by an event that no stranger can cause. The runner calls
# it before any step, without the variables of the job. So what a workflow file says does not change it.
#
#   WHISPERBENCH_REPOSITORY      owner/name, of the runner's own environment (its .env file)
#   WHISPERBENCH_WORKFLOW        paths of the workflows, with spaces; .github/workflows/gpu.yml by default
#   WHISPERBENCH_BRANCH          the branch on which they count; main by default
#
# Its exit code would not end a job: to the runner the hook is a step that failed, and steps with
# `if: always()` or `if: failure()` run after it. So it kills the runner's worker, which runs the steps,
# and with that, or else its parent, whoever calls it by hand.
set -euo pipefail

# shellcheck disable=SC2329 # end_job calls it, and the trap that
worker() { # prints the process that runs the job's steps: the nearest one of that name, or the parent
    local pid=$PPID
    while [[ -r /proc/$pid/status && $pid -gt 1 ]]; do
        if [[ $(</proc/"$pid"/comm) == Runner.Worker ]]; then
            printf '%s' "$pid"
            return 0 # without a number it would be that of what set off the trap
        fi
        while IFS=$' \t' read -r name text; do
            if [[ $name == PPid: ]]; then pid=$text; fi
        done </proc/"$pid"/status
    done
    printf '%s' "$PPID"
}
# shellcheck disable=SC2329 # the trap calls it
end_job() {
    local pid
    pid=$(worker) || pid=$PPID
    # The listener, at the other end of the worker's pipe, tells GitHub why the worker has crashed.
    if [[ -p /proc/$pid/fd/2 ]]; then
        printf 'This runner refuses the job: %s\n' "${why:-the hook failed}" 1<>"/proc/$pid/fd/2" || true
    fi 2>/dev/null
    kill -KILL "$pid" || kill -KILL "$PPID"
}
# Whatever ends this script but its last line ends the job.
trap end_job EXIT

refuse() { # words
    why=$1
    printf '::error title=This runner refuses the job::%s\n' "$why"
    exit 1
}
read -r -a workflows <<<"${WHISPERBENCH_WORKFLOW:-.github/workflows/gpu.yml}"
branch=${WHISPERBENCH_BRANCH:-main}
for name in WHISPERBENCH_REPOSITORY GITHUB_EVENT_NAME GITHUB_REPOSITORY GITHUB_WORKFLOW_REF GITHUB_REF; do
    if [[ -z ${!name:-} ]]; then refuse "$name is not set"; fi
done
if [[ $GITHUB_REPOSITORY != "$WHISPERBENCH_REPOSITORY" ]]; then
    refuse "it serves another repository"
fi
case $GITHUB_EVENT_NAME in
    workflow_dispatch | push | schedule)
        ref=refs/heads/$branch
        if [[ $GITHUB_REF != "$ref" ]]; then refuse "it serves the branch $branch alone"; fi
        ;;
    merge_group)
        ref=$GITHUB_REF
        case $ref in
            "refs/heads/gh-readonly-queue/$branch/"*) ;;
            *) refuse "it serves the merge queue of $branch alone" ;;
        esac
        ;;
    *) refuse "it serves no job of the event $(tr -dc 'a-z_' <<<"$GITHUB_EVENT_NAME")" ;;
esac
for workflow in "${workflows[@]}"; do
    if [[ $GITHUB_WORKFLOW_REF == "$GITHUB_REPOSITORY/$workflow@$ref" ]]; then
        trap - EXIT
        exit 0
    fi
done
refuse "it serves these workflows alone: ${workflows[*]}"
