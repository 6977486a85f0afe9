#!/usr/bin/env python3
"""The GPU check: everything that needs a GPU, in one run that needs no network.

    .ci/gpu_check.py pack FOLDER [--bundle DIR ...] [--runtime DIR] [--part-mb 50]
    python3 FOLDER/gpu_check.py run FOLDER OUT [--device cuda]

`pack` puts the release program, the libraries that it links (but for the C library), ONNX Runtime (with its CUDA provider
when the folder of `pip install onnxruntime-gpu` is given as --runtime), the bundles and a sample into FOLDER: each file
compressed and cut into parts, so that they can travel one by one. `run`, on the machine with the GPU, puts them together
again and leaves OUT/gpu.json: what `startle doctor` says, each bundle's self-test on the device, `models bench` there and on
the CPU, and a whole file on both: the largest difference of its curve relative to the CPU's mean, and the rank correlation;
the same file decoded by NVDEC, or why it can't be (no fault: containers are often given no video unit).
Exits with 1 when a self-test fails, when the curve of an fp32 bundle differs by more than 1e-3, or when the order of the
moments of another precision is less alike than 0.999 (Spearman). Python's standard library is enough for both.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# These belong to the machine, not to us.
SYSTEM = re.compile(r"^(ld-linux|libc|libm|libdl|librt|libpthread|libresolv)[.-]")
LIMIT_FP32, LIMIT_RANK = 1e-3, 0.999


def libraries(program: Path) -> list[Path]:
    lines = subprocess.run(["ldd", str(program)], check=True, capture_output=True, text=True).stdout.splitlines()
    found = [Path(m.group(1)) for line in lines if (m := re.search(r"=> (/\S+)", line))]
    return [path for path in found if not SYSTEM.match(path.name)]


def put(source: Path, name: str, folder: Path, part: int) -> None:
    """One file, compressed, in parts of `part` bytes."""
    target = folder / "parts" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    data = lzma.compress(source.read_bytes(), preset=6)
    for number in range(max(1, -(-len(data) // part))):
        target.with_name(f"{target.name}.xz.{number:03}").write_bytes(data[number * part : (number + 1) * part])


def pack(options: argparse.Namespace) -> int:
    program = ROOT / "target/release/startle"
    if not program.exists():
        sys.exit("there is no release program: run `make build` first")
    part, folder = options.part_mb * 1_000_000, options.folder
    if folder.exists() and any(folder.iterdir()):
        sys.exit(f"{folder} is not empty")
    put(program, "bin/startle", folder, part)
    for library in libraries(program):
        put(library.resolve(), f"lib/{library.name}", folder, part)
    for library in sorted(options.runtime.glob("lib*.so*")):
        if not library.is_symlink():
            put(library, f"ort/{library.name}", folder, part)
    for bundle in options.bundle:
        for file in sorted(path for path in bundle.rglob("*") if path.is_file()):
            put(file, f"models/{bundle.name}/{file.relative_to(bundle)}", folder, part)
    put(options.sample, f"sample{options.sample.suffix}", folder, part)
    shutil.copy(Path(__file__), folder / "gpu_check.py")
    sizes = [path.stat().st_size for path in folder.rglob("*.xz.*")]
    print(f"{folder}: {len(sizes)} parts, {sum(sizes) / 1e6:.0f} MB, the largest {max(sizes) / 1e6:.1f} MB")
    return 0


def unpack(folder: Path, work: Path) -> None:
    for first in sorted((folder / "parts").rglob("*.xz.000")):
        name = first.relative_to(folder / "parts").with_suffix("").with_suffix("")
        data = b"".join(path.read_bytes() for path in sorted(first.parent.glob(f"{first.with_suffix('').name}.*")))
        target = work / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(lzma.decompress(data))
    (work / "bin/startle").chmod(0o755)


def ranks(values: list[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    out = [0.0] * len(values)
    for rank, index in enumerate(order):
        out[index] = float(rank)
    return out


def spearman(a: list[float], b: list[float]) -> float:
    ra, rb = ranks(a), ranks(b)
    mean = (len(ra) - 1) / 2
    top = sum((x - mean) * (y - mean) for x, y in zip(ra, rb, strict=True))
    return top / sum((x - mean) ** 2 for x in ra) if len(ra) > 1 else 1.0


def curve_of(report: Path) -> tuple[list[float], str]:
    """The raw curve in a report folder, and the precision of its model."""
    result = json.loads((report / "result.json").read_text())
    return [point["raw"] for point in result["curve"]], result["model"]["precision"]


def max_rel(a: list[float], b: list[float]) -> float | None:
    """The largest difference as a part of the first's mean; None of nothing."""
    mean = sum(a) / max(1, len(a))
    return max((abs(x - y) / mean for x, y in zip(a, b, strict=True)), default=None)


