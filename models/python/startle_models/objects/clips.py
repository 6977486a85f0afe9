"""Clips to train the predictor on: tokens and maps of lawful videos, as the generator knows them or as the encoder sees
them, with what is true beside them."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import torch

from ..world import VARIED, SceneSpec, frame_times, render, sample_scenes, simulate
from ..world.codec import shrink, through_encoder
from .augment import augment, uniform
from .encoder import Perception, targets
from .labels import ATTRIBUTES, SIDE, Labels, label

FPS = 10.0
FRAMES = 60
LONGEST = 100  # pictures of a scene of which a window of FRAMES is cut
HEIGHT, WIDTH = 108, 192  # that a film is rendered and encoded at
CLIPS = 16  # of a chunk
TOKENS = 7  # kept of a picture
LATER = 260  # chunks from here on also have low panels, and scenes of 6 to 10 s of which a window is cut
MOVES = 0.004  # shares a picture^2: motion that changes by so much is an event
AFTER = 2  # pictures for which an event counts on
BATCH = 96  # pictures that are encoded together


@dataclasses.dataclass
class Clips:
    """tokens half [C,F,TOKENS,14]; maps uint8 [C,F,G,G,LAYERS]; event bool [C,F,TOKENS]: the motion of the token's thing has
    just changed."""

    tokens: torch.Tensor
    maps: torch.Tensor
    event: torch.Tensor

    def __getitem__(self, index):
        return Clips(*(getattr(self, f.name)[index] for f in dataclasses.fields(self)))

    @classmethod
    def cat(cls, parts):
        return cls(*(torch.cat([getattr(p, f.name) for p in parts]) for f in dataclasses.fields(cls)))


def spec(index: int) -> SceneSpec:
    """Scenes of chunk `index`: from LATER on in one chunk of five low tilted panels, in one what lingers out of sight."""
    if index < LATER or index % 5 not in (1, 3):
        return plain_spec(index)
    more = {"panels": 0.8} if index % 5 == 1 else {"panels": 0.2, "linger": 0.7}
    return dataclasses.replace(plain_spec(index), screens=1.0, **more)


def plain_spec(index: int) -> SceneSpec:
    """Scenes of chunk `index` without those: screens, ledges and falls, things in the air, and everything; every other one with cameras
    of all kinds, three in four with surfaces and shapes of many kinds."""
    change = VARIED if index % 4 else {}
    base = SceneSpec.wide(**change) if index % 2 else SceneSpec(size=(0.04, 0.25), **change)
    turn = index // 2 % 8
    if turn in (1, 4, 6):
        return dataclasses.replace(base, screens=1.0, airborne=0.15, entering=0.5, hung=0.03,
                                   stages=(0.8, 0.05, 0.05, 0.05, 0.05), second_stage=0.1)
    if turn == 2:
        return dataclasses.replace(base, stages=(0.1, 0.5, 0.2, 0.1, 0.1), second_stage=0.6, screens=0.2)
    if turn == 5:
        return dataclasses.replace(base, stages=(0.1, 0.2, 0.1, 0.5, 0.1), second_stage=0.6, screens=0.2)
    if turn == 3:
        return dataclasses.replace(base, airborne=0.8, resting=0.05)
    return base


def film(index: int, seed: int):
    """A chunk's scenes: look and track."""
    g = torch.Generator().manual_seed(seed * 1_000_003 + index)
    source = float(12 + 18 * torch.rand(1, generator=g)) if index % 3 == 2 else None
    longer = int(torch.randint(LONGEST - FRAMES + 1, (1,), generator=g)) if index >= LATER and index % 5 == 3 else 0
    scene = sample_scenes(CLIPS, (FRAMES + longer) / FPS, g, spec(index))
    start = int(torch.randint(longer + 1, (1,), generator=g)) if longer else 0
    track = simulate(scene, frame_times(start + FRAMES, FPS, source))
    return scene.look, track.frames(slice(start, None)), g


def events(things):
    """[B,F,N] bool: the motion of a thing has changed now or up to AFTER pictures ago."""
    place, on = things[..., 2:4], things[..., 0] == 1
    bend = torch.zeros_like(on)
    jerk = (place[:, 2:] - 2 * place[:, 1:-1] + place[:, :-2]).norm(dim=-1)
    bend[:, 2:] = (jerk > MOVES) & on[:, 2:] & on[:, 1:-1] & on[:, :-2]
    for _ in range(AFTER):
        bend[:, 1:] |= bend[:, :-1].clone()
    return bend


