"""Reduced precisions: what they state, what stays float32, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from small import CONFIG, WEIGHTS, clips, run

from startle_models import bf16, bundle, deviation, export, reference, windows
from startle_models.parity import ParityError
from startle_models.random_model import save_hugging_face
from startle_models.vjepa2_lean import LeanEncoder

CLIP = Path(__file__).parents[3] / "tests" / "data" / "golden" / "clip.mp4"


@pytest.fixture(scope="module", params=["fp16", "bf16", "int8"])
def reduced(request, sources, tmp_path_factory) -> tuple[str, Path]:
    out = tmp_path_factory.mktemp("reduced") / request.param
    run(sources / "hf", out, "--precision", request.param, "--seed", "2")
    return request.param, out


def test_a_reduced_precision_states_what_it_does_to_surprise_and_ranking(reduced):
    precision, out = reduced
    m, card = bundle.read_manifest(out), (out / "README.md").read_text()
    parity, tolerance = m["parity"], deviation.TOLERANCES[precision]
    assert m["precision"] == precision and parity["windows"] == 64 and parity["clips"] == "drawn, seed 2"
    assert 1e-4 < parity["features_max_rel"] < 0.2
    assert 1e-5 < parity["window_surprise_max_rel"] < tolerance.surprise
    assert tolerance.rank <= parity["rank_correlation"] <= 1.0
    assert f"{precision} against float32 over 64 windows" in card and "Spearman" in card
    assert f"{parity['rank_correlation']:.6f}" in card and f"{parity['window_surprise_max_rel']:.2e}" in card
    assert ("no GPU had a part in this" in card) == (precision == "bf16")
    assert m["opset"] == (20 if precision == "bf16" else 17)
    bundle.verify(out)


def test_bfloat16_needs_the_operator_set_that_has_its_gelu(sources, tmp_path, capsys):
    argv = [str(sources / "hf"), "--out", str(tmp_path / "x"), "--precision", "bf16", "--opset", "17"]
    assert export.main(argv) == 1
    assert "bf16 graphs need 20" in capsys.readouterr().err


def test_float32_bundles_have_nothing_to_state(exported):
    assert sorted(bundle.read_manifest(exported)["parity"]) == [
        "encoder_max_rel", "predictor_max_rel", "surprise_max_rel"
    ]  # fmt: skip
    assert "Spearman" not in (exported / "README.md").read_text()


def types(graph: onnx.GraphProto) -> dict[str, int]:
    """Element type of each tensor, from shape inference and, past contrib operators, from a node's first input."""
    found = {t.name: t.data_type for t in graph.initializer}
    found |= {i.name: i.type.tensor_type.elem_type for i in graph.input}
    for node in graph.node:
        attributes = {a.name: a for a in node.attribute}
        kind = next((found[n] for n in node.input if n in found), TensorProto.INT64)
        if node.op_type == "Cast":
            kind = attributes["to"].i
        elif node.op_type == "Constant":
            kind = attributes["value"].t.data_type
        elif node.op_type in ("Shape", "Range"):
            kind = TensorProto.INT64
        found |= dict.fromkeys(node.output, kind)
    return found


