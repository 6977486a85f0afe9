#!/usr/bin/env bash
# Trains models/startle-rssm, a control, in models/checkpoints/rssm on the clips of the bundled model; goes on where it was.
#   MINUTES=140   of one processor core, in all
#   FILMS=DIR     videos of those clips, 16 a file
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD out=$PWD/models/checkpoints/rssm lawful=$PWD/models/checkpoints/lawful_o2
export MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184 OMP_NUM_THREADS=1
tool() { (cd models/python && "$root/.venv/bin/python" -m "startle_models.$@"); }

tool objects.train films --out "$root/models/checkpoints/o2" --chunks 240
tool rssm.train --out "$out" --films "${FILMS:-$root/models/checkpoints/o2/films}" --minutes "${MINUTES:-140}"
[ -e "$lawful/labels.jsonl" ] ||
    tool samples --lawful "${LAWFUL:-240}" --wide --size 320x180 --fps 10 --seed 60000 --out "$lawful"
tool rssm.bundle "$out" --out "$root/models/startle-rssm" --notes "$root/models/python/cards/startle-rssm.md"
target/release/startle calibrate "$lawful"/lawful_???[02468].mp4 --model models/startle-rssm -o models/startle-rssm/baseline.json
tool objects_bundle seal "$root/models/startle-rssm"
