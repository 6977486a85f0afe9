"""The exporter: the graphs it writes and what it refuses."""

from __future__ import annotations

import math
from dataclasses import replace

import onnx
import pytest
import torch
from small import CONFIG, WEIGHTS, clips, run

from startle_models import bundle, export, onnx_graphs, parity, reference
from startle_models.random_model import random_weights, save_hugging_face



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
    shape = m["architecture"]["model"]
    assert (shape["hidden_size"], shape["mlp_ratio"]) == (40, 2.5) and "target" not in m["architecture"]
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


@pytest.mark.parametrize(("batch", "frames"), [(1, 2), (3, 6), (2, 12)])
def test_encoder_takes_any_batch_and_even_length(exported, batch, frames):
    model = reference.hugging_face_model(WEIGHTS)
    pixels = clips(batch, frames)
    found = bundle.Session(exported).encode(pixels.numpy())
    assert parity.relative(found, reference.encode(model.encoder, pixels)) < 5e-6


@pytest.mark.parametrize("batch", [1, 2])
def test_encoder_refuses_odd_lengths(exported, batch):
    with pytest.raises(Exception, match="[Rr]eshape"):
        bundle.Session(exported).encode(clips(batch, 3).numpy())


@pytest.mark.parametrize(("batch", "known", "unknown"), [(1, 9, 9), (3, 18, 45), (2, 27, 1)])
def test_predictor_takes_any_token_counts_and_order(exported, batch, known, unknown):
    model, session = reference.load_model(WEIGHTS, 0), bundle.Session(exported)
    generator = torch.Generator().manual_seed(1)
    context = torch.randn(batch, known, CONFIG.hidden_size, generator=generator)
    order = known + torch.stack([torch.randperm(unknown, generator=generator) for _ in range(batch)])
    places = torch.arange(known).expand(batch, -1)
    expected = reference.predict(model, context, places, order)
    assert parity.relative(session.predict(context.numpy(), places.numpy(), order.numpy()), expected) < 5e-6
    mixed = torch.randperm(known, generator=generator)  # the order of the context does not matter either
    found = session.predict(context[:, mixed].numpy(), places[:, mixed].numpy(), order.numpy())
    assert parity.relative(found, expected) < 5e-6


