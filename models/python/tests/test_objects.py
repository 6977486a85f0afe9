"""The object JEPA: labels, association, energies, graphs."""

import numpy as np
import onnxruntime
import pytest
import torch

from startle_models.objects import association, curves
from startle_models.objects.clips import (
    FRAMES, LATER, Clips, blurred, events, film, filmed, known, plain_spec, seen, spec,
)
from startle_models.objects.encoder import Encoder, Perception, loss, targets, tokens
from startle_models.objects.evaluate import KNOWLEDGE, Footing, auroc, informed, oracle
from startle_models.objects.export import export
from startle_models.objects.labels import ATTRIBUTES, CELLS, LAYERS, SIDE, label
from startle_models.objects.pictures import from_film
from startle_models.objects.predictor import KINDS, PARTS, ROW, Predictor
from startle_models.objects.predictor_train import loss as predictor_loss
from startle_models.objects.predictor_train import unroll
from startle_models.objects.run import Run
from startle_models.world import SceneSpec, frame_times, sample_scenes, simulate


@pytest.fixture(scope="module")
def labels():
    g = torch.Generator().manual_seed(3)
    scene = sample_scenes(4, 2.0, g, SceneSpec(objects=(0, 0, 1.0, 0, 0, 0), entering=0.0))
    return label(scene.look, simulate(scene, frame_times(12, 10)))


def test_a_things_box_holds_its_part_of_the_object_map(labels):
    """Cells that objects cover lie in the boxes of what is labelled, and each box of what is seen holds some."""
    cover = labels.maps[..., 0].float() / 255
    axis = (torch.arange(CELLS) + 0.5) / CELLS
    things = labels.things
    in_x = (axis - things[..., 2:3]).abs() < things[..., 4:5] + 1 / CELLS
    in_y = (axis - things[..., 3:4]).abs() < things[..., 5:6] + 1 / CELLS
    boxes = in_y[..., :, None] & in_x[..., None, :] & (things[..., 0] > 0)[..., None, None]
    assert not ((cover > 0.3) & ~boxes.any(2)).any()
    seen = things[..., 0] == 1
    assert seen.any()
    assert ((boxes * cover[:, :, None]).sum((-1, -2))[seen] > 0.2).all()


def test_what_is_hidden_is_not_labelled():
    """A share of 1 for what stands free, none for what is behind a screen as large as the picture."""
    g = torch.Generator().manual_seed(5)
    scene = sample_scenes(3, 1.0, g, SceneSpec(objects=(0, 1.0, 0, 0, 0, 0), entering=0.0, resting=1.0, airborne=0.0,
                                              screens=1.0, moving_screens=0.0, stages=(1.0, 0, 0, 0, 0), hung=0.0))
    scene.look.screen_half[:] = 50.0
    hidden = label(scene.look, simulate(scene, frame_times(3, 10)))
    assert (hidden.things[..., 0] == 0).all() and (hidden.maps[..., 1] == 255).all()
    scene.look.screen_on[:] = False
    free = label(scene.look, simulate(scene, frame_times(3, 10)))
    assert (free.things[:, :, 0, 0] == 1).all() and (free.things[:, :, 0, 1] > 0.99).all()


def test_a_panel_hides_parts_and_leaves_whole_boxes():
    g = torch.Generator().manual_seed(6)
    scene = sample_scenes(24, 1.0, g, SceneSpec(objects=(0, 0, 1.0, 0, 0, 0), entering=0.0, airborne=0.0, screens=1.0,
                                                panels=1.0, stages=(1.0, 0, 0, 0, 0), hung=0.0, camera_height=(1.0, 1.6)))
    track = simulate(scene, frame_times(3, 10))
    behind = label(scene.look, track)
    scene.look.screen_on[:] = False
    free = label(scene.look, track)
    both = (behind.things[..., 0] > 0) & (free.things[..., 0] > 0)
    assert torch.equal(behind.things[both][:, 2:], free.things[both][:, 2:])
    share, whole = behind.things[..., 1], free.things[..., 1]
    assert (share <= whole + 1e-6).all() and ((share < 0.8 * whole) & (share > 0.2)).sum() > 5
    assert free.maps[..., 1].max() == 0 and (behind.maps[..., 1] > 0).flatten(2).any(-1).float().mean() > 0.8


