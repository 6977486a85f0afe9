"""Train the control: python -m startle_models.rssm.train --out FOLDER --films FILMS --minutes M.

FILMS holds the clips of the bundled model, a file of 16 videos a chunk (`objects.train films`). FOLDER/rssm.pt goes on where it was stopped; FOLDER/rssm.csv is its log.
"""

from __future__ import annotations

import argparse
import copy
import pathlib

import torch

from ..objects.run import Run, follow, rate
from .net import LATENT, MEMORY, Rssm, divergence, patches

BATCH, FRAMES = 16, 40
RATE = 1e-3
FREE = 1.0  # nats of divergence that cost nothing
DYNAMICS, REPRESENTATION = 1.0, 0.1  # weights of the two sides of the divergence
MOST = 240  # chunks kept in memory, 12 MB each


class Films:
    """Clips in memory as uint8 [C,F,3,SIDE,SIDE]; refresh() takes in what is new."""

    def __init__(self, folder):
        self.folder, self.names, self.clips = pathlib.Path(folder), set(), []
        self.refresh()
        if not self.clips:
            raise SystemExit(f"{folder}: there are no clips")

    def refresh(self, most: int = 20):
        """At most `most` new chunks at a time."""
        room = min(MOST - len(self.clips), most)
        for file in [f for f in sorted(self.folder.glob("*.pt")) if f not in self.names][:room]:
            video = torch.load(file)["video"]
            self.clips.append(small(video))
            self.names.add(file)

    def batch(self, size: int, frames: int):
        """Random clips [size,frames,PIXELS,CELLS,CELLS] in [-0.5,0.5]; mirrored, their colours swapped and turned."""
        out = []
        for chunk in torch.randint(len(self.clips), (size,)).tolist():
            videos = self.clips[chunk]
            start = int(torch.randint(videos.shape[1] - frames + 1, (1,)))
            one = videos[int(torch.randint(len(videos), (1,))), start:start + frames, torch.randperm(3)].float() / 255 - 0.5
            turn = torch.where(torch.rand(3) < 0.25, -1.0, 1.0) * (0.8 + 0.2 * torch.rand(3))
            one = one * turn.view(3, 1, 1)
            out.append(one.flip(-1) if torch.rand(()) < 0.5 else one)
        return patches(torch.stack(out).flatten(0, 1)).unflatten(0, (size, frames))


def small(video):
    """uint8 [C,F,S,S,3] to uint8 [C,F,3,SIDE,SIDE], as the graph makes its pictures small."""
    pixels = torch.nn.functional.pixel_shuffle(patches(video.flatten(0, 1).permute(0, 3, 1, 2).float()), 4)
    return pixels.round().clamp(0, 255).to(torch.uint8).unflatten(0, video.shape[:2])


def unroll(net: Rssm, clips):
    """Memories, latents and log probabilities before and after seeing, each [B,F,..]."""
    b, f = clips.shape[:2]
    with torch.autocast("cpu", torch.bfloat16):
        seen = net.embed(clips.flatten(0, 1)).float().unflatten(0, (b, f))
    h, z, out = torch.zeros(b, MEMORY), torch.zeros(b, LATENT), []
    for t in range(f):
        h = net.next(h, z)
        after = net.posterior(h, seen[:, t])
        p = after.exp()
        with torch.no_grad():
            drawn = torch.distributions.OneHotCategorical(probs=p).sample()
        z = (drawn + p - p.detach()).flatten(1)
        out.append((h, z, after))
    h, z, after = (torch.stack(x, 1) for x in zip(*out))
    return h, z, net.prior(h.flatten(0, 1)).unflatten(0, (b, f)), after


def loss(net: Rssm, clips):
    """Scalar and its parts: nats a picture."""
    h, z, before, after = unroll(net, clips)
    with torch.autocast("cpu", torch.bfloat16):
        drawn = net.draw(torch.cat([h, z], -1).flatten(0, 1))
    pixels = (drawn.float() - clips.flatten(0, 1)).square().sum((1, 2, 3)).mean() / 2
    dynamics = divergence(after.detach(), before)[:, 1:]
    representation = divergence(after, before.detach())[:, 1:]
    total = pixels + DYNAMICS * dynamics.clamp(min=FREE).mean() + REPRESENTATION * representation.clamp(min=FREE).mean()
    spread = -(after.exp() * after).sum(-1).mean()
    return total, {"pixels": pixels.item(), "latent": dynamics.mean().item(), "entropy": spread.item()}


def train(folder, films, minutes: float, seed: int = 0):
    """Train for `minutes` of a processor in all, going on from `folder`/rssm.pt if there is one."""
    run = Run(folder, "rssm", minutes)
    state = run.load()
    torch.manual_seed(seed + run.step)
    net = Rssm()
    average = copy.deepcopy(net)
    step = torch.optim.AdamW(net.parameters(), RATE, (0.9, 0.99), weight_decay=0.01)
    if state:
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        step.load_state_dict(state["optimizer"])
    pool, recent = Films(films), {}

    def keep():
        run.save(net=net.state_dict(), average=average.state_dict(), optimizer=step.state_dict())
        run.log(chunks=len(pool.clips), **recent)
    while run.progress < 1:
        total, parts = loss(net, pool.batch(BATCH, FRAMES))
        step.param_groups[0]["lr"] = RATE * rate(run.progress, run.step)
        step.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 100.0)
        step.step()
        follow(average, net, run.step, 0.99)
        recent = {k: 0.97 * recent.get(k, v) + 0.03 * v for k, v in parts.items()}
        run.step += 1
        if run.step % 20 == 0:
            pool.refresh()
        if run.due() or run.step == 10:
            keep()
    keep()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", required=True, help="folder of the checkpoint and its log")
    p.add_argument("--films", required=True, help="folder of clips")
    p.add_argument("--minutes", type=float, default=140, help="of a processor in all, over every piece of it")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--threads", type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    train(a.out, a.films, a.minutes, a.seed)


if __name__ == "__main__":
    main()
