#!/usr/bin/env bash
# Trained weights (models/checkpoints/s0) to the bundle models/startle-s0: export, calibrate on lawful videos, seal.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD checkpoint=$PWD/models/checkpoints/s0 bundle=$PWD/models/startle-s0
lawful=$PWD/models/checkpoints/lawful
tool() { (cd models/python && "$root/.venv/bin/python" -m "startle_models.$@"); }

[ -e "$lawful/labels.jsonl" ] || tool samples --lawful "${LAWFUL:-240}" --size 320x180 --seed 40000 --out "$lawful"
tool export "$checkpoint/hf" --target-source "$checkpoint/hf_target" --out "$bundle" --name startle-s0 --force \
    --description "A first, modest V-JEPA of our own: knows simple scenes of balls and boxes." \
    --license "MIT OR Apache-2.0" --fps 10 --contexts 6,8,12 --horizon 2 --stride 2 --resize squash \
    --mean 0.5,0.5,0.5 --std 0.25,0.25,0.25 --notes "$root/models/python/cards/startle-s0.md"
mkdir -p "$bundle/weights/target"
cp "$checkpoint"/hf/{config.json,model.safetensors} "$bundle/weights/"
cp "$checkpoint"/hf_target/{config.json,model.safetensors} "$bundle/weights/target/"
cp "$checkpoint"/{training.json,log.csv,log.png} "$bundle/weights/"
# Even videos calibrate; odd ones are kept back to measure false alarms.
target/release/startle calibrate "$lawful"/lawful_???[02468].mp4 --model "$bundle" -o "$bundle/baseline.json"
tool bundle seal "$bundle"
target/release/startle models verify startle-s0