def test_later_chunks_hold_panels_and_windows_of_longer_scenes():
    assert spec(LATER - 4) == plain_spec(LATER - 4) and spec(LATER + 1).panels > 0 and spec(LATER + 3).linger > 0
    look, track, _ = film(LATER + 3, 21)
    assert track.kind.shape[1] == FRAMES and look.screen_on.any() and track.time[0, 0] > 0
    assert torch.allclose(track.time.diff(dim=1).mean(), torch.tensor(0.1), atol=2e-3)


def test_match_is_one_to_one_and_takes_the_cheapest_first():
    g = torch.Generator().manual_seed(0)
    cost = torch.rand(20, 5, 7, generator=g)
    cost[torch.rand(20, 5, 7, generator=g) < 0.4] = association.FAR
    got = association.match(cost, 5)
    for c, m in zip(cost.numpy(), got.numpy()):
        want, left = np.zeros_like(m), c.copy()
        while left.min() < association.FAR:
            i, j = np.unravel_index(left.argmin(), left.shape)
            want[i, j] = 1
            left[i, :], left[:, j] = np.inf, np.inf
        assert (m == want).all()


def test_fill_gives_each_fresh_token_a_free_file():
    free, fresh = torch.tensor([[0.0, 1, 0, 1, 1]]), torch.tensor([[1.0, 0, 1, 0]])
    want = torch.zeros(1, 5, 4)
    want[0, 1, 0] = want[0, 3, 2] = 1
    assert (association.fill(free, fresh) == want).all()


def test_targets_are_read_back_by_tokens(labels):
    """A net that says exactly what the targets ask for gives tokens with the labelled boxes."""
    things = labels.things[:, 0]
    heat, _, said, _ = targets(things)
    share, centre, half, near, colour, shape = said.split([1, 2, 2, 1, 3, 4], 1)
    axis = (torch.arange(CELLS) + 0.5) / CELLS
    cell = torch.stack([axis[None].expand(CELLS, CELLS), axis[:, None].expand(CELLS, CELLS)])
    raw = torch.cat([labels.maps[:, 0].permute(0, 3, 1, 2).float(), torch.logit(heat, 1e-4), (centre - cell) * CELLS,
                     half.clamp(min=1e-3).log(), torch.logit(share, 1e-3), torch.log(torch.expm1(near.clamp(min=1e-3))),
                     torch.atanh((colour * 2).clamp(-0.99, 0.99)), shape * 10], 1)
    got, _ = tokens(raw)
    for row, want in zip(got, things):
        for thing in want[want[:, 0] == 1]:
            error = (row[row[:, 0] > 0.9][:, 2:6] - thing[2:6]).abs().amax(-1).min()
            assert error < 2e-3
    total, parts = loss(raw, things, labels.maps[:, 0].float() / 255)
    assert parts["place"] < 1e-3 and parts["size"] < 1e-3 and parts["heat"] < 0.2 and total > 0


def straight(frames=24, until=None, speed=0.01):
    """Tokens and maps of one thing that moves evenly, and is gone from picture `until` on."""
    t = torch.zeros(1, frames, 3, ATTRIBUTES)
    on = torch.arange(frames) < (until or frames)
    t[0, :, 0, 0], t[0, :, 0, 1] = on.float(), on.float()
    t[0, :, 0, 2], t[0, :, 0, 3] = 0.3 + speed * torch.arange(frames), 0.6
    t[0, :, 0, 4:6], t[0, :, 0, 10] = 0.05, 1.0
    return t * on.view(1, -1, 1, 1), torch.zeros(1, frames, LAYERS, CELLS, CELLS)


@torch.no_grad()
def energies_of(net, clip, files=4):
    state, out = torch.zeros(1, net.width(files)), []
    for t in range(clip[0].shape[1]):
        state, energy, expected, seen = net(state, clip[0][:, t], clip[1][:, t])
        out.append((energy, expected, seen))
    return out


def test_a_file_follows_and_expects_what_it_followed():
    torch.manual_seed(0)
    steps = energies_of(Predictor(), straight(until=20))
    energy, expected, seen = steps[10]
    assert energy.shape == (1, 7, len(PARTS)) and expected.shape == seen.shape == (1, 7, ROW)
    assert expected[0, 0, 0] == 1 and seen[0, 0, 0] == 1 and (expected[0, 1:, 0] == 0).all()
    assert abs(expected[0, 0, 1] - 0.4) < 0.03 and abs(seen[0, 0, 1] - 0.4) < 1e-5
    gone = steps[20][0]
    missing = PARTS.index("missing")
    assert gone[0, 0, missing] > 0 and steps[19][0][0, 0, missing] == 0
    assert steps[0][0][0, 4, PARTS.index("new")] > 0 and all((e >= 0).all() for e, _, _ in steps)
    assert set(KINDS) == set(PARTS)


