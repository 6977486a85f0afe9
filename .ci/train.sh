#!/usr/bin/env bash
# Trains the bundled model stage by stage in models/checkpoints/o2; each stage goes on where it was stopped.
#   MINUTES=60    for the encoder; the predictor takes two thirds of that twice (on known clips, then on seen ones)
#   CHUNKS=400    of 16 clips, twice; a film takes 37 MB
#   FOOTAGE=DIR   real shots of fixed cameras with a manifest.csv, to train on what is seen in them too
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD out=$PWD/models/checkpoints/o2 minutes=${MINUTES:-60} chunks=${CHUNKS:-400}
# big buffers are kept instead of being given back to the system at every step
export MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=268435456 OMP_NUM_THREADS=1
stage() { (cd models/python && "$root/.venv/bin/python" -m startle_models.objects.train "$@" --out "$out"); }

stage films --chunks "$chunks"
stage encoder --minutes "$minutes"
stage known --chunks "$chunks"
stage first --minutes "$((minutes * 2 / 3))"
stage perceive --chunks "$chunks" ${FOOTAGE:+--footage "$FOOTAGE"}
stage predictor --minutes "$((minutes * 2 / 3))"
