#!/usr/bin/env bash
# The runner's job-started hook (ACTIONS_RUNNER_HOOK_JOB_STARTED): ends every job but those of one
# workflow of one repository, started by an event that no stranger can cause. The runner calls it
# before any step, without the variables of the job. So what a workflow file says does not change it.
#
#   WHISPERBENCH_REPOSITORY      owner/name, of the runner's own environment (its .env file)
#   WHISPERBENCH_WORKFLOW        the path of the workflow; .github/workflows/gpu.yml by default
#   WHISPERBENCH_BRANCH          the branch on which it counts; main by default
set -euo pipefail
workflow=${WHISPERBENCH_WORKFLOW:-.github/workflows/gpu.yml} branch=${WHISPERBENCH_BRANCH:-main}

refuse() { # words
    printf '::error title=This runner refuses the job::%s\n' "$1"
    exit 1
}
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
if [[ $GITHUB_WORKFLOW_REF != "$GITHUB_REPOSITORY/$workflow@$ref" ]]; then
    refuse "it serves the workflow $workflow alone"
fi