def test_half_precision_halves_the_weights_and_keeps_the_surprise(sources, exported, tmp_path):
    m = run(sources / "hf", tmp_path / "half", "--precision", "fp16")
    assert m["precision"] == "fp16" and m["self_test"]["tolerance_rel"] == 5e-3
    assert 1e-6 < m["parity"]["encoder_max_rel"] < 5e-3 and m["parity"]["surprise_max_rel"] < 5e-4
    assert m["self_test"]["surprise"] == bundle.read_manifest(exported)["self_test"]["surprise"]
    graph = onnx.load(tmp_path / "half" / "encoder.onnx").graph
    halves = [t for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    assert sum(math.prod(t.dims) for t in halves) > 0.97 * sum(math.prod(t.dims) for t in graph.initializer)
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_int8_quarters_most_weights_and_stays_near_the_surprise(sources, tmp_path):
    m = run(sources / "hf", tmp_path / "int8", "--precision", "int8")
    assert m["precision"] == "int8" and m["self_test"]["tolerance_rel"] == 2e-2
    assert 1e-4 < m["parity"]["encoder_max_rel"] < 1e-1 and m["parity"]["surprise_max_rel"] < 1e-2
    for name in ("encoder", "predictor"):
        graph = onnx.load(tmp_path / "int8" / f"{name}.onnx").graph
        left = [n.name for n in graph.node if n.op_type == "MatMul"]  # in float32
        whole = [n.name for n in graph.node if n.op_type == "MatMulInteger"]
        assert any("rotary" in n for n in left) and not any("rotary" in n for n in whole)  # angles are exact
        ends = ("/patch/",) if name == "encoder" else ("/embed/", "/proj/")
        assert all(any(n.startswith(end) for n in left) for end in ends)
        # Each layer's query, key and value and both of its feed-forward products.
        assert len(whole) == 10
    small = [t for t in graph.initializer if t.data_type == onnx.TensorProto.INT8]
    assert sum(math.prod(t.dims) for t in small) > 0.6 * sum(math.prod(t.dims) for t in graph.initializer)
    bundle.verify(tmp_path / "int8")


def test_int8_with_weights_in_a_second_file(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_graphs, "EXTERNAL_FROM_BYTES", 0)
    m = run(sources / "hf", tmp_path / "int8", "--precision", "int8")
    assert [e["file"] for e in m["graphs"]["predictor"]["external"]] == ["predictor.onnx.data"]
    assert sorted(p.name for p in (tmp_path / "int8").iterdir() if "encoder" in p.name) == [
        "encoder.onnx", "encoder.onnx.data"
    ]  # fmt: skip
    bundle.verify(tmp_path / "int8")


def test_int8_is_not_for_gpus(sources, tmp_path, capsys):
    argv = [str(sources / "hf"), "--out", str(tmp_path / "x"), "--precision", "int8", "--fuse", "gpu"]
    assert export.main(argv) == 1
    assert "int8 graphs are for CPUs" in capsys.readouterr().err


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
    real = export.FusedPredictor
    monkeypatch.setattr(export, "FusedPredictor", lambda *a, **k: real(*a, **(k | {"mask_index": 2})))
    assert export.main([str(sources / "hf"), "--out", str(tmp_path / "bad")]) == 1
    assert "predictor features" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_another_mask_token_can_be_chosen(sources, exported, tmp_path):
    assert bundle.read_manifest(exported)["mask_token"]["index"] == 0
    m = run(sources / "hf", tmp_path / "other", "--mask-token", "2")
    assert m["self_test"]["surprise"] != bundle.read_manifest(exported)["self_test"]["surprise"]
    assert m["parity"]["predictor_max_rel"] < 5e-6


def test_a_mask_token_that_was_never_trained_is_refused(tmp_path, capsys):
    name = "predictor.embeddings.mask_tokens"
    tokens = WEIGHTS.predictor[name].clone()
    tokens[1:] = 0
    source = save_hugging_face(replace(WEIGHTS, predictor=WEIGHTS.predictor | {name: tokens}), tmp_path / "hf")
    assert export.main([str(source), "--out", str(tmp_path / "one"), "--mask-token", "1"]) == 1
    assert "mask token 1 is zero and token 0 is not" in capsys.readouterr().err
    m = run(source, tmp_path / "zero")
    assert m["mask_token"]["index"] == 0 and m["mask_token"]["lengths"][1:] == [0, 0]
    assert "Token 0 is used" in (tmp_path / "zero" / "README.md").read_text()


def test_another_picture_size(sources, tmp_path):
    m = run(sources / "hf", tmp_path / "wide", "--crop", "40")
    assert (m["clip"]["crop_size"], m["preprocess"]["resize_size"]) == (40, 45)
    assert m["parity"]["encoder_max_rel"] < 5e-6 and m["parity"]["surprise_max_rel"] < 1e-6


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
    assert {c: e.shape for c, e in errors.items()} == dict.fromkeys((2, 4, 6), (1, 1, 3, 3))
    assert m["parity"]["encoder_max_rel"] < 5e-6 and m["parity"]["surprise_max_rel"] < 1e-6


def test_target_encoder_must_fit(sources, tmp_path, capsys):
    folder = save_hugging_face(random_weights(replace(CONFIG, hidden_size=48), seed=9), tmp_path / "target")
    argv = [str(sources / "hf"), "--out", str(tmp_path / "out"), "--target-source", str(folder)]
    assert export.main(argv) == 1
    assert "hidden_size 48), the model predicts 40" in capsys.readouterr().err
