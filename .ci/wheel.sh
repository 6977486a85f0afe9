#!/usr/bin/env bash
# The Python package.
#   .ci/wheel.sh build   a wheel for use, in target/wheels
#   .ci/wheel.sh test    one of the dev profile, installed into a fresh environment and tested there; PYTEST_ARGS= more for pytest
# Works offline once `.ci/setup.sh tests` has filled .cache/wheels; without it a build fetches maturin alone.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD wheels=$PWD/.cache/wheels tools=$PWD/target/python

say() { printf '[wheel] %s\n' "$*" >&2; }

# environment FOLDER REQUIREMENT…: a fresh one with these.
environment() {
    local folder=$1
    shift
    rm -rf "$folder"
    python3 -m venv "$folder"
    local index=(--no-index)
    compgen -G "$wheels/maturin-*.whl" >/dev/null || index=()
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile "${index[@]}" --find-links "$wheels" "$@"
}

maturin=$tools/build/bin/maturin
[ "$("$maturin" --version 2>/dev/null)" = "maturin $(sed -n 's/^maturin==//p' src/python/requirements.txt)" ] ||
    environment "$tools/build" "$(grep '^maturin==' src/python/requirements.txt)"

case "${1:-}" in
build)
    "$maturin" build --release --locked --out target/wheels
    ;;
test)
    rm -rf "$tools/wheel"
    "$maturin" build --profile dev --locked --out "$tools/wheel"
    ray=()
    [ -e "$wheels/ray.txt" ] && say "Ray can't be had here: its tests are skipped" || ray=(-r src/python/requirements-ray.txt)
    environment "$tools/test" -r src/python/requirements.txt "${ray[@]}" "$tools"/wheel/startle-*.whl
    cd "$tools"
    test/bin/python -m pytest -q -p no:cacheprovider "$root/src/python/tests" ${PYTEST_ARGS:-}
    ;;
*)
    say "usage: .ci/wheel.sh build|test"
    exit 2
    ;;
esac
