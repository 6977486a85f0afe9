#!/usr/bin/env bash
# Generates the benchmark's videos (once; models/checkpoints/benchmark) and evaluates the bundled model on them.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD pairs=${PAIRS:-50} model=${MODEL:-models/startle-s1}
videos=models/checkpoints/benchmark lawful=models/checkpoints/lawful
samples() { (cd models/python && "$root/.venv/bin/python" -m startle_models.samples "$@"); }

[ -e "$lawful/labels.jsonl" ] || samples --lawful "${LAWFUL:-200}" --size 320x180 --fps 10 --seed 40000 --out "$root/$lawful"
samples --benchmark "$pairs" --size 128x72 --fps 10 --out "$root/$videos"
# Even lawful videos teach every scorer its footing, as they taught the bundle's baseline.
target/release/startle evaluate "$videos" --layout pairs --model "$model" --normal "$lawful/lawful_???[02468].mp4" \
    --jobs "$(nproc)" --resume --max-false-alarms 6/hour --out reports/benchmark
