"""The comparison of statistics: its arithmetic on numbers that can be checked by hand."""

import pytest
import torch

from startle_models import reductions
from startle_models.net import NetConfig
from startle_models.train_start import fresh


def test_whitened_errors_have_unit_covariance():
    g = torch.Generator().manual_seed(0)
    mix = torch.randn(8, 8, generator=g)
    noise = torch.randn(5000, 8, generator=g) @ mix
    white = noise @ reductions.whitening(noise[None])
    spread = torch.cov(white.T).diagonal()
    assert (spread < 1.001).all() and spread.mean() > 0.6
    assert spread.std() < 0.35 * torch.cov(noise.T).diagonal().std()


def test_reductions_and_wins():
    error = torch.zeros(4, 3, 36)
    error[1, 2, :2] = torch.tensor([6.0, 2.0])  # the first pair is told right, the second is a tie
    ways = reductions.reductions(error)
    assert ways["max"][1, 2] == 6 and ways["top 2"][1, 2] == 4 and ways["top 8"][1, 2] == 1
    assert ways["mean"][1, 2] == pytest.approx(8 / 36)
    assert all(reductions.wins(s) == [1.0, 0.5] for s in ways.values())


def test_differences_are_those_of_the_next_slot():
    net = fresh(NetConfig(layers=1, pred_layers=1), 0)
    video = torch.randint(0, 255, (1, 26, 48, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    base = reductions.differences(net, video)
    assert base.shape == (1, 3, 36, net.cfg.hidden)
    later = video.clone()
    later[:, 24:] = 0  # seen by the last window alone, as its target
    changed = (reductions.differences(net, later) - base).abs().amax((0, 2, 3)) > 1e-3
    assert changed.tolist() == [False, False, True]


def test_the_page_has_every_way():
    text = reductions.page({("energy", "mean"): [1.0, 0.0, 0.5, 0.5], ("energy", "max"): [1.0] * 4}, 2)
    assert "| energy | 50.0 | 100.0 |" in text and "--pairs 2" in text
