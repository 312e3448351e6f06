#!/usr/bin/env bash
# Hands what the measuring job has left to `whisperbench pull pictures`, which fills pictures/.
# WHISPERBENCH_THRESHOLDS is the path of the suite.toml of the base, whose files lie in base/.
set -euo pipefail
gate=$(cd "$(dirname "$0")" && pwd)
suite_toml=$gate/../../benchmarks/suite.toml
if [[ -n ${WHISPERBENCH_THRESHOLDS:-} ]]; then
    suite_toml=base/$WHISPERBENCH_THRESHOLDS
fi

artifact=measured
shopt -s nullglob
files=(measured/*)
if [[ ${#files[@]} -eq 1 && -f ${files[0]} ]]; then artifact=${files[0]}; fi

exec bash "$gate/whisperbench" pull pictures "$artifact" pictures --suite "$suite_toml"
