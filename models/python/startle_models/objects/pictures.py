"""Pictures to train the encoder on: a stream of chunks made beside the training, a function of (seed, index) alone."""

from __future__ import annotations

import dataclasses
import multiprocessing
import pathlib

import numpy as np
import torch

from ..world import VARIED, SceneSpec, render, sample_scenes, simulate
from .labels import SIDE, label

SCENES, SHOTS, SECONDS = 32, 6, 6.0
EXPOSED = 0.1  # seconds from picture to picture at the model's clock
RING = 96  # chunks kept
REUSE = 4  # times that a picture is drawn, about


def spec(index: int, **change) -> SceneSpec:
    """Scenes of chunk `index`: half of them as wide as can be; some crowded with screens, some with ledges and ramps."""
    change = (VARIED if index % 4 else {}) | change
    base = SceneSpec.wide(**change) if index % 2 else SceneSpec(noise=0.02, blur=0.3, size=(0.03, 0.25), **change)
    turn = index // 2 % 4
    if turn == 1:
        return dataclasses.replace(base, screens=1.0, airborne=0.15, entering=0.5, hung=0.03,
                                   stages=(0.7, 0.08, 0.08, 0.07, 0.07))
    if turn == 3:
        return dataclasses.replace(base, stages=(0.2, 0.2, 0.2, 0.2, 0.2), second_stage=0.5, airborne=0.5)
    return base


def chunk(index: int, seed: int, **change):
    """Pictures uint8 [n,SIDE,SIDE,3], things [n,N,14], maps uint8 [n,G,G,3], front bool [n,SIDE,SIDE]; n = SCENES x SHOTS."""
    g = torch.Generator().manual_seed(seed * 1_000_003 + index)
    scene = sample_scenes(SCENES, SECONDS, g, spec(index, **change))
    times = (torch.arange(SHOTS, dtype=torch.float64) + torch.rand(1, generator=g).double() * 0.9) * (SECONDS / SHOTS)
    track = simulate(scene, times)
    scene.look.shutter *= EXPOSED * SHOTS / SECONDS  # render() opens it for a share of the time since the shot before
    video = render(scene.look, track, SIDE, SIDE, g, ss=1 + index % 3 % 2)
    said = label(scene.look, track)
    return tuple(t.flatten(0, 1) for t in (video, said.things, said.maps, said.front))


def _make(seed, first, queue):
    torch.set_num_threads(1)
    index = first
    while True:
        queue.put((index, tuple(t.numpy() for t in chunk(index, seed))))
        index += 1


def from_film(file, count: int = SCENES * SHOTS):
    """Random pictures of a film (see clips.filmed), as chunk() gives them."""
    film = torch.load(file)
    clips, frames = film["video"].shape[:2]
    at = (torch.randint(clips, (count,)), torch.randint(frames, (count,)))
    front = torch.from_numpy(np.unpackbits(film["front"].numpy(), -1)).bool()
    return film["video"][at], film["things"][at], film["maps"][at], front[at]


class Pictures:
    """A ring of chunks that another process refills, every other one from a film where there are films; made: the next
    chunk's index."""

    def __init__(self, seed: int, made: int = 0, first: int = 6, films=None):
        self.films = pathlib.Path(films) if films else None
        self.queue = multiprocessing.Queue(2)
        self.process = multiprocessing.Process(target=_make, args=(seed, made, self.queue), daemon=True)
        self.process.start()
        self.ring, self.made, self.owed = [], made, 0.0
        for _ in range(first):
            self._take()

    def _take(self):
        films = sorted(self.films.glob("*.pt")) if self.films else []
        if films and torch.rand(()) < 0.5:
            self.ring.append(from_film(films[int(torch.randint(len(films), (1,)))]))
        else:
            index, arrays = self.queue.get()
            self.made = index + 1
            self.ring.append(tuple(torch.from_numpy(a) for a in arrays))
        del self.ring[:-RING]

    def batch(self, size: int, parts: int = 8):
        """`size` random pictures from `parts` chunks with their labels."""
        self.owed = min(self.owed + size / REUSE / (SCENES * SHOTS), 2.0)
        if self.owed >= 1 and not self.queue.empty():
            self.owed -= 1
            self._take()
        drawn = []
        for c in torch.randint(len(self.ring), (parts,)).tolist():
            at = torch.randint(len(self.ring[c][0]), (size // parts,))
            drawn.append([t[at] for t in self.ring[c]])
        return [torch.cat(t) for t in zip(*drawn)]

    def close(self):
        self.process.terminate()
