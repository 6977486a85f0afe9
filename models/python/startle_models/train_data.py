"""Training clips: a ring of lawful videos, refilled as it is used, cut into augmented clips."""

from __future__ import annotations

import dataclasses

import torch

from .net import NetConfig
from .world import SceneSpec, lawful_video_with_events
from .world.codec import shrink, through_encoder

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
FPS = 10.0           # model frames per second
VIDEO_FRAMES = 32
CHUNK = 32           # videos per generator call
CURRICULUM = 6_000   # videos until scenes have their full variety
CODEC_EVERY = 11     # one chunk in so many goes through a real encoder at CODEC_SIZE
CODEC_SIZE = (108, 192)
CONTEXT_SLOTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
CONTEXT_WEIGHTS = (0.01, 0.03, 0.05, 0.27, 0.05, 0.05, 0.05, 0.06, 0.06, 0.37)  # most for those that are used
HORIZON = 2
CONTEXTS = (8, 20)   # frames: the contexts that are judged and exported
EVENTFUL = 0.6       # share of clips in whose first predicted slot something happens
EVENT_WEIGHTS = (6.0, 1.0)  # of coming out from behind something, and of changes of motion, which are many


def normalise(video):
    """uint8 [B,T,H,W,3] to float [B,T,3,H,W] with mean and standard deviation as stated above."""
    mean, std = torch.tensor(MEAN, device=video.device), torch.tensor(STD, device=video.device)
    return ((video.float() / 255 - mean) / std).permute(0, 1, 4, 2, 3)


def curriculum(index: int, warm: bool = False) -> SceneSpec:
    """Scene ranges of chunk `index`: plain at first (unless warm), then of the full variety. In every eight chunks one has
    simpler scenes, three have screens that things pass behind, one has things in the air."""
    turn = index % 8
    spec = SceneSpec.curriculum((1.0 if warm else min(1.0, index * CHUNK / CURRICULUM)) * (0.4 if turn == 4 else 1.0))
    if turn in (1, 3, 7):
        return dataclasses.replace(spec, screens=1.0, airborne=0.15, entering=0.5, hung=0.03,
                                   stages=(0.85, 0.04, 0.03, 0.03, 0.05), second_stage=0.05)
    return dataclasses.replace(spec, airborne=0.8, resting=0.05) if turn == 5 else spec


def chunk_video(index: int, seed: int, cfg: NetConfig, device="cpu", warm: bool = False):
    """Chunk `index` of the training stream: CHUNK videos and their events [CHUNK, VIDEO_FRAMES, 2], a function of (seed,
    index, warm) alone. A quarter of the chunks stems from sources of 6 to 30 frames a second, some pass a real encoder."""
    g = torch.Generator().manual_seed(seed * 1_000_003 + index)
    source_fps = float(6 + 24 * torch.rand(1, generator=g)) if index % 8 in (2, 3) else None
    spec, size = curriculum(index, warm), (cfg.crop, cfg.crop)
    if index % CODEC_EVERY:
        return lawful_video_with_events(CHUNK, VIDEO_FRAMES, FPS, *size, g, spec, source_fps, device)
    video, moments = lawful_video_with_events(CHUNK, VIDEO_FRAMES, FPS, *CODEC_SIZE, g, spec, source_fps, device)
    crf = torch.randint(20, 36, (CHUNK,), generator=g)
    coded = through_encoder(video.cpu(), FPS, crf, torch.rand(CHUNK, generator=g) < 0.2)
    return shrink(coded, *size).to(device), moments


class Clips:
    """Random clips out of a ring of videos; `reuse` clips are drawn per generated video.

    Rank r of n makes the chunks r, r + n, … of the stream. made: chunks that earlier pieces of the run made;
    warm: the net has had its curriculum.
    """

    def __init__(self, cfg: NetConfig, seed: int, rank: int = 0, ranks: int = 1, made: int = 0, device="cpu",
                 warm: bool = False, capacity: int = 4096, first: int = 8, reuse: float = 20.0):
        self.cfg, self.seed, self.rank, self.ranks, self.device = cfg, seed, rank, ranks, device
        self.warm = warm
        self.made, self.reuse, self.due, self.have, self.next = made, reuse, 0.0, 0, 0
        self.ring = torch.zeros(capacity, VIDEO_FRAMES, cfg.crop, cfg.crop, 3, dtype=torch.uint8, device=device)
        self.weight = torch.zeros(capacity, VIDEO_FRAMES)
        for _ in range(first):
            self._add()

    def _add(self):
        video, moments = chunk_video(self.made * self.ranks + self.rank, self.seed, self.cfg, self.device, self.warm)
        self.ring[self.next:self.next + CHUNK] = video
        self.weight[self.next:self.next + CHUNK] = (moments.cpu() * torch.tensor(EVENT_WEIGHTS)).amax(-1)
        self.next = (self.next + CHUNK) % len(self.ring)
        self.have = min(self.have + CHUNK, len(self.ring))
        self.made += 1

    def batch(self, size: int, frames: int, generator):
        """uint8 [size, frames, H, W, 3]: random videos and starts, flipped and colour-permuted."""
        self.due += size / self.reuse / CHUNK
        if self.due >= 1:
            self.due -= 1
            self._add()
        clips = []
        for i, start in self._places(size, frames, generator):
            clip = self.ring[i, start:start + frames][..., torch.randperm(3, generator=generator)]
            clips.append(clip.flip(2) if torch.rand(1, generator=generator) < 0.5 else clip)
        return torch.stack(clips)

    def _places(self, size: int, frames: int, generator) -> list[tuple[int, int]]:
        """Videos and starts: at random, but in the share EVENTFUL of them something happens in the first of the
        predicted slots."""
        which = torch.randint(self.have, (size,), generator=generator)
        start = torch.randint(VIDEO_FRAMES - frames + 1, (size,), generator=generator)
        context = frames - HORIZON * self.cfg.tubelet
        weight = self.weight[:self.have, context:VIDEO_FRAMES - self.cfg.tubelet]
        row, moment = weight.nonzero().T
        if len(row):
            wanted = torch.rand(size, generator=generator) < EVENTFUL
            pick = torch.multinomial(weight[row, moment], size, True, generator=generator)
            early = torch.randint(self.cfg.tubelet, (size,), generator=generator)
            at = (moment[pick] - early).clamp(0, VIDEO_FRAMES - frames)
            which, start = torch.where(wanted, row[pick], which), torch.where(wanted, at, start)
        return list(zip(which.tolist(), start.tolist()))
