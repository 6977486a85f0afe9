"""What a hundred thousand videos cost on many machines: measured here with one and two workers, simulated to a thousand nodes.

    python3 benches/scale.py measure   analyzes samples with one worker and with two; writes reports/benchmarks/scale.json
    python3 benches/scale.py           simulates with what was measured; writes reports/benchmarks/scale.md

The simulation takes videos in the order of their shards, each with a length and costs drawn from the measured ones. What is
assumed of a data centre stands in `CENTRE`; what was measured stands in scale.json. Nothing but Python is needed.
"""

import argparse
import heapq
import json
import pathlib
import random
import resource
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
OUT = ROOT / "reports/benchmarks"
CENTRE = {
    "videos": 100_000,
    "minutes of each": 1.0,
    "MB of each": 6.0,
    "cores of a node": 2,
    "seconds until a pod runs": 20.0,
    "MB/s of a node's network": 125.0,
    "MB/s of the storage": 5000.0,
    "questions/s that the storage answers (stat, open)": 20_000.0,
    "lost nodes per node and hour": 0.01,
}
TEXT = """# Many videos, many machines

`python3 benches/scale.py measure` measures on this machine and simulates; without `measure` it simulates again with what lies
in `scale.json`. Two cores of an AMD EPYC, startle-o1, {{count}} samples ({{seconds}} s of 640×360 video), while other work took
most of the machine (load {{load}}): wall time says little, processor time is what it costs.

| workers | wall, s | processor, s | videos/hour of wall | videos/hour of a core |
|---|---|---|---|---|
{{rows}}

Two workers side by side took {{more}} processor time than one. A worker starts in {{start}} s (on the busy machine), a report takes {{report}} MB on
the disk.

## A hundred thousand inputs on one machine

`startle analyze FOLDER --model persistence` over 100,000 files, on a local disk, one process (`/usr/bin/time`; wall time under
the same load):

| what | before | now |
|---|---|---|
| listed and planned, for one of many shards | 5.4 s wall, 402 MB | 1.9 s wall, 1.1 s of a processor, 80 MB |
| `--resume`, all done: known from the ledger | – | 7.4 s wall, 3.0 s, 158 MB |
| `--resume`, all done: hashed and read, without a ledger | 47 s wall, 17 s, 597 MB | 23 s wall, 9.9 s, 595 MB |
| of that the summary of all: 100,000 results read, three files written | each shard | 12 s wall, 7.2 s, 622 MB; by the last shard |
| all inputs empty: each opened, refused, told and written down | | 146 s wall, 61 s, 503 MB |

The videos were a few bytes and the results 4 KB (three seconds), so reading them is what is cheap here; with real videos what
the ledger saves is their hashes. (Measured before the summary's JSON was written without a copy in memory, and before a
listing asked once in place of three times about each file.)

## A data centre on paper

| assumed | |
|---|---|
{{assumed}}

A video of a minute costs {{per_video}} s of a processor, {{share}} of it decoding. The costs of each are drawn from those
measured; nodes are lost, and what is done then is known from the ledger. Shares are of the time from the start to the summary.

Every shard reads a folder (`startle analyze /videos --shard k+1/n`):

{{folder}}

Every shard reads a list (`--list videos.txt`), and asks about a video only when it is its turn:

{{list}}

**What saturates first:** the storage's answers to questions, not its bytes: with n shards each file of a folder is asked about n
times, and from about {{listing}} nodes on that takes longer than the work. With a list it does not happen; then start-up and the
uneven ends of the shards (\"tail\": the slowest of a thousand) cost most. Bytes would be the limit from {{storage}} nodes on.
The summary, which is made once, by one node, would take as long as the work from {{merge}} nodes on. Inference, not decoding, is
what the processors' time goes to, at every size.

Not in it: several shards on one disk of spinning rust, GPUs, prices. Videos per core hour is the figure to multiply.
"""

