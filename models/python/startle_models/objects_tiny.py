"""A tiny model of objects, for tests: it sees one bright thing on a dark ground and expects it to go on as it went.

    python -m startle_models.objects_tiny --out tests/data

Writes `bundles/tiny-object` and what PyTorch gives on its self-test clip (`golden/tiny-object/`). Nothing is learnt: the
arithmetic is chosen so that the answers are known, and a small random recurrent part is mixed in, so that a mistake in the
state shows.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from . import objects_bundle

SIDE, CELLS, TOKENS, FILES, ATTRIBUTES, MAPS, HIDDEN = 32, 8, 4, 4, 14, 3, 16
PARTS = (
    ("missing", "missing"), ("missing_long", "missing"), ("new", "new"), ("place", "moved"), ("place_long", "moved"),
    ("size", "size"), ("colour", "colour"), ("shape", "shape"),
)  # fmt: skip
KEPT = 11  # of the first file: alive, x, y, half width, half height, red, green, blue, velocity x and y, misses
STATE = KEPT + HIDDEN
NEAR = 0.2  # shares: farther is another thing


class Encoder(nn.Module):
    """Pictures [B, 3, SIDE, SIDE] in [-1, 1] to tokens and maps; the first token is the bright thing, the others nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.extra = nn.Conv2d(3, MAPS - 1, 4, 4)
        axis = (torch.arange(SIDE) + 0.5) / SIDE
        self.register_buffer("x", axis[None, :].expand(SIDE, SIDE).reshape(1, -1).clone())
        self.register_buffer("y", axis[:, None].expand(SIDE, SIDE).reshape(1, -1).clone())

    def forward(self, pixels):
        colour = pixels * 0.5 + 0.5
        bright = torch.sigmoid(40 * (colour.amax(1, keepdim=True) - 0.5))
        maps = torch.cat([F.avg_pool2d(bright, SIDE // CELLS), torch.sigmoid(self.extra(pixels))], 1)
        weight = bright.flatten(1)
        mass = weight.sum(1, keepdim=True) + 1e-6
        mean = lambda values: (weight * values).sum(1, keepdim=True) / mass  # noqa: E731
        x, y = mean(self.x), mean(self.y)
        # A box of uniform brightness has the half width √3 times the standard deviation.
        half = [(3 * mean((v - m) ** 2) + 1e-6).sqrt() for v, m in ((self.x, x), (self.y, y))]
        rgb = [mean(colour[:, i].flatten(1)) - 0.5 for i in range(3)]
        confidence = (mass / 8).clamp(max=1.0)
        shape = torch.cat([torch.zeros_like(x), torch.ones_like(x), torch.zeros_like(x).expand(-1, 2)], 1)
        token = torch.cat([confidence, torch.ones_like(x), x, y, *half, torch.full_like(x, 0.3), *rgb, shape], 1)
        return F.pad(token[:, None], (0, 0, 0, TOKENS - 1)), maps


class Predictor(nn.Module):
    """state [B, STATE], tokens, maps to next state, energies [B, R, P], expected and seen [B, R, 13]."""

    def __init__(self) -> None:
        super().__init__()
        self.take = nn.Linear(TOKENS * ATTRIBUTES + MAPS * CELLS * CELLS, HIDDEN)
        self.cell = nn.GRUCell(HIDDEN, HIDDEN)
        self.tell = nn.Linear(HIDDEN, FILES + TOKENS)

    def forward(self, state, tokens, maps):
        kept, h = state.split([KEPT, HIDDEN], 1)
        alive, place, half, colour, speed, misses = kept.split([1, 2, 2, 3, 2, 1], 1)
        token = tokens[:, 0]
        sure = (token[:, :1] > 0.5).to(state.dtype)
        to, size, hue = token[:, 2:4], token[:, 4:6], token[:, 7:10] + 0.5
        expected = place + speed
        near = ((to - expected).abs().amax(1, keepdim=True) < NEAR).to(state.dtype)
        met = alive * sure * near
        h = self.cell(torch.tanh(self.take(torch.cat([tokens.flatten(1), maps.flatten(1)], 1))), h)
        energy = self.energies(alive, sure, met, misses, to - expected, size / half.clamp(min=0.01), hue - colour)
        # The random part: a little of the shape, which is otherwise never wrong, in every row.
        noise = 0.01 * F.softplus(self.tell(h))
        energy = energy + F.pad(noise[..., None], (len(PARTS) - 1, 0))
        none = torch.zeros_like(token[:, :1])
        fresh = sure * (1 - met)
        still = alive * (1 - met) * (1 - sure) * (misses < 2.5).to(state.dtype)
        now = torch.cat([torch.ones_like(none), to, size, hue, (to - place).clamp(-0.1, 0.1) * met, none], 1)
        later = torch.cat([torch.ones_like(none), expected, half, colour, speed, misses + 1], 1)
        state = torch.cat([now * sure + later * still, h], 1)
        box = torch.tensor([[0.0, 1.0, 0.0, 0.0]], device=token.device).expand(token.shape[0], 4)
        was = torch.cat([torch.ones_like(none), expected, half, colour, torch.full_like(none, 0.9), box], 1) * alive
        there = torch.cat([torch.ones_like(none), to, size, hue, token[:, :1], box], 1)
        rows = lambda first, other: torch.cat([_row(first, FILES), _row(other, TOKENS)], 1)  # noqa: E731
        return state, energy, rows(was, was * 0), rows(there * met, there * fresh)

    @staticmethod
    def energies(alive, sure, met, misses, off, growth, turned):
        """[B, R, P]: the first file's parts, and what is new in the first token's row."""
        lost = alive * (1 - met)
        place = met * (off.abs().sum(1, keepdim=True) * 100 - 3).clamp(min=0)
        size = met * (growth.log().abs().sum(1, keepdim=True) * 10 - 2).clamp(min=0)
        colour = met * (turned.abs().sum(1, keepdim=True) * 20 - 2).clamp(min=0)
        none = torch.zeros_like(lost)
        file = torch.cat([lost * 8, lost * misses * 4, none, place, place * 0.5, size, colour, none], 1)
        new = torch.cat([none, none, sure * (1 - met) * (0.5 + 7 * (misses < 9).to(none.dtype)), *[none] * 5], 1)
        return torch.cat([_row(file, FILES), _row(new, TOKENS)], 1)


def _row(first, count: int):
    """[B, w] as the first of `count` rows, zeros below."""
    return F.pad(first[:, None], (0, 0, 0, count - 1))


def build(seed: int = 0) -> tuple[Encoder, Predictor]:
    """The two networks; the seed is that of the random part."""
    torch.manual_seed(seed)
    return Encoder().eval(), Predictor().eval()


def export(module: nn.Module, example: tuple, path: Path, inputs: list[str], outputs: list[str]) -> None:
    """Writes a graph whose batch is free."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        axes = {name: {0: "batch"} for name in inputs + outputs}
        torch.onnx.export(
            module, example, str(path), dynamo=False, opset_version=17,
            input_names=inputs, output_names=outputs, dynamic_axes=axes,
        )  # fmt: skip


def reference(encoder: Encoder, predictor: Predictor, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Every stage of a stream of pictures [T, 3, S, S], by PyTorch; steps stacked along the first axis."""
    with torch.no_grad():
        tokens, maps = encoder(torch.from_numpy(pixels))
        state, steps = torch.zeros(1, STATE), []
        for t in range(len(pixels)):
            steps.append(predictor(state, tokens[t : t + 1], maps[t : t + 1]))
            state = steps[-1][0]
    stacked = {
        name: torch.cat([step[i] for step in steps]).numpy()
        for i, name in enumerate(("next_state", "energy", "expected", "seen"))
    }
    return {"tokens": tokens.numpy(), "maps": maps.numpy()} | stacked


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference over the largest value."""
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-9))


def write(out: Path) -> None:
    """The bundle and its golden numbers."""
    encoder, predictor = build()
    folder, golden = out / "bundles" / "tiny-object", out / "golden" / "tiny-object"
    golden.mkdir(parents=True, exist_ok=True)
    options = objects_bundle.Options(
        name="tiny-object", parts=PARTS, description="Sees one bright thing: for tests.",
        source="startle_models.objects_tiny, nothing is learnt", tolerance_rel=1e-4,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        graphs = [Path(scratch) / name for name in ("encoder.onnx", "predictor.onnx")]
        export(encoder, (torch.zeros(2, 3, SIDE, SIDE),), graphs[0], ["pixel_values"], ["tokens", "maps"])
        seen = (torch.zeros(2, TOKENS, ATTRIBUTES), torch.zeros(2, MAPS, CELLS, CELLS))
        export(
            predictor, (torch.zeros(2, STATE), *seen), graphs[1],
            ["state", "tokens", "maps"], ["next_state", "energy", "expected", "seen"],
        )  # fmt: skip
        pixels = objects_bundle.self_test_pictures(options.seed, options.warm_up + 1, SIDE, options.mean, options.std)
        expected = reference(encoder, predictor, pixels)
        session = objects_bundle.Session(*graphs)
        tokens, maps = session.see(pixels)
        steps = [np.concatenate(outs) for outs in zip(*session.run(pixels), strict=True)]
        parity = {
            "encoder_max_rel": max(relative(tokens, expected["tokens"]), relative(maps, expected["maps"])),
            "predictor_max_rel": relative(steps[0], expected["next_state"]),
            "surprise_max_rel": relative(steps[1], expected["energy"]),
        }
        if max(parity.values()) > 1e-5:
            raise RuntimeError(f"the graphs are not what was exported: {parity}")
        objects_bundle.write(folder, *graphs, objects_bundle.Options(**{**options.__dict__, "parity": parity}))
    for name, values in expected.items():
        np.save(golden / f"{name}.npy", values)
    print(folder, parity)


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="startle_models.objects_tiny", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    write(parser.parse_args(argv).out)


if __name__ == "__main__":
    main()