@pytest.mark.parametrize(("precision", "kind"), [("fp16", TensorProto.FLOAT16), ("bf16", TensorProto.BFLOAT16)])
@pytest.mark.parametrize(("attention", "fuse"), [("mha", "none"), ("mha", "cpu"), ("mha", "gpu"), ("plain", "none")])
def test_norms_softmax_and_rotations_stay_float32(sources, tmp_path, monkeypatch, precision, kind, attention, fuse):
    monkeypatch.setattr(deviation, "TOLERANCES", {})  # the numbers are checked above
    options = ("--precision", precision, "--attention", attention, "--fuse", fuse)
    run(sources / "hf", tmp_path / "half", *options)
    for name in ("encoder", "predictor"):
        graph = onnx.load(tmp_path / "half" / f"{name}.onnx").graph
        found = types(graph)
        seen = set()
        for node in graph.node:
            if node.op_type in ("LayerNormalization", "SkipLayerNormalization", "Softmax", "Cos", "Sin"):
                assert found[node.input[0]] == TensorProto.FLOAT, node.name
                seen.add(node.op_type)
            if node.op_type in ("MatMul", "MultiHeadAttention", "Gelu") and "rotary" not in node.name:
                assert found[node.input[0]] == kind, node.name
                seen.add(node.op_type)
        assert {"LayerNormalization", "Cos", "Sin", "MatMul"} <= seen
        if precision == "bf16":  # contrib Gelu has no kernel for it, and neither have the parts of an unfused one
            domains = {n.op_type: n.domain for n in graph.node if n.op_type in ("Gelu", "Erf", "Tanh")}
            assert domains == {"Gelu": ""}
        assert {"MultiHeadAttention", "Gelu"} <= seen if attention == "mha" else "Softmax" in seen
        turned = [n for n in graph.node if n.op_type == "Mul" and any("rotary/Cos" in i for i in n.input)]
        assert turned and all(found[i] == TensorProto.FLOAT for n in turned for i in n.input)
        weights = [t for t in graph.initializer if len(t.dims) == 2 and t.dims[0] > 3]
        assert weights and all(t.data_type == kind for t in weights)


def test_the_cpu_provider_refuses_bfloat16_and_its_emulation_rounds_as_pytorch(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(deviation, "TOLERANCES", {})
    run(sources / "hf", tmp_path / "half", "--precision", "bf16")
    path = str(tmp_path / "half" / "encoder.onnx")
    with pytest.raises(Exception, match="NOT_IMPLEMENTED"):
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    pixels = clips(2, 4)
    found = torch.from_numpy(bundle.Session(tmp_path / "half").encode(pixels.numpy()))
    half = LeanEncoder(CONFIG, WEIGHTS.encoder, attention="plain", dtype=torch.bfloat16)
    with torch.no_grad():
        rounded = half(pixels)
    exact = reference.encode(reference.hugging_face_model(WEIGHTS).encoder, pixels)
    far = (found - exact).abs().mean()
    assert (rounded - exact).abs().mean() > 1e-3 and 0.7 < far / (rounded - exact).abs().mean() < 1.4
    assert (found - rounded).abs().mean() < far  # most of the error is the same rounding, not other noise


def test_emulated_operations_give_exactly_what_pytorch_gives(tmp_path):
    """Sum and product of bfloat16 numbers, and a data movement between them."""
    x = torch.randn(64, generator=torch.Generator().manual_seed(1))
    bits = x.bfloat16().view(torch.uint16).numpy().tobytes()
    scale = helper.make_tensor("scale", TensorProto.BFLOAT16, [64], bits, raw=True)
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.BFLOAT16),
        helper.make_node("Add", ["h", "scale"], ["sum"]),
        helper.make_node("Reshape", ["sum", "shape"], ["flat"]),
        helper.make_node("Mul", ["flat", "scale"], ["product"]),
        helper.make_node("Cast", ["product"], ["y"], to=TensorProto.FLOAT),
    ]
    shape = helper.make_tensor("shape", TensorProto.INT64, [1], [64])
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [64]) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [scale, shape])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save_model(model, str(tmp_path / "half.onnx"))
    bf16.emulate(tmp_path / "half.onnx", tmp_path / "emulated.onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(tmp_path / "emulated.onnx"), options, providers=["CPUExecutionProvider"])
    other = torch.randn(64, generator=torch.Generator().manual_seed(2))
    found = session.run(None, {"x": other.numpy()})[0]
    wanted = ((other.bfloat16() + x.bfloat16()) * x.bfloat16()).float()
    assert np.array_equal(found, wanted.numpy())
    assert not np.array_equal(found, ((other.bfloat16().float() + x.bfloat16().float()) * x.bfloat16().float()).numpy())


# --- refusals -------------------------------------------------------------------------------------


def test_a_model_that_eight_bits_spoil_is_refused(tmp_path, capsys):
    """One feature a thousand times as large as the others takes all of the activations' 8 bits."""
    name = "encoder.layer.0.norm2.weight"
    scale = WEIGHTS.encoder[name].clone()
    scale[3] *= 1000
    source = save_hugging_face(replace(WEIGHTS, encoder=WEIGHTS.encoder | {name: scale}), tmp_path / "hf")
    run(source, tmp_path / "fine", "--precision", "fp16")
    assert export.main([str(source), "--out", str(tmp_path / "bad"), "--precision", "int8"]) == 1
    said = capsys.readouterr().err
    assert "int8 changes surprise too much" in said or "the graphs differ from PyTorch" in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fine", "hf"]


@pytest.mark.parametrize("limit", [deviation.Tolerance(1e-6, 0.5), deviation.Tolerance(0.5, 0.999999)])
def test_either_limit_refuses(sources, tmp_path, capsys, monkeypatch, limit):
    monkeypatch.setitem(deviation.TOLERANCES, "int8", limit)
    assert export.main([str(sources / "hf"), "--out", str(tmp_path / "bad"), "--precision", "int8"]) == 1
    said = capsys.readouterr().err
    assert "int8 changes surprise too much" in said and "64 windows (drawn, seed 1)" in said
    assert not list(tmp_path.iterdir())


def test_figures_that_are_no_numbers_are_refused():
    tolerance, nan = deviation.TOLERANCES["fp16"], float("nan")
    for surprise, rank in ((nan, 1.0), (0.0, nan), (0.0, -1.0)):
        with pytest.raises(ParityError):
            deviation.check(deviation.Deviation(64, "", 0.0, surprise, rank), "fp16", tolerance)
    assert deviation.rank_correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) == -1.0
    assert deviation.rank_correlation([10.0, 20.0, 15.0], [1.0, 3.0, 2.0]) == 1.0
    assert deviation.change([1.0, 2.0], [1.5, 2.5]) == 0.25


