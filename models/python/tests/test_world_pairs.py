"""Violations: twins with one past, mirrored quadruplets, what each kind does, and control pairs."""

import dataclasses
import functools

import pytest
import torch

from startle_models.world import (
    ADDS_MOTION, HIDDEN, KEPT_BACK, NEUTRAL, REMOVES_MOTION, VIOLATIONS, SceneSpec, render, render_pairs,
    sample_controls, sample_pairs, visibility,
)
from startle_models.world.state import HELD_OUT_SHAPES, SPHERE, TRAINING_SHAPES

FRAMES, FPS, COUNT = 40, 10, 4
STATES = ("pos", "vel", "rot", "active", "kind", "half", "colour", "screen", "cam_pos", "cam_rot")
MIRRORED = ("teleport", "colour", "shape", "size", "teleport_hidden", "colour_hidden", "shape_hidden")


def gen(seed):
    return torch.Generator().manual_seed(seed)


@functools.cache
def pairs_of(kind, seed=11):
    sample = sample_controls if kind == "control" else functools.partial(sample_pairs, kind)
    return sample(COUNT, FRAMES, FPS, gen(seed))


def state(pairs, name, row, pair):
    """State [F,...] of the edited object in row 0 (possible) or 1 of a pair."""
    return getattr(pairs.track, name)[2 * pair + row, :, pairs.obj[pair]]


def shares(pairs):
    """Shares of the edited objects in view: possible [P,F], impossible [P,F]."""
    seen = visibility(pairs.look, pairs.track)[0] * pairs.track.active
    p = torch.arange(len(pairs))
    return seen[2 * p, :, pairs.obj], seen[2 * p + 1, :, pairs.obj]


def test_groups_hold_every_kind_once():
    assert sorted(ADDS_MOTION + REMOVES_MOTION + NEUTRAL) == sorted(VIOLATIONS)
    assert set(HIDDEN) < set(VIOLATIONS) and set(KEPT_BACK) < set(VIOLATIONS)


@pytest.mark.parametrize("kind", (*VIOLATIONS, "control"))
def test_twins_are_identical_before_the_onset_and_differ_after(kind):
    pairs = pairs_of(kind)
    assert pairs.impossible.tolist() == [False, True] * COUNT
    video = render_pairs(pairs, 36, 64, gen(1))
    assert video.shape == (2 * COUNT, FRAMES, 36, 64, 3)
    for i, (onset, seen) in enumerate(zip(pairs.onset.tolist(), pairs.seen.tolist())):
        assert round(0.35 * FRAMES) <= onset <= round(0.65 * FRAMES) and onset <= seen < FRAMES
        if kind != "control":  # its twins differ from the start, unseen
            for name in STATES:
                a = getattr(pairs.track, name)[2 * i:2 * i + 2, :onset]
                assert torch.equal(a[0], a[1]), name
        assert torch.equal(video[2 * i, :onset], video[2 * i + 1, :onset])
        difference = (video[2 * i, seen].float() - video[2 * i + 1, seen].float()).abs()
        assert float(difference.amax()) > 10
        if kind not in HIDDEN:
            assert seen <= onset + 6


@pytest.mark.parametrize("kind", ("vanish", "teleport_hidden", "control"))
def test_pictures_before_the_onset_are_alike_without_copying(kind):
    pairs = pairs_of(kind)
    video = render(pairs.look, pairs.track, 48, 48)
    for i, onset in enumerate(pairs.onset.tolist()):
        assert torch.equal(video[2 * i, :onset], video[2 * i + 1, :onset])


@pytest.mark.parametrize("kind", MIRRORED)
def test_quadruplets_are_mirrored(kind):
    """(A, A then B) and (B, B then A): before the swap one shows what the other shows after it."""
    pairs = pairs_of(kind)
    assert pairs.group.tolist() == [0, 0, 1, 1]
    video = render_pairs(pairs, 36, 64, gen(1))
    for q in range(2):
        onset = int(pairs.onset[2 * q])
        aa, ab, bb, ba = range(4 * q, 4 * q + 4)
        for name in STATES:
            t = getattr(pairs.track, name)
            assert torch.equal(t[ab, onset:], t[bb, onset:]) and torch.equal(t[ba, onset:], t[aa, onset:])
            assert torch.equal(t[ba, :onset], t[bb, :onset])
        # at the onset itself motion blur may differ
        assert torch.equal(video[ab, onset + 1:], video[bb, onset + 1:])
        assert torch.equal(video[ba, onset + 1:], video[aa, onset + 1:])


