"""Stage `encoder`: pictures of the generator to what stands where. The gate: things found and invented, places."""

from __future__ import annotations

import copy

import torch

from ..world.bank import COUNT
from ..world.bank import KEPT_BACK as KEPT
from . import pictures
from .augment import augment_pictures
from .encoder import Encoder, loss, tokens
from .labels import CELLS
from .muon import Muon
from .run import Run, follow, rate

BATCH = 32
RATES = (0.02, 2e-3)  # Muon, AdamW
OTHER_GROUND = 0.55
SURE = 0.35  # confidence from which something counts as seen
BIG = 0.015  # width x height in shares from which a thing must be found


def optimizers(net):
    """Muon for the convolutions within, AdamW for the first and last layers, biases and norms."""
    names = dict(net.named_parameters())
    inner = [n for n, p in names.items() if p.ndim == 4 and not n.startswith("stem.0") and not n.startswith("head.1")]
    rest = [p for n, p in names.items() if n not in inner]
    return [Muon([names[n] for n in inner], RATES[0]), torch.optim.AdamW(rest, RATES[1], (0.9, 0.98), weight_decay=1e-4)]


@torch.no_grad()
def measure(raw, things):
    """Shares of things found (all, big ones), things invented a picture, median errors of place in cells, of size as a
    ratio and of colour, for heads of labelled pictures."""
    seen, _ = tokens(raw.float())
    sure = seen[..., 0] > SURE
    there, hardly = things[..., 0] == 1, things[..., 0] > 0
    gap = ((seen[:, None, :, 2:4] - things[:, :, None, 2:4]).abs() / (things[:, :, None, 4:6] + 0.01)).amax(-1)
    fits = (gap < 0.6) & sure[:, None]
    found = fits.any(-1) & there
    invented = sure & ~((gap < 1.0) & hardly[..., None]).any(1)
    at = torch.where(fits, gap, torch.inf).argmin(-1)
    match = seen.gather(1, at[..., None].expand(-1, -1, seen.shape[-1]))[found]
    truth = things[found]
    big = there & (4 * things[..., 4] * things[..., 5] > BIG)
    return {
        "found": (found.sum() / there.sum()).item(), "found_big": ((found & big).sum() / big.sum()).item(),
        "invented": (invented.sum() / len(things)).item(),
        "place": ((match[:, 2:4] - truth[:, 2:4]).abs().mean(-1).median() * CELLS).item(),
        "size": ((match[:, 4:6] / truth[:, 4:6]).log().abs().mean(-1).median()).item(),
        "colour": (match[:, 7:10] - truth[:, 7:10]).abs().mean(-1).median().item(),
        "shape": (match[:, 10:].argmax(-1) == truth[:, 10:].argmax(-1)).float().mean().item(),
    }


KEPT_BACK = {"tiles": (COUNT, COUNT + KEPT), "variety": 1.0, "textured": 1.0, "pattern": 0.9}
HELD_OUT = {"held_out": True, "variety": 0.0}


def gates(count: int = 2):
    """Labelled pictures by name: tiles that training does not show, as they are and before other grounds; shapes and
    textures that it never shows (to report, not to choose by)."""
    state = torch.get_rng_state()
    torch.manual_seed(5)

    def drawn(change):
        parts = [pictures.chunk(i, 999, **change) for i in range(count)]
        return (torch.cat(t) for t in zip(*parts))
    picture, things, maps, front = drawn(KEPT_BACK)
    other, turned, _ = augment_pictures(picture, things, maps.float() / 255, front, 1.0)
    held_out, known, _, _ = drawn(HELD_OUT)
    torch.set_rng_state(state)

    def plain(p):
        return p.permute(0, 3, 1, 2).float() / 127.5 - 1
    return {"": (plain(picture), things), "other_": (other, turned), "held_out_": (plain(held_out), known)}


@torch.no_grad()
def gate(net, sets):
    out = {}
    for name, (pixels, things) in sets.items():
        raw = torch.cat([net(p.contiguous(memory_format=torch.channels_last)) for p in pixels.split(96)])
        out |= {name + k: v for k, v in measure(raw, things).items()}
    return out


def train(folder, minutes: float, seed: int = 0):
    """Train for `minutes` in all, going on from `folder`/encoder.pt if there is one."""
    run = Run(folder, "encoder", minutes)
    state = run.load()
    torch.manual_seed(seed + run.step)
    net = Encoder()
    net.to(memory_format=torch.channels_last)
    average = copy.deepcopy(net).eval()
    steps = optimizers(net)
    source = pictures.Pictures(seed, state["made"] if state else 0, films=f"{folder}/films")
    if state:
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        for o, s in zip(steps, state["optimizers"]):
            o.load_state_dict(s)
    sets, recent = gates(), {}

    def keep():
        run.save(net=net.state_dict(), average=average.state_dict(), made=source.made,
                 optimizers=[o.state_dict() for o in steps])
        run.log(made=source.made, **{"loss_" + k: v for k, v in recent.items()}, **gate(average, sets))
    while run.progress < 1:
        picture, things, maps, front = source.batch(BATCH)
        x, things, maps = augment_pictures(picture, things, maps.float() / 255, front, OTHER_GROUND)
        factor = rate(run.progress, run.step)
        for o, base in zip(steps, RATES):
            o.param_groups[0]["lr"] = base * factor
        with torch.autocast("cpu", torch.bfloat16):
            raw = net(x.contiguous(memory_format=torch.channels_last))
        total, parts = loss(raw, things, maps)
        for o in steps:
            o.zero_grad(set_to_none=True)
        total.backward()
        for o in steps:
            o.step()
        follow(average, net, run.step)
        recent = {k: 0.98 * recent.get(k, v) + 0.02 * v for k, v in parts.items()}
        run.step += 1
        if run.due() or run.step == 60:
            keep()
    keep()
    source.close()
