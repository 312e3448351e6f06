#!/usr/bin/env bash
# Train nano on a GPU machine that has PyTorch and transformers, and no network.
#
#     bash training/on_gpu.sh speak          # minutes of 16 cores; needs .carry/debs
#     bash training/on_gpu.sh pace           # 120 steps, thrown away: how many a second?
#     bash training/on_gpu.sh train SECONDS  # at most so long, and half a minute; again, to go on
#     bash training/on_gpu.sh finish         # export, score, write the card; into $OUT/nano.tar.gz
#     bash training/on_gpu.sh quantized      # int8 and nf4 too; needs .carry/bitsandbytes
#
# All need .carry/wheels; carry.sh fills .carry. To try the script elsewhere, set NANO_DEVICE=cpu,
# NANO_CONFIG to a smaller nano.toml and NANO_WORK to a folder.
set -euo pipefail
cd "$(dirname "$0")/.."
work=${NANO_WORK:-/tmp/nano}
out=${OUT:-$work/out}
mkdir -p "$work/bin" "$out"

if [ ! -d "$work/site" ] && compgen -G '.carry/wheels/*.whl' >/dev/null; then
    python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir \
        --target "$work/site" .carry/wheels/*.whl
fi
export PYTHONPATH="$work/site:$PWD" PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
export PATH="$work/bin:$PATH"

# The synthesizers find their own libraries; nothing else must.
synthesizers() {
    local root=$work/root
    for package in .carry/debs/*.deb; do dpkg -x "$package" "$root"; done
    local libraries=$root/usr/lib/x86_64-linux-gnu
    for name in flite espeak-ng; do
        cat >"$work/bin/$name" <<END
#!/bin/sh
LD_LIBRARY_PATH=$libraries:$root/lib/x86_64-linux-gnu:$libraries/pulseaudio
ESPEAK_DATA_PATH=$libraries
export LD_LIBRARY_PATH ESPEAK_DATA_PATH
exec $root/usr/bin/$name "\$@"
END
        chmod +x "$work/bin/$name"
    done
}

nano() {
    local command=$1
    shift
    python3 -m training "$command" "$@"
}
device=${NANO_DEVICE:-cuda}
config=(--config "${NANO_CONFIG:-training/nano.toml}")
speech=(--corpora "$work/speech")
checkpoint=(--checkpoint "$work/nano")

give() {
    cp "$work/run/log.jsonl" "$work/nano.jsonl"
    tar -C "$work" -czf "$work/nano.tar.gz" nano nano.jsonl
    mv "$work/nano.tar.gz" "$out/"
}

hand_over() {
    nano export "${config[@]}" "${speech[@]}" --run "$work/run" "${checkpoint[@]}"
    give
}

# What is under $OUT comes back from a call that is cut off, too: so each checkpoint goes there.
keep() {
    while [ ! -e "$work/trained" ]; do
        sleep 5
        if [ "$work/run/checkpoint.pt" -nt "$out/nano.tar.gz" ]; then hand_over; fi
    done
}

case ${1:-} in
speak)
    if compgen -G '.carry/debs/*.deb' >/dev/null; then synthesizers; fi
    time nano speak "${config[@]}" "${speech[@]}" --processes "$(nproc)"
    ;;
pace)
    rm -rf "$work/pace"
    nano train "${config[@]}" "${speech[@]}" --device "$device" --run "$work/pace" --most-steps 120
    rm -rf "$work/pace"
    ;;
train)
    rm -f "$work/trained"
    trap 'touch "$work/trained"' EXIT
    keep &
    nano train "${config[@]}" "${speech[@]}" --device "$device" --run "$work/run" --max-seconds "$2"
    touch "$work/trained"
    wait
    hand_over
    ls -l "$work/nano" "$out"
    ;;
finish)
    hand_over
    nano evaluate "${speech[@]}" "${checkpoint[@]}" --device "$device" --precision fp32,fp16
    nano card "${config[@]}" "${checkpoint[@]}"
    give
    ;;
quantized)
    python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade \
        --target "$work/site" .carry/bitsandbytes/*.whl
    nano evaluate "${speech[@]}" "${checkpoint[@]}" --device "$device" --precision int8,nf4
    nano card "${config[@]}" "${checkpoint[@]}"
    give
    ;;
*)
    sed -n '2,12p' "$0"
    exit 2
    ;;
esac
