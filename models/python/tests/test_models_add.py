"""`startle models add` against `transformers` and the exporter: the same weights, three definitions of the graphs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from small import CONFIG, WEIGHTS, clips, run

from startle_models import bundle, golden_checkpoint, parity, reference

REPOSITORY = Path(__file__).parents[3]
PROGRAM = Path(os.environ.get("STARTLE_PROGRAM", REPOSITORY / "target" / "debug" / "startle"))

pytestmark = pytest.mark.skipif(not PROGRAM.is_file(), reason=f"{PROGRAM} is not built (cargo build)")


def add(source: Path, into: Path) -> Path:
    """The bundle that the program makes of a folder."""
    command = [PROGRAM, "models", "add", source, "--into", into, "--name", "added", "--device", "cpu", "--threads", "1"]
    subprocess.run(command, check=True, cwd=REPOSITORY)
    return into / "added"


def models(tmp_path: Path) -> dict[str, tuple[object, Path]]:
    """By layout: what `save_pretrained` wrote, and the model that it was written from."""
    made = {}
    for name, dtype, shard in (("whole", "float32", "1GB"), ("shards", "float32", "40KB"), ("bf16", "bfloat16", "1GB")):
        model = reference.load_model(WEIGHTS, 0)
        rounded = model.to(getattr(torch, dtype))
        rounded.save_pretrained(tmp_path / name, max_shard_size=shard)
        made[name] = (rounded.float().eval(), tmp_path / name)
    return made


def test_graphs_are_those_of_transformers_and_of_the_exporter(tmp_path):
    pixels, generator = clips(2, CONFIG.frames_per_clip), torch.Generator().manual_seed(1)
    context = torch.randn(2, 18, CONFIG.hidden_size, generator=generator)
    known = torch.arange(18).expand(2, -1)
    asked = 18 + torch.stack([torch.randperm(27, generator=generator) for _ in range(2)])
    given = (context.numpy(), known.numpy().copy(), asked.numpy())
    for name, (model, source) in models(tmp_path).items():
        session = bundle.Session(add(source, tmp_path / f"{name}-out"))
        encoder = parity.relative(session.encode(pixels.numpy()), reference.encode(model.encoder, pixels))
        predictor = parity.relative(session.predict(*given), reference.predict(model, context, known, asked))
        print(f"{name}: encoder {encoder:.1e}, predictor {predictor:.1e} relative to transformers")
        assert encoder <= 1e-6 and predictor <= 1e-6, name
        if name == "bf16":  # the exporter turns weights into float32 as it reads them
            continue
        run(source, tmp_path / f"{name}-exported")
        exported = bundle.Session(tmp_path / f"{name}-exported")
        encoder = parity.relative(session.encode(pixels.numpy()), torch.from_numpy(exported.encode(pixels.numpy())))
        predictor = parity.relative(session.predict(*given), torch.from_numpy(exported.predict(*given)))
        assert encoder <= 1e-6 and predictor <= 1e-6, name
        errors = bundle.Session(tmp_path / f"{name}-exported").errors(pixels.numpy())
        for length, error in session.errors(pixels.numpy()).items():
            assert np.abs(error - errors[length]).max() <= 1e-5 * errors[length].max()
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1


def test_encoders_of_pictures_are_those_of_transformers(tmp_path):
    generator = torch.Generator().manual_seed(2)
    for name, (model, others) in golden_checkpoint.image_models().items():
        golden_checkpoint.image(tmp_path / name, model, others)
        session = bundle.Session(add(tmp_path / name, tmp_path / f"{name}-out"))
        pixels = torch.randn(2, 4, 3, golden_checkpoint.SIDE, golden_checkpoint.SIDE, generator=generator)
        tokens = golden_checkpoint.picture_tokens(model, others, pixels)
        encoder = parity.relative(session.encode(pixels.numpy()), tokens.flatten(1, 2))
        places = np.broadcast_to(np.arange(4 * tokens.shape[2]), (2, 4 * tokens.shape[2])).copy()
        cut, normed = 2 * tokens.shape[2], reference.targets(tokens[:, :2])
        found = session.predict(tokens[:, :2].flatten(1, 2).numpy(), places[:, :cut].copy(), places[:, cut:].copy())
        before, last = normed.unbind(1)
        due = torch.stack([last + (last - before), last + 2 * (last - before)], 1).flatten(1, 2)
        print(f"{name}: encoder {encoder:.1e}, predictor {parity.relative(found, due):.1e} relative to transformers")
        assert encoder <= 1e-6 and parity.relative(found, due) <= 1e-6