@pytest.mark.parametrize("suffix", ("", "_hidden"))
def test_vanish_and_appear_mirror_each_other(suffix):
    vanish, appear = pairs_of("vanish" + suffix), pairs_of("appear" + suffix)
    assert torch.equal(vanish.onset, appear.onset) and torch.equal(vanish.obj, appear.obj)
    for i in range(COUNT):
        active = [state(p, "active", row, i) for p in (vanish, appear) for row in (0, 1)]
        assert bool(active[0].all()) and not bool(active[2].any())
        assert torch.equal(active[3], ~active[1]) and bool(active[3].any())


@pytest.mark.parametrize("kind", HIDDEN)
def test_hidden_swaps_happen_out_of_sight(kind):
    pairs = pairs_of(kind)
    assert pairs.hidden
    both = torch.stack(shares(pairs))
    for i, onset in enumerate(pairs.onset.tolist()):
        assert float(both[:, i, onset].max()) == 0  # also the twin in which it is not there
        assert float(both[:, i, onset + 1:].max()) > 0.99  # comes out in one twin at least
        assert int(pairs.seen[i]) > onset and int(pairs.seen[i]) <= FRAMES - 3
        if not kind.startswith("appear"):
            assert float(both[:, i, :onset].amax()) > 0.99  # it was seen going in


def test_longer_twins_can_hide_longer():
    spec = SceneSpec(linger=1.0, unseen=(1.8, 3.2), camera_moves=0.0)
    pairs = sample_pairs("vanish_hidden", 2, 90, FPS, gen(3), spec)
    possible, impossible = shares(pairs)
    for i, onset in enumerate(pairs.onset.tolist()):
        before = (possible[i, :onset] > 0).nonzero()[-1].item()
        back = onset + (possible[i, onset:] > 0).nonzero()[0].item()
        assert 18 <= back - before - 1 <= 32 and float(impossible[i, onset:].max()) == 0
        assert float(possible[i, back:].max()) > 0.99 and int(pairs.seen[i]) >= back - 1


def test_hidden_swaps_are_not_given_away_by_shadows():
    pairs = sample_pairs("vanish_hidden", 12, FRAMES, FPS, gen(1))
    look = dataclasses.replace(pairs.look, shutter=torch.zeros(24))
    video = render(look, pairs.track, 36, 64).float() / 255
    difference = (video[0::2] - video[1::2]).abs().mean(-1).flatten(2).amax(-1)
    for i, (onset, shown) in enumerate(zip(pairs.onset.tolist(), shares(pairs)[0])):
        out = onset + int((shown[onset:] > 0).float().argmax())
        assert max(difference[i, onset:out - 1].tolist(), default=0.0) < 0.03


@pytest.mark.parametrize("kind", [k for k in VIOLATIONS if k not in HIDDEN])
def test_edits_in_view_are_in_view(kind):
    pairs = pairs_of(kind)
    both = torch.stack(shares(pairs))
    for i, onset in enumerate(pairs.onset.tolist()):
        around = both[:, i, onset - 1:onset + 1].amax(0)
        assert float(around[1]) > 0.99 and (kind == "appear" or float(around[0]) > 0.99)


def test_swaps_change_what_they_say():
    for kind, name in (("colour", "colour"), ("shape", "kind"), ("size", "half"), ("teleport", "pos")):
        for k in [kind] + [f"{kind}_hidden"] * (f"{kind}_hidden" in VIOLATIONS):
            pairs = pairs_of(k)
            for i, onset in enumerate(pairs.onset.tolist()):
                lawful, broken = (state(pairs, name, row, i) for row in (0, 1))
                assert not torch.equal(lawful[onset], broken[onset]), k
                changed = {n for n in ("colour", "kind", "half", "pos", "active")
                           if not torch.equal(state(pairs, n, 0, i), state(pairs, n, 1, i))}
                also = {"size": {"pos"}, "shape": {"half"}}.get(kind, set())
                assert changed <= {name} | also, (k, changed)
            if kind == "size":
                factor = broken[onset] / lawful[onset]
                assert float(torch.maximum(factor, 1 / factor).min()) >= 1.5


