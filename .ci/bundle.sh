#!/usr/bin/env bash
# Trained weights (models/checkpoints/s1) to the bundle models/startle-s1: export, calibrate on lawful videos, seal.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD checkpoint=$PWD/models/checkpoints/s1 bundle=$PWD/models/startle-s1
random=$PWD/models/startle-s1-random lawful=$PWD/models/checkpoints/lawful
tool() { (cd models/python && "$root/.venv/bin/python" -m "startle_models.$@"); }
clip=(--frames 22 --fps 10 --contexts 8,20 --horizon 1 --stride 2 --resize squash --mean 0.5,0.5,0.5 --std 0.25,0.25,0.25)

[ -e "$lawful/labels.jsonl" ] || tool samples --lawful "${LAWFUL:-200}" --size 320x180 --fps 10 --seed 40000 --out "$lawful"
tool export "$checkpoint/hf" --target-source "$checkpoint/hf_target" --out "$bundle" --name startle-s1 --force \
    --description "A small V-JEPA of our own, trained on generated scenes of simple objects." \
    --license "MIT OR Apache-2.0" "${clip[@]}" --notes "$root/models/python/cards/startle-s1.md"
mkdir -p "$bundle/weights/target"
cp "$checkpoint"/hf/{config.json,model.safetensors} "$bundle/weights/"
cp "$checkpoint"/hf_target/{config.json,model.safetensors} "$bundle/weights/target/"
cp "$checkpoint"/{training.json,log.csv,log.png} "$bundle/weights/"
tool export "$checkpoint/hf_random" --target-source "$checkpoint/hf_target" --out "$random" --name startle-s1-random \
    --force --precision fp16 --license "MIT OR Apache-2.0" "${clip[@]}" \
    --description "The shape of startle-s1 with random weights: a control, it knows nothing."
# Even videos calibrate; odd ones are kept back to measure false alarms.
for each in "$bundle" "$random"; do
    target/release/startle calibrate "$lawful"/lawful_???[02468].mp4 --model "$each" -o "$each/baseline.json"
    tool bundle seal "$each"
done
target/release/startle models verify startle-s1
