"""Soak test of `startle monitor`: eight real-time streams with random faults, for a bounded time.

    make soak          (or: python benches/soak.py --minutes 10 --out reports/benchmarks)

Six streams are MPEG-TS over UDP, two are MJPEG over HTTP, all of lawful footage (the possible halves of the samples, over
and over), sent by `ffmpeg` on this machine at their own pace. Every few seconds one of them suffers: its sender dies and
comes back, is stopped for longer than the stall time, sends garbage, or comes back with another picture size.

Meanwhile the dashboard's page is open (one client of its event stream), and whoever reads standard output stops reading
for the middle third: the pipe fills, then the program's own queue for it (a thousand lines), and what does not fit is lost
to this reader alone. A ninth camera, a film of a tenth of a second that is played over and over, has enough to tell for that
(and too little to be scored). The same lines go to `--alerts`; in the end every line there must have come through the pipe or be
counted as lost, and the cameras must have been judged on meanwhile.

Reports memory over time, the latency from a frame's arrival to its slot's verdict (p50, p99 from the program's own
histogram; also of the middle third alone), inference time, dropped clips, reconnects and alerts (all of them false). Exits
with 1 when the program died, when its memory grew by more than a tenth after the first third, when a camera gave less than
half of the frames of an undisturbed sender, when a line is missing that was not counted, when judging or the page's news
paused for more than a few seconds while nobody read, or when it did not end within five seconds of SIGTERM. Writes
`soak.json` and `soak.md`.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import platform
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
FPS = 30
FAULTS = ("dies", "stalls", "sends garbage", "changes size")
STALL_S = 5
# Longest pause of all cameras' verdicts, or of the page's news, that is none.
PAUSE_S = 5
VERDICTS = "startle_verdict_latency_seconds"


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(type=kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def prepare(folder: Path) -> dict[tuple[str, str], Path]:
    """Lawful footage as MPEG-TS and MJPEG, in two sizes, ready to be sent without encoding."""
    lawful = sorted((ROOT / "samples").glob("*_possible.mp4"))[:6]
    playlist = folder / "list.txt"
    playlist.write_text("".join(f"file '{sample}'\n" for sample in lawful))
    films = {}
    for size, scale in (("usual", "640:360"), ("other", "320:240")):
        for kind, codec in (("ts", "-c:v libx264 -preset veryfast -bf 0 -g 30"), ("mjpeg", "-c:v mjpeg -q:v 5")):
            path = folder / f"{size}.{'ts' if kind == 'ts' else 'avi'}"
            command = ["ffmpeg", "-y", "-loglevel", "error", "-f", "concat", "-safe", "0", "-i", str(playlist)]
            command += ["-vf", f"scale={scale},fps={FPS}", *codec.split(), "-pix_fmt", "yuvj420p" if kind == "mjpeg" else "yuv420p"]
            subprocess.run([*command, str(path)], check=True)
            films[kind, size] = path
    return films


def chatterer(folder: Path) -> Path:
    """A film that is over at once: played over and over it tells of its health some twenty times a second."""
    path = folder / "chatterer.avi"
    painted = ["-f", "lavfi", "-i", f"testsrc=duration=0.1:size=160x120:rate={FPS}", "-c:v", "mjpeg"]
    subprocess.run(["ffmpeg", "-y", "-loglevel", "error", *painted, str(path)], check=True)
    return path


class Camera:
    """One sender and its faults."""

    def __init__(self, index: int, films: dict[tuple[str, str], Path]) -> None:
        self.index, self.films = index, films
        self.kind = "mjpeg" if index % 4 == 3 else "ts"
        self.port = free_port(socket.SOCK_DGRAM if self.kind == "ts" else socket.SOCK_STREAM)
        self.size, self.sender = "usual", None
        self.url = f"udp://127.0.0.1:{self.port}" if self.kind == "ts" else f"http://127.0.0.1:{self.port}/{index}.mjpeg"
        self.start()

    def start(self) -> None:
        command = ["ffmpeg", "-loglevel", "quiet", "-nostdin", "-re", "-stream_loop", "-1"]
        command += ["-i", str(self.films[self.kind, self.size]), "-c", "copy"]
        if self.kind == "ts":
            command += ["-f", "mpegts", f"{self.url}?pkt_size=1316"]
        else:
            command += ["-f", "mpjpeg", "-listen", "1", self.url]
        self.sender = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        self.sender.kill()
        self.sender.wait()

    def suffer(self, fault: str) -> None:
        """Takes as long as the fault lasts."""
        if fault == "dies":
            self.stop()
            time.sleep(random.uniform(2, 8))
            self.start()
        elif fault == "stalls":
            self.sender.send_signal(signal.SIGSTOP)
            time.sleep(STALL_S + random.uniform(1, 4))
            self.sender.send_signal(signal.SIGCONT)
        elif fault == "sends garbage" and self.kind == "ts":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                for _ in range(60):
                    out.sendto(random.randbytes(1316), ("127.0.0.1", self.port))
                    time.sleep(0.05)
        else:
            self.stop()
            self.size = "other" if self.size == "usual" else "usual"
            self.start()

    def mend(self) -> None:
        """An MJPEG sender serves one client, then ends."""
        if self.sender.poll() is not None:
            self.start()


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def metrics(port: int) -> dict[str, float]:
    """Every sample of /metrics by its name with labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
        lines = reply.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line and line[0] != "#")}


