"""The net against VJEPA2Model, its initialisation, and the training command."""

import functools
import json
import shutil

import pytest
import torch

from startle_models.net import Net, NetConfig, fit_projection, init_copy, patches, set_target
from startle_models.train import main, optimizers, loss_of
from startle_models.train_data import Clips, chunk_video, normalise
from startle_models.train_export import hf_model, save_hf, save_random
from startle_models.train_start import grown, whiten
from startle_models.train_tokens import kept_context, moving_tokens, wanted_targets
from startle_models.train_eval import effective_rank
from startle_models.world import lawful_video


@pytest.fixture(scope="module")
def video():
    return chunk_video(400, 9, NetConfig())[0][:12, :24]


@pytest.fixture(scope="module")
def net(video):
    torch.manual_seed(0)
    cfg = NetConfig()
    net = Net(cfg)
    set_target(net, *fit_projection(patches(normalise(video), cfg).reshape(-1, cfg.patch_pixels), 64))
    init_copy(net, 0)
    return net


def shaken(net):
    """The same net with random noise on every weight, so that no part is silent."""
    other = Net(net.cfg)
    g = torch.Generator().manual_seed(1)
    state = {k: v + 0.02 * torch.randn(v.shape, generator=g) for k, v in net.state_dict().items()}
    other.load_state_dict(state)
    return other.eval()


def close(a, b):
    """Largest difference within 1e-5 of the largest value (fp32; the initial biases make big logits)."""
    return (a - b).abs().max() < 1e-5 * b.abs().max()


@pytest.mark.parametrize("context", [2, 8, 20])
def test_equals_vjepa2_model(net, video, context):
    net = shaken(net)
    hf = hf_model(net)
    clip, n = normalise(video[:3]), net.cfg.per_slot
    k = context // 2
    with torch.no_grad():
        tokens = hf.encoder(clip[:, :context]).last_hidden_state
        ctx = torch.arange(k * n).expand(3, -1)
        tgt = torch.arange(k * n, (k + 2) * n).expand(3, -1)
        pred = hf.predictor(tokens, [ctx], [tgt]).last_hidden_state
        assert close(tokens, net.encoder(clip[:, :context]))
        assert close(pred, net.predict(clip, context))
        target = hf_model(net, "target").encoder(clip).last_hidden_state
        assert close(torch.nn.functional.layer_norm(target, (128,)), net.targets(clip))


