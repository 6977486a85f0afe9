"""The benchmark's numbers, its surprise curves and its table."""

import math

import pytest
import torch

from startle_models import benchmark
from startle_models.net import Net, NetConfig, fit_projection, init_copy, patches, set_target
from startle_models.statistics import auroc, wilson, wins
from startle_models.surprise import CONTROLS, MODEL, PIXEL, Footing, errors, next_slot_errors
from startle_models.train_data import CONTEXTS, chunk_video, normalise
from startle_models.train_export import load_weights, random_net, save_hf


@pytest.fixture(scope="module")
def video():
    return chunk_video(401, 9, NetConfig())[0][:6]


@pytest.fixture(scope="module")
def net(video):
    cfg = NetConfig(layers=2, pred_layers=1)
    net = Net(cfg)
    set_target(net, *fit_projection(patches(normalise(video[:, :24]), cfg).reshape(-1, cfg.patch_pixels), 64))
    init_copy(net, 0)
    return net.eval()


def test_wins_count_ties_half():
    assert wins(torch.tensor([1.0, 2.0, 3.0, 1.0, 5.0, 5.0])).tolist() == [1.0, 0.0, 0.5]


def test_wilson_interval_known_values():
    # 10 of 10 and 5 of 10, from the published formula
    assert wilson(1.0, 10)[0] == pytest.approx(0.7225, abs=1e-3) and wilson(1.0, 10)[1] == pytest.approx(1.0)
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-3)
    assert wilson(0.0, 0) == (0.0, 1.0)


def test_auroc_equals_counting_all_couples():
    g = torch.Generator().manual_seed(0)
    for _ in range(20):
        a, b = torch.randint(0, 9, (13,), generator=g).float(), torch.randint(0, 7, (8,), generator=g).float()
        count = sum(1.0 if x > y else 0.5 if x == y else 0.0 for x in a for y in b) / (len(a) * len(b))
        assert auroc(a, b) == pytest.approx(count, abs=1e-12)


def test_twins_cost_less_and_score_the_same(net, video):
    twins = video[:4].clone()
    twins[1::2] = twins[0::2]
    since = torch.tensor([26, 30])
    twins[1, 26:] = 255 - twins[1, 26:]
    whole, some = errors(net, twins, 8), errors(net, twins, 8, since)
    for name, value in whole.items():
        assert value.shape == (4, 12, net.cfg.per_slot)
        assert torch.allclose(value, some[name], atol=5e-3), name
    curve = Footing({8: whole}).curve({8: whole}, PIXEL)
    assert bool(curve[:, :4].isnan().all()) and torch.equal(curve[0, :13][4:], curve[1, :13][4:])
    assert curve[1, 13] > curve[0, 13]


def test_bfloat16_moves_surprise_by_little(net, video):
    with torch.no_grad():
        clip, n = normalise(video[:, :22]), net.cfg.per_slot
        exact = (net.predict(clip, 20, 1) - net.targets(clip)[:, -n:]).abs().mean(-1)
    found = next_slot_errors(net, video[:, :22], 20)[MODEL]
    assert float((found - exact).abs().max()) < 0.02 * float(exact.max())


def test_every_context_has_its_own_footing(net, video):
    found = {c: errors(net, video, c) for c in CONTEXTS}
    footing = Footing(found)
    scaled = {c: {k: v * (3.0 if c == 8 else 1.0) for k, v in by.items()} for c, by in found.items()}
    again = Footing(scaled)
    for name in (MODEL, PIXEL):
        a, b = footing.curve(found, name), again.curve(scaled, name)
        assert torch.allclose(a[:, 4:], b[:, 4:], rtol=1e-3, atol=1e-3)
        assert a.shape[1] == video.shape[1] // 2


def test_a_score_rises_with_its_spike_and_the_table_holds_every_control(net, monkeypatch):
    calm = torch.ones(2, 10)
    calm[1, 4] = 5.0
    assert float(wins(benchmark.score(calm))) == 1.0
    monkeypatch.setattr(benchmark, "FRAMES", 40)
    cfg = net.cfg
    random = random_net(cfg)
    lawful = chunk_video(402, 9, cfg)[0][:4]
    _, footing = benchmark.curves(net, None, lawful)
    _, random_footing = benchmark.curves(random, None, lawful, controls=False)
    row = benchmark.one_kind("vanish", 2, benchmark.Judges(net, random, footing, random_footing, 0.0))
    assert set(row["scores"]) == {MODEL, *CONTROLS}
    assert row["detected"] == [True, True] and len(row["scores"][MODEL]) == 4
    text = benchmark.table({"vanish": benchmark.summary(row)})
    assert text.count("|") == 3 * (len(CONTROLS) + 7) and "vanish" in text


def test_groups_are_complete():
    named = benchmark.groups([*benchmark.VIOLATIONS, "control"])
    assert sorted(named["in view"] + named["hidden"]) == sorted(benchmark.VIOLATIONS)
    assert sorted(named["adds motion"] + named["removes motion"] + named["neither"]) == sorted(benchmark.VIOLATIONS)
    assert "control" not in named["all"] and math.isclose(len(named["kept back"]), 2)


def test_weights_come_back_from_their_folder(net, tmp_path):
    save_hf(net, tmp_path, {})
    (tmp_path / "hf_target").rename(tmp_path / "hf" / "target")
    again = load_weights(net.cfg, tmp_path / "hf")
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in net.state_dict().items())