def quantile(samples: dict[str, float], name: str, q: float) -> float:
    """Upper bound of the histogram's bucket that holds the quantile, over all cameras."""
    buckets: dict[float, float] = {}
    for key, value in samples.items():
        if key.startswith(f"{name}_bucket"):
            bound = float(key.split('le="')[1].split('"')[0].replace("+Inf", "inf"))
            buckets[bound] = buckets.get(bound, 0) + value
    total = max(buckets.values(), default=0)
    return next((bound for bound, count in sorted(buckets.items()) if total and count >= q * total), float("nan"))


def by_camera(samples: dict[str, float], name: str) -> list[float]:
    """Of the cameras that are watched for what they show."""
    return [value for key, value in samples.items() if key.split("{")[0] == name and "chatterer" not in key]


def total(samples: dict[str, float], name: str) -> float:
    return sum(by_camera(samples, name))


class Reader:
    """Reads standard output, but not while it is told not to."""

    def __init__(self, pipe: IO[str]) -> None:
        self.lines: list[str] = []
        self.reads = threading.Event()
        self.reads.set()
        self.thread = threading.Thread(target=self.run, args=(pipe,), daemon=True)
        self.thread.start()

    def run(self, pipe: IO[str]) -> None:
        for line in pipe:
            self.reads.wait()
            self.lines.append(line)


class Page:
    """The dashboard's page as far as the program sees it: a client of its event stream."""

    def __init__(self, port: int) -> None:
        self.port, self.news, self.pause, self.last = port, 0, 0.0, 0.0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while not self.last:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/stream", timeout=60) as stream:
                    self.last = time.monotonic()
                    for line in stream:
                        if line.startswith(b"event: moment"):
                            now = time.monotonic()
                            self.pause = max(self.pause, now - self.last) if self.news else 0.0
                            self.news, self.last = self.news + 1, now
            except OSError:
                time.sleep(0.2)

    def longest_pause(self) -> float:
        return max(self.pause, time.monotonic() - self.last) if self.news else float("inf")


class Words:
    """Standard error: what the program says of lines that were lost."""

    def __init__(self, pipe: IO[str]) -> None:
        self.lost, self.said = 0, []
        self.thread = threading.Thread(target=self.run, args=(pipe,), daemon=True)
        self.thread.start()

    def run(self, pipe: IO[str]) -> None:
        for line in pipe:
            self.said.append(line.strip())
            if found := re.search(r"standard output: goes on; (\d+) lines were lost", line):
                self.lost += int(found.group(1))


