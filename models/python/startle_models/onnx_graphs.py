"""Write the lean networks as ONNX files.

The exporter is PyTorch's TorchScript one (`dynamo=False`): on these networks it gives the same
graphs as the newer one in a fraction of the time. Its version is pinned in requirements.txt.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import onnx
import torch
from torch import nn

from .checkpoints import ModelConfig

EXTERNAL_FROM_BYTES = 32 * 2**20
"""Graphs with more weight than this keep it in a second file, `NAME.onnx.data` (protobuf ends at 2 GiB)."""


def write_encoder(module: nn.Module, config: ModelConfig, path: Path, opset: int) -> None:
    """`pixel_values [batch, frames, 3, crop, crop] → tokens [batch, tokens, D]`; batch and frames are dynamic."""
    example = torch.zeros(2, 2 * config.slot_frames, config.in_chans, config.crop_size, config.crop_size)
    names = {"pixel_values": ("batch", "frames"), "tokens": ("batch", "tokens")}
    _write(module, (example,), names, path, opset, dim=config.token_dim)


def write_predictor(module: nn.Module, config: ModelConfig, path: Path, opset: int) -> None:
    """`context, context_pos, target_pos → prediction`; batch and both token counts are dynamic."""
    known, unknown = 3, 5
    positions = torch.arange(known + unknown).expand(2, -1)
    example = (
        torch.zeros(2, known, config.token_dim),
        positions[:, :known].contiguous(),
        positions[:, known:].contiguous(),
    )
    names = {
        "context": ("batch", "context_tokens"),
        "context_pos": ("batch", "context_tokens"),
        "target_pos": ("batch", "target_tokens"),
        "prediction": ("batch", "target_tokens"),
    }
    _write(module, example, names, path, opset, dim=config.target_dim)


def write_action_predictor(module: nn.Module, config: ModelConfig, path: Path, opset: int) -> None:
    """`context, actions, states → prediction`; batch and the number of frames given are dynamic."""
    slots, area = 2, config.grid**2
    example = (
        torch.zeros(2, slots * area, config.token_dim),
        torch.zeros(2, slots, config.action_dim),
        torch.zeros(2, slots, config.action_dim),
    )
    names = {
        "context": ("batch", "context_tokens"),
        "actions": ("batch", "context_frames"),
        "states": ("batch", "context_frames"),
        "prediction": ("batch", "target_tokens"),
    }
    _write(module, example, names, path, opset, dim=config.target_dim)


def _write(module: nn.Module, example: tuple, names: dict, path: Path, opset: int, dim: int) -> None:
    inputs, output = list(names)[:-1], list(names)[-1]
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch, warnings.catch_warnings():
        # Deprecation of this exporter, and constants that tracing reports (patch grid, head counts).
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        raw = Path(scratch) / path.name
        torch.onnx.export(
            module.eval(),
            example,
            str(raw),
            dynamo=False,
            opset_version=opset,
            input_names=inputs,
            output_names=[output],
            dynamic_axes={name: dict(enumerate(axes)) for name, axes in names.items()},
            custom_opsets={"com.microsoft": 1} if _is_fused(module) else None,
        )
        model = onnx.load(str(raw))
    _name_output(model, names[output], dim)
    _save(model, path)


KEPT_IN_FLOAT = ("rotary", "/patch", "/embed", "/mix", "/action", "/state", "/proj")
"""Products that int8 leaves alone, by their place in the network: angles, the first and the last product, and what
attention adds to the residual stream. For startle-s1 they are a tenth of the weights and two thirds of the error
(window surprise off by 9 % of its mean with them in float32, by 27 % without), and cost no time that can be
measured."""


def quantise(path: Path) -> None:
    """Turns the weights of the matrix products into int8, a scale per output channel; activations are quantised as
    they come (ONNX Runtime's dynamic quantisation). `KEPT_IN_FLOAT`, layer norms and softmax stay in float32."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    products = [n.name for n in onnx.load(str(path), load_external_data=False).graph.node if n.op_type == "MatMul"]
    chosen = [name for name in products if not any(kept in name for kept in KEPT_IN_FLOAT)]
    if not chosen:
        return
    quantize_dynamic(
        path, path, op_types_to_quantize=["MatMul"], nodes_to_quantize=chosen, per_channel=True,
        weight_type=QuantType.QInt8, use_external_data_format=bool(external_files(path)),
    )  # fmt: skip


def _is_fused(module: nn.Module) -> bool:
    return any(getattr(m, "attention", None) == "mha" for m in module.modules())


def _name_output(model: onnx.ModelProto, axes: tuple[str, ...], dim: int) -> None:
    """States the output as [axes…, dim]: the exporter leaves invented names where it lost track."""
    shape = model.graph.output[0].type.tensor_type.shape
    del shape.dim[:]
    for axis in axes:
        shape.dim.add().dim_param = axis
    shape.dim.add().dim_value = dim


def _save(model: onnx.ModelProto, path: Path) -> None:
    data = path.with_name(path.name + ".data")
    if sum(len(t.raw_data) for t in model.graph.initializer) > EXTERNAL_FROM_BYTES:
        onnx.save_model(model, str(path), save_as_external_data=True, location=data.name)
        data.chmod(0o644)
    else:
        onnx.save_model(model, str(path))
    path.chmod(0o644)


def external_files(path: Path) -> list[str]:
    """Names of the files beside `path` that hold its weights (none or one)."""
    data = path.with_name(path.name + ".data")
    return [data.name] if data.is_file() else []
