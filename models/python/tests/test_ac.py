"""V-JEPA 2-AC: checkpoints under the published names, and graphs against a forward pass written in those names."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from startle_models import bundle, checkpoints, export, reference
from startle_models.checkpoints import ARCHITECTURES, CheckpointError, ModelConfig, expected_encoder, expected_predictor
from startle_models.random_model import random_weights, to_meta

CONFIG = ModelConfig(
    model_type="vjepa2ac", crop_size=24, patch_size=8, frames_per_clip=5,
    hidden_size=40, num_attention_heads=2, num_hidden_layers=2, mlp_ratio=2.5,
    pred_hidden_size=48, pred_num_attention_heads=3, pred_num_hidden_layers=2, pred_num_mask_tokens=0, action_dim=7,
)  # fmt: skip
AREA, TOLERANCE = 9, 1e-5


# --- a checkpoint under the published names -------------------------------------------------------


def network(predictor: bool, seed: int) -> dict[str, torch.Tensor]:
    """An encoder's or a predictor's state dict as upstream saves it, with random values."""
    width, ratio, blocks = (48, 4.0, "predictor_blocks") if predictor else (40, 2.5, "blocks")
    if predictor:
        matrices = {"predictor_embed": (48, 40), "predictor_proj": (40, 48), "action_encoder": (48, 7),
                    "state_encoder": (48, 7), "extrinsics_encoder": (48, 6)}  # fmt: skip
        norms = ["predictor_norm"]
    else:
        matrices, norms = {"patch_embed.proj": (40, 3, 2, 8, 8)}, ["norm"]
    inner = int(width * ratio)
    for i in range(2):
        norms += [f"{blocks}.{i}.norm1", f"{blocks}.{i}.norm2"]
        matrices |= {f"{blocks}.{i}.attn.qkv": (3 * width, width), f"{blocks}.{i}.attn.proj": (width, width),
                     f"{blocks}.{i}.mlp.fc1": (inner, width), f"{blocks}.{i}.mlp.fc2": (width, inner)}  # fmt: skip
    g, state = torch.Generator().manual_seed(seed), {}
    for name, shape in matrices.items():
        state[f"{name}.weight"] = torch.randn(shape, generator=g) * math.prod(shape[1:]) ** -0.5
        state[f"{name}.bias"] = torch.randn(shape[0], generator=g) * 0.1
    for name in norms:
        state[f"{name}.weight"] = 1 + torch.randn(width, generator=g) * 0.1
        state[f"{name}.bias"] = torch.randn(width, generator=g) * 0.1
    return {f"module.{k}": v for k, v in state.items()}


STATE = {
    "encoder": network(False, 1), "predictor": network(True, 2), "target_encoder": network(False, 3),
    "opt": {"state": {}}, "scaler": None, "epoch": 315, "loss": 0.3, "batch_size": 8, "world_size": 32, "lr": 4e-4,
}  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ac")
    torch.save(STATE, folder / "ac.pt")
    (folder / "shape.json").write_text(json.dumps(asdict(CONFIG)))
    return folder


def run(source, out, *options: str) -> dict:
    argv = [str(source / "ac.pt"), "--config", str(source / "shape.json"), "--out", str(out), *options]
    assert export.main(argv) == 0
    return bundle.read_manifest(out)


@pytest.fixture(scope="module", params=["mha", "plain"])
def exported(request, source, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundles") / request.param
    run(source, out, "--attention", request.param)
    return out


# --- an independent forward pass in the published names -------------------------------------------


def turn(head: torch.Tensor, time: torch.Tensor, row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
    """Rotates features [N, d]: neighbours form a pair, whose members turn by the angles 2i and 2i+1, tiled."""
    half, out = head.shape[1] // 3 // 2, head.clone()
    for axis, place in enumerate((time, row, column)):
        for i in range(half):
            a, b = 2 * (axis * half + i), 2 * (axis * half + i) + 1
            one = place.double() * 10000 ** (-((2 * i) % half) / half)
            two = place.double() * 10000 ** (-((2 * i + 1) % half) / half)
            out[:, a] = head[:, a] * one.cos() - head[:, b] * one.sin()
            out[:, b] = head[:, b] * two.cos() + head[:, a] * two.sin()
    return out


def block(state, name: str, x: torch.Tensor, heads: int, places: tuple, seen: torch.Tensor) -> torch.Tensor:
    """One layer on x [N, D] float64, head by head, token by token where attention is concerned."""
    w = {k.removeprefix(f"module.{name}."): v.double() for k, v in state.items() if f".{name}." in k}
    dim = x.shape[1] // heads
    h = F.layer_norm(x, x.shape[1:], w["norm1.weight"], w["norm1.bias"], 1e-6)
    q, k, v = (h @ w["attn.qkv.weight"].T + w["attn.qkv.bias"]).split(x.shape[1], dim=1)
    outs = []
    for c in (slice(i * dim, (i + 1) * dim) for i in range(heads)):
        scores = turn(q[:, c], *places) @ turn(k[:, c], *places).T / math.sqrt(dim)
        outs.append(torch.softmax(scores.masked_fill(~seen, -math.inf), dim=1) @ v[:, c])
    x = x + torch.cat(outs, dim=1) @ w["attn.proj.weight"].T + w["attn.proj.bias"]
    h = F.layer_norm(x, x.shape[1:], w["norm2.weight"], w["norm2.bias"], 1e-6)
    h = F.gelu(h @ w["mlp.fc1.weight"].T + w["mlp.fc1.bias"])
    return x + h @ w["mlp.fc2.weight"].T + w["mlp.fc2.bias"]


def encode(state, picture: torch.Tensor) -> torch.Tensor:
    """One frame [3, 24, 24], shown twice → [9, 40]."""
    w = {k.removeprefix("module."): v.double() for k, v in state.items()}
    clip, tokens = torch.stack([picture, picture], dim=1).double(), []
    for row in range(3):
        for column in range(3):
            cube = clip[:, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
            tokens.append(w["patch_embed.proj.weight"].flatten(1) @ cube.flatten() + w["patch_embed.proj.bias"])
    x, index = torch.stack(tokens), torch.arange(AREA)
    for i in range(2):
        x = block(state, f"blocks.{i}", x, 2, (0 * index, index // 3, index % 3), torch.ones(AREA, AREA).bool())
    return F.layer_norm(x, (40,), w["norm.weight"], w["norm.bias"], 1e-6)


def predict(state, frames: list[torch.Tensor], actions: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """Normed tokens of each frame, actions and states [S, 7] → the normed prediction after each frame [S, 9, 40]."""
    w = {k.removeprefix("module."): v.double() for k, v in state.items()}
    x, places = [], []
    for t, tokens in enumerate(frames):
        x.append(w["action_encoder.weight"] @ actions[t].double() + w["action_encoder.bias"])
        x.append(w["state_encoder.weight"] @ states[t].double() + w["state_encoder.bias"])
        x += list(tokens @ w["predictor_embed.weight"].T + w["predictor_embed.bias"])
        places += [(t, 0, 0), (t, 0, 0)] + [(t, i // 3, i % 3) for i in range(AREA)]
    x, places = torch.stack(x), torch.tensor(places)
    seen = places[:, :1] >= places[:, 0]
    for i in range(2):
        x = block(state, f"predictor_blocks.{i}", x, 3, tuple(places.T), seen)
    x = x.reshape(len(frames), AREA + 2, 48)[:, 2:]
    x = F.layer_norm(x, (48,), w["predictor_norm.weight"], w["predictor_norm.bias"], 1e-6)
    return F.layer_norm(x @ w["predictor_proj.weight"].T + w["predictor_proj.bias"], (40,))


def far(found, expected: torch.Tensor) -> float:
    """max |found − expected| / max |expected|."""
    assert tuple(found.shape) == tuple(expected.shape)
    return ((torch.as_tensor(found).double() - expected).abs().max() / expected.abs().max()).item()


GENERATOR = torch.Generator().manual_seed(7)
PIXELS = torch.randn(2, 5, 3, 24, 24, generator=GENERATOR)
ACTIONS, STATES = (torch.randn(2, 5, 7, generator=GENERATOR) * 0.3 for _ in range(2))


def test_every_stage_is_the_forward_pass_in_the_published_names(source, exported, record_property):
    """PyTorch float32 and the graphs, a batch of two, against float64: one pass of upstream predicts all frames."""
    weights = checkpoints.read_meta(source / "ac.pt", CONFIG, encoder_key="encoder")
    model, given = reference.load_model(weights, 0), (ACTIONS.numpy(), STATES.numpy())
    torch_stages = reference.surprise(model, PIXELS, [1, 2, 3, 4], conditions=given)
    session = bundle.Session(exported)
    session.manifest["clip"]["context_lengths"] = [1, 2, 3, 4]
    whole, stages = session.stages(PIXELS.numpy(), given)
    figures = []
    for i in range(2):
        tokens = [encode(STATE["encoder"], picture) for picture in PIXELS[i]]
        normed = [F.layer_norm(t, (40,)) for t in tokens]
        predictions = predict(STATE["predictor"], normed[:4], ACTIONS[i], STATES[i])
        figures.append(far(whole[i], torch.cat(tokens)))
        for length in (1, 2, 3, 4):
            wanted = (predictions[length - 1] - normed[length]).abs().mean(dim=1).reshape(1, 3, 3)
            figures += [far(torch_stages[length].prediction[i], predictions[length - 1]),
                        far(torch_stages[length].error[i], wanted), far(stages[length].error[i], wanted),
                        far(stages[length].context[i], torch.cat(tokens[:length]))]  # fmt: skip
            context = torch.cat(tokens[:length])[None].float().numpy()
            found = session.predict_given(context, *(x[i : i + 1, :length].numpy() for x in (ACTIONS, STATES)))
            figures.append(far(found[0], predictions[length - 1]))
    record_property("max_rel", max(figures))
    assert max(figures) < TOLERANCE, figures


def test_what_was_done_and_is_matters_and_the_future_does_not(exported):
    session = bundle.Session(exported)
    session.manifest["clip"]["context_lengths"] = [3]
    pixels, given = PIXELS[:1].numpy(), [x[:1].numpy().copy() for x in (ACTIONS, STATES)]
    before = session.stages(pixels, tuple(given))[1][3].error
    for which in (0, 1):
        for frame, matters in ((0, True), (2, True), (3, False), (4, False)):
            changed = [x.copy() for x in given]
            changed[which][0, frame] += 1.0
            after = session.stages(pixels, tuple(changed))[1][3].error
            assert (abs(after - before).max() > 1e-3) == matters, (which, frame)
    later = pixels.copy()
    later[:, 4] = 0
    assert np.array_equal(session.stages(later, tuple(given))[1][3].error, before)


def test_bundle_says_what_it_takes(exported):
    m, card = bundle.check_files(exported), (exported / "README.md").read_text()
    assert m["family"] == "vjepa2ac" and m["conditioning"] == {"action_dim": 7}
    clip = m["clip"]
    assert (clip["tubelet_size"], clip["frames_per_clip"], clip["stride"], clip["horizon"]) == (1, 5, 1, 1)
    assert clip["context_lengths"] == [1, 2, 3] and clip["model_fps"] == 4.0
    assert "7 numbers a frame" in card and "reference_ac" in card and "key 'encoder'" in m["source"]
    assert all(value < TOLERANCE for value in m["parity"].values()), m["parity"]
    bundle.verify(exported)


def test_self_test_conditions_are_the_generator(exported):
    m = bundle.read_manifest(exported)
    actions, states = bundle.self_test_conditions(m)
    assert actions.shape == states.shape == (1, 5, 7) and abs(actions).max() <= 0.2
    x = (1664525 * 2 + 1013904223) % 2**32
    assert actions[0, 0, 0] == np.float32(((x >> 24) - 128) / 640)
    assert not np.array_equal(actions, states)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_reduced_precisions(source, tmp_path, precision, monkeypatch):
    monkeypatch.setattr("startle_models.deviation.TOLERANCES", {})
    m = run(source, tmp_path / "out", "--precision", precision)
    assert 1e-6 < m["parity"]["predictor_max_rel"] < 5e-2
    bundle.verify(tmp_path / "out")


# --- shapes and strictness ------------------------------------------------------------------------


def test_published_shape():
    c = ARCHITECTURES["vjepa2-ac-giant"]
    predictor = expected_predictor(c)
    assert round(sum(math.prod(s) for s in expected_encoder(c).values()) / 1e6) == 1012
    assert round(sum(math.prod(s) for s in predictor.values()) / 1e6) == 305  # "300M" in the paper
    assert predictor["predictor.embeddings.action.weight"] == (1024, 7)
    assert predictor["predictor.embeddings.extrinsics.weight"] == (1024, 6)
    assert c.grid == 16 and c.slot_frames == 1 and c.tubelet_size == 2


def test_random_checkpoints_have_the_published_names():
    ours = to_meta(random_weights(CONFIG), wrapper="module.")
    for key in ("encoder", "target_encoder", "predictor"):
        assert {k: v.shape for k, v in ours[key].items()} == {k: v.shape for k, v in STATE[key].items()}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("action_encoder.weight", None), ("state_encoder.bias", None), ("extrinsics_encoder.weight", None),
        ("action_encoder.weight", torch.zeros(48, 6)), ("mask_tokens.0", torch.zeros(1, 1, 48)),
    ],
)  # fmt: skip
def test_faults_are_refused(tmp_path, name, change):
    net = dict(STATE["predictor"])
    net.pop(f"module.{name}", None)
    net |= {} if change is None else {f"module.{name}": change}
    torch.save(STATE | {"predictor": net}, tmp_path / "bad.pt")
    with pytest.raises(CheckpointError, match="does not fit the configuration"):
        checkpoints.read_meta(tmp_path / "bad.pt", CONFIG)


def test_what_it_can_not_do_is_refused(source, tmp_path, capsys):
    argv = [str(source / "ac.pt"), "--config", str(source / "shape.json"), "--out", str(tmp_path / "out")]
    assert export.main([*argv, "--horizon", "2"]) == 1
    assert "predicts one frame" in capsys.readouterr().err
    with pytest.raises(CheckpointError, match="action_dim 0"):
        replace(CONFIG, action_dim=0)
    with pytest.raises(CheckpointError, match="does not fit"):
        checkpoints.read_meta(source / "ac.pt", replace(CONFIG, model_type="vjepa2", action_dim=0))