def known(labels: Labels) -> Clips:
    """As the generator knows them: what is hardly seen is seen at random, the order is random."""
    things = labels.things.clone()
    n = things.shape[2]
    seen = torch.where(things[..., 0] == 0.5, (torch.rand(things.shape[:3]) < 0.3).float(), things[..., 0])
    things = things * seen[..., None]
    things[..., 0] = seen
    pad = (0, 0, 0, TOKENS - n)
    tokens = torch.nn.functional.pad(things, pad)
    event = torch.nn.functional.pad(events(labels.things), (0, TOKENS - n))
    heat = (targets(things.flatten(0, 1))[0].view(*labels.maps.shape[:-1], 1) * 255).round().to(torch.uint8)
    return Clips(tokens.half(), torch.cat([labels.maps, heat], -1), event)


@torch.no_grad()
def encode(pixels, perception: Perception):
    """pixels [B,F,3,SIDE,SIDE] to tokens [B,F,TOKENS,14] and maps uint8 [B,F,G,G,3]."""
    flat = pixels.flatten(0, 1)
    parts = [perception(p.contiguous(memory_format=torch.channels_last)) for p in flat.split(BATCH)]
    tokens, maps = (torch.cat(t).unflatten(0, pixels.shape[:2]) for t in zip(*parts))
    return tokens[:, :, :TOKENS], (maps * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2)


def owners(tokens, things):
    """Index [B,F,K] of the thing that a token shows, or -1."""
    gap = (tokens[..., :, None, 2:4] - things[..., None, :, 2:4]).abs() / (things[..., None, :, 4:6] + 0.02)
    gap = torch.where((things[..., 0] > 0)[..., None, :], gap.amax(-1), torch.inf)
    least, at = gap.min(-1)
    return torch.where((least < 0.8) & (tokens[..., 0] > 0.15), at, -1)


def filmed(look, track, generator):
    """A chunk's videos uint8 [C,F,SIDE,SIDE,3], three in four as a video encoder leaves them, and what is true of them:
    things and maps (see Labels), front as bits, and whether the camera stands still [C]."""
    truth = label(look, track)
    video = render(look, track, HEIGHT, WIDTH, generator, ss=1)
    coded = (torch.rand(len(video), generator=generator) < 0.75).nonzero()[:, 0]
    crf = 15 + 17 * torch.rand(len(coded), generator=generator)
    if len(coded):
        video[coded] = through_encoder(video[coded], FPS, crf.tolist())
    still = (track.cam_pos == track.cam_pos[:, :1]).flatten(1).all(1) & (track.cam_rot == track.cam_rot[:, :1]).flatten(1).all(1)
    front = torch.from_numpy(np.packbits(truth.front.numpy(), -1))
    return {"video": shrink(video, SIDE, SIDE), "things": truth.things, "maps": truth.maps, "front": front, "still": still}


def seen(film, perception: Perception) -> Clips:
    """As the encoder sees a chunk that was filmed, in pictures of many looks."""
    other = film["still"] & (torch.rand(len(film["still"])) < 0.4)
    front = torch.from_numpy(np.unpackbits(film["front"].numpy(), -1)).bool()
    pixels, things, _ = augment(film["video"], film["things"], film["maps"].float() / 255, front, other)
    tokens, maps = encode(pixels, perception)
    owner = owners(tokens, things)
    event = events(things).gather(2, owner.clamp(min=0)) & (owner >= 0)
    return Clips(tokens.half(), maps, event)


def make(folder, what: str, seed: int, indices, perception: Perception | None = None):
    """Write chunks `indices` as files folder/what/: "known", "films", or, from films, "seen"; a file that is there is not
    made again, a film that is not there yet is passed over."""
    folder = pathlib.Path(folder)
    (folder / what).mkdir(parents=True, exist_ok=True)
    for index in indices:
        file, reel = (folder / d / f"{index:05d}.pt" for d in (what, "films"))
        if file.exists() or (what == "seen" and not reel.exists()):
            continue
        torch.manual_seed(seed * 7_000_003 + index)
        if what == "seen":
            made = vars(seen(torch.load(reel), perception))
        else:
            look, track, g = film(index, seed)
            made = filmed(look, track, g) if what == "films" else vars(known(label(look, track)))
        part = file.with_suffix(".part")
        torch.save(made, part)
        part.rename(file)
        if index % 20 == 0:
            print(what, index, flush=True)