def test_what_comes_out_in_another_colour_is_held_against_what_was_known_of_it():
    torch.manual_seed(0)
    net = Predictor()

    def told(part, change):
        tokens, maps = straight(36)
        tokens[0, 16:20] = 0
        tokens[0, :, 0, 7:10] += 0.02 * torch.randn(36, 3)
        change(tokens[0, 20:, 0])
        return torch.stack([e[0, :, PARTS.index(part)].amax() for e, _, _ in energies_of(net, (tokens, maps))])

    def other_colour(t):
        t[:, 7:10] += torch.tensor([0.3, -0.2, 0.0])

    def other_shape(t):
        t[:, 10:14] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    for part, change in (("colour_long", other_colour), ("shape_long", other_shape)):
        same, other = told(part, lambda t: None), told(part, change)
        assert same.max() < 3 and other[:21].max() < 3
        assert other[22:32].max() > same.max() + 5


def test_training_makes_a_vanishing_more_surprising():
    """A few steps on things that go on raise the energy of one that does not, and lower theirs."""
    torch.manual_seed(0)
    net = Predictor(32, 8)
    step = torch.optim.Adam(net.parameters(), 3e-3)
    missing = PARTS.index("missing")
    before = energies_of(net, straight(until=18))[18][0][0, 0, missing]
    first = None
    for _ in range(12):
        total, _ = predictor_loss(unroll(net, *straight()), torch.ones(1, 24, 7))
        first = first or total.item()
        step.zero_grad()
        total.backward()
        step.step()
    assert total.item() < first
    assert energies_of(net, straight(until=18))[18][0][0, 0, missing] > before + 0.5


def test_graphs_equal_the_nets(tmp_path):
    torch.manual_seed(1)
    encoder, predictor = Encoder().eval(), Predictor(32, 8).eval()
    torch.nn.init.normal_(encoder.head[1].weight, std=0.5)
    export(encoder, predictor, tmp_path, things=5, files=4)
    session = [onnxruntime.InferenceSession(str(tmp_path / f"{n}.onnx")) for n in ("encoder", "predictor")]
    pixels = torch.rand(3, 3, SIDE, SIDE) * 2 - 1
    with torch.no_grad():
        want = Perception(encoder, 5)(pixels)
    got = session[0].run(None, {"pixel_values": pixels.numpy()})
    for a, b in zip(want, got):
        assert np.abs(a.numpy() - b).max() < 1e-4
    state = torch.zeros(3, predictor.width(4))
    other = state.numpy()
    for _t in range(6):
        seen = torch.rand(3, 5, ATTRIBUTES)
        seen[..., 2:4] = torch.arange(5)[None, :, None] / 6 + 0.02 * torch.rand(3, 5, 2)
        seen[..., 4:6] *= 0.05
        maps = torch.rand(3, LAYERS, CELLS, CELLS)
        with torch.no_grad():
            want = predictor(state, seen, maps)
        got = session[1].run(None, {"state": other, "tokens": seen.numpy(), "maps": maps.numpy()})
        for a, b in zip(want, got):
            assert np.abs(a.numpy() - b).max() < 1e-3
        state, other = want[0], got[0]


def test_a_film_is_seen_and_its_pictures_keep_their_labels(tmp_path):
    look, track, g = film(3, 5)
    look, track = look[:2], track[:2].frames(slice(0, 8))
    reel = filmed(look, track, g)
    assert reel["video"].shape == (2, 8, SIDE, SIDE, 3) and reel["things"].shape[:2] == (2, 8)
    clips = seen(reel, Perception(Encoder().eval()))
    assert clips.tokens.shape[:2] == (2, 8) and clips.maps.shape == (2, 8, CELLS, CELLS, LAYERS)
    torch.save(reel, tmp_path / "reel.pt")
    video, things, maps, front = from_film(tmp_path / "reel.pt", 30)
    truth = label(look, track)
    for i in range(30):
        same = (video[i] == reel["video"]).flatten(2).all(-1).nonzero()
        assert any(torch.equal(things[i], truth.things[c, f]) and torch.equal(maps[i], truth.maps[c, f])
                   and torch.equal(front[i], truth.front[c, f]) for c, f in same.tolist())


def test_events_mark_changes_of_motion_alone():
    things = torch.zeros(1, 12, 1, ATTRIBUTES)
    things[..., 0] = 1
    x = torch.cat([torch.arange(6) * 0.02, 0.1 - torch.arange(1, 7) * 0.02])
    things[0, :, 0, 2] = x
    assert events(things)[0, :, 0].nonzero()[:, 0].tolist() == [6, 7, 8]


