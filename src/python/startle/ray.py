"""startle on Ray Data: many videos on many machines. Needs `pip install startle[ray]`.

>>> import startle.ray
>>> videos = ray.data.from_items([{"path": url} for url in urls])      # or a list of paths and URLs
>>> for row in startle.ray.analyze(videos, out="s3://bucket/results").iter_rows():
...     print(row["path"], row["error"] or row["events"])

Actors hold the model; Ray's streaming executor holds back what they can't keep up with. A video that fails is a row with its
error. With `out` each input has a Parquet file of its own, written whole or not at all, and what is there already (known by
the video's content, the model and the settings) is not done again: not in a later run, and not after a lost machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import ray
import ray.data

from . import Error, Model, Result
from ._model import PathLike

EVENT = pa.struct(
    [("id", pa.int32()), ("kind", pa.string())]
    + [(name, pa.float64()) for name in ("onset_s", "peak_s", "end_s", "score", "z", "p_value", "per_hour")]
    + [("box", pa.list_(pa.float32())), ("what", pa.string()), ("sentence", pa.string())]
)
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("sha256", pa.string()),
        ("question", pa.string()),
        ("error", pa.string()),
        ("duration_s", pa.float64()),
        ("truncated", pa.bool_()),
        ("threshold", pa.float64()),
        ("events", pa.list_(EVENT)),
        ("t_s", pa.list_(pa.float64())),
        ("surprise", pa.list_(pa.float32())),
        ("z", pa.list_(pa.float32())),
        ("p_value", pa.list_(pa.float32())),
        ("motion", pa.list_(pa.float32())),
        ("result", pa.binary()),
        ("node", pa.string()),
    ]
)
"""The columns of a result: a row for each video. `question` marks the model, the baseline and the threshold; `result` holds
the bytes of `result.json`, for `startle.Result.from_json`; `node` is the Ray node that did it."""


def analyze(
    videos: ray.data.Dataset | Iterable[PathLike],
    *,
    out: PathLike | None = None,
    resume: bool = True,
    workers: int | None = None,
    num_cpus: float = 1,
    num_gpus: float = 0,
    attempts: int = 5,
    **options: Any,
) -> ray.data.Dataset:
    """A dataset with a row for each video, as `SCHEMA` says, computed when it is read.

    `videos`: paths and fsspec URLs (`s3://`, `gs://`, `https://`, …), or a dataset with the column `path`, or `bytes` (a video
    file's content) and, as its name, `path`. `out`: a folder or fsspec URL for the results,
    `out/input=NAME/CONTENT-QUESTION.parquet`, and `failed.parquet` where there is none; rows then leave `result` to those files.
    `resume=False` does everything again. `workers`: actors at most, each with so many `num_cpus` and `num_gpus`; with a GPU the
    device is cuda unless `device` says otherwise. A video that has taken its worker down so many `attempts` (a lost machine
    counts, too) is given up, with `out`. Other options are those of `startle.Options`.
    """
    if not isinstance(videos, ray.data.Dataset):
        rows = [{"path": os.fspath(video)} for video in videos]
        # A block is what is lost and done again at once.
        videos = ray.data.from_items(rows, override_num_blocks=max(1, min(len(rows), 4096)))
    options.setdefault("threads", max(1, int(num_cpus)))
    if num_gpus:
        options.setdefault("device", "cuda")
    store = None if out is None else _Store(os.fspath(out), attempts)
    known = ray.put(store.known() if store and resume else {})
    return videos.map(
        _Worker,
        fn_constructor_kwargs={"options": options, "store": store, "resume": resume, "known": [known]},
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers),
        num_cpus=num_cpus,
        num_gpus=num_gpus,
    )


class _Worker:
    """An actor: a loaded model."""

    def __init__(self, options: dict[str, Any], store: _Store | None, resume: bool, known: list[Any]) -> None:
        self.model = Model(**options)
        self.store, self.resume, self.known = store, resume, ray.get(known[0])

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        data = row.get("bytes")
        path = str(row.get("path") or f"bytes-{hashlib.sha256(data or b'').hexdigest()[:16]}")
        done = dict.fromkeys(SCHEMA.names) | {"path": path, "question": self.model.question}
        done["node"] = ray.get_runtime_context().get_node_id()
        try:
            with _local(path, data) as file:
                done["sha256"] = _sha256(file)
                if earlier := self.store and self.resume and self.store.find(done, self.known):
                    return _light(earlier)
                if self.store:
                    self.store.attempt(done)
                done |= _columns(self.model.analyze(file, name=path))
        # What one video does must not end the others, whatever it is.
        except Exception as error:
            done["error"] = str(error) if isinstance(error, Error) else f"{type(error).__name__}: {error}"
        if self.store:
            self.store.put(done)
        return _light(done) if self.store else done


def _sha256(file: str) -> str:
    whole = hashlib.sha256()
    with open(file, "rb") as opened:
        while part := opened.read(1 << 20):
            whole.update(part)
    return whole.hexdigest()


def _light(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "result"}


def _columns(result: Result) -> dict[str, Any]:
    curve = result.curve
    columns = {name: curve[name].tolist() for name in ("t_s", "surprise", "z", "p_value", "motion")}
    names = [field.name for field in EVENT]
    events = []
    for event in result.events:
        what = event.what or {}
        values = {name: getattr(event, name) for name in names if name not in ("box", "what", "sentence")}
        events.append(values | {"box": list(event.box), "what": what.get("kind"), "sentence": what.get("sentence")})
    whole = {name: getattr(result, name) for name in ("duration_s", "truncated", "threshold")}
    return columns | whole | {"events": events, "result": result.to_json()}


@contextlib.contextmanager
def _local(path: str, data: bytes | None) -> Iterator[str]:
    """The video as a file of this machine."""
    if data is None and "://" not in path:
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="startle-", suffix=os.path.splitext(path)[1][:8]) as file:
        with io.BytesIO(data) if data is not None else fsspec.open(path, "rb") as source:
            shutil.copyfileobj(source, file, 1 << 20)
        file.flush()
        yield file.name


class _Store:
    """The folder of the results."""

    def __init__(self, url: str, attempts: int) -> None:
        self.url, self.attempts = url, attempts
        self.fs, self.root = fsspec.core.url_to_fs(url)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Store, (self.url, self.attempts)

    @staticmethod
    def mark(row: dict[str, Any]) -> str:
        """What decides whether a result is the same: the content of the video, and what was asked of it."""
        return f"{row['sha256'][:32]}-{row['question'][:16]}"

    def folder(self, row: dict[str, Any]) -> str:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", row["path"])[-80:]
        return f"{self.root}/input={plain}-{hashlib.sha256(row['path'].encode()).hexdigest()[:8]}"

    def known(self) -> dict[str, str]:
        """Every result that is there: its mark and its file. One listing."""
        if not self.fs.exists(self.root):
            return {}
        files = (path for path in self.fs.find(self.root) if path.endswith(".parquet"))
        return {os.path.basename(path)[: -len(".parquet")]: path for path in files if "/failed.parquet" not in path}

    def find(self, row: dict[str, Any], known: dict[str, str]) -> dict[str, Any] | None:
        """An earlier result of the same content and question; one under another name gets a file under this one, too."""
        mark = self.mark(row)
        own = f"{self.folder(row)}/{mark}.parquet"
        file = own if self.fs.exists(own) else known.get(mark)
        if file is None:
            return None
        try:
            with self.fs.open(file, "rb") as opened:
                (earlier,) = pq.read_table(opened, schema=SCHEMA).to_pylist()
        except (OSError, ValueError, pa.ArrowException):
            return None
        if file != own:
            earlier["path"] = row["path"]
            self.put(earlier)
        return earlier

    def attempt(self, row: dict[str, Any]) -> None:
        """Leaves a mark that only an end of some kind takes away."""
        folder = self._attempts(row)
        before = len(self.fs.find(folder)) if self.fs.exists(folder) else 0
        if before >= self.attempts:
            raise RuntimeError(f"given up: it has taken its worker down {before} times")
        self.fs.makedirs(folder, exist_ok=True)
        self.fs.pipe(f"{folder}/{uuid.uuid4().hex}", b"1")

    def _attempts(self, row: dict[str, Any]) -> str:
        return f"{self.root}/_attempts/{self.mark(row)}"

    def put(self, row: dict[str, Any]) -> None:
        """Writes a result whole; the same content and question have the same file, however often it is written."""
        folder, buffer = self.folder(row), io.BytesIO()
        pq.write_table(pa.Table.from_pylist([row], schema=SCHEMA), buffer, compression="zstd")
        failed = f"{folder}/failed.parquet"
        self._write(failed if row["error"] else f"{folder}/{self.mark(row)}.parquet", buffer.getvalue())
        if not row["error"] and self.fs.exists(failed):
            self.fs.rm(failed)
        if row["sha256"] and self.fs.exists(self._attempts(row)):
            self.fs.rm(self._attempts(row), recursive=True)

    def _write(self, path: str, data: bytes) -> None:
        local = "file" in (self.fs.protocol if isinstance(self.fs.protocol, tuple) else (self.fs.protocol,))
        if not local:
            # An object appears when all of it is there.
            self.fs.makedirs(os.path.dirname(path), exist_ok=True)
            self.fs.pipe(path, data)
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        part = f"{path}.{uuid.uuid4().hex}.part"
        with open(part, "wb") as file:
            file.write(data)
        os.replace(part, path)