NODES = [1, 2, 10, 50, 100, 200, 500, 1000]


def run(videos, jobs, threads, out):
    """Wall and processor seconds of the program over the videos, and the timings of each."""
    program = [ROOT / "target/release/startle", "analyze", *videos, "--quiet", "--out", out]
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*program, "--jobs", str(jobs), "--threads", str(threads)], check=True, cwd=ROOT)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    results = [json.loads(path.read_text()) for path in sorted(out.rglob("result.json"))]
    timings = [result["timings"] | {"video_s": result["input"]["duration_s"]} for result in results]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    report = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / len(results)
    return {"wall_s": wall, "cpu_s": cpu, "report_bytes": report, "videos": timings}


def measure(count):
    videos = sorted((ROOT / "samples").glob("*.mp4"))[:: max(1, 102 // count)][:count]
    measured = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        run(videos[:2], 1, 1, folder / "warm")
        for jobs in (1, 2):
            measured[f"{jobs} workers"] = run(videos, jobs, jobs, folder / str(jobs))
        begun = time.perf_counter()
        run(videos[:1], 1, 1, folder / "one")
        one = time.perf_counter() - begun
    measured["start_s"] = max(0.0, one - measured["1 workers"]["wall_s"] / len(videos))
    measured["load"] = pathlib.Path("/proc/loadavg").read_text().split()[0]
    # With a hundred thousand inputs on a local disk (see scale.md): seconds of a processor.
    measured["plan_s_per_100k"] = 1.1
    measured["summary_s_per_100k"] = 7.2
    (OUT / "scale.json").write_text(json.dumps(measured, indent=1) + "\n")


def costs(measured):
    """Processor seconds of decoding and of inference for a second of video, a pair for each measured video: the share of
    each thread's busy time in that run's processor time, so that other work on the machine does not count."""
    one = measured["1 workers"]
    busy = sum(v["decode_s"] + v["score_s"] for v in one["videos"])
    scale = one["cpu_s"] / busy
    return [(v["decode_s"] * scale / v["video_s"], v["score_s"] * scale / v["video_s"]) for v in one["videos"]]


def simulate(nodes, measured, centre, rng, one_plan=False):
    """Seconds from the start to the summary, and where they went. `one_plan`: shards read a list instead of the folder."""
    count, cores = centre["videos"], centre["cores of a node"]
    pairs, video_s = costs(measured), centre["minutes of each"] * 60
    # Each shard lists all videos: a question for each, answered one after the other by one storage.
    questions = nodes * (1 if one_plan else count)
    listing = max(measured["plan_s_per_100k"] * count / 1e5, questions / centre["questions/s that the storage answers (stat, open)"])
    begin = centre["seconds until a pod runs"] + listing + measured["start_s"]
    # All nodes draw on one storage, each over its own network.
    speed = min(centre["MB/s of a node's network"], centre["MB/s of the storage"] / nodes)
    read = centre["MB of each"] / speed
    decode = inference = reading = 0.0
    ends, lost = [], 0
    for node in range(nodes):
        own = range(node, count, nodes)
        workers = [begin] * cores
        for _ in own:
            now = heapq.heappop(workers)
            d, i = pairs[rng.randrange(len(pairs))]
            work = (d + i) * video_s
            # Reading goes on while the processor works, but for what it can't keep up with; workers share the network.
            took = max(work, read * cores)
            if rng.random() < centre["lost nodes per node and hour"] * took / 3600:
                # The pod comes again; what is done is known, the video at hand is begun anew.
                lost += 1
                now += took / 2 + centre["seconds until a pod runs"] + measured["start_s"]
            decode, inference, reading = decode + d * video_s, inference + i * video_s, reading + took - work
            heapq.heappush(workers, now + took)
        ends.append(max(workers))
    summary = measured["summary_s_per_100k"] * count / 1e5 + count / centre["questions/s that the storage answers (stat, open)"]
    total = max(ends) + summary
    spans = {"start": begin - listing, "listing": listing, "work": sum(ends) / nodes - begin}
    spans |= {"tail": max(ends) - sum(ends) / nodes, "summary": summary}
    return {"total_s": total, "lost": lost, "wait": reading / (decode + inference), "decode": decode, "inference": inference, **spans}


def table(measured, centre, one_plan):
    lines = [
        "| nodes | hours | videos/hour | videos per core hour | start | listing | work | waiting for storage | tail | summary | lost nodes |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for nodes in NODES:
        s = simulate(nodes, measured, centre, random.Random(nodes), one_plan)
        hours = s["total_s"] / 3600
        rate = centre["videos"] / hours
        shares = [f"{s[name] / s['total_s']:.1%}" for name in ("start", "listing", "work")]
        rest = [f"{s['wait'] / (1 + s['wait']):.1%}", *(f"{s[name] / s['total_s']:.1%}" for name in ("tail", "summary"))]
        core = rate / nodes / centre["cores of a node"]
        lines.append(f"| {nodes} | {hours:.2f} | {rate:,.0f} | {core:.0f} | {' | '.join(shares + rest)} | {s['lost']} |")
    return "\n".join(lines)


def limits(measured, centre):
    """Nodes at which each shared thing alone is used up."""
    pairs = costs(measured)
    per_video = sum(d + i for d, i in pairs) / len(pairs) * centre["minutes of each"] * 60
    per_node = centre["cores of a node"] / per_video
    storage = centre["MB/s of the storage"] / (per_node * centre["MB of each"])
    work = centre["videos"] * per_video / centre["cores of a node"]
    asked = centre["questions/s that the storage answers (stat, open)"]
    listing = (work * asked / centre["videos"]) ** 0.5
    merge = work / (measured["summary_s_per_100k"] * centre["videos"] / 1e5 + centre["videos"] / asked)
    return per_video, storage, listing, merge


def report(measured):
    centre = CENTRE
    one, two = measured["1 workers"], measured["2 workers"]
    count = len(one["videos"])
    seconds = sum(v["video_s"] for v in one["videos"])
    pairs = costs(measured)
    mean = lambda values: sum(values) / len(pairs)  # noqa: E731
    per_video, storage, listing, merge = limits(measured, centre)
    share = mean([d for d, _ in pairs]) / mean([d + i for d, i in pairs])
    rows = "\n".join(
        f"| {jobs} | {r['wall_s']:.0f} | {r['cpu_s']:.0f} | {count / r['wall_s'] * 3600:.0f} | {count / r['cpu_s'] * 3600:.0f} |"
        for jobs, r in ((1, one), (2, two))
    )
    assumed = "\n".join(f"| {name} | {value:,g} |" for name, value in centre.items())
    text = TEXT
    values = {
        "more": f"{abs(two['cpu_s'] / one['cpu_s'] - 1):.0%} {'more' if two['cpu_s'] > one['cpu_s'] else 'less'}", "count": count, "seconds": f"{seconds:.0f}", "load": measured["load"], "rows": rows, "assumed": assumed, "per_video": f"{per_video:.1f}",
        "share": f"{share:.0%}", "start": f"{measured['start_s']:.1f}", "report": f"{one['report_bytes'] / 1e6:.1f}",
        "folder": table(measured, centre, False), "list": table(measured, centre, True),
        "storage": f"{storage:,.0f}", "listing": f"{listing:,.0f}", "merge": f"{merge:,.0f}",
    }  # fmt: skip
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", str(value))
    (OUT / "scale.md").write_text(text)
    print(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["measure"])
    parser.add_argument("--videos", type=int, default=24, help="samples that are measured")
    options = parser.parse_args()
    if options.what == "measure":
        measure(options.videos)
    report(json.loads((OUT / "scale.json").read_text()))


if __name__ == "__main__":
    main()
