#!/usr/bin/env bash
# Trained weights (models/checkpoints/o2) to the bundles models/startle-o1 and its control: export, calibrate, seal.
#   FOOTAGE=DIR   real shots of fixed cameras with a manifest.csv, for the baseline that is called natural
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD checkpoint=$PWD/models/checkpoints/o2 lawful=$PWD/models/checkpoints/lawful_o2
tool() { (cd models/python && OMP_NUM_THREADS=2 "$root/.venv/bin/python" -m "startle_models.$@"); }

[ -e "$lawful/labels.jsonl" ] ||
    tool samples --lawful "${LAWFUL:-240}" --wide --size 320x180 --fps 10 --seed 60000 --out "$lawful"
tool objects.bundle "$checkpoint" --out "$root/models/startle-o1" --notes "$root/models/python/cards/startle-o1.md"
tool objects.bundle "$checkpoint" --out "$root/models/startle-o1-random" --name startle-o1-random --control \
    --description "The encoder of startle-o1 with an untrained predictor: a control, it does not know how things move."
# Even videos calibrate; odd ones are kept back to measure false alarms.
for bundle in models/startle-o1 models/startle-o1-random; do
    target/release/startle calibrate "$lawful"/lawful_???[02468].mp4 --model "$bundle" -o "$bundle/baseline.json"
    tool objects_bundle seal "$root/$bundle"
done
if [ -n "${FOOTAGE:-}" ]; then
    mapfile -t shots < <(tool objects.natural "$(realpath "$FOOTAGE")")
    target/release/startle calibrate "${shots[@]}" --model models/startle-o1 -o models/startle-o1/baseline-natural.json
    tool objects_bundle seal "$root/models/startle-o1"
fi
target/release/startle models verify startle-o1