def test_blur_keeps_shape_and_does_not_touch_its_input(labels):
    torch.manual_seed(0)
    clean = known(labels).tokens.float()
    copy = clean.clone()
    noisy = blurred(clean)
    assert noisy.shape == clean.shape and (clean == copy).all() and not torch.equal(noisy, clean)
    joined = Clips.cat([known(labels), known(labels)])
    assert len(joined.tokens) == 8 and len(joined[[0, 1]].maps) == 2


def test_footing_is_a_tail_rank_that_goes_on_beyond_what_was_seen():
    g = torch.Generator().manual_seed(0)
    lawful = torch.rand(40, 60, 2, generator=g)
    footing = Footing(lawful)
    rank = footing(torch.tensor([[0.5, 0.99], [1.2, 3.0]]))
    assert abs(rank[0, 0] - 0.301) < 0.02 and abs(rank[0, 1] - 2.0) < 0.2
    assert rank[1, 1] > rank[1, 0] > rank[0, 1] and torch.isfinite(rank).all()
    assert auroc(torch.tensor([2.0, 3.0]), torch.tensor([1.0, 2.0])) == 0.875


def test_every_gate_of_a_log_is_plotted(tmp_path):
    run = Run(tmp_path, "predictor", 1)
    loss = {f"{part}_{h}": 0.5 for part in curves.LIKELIHOODS for h in (1, 2, 5)} | {"births": 0.1}
    run.log(clips=3, **loss)
    run.log(clips=3, **loss)
    gates = {prefix + gate: 0.5 for prefix in curves.SETS for gate in curves.PANELS}
    Run(tmp_path, "encoder", 1).log(made=1, loss_maps=0.2, **gates)
    assert curves.plot_all(tmp_path) == [tmp_path / "encoder.png", tmp_path / "predictor.png"]
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in tmp_path.glob("*.png"))
    for logged in (loss, gates):
        drawn = {column for _, _, columns in curves.panels(logged) for column, _ in columns}
        assert drawn == set(logged)


def test_an_oracle_knows_one_thing_more(tmp_path):
    known, maps = straight(frames=16)
    known[..., 1, :] = known[..., 0, :]
    known[..., 1, 3] = 0.2  # a second thing, above
    seen = torch.zeros_like(known)
    seen[..., 0, :] = known[..., 0, :]
    seen[..., 0, 7:10] = 0.4  # another colour than it has
    seen[..., 1, 0], seen[..., 1, 2:4], seen[..., 1, 4:6] = 0.6, 0.9, 0.05  # a ghost; the second thing is missed
    told = {how: informed(how, (seen, maps), (known, maps + 1))[0] for how in KNOWLEDGE}
    assert torch.equal(told["perceived"], seen) and torch.equal(told["true"], known)
    assert informed("true", (seen, maps), (known, maps + 1))[1].min() == 1
    assert (told["no ghosts"][..., 1:, 0] == 0).all() and torch.equal(told["no ghosts"][..., 0, :], seen[..., 0, :])
    place = told["detection"][..., 2:4]
    put_in = (place - known[..., 1:2, 2:4]).abs().amax(-1).lt(1e-6) & (told["detection"][..., 0] > 0.5)
    assert (put_in.sum(-1) == 1).all() and ((told["detection"][..., 0] > 0.5).sum(-1) == 2).all()
    assert torch.equal(told["attributes"][..., 0, :], known[..., 0, :])
    assert torch.equal(told["attributes"][..., 1, :], seen[..., 1, :])
    net = Predictor(32, 8)
    # an encoder that saw the vanishing of none, so that only the oracle of all tells it
    lawful, gone = straight(frames=30)[0], straight(frames=30, until=20)[0]
    for kind, clips in (("lawful", lawful.repeat(40, 1, 1, 1)), ("vanish", torch.cat([lawful, gone] * 3))):
        flat = torch.zeros(len(clips), 30, LAYERS, CELLS, CELLS)
        torch.save({"tokens": clips, "maps": flat.permute(0, 1, 3, 4, 2).to(torch.uint8), "video": None}, tmp_path / f"{kind}.pt")
        torch.save((lawful.repeat(len(clips), 1, 1, 1), flat), tmp_path / f"{kind}.seen.pt")
    shares = oracle(net, tmp_path, Perception(Encoder()))
    assert shares["perceived"] == {"vanish": 0.5} and shares["true"] == {"vanish": 1.0}
