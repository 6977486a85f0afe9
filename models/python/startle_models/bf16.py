"""bfloat16 graphs on a processor that has no kernels for them.

ONNX Runtime's CPU provider refuses bfloat16 matrix products (1.31: NOT_IMPLEMENTED for MatMul, Add, Erf, Softmax and
MultiHeadAttention), so a bf16 bundle runs on a GPU alone: its CUDA provider has kernels for the products, the sums,
MultiHeadAttention (pull request 26083) and the Gelu of operator set 20, by its sources; no GPU was at hand. To compare its numbers with PyTorch all the same, the graph
is rewritten: every operation that gives bfloat16 is done in float32 on the same values, and its result is rounded to
bfloat16. That is what a kernel does that adds up in float32, as those of GPUs do. What is inside of a fused operator is
not rounded.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MOVES = {"Concat", "Expand", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
"""Operations that give values they were given: nothing to round."""

_NOT_FLOAT = {"Shape", "Size", "ConstantOfShape", "Range"}


def emulate(path: Path, out: Path) -> None:
    """Writes to `out` the graph of `path` with float32 operations that round as bfloat16 ones."""
    model = onnx.load(str(path))
    graph = model.graph
    half = {t.name for t in graph.initializer if t.data_type == TensorProto.BFLOAT16}
    for tensor in graph.initializer:
        if tensor.name in half:
            tensor.CopyFrom(numpy_helper.from_array(_widened(tensor), tensor.name))
    nodes = []
    for node in graph.node:
        nodes.append(node)
        if not _gives_half(node, half):
            continue
        half.update(node.output)
        if node.op_type == "Constant":
            _widen_constant(node)
        elif node.op_type not in MOVES:
            nodes += _rounded(node)
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    onnx.save_model(model, str(out), save_as_external_data=True, location=out.name + ".data")


def _gives_half(node: onnx.NodeProto, half: set[str]) -> bool:
    attributes = {a.name: a for a in node.attribute}
    if node.op_type == "Cast":
        return attributes["to"].i == TensorProto.BFLOAT16
    if node.op_type == "Constant":
        return "value" in attributes and attributes["value"].t.data_type == TensorProto.BFLOAT16
    return node.op_type not in _NOT_FLOAT and any(name in half for name in node.input)


def _rounded(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The two casts that round the node's only result; a cast to bfloat16 is one of them itself."""
    result = node.output[0]
    if node.op_type != "Cast":
        node.output[0] = f"{result}.exact"
        half = helper.make_node("Cast", [f"{result}.exact"], [f"{result}.half"], to=TensorProto.BFLOAT16)
        return [half, helper.make_node("Cast", [f"{result}.half"], [result], to=TensorProto.FLOAT)]
    node.output[0] = f"{result}.half"
    return [helper.make_node("Cast", [f"{result}.half"], [result], to=TensorProto.FLOAT)]


def _widen_constant(node: onnx.NodeProto) -> None:
    tensor = node.attribute[0].t
    tensor.CopyFrom(numpy_helper.from_array(_widened(tensor), tensor.name))


def _widened(tensor: onnx.TensorProto) -> np.ndarray:
    """The values of a bfloat16 tensor as float32: its 16 bits are the upper half of theirs."""
    bits = np.frombuffer(tensor.raw_data, "<u2") if tensor.raw_data else np.array(tensor.int32_data, np.uint16)
    return (bits.astype(np.uint32) << 16).view(np.float32).reshape(tuple(tensor.dims))