def make_real(folder, footage, perception: Perception):
    """Write one chunk a shot of the real sources to train on that is long enough: windows of it, as the encoder sees
    them. Real footage is lawful."""
    from . import natural
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in natural.shots(footage):
        target = folder / f"{pathlib.Path(name).stem}.pt"
        video = [] if natural.is_test(name) or target.exists() else natural.load(file)
        if len(video) < FRAMES:
            continue
        starts = range(0, len(video) - FRAMES + 1, FRAMES // 2)
        windows = torch.stack([torch.from_numpy(video[s:s + FRAMES]) for s in starts])
        tokens, maps = encode(windows.permute(0, 1, 4, 2, 3).float() / 127.5 - 1, perception)
        event = torch.zeros(tokens.shape[:3], dtype=torch.bool)
        torch.save({"tokens": tokens.half(), "maps": maps, "event": event}, target)


class Pool:
    """All chunks of some folders, in memory; refresh() takes in what is new."""

    def __init__(self, *folders):
        self.folders, self.names, self.clips = [pathlib.Path(f) for f in folders], set(), None
        self.refresh()

    def refresh(self):
        new = [f for d in self.folders for f in sorted(d.glob("*.pt")) if f not in self.names]
        parts = [Clips(**torch.load(f)) for f in new]
        self.names |= set(new)
        if parts:
            self.clips = Clips.cat(([self.clips] if self.clips else []) + parts)

    def batch(self, size: int, frames: int = FRAMES):
        """Random clips as floats: tokens [B,F,K,14], maps [B,F,LAYERS,G,G], event [B,F,K]; mirrored, their colours turned, their
        tokens in random order."""
        c = self.clips[torch.randint(len(self.clips.tokens), (size,))]
        start = int(torch.randint(FRAMES - frames + 1, (1,)))
        at = slice(start, start + frames)
        tokens, maps, event = c.tokens[:, at].float(), c.maps[:, at].float() / 255, c.event[:, at]
        flip = torch.rand(size) < 0.5
        tokens[..., 2] = torch.where(flip[:, None, None], 1 - tokens[..., 2], tokens[..., 2])
        maps = torch.where(flip.view(-1, 1, 1, 1, 1), maps.flip(3), maps).permute(0, 1, 4, 2, 3)
        order = torch.rand(size, 3).argsort(1)[:, None, None].expand(*tokens.shape[:3], 3)
        tokens[..., 7:10] = tokens[..., 7:10].gather(3, order) * torch.where(torch.rand(size, 1, 1, 3) < 0.5, 1.0, -1.0)
        shuffle = torch.randperm(tokens.shape[2])
        return tokens[:, :, shuffle], maps, event[:, :, shuffle]


def blurred(tokens):
    """Known tokens as if they had been seen: unsure, jittering, missed at times, with ghosts."""
    b, f, k, _ = tokens.shape
    on = (tokens[..., :1] > 0.5).float()
    small = (0.02 / (tokens[..., 4:6].amin(-1, keepdim=True) + 0.005)).clamp(max=2)
    level = uniform(0.0, 1.0, b, 1, 1, 1)
    out = tokens.clone()
    out[..., 2:4] += 0.0025 * level * torch.randn(b, f, k, 2) * (1 + small)
    out[..., 4:6] *= torch.exp(0.05 * level * torch.randn(b, f, k, 2) * (1 + small))
    out[..., 6:10] += 0.02 * level * torch.randn(b, f, k, 4)
    sure = torch.sigmoid(3.0 + 1.2 * torch.randn(b, f, k, 1) - 2.0 * level * small - 2.5 * (1 - tokens[..., 1:2]))
    out[..., :1] = sure
    out = out * on * (torch.rand(b, f, k, 1) > 0.01 * level * small)
    ghost = (torch.rand(b, f, k, 1) < 0.002 * level) & (on == 0)
    random = torch.cat([0.3 + 0.4 * torch.rand(b, f, k, 1), torch.rand(b, f, k, 1), torch.rand(b, f, k, 2),
                        0.02 + 0.06 * torch.rand(b, f, k, 2), torch.rand(b, f, k, 1), torch.rand(b, f, k, 3) - 0.5,
                        torch.full((b, f, k, 4), 0.25)], -1)
    assert random.shape[-1] == ATTRIBUTES
    return torch.where(ghost, random, out)
