"""V-JEPA 1: checkpoints under the published names, and graphs against a forward pass written in those names."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from startle_models import bundle, checkpoints, export, positions, reference
from startle_models.checkpoints import ARCHITECTURES, CheckpointError, ModelConfig, expected_encoder, expected_predictor
from startle_models.random_model import random_weights, save_hugging_face, to_meta

CONFIG = ModelConfig(
    model_type="vjepa1", crop_size=24, patch_size=8, frames_per_clip=8,
    hidden_size=40, num_attention_heads=2, num_hidden_layers=2, mlp_ratio=2.5,
    pred_hidden_size=36, pred_num_attention_heads=3, pred_num_hidden_layers=2, pred_num_mask_tokens=2,
)  # fmt: skip
"""Widths 40 and 36: one whose three sections of the position table are cut, one that they fill."""

AREA, SLOTS, TOLERANCE = 9, 4, 1e-5


# --- a checkpoint under the published names -------------------------------------------------------


def table(width: int) -> torch.Tensor:
    """The position table [1, N, width], entry by entry."""
    section = 2 * math.ceil(width / 6)
    out = torch.zeros(1, SLOTS * AREA, width)
    for token in range(SLOTS * AREA):
        place = (token // AREA, token % AREA // 3, token % 3)
        for feature in range(width):
            axis, within = divmod(feature, section)
            turn = math.sin if within < section // 2 else math.cos
            angle = place[axis] / 10000 ** (within % (section // 2) / (section // 2))
            out[0, token, feature] = turn(angle)
    return out


def network(blocks: str, width: int, extra: dict[str, tuple[int, ...]], noise) -> dict[str, torch.Tensor]:
    """Two transformer layers of `width` and `extra`, named as upstream, with random values."""
    inner = int(width * (2.5 if blocks == "blocks" else 4.0))
    shapes = dict(extra)
    for i in range(2):
        shapes |= {f"{blocks}.{i}.{n}.{k}": (width,) for n in ("norm1", "norm2") for k in ("weight", "bias")}
        pairs = {"attn.qkv": (3 * width, width), "attn.proj": (width, width), "mlp.fc1": (inner, width),
                 "mlp.fc2": (width, inner)}  # fmt: skip
        for name, shape in pairs.items():
            shapes |= {f"{blocks}.{i}.{name}.weight": shape, f"{blocks}.{i}.{name}.bias": shape[:1]}
    state = {}
    for name, shape in shapes.items():
        scale = shape[-1] ** -0.5 if len(shape) == 2 else 0.1
        state[f"module.backbone.{name}"] = noise(shape) * scale + (1.0 if "norm" in name and "weight" in name else 0.0)
    return state


def encoder_state(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    extra = {"patch_embed.proj.weight": (40, 3, 2, 8, 8), "patch_embed.proj.bias": (40,),
             "norm.weight": (40,), "norm.bias": (40,)}  # fmt: skip
    state = network("blocks", 40, extra, lambda shape: torch.randn(shape, generator=generator))
    return {"module.backbone.pos_embed": table(40)} | state


def predictor_state(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    extra = {"predictor_embed.weight": (36, 40), "predictor_embed.bias": (36,),
             "mask_tokens.0": (1, 1, 36), "mask_tokens.1": (1, 1, 36),
             "predictor_norm.weight": (36,), "predictor_norm.bias": (36,),
             "predictor_proj.weight": (40, 36), "predictor_proj.bias": (40,)}  # fmt: skip
    state = network("predictor_blocks", 36, extra, lambda shape: torch.randn(shape, generator=generator))
    return {"module.backbone.predictor_pos_embed": table(36)} | state


STATE = {
    "encoder": encoder_state(1), "predictor": predictor_state(2), "target_encoder": encoder_state(3),
    "opt": {"state": {0: {"step": torch.tensor(9.0)}}, "param_groups": [{"lr": 1e-6, "params": [0]}]},
    "scaler": {"scale": 65536.0}, "epoch": 300, "loss": 0.4, "batch_size": 24, "world_size": 128, "lr": 1e-6,
}  # fmt: skip
"""All keys that `app/vjepa/train.py` saves; `encoder` and `target_encoder` differ, to show a wrong key."""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A folder with `small.pth.tar` and its shape."""
    folder = tmp_path_factory.mktemp("vjepa1")
    torch.save(STATE, folder / "small.pth.tar")
    (folder / "shape.json").write_text(json.dumps(asdict(CONFIG)))
    return folder


