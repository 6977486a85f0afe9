"""startle.ray on a real cluster of two nodes on this machine; one of them is killed in the middle."""

import collections
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow.dataset
import pytest

ray = pytest.importorskip("ray", reason="Ray can't be had here")
pytest.importorskip("fsspec")

import startle  # noqa: E402
import startle.ray  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402


@pytest.fixture(scope="module")
def cluster():
    # The head works on nothing, so that whichever node works first can be killed.
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 100 << 20})
    cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
    ray.init(address=cluster.address, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def written(out):
    """What lies on the disk: the rows of all files."""
    return pyarrow.dataset.dataset(out, format="parquet", partitioning="hive").to_table().to_pylist()


def test_a_failed_video_is_a_row_and_what_was_done_is_not_done_again(cluster, clip, tmp_path):
    out = tmp_path / "results"
    text = tmp_path / "text.mp4"
    text.write_text("no video\n" * 50)
    copy = tmp_path / "of the same content.mp4"
    shutil.copy(clip, copy)
    videos = ray.data.from_items(
        [
            {"path": str(clip), "bytes": None},
            {"path": str(text), "bytes": None},
            {"path": "/nowhere.mp4", "bytes": None},
            {"path": f"file://{clip}", "bytes": None},
            {"path": "upload 7", "bytes": clip.read_bytes()},
        ]
    )
    rows = {row["path"]: row for row in startle.ray.analyze(videos, out=out).take_all()}
    assert len(rows) == 5
    assert "not a video" in rows[str(text)]["error"] and "nowhere.mp4" in rows["/nowhere.mp4"]["error"]
    direct = startle.analyze(clip)
    for name in (str(clip), f"file://{clip}", "upload 7"):
        row = rows[name]
        assert row["error"] is None and row["sha256"] == direct.sha256 and [e["what"] for e in row["events"]] == ["colour"]
        assert np.array_equal(np.asarray(row["surprise"], np.float32), direct.curve["surprise"])
    on_disk = {row["path"]: row for row in written(out)}
    assert {name: row["error"] for name, row in on_disk.items()} == {name: row["error"] for name, row in rows.items()}
    kept = startle.Result.from_json(on_disk["upload 7"]["result"])
    assert kept.path == "upload 7" and kept.events[0].what["kind"] == "colour"
    assert len(list(out.iterdir())) == 6, "a partition for each input, and the marks of attempts"

    # Everything of this content is known, also under a name that was not there; what failed is tried again.
    before = {path: path.stat().st_mtime_ns for path in out.glob("input=*/*-*.parquet")}
    shutil.copy(clip, text)
    again = startle.ray.analyze([clip, copy, text, f"file://{clip}"], out=out)
    rows = {row["path"]: row for row in again.take_all()}
    assert all(row["error"] is None and len(row["events"]) == 1 for row in rows.values()) and len(rows) == 4
    assert {path: path.stat().st_mtime_ns for path in before} == before, "a result was written anew"
    assert sum(row["path"] == str(text) for row in written(out)) == 1, "the failure is gone"
    # Another question is another result.
    (other,) = startle.ray.analyze([clip], out=out, model="persistence").take_all()
    assert other["question"] != rows[str(clip)]["question"]
    assert sum(row["path"] == str(clip) for row in written(out)) == 2


def test_object_stores_and_poison(cluster, clip, tmp_path):
    store = startle.ray._Store("memory://results", 2)
    row = dict.fromkeys(startle.ray.SCHEMA.names) | {"path": "a/b c.mp4", "sha256": "1" * 64, "question": "2" * 64}
    assert store.known() == {} and store.find(row, {}) is None
    store.attempt(row)
    store.attempt(row)
    with pytest.raises(RuntimeError, match="taken its worker down 2 times"):
        store.attempt(row)
    store.put(row | {"error": "given up"})
    assert store.known() == {} and store.find(row, {}) is None
    store.attempt(row)
    store.put(row)
    (mark,) = store.known()
    assert store.find(row, {}) == row and not store.fs.exists(f"{store.folder(row)}/failed.parquet")
    moved = store.find(row | {"path": "moved.mp4"}, store.known())
    assert moved["path"] == "moved.mp4" and len(store.fs.find("/results")) == 2


def test_a_node_that_is_killed_loses_nothing_and_nothing_is_there_twice(cluster, samples, tmp_path):
    cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
    cluster.wait_for_nodes()
    videos = startle.inputs(samples / "*_1_*possible.mp4")[:14]
    out, rows = tmp_path / "results", []

    def work():
        rows.extend(startle.ray.analyze(videos, out=out, workers=2).iter_rows())

    worker = threading.Thread(target=work)
    worker.start()
    begun = time.monotonic()
    while not (first := list(out.glob("input=*/*.parquet"))):
        assert worker.is_alive() and time.monotonic() - begun < 400, "no node did anything"
        time.sleep(0.1)
    doomed = written(first[0])[0]["node"]
    sockets = {node["ObjectStoreSocketName"]: node["NodeID"] for node in ray.nodes()}
    (node,) = (node for node in cluster.worker_nodes if sockets[node.plasma_store_socket_name] == doomed)
    cluster.remove_node(node, allow_graceful=False)
    done_before = len(list(out.glob("input=*/*.parquet")))
    worker.join(timeout=600)
    assert not worker.is_alive() and done_before < len(videos), "it was over before the node was killed"
    told = collections.Counter(row["path"] for row in rows)
    assert told == collections.Counter(videos), "lost or told twice"
    kept = written(out)
    assert collections.Counter(row["path"] for row in kept) == collections.Counter(videos)
    nodes = {row["node"] for row in kept}
    assert not any(row["error"] for row in kept) and doomed in nodes and len(nodes) == 2
    assert not [path for path in Path(out).rglob("*") if path.is_file() and path.suffix != ".parquet"]
