"""Reading checkpoints: both layouts, strictly, and against a forward pass in Meta's own layout."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from small import CONFIG, WEIGHTS, clips
from torch.nn import functional as F

from startle_models import bundle, checkpoints, export
from startle_models.checkpoints import ARCHITECTURES, CheckpointError, ModelConfig, expected_encoder, expected_predictor
from startle_models.random_model import save_hugging_face, to_meta



@pytest.mark.parametrize("config", [CONFIG, *(c for c in ARCHITECTURES.values() if c.model_type == "vjepa2")])
def test_expected_tensors_are_those_of_the_library(config):
    from transformers import VJEPA2Model

    with torch.device("meta"):
        library = VJEPA2Model(config.hugging_face()).state_dict()
    ours = expected_encoder(config) | expected_predictor(config)
    assert {k: tuple(v.shape) for k, v in library.items()} == ours


@pytest.mark.parametrize("fault", ["missing", "extra", "shape", "dtype"])
@pytest.mark.parametrize("layout", ["hf", "meta"])
def test_faulty_checkpoints_are_refused_by_name(tmp_path, capsys, layout, fault):
    state = to_meta(WEIGHTS) if layout == "meta" else {"predictor": WEIGHTS.encoder | WEIGHTS.predictor}
    net = dict(state["predictor"])
    name = {"meta": "module.backbone.predictor_proj.weight", "hf": "predictor.proj.weight"}[layout]
    shown = "predictor.proj.weight"
    if fault == "missing":
        del net[name]
    elif fault == "extra":
        net[name.replace("proj", "sloth")] = torch.zeros(2)
        shown = {"meta": "predictor_sloth.weight", "hf": "predictor.sloth.weight"}[layout]
    elif fault == "shape":
        net[name] = net[name][1:]
    else:
        net[name] = torch.zeros(net[name].shape, dtype=torch.int32)
    if layout == "meta":
        torch.save(state | {"predictor": net}, tmp_path / "bad.pt")
        (tmp_path / "shape.json").write_text(json.dumps(asdict(CONFIG)))
        argv = [str(tmp_path / "bad.pt"), "--config", str(tmp_path / "shape.json")]
    else:
        source = save_hugging_face(replace(WEIGHTS, encoder=net, predictor={}), tmp_path / "bad")
        argv = [str(source)]
    assert export.main([*argv, "--out", str(tmp_path / "out")]) == 1
    assert shown in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_missing_mask_token_is_noticed(tmp_path):
    state = to_meta(WEIGHTS)
    del state["predictor"]["module.backbone.mask_tokens.1"]
    torch.save(state, tmp_path / "bad.pt")
    with pytest.raises(CheckpointError, match="mask_tokens"):
        checkpoints.read_meta(tmp_path / "bad.pt", CONFIG)


def test_position_tables_of_checkpoints_are_dropped():
    state = {"module.backbone.pos_embed": torch.zeros(1, 3, 4), "module.norm.weight": torch.zeros(2)}
    assert set(checkpoints.convert_meta_encoder(state)) == {"encoder.layernorm.weight"}


def test_two_tensors_for_one_name_are_refused():
    state = {"module.norm.weight": torch.zeros(2), "norm.weight": torch.zeros(2)}
    with pytest.raises(CheckpointError, match="two tensors"):
        checkpoints.convert_meta_encoder(state)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["meta.pt"], "--arch or --config"),
        (["meta.pt", "--arch", "vitl"], "does not fit the configuration"),
        (["meta.pt", "--config", "shape.json", "--encoder-key", "encoder", "--target-source", "nowhere"], "nowhere"),
        (["hf", "--arch", "vitl"], "for .pt checkpoints"),
        (["hf", "--contexts", "3"], "multiples of 2"),
        (["hf", "--contexts", "8"], "multiples of 2"),
        (["hf", "--frames", "7"], "don't divide"),
        (["hf", "--resize-size", "20"], "smaller than the crop"),
        (["no/such/place"], "no such file"),
    ],
)
def test_wrong_use_is_explained(sources, tmp_path, capsys, monkeypatch, argv, message):
    monkeypatch.chdir(sources)
    assert export.main([*argv, "--out", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_shapes_that_can_not_be_exported_are_refused():
    for fields in ({"hidden_act": "silu"}, {"patch_size": [8, 16]}, {"model_type": "vit"}, {"hidden_size": 41}):
        with pytest.raises(CheckpointError):
            ModelConfig.from_dict(asdict(CONFIG) | fields)


def test_old_names_and_shards_of_the_hub_are_read(tmp_path, monkeypatch):
    from safetensors.torch import save_file

    folder = save_hugging_face(WEIGHTS, tmp_path / "hf")
    (folder / "model.safetensors").unlink()
    tensors = {k.replace(".attention.", ".attention.attention."): v for k, v in WEIGHTS.encoder.items()}
    save_file(tensors, folder / "model-1.safetensors")
    save_file(WEIGHTS.predictor, folder / "model-2.safetensors")
    index = dict.fromkeys(tensors, "model-1.safetensors") | dict.fromkeys(WEIGHTS.predictor, "model-2.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    processor = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "size": {"shortest_edge": 30}}
    (folder / "video_preprocessor_config.json").write_text(json.dumps(processor))
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda source, **_: str(folder))
    args = export.parse(["owner/name", "--out", str(tmp_path / "x"), "--name", "x"])
    weights = checkpoints.read_weights(args.source)
    assert all(torch.equal(weights.encoder[k], v) for k, v in WEIGHTS.encoder.items())
    assert weights.origin.startswith("owner/name on the Hugging Face hub, revision hf")
    pre = export.build_manifest(args, weights, None)["preprocess"]
    assert (pre["mean"], pre["std"], pre["resize_size"]) == ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6], 30)


def test_folders_saved_by_the_library_are_read(tmp_path):
    from startle_models import reference

    reference.hugging_face_model(WEIGHTS).save_pretrained(tmp_path)
    weights = checkpoints.read_weights(str(tmp_path))
    assert weights.config == CONFIG
    both = (weights.encoder | weights.predictor), (WEIGHTS.encoder | WEIGHTS.predictor)
    assert all(torch.equal(both[0][k], v) for k, v in both[1].items())


# --- an independent forward pass in Meta's own layout ---------------------------------------------


def meta_rotate(x: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """Rotates x [N, d] pair by pair: features 2i and 2i+1, each by the angle of its own place in the tiling."""
    half = x.shape[1] // 2
    out = torch.empty_like(x)
    for i in range(half):
        a, b = position * 10000.0 ** -((2 * i % half) / half), position * 10000.0 ** -(((2 * i + 1) % half) / half)
        out[:, 2 * i] = x[:, 2 * i] * a.cos() - x[:, 2 * i + 1] * a.sin()
        out[:, 2 * i + 1] = x[:, 2 * i + 1] * b.cos() + x[:, 2 * i] * b.sin()
    return out


def meta_block(state: dict, name: str, x: torch.Tensor, positions: torch.Tensor, heads: int) -> torch.Tensor:
    """One layer on x [N, D] float64, head by head, from fused QKV weights."""
    grid, dim = CONFIG.grid, x.shape[1] // heads
    section = 2 * ((dim // 3) // 2)
    axes = (positions // grid**2, positions % grid**2 // grid, positions % grid)
    norm = F.layer_norm(x, x.shape[1:], state[f"{name}.norm1.weight"], state[f"{name}.norm1.bias"], 1e-6)
    q, k, v = (norm @ state[f"{name}.attn.qkv.weight"].T + state[f"{name}.attn.qkv.bias"]).split(x.shape[1], dim=1)
    outs = []
    for h in range(heads):
        qh, kh, vh = (t[:, h * dim : (h + 1) * dim].clone() for t in (q, k, v))
        for t in (qh, kh):
            for axis, place in enumerate(axes):
                part = slice(axis * section, (axis + 1) * section)
                t[:, part] = meta_rotate(t[:, part], place.double())
        outs.append(torch.softmax(qh @ kh.T / math.sqrt(dim), dim=1) @ vh)
    x = x + torch.cat(outs, dim=1) @ state[f"{name}.attn.proj.weight"].T + state[f"{name}.attn.proj.bias"]
    norm = F.layer_norm(x, x.shape[1:], state[f"{name}.norm2.weight"], state[f"{name}.norm2.bias"], 1e-6)
    inner = F.gelu(norm @ state[f"{name}.mlp.fc1.weight"].T + state[f"{name}.mlp.fc1.bias"])
    return x + inner @ state[f"{name}.mlp.fc2.weight"].T + state[f"{name}.mlp.fc2.bias"]


def test_graphs_equal_a_forward_pass_written_for_the_meta_layout(exported):
    state = to_meta(WEIGHTS, wrapper="")
    state = {net: {k: v.double() for k, v in tensors.items()} for net, tensors in state.items()}
    e, p, pixels = state["target_encoder"], state["predictor"], clips(1, 4)
    x = F.conv3d(pixels.double().transpose(1, 2), e["patch_embed.proj.weight"], e["patch_embed.proj.bias"], (2, 8, 8))
    x = x.flatten(2)[0].T
    for i in range(CONFIG.num_hidden_layers):
        x = meta_block(e, f"blocks.{i}", x, torch.arange(len(x)), CONFIG.num_attention_heads)
    tokens = F.layer_norm(x, x.shape[1:], e["norm.weight"], e["norm.bias"], 1e-6)
    session = bundle.Session(exported)
    found = session.encode(pixels.numpy())
    assert np.abs(found[0] - tokens.numpy()).max() < 1e-5

    targets = torch.tensor([20, 33, 18])
    known = tokens @ p["predictor_embed.weight"].T + p["predictor_embed.bias"]
    y = torch.cat([known, p["mask_tokens.0"][0].expand(3, -1)])
    for i in range(CONFIG.pred_num_hidden_layers):
        places = torch.cat([torch.arange(len(x)), targets])
        y = meta_block(p, f"predictor_blocks.{i}", y, places, CONFIG.pred_num_attention_heads)
    y = F.layer_norm(y[-3:], y.shape[1:], p["predictor_norm.weight"], p["predictor_norm.bias"], 1e-6)
    y = y @ p["predictor_proj.weight"].T + p["predictor_proj.bias"]
    found = session.predict(found, np.arange(len(x))[None], targets[None].numpy())
    assert np.abs(found[0] - y.numpy()).max() < 1e-5