# --- windows --------------------------------------------------------------------------------------


def test_drawn_windows_move_and_come_again(exported):
    m = bundle.read_manifest(exported)
    one, again = (list(windows.moving_windows(m, 4, seed=5)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert all(w.shape == (8, 24, 24, 3) and w.dtype == np.uint8 for w in one)
    assert all((np.diff(w.astype(int), axis=0) != 0).any() for w in one)
    assert not np.array_equal(one[0], next(windows.moving_windows(m, 1, seed=6)))


def test_windows_come_from_videos(exported):
    m = bundle.read_manifest(exported)
    m["clip"]["model_fps"] = 5.0  # every second frame of the clip's ten per second
    found = list(windows.video_windows(m, [CLIP, CLIP], 5))
    assert len(found) == 5 and all(w.shape == (8, 24, 24, 3) for w in found)
    frames = np.load(CLIP.parent / "decoded.npy")  # frames 0, 13, 26, 39
    sizes = {"crop_size": 24, "resize": "shorter-side", "resize_size": 27}
    near = reference.preprocess(frames[0], **sizes).astype(int) - found[0][0]
    assert abs(near).mean() < 2 and abs(near - found[0][4] + found[0][0]).mean() > abs(near).mean()
    with pytest.raises(windows.WindowsError, match="too few"):
        list(windows.video_windows(m, [CLIP], 64))


def test_a_video_that_is_too_short_is_an_error(sources, tmp_path, capsys):
    argv = [str(sources / "hf"), "--out", str(tmp_path / "x"), "--precision", "fp16", "--clips", str(CLIP)]
    assert export.main(argv) == 1
    assert "more or longer --clips" in capsys.readouterr().err and not list(tmp_path.iterdir())
