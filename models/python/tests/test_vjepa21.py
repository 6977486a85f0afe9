"""V-JEPA 2.1: checkpoints under the published names, graphs against a forward pass in those names, distilled models."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import pytest
import torch
from small import WEIGHTS
from torch.nn import functional as F

from startle_models import bundle, checkpoints, export, reference
from startle_models.checkpoints import ARCHITECTURES, CheckpointError, ModelConfig, expected_encoder, expected_predictor
from startle_models.random_model import random_weights, to_meta
from startle_models.vjepa21 import suggest_architecture

CONFIG = ModelConfig(
    model_type="vjepa21", crop_size=48, patch_size=16, frames_per_clip=8,
    hidden_size=40, num_attention_heads=2, num_hidden_layers=5, mlp_ratio=2.5,
    pred_hidden_size=36, pred_num_attention_heads=3, pred_num_hidden_layers=2, pred_num_mask_tokens=3,
    hierarchical_layers=(0, 1, 3, 4), num_distillation_outputs=4,
)  # fmt: skip
"""Heads of 20 (2 features are not rotated) and 12 features; a 3 × 3 grid, stretched by 7.5 to that of 16 × 16."""

STUDENT = replace(
    CONFIG, hidden_size=32, num_hidden_layers=4, hierarchical_layers=(0, 1, 2, 3), num_distillation_outputs=1,
    teacher_embed_dim=40,
)  # fmt: skip
AREA, SLOTS, TOLERANCE = 9, 4, 1e-5


# --- a checkpoint under the published names -------------------------------------------------------


def network(config: ModelConfig, predictor: bool, seed: int) -> dict[str, torch.Tensor]:
    """An encoder's or a predictor's state dict as upstream saves it, with random values."""
    c, levels = config, config.num_distillation_outputs
    if predictor:
        width, depth, ratio, blocks, out = c.pred_hidden_size, c.pred_num_hidden_layers, 4.0, "predictor_blocks", (
            levels * c.hidden_size if c.teacher_embed_dim is None else c.teacher_embed_dim)  # fmt: skip
        matrices = {"predictor_proj": (out, width), "predictor_proj_context": (out, width)}
        if levels > 1:
            matrices |= {"predictor_embed.0": (c.hidden_size, levels * c.hidden_size)}
            matrices |= {"predictor_embed.2": (width, c.hidden_size)}
        else:
            matrices |= {"predictor_embed": (width, c.hidden_size)}
        norms, vectors = ["predictor_norm"], [f"mask_tokens.{i}" for i in range(c.pred_num_mask_tokens)]
    else:
        width, depth, ratio, blocks = c.hidden_size, c.num_hidden_layers, c.mlp_ratio, "blocks"
        matrices = {"patch_embed.proj": (width, 3, 2, 16, 16), "patch_embed_img.proj": (width, 3, 1, 16, 16)}
        norms, vectors = [f"norms_block.{i}" for i in range(4)], []
    inner = int(width * ratio)
    for i in range(depth):
        norms += [f"{blocks}.{i}.norm1", f"{blocks}.{i}.norm2"]
        matrices |= {f"{blocks}.{i}.attn.qkv": (3 * width, width), f"{blocks}.{i}.attn.proj": (width, width),
                     f"{blocks}.{i}.mlp.fc1": (inner, width), f"{blocks}.{i}.mlp.fc2": (width, inner)}  # fmt: skip
    g = torch.Generator().manual_seed(seed)
    state = {v: torch.randn(1, 1, width, generator=g) * 0.4 for v in [*vectors, "img_mod_embed", "video_mod_embed"]}
    for name, shape in matrices.items():
        state[f"{name}.weight"] = torch.randn(shape, generator=g) * math.prod(shape[1:]) ** -0.5
        state[f"{name}.bias"] = torch.randn(shape[0], generator=g) * 0.1
    for name in norms:
        state[f"{name}.weight"] = 1 + torch.randn(width, generator=g) * 0.1
        state[f"{name}.bias"] = torch.randn(width, generator=g) * 0.1
    return {f"module.backbone.{k}": v for k, v in state.items()}


STATE = {
    "encoder": network(CONFIG, False, 1), "predictor": network(CONFIG, True, 2),
    "target_encoder": network(CONFIG, False, 3), "opt": {"state": {}}, "scaler": None, "epoch": 40, "lr": 1e-6,
}  # fmt: skip
DISTILLED = {
    "encoder": network(STUDENT, False, 4), "predictor": network(STUDENT, True, 5),
    "ema_encoder": network(STUDENT, False, 6), "epoch": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A folder with `giant.pt` and `student.pt` and their shapes."""
    folder = tmp_path_factory.mktemp("vjepa21")
    for name, state, config in (("giant", STATE, CONFIG), ("student", DISTILLED, STUDENT)):
        torch.save(state, folder / f"{name}.pt")
        (folder / f"{name}.json").write_text(json.dumps(asdict(config)))
    return folder