def run(source, out, *options: str) -> dict:
    argv = [str(source / "small.pth.tar"), "--config", str(source / "shape.json"), "--out", str(out), *options]
    assert export.main(argv) == 0
    return bundle.read_manifest(out)


@pytest.fixture(scope="module", params=["mha", "plain"])
def paper(request, source, tmp_path_factory):
    """The bundle of Garrido et al.'s setting: context by `encoder`, targets by `target_encoder`."""
    out = tmp_path_factory.mktemp("bundles") / request.param
    run(source, out, "--attention", request.param, "--encoder-key", "encoder",
        "--target-source", str(source / "small.pth.tar"))  # fmt: skip
    return out


# --- an independent forward pass in the published names -------------------------------------------


def block(state: dict, name: str, x: torch.Tensor, heads: int) -> torch.Tensor:
    """One layer on x [N, D] float64, head by head."""
    w = {k.removeprefix(f"module.backbone.{name}."): v.double() for k, v in state.items() if f".{name}." in k}
    dim = x.shape[1] // heads
    h = F.layer_norm(x, x.shape[1:], w["norm1.weight"], w["norm1.bias"], 1e-6)
    q, k, v = (h @ w["attn.qkv.weight"].T + w["attn.qkv.bias"]).split(x.shape[1], dim=1)
    cuts = [slice(i * dim, (i + 1) * dim) for i in range(heads)]
    outs = [torch.softmax(q[:, c] @ k[:, c].T / math.sqrt(dim), dim=1) @ v[:, c] for c in cuts]
    x = x + torch.cat(outs, dim=1) @ w["attn.proj.weight"].T + w["attn.proj.bias"]
    h = F.layer_norm(x, x.shape[1:], w["norm2.weight"], w["norm2.bias"], 1e-6)
    h = h @ w["mlp.fc1.weight"].T + w["mlp.fc1.bias"]
    h = 0.5 * h * (1 + torch.erf(h / math.sqrt(2)))
    return x + h @ w["mlp.fc2.weight"].T + w["mlp.fc2.bias"]


