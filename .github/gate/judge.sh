#!/usr/bin/env bash
# Hands what the measuring job has left to `whisperbench pull judge`, which writes verdict.json.
# WHISPERBENCH_THRESHOLDS is the path of the suite.toml of the base, whose files lie in base/.
set -euo pipefail
gate=$(cd "$(dirname "$0")" && pwd)
suite_toml=$gate/../../benchmarks/suite.toml
if [[ -n ${WHISPERBENCH_THRESHOLDS:-} ]]; then
    suite_toml=base/$WHISPERBENCH_THRESHOLDS
fi
read -r -a options <<<"${WHISPERBENCH_OPTIONS:-}"
read -r -a arguments <<<"${WHISPERBENCH_ARGUMENTS:-}"
judging=(--suite "$suite_toml" --verdict verdict.json --device "${WHISPERBENCH_DEVICE:-cuda}")
for option in "${options[@]}"; do
    if [[ $option == --fast ]]; then judging+=(--fast); fi
done

# The artifact as it was uploaded is one file; where there is none, the folder is not there.
artifact=measured
shopt -s nullglob
files=(measured/*)
if [[ ${#files[@]} -eq 1 && -f ${files[0]} ]]; then artifact=${files[0]}; fi

exec bash "$gate/whisperbench" pull judge "$artifact" "${judging[@]}" -- \
    --device "${WHISPERBENCH_DEVICE:-cuda}" "${arguments[@]}"