def test_saved_folders_load_strictly(net, tmp_path):
    from transformers import VJEPA2Model

    save_hf(net, tmp_path, {"clips": 0})
    save_random(net.cfg, tmp_path)
    for name, layers in (("hf", net.cfg.layers), ("hf_target", 0), ("hf_random", net.cfg.layers)):
        model, info = VJEPA2Model.from_pretrained(tmp_path / name, output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
        assert len(model.encoder.layer) == layers
    assert bool((model.predictor.embeddings.mask_tokens != 0).any())
    assert json.loads((tmp_path / "training.json").read_text())["horizon"] == 2


def test_untrained_net_copies_the_last_context_slot(net, video):
    clip, n = normalise(video), net.cfg.per_slot
    target = net.targets(clip)
    for context in (4, 8, 12):
        k = context // 2
        with torch.no_grad():
            pred = net.predict(clip, context)
        last, true = target[:, (k - 1) * n:k * n].repeat(1, 2, 1), target[:, k * n:(k + 2) * n]
        assert (pred - last).square().mean() < 0.25 * (true - last).square().mean()


def test_the_future_does_not_reach_the_context(net, video):
    clip = normalise(video[:2]).clone()
    a = net.encoder(clip[:, :8])
    clip[:, 8:] = 0
    assert torch.equal(a, net.encoder(clip[:, :8]))


def test_leaving_out_no_token_changes_nothing(net, video):
    net = shaken(net)
    clip, n = normalise(video[:2]), net.cfg.per_slot
    every = torch.arange(6 * n).expand(2, -1)
    with torch.no_grad():
        some = net.predict_some(clip, 8, every[:, :4 * n], every[:, 4 * n:])
        assert close(some, net.predict(clip, 8))


def test_half_of_the_clips_hold_an_event_in_the_first_predicted_slot():
    clips, g = Clips(NetConfig(), 5, first=1), torch.Generator().manual_seed(0)
    assert clips.batch(3, 24, g).shape == (3, 24, 48, 48, 3)
    clips.weight[:] = 0
    clips.weight[7, 25] = 1.0
    places = clips._places(400, 24, g)
    hits = sum(i == 7 and start + 20 <= 25 < start + 22 for i, start in places)
    assert 150 < hits < 260 and all(0 <= start <= 8 for _, start in places)


def test_kept_and_wanted_tokens_are_the_moving_ones_first(net, video):
    cfg, g, n = net.cfg, torch.Generator().manual_seed(0), net.cfg.per_slot
    kept = kept_context(video, 12, cfg, 0.5, g)
    assert kept.shape == (12, n + round(0.5 * 5 * n))
    assert bool((kept.diff(dim=1) > 0).all()) and bool((kept[:, -n:] == torch.arange(5 * n, 6 * n)).all())
    moving = moving_tokens(video, 12, cfg)
    wanted, place = wanted_targets(moving, 12, cfg, 0.5, g)
    assert torch.equal(wanted, place + 6 * n)
    few = moving.sum(1) <= place.shape[1]
    assert bool(few.any()) and torch.equal(moving.gather(1, place).sum(1)[few], moving.sum(1)[few])


def test_a_grown_net_computes_what_the_small_one_did(net, video, tmp_path):
    small = Net(NetConfig(layers=2, pred_layers=1))
    set_target(small, *fit_projection(patches(normalise(video), small.cfg).reshape(-1, small.cfg.patch_pixels), 64))
    init_copy(small, 4)
    save_hf(small, tmp_path, {})
    shutil.copytree(tmp_path / "hf_target", tmp_path / "hf" / "target")
    big = grown(net.cfg, tmp_path / "hf", 0)
    clip = normalise(video[:2])
    with torch.no_grad():
        assert close(big.predict(clip, 8), small.predict(clip, 8))
        assert torch.equal(big.targets(clip), small.targets(clip))
        before, error = big.targets(clip), (big.predict(clip, 8) - big.targets(clip)[:, 144:216]).square().mean()
        whiten(big, video, 0.1)
        after = (big.predict(clip, 8) - big.targets(clip)[:, 144:216]).square().mean()
    assert effective_rank(big.targets(clip)) > effective_rank(before) + 1
    assert 0.5 < after / error < 2


def test_a_few_steps_lower_the_loss(net, video):
    torch.manual_seed(0)
    other = Net(net.cfg)
    other.load_state_dict(net.state_dict())
    opts = optimizers(other, 1e-3)
    g = torch.Generator().manual_seed(0)
    first = loss_of(other, video[:, :12], 8, 1.0, g).item()
    for _ in range(12):
        loss_of(other, video[:, :12], 8, 0.5, g).backward()
        for opt in opts:
            opt.step()
            opt.zero_grad()
    assert loss_of(other, video[:, :12], 8, 1.0, g).item() < 0.9 * first


def test_command_runs_resumes_and_repeats(tmp_path, monkeypatch):
    def run(out, steps, *more):
        monkeypatch.setattr("sys.argv", ["train", "--out", str(out), "--steps", str(steps), "--batch", "4",
                                         "--seed", "3", *more])
        main()
        return torch.load(out / "checkpoint.pt", weights_only=True)

    monkeypatch.setattr("startle_models.train_start.lawful_video", lambda n, *rest: lawful_video(4, *rest))
    monkeypatch.setattr("startle_models.train_data.CHUNK", 8)
    monkeypatch.setattr("startle_models.train.Clips", functools.partial(Clips, capacity=64, first=2))
    monkeypatch.setattr("startle_models.train.held_out", lambda cfg, n=4, full=True: chunk_video(0, 1, cfg)[0][:4, :24])
    a, b = run(tmp_path / "a", 2), run(tmp_path / "b", 2)
    assert all(torch.equal(a["net"][k], b["net"][k]) for k in a["net"])
    assert any(not torch.equal(a["net"][k], a["mean"][k]) for k in a["net"])
    c = run(tmp_path / "a", 4, "--resume")
    assert c["step"] == 4 and c["clips"] == 16 and c["made"] >= a["made"]
    for name in ("log.csv", "log.png", "training.json", "hf/model.safetensors", "hf_target/model.safetensors"):
        assert (tmp_path / "a" / name).exists()
