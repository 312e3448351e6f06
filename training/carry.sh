#!/usr/bin/env bash
# Fetch what on_gpu.sh needs on a machine without a network, into .carry (which git ignores):
# the synthesizers of Debian 12 with their libraries, and wheels for Python 3.12.
# Run it on Debian 12, as anybody; `apt-get update` first if the lists are old.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .carry/debs .carry/wheels .carry/bitsandbytes

# All that flite and espeak-ng load but the C library, which every machine has a newer one of.
(
    cd .carry/debs
    apt-get download \
        flite libflite1 espeak-ng espeak-ng-data libespeak-ng1 libpcaudio0 libsonic0 \
        libasound2 libasyncns0 libbsd0 libcap2 libdbus-1-3 libflac12 libgcrypt20 libgpg-error0 \
        liblz4-1 liblzma5 libmd0 libmp3lame0 libmpg123-0 libogg0 libopus0 libpulse0 libsndfile1 \
        libsystemd0 libvorbis0a libvorbisenc2 libx11-6 libx11-xcb1 libxau6 libxcb1 libxdmcp6 libzstd1
)

wheel() {
    python3 -m pip download --quiet --no-deps --only-binary=:all: \
        --python-version 3.12 --implementation cp --platform manylinux2014_x86_64 \
        --platform manylinux_2_17_x86_64 --platform manylinux_2_24_x86_64 \
        --platform manylinux_2_27_x86_64 --platform manylinux_2_28_x86_64 \
        --constraint constraints.txt --dest "$@"
}
wheel .carry/wheels msgspec jiwer RapidFuzz soundfile soxr cffi pycparser
wheel .carry/wheels whisper_normalizer more-itertools platformdirs
# Only for int8 and nf4. Of its libraries CUDA 13.0's is the GPU machine's; with all of them it is 41
# MiB and does not fit into one call with the checkout.
rm -f .carry/bitsandbytes/*.whl
wheel .carry/bitsandbytes bitsandbytes
zip -q -d .carry/bitsandbytes/*.whl '*_cuda1[12]*.so' '*_cuda132.so' '*_rocm*.so' '*_xpu*.so'
du -sh .carry/*