def encode(state: dict, pixels: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Upstream's way: the whole clip [T, 3, 24, 24] is embedded, then only the tokens `kept` go on → [K, 40]."""
    w = {k.removeprefix("module.backbone."): v.double() for k, v in state.items()}
    kernel, tokens = w["patch_embed.proj.weight"].flatten(1), []
    for slot in range(SLOTS):
        for row in range(3):
            for column in range(3):
                cube = pixels[2 * slot : 2 * slot + 2, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
                tokens.append(kernel @ cube.double().transpose(0, 1).flatten() + w["patch_embed.proj.bias"])
    x = (torch.stack(tokens) + w["pos_embed"][0])[kept]
    for i in range(2):
        x = block(state, f"blocks.{i}", x, heads=2)
    return F.layer_norm(x, (40,), w["norm.weight"], w["norm.bias"], 1e-6)


def predict(state: dict, context: torch.Tensor, known: torch.Tensor, asked: torch.Tensor, mask: int) -> torch.Tensor:
    """Context tokens [Nc, 40] that stand at `known` → prediction [Nt, 40] at `asked`."""
    w = {k.removeprefix("module.backbone."): v.double() for k, v in state.items()}
    places = w["predictor_pos_embed"][0]
    x = context @ w["predictor_embed.weight"].T + w["predictor_embed.bias"] + places[known]
    x = torch.cat([x, w[f"mask_tokens.{mask}"][0] + places[asked]])
    for i in range(2):
        x = block(state, f"predictor_blocks.{i}", x, heads=3)
    x = F.layer_norm(x, (36,), w["predictor_norm.weight"], w["predictor_norm.bias"], 1e-6)[len(known) :]
    return x @ w["predictor_proj.weight"].T + w["predictor_proj.bias"]


def far(found, expected: torch.Tensor) -> float:
    """max |found − expected| / max |expected|."""
    assert tuple(found.shape) == tuple(expected.shape)
    return ((torch.as_tensor(found).double() - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("length", [2, 4, 6])
def test_every_stage_is_the_forward_pass_in_the_published_names(source, paper, length, record_property):
    """PyTorch float32 and the ONNX graphs, a batch of two, against float64."""
    weights = checkpoints.read_meta(source / "small.pth.tar", CONFIG, encoder_key="encoder")
    target = checkpoints.read_meta(source / "small.pth.tar", CONFIG, encoder_only=True)
    model, separate = reference.load_model(weights, 0), reference.load_encoder(target)
    session, pixels = bundle.Session(paper), torch.randn(2, 8, 3, 24, 24, generator=torch.Generator().manual_seed(4))
    torch_stage = reference.surprise(model, pixels, [length], target_encoder=separate)[length]
    whole, stages = session.stages(pixels.numpy())
    places, cut = torch.arange(SLOTS * AREA), length // 2 * AREA
    figures = {"torch": [], "onnx": []}
    for i in range(2):
        context = encode(STATE["encoder"], pixels[i], places[:cut])
        everything = encode(STATE["target_encoder"], pixels[i], places)
        prediction = predict(STATE["predictor"], context, places[:cut], places[cut:], mask=0)
        wanted = F.layer_norm(everything, (40,))[cut:]
        error = (prediction - wanted).abs().mean(dim=1).reshape(SLOTS - length // 2, 3, 3)
        given = context[None].float().numpy(), places[None, :cut].numpy(), places[None, cut:].numpy()
        figures["torch"] += [far(torch_stage.context[i], context), far(torch_stage.prediction[i], prediction),
                             far(torch_stage.target[i], wanted), far(torch_stage.error[i], error)]  # fmt: skip
        targets = session.targets(whole)[i, cut:]
        figures["onnx"] += [far(stages[length].context[i], context), far(whole[i], everything),
                            far(session.predict(*given)[0], prediction), far(targets, wanted),
                            far(stages[length].error[i], error)]  # fmt: skip
    for kind, values in figures.items():
        record_property(f"{kind}_max_rel", max(values))
        assert max(values) < TOLERANCE, (kind, values)


def test_positions_need_not_be_a_prefix(paper):
    """The predictor takes any places, in any order, each with its own row of the table."""
    places = torch.randperm(SLOTS * AREA, generator=torch.Generator().manual_seed(5))
    known, asked = places[:11], places[11:20]
    context = torch.randn(11, 40, generator=torch.Generator().manual_seed(6))
    found = bundle.Session(paper).predict(context[None].numpy(), known[None].numpy(), asked[None].numpy())
    assert far(found[0], predict(STATE["predictor"], context.double(), known, asked, mask=0)) < TOLERANCE


def test_bundle_says_where_it_comes_from(paper):
    manifest, card = bundle.check_files(paper), (paper / "README.md").read_text()
    assert manifest["family"] == "vjepa1" and manifest["clip"]["model_fps"] == 7.5
    assert sorted(manifest["graphs"]) == ["encoder", "predictor", "target_encoder"]
    context, target = manifest["source"].split("; target encoder: ")
    assert "small.pth.tar" in context and "key 'encoder'" in context and "key 'target_encoder'" in target
    assert "largest difference from the sine-cosine formula" in card and "Token 0 is used" in card
    assert "reference_vjepa1" in card
    assert all(value < TOLERANCE for value in manifest["parity"].values()), manifest["parity"]
    bundle.verify(paper)


def test_encoder_key_and_mask_token_are_the_ones_asked_for(source, tmp_path):
    pixels = torch.randn(1, 8, 3, 24, 24, generator=torch.Generator().manual_seed(7))
    run(source, tmp_path / "plain", "--mask-token", "1")
    session, places = bundle.Session(tmp_path / "plain"), torch.arange(SLOTS * AREA)
    whole = encode(STATE["target_encoder"], pixels[0], places)
    assert far(session.encode(pixels.numpy())[0], whole) < TOLERANCE
    tokens = whole[:AREA].float()
    found = session.predict(tokens[None].numpy(), places[None, :AREA].numpy(), places[None, AREA:].numpy())
    wanted = predict(STATE["predictor"], tokens.double(), places[:AREA], places[AREA:], mask=1)
    assert far(found[0], wanted) < TOLERANCE


# --- shapes and strictness ------------------------------------------------------------------------


def test_table_is_the_formula():
    for width in (36, 40):
        assert (positions.sine_table(width, 3, SLOTS) - table(width)).abs().max() < 1e-6
        assert positions.distance_from_sine(table(width), 3) < 1e-6
    assert abs(positions.distance_from_sine(table(40) + 0.25, 3) - 0.25) < 1e-6


@pytest.mark.parametrize(
    ("name", "tokens", "width", "layers", "millions"),
    [
        ("vjepa1-vitl", 1568, 1024, 24, 304),
        ("vjepa1-vith", 1568, 1280, 32, 632),
        ("vjepa1-vith-384", 4608, 1280, 32, 632),
    ],
)
def test_published_shapes(name, tokens, width, layers, millions):
    config = ARCHITECTURES[name]
    encoder, predictor = expected_encoder(config), expected_predictor(config)
    assert encoder["encoder.embeddings.positions"] == (1, tokens, width)
    assert predictor["predictor.embeddings.positions"] == (1, tokens, 384)
    assert predictor["predictor.embeddings.mask_tokens"] == (2, 1, 1, 384)
    assert config.pred_num_attention_heads == config.num_attention_heads == 16
    assert config.num_hidden_layers == layers and config.pred_num_hidden_layers == 12
    count = sum(math.prod(s) for n, s in encoder.items() if not n.endswith("positions"))
    assert round(count / 1e6) in range(millions - 2, millions + 3)


def test_random_checkpoints_have_the_published_names():
    ours = to_meta(random_weights(CONFIG))
    for key in ("encoder", "target_encoder", "predictor"):
        assert {k: v.shape for k, v in ours[key].items()} == {k: v.shape for k, v in STATE[key].items()}
    for key in ("encoder", "target_encoder"):
        assert positions.distance_from_sine(ours[key]["module.backbone.pos_embed"], 3) == 0


@pytest.mark.parametrize(
    ("key", "name", "change"),
    [
        ("predictor", "predictor_pos_embed", None),
        ("predictor", "mask_tokens.1", None),
        ("target_encoder", "blocks.1.attn.qkv.bias", None),
        ("target_encoder", "pos_embed", torch.zeros(1, 18, 40)),
        ("target_encoder", "cls_token", torch.zeros(1, 1, 40)),
        ("predictor", "mask_tokens.2", torch.zeros(1, 1, 36)),
    ],
)
def test_faults_are_refused(source, tmp_path, key, name, change):
    net = dict(STATE[key])
    net.pop(f"module.backbone.{name}", None)
    net |= {} if change is None else {f"module.backbone.{name}": change}
    torch.save(STATE | {key: net}, tmp_path / "bad.pth.tar")
    with pytest.raises(CheckpointError, match="does not fit the configuration"):
        checkpoints.read_meta(tmp_path / "bad.pth.tar", CONFIG)


def test_the_families_are_not_mixed_up(source, tmp_path):
    with pytest.raises(CheckpointError, match="does not fit"):  # V-JEPA 2 has no use for 2 of its 10 mask tokens
        checkpoints.read_meta(source / "small.pth.tar", replace(CONFIG, model_type="vjepa2", pred_num_mask_tokens=10))
    torch.save(to_meta(random_weights(replace(CONFIG, model_type="vjepa2"))), tmp_path / "two.pt")
    with pytest.raises(CheckpointError, match=r"`vit_huge_rope`.*missing: encoder\.embeddings\.positions"):
        checkpoints.read_meta(tmp_path / "two.pt", CONFIG)
    with pytest.raises(CheckpointError, match="only V-JEPA 2"):
        checkpoints.read_hugging_face(save_hugging_face(random_weights(CONFIG), tmp_path / "hf"))


def test_clips_end_with_the_table_unless_a_longer_one_is_asked_for(source, paper, tmp_path):
    with pytest.raises(Exception, match="[Bb]roadcast|dimension"):
        bundle.Session(paper).encode(np.zeros((1, 10, 3, 24, 24), np.float32))
    argv = [str(source / "small.pth.tar"), "--config", str(source / "shape.json"), "--out", str(tmp_path / "out")]
    assert export.main([*argv, "--frames", "12", "--encoder-key", "encoder", "--target-source", argv[0]]) == 0
    manifest = bundle.read_manifest(tmp_path / "out")
    assert manifest["clip"]["frames_per_clip"] == 12 and manifest["parity"]["encoder_max_rel"] < 5e-6
    pixels = torch.randn(1, 8, 3, 24, 24, generator=torch.Generator().manual_seed(1)).numpy()
    longer, own = (bundle.Session(folder).encode(pixels) for folder in (tmp_path / "out", paper))
    assert far(longer, torch.from_numpy(own)) < 1e-5  # what the checkpoint's own table holds is as before


def test_files_with_other_python_objects_are_refused(tmp_path):
    torch.save({"encoder": CONFIG}, tmp_path / "bad.pth.tar")
    with pytest.raises(CheckpointError, match="read safely"):
        checkpoints.read_meta(tmp_path / "bad.pth.tar", CONFIG)
