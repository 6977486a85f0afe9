"""The engine from Python: numbers, records, errors, threads."""

import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import startle


@pytest.fixture(scope="module")
def result(clip):
    return startle.analyze(clip)


def frames_of(path):
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], check=True, capture_output=True
    ).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, 360, 640, 3)


def test_a_video_is_a_curve_and_records(result, clip):
    curve, (event,) = result.curve, result.events
    assert curve.dtype == startle.CURVE and len(curve) > 40 and np.isfinite(curve["surprise"]).all()
    assert curve["surprise"].argmax() == np.abs(curve["t_s"] - event.peak_s).argmin()
    assert event.what["kind"] == "colour" and 2.5 < event.onset_s < 3.5 and event.score > result.threshold
    assert result.heat_maps.shape == (1, *event.heat.shape) and event.heat.max() > 0
    assert event.thumbnail[:2] == b"\xff\xd8" and event.box[2] > event.box[0]
    assert (result.path, result.duration_s, result.truncated) == (str(clip), pytest.approx(6.0, abs=0.1), False)
    assert re.fullmatch("[0-9a-f]{64}", result.sha256)
    assert "1 events" in repr(result) and "<svg" in result._repr_html_()


def test_pictures_and_bytes_give_what_the_file_gives(result, clip):
    pictures = frames_of(clip)
    fps = result.record["input"]["fps"]
    seen = startle.analyze(pictures, fps=fps, name="array")
    given = startle.analyze(iter(pictures), fps=fps)
    assert np.array_equal(seen.curve["surprise"], given.curve["surprise"]) and given.path == "array"
    assert len(seen.curve) == len(result.curve)
    # Another converter of colours, no more.
    assert np.corrcoef(seen.curve["surprise"], result.curve["surprise"])[0, 1] > 0.99
    assert [e.what["kind"] for e in seen.events] == ["colour"]
    held = startle.analyze(clip.read_bytes(), name="s3://bucket/clip.mp4")
    assert np.array_equal(held.curve, result.curve) and held.path == "s3://bucket/clip.mp4"


