#!/usr/bin/env bash
# A screenshot of every page and plot in reports/gallery/, to look at before a release.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d) out=reports/gallery
trap 'rm -rf "$work"' EXIT
startle=target/release/startle
sample() { echo "samples/$1_possible.mp4 samples/$1_impossible.mp4"; }

# shellcheck disable=SC2046
"$startle" analyze --quiet $(sample colour_0) $(sample vanish_0) $(sample teleport_1) $(sample stop_0) -o "$work/run"
# shellcheck disable=SC2046
"$startle" analyze --quiet --max-false-alarms 6/hour $(sample colour_0) $(sample vanish_0) $(sample teleport_1) -o "$work/strict"
# shellcheck disable=SC2046
"$startle" rank --quiet $(sample colour_0) -o "$work/rank" >/dev/null
(cd "$work" && "$OLDPWD/$startle" compare run strict -o compare >/dev/null 2>&1)
node tests/browser/gallery.mjs "$out" \
    report="$work/run/colour_0_impossible/report.html" \
    summary="$work/run/index.html" ranking="$work/rank/ranking.html" compare="$work/compare/compare.html" \
    evaluation=reports/benchmark/evaluation.html
cp "$work/run/colour_0_impossible/surprise.png" "$out/surprise.png"
ls -l "$out"
