"""A hundred thousand results: how long `startle report DIR` takes, its memory, the page's size, and how quick the page is.

python benches/many.py [--count 100000] [--startle target/release/startle] writes reports/benchmarks/many.md
"""

import argparse
import json
import os
import pathlib
import random
import resource
import subprocess
import tempfile
import time


VARIANTS = 40


def variants(template, rng):
    """Results like the template's as texts, with curves and events of their own; NAME and HASH are to be put in."""
    for _ in range(VARIANTS):
        rise = rng.lognormvariate(0, 0.4)
        one = dict(template, input=dict(template["input"], path="NAME", sha256="HASH"))
        one["curve"] = [dict(p, surprise=p["surprise"] * rise) for p in template["curve"]]
        events = template["events"][:1] if rng.random() < 0.15 else []
        one["events"] = [dict(e, thumbnail="", score=e["score"] * rise) for e in events]
        yield json.dumps(one)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--count", type=int, default=100_000)
    p.add_argument("--startle", default="target/release/startle")
    p.add_argument("--template", default="reports/example/result.json")
    p.add_argument("--out", type=pathlib.Path, default=pathlib.Path("reports/benchmarks"))
    a = p.parse_args()
    startle, rng = os.path.abspath(a.startle), random.Random(1)
    template = json.loads(pathlib.Path(a.template).read_text())
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        texts = list(variants(template, rng))
        for index in range(a.count):
            text = texts[index % VARIANTS].replace("NAME", f"footage/{index % 97:02d}/clip{index}.mp4")
            one = root / f"{index // 1000:03d}" / f"clip{index}"
            one.mkdir(parents=True)
            (one / "result.json").write_text(text.replace("HASH", f"{index:064x}"))
        size = sum(f.stat().st_size for f in root.glob("*/*/result.json"))
        start = time.perf_counter()
        subprocess.run([startle, "report", root], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        took = time.perf_counter() - start
        rss = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        page = [(root / name).stat().st_size / 1e6 for name in ("index.html", "index.data.js", "summary.json")]
        script = pathlib.Path(__file__).parent.parent / "tests/browser/index.mjs"
        told = subprocess.run(["node", script, root / "index.html", str(a.count)], check=True, capture_output=True, text=True)
    quick = json.loads(told.stdout)
    lines = [
        f"# {a.count:,} results on one page",
        "",
        f"`python benches/many.py --count {a.count}`, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at its end. Results of"
        f" {size / a.count / 1000:.0f} kB each, made from one of the demo's.",
        "",
        "| what | |",
        "|---|---|",
        f"| `startle report DIR` | {took:.1f} s, {rss:.0f} MB |",
        f"| index.html, index.data.js, summary.json | {page[0]:.2f}, {page[1]:.1f}, {page[2]:.1f} MB |",
        f"| the page opens in headless Chromium | {quick['open_ms'] / 1000:.1f} s, {quick['heap_mb']:.0f} MB of script heap |",
        f"| a letter in the search box, worst of {len(quick['find_ms'])} | {max(quick['find_ms']):.0f} ms |",
        f"| a column sorted, worst of {len(quick['sort_ms'])} | {max(quick['sort_ms']):.0f} ms |",
        f"| rows in the document while scrolling, most | {quick['rows']} |",
    ]
    (a.out / "many.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
