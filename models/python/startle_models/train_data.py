"""Training clips: a ring of lawful videos, refilled by a generator process, cut into augmented clips."""

from __future__ import annotations

import os
import time

import torch
import torch.multiprocessing as mp

from .net import NetConfig
from .world import SceneSpec, lawful_video

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
FPS = 10.0           # model frames per second
VIDEO_FRAMES = 24
CHUNK = 32           # videos per generator call
CURRICULUM = 12_000  # videos until textures and screens have their full share
CONTEXT_SLOTS = (1, 2, 3, 4, 5, 6)
CONTEXT_WEIGHTS = (0.04, 0.16, 0.32, 0.22, 0.11, 0.15)
HORIZON = 2


def normalise(video):
    """uint8 [B,T,H,W,3] to float [B,T,3,H,W] with mean and standard deviation as stated above."""
    mean, std = torch.tensor(MEAN, device=video.device), torch.tensor(STD, device=video.device)
    return ((video.float() / 255 - mean) / std).permute(0, 1, 4, 2, 3)


def curriculum(made: int, full: SceneSpec | None = None) -> SceneSpec:
    """Scene ranges after `made` videos: plain surfaces and few objects first."""
    full = full or SceneSpec()
    p = min(1.0, made / CURRICULUM)
    plain = (0.04, 0.62, 0.34, 0.0)
    objects = tuple(a * (1 - p) + b * p for a, b in zip(plain, full.objects))
    values = {n: getattr(full, n) * p for n in ("textured", "screens", "pattern")}
    return SceneSpec(objects=objects, **values)


def chunk_video(index: int, seed: int, cfg: NetConfig):
    """Chunk `index` of the training stream: CHUNK videos, a function of (seed, index) alone."""
    g = torch.Generator().manual_seed(seed * 1_000_003 + index)
    return lawful_video(CHUNK, VIDEO_FRAMES, FPS, cfg.crop, cfg.crop, g, curriculum(index * CHUNK))


def _worker(ring, made, wanted, spent, seed: int, cfg: NetConfig, parent: int):
    torch.set_num_threads(1)
    while os.getppid() == parent:
        index = int(made[0]) // CHUNK
        if made[0] >= wanted[0]:
            time.sleep(0.05)
            continue
        video = chunk_video(index, seed, cfg)
        slot = index * CHUNK % ring.shape[0]
        ring[slot:slot + CHUNK] = video
        made[0] += CHUNK
        spent[0] = time.process_time()


class Clips:
    """Random clips out of a ring of videos.

    reuse: clips drawn per generated video. workers 0: generation in this process, the stream of batches
    is then a function of the seed alone; workers 1: in a second process, faster, order depends on timing.
    """

    def __init__(
        self, cfg: NetConfig, seed: int, capacity: int = 4096, reuse: float = 10.0, workers: int = 1, made: int = 0
    ):
        self.cfg, self.seed, self.reuse, self.workers = cfg, seed, reuse, workers
        self.ring = torch.zeros(capacity, VIDEO_FRAMES, cfg.crop, cfg.crop, 3, dtype=torch.uint8).share_memory_()
        self.start = made
        self.made = torch.tensor([made], dtype=torch.int64).share_memory_()
        self.wanted = torch.tensor([made + 8 * CHUNK], dtype=torch.int64).share_memory_()
        self.spent = torch.zeros(1, dtype=torch.float64).share_memory_()  # core-seconds of the worker
        self.drawn = 0.0
        self.process = None
        if workers:
            ctx = mp.get_context("spawn")
            args = (self.ring, self.made, self.wanted, self.spent, seed, cfg, os.getpid())
            self.process = ctx.Process(target=_worker, args=args, daemon=True)
            self.process.start()
        self._fill()

    def _fill(self):
        self.wanted[0] = self.start + 8 * CHUNK + int(self.drawn / self.reuse)
        if self.workers:
            while self.made[0] < self.start + 4 * CHUNK:
                if not self.process.is_alive():
                    raise RuntimeError("the generator process ended")
                time.sleep(0.1)
            return
        while self.made[0] < self.wanted[0]:
            index = int(self.made[0]) // CHUNK
            slot = index * CHUNK % self.ring.shape[0]
            self.ring[slot:slot + CHUNK] = chunk_video(index, self.seed, self.cfg)
            self.made[0] += CHUNK

    def batch(self, size: int, frames: int, generator):
        """uint8 [size, frames, H, W, 3]: random videos and starts, flipped and colour-permuted."""
        self.drawn += size
        self._fill()
        have = min(int(self.made[0]) - self.start, self.ring.shape[0])
        first = self.start % self.ring.shape[0]
        which = (first + torch.randint(have, (size,), generator=generator)) % self.ring.shape[0]
        start = torch.randint(VIDEO_FRAMES - frames + 1, (size,), generator=generator)
        clips = torch.stack([self.ring[i, s:s + frames] for i, s in zip(which.tolist(), start.tolist())])
        flip = torch.rand(size, generator=generator) < 0.5
        clips[flip] = clips[flip].flip(3)
        for i in range(size):
            clips[i] = clips[i][..., torch.randperm(3, generator=generator)]
        return clips

    def close(self):
        if self.process is not None:
            self.process.terminate()
            self.process.join()
