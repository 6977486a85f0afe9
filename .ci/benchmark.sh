#!/usr/bin/env bash
# Generates the benchmark's videos (once; models/checkpoints/benchmark) and evaluates the bundled model on them.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD pairs=${PAIRS:-50} model=${MODEL:-models/startle-o1}
videos=models/checkpoints/benchmark_o1 lawful=models/checkpoints/lawful_o2
samples() { (cd models/python && "$root/.venv/bin/python" -m startle_models.samples "$@"); }

[ -e "$lawful/labels.jsonl" ] || samples --lawful "${LAWFUL:-240}" --wide --size 320x180 --fps 10 --seed 60000 --out "$root/$lawful"
samples --benchmark "$pairs" --size 192x108 --fps 10 --out "$root/$videos"
# A recurrent model of pixels stands beside as a control, where `make control` has made it.
beside=()
[ -e models/startle-rssm/bundle.toml ] && beside=(--beside models/startle-rssm)
# Even lawful videos teach every scorer its footing, as they taught the bundle's baseline.
target/release/startle evaluate "$videos" --layout pairs --model "$model" --normal "$lawful/lawful_???[02468].mp4" \
    "${beside[@]}" --jobs "$(nproc)" --resume --max-false-alarms 6/hour --out reports/benchmark