def test_state_edits_do_what_they_say():
    for kind in ("stop", "reverse", "float", "unsupported", "solidity", "rise"):
        pairs = pairs_of(kind)
        for i, onset in enumerate(pairs.onset.tolist()):
            (pos, vel), (was, had) = ([state(pairs, n, row, i)[onset:] for n in ("pos", "vel")] for row in (1, 0))
            before = state(pairs, "vel", 0, i)[onset - 1, 0]
            if kind == "stop" and not bool(pairs.look.hung[2 * i, pairs.obj[i]]):
                assert float((pos[1:, 0] - pos[1, 0]).abs().max()) < 1e-5
            if kind == "reverse":
                assert float(vel[2, 0] * before) < 0
            if kind == "float":
                assert torch.allclose(pos[1:], pos[1:2].expand_as(pos[1:]))
                assert float((was[1:, 1] - pos[1, 1]).abs().max()) > 0.5
            if kind == "unsupported":
                assert torch.allclose(pos[:, 1], pos[0, 1].expand(len(pos)), atol=1e-5)
                assert float(was[:, 1].min()) < float(pos[0, 1]) - 0.3
            if kind == "solidity":
                assert float(vel[2, 0] * before) > 0 and float(had[2, 0] * before) <= 0
            if kind == "rise":
                assert float(vel[-1, 1]) > 0 and float(pos[-1, 1]) > float(was[-1, 1]) + 0.5


def test_pairs_repeat_from_the_seed():
    a, b, c = pairs_of("teleport"), sample_pairs("teleport", COUNT, FRAMES, FPS, gen(11)), pairs_of("teleport", 12)
    assert torch.equal(a.onset, b.onset) and torch.equal(a.track.pos, b.track.pos)
    assert not torch.equal(a.track.pos, c.track.pos)


@pytest.mark.parametrize("kind", ("vanish", "appear", "float", "teleport_hidden", "control"))
def test_boxes_and_masks_show_the_object(kind):
    pairs = pairs_of(kind)
    box, mask = pairs.boxes(144, 256), pairs.masks(144, 256)
    assert bool((box[:, :2] < box[:, 2:]).all()) and bool((box >= 0).all())
    assert bool((box[:, 2] <= 256).all() and (box[:, 3] <= 144).all())
    for i in range(COUNT):
        y, x = mask[i].nonzero().T
        assert len(x) > 0
        assert int(x.min()) >= float(box[i, 0]) - 1.5 and int(x.max()) <= float(box[i, 2]) + 1.5
        assert int(y.min()) >= float(box[i, 1]) - 1.5 and int(y.max()) <= float(box[i, 3]) + 1.5
        if kind in ("vanish", "appear"):
            area = (box[i, 2] - box[i, 0]) * (box[i, 3] - box[i, 1])
            assert len(x) > 0.2 * float(area)


def test_controls_were_never_seen_before_and_are_labelled_by_chance():
    pairs = sample_controls(16, FRAMES, FPS, gen(5))
    possible, impossible = shares(pairs)
    for i, onset in enumerate(pairs.onset.tolist()):
        # corners of the bounding box may be in view a little before the object itself
        assert float(torch.maximum(possible, impossible)[i, :onset].max()) < 0.4
        assert float(torch.maximum(possible, impossible)[i, onset:].max()) > 0.99
    there = torch.stack([possible.amax(1) > 0, impossible.amax(1) > 0])
    alone = there[0] ^ there[1]
    assert 0 < int(there[0][alone].sum()) < int(alone.sum())


def test_held_out_pairs_use_held_out_shapes_only():
    spec = dataclasses.replace(SceneSpec(), held_out=True)
    for kind in ("shape", "vanish_hidden"):
        pairs = sample_pairs(kind, 2, FRAMES, FPS, gen(3), spec)
        assert set(pairs.track.kind.unique().tolist()) <= set(HELD_OUT_SHAPES)
    trained = pairs_of("shape").track.kind.unique().tolist()
    assert set(trained) <= set(TRAINING_SHAPES) and SPHERE in trained


def test_plain_scenes_allow_every_kind_too():
    for kind in ("vanish_hidden", "unsupported", "solidity", "float"):
        assert len(sample_pairs(kind, 2, FRAMES, FPS, gen(2), SceneSpec.plain())) == 2


def test_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match="unknown violation"):
        sample_pairs("melt", 1, FRAMES, FPS, gen(1))