def soak(options: argparse.Namespace, folder: Path) -> dict:
    random.seed(options.seed)
    cameras = [Camera(index, prepared) for prepared in [prepare(folder)] for index in range(options.cameras)]
    port, state = free_port(), folder / "state"
    command = [options.program, "monitor", *(c.url for c in cameras), chatterer(folder), "--stall", str(STALL_S)]
    command += ["--realtime", "--loop", "--baseline", "adaptive"]
    command += ["--max-false-alarms", "1/hour", "--warm-up", str(options.warm_up), "--state", state]
    command += ["--listen", f"127.0.0.1:{port}", "--quiet"]
    command += ["--clips", folder / "clips", "--curve", folder / "curve"]
    command += ["--alerts", folder / "alerts.jsonl", "--alerts-size", "1000"]
    memory, faults = [], dict.fromkeys(FAULTS, 0)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    program = subprocess.Popen([str(part) for part in command], **pipes, text=True, cwd=ROOT)
    # The smallest pipe there is: some twenty lines fill it.
    fcntl.fcntl(program.stdout, fcntl.F_SETPIPE_SZ, 4096)
    reader, words, page = Reader(program.stdout), Words(program.stderr), Page(port)
    unread: list[dict[str, float]] = []
    begun, samples, next_fault = time.monotonic(), {}, 20.0
    busy: list[threading.Thread] = []
    try:
        while (passed := time.monotonic() - begun) < options.minutes * 60 and program.poll() is None:
            time.sleep(1)
            middle = options.minutes * 20 < passed < options.minutes * 40
            if middle == reader.reads.is_set():
                (reader.reads.clear if middle else reader.reads.set)()
                unread.append(metrics(port))
            if passed >= next_fault:
                next_fault = passed + random.uniform(3, 9)
                fault, camera = random.choice(FAULTS), random.choice(cameras)
                if not any(thread.name == camera.url and thread.is_alive() for thread in busy):
                    faults[fault] += 1
                    busy.append(threading.Thread(target=camera.suffer, args=(fault,), name=camera.url, daemon=True))
                    busy[-1].start()
            for camera in cameras:
                if not any(thread.name == camera.url and thread.is_alive() for thread in busy):
                    camera.mend()
            if int(passed) % 10 == 0 and (not memory or passed - memory[-1][0] > 5):
                memory.append((passed, resident_mb(program.pid)))
                samples = metrics(port)
        pause = page.longest_pause()
        alive = program.poll() is None
        reader.reads.set()
        program.terminate()
        asked = time.monotonic()
        status = program.wait(timeout=30)
        ended_s = time.monotonic() - asked
        reader.thread.join(timeout=20)
        words.thread.join(timeout=20)
    finally:
        program.kill()
        for thread in busy:
            thread.join(timeout=20)
        for camera in cameras:
            camera.stop()
    kept = (folder / "alerts.jsonl").read_text().splitlines(keepends=True)
    missing = Counter(kept) - Counter(reader.lines)
    told = [json.loads(line) for line in kept]
    before, after = (*unread, samples, samples)[:2]
    while_unread = {name: value - before.get(name, 0) for name, value in after.items()}
    third = [mb for passed, mb in memory if passed > options.minutes * 20]
    return {
        "minutes": options.minutes,
        "cameras": options.cameras,
        "faults": faults,
        "alive": alive and status == 0,
        "ended_s": ended_s,
        "memory_mb": [[round(t), round(mb, 1)] for t, mb in memory],
        "growth": third[-1] / third[0] - 1 if third else float("nan"),
        "lines": len(kept),
        "lines_lost": words.lost,
        "lines_missing": missing.total(),
        "unread": {
            "clips": total(while_unread, "startle_clips_total"),
            "dropped": total(while_unread, "startle_clips_dropped_total"),
            "latency_s": {q: quantile(while_unread, VERDICTS, float(q)) for q in ("0.5", "0.99")},
        },
        "page": {"news": page.news, "longest_pause_s": pause},
        "latency_s": {q: quantile(samples, VERDICTS, float(q)) for q in ("0.5", "0.99")},
        "inference_s": {q: quantile(samples, "startle_inference_seconds", float(q)) for q in ("0.5", "0.99")},
        "frames": by_camera(samples, "startle_frames_total"),
        "frames_sent": FPS * memory[-1][0] if memory else float("nan"),
        "clips": total(samples, "startle_clips_total"),
        "dropped": total(samples, "startle_clips_dropped_total"),
        "reconnects": total(samples, "startle_reconnects_total"),
        "alerts": [
            {name: line[name] for name in ("camera", "time", "score")}
            for line in told
            if line["type"] == "event" and line["phase"] == "begun"
        ],
    }