def run(options: argparse.Namespace) -> int:
    work = options.out / "work"
    unpack(options.folder, work)
    runtime = next((path for path in sorted((work / "ort").iterdir()) if path.name.startswith("libonnxruntime.so")), None)
    environment = os.environ | {"LD_LIBRARY_PATH": f"{work / 'lib'}:{work / 'ort'}:{os.environ.get('LD_LIBRARY_PATH', '')}"}
    environment |= {"ORT_DYLIB_PATH": str(runtime), "STARTLE_MODELS": str(work / "models")}
    faults: list[str] = []

    def startle(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(work / "bin/startle"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=work, check=False)

    def ask(what: str, *arguments: str) -> str | None:
        done = startle(*arguments)
        if done.returncode != 0:
            faults.append(f"{what}: {done.stderr.strip() or done.stdout.strip()}")
            return None
        return done.stdout

    smi = shutil.which("nvidia-smi")
    query = [smi, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"] if smi else None
    gpu = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip() if query else None
    report: dict = {"machine": platform.processor() or platform.machine(), "gpu": gpu, "device": options.device, "bundles": {}}
    report["doctor"] = startle("doctor").stdout.splitlines()
    sample = next(work.glob("sample.*"))
    for bundle in sorted(path.name for path in (work / "models").iterdir()):
        entry: dict = {"verify": ask(f"{bundle}: self-test", "models", "verify", bundle, "--device", options.device)}
        curves, precision = {}, ""
        for device in dict.fromkeys(("cpu", options.device)):
            bench = ask(f"{bundle}: bench on {device}", "models", "bench", bundle, "--device", device, "--json", "--seconds", "2")
            entry[f"bench_{device}"] = json.loads(bench) if bench else None
            out = options.out / f"{bundle}-{device}"
            begun = time.perf_counter()
            arguments = ("--model", bundle, "--device", device, "--out", str(out.resolve()), "--quiet")
            ask(f"{bundle}: a file on {device}", "analyze", str(sample.resolve()), *arguments)
            entry[f"analyze_s_{device}"] = time.perf_counter() - begun
            if (out / "result.json").exists():
                curves[device], precision = curve_of(out)
        if len(curves) == 2 or options.device == "cpu":
            a, b = curves.get("cpu", []), curves.get(options.device, [])
            entry["curve_max_rel"] = max_rel(a, b)
            entry["curve_spearman"] = spearman(a, b)
            exact = precision == "fp32" and "bf16" not in options.device
            if exact and not (entry["curve_max_rel"] is not None and entry["curve_max_rel"] <= LIMIT_FP32):
                faults.append(f"{bundle}: the curve differs by {entry['curve_max_rel']}, at most {LIMIT_FP32}")
            if entry["curve_spearman"] < LIMIT_RANK:
                faults.append(f"{bundle}: rank correlation {entry['curve_spearman']}, at least {LIMIT_RANK}")
        entry["precision"] = precision
        report["bundles"][bundle] = entry
    if options.device != "cpu":
        out, begun = options.out / "nvdec", time.perf_counter()
        first = min(report["bundles"])
        arguments = ("--model", first, "--device", options.device, "--decode", "nvdec", "--out", str(out.resolve()), "--quiet")
        done = startle("analyze", str(sample.resolve()), *arguments)
        report["nvdec"] = {"seconds": time.perf_counter() - begun, "error": done.stderr.strip() if done.returncode else None}
        usual = options.out / f"{first}-{options.device}"
        if done.returncode == 0 and (usual / "result.json").exists():
            report["nvdec"]["curve_max_rel"] = max_rel(curve_of(usual)[0], curve_of(out)[0])
    report["faults"] = faults
    (options.out / "gpu.json").write_text(json.dumps(report, indent=1) + "\n")
    shutil.rmtree(work)
    print(json.dumps({"faults": faults, "out": str(options.out / "gpu.json")}))
    return 1 if faults else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("folder", type=Path)
    packing.add_argument("--bundle", type=Path, nargs="+", default=[ROOT / "models/startle-o1", ROOT / "models/startle-s1", ROOT / "models/startle-s1-random"])
    packing.add_argument("--runtime", type=Path, default=next(iter(sorted((ROOT / ".cache").glob("onnxruntime-*"))), ROOT / ".cache"))
    packing.add_argument("--sample", type=Path, default=ROOT / "samples/colour_0_impossible.mp4")
    packing.add_argument("--part-mb", type=int, default=50)
    running = commands.add_parser("run")
    running.add_argument("folder", type=Path)
    running.add_argument("out", type=Path)
    running.add_argument("--device", default="cuda")
    options = parser.parse_args()
    if options.command == "pack":
        return pack(options)
    options.out.mkdir(parents=True, exist_ok=True)
    return run(options)


if __name__ == "__main__":
    sys.exit(main())
