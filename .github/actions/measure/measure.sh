#!/usr/bin/env bash
# Measures WHISPERBENCH_BASE and WHISPERBENCH_HEAD of a repository with `whisperbench ab`, under the
# lock of this machine's card, and puts the result files into $RUNNER_TEMP/whisperbench/measured.
# It succeeds where there is something to judge, better or worse; the verdict is not its business.
set -euo pipefail
suite=$(cd "$(dirname "$0")/../../.." && pwd)
work=${RUNNER_TEMP:?is not set: run this in a job of GitHub Actions}/whisperbench
base=${WHISPERBENCH_BASE:-} head=${WHISPERBENCH_HEAD:-}
for commit in "$base" "$head"; do
    if ! [[ $commit =~ ^[0-9a-f]{40}$ ]]; then
        printf '::error::%q is no commit: name all 40 digits of its hash\n' "$commit"
        exit 2
    fi
done
minutes=${WHISPERBENCH_MINUTES:-60}
if ! [[ $minutes =~ ^[1-9][0-9]{0,3}$ ]]; then
    printf '::error::%q is no number of minutes\n' "$minutes"
    exit 2
fi
read -r -a options <<<"${WHISPERBENCH_OPTIONS:-}"
read -r -a arguments <<<"${WHISPERBENCH_ARGUMENTS:-}"

# Nothing is fetched from the hub: the runner's HF_HOME has the models, and cannot be written.
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 WHISPERBENCH_CACHE=$work/cache
# Half the time for the card, half for the environments and the measurement.
export WHISPERBENCH_LOCK_WAIT_S=${WHISPERBENCH_LOCK_WAIT_S:-$((minutes * 30))}
rm -rf "$work/measured"
mkdir -p "$work/measured" "$WHISPERBENCH_CACHE" "$suite/results"
if [[ -n ${WHISPERBENCH_DUMMIES:-} ]]; then
    ln -sfn "$WHISPERBENCH_DUMMIES" "$WHISPERBENCH_CACHE/dummies"
fi

bash "$suite/.github/gate/install.sh"
touch "$work/begun"
# A command behind `&` would ignore Ctrl-C, and so would all that it starts, but for job control.
set -m
bash "$suite/scripts/runner/with-card.sh" \
    bash "$suite/.github/gate/whisperbench" ab "$base" "$head" \
    --repository "${WHISPERBENCH_CHECKOUT:-.}" "${options[@]}" \
    -- --device "${WHISPERBENCH_DEVICE:-cuda}" "${arguments[@]}" &
measuring=$!
# A job that is cancelled signals this shell alone. `ab` ends its processes and gives the card back.
trap 'kill -TERM "$measuring"' INT TERM
code=0
wait "$measuring" || code=$?
while kill -0 "$measuring" 2>/dev/null; do
    code=0
    wait "$measuring" || code=$?
done

find "$suite/results" -maxdepth 1 -type d -name '*-ab-*' -newer "$work/begun" \
    -exec cp -R {}/. "$work/measured" \;
# What came to its end says so in comparison.json, better or worse, and is judged again.
case $code in
    0 | 1 | 3 | 4) test -f "$work/measured/comparison.json" || exit 4 ;;
    *) exit "$code" ;;
esac