def table(result: dict) -> str:
    memory = [mb for _, mb in result["memory_mb"]]
    latency, inference = result["latency_s"], result["inference_s"]
    rows = [
        ("streams, minutes", f"{result['cameras']}, {result['minutes']:.0f}"),
        ("faults", ", ".join(f"{fault} {count}×" for fault, count in result["faults"].items())),
        ("reconnects", f"{result['reconnects']:.0f}"),
        ("memory, first to last, most", f"{memory[0]:.0f} → {memory[-1]:.0f} MB, {max(memory):.0f} MB"),
        ("growth after the first third", f"{result['growth']:+.1%}"),
        ("arrival to verdict, p50 and p99", f"≤ {latency['0.5']} s and ≤ {latency['0.99']} s"),
        (
            "the same while nobody read standard output",
            f"≤ {result['unread']['latency_s']['0.5']} s and ≤ {result['unread']['latency_s']['0.99']} s; "
            f"{result['unread']['clips']:.0f} clips scored, {result['unread']['dropped']:.0f} dropped",
        ),
        (
            "lines told, lost to standard output, missing without being counted",
            f"{result['lines']}, {result['lines_lost']}, {result['lines_missing'] - result['lines_lost']}",
        ),
        (
            "points the open page was told, longest pause between two",
            f"{result['page']['news']}, {result['page']['longest_pause_s']:.1f} s",
        ),
        ("one inference call, p50 and p99", f"≤ {inference['0.5']} s and ≤ {inference['0.99']} s"),
        ("frames decoded, by camera", ", ".join(f"{count / result['frames_sent']:.0%}" for count in result["frames"])),
        ("frames decoded, clips scored", f"{sum(result['frames']):.0f}, {result['clips']:.0f}"),
        ("clips dropped", f"{result['dropped']:.0f}"),
        ("alerts (all false)", f"{len(result['alerts'])}"),
        ("SIGTERM to exit", f"{result['ended_s']:.1f} s"),
    ]
    lines = [
        "# Soak: `startle monitor` with faults",
        "",
        f"`make soak` on {result['machine']}, load average at the end {result['load']:.1f}; the senders ran on the same cores.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
        "Latency is counted from the arrival of a slot's last frame to its verdict, and read from the buckets of "
        "`startle_verdict_latency_seconds`: the true quantile lies at or under the bound. Frames are counted against those of a "
        f"sender of {FPS} frames a second that nothing disturbs. For the middle third nobody read standard output, whose pipe held "
        "4 KiB; the same lines went to `--alerts`, and all of them are compared. The page is a client of `/api/stream`.",
        "",
    ]
    return "\n".join(lines)


def processor() -> str:
    names = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return f"{names[0] if names else platform.machine()} ({os.cpu_count()} cores)"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--warm-up", type=float, default=120)
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/startle")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "reports/benchmarks")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = soak(options, Path(folder))
    result |= {"machine": processor(), "load": os.getloadavg()[0]}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "soak.json").write_text(json.dumps(result, indent=1) + "\n")
    (options.out / "soak.md").write_text(table(result))
    print(table(result))
    complete = len(result["frames"]) == options.cameras and min(result["frames"]) > result["frames_sent"] / 2
    counted = result["lines_missing"] == result["lines_lost"]
    judged = result["unread"]["clips"] > 0 and result["page"]["news"] > 0 and result["page"]["longest_pause_s"] <= PAUSE_S
    sound = result["alive"] and complete and result["growth"] <= 0.1 and result["ended_s"] <= 5
    return 0 if sound and counted and judged else 1


if __name__ == "__main__":
    sys.exit(main())