def test_what_can_be_made_of_a_result(result, tmp_path):
    page = result.save_report(tmp_path / "report")
    assert page.name == "report.html" and page.stat().st_size > 10_000
    for again in (startle.Result.load(tmp_path / "report"), pickle.loads(pickle.dumps(result))):
        assert again.to_json() == result.to_json()
    frame = result.to_pandas()
    assert list(frame.columns) == list(startle.CURVE.names) and len(frame) == len(result.curve)
    table = result.to_arrow()
    assert table.column_names == list(startle.CURVE.names)
    assert np.array_equal(table["surprise"].to_numpy(), result.curve["surprise"])
    plot = result.plot()
    assert plot.save(tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG" and plot._repr_svg_().startswith("<svg")
    with pytest.raises(ValueError, match=r"\.svg or \.png"):
        plot.save(tmp_path / "a.bmp")


def test_errors_say_what_the_program_says(clip, samples, tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("no video\n" * 100)
    for call, kind, words in [
        (lambda: startle.analyze("/nowhere.mp4"), startle.InputError, "/nowhere.mp4: no such file"),
        (lambda: startle.analyze(text), startle.InputError, "not a video"),
        (lambda: startle.analyze(samples), startle.InputError, r"holds \d+ videos.*startle.inputs"),
        (lambda: startle.analyze(clip, model="none"), startle.ModelError, "there is no bundle of this name"),
        (lambda: startle.analyze(clip, device="cuda:7"), startle.DeviceError, "cuda:7 can't be used"),
        (lambda: startle.analyze(clip, device="tpu"), startle.ConfigError, "tpu"),
        (lambda: startle.analyze(clip, z=-1.0), startle.ConfigError, "z: -1 is not a positive number"),
        (lambda: startle.analyze(clip, max_false_alarms="6"), startle.ConfigError, "6/hour"),
        (lambda: startle.analyze(clip, baseline="/no.json"), startle.InputError, "/no.json"),
        (lambda: startle.analyze(np.zeros((9, 8, 8, 3), np.uint8)), startle.ConfigError, "fps"),
        (lambda: startle.analyze(np.zeros((9, 8, 8, 3)), fps=5), startle.InputError, "float64 of shape"),
        (lambda: startle.analyze([], fps=5), startle.InputError, "no picture"),
        (lambda: startle.Result.from_json(b"{}"), startle.InputError, "names no schema"),
        (lambda: startle.analyze(clip, cuts=True), TypeError, "unknown option cuts"),
    ]:  # fmt: skip
        with pytest.raises(kind, match=words):
            call()
    assert issubclass(startle.InputError, startle.Error)


def test_progress_is_told_and_what_it_raises_ends_the_run(clip):
    told = []
    startle.analyze(clip, progress=lambda done, total: told.append((done, total)))
    assert told[0] == (0.0, 6.0) and told[-1] == (6.0, 6.0) and told == sorted(told)
    startle.analyze(clip, progress=True)

    def tired(done, total):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        startle.analyze(clip, progress=tired)

    def broken():
        yield np.zeros((64, 64, 3), np.uint8)
        raise LookupError("the camera fell")

    with pytest.raises(LookupError, match="the camera fell"):
        startle.analyze(broken(), fps=10)
    assert startle.analyze(clip).events, "the model is as good as before"


def test_other_threads_go_on_meanwhile(clip):
    done = threading.Event()
    naps = []

    def nap():
        while not done.is_set():
            begun = time.perf_counter()
            time.sleep(0.001)
            naps.append(time.perf_counter() - begun)

    other = threading.Thread(target=nap)
    other.start()
    begun = time.perf_counter()
    startle.analyze(clip)
    took = time.perf_counter() - begun
    done.set()
    other.join()
    assert max(naps) < took / 3, f"a nap of {max(naps):.2f} s in a run of {took:.2f} s: the interpreter was held"


def test_ctrl_c_ends_a_run(clip):
    code = f"import startle, itertools\nprint('go', flush=True)\nstartle.analyze({str(clip)!r}, progress=lambda d, t: print(d, flush=True))"
    code += f"\nlist(startle.stream({str(clip)!r}))\n" * 50
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "go\n" and process.stdout.readline() == "0.0\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert errors.rstrip().endswith("KeyboardInterrupt"), errors


def test_a_stream_tells_what_happens(clip):
    news = list(startle.stream(clip, baseline="bundle", max_false_alarms="30/hour"))
    kinds = [type(one) for one in news]
    moments = [one for one in news if isinstance(one, startle.Moment)]
    assert kinds[0] is startle.Health and len(moments) > 40 and moments[0].heat.ndim == 2
    assert abs(moments[0].wall - time.time()) < 600
    begun, over = [one for one in news if isinstance(one, startle.Incident)]
    assert (begun.phase, over.phase, begun.event.id) == ("begun", "over", over.event.id)
    assert over.event.what["kind"] == "colour"
    held = startle.stream(clip)
    next(held)
    held.close()
    lost = startle.stream("rtsp://127.0.0.1:9/none", stall=1.0)
    states = [next(lost) for _ in range(2)]
    assert states[1].state == "waiting" and states[1].reason
    lost.close()
    with pytest.raises(startle.ConfigError, match="stall"):
        next(startle.stream(clip, stall=-1.0))


def test_a_baseline_is_learnt_and_used(samples, tmp_path):
    noise = "color=gray:s=64x64:r=8:d=80,noise=alls=60:allf=t+u"
    for name in ("b10", "b9"):
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", noise, tmp_path / f"{name}.mp4"], check=True)
    normal = startle.inputs(tmp_path)
    assert normal == [str(tmp_path / "b9.mp4"), str(tmp_path / "b10.mp4")]
    told = []
    out = startle.calibrate(normal, tmp_path / "b.json", model="persistence", progress=lambda *done: told.append(done))
    assert told == [(1.0, 2.0), (2.0, 2.0)]
    result = startle.analyze(normal[0], model="persistence", baseline=out)
    assert result.record["config"]["baseline"] == str(out) and result.threshold
    with pytest.raises(startle.InputError, match="model"):
        startle.analyze(normal[0], baseline=out)
    with pytest.raises(startle.ConfigError, match="give more videos"):
        startle.calibrate(samples / "colour_0_possible.mp4", tmp_path / "c.json", model="persistence")


def test_the_stubs_name_what_is_there():
    from startle import _startle

    text = Path(startle.__file__).with_name("_startle.pyi").read_text()
    assert Path(startle.__file__).with_name("py.typed").exists()
    stated = set(re.findall(r"^(?:class|def) (\w+)|^(VERSION)", text, re.M))
    stated = {name for pair in stated for name in pair if name}
    assert stated == {name for name in dir(_startle) if not name.startswith("_")}
    for kind in (_startle.Engine, _startle.Report, _startle.Stream):
        body = text.split(f"class {kind.__name__}:")[1].split("@final")[0].split("\n\n")[0]
        stated = set(re.findall(r"^    (?:def )?(\w+)[(:]", body, re.M)) - {"__new__"}
        assert stated == {name for name in dir(kind) if not name.startswith("_")}, kind


def test_without_ffmpeg_the_import_says_what_to_do():
    code = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == "startle._startle":
            raise ImportError("libavcodec.so.59: cannot open shared object file")
sys.meta_path.insert(0, Missing())
import startle
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1 and "libavcodec.so.59" in run.stderr and "apt-get install ffmpeg" in run.stderr


def test_versions_of_a_scene_are_ranked_as_the_program_ranks_them(clip):
    lawful = clip.with_name(clip.name.replace("impossible", "possible"))
    ranking = startle.rank([clip, lawful])
    assert [r.input for r in ranking] == [str(lawful), str(clip)] and ranking[0].behind is None
    behind = ranking[1].behind
    assert behind.clear and behind.interval[0] > 0 and 2.9 < behind.parts_s < 3.6
    assert ranking[1].result.events[0].what["kind"] == "colour" and ranking.moments > 40
    table = ranking.to_pandas()
    assert list(table["place"]) == [1, 2] and table["behind_by"][1] == behind.by
    with pytest.raises(startle.ConfigError, match="two versions"):
        startle.rank([clip])
