#!/usr/bin/env bash
# Trains the bundled model stage by stage in models/checkpoints/o1; each stage goes on where it was stopped.
#   MINUTES=60    for the encoder; the predictor takes two thirds of that twice (on known clips, then on seen ones)
#   FOOTAGE=DIR   real shots of fixed cameras with a manifest.csv, to train on what is seen in them too
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD out=$PWD/models/checkpoints/o1 minutes=${MINUTES:-60}
# big buffers are kept instead of being given back to the system at every step
export MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=268435456 OMP_NUM_THREADS=1
stage() { (cd models/python && "$root/.venv/bin/python" -m startle_models.objects.train "$@" --out "$out"); }

stage encoder --minutes "$minutes"
stage known --chunks "${CHUNKS:-320}"
stage first --minutes "$((minutes * 2 / 3))"
stage perceive --chunks "${CHUNKS:-320}" ${FOOTAGE:+--footage "$FOOTAGE"}
stage predictor --minutes "$((minutes * 2 / 3))"