def run(source, name: str, out, *options: str) -> dict:
    argv = [str(source / f"{name}.pt"), "--config", str(source / f"{name}.json"), "--out", str(out), *options]
    assert export.main(argv) == 0
    return bundle.read_manifest(out)


# --- an independent forward pass in the published names -------------------------------------------


def turn(head: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Rotates a head's features [N, d]: pair i of each third turns by place · 10000^(-i/half)."""
    half, out = head.shape[1] // 3 // 2, head.clone()
    axes = (places // AREA, places % AREA // 3 * 15 / 2, places % 3 * 15 / 2)
    for axis in range(3):
        for i in range(half):
            angle = axes[axis].double() * 10000 ** (-i / half)
            a, b = 2 * (axis * half + i), 2 * (axis * half + i) + 1
            out[:, a] = head[:, a] * angle.cos() - head[:, b] * angle.sin()
            out[:, b] = head[:, b] * angle.cos() + head[:, a] * angle.sin()
    return out


def block(state: dict, name: str, x: torch.Tensor, heads: int, places: torch.Tensor) -> torch.Tensor:
    """One layer on x [N, D] float64, head by head."""
    w = {k.removeprefix(f"module.backbone.{name}."): v.double() for k, v in state.items() if f".{name}." in k}
    dim = x.shape[1] // heads
    h = F.layer_norm(x, x.shape[1:], w["norm1.weight"], w["norm1.bias"], 1e-6)
    q, k, v = (h @ w["attn.qkv.weight"].T + w["attn.qkv.bias"]).split(x.shape[1], dim=1)
    outs = []
    for c in (slice(i * dim, (i + 1) * dim) for i in range(heads)):
        scores = turn(q[:, c], places) @ turn(k[:, c], places).T / math.sqrt(dim)
        outs.append(torch.softmax(scores, dim=1) @ v[:, c])
    x = x + torch.cat(outs, dim=1) @ w["attn.proj.weight"].T + w["attn.proj.bias"]
    h = F.layer_norm(x, x.shape[1:], w["norm2.weight"], w["norm2.bias"], 1e-6)
    h = h @ w["mlp.fc1.weight"].T + w["mlp.fc1.bias"]
    h = 0.5 * h * (1 + torch.erf(h / math.sqrt(2)))
    return x + h @ w["mlp.fc2.weight"].T + w["mlp.fc2.bias"]


def encode(config: ModelConfig, state: dict, pixels: torch.Tensor, kept: torch.Tensor) -> list[torch.Tensor]:
    """Upstream's way: the whole clip [T, 3, 48, 48] is embedded, then the tokens `kept` go on → the normed depths."""
    w = {k.removeprefix("module.backbone."): v.double() for k, v in state.items()}
    kernel, tokens = w["patch_embed.proj.weight"].flatten(1), []
    for slot in range(SLOTS):
        for row in range(3):
            for column in range(3):
                cube = pixels[2 * slot : 2 * slot + 2, :, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
                tokens.append(kernel @ cube.double().transpose(0, 1).flatten() + w["patch_embed.proj.bias"])
    x, depths = (torch.stack(tokens) + w["video_mod_embed"][0])[kept], []
    for i in range(config.num_hidden_layers):
        x = block(state, f"blocks.{i}", x, 2, kept)
        if i in config.hierarchical_layers:
            n = config.hierarchical_layers.index(i)
            depths.append(F.layer_norm(x, x.shape[1:], w[f"norms_block.{n}.weight"], w[f"norms_block.{n}.bias"], 1e-6))
    return depths[-config.num_distillation_outputs :]


def predict(state: dict, context: torch.Tensor, known: torch.Tensor, asked: torch.Tensor, mask: int) -> torch.Tensor:
    """Context tokens [Nc, D] that stand at `known` → prediction [Nt, width] at `asked`."""
    w = {k.removeprefix("module.backbone."): v.double() for k, v in state.items()}
    if "predictor_embed.0.weight" in w:
        h = context @ w["predictor_embed.0.weight"].T + w["predictor_embed.0.bias"]
        x = F.gelu(h) @ w["predictor_embed.2.weight"].T + w["predictor_embed.2.bias"]
    else:
        x = context @ w["predictor_embed.weight"].T + w["predictor_embed.bias"]
    x = torch.cat([x, w[f"mask_tokens.{mask}"][0].expand(len(asked), -1)]) + w["video_mod_embed"][0]
    for i in range(2):
        x = block(state, f"predictor_blocks.{i}", x, 3, torch.cat([known, asked]))
    x = F.layer_norm(x, (36,), w["predictor_norm.weight"], w["predictor_norm.bias"], 1e-6)[len(known) :]
    return x @ w["predictor_proj.weight"].T + w["predictor_proj.bias"]


def far(found, expected: torch.Tensor) -> float:
    """max |found − expected| / max |expected|."""
    assert tuple(found.shape) == tuple(expected.shape)
    return ((torch.as_tensor(found).double() - expected).abs().max() / expected.abs().max()).item()


PIXELS = torch.randn(2, 8, 3, 48, 48, generator=torch.Generator().manual_seed(7))
PLACES = torch.arange(SLOTS * AREA)


@pytest.fixture(scope="module", params=["mha", "plain"])
def giant(request, source, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundles") / request.param
    run(source, "giant", out, "--attention", request.param, "--encoder-key", "encoder",
        "--target-source", str(source / "giant.pt"))  # fmt: skip
    return out


@pytest.mark.parametrize("length", [2, 4, 6])
def test_every_stage_is_the_forward_pass_in_the_published_names(source, giant, length, record_property):
    """PyTorch float32 and the ONNX graphs, a batch of two, against float64; each depth of the target by itself."""
    weights = checkpoints.read_meta(source / "giant.pt", CONFIG, encoder_key="encoder")
    target = checkpoints.read_meta(source / "giant.pt", CONFIG, encoder_only=True)
    model, separate = reference.load_model(weights, 0), reference.load_encoder(target)
    torch_stage = reference.surprise(model, PIXELS, [length], target_encoder=separate)[length]
    session = bundle.Session(giant)
    whole, stages = session.stages(PIXELS.numpy())
    cut, figures = length // 2 * AREA, {"torch": [], "onnx": []}
    for i in range(2):
        context = torch.cat(encode(CONFIG, STATE["encoder"], PIXELS[i], PLACES[:cut]), dim=1)
        depths = encode(CONFIG, STATE["target_encoder"], PIXELS[i], PLACES)
        prediction = predict(STATE["predictor"], context, PLACES[:cut], PLACES[cut:], mask=0)
        wanted = torch.cat([F.layer_norm(d, (40,)) for d in depths], dim=1)[cut:]
        error = (prediction - wanted).abs().mean(dim=1).reshape(SLOTS - length // 2, 3, 3)
        given = context[None].float().numpy(), PLACES[None, :cut].numpy(), PLACES[None, cut:].numpy()
        figures["torch"] += [far(torch_stage.context[i], context), far(torch_stage.prediction[i], prediction),
                             far(torch_stage.target[i], wanted), far(torch_stage.error[i], error)]  # fmt: skip
        figures["onnx"] += [far(stages[length].context[i], context), far(whole[i], torch.cat(depths, dim=1)),
                            far(session.predict(*given)[0], prediction), far(session.targets(whole)[i, cut:], wanted),
                            far(stages[length].error[i], error)]  # fmt: skip
    for kind, values in figures.items():
        record_property(f"{kind}_max_rel", max(values))
        assert max(values) < TOLERANCE, (kind, values)


def test_positions_need_not_be_a_prefix_nor_in_order(giant):
    places = torch.randperm(SLOTS * AREA, generator=torch.Generator().manual_seed(5))
    known, asked = places[:11], places[11:20]
    context = torch.randn(11, 160, generator=torch.Generator().manual_seed(6))
    found = bundle.Session(giant).predict(context[None].numpy(), known[None].numpy(), asked[None].numpy())
    assert far(found[0], predict(STATE["predictor"], context.double(), known, asked, mask=0)) < TOLERANCE


def test_bundle_says_how_targets_are_made(giant):
    manifest, card = bundle.check_files(giant), (giant / "README.md").read_text()
    assert manifest["family"] == "vjepa21" and manifest["clip"]["model_fps"] == 4.0
    assert manifest["features"] == {"dim": 160, "levels": 4}
    assert "layers 1, 2, 4, 5 joined, each 40 layer-normed" in card and "rows and columns times 7.5" in card
    assert "Token 0 is used" in card and "reference_vjepa21" in card
    assert all(value < TOLERANCE for value in manifest["parity"].values()), manifest["parity"]
    bundle.verify(giant)


# --- distilled models -----------------------------------------------------------------------------


def test_distilled_models_are_refused_without_their_teacher(source, tmp_path, capsys):
    argv = [str(source / "student.pt"), "--config", str(source / "student.json"), "--out", str(tmp_path / "out")]
    assert export.main(argv) == 1
    said = capsys.readouterr().err
    assert "predicts the 40 features of its teacher" in said and "--target-source" in said
    assert not (tmp_path / "out").exists()
    assert export.main([*argv, "--target-source", str(source / "student.pt"), "--target-key", "ema_encoder"]) == 1
    assert "tokens of 32 features" in capsys.readouterr().err  # its own encoder is no teacher


def test_distilled_models_are_compared_with_the_last_depth_of_their_teacher(source, tmp_path):
    m = run(source, "student", tmp_path / "out", "--target-source", str(source / "giant.pt"),
            "--target-config", str(source / "giant.json"))  # fmt: skip
    assert m["features"] == {"dim": 40, "context_dim": 32}
    assert "key 'ema_encoder'" in m["source"] and "giant.pt" in m["source"]
    session, cut = bundle.Session(tmp_path / "out"), 2 * AREA
    whole, stages = session.stages(PIXELS[:1].numpy())
    context = encode(STUDENT, DISTILLED["ema_encoder"], PIXELS[0], PLACES[:cut])[0]
    prediction = predict(DISTILLED["predictor"], context, PLACES[:cut], PLACES[cut:], mask=0)
    teacher = encode(CONFIG, STATE["target_encoder"], PIXELS[0], PLACES)[-1]
    error = (prediction - F.layer_norm(teacher, (40,))[cut:]).abs().mean(dim=1).reshape(2, 3, 3)
    assert far(whole[0], teacher) < TOLERANCE and far(stages[4].context[0], context) < TOLERANCE
    assert far(stages[4].error[0], error) < TOLERANCE
    bundle.verify(tmp_path / "out")


# --- shapes and strictness ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "millions", "token", "target", "layers"),
    [
        ("vjepa21-vitb-384", 86, 768, 1664, (11,)),
        ("vjepa21-vitl-384", 304, 1024, 1664, (23,)),
        ("vjepa21-giant-384", 1012, 5632, 5632, (9, 19, 29, 39)),
        ("vjepa21-gigantic-384", 1844, 6656, 6656, (11, 23, 37, 47)),
    ],
)
def test_published_shapes(name, millions, token, target, layers):
    c = ARCHITECTURES[name]
    encoder, predictor = expected_encoder(c), expected_predictor(c)
    count = sum(math.prod(s) for k, s in encoder.items() if "_image" not in k)
    assert round(count / 1e6) == millions
    assert (c.token_dim, c.target_dim, c.level_layers) == (token, target, layers)
    assert c.hidden_size // c.num_attention_heads == 64 and c.grid == 24 and c.place_scale == 15 / 23
    assert predictor["predictor.proj.weight"] == predictor["predictor.proj_context.weight"] == (target, 384)
    inner = {768: 3072, 1024: 4096, 1408: 6144, 1664: 8192}[c.hidden_size]
    assert encoder["encoder.layer.0.mlp.fc1.weight"] == (inner, c.hidden_size)
    assert len([k for k in encoder if ".norms." in k and "weight" in k]) == 4


def test_random_checkpoints_have_the_published_names():
    for config, state in ((CONFIG, STATE), (STUDENT, DISTILLED)):
        ours = to_meta(random_weights(config))
        for key in ours:
            assert {k: v.shape for k, v in ours[key].items()} == {k: v.shape for k, v in state[key].items()}


@pytest.mark.parametrize(
    ("key", "name", "change"),
    [
        ("target_encoder", "norms_block.3.weight", None),
        ("target_encoder", "video_mod_embed", None),
        ("target_encoder", "patch_embed_img.proj.weight", None),
        ("predictor", "predictor_embed.2.bias", None),
        ("predictor", "predictor_proj_context.weight", None),
        ("predictor", "img_mod_embed", torch.zeros(1, 1, 40)),
        ("target_encoder", "norm.weight", torch.zeros(40)),
        ("target_encoder", "pos_embed", torch.zeros(1, 36, 40)),
    ],
)
def test_faults_are_refused(tmp_path, key, name, change):
    net = dict(STATE[key])
    net.pop(f"module.backbone.{name}", None)
    net |= {} if change is None else {f"module.backbone.{name}": change}
    torch.save(STATE | {key: net}, tmp_path / "bad.pt")
    with pytest.raises(CheckpointError, match="does not fit the configuration"):
        checkpoints.read_meta(tmp_path / "bad.pt", CONFIG)


def test_the_families_are_not_mixed_up(source, tmp_path):
    older = ModelConfig(crop_size=48, hidden_size=40, num_attention_heads=2, num_hidden_layers=5)
    with pytest.raises(CheckpointError, match="a V-JEPA 2.1 checkpoint; give --arch vjepa21-"):
        checkpoints.read_meta(source / "giant.pt", older)
    assert suggest_architecture(to_meta(WEIGHTS) | {"epoch": 1, "opt": {"state": {0: {}}}}) == ""
    kernel = torch.zeros(1664, 1)
    assert suggest_architecture({"encoder": {"patch_embed.proj.weight": kernel, "video_mod_embed": kernel}}) == (
        "vjepa21-gigantic-384"
    )


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"hierarchical_layers": (0, 1, 3)}, "rising layers wanted"),
        ({"num_distillation_outputs": 5}, "out of range"),
        ({"patch_size": 8}, "defines positions"),
        ({"teacher_embed_dim": 42}, "not a multiple of 4 levels"),
        ({"model_type": "vjepa2"}, "V-JEPA 2.1 only"),
    ],
)
def test_configurations_that_mean_nothing_are_refused(change, match):
    with pytest.raises(CheckpointError, match=match):
        replace(CONFIG, **change)
