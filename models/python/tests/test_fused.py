"""Fused graphs: the numbers of the simple ones, with fewer operators."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import onnx
import pytest
from small import CONFIG, WEIGHTS, run
from test_vjepa1 import CONFIG as VJEPA1
from test_vjepa21 import CONFIG as VJEPA21
from test_vjepa21 import STUDENT

from startle_models import bundle, fuse_bench
from startle_models.fused import FUSIONS
from startle_models.parity import relative
from startle_models.random_model import random_weights, save_hugging_face

MODELS = {"vjepa2": CONFIG, "vjepa1": VJEPA1, "vjepa21": VJEPA21, "distilled": STUDENT}


@cache
def weights_of(model: str):
    return WEIGHTS if model == "vjepa2" else random_weights(MODELS[model], seed=8)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """The graphs of each model, by fusion."""
    return {
        model: {f: fuse_bench.write(weights_of(model), f, tmp_path_factory.mktemp(model)) for f in FUSIONS}
        for model in MODELS
    }


@pytest.mark.parametrize("fuse", ["cpu", "gpu"])
@pytest.mark.parametrize("model", MODELS)
def test_fusion_changes_no_number(paths, model, fuse, record_property):
    """Batches, context lengths, and tokens in any order."""
    import torch

    c, rng, worst = MODELS[model], np.random.default_rng(1), 0.0
    graphs = {f: {n: fuse_bench.session(p) for n, p in paths[model][f].items()} for f in ("none", fuse)}
    for batch, frames in ((1, 2), (3, 6)):
        feed = {"pixel_values": rng.standard_normal((batch, frames, 3, c.crop_size, c.crop_size)).astype(np.float32)}
        plain, fused = (graphs[f]["encoder"].run(None, feed)[0] for f in ("none", fuse))
        worst = max(worst, relative(fused, torch.from_numpy(plain)))
    for batch, known, unknown in ((1, 9, 9), (2, 11, 20), (1, 1, 35)):
        order = np.stack([rng.permutation(36) for _ in range(batch)])
        feed = {
            "context": rng.standard_normal((batch, known, c.token_dim)).astype(np.float32),
            "context_pos": order[:, :known].copy(), "target_pos": order[:, known : known + unknown].copy(),
        }  # fmt: skip
        plain, fused = (graphs[f]["predictor"].run(None, feed)[0] for f in ("none", fuse))
        worst = max(worst, relative(fused, torch.from_numpy(plain)))
    record_property("max_rel", worst)
    assert worst < 1e-5


def test_operators_before_and_after(paths, record_property):
    """Two layers each: the counts that the module promises."""
    counts = {f: {n: fuse_bench.operators(p) for n, p in paths["vjepa2"][f].items()} for f in FUSIONS}
    for name in ("encoder", "predictor"):
        none, cpu, gpu = (counts[f][name] for f in FUSIONS)
        record_property(name, f"{none.total()} → {cpu.total()} (cpu), {gpu.total()} (gpu)")
        assert gpu.total() < cpu.total() < 0.7 * none.total()
        for count in (none, cpu, gpu):
            assert count["Cos"] == count["Sin"] == 1 and count["Conv"] == 0  # one rotary table, no convolution
            assert count["MultiHeadAttention"] == 2 and count["Softmax"] == 0
        assert gpu["SkipLayerNormalization"] == 4 and gpu["LayerNormalization"] == 1
        assert cpu["SkipLayerNormalization"] == 0 and cpu["LayerNormalization"] == none["LayerNormalization"] == 5
    # Patch embedding, or embedding and projection, the rotary table, and six for a layer, or four where query, key and
    # value are one; the last layer of the predictor asks apart.
    assert [counts[f]["encoder"]["MatMul"] for f in FUSIONS] == [2 + 2 * 6, 2 + 2 * 6, 2 + 2 * 4]
    assert [counts[f]["predictor"]["MatMul"] for f in FUSIONS] == [3 + 2 * 6, 3 + 2 * 6, 3 + 4 + 6]


def test_a_layer_more_needs_no_shape_more(tmp_path):
    """Shapes are constants: only embeddings look at sizes."""
    looks = []
    for layers in (2, 5):
        config = replace(CONFIG, num_hidden_layers=layers, pred_num_hidden_layers=layers)
        (tmp_path / str(layers)).mkdir()
        written = fuse_bench.write(random_weights(config), "cpu", tmp_path / str(layers))
        looks.append([fuse_bench.operators(written[n])["Shape"] for n in ("encoder", "predictor")])
    assert looks[0] == looks[1]


def test_the_last_layer_of_the_predictor_computes_targets_only(paths):
    """Its feed-forward part takes as many tokens as are asked for."""
    model = onnx.load(str(paths["vjepa2"]["cpu"]["predictor"]))
    last = [n for n in model.graph.node if n.op_type == "MatMul" and "blocks.1/fc1" in n.name]
    assert len(last) == 1
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(last[0].output[0]))
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    places = np.arange(27)[None]
    feed = {"context": np.zeros((1, 20, 40), np.float32), "context_pos": places[:, :20], "target_pos": places[:, 20:]}
    assert session.run(None, feed)[1].shape == (1, 7, 144)


def test_the_exporter_fuses_unless_told(sources, exported, tmp_path):
    none = run(sources / "hf", tmp_path / "none", "--fuse", "none")
    gpu = run(sources / "hf", tmp_path / "gpu", "--fuse", "gpu")
    cpu = bundle.read_manifest(exported)
    assert none["self_test"] == gpu["self_test"] == cpu["self_test"]  # those are PyTorch's numbers
    assert len({m["graphs"]["predictor"]["sha256"] for m in (none, cpu, gpu)}) == 3
    assert all(m["parity"]["encoder_max_rel"] < 5e-6 for m in (none, cpu, gpu))
    assert "layers fused for a CPU" in (exported / "README.md").read_text()
    assert "layers fused for a GPU" in (tmp_path / "gpu" / "README.md").read_text()
    assert "layers fused" not in (tmp_path / "none" / "README.md").read_text()


def test_an_encoder_without_layers_has_nothing_to_fuse(sources, tmp_path):
    folder = save_hugging_face(random_weights(replace(CONFIG, num_hidden_layers=0), seed=9), tmp_path / "target")
    run(sources / "hf", tmp_path / "out", "--target-source", str(folder), "--fuse", "gpu")
    bundle.verify(tmp_path / "out")


def test_the_timer_takes_turns():
    calls = []
    least = fuse_bench.in_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3)
    assert calls == ["a", "b"] * 3 and all(0 <= t < 100 for t in least.values())


def test_the_timing_tool_runs(sources, capsys):
    fuse_bench.main([str(sources / "hf"), "--contexts", "2,4", "--repeats", "1"])
    said = capsys.readouterr().out
    assert "encoder none:" in said and "predictor, context 4:" in said and said.count("gpu") >= 6
