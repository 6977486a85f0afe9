"""How well twins are told apart: energies of every picture, on the footing of lawful footage, by kind of violation.

    python -m startle_models.objects.evaluate table|oracle CHECKPOINTS --twins FOLDER
"""

from __future__ import annotations

import argparse
import pathlib

import torch

from ..world import HIDDEN, VIOLATIONS, SceneSpec, frame_times, render, render_pairs, sample_pairs, sample_scenes, simulate
from ..world.codec import shrink, through_encoder
from .clips import FPS, FRAMES, HEIGHT, WIDTH, encode, known, owners
from .labels import SIDE, label
from .predictor import KEEP, PARTS, Predictor, tell

WARM_UP = 8  # pictures that give no score
FILES = 12
CRF = 18.0  # of the videos that are drawn
LAWFUL = 96  # lawful videos for the footing


def draw(folder, count: int, seed: int, **change):
    """Twins of every kind and lawful videos of SceneSpec(**change), as pictures that went through a video encoder and as
    the generator knows them, written to files once."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for i, kind in enumerate(("lawful", *VIOLATIONS)):
        file = folder / f"{kind}.pt"
        if file.exists():
            continue
        g = torch.Generator().manual_seed(seed * 1000 + i)
        spec = SceneSpec(**change)
        torch.manual_seed(seed)
        if kind == "lawful":
            scene = sample_scenes(LAWFUL, FRAMES / FPS, g, spec)
            look, track, onset = scene.look, simulate(scene, frame_times(FRAMES, FPS)), None
            video = render(look, track, HEIGHT, WIDTH, g)
        else:
            pairs = sample_pairs(kind, count, FRAMES, FPS, g, spec)
            look, track, onset = pairs.look, pairs.track, pairs.onset
            video = render_pairs(pairs, HEIGHT, WIDTH, g)
        video = shrink(through_encoder(video, FPS, [CRF] * len(video)), SIDE, SIDE)
        truth = known(label(look, track))
        if onset is not None:
            for p, o in enumerate(onset.tolist()):
                truth.tokens[2 * p + 1, :o] = truth.tokens[2 * p, :o]
                truth.maps[2 * p + 1, :o] = truth.maps[2 * p, :o]
        torch.save({"video": video, "tokens": truth.tokens, "maps": truth.maps, "onset": onset}, file)
        print(kind, flush=True)


@torch.no_grad()
def perceive(video, perception):
    """video uint8 [B,F,SIDE,SIDE,3] to tokens [B,F,K,14] and maps float [B,F,LAYERS,G,G]."""
    pixels = video.permute(0, 1, 4, 2, 3)
    parts = [encode(p.float() / 127.5 - 1, perception) for p in pixels.split(8)]
    tokens, maps = (torch.cat(t) for t in zip(*parts))
    return tokens, maps.float().permute(0, 1, 4, 2, 3) / 255


@torch.no_grad()
def energies(net, tokens, maps, rows: bool = False):
    """The largest of each part [B,F,P] at every picture."""
    b, frames = tokens.shape[:2]
    parts, birth = net.unpack(torch.zeros(b, net.width(FILES)))
    out = []
    for t in range(frames):
        parts, seen = net.step(parts, birth, tokens[:, t], maps[:, t])
        birth = net.births(parts["alive"], parts["age"], parts["q1"], maps[:, t])
        energy, _, _ = tell(seen)
        out.append(energy if rows else energy.amax(1))
    return torch.stack(out, 1)


class Footing:
    """Tail ranks of parts on lawful footage: -log10 of the share of lawful pictures with as much, going on along a line
    beyond what was seen."""

    def __init__(self, lawful):
        flat = lawful[:, WARM_UP:].flatten(0, 1)
        self.sorted = flat.sort(0).values
        n = len(flat)
        top, tenth = self.sorted[-max(2, n // 1000)], self.sorted[-max(20, n // 50)]
        self.edge = top
        self.slope = (top - tenth).clamp(min=0.3)

    def __call__(self, energy):
        n = len(self.sorted)
        shape = energy.shape
        e = energy.reshape(-1, shape[-1])
        below = torch.stack([torch.searchsorted(self.sorted[:, p].contiguous(), e[:, p].contiguous()) for p in range(shape[-1])], 1)
        rank = -(((n - below).float() + 0.5) / (n + 1)).log10()
        cap = torch.full_like(rank, 3.0)
        beyond = 3.0 + (e - self.edge) / self.slope
        return torch.where(e > self.edge, torch.maximum(beyond, cap), rank.minimum(cap)).view(shape)


def scores(footed):
    """Curves by name [B,F]: the largest part, sums over pictures and over parts."""
    def over(x, k):
        return sum(torch.nn.functional.pad(x, (i, 0))[:, :x.shape[1]] for i in range(k))
    out = {part: footed[..., i] for i, part in enumerate(PARTS)}
    largest = footed.amax(-1)
    sharp = footed.clamp(min=1.5).sub(1.5).sum(-1)
    out |= {"max": largest, "sum3": over(largest, 3), "sum6": over(largest, 6), "parts": sharp, "parts3": over(sharp, 3),
            "parts6": over(sharp, 6)}
    return out


def auroc(high, low):
    d = high[:, None] - low[None]
    return ((d > 0).float() + 0.5 * (d == 0).float()).mean().item()


@torch.no_grad()
def stored(folder, kind: str, perception=None):
    """Of the drawn videos of a kind: tokens and maps as perceived (None without a perception; kept in a file), and as the
    generator knows them."""
    drawn = torch.load(pathlib.Path(folder) / f"{kind}.pt")
    truth = drawn["tokens"].float(), drawn["maps"].float().permute(0, 1, 4, 2, 3) / 255
    if perception is None:
        return None, truth
    cache = pathlib.Path(folder) / f"{kind}.seen.pt"
    if not cache.exists():
        torch.save(perceive(drawn["video"], perception), cache)
    tokens, maps = torch.load(cache)
    return (tokens.float(), maps), truth


def told_apart(net, load, kinds):
    """For each score the share of twins told apart by kind, and the AUROC of single videos; load(kind) gives tokens and
    maps of the twins, and of "lawful" videos for the footing."""
    footing = Footing(energies(net, *load("lawful")))
    result, all_high, all_low = {}, {}, {}
    for kind in kinds:
        for name, s in scores(footing(energies(net, *load(kind)))).items():
            top = s[:, WARM_UP:].amax(1)
            low, high = top[0::2], top[1::2]
            d = high - low
            result.setdefault(name, {})[kind] = ((d > 1e-6).float() + 0.5 * (d.abs() <= 1e-6).float()).mean().item()
            all_high.setdefault(name, []).append(high)
            all_low.setdefault(name, []).append(low)
    return result, {name: auroc(torch.cat(all_high[name]), torch.cat(all_low[name])) for name in result}


def line(name: str, shares, area: float, kinds: bool):
    """A score in words: means over all kinds, those in view and the hidden ones, per cent; kinds: each kind too."""
    view, hidden = ([v for k, v in shares.items() if (k in HIDDEN) == behind] for behind in (False, True))
    means = (100 * sum(v) / max(1, len(v)) for v in (list(shares.values()), view, hidden))
    text = "{:13s} all {:.1f} view {:.1f} hidden {:.1f} auroc {:.3f}".format(name, *means, area)
    return text + (" " + " ".join(f"{k}:{100 * v:.0f}" for k, v in shares.items()) if kinds else "")


def drawn_kinds(folder):
    return [kind for kind in VIOLATIONS if (pathlib.Path(folder) / f"{kind}.pt").exists()]


def table(net, folder, perception=None, show=("max", "sum3", "sum6", "parts3")):
    """Prints and gives the share of twins told apart by kind, for each score."""
    def load(kind):
        seen, truth = stored(folder, kind, perception)
        return truth if perception is None else seen
    result, areas = told_apart(net, load, drawn_kinds(folder))
    for name, shares in result.items():
        print(line(name, shares, areas[name], name in show))
    return result


KNOWLEDGE = ("perceived", "no ghosts", "detection", "attributes", "true")
FILLED = 0.8  # confidence of what was missed and is put in
LEAST_SHARE = 0.15  # visible share of what is put in, at least


def informed(how: str, seen, truth):
    """What was seen, with one thing more known (tokens and maps): "no ghosts": what belongs to no thing is left out;
    "detection": what was missed is put in as well; "attributes": what was found is described as it is; "true": all."""
    if how == "perceived":
        return seen
    if how == "true":
        return truth
    (tokens, maps), known = seen, truth[0]
    owner = owners(tokens, known)
    found = (owner >= 0)[..., None]
    if how == "attributes":
        true = known.gather(2, owner.clamp(min=0)[..., None].expand(*owner.shape, known.shape[-1]))
        described = torch.where(found, true, tokens)
        return torch.cat([tokens[..., :1], described[..., 1:]], -1), maps
    tokens = tokens * (found | (tokens[..., :1] < KEEP))
    if how == "no ghosts":
        return tokens, maps
    for n in range(known.shape[2]):
        missed = (known[..., n, 0] > 0.5) & (known[..., n, 1] > LEAST_SHARE) & ~(owner == n).any(2)
        thing = torch.cat([torch.full_like(known[..., n, :1], FILLED), known[..., n, 1:]], -1)
        free = torch.nn.functional.one_hot(tokens[..., 0].argmin(2), tokens.shape[2]).bool()
        tokens = torch.where((free & missed[..., None])[..., None], thing[..., None, :], tokens)
    return tokens, maps


def oracle(net, folder, perception, score: str = "sum6"):
    """What would have to be known? Prints and gives the share of twins told apart by kind, for each of KNOWLEDGE."""
    out = {}
    for how in KNOWLEDGE:
        result, areas = told_apart(net, lambda kind, how=how: informed(how, *stored(folder, kind, perception)), drawn_kinds(folder))
        print(line(how, result[score], areas[score], True), flush=True)
        out[how] = result[score]
    return out


def main():
    from .train import newest, perception
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("mode", choices=("table", "oracle"), help="every score; or what would have to be known")
    p.add_argument("checkpoints", help="folder of the trained nets")
    p.add_argument("--twins", required=True, help="folder of twins; those that are not there are drawn first")
    p.add_argument("--pairs", type=int, default=24, help="of each kind")
    p.add_argument("--seed", type=int, default=31)
    p.add_argument("--held-out", action="store_true", help="shapes and textures that training never shows")
    a = p.parse_args()
    draw(a.twins, a.pairs, a.seed, held_out=a.held_out)
    net = newest(a.checkpoints, "predictor", Predictor())
    (oracle if a.mode == "oracle" else table)(net, a.twins, perception(a.checkpoints))


if __name__ == "__main__":
    main()
