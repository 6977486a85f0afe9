"""The exporter: both checkpoint layouts, strictness, the graphs, the bundle."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch.nn import functional as F

from startle_models import bundle, checkpoints, export, onnx_graphs, reference
from startle_models.checkpoints import ARCHITECTURES, CheckpointError, ModelConfig, expected_encoder, expected_predictor
from startle_models.random_model import random_weights, save_hugging_face, save_meta, to_meta

CONFIG = ModelConfig(
    crop_size=24, patch_size=8, frames_per_clip=8,
    hidden_size=40, num_attention_heads=2, num_hidden_layers=2, mlp_ratio=2.5,
    pred_hidden_size=36, pred_num_attention_heads=2, pred_num_hidden_layers=2, pred_num_mask_tokens=3,
)  # fmt: skip
"""Head sizes 20 and 18: one with a rest that is not rotated, one that divides by 3 but not by 6."""

WEIGHTS = random_weights(CONFIG, seed=3)


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    """A folder with the same weights as `hf/` and `meta.pt`, and their shape as `shape.json`."""
    folder = tmp_path_factory.mktemp("sources")
    save_hugging_face(WEIGHTS, folder / "hf")
    save_meta(WEIGHTS, folder / "meta.pt")
    (folder / "shape.json").write_text(json.dumps(asdict(CONFIG)))
    return folder


@pytest.fixture(scope="module")
def exported(sources, tmp_path_factory) -> Path:
    """The bundle exported from the Hugging Face layout."""
    out = tmp_path_factory.mktemp("bundles") / "small"
    assert export.main([str(sources / "hf"), "--out", str(out)]) == 0
    return out


def run(source: Path, out: Path, *options: str) -> dict:
    """Exports and returns the manifest."""
    assert export.main([str(source), "--out", str(out), *options]) == 0
    return bundle.read_manifest(out)


def clips(batch: int, frames: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, frames, 3, CONFIG.crop_size, CONFIG.crop_size, generator=generator)


# --- names and shapes -----------------------------------------------------------------------------


@pytest.mark.parametrize("config", [CONFIG, *ARCHITECTURES.values()])
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
    state = {n: {k.removeprefix("module.backbone."): v.double() for k, v in s.items()} for n, s in to_meta(WEIGHTS).items()}
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
    y = torch.cat([known, p["mask_tokens.1"][0].expand(3, -1)])
    for i in range(CONFIG.pred_num_hidden_layers):
        places = torch.cat([torch.arange(len(x)), targets])
        y = meta_block(p, f"predictor_blocks.{i}", y, places, CONFIG.pred_num_attention_heads)
    y = F.layer_norm(y[-3:], y.shape[1:], p["predictor_norm.weight"], p["predictor_norm.bias"], 1e-6)
    y = y @ p["predictor_proj.weight"].T + p["predictor_proj.bias"]
    found = session.predict(found, np.arange(len(x))[None], targets[None].numpy())
    assert np.abs(found[0] - y.numpy()).max() < 1e-5


# --- bundles --------------------------------------------------------------------------------------


def test_manifest_says_everything(exported):
    m = bundle.read_manifest(exported)
    assert (m["format"], m["name"], m["family"], m["precision"], m["opset"]) == (
        "startle.bundle/1", "small", "vjepa2", "fp32", 17,
    )  # fmt: skip
    assert m["clip"] == {
        "crop_size": 24, "patch_size": 8, "tubelet_size": 2, "frames_per_clip": 8, "model_fps": 4.0,
        "context_lengths": [2, 4, 6], "stride": 2,
    }  # fmt: skip
    assert m["preprocess"]["resize_size"] == 27 and m["preprocess"]["mean"] == [0.485, 0.456, 0.406]
    assert m["features"] == {"dim": 40} and "horizon" not in m["clip"] and "baseline" not in m
    assert m["parity"]["encoder_max_rel"] < 5e-6 and m["parity"]["predictor_max_rel"] < 5e-6
    assert m["parity"]["surprise_max_rel"] < 1e-6
    assert [e["context"] for e in m["self_test"]["surprise"]] == [2, 4, 6]
    assert "hf: model.safetensors sha256" in m["source"]
    assert "encoder features" in (exported / "README.md").read_text()
    assert sorted(p.name for p in exported.parent.iterdir()) == ["small"]


def test_both_layouts_give_the_same_model(sources, exported, tmp_path):
    options = ("--config", str(sources / "shape.json"))
    meta = run(sources / "meta.pt", tmp_path / "meta", *options)
    ours = bundle.read_manifest(exported)
    assert meta["self_test"] == ours["self_test"]
    assert meta["graphs"]["encoder"]["sha256"] == ours["graphs"]["encoder"]["sha256"]
    assert "key 'target_encoder'" in meta["source"]
    other = run(sources / "meta.pt", tmp_path / "other", *options, "--encoder-key", "encoder")
    assert other["graphs"]["encoder"]["sha256"] != ours["graphs"]["encoder"]["sha256"]


def test_old_names_and_shards_of_the_hub_are_read(tmp_path, monkeypatch):
    from safetensors.torch import save_file

    folder = save_hugging_face(WEIGHTS, tmp_path / "hf")
    (folder / "model.safetensors").unlink()
    tensors = {k.replace(".attention.", ".attention.attention."): v for k, v in WEIGHTS.encoder.items()}
    save_file(tensors, folder / "model-1.safetensors")
    save_file(WEIGHTS.predictor, folder / "model-2.safetensors")
    index = {k: "model-1.safetensors" for k in tensors} | {k: "model-2.safetensors" for k in WEIGHTS.predictor}
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


@pytest.mark.parametrize(("batch", "frames"), [(1, 2), (3, 6), (2, 12)])
def test_encoder_takes_any_batch_and_even_length(exported, batch, frames):
    model = reference.hugging_face_model(WEIGHTS)
    pixels = clips(batch, frames)
    found = bundle.Session(exported).encode(pixels.numpy())
    assert export.relative(found, reference.encode(model.encoder, pixels)) < 5e-6


@pytest.mark.parametrize("batch", [1, 2])
def test_encoder_refuses_odd_lengths(exported, batch):
    with pytest.raises(Exception, match="[Rr]eshape"):
        bundle.Session(exported).encode(clips(batch, 3).numpy())


@pytest.mark.parametrize(("batch", "known", "unknown"), [(1, 9, 9), (3, 18, 45), (2, 27, 1)])
def test_predictor_takes_any_token_counts_and_order(exported, batch, known, unknown):
    model, session = reference.hugging_face_model(WEIGHTS), bundle.Session(exported)
    generator = torch.Generator().manual_seed(1)
    context = torch.randn(batch, known, CONFIG.hidden_size, generator=generator)
    order = known + torch.stack([torch.randperm(unknown, generator=generator) for _ in range(batch)])
    places = torch.arange(known).expand(batch, -1)
    expected = reference.predict(model, context, places, order)
    assert export.relative(session.predict(context.numpy(), places.numpy(), order.numpy()), expected) < 5e-6
    mixed = torch.randperm(known, generator=generator)  # the order of the context does not matter either
    found = session.predict(context[:, mixed].numpy(), places[:, mixed].numpy(), order.numpy())
    assert export.relative(found, expected) < 5e-6


def test_half_precision_halves_the_weights_and_keeps_the_surprise(sources, exported, tmp_path):
    m = run(sources / "hf", tmp_path / "half", "--precision", "fp16")
    assert m["precision"] == "fp16" and m["self_test"]["tolerance_rel"] == 5e-3
    assert 1e-6 < m["parity"]["encoder_max_rel"] < 5e-3 and m["parity"]["surprise_max_rel"] < 5e-4
    assert m["self_test"]["surprise"] == bundle.read_manifest(exported)["self_test"]["surprise"]
    graph = onnx.load(tmp_path / "half" / "encoder.onnx").graph
    halves = [t for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    assert sum(math.prod(t.dims) for t in halves) > 0.97 * sum(math.prod(t.dims) for t in graph.initializer)
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_plain_attention_needs_no_contrib_operator(sources, exported, tmp_path):
    m = run(sources / "hf", tmp_path / "plain", "--attention", "plain")
    for name in ("encoder", "predictor"):
        plain = onnx.load(tmp_path / "plain" / f"{name}.onnx")
        fused = onnx.load(exported / f"{name}.onnx")
        assert {n.domain for n in plain.graph.node} == {""} and [o.version for o in plain.opset_import] == [17]
        assert sum(n.op_type == "MultiHeadAttention" for n in fused.graph.node) == 2
    assert m["parity"]["surprise_max_rel"] < 1e-6


def test_big_graphs_keep_their_weights_in_a_second_file(sources, exported, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_graphs, "EXTERNAL_FROM_BYTES", 0)
    out = tmp_path / "external"
    m = run(sources / "hf", out)
    names = ["README.md", "bundle.toml", "encoder.onnx", "encoder.onnx.data", "predictor.onnx", "predictor.onnx.data"]
    assert sorted(p.name for p in out.iterdir()) == names
    assert all(p.stat().st_mode & 0o777 == 0o644 for p in out.iterdir()) and out.stat().st_mode & 0o777 == 0o755
    assert [e["file"] for e in m["graphs"]["encoder"]["external"]] == ["encoder.onnx.data"]
    assert m["self_test"] == bundle.read_manifest(exported)["self_test"]
    data = out / "encoder.onnx.data"
    data.write_bytes(data.read_bytes()[:-1] + b"\x00")
    with pytest.raises(bundle.BundleError, match=r"encoder\.onnx\.data"):
        bundle.verify(out)


def test_a_graph_that_disagrees_is_not_let_through(sources, tmp_path, capsys, monkeypatch):
    real = export.LeanPredictor
    monkeypatch.setattr(export, "LeanPredictor", lambda *a, **k: real(*a, **(k | {"mask_index": 2})))
    assert export.main([str(sources / "hf"), "--out", str(tmp_path / "bad")]) == 1
    assert "predictor features" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_another_mask_token_can_be_chosen(sources, exported, tmp_path):
    m = run(sources / "hf", tmp_path / "other", "--mask-index", "2")
    assert m["self_test"]["surprise"] != bundle.read_manifest(exported)["self_test"]["surprise"]
    assert m["parity"]["predictor_max_rel"] < 5e-6


def test_existing_folders_are_kept_unless_forced(sources, exported, capsys):
    before = (exported / "bundle.toml").read_bytes()
    assert export.main([str(sources / "hf"), "--out", str(exported)]) == 1
    assert "--force" in capsys.readouterr().err
    assert export.main([str(sources / "hf"), "--out", str(exported), "--force"]) == 0
    assert (exported / "bundle.toml").read_bytes() == before


@pytest.mark.parametrize("layers", [0, 1])
def test_separate_target_encoder(sources, tmp_path, layers):
    config = replace(CONFIG, num_hidden_layers=layers, num_attention_heads=4)
    folder = save_hugging_face(random_weights(config, seed=9), tmp_path / "target")
    m = run(sources / "hf", tmp_path / "out", "--target-source", str(folder), "--horizon", "1", "--resize", "squash")
    assert m["clip"]["horizon"] == 1 and "target encoder: Hugging Face layout, target" in m["source"]
    assert m["preprocess"]["resize_size"] == CONFIG.crop_size
    errors = bundle.Session(tmp_path / "out").errors(bundle.self_test_input(m))
    assert {c: e.shape for c, e in errors.items()} == {c: (1, 1, 3, 3) for c in (2, 4, 6)}
    assert m["parity"]["encoder_max_rel"] < 5e-6 and m["parity"]["surprise_max_rel"] < 1e-6


def test_target_encoder_must_fit(sources, tmp_path, capsys):
    folder = save_hugging_face(random_weights(replace(CONFIG, hidden_size=48), seed=9), tmp_path / "target")
    argv = [str(sources / "hf"), "--out", str(tmp_path / "out"), "--target-source", str(folder)]
    assert export.main(argv) == 1
    assert "hidden_size 48, the model 40" in capsys.readouterr().err


def test_sealing_takes_a_baseline_in_and_out(exported, capsys):
    assert bundle.main(["verify", str(exported)]) == 0
    (exported / "baseline.json").write_text("{}\n")
    (exported / "README.md").write_text("# Another card\n")
    assert bundle.main(["verify", str(exported)]) == 1
    assert "README.md is not the file that was sealed" in capsys.readouterr().err
    assert bundle.main(["seal", str(exported)]) == 0
    m = bundle.read_manifest(exported)
    assert m["baseline"]["file"] == "baseline.json" and len(m["baseline"]["sha256"]) == 64
    (exported / "baseline.json").write_text("{ }\n")
    assert bundle.main(["verify", str(exported)]) == 1
    (exported / "baseline.json").unlink()
    assert bundle.main(["seal", str(exported)]) == 0
    assert "baseline" not in bundle.read_manifest(exported)


def test_a_wrong_self_test_value_is_noticed(exported, capsys):
    m = bundle.read_manifest(exported)
    m["self_test"]["surprise"][0]["value"] *= 1.001
    bundle.write_manifest(exported, m)
    assert bundle.main(["verify", str(exported)]) == 1
    assert "self-test, context 2" in capsys.readouterr().err


def test_manifests_survive_writing(exported, tmp_path):
    m = bundle.read_manifest(exported)
    m["description"] = 'quotes ", back\\slash, 日本, tab\t'
    m["extra"] = {"flag": True, "list": [1, 2.5, "x"], "small": 1e-9}
    bundle.write_manifest(tmp_path, m)
    assert bundle.read_manifest(tmp_path) == m
