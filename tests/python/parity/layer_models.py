"""Lowered int8 layers as small ONNX models with the same quantization parameters, for onnxruntime
to run.

Convolutions and fully connected layers become QLinearConv and QGemm, whose scales are chosen so
that onnxruntime's multiplier is the file's own, bit for bit. Every other op becomes
DequantizeLinear, the float op, QuantizeLinear.
"""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgecv.graph.ir import Graph, Node, Value

S8 = NDArray[np.int8]
# Ops that only move values, or whose output is not s8.
MOVES = {
    "Reshape",
    "Transpose",
    "Slice",
    "Pad",
    "Concat",
    "Quantize",
    "Dequantize",
    "ArgMax",
    "Lookup",
}
EXACT = {"Conv2d", "FullyConnected"}


def run_exact(model: onnx.ModelProto, feed: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """onnxruntime without saturating arithmetic.

    The setting that keeps it exact works by a graph rewrite (s8 weights become u8), so that
    optimization stays on for single integer ops; float ops between quantizers are left as they are.
    """
    integer = all(node.op_type in ("QLinearConv", "QGemm") for node in model.graph.node)
    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if integer else levels.ORT_DISABLE_ALL
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(y) for y in session.run(None, feed)]


def _as_u8(q: S8) -> NDArray[np.uint8]:
    return (q.astype(np.int16) + 128).astype(np.uint8)


def _as_s8(q: NDArray[np.uint8]) -> S8:
    return (q.astype(np.int16) - 128).astype(np.int8)


class _Model:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.feed: dict[str, NDArray[Any]] = {}

    def constant(self, name: str, data: NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(data), name))
        return name

    def input(self, name: str, data: NDArray[Any]) -> str:
        kind = helper.np_dtype_to_tensor_dtype(data.dtype)
        self.inputs.append(helper.make_tensor_value_info(name, kind, data.shape))
        self.feed[name] = data
        return name

    def add(self, op: str, inputs: list[str], output: str, domain: str = "", **attrs: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], domain=domain, **attrs))
        return output

    def run(self, output: str) -> NDArray[Any]:
        y = helper.make_tensor_value_info(output, TensorProto.UINT8, None)
        graph = helper.make_graph(self.nodes, "layer", self.inputs, [y], self.constants)
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        return run_exact(model, self.feed)[0]


def _data(graph: Graph, name: str) -> NDArray[Any]:
    data = graph.values[name].data
    assert data is not None
    return data


def _conv(graph: Graph, node: Node, x: S8) -> S8:
    at, m = node.attrs, _Model()
    vx, vy = graph.values[node.inputs[0]], graph.values[node.outputs[0]]
    w, bias, mult = (_data(graph, name) for name in node.inputs[1:4])
    one, zero = np.float32(1), np.zeros(len(w), np.int8)
    inputs = [
        m.input("x", _as_u8(x.transpose(0, 3, 1, 2))),
        m.constant("sx", one),
        m.constant("zx", np.uint8(vx.zero_point + 128)),
        m.constant("w", w.transpose(0, 3, 1, 2)),
        m.constant("sw", mult),
        m.constant("zw", zero),
        m.constant("sy", one),
        m.constant("zy", np.uint8(vy.zero_point + 128)),
        m.constant("b", bias),
    ]
    m.add(
        "QLinearConv", inputs, "y",
        strides=[at["stride_h"], at["stride_w"]],
        dilations=[at["dilation_h"], at["dilation_w"]],
        pads=[at["pad_top"], at["pad_left"], at["pad_bottom"], at["pad_right"]],
        group=at["groups"],
    )  # fmt: skip
    return _as_s8(m.run("y")).transpose(0, 2, 3, 1)


def _gemm(graph: Graph, node: Node, x: S8) -> S8:
    m = _Model()
    vx, vy = graph.values[node.inputs[0]], graph.values[node.outputs[0]]
    w, bias, mult = (_data(graph, name) for name in node.inputs[1:4])
    one = np.float32(1)
    inputs = [
        m.input("x", _as_u8(x.reshape(-1, x.shape[-1]))),
        m.constant("sx", one),
        m.constant("zx", np.uint8(vx.zero_point + 128)),
        m.constant("w", w.T),
        m.constant("sw", mult),
        m.constant("zw", np.zeros(len(w), np.int8)),
        m.constant("b", bias),
        m.constant("sy", one),
        m.constant("zy", np.uint8(vy.zero_point + 128)),
    ]
    m.add("QGemm", inputs, "y", domain="com.microsoft")
    return _as_s8(m.run("y")).reshape(vy.shape)


def _dequantized(m: _Model, name: str, value: Value, q: S8) -> str:
    scale = m.constant(f"{name}_scale", np.float32(value.scale))
    zero = m.constant(f"{name}_zero", np.uint8(value.zero_point + 128))
    return m.add("DequantizeLinear", [m.input(name, _as_u8(q)), scale, zero], f"{name}_real")


def _float_op(m: _Model, node: Node, graph: Graph, real: list[str]) -> str:
    at = node.attrs
    x = graph.values[node.inputs[0]]
    if node.op in ("Add", "Sub", "Mul", "MatMul"):
        if at.get("transpose_b"):
            rank = len(graph.values[node.inputs[1]].shape)
            perm = [*range(rank - 2), rank - 1, rank - 2]
            real[1] = m.add("Transpose", [real[1]], "bt", perm=perm)
        return m.add(node.op, real, "f")
    if node.op == "Softmax":
        return m.add("Softmax", real, "f", axis=-1)
    if node.op == "ReduceMean":
        axes = list(range(at["first_axis"], at["last_axis"] + 1))
        return m.add("ReduceMean", real, "f", axes=axes, keepdims=1)
    if node.op in ("MaxPool2d", "AveragePool2d"):
        pads = [at["pad_top"], at["pad_left"], at["pad_bottom"], at["pad_right"]]
        extra: dict[str, Any] = {}
        if node.op == "AveragePool2d":
            extra["count_include_pad"] = at["count_include_pad"]
        m.add("Transpose", real, "nchw", perm=[0, 3, 1, 2])
        m.add(
            node.op[:-2], ["nchw"], "pooled",
            kernel_shape=[at["kernel_h"], at["kernel_w"]],
            strides=[at["stride_h"], at["stride_w"]],
            pads=pads, **extra,
        )  # fmt: skip
        return m.add("Transpose", ["pooled"], "f", perm=[0, 2, 3, 1])
    raise NotImplementedError(f"no float form of {node.op} on {x.shape}")


def _general(graph: Graph, node: Node, inputs: list[S8]) -> S8:
    m = _Model()
    activations = [name for name in node.inputs if name and graph.values[name].dtype == "s8"]
    real = [
        _dequantized(m, f"x{i}", graph.values[name], q)
        for i, (name, q) in enumerate(zip(activations, inputs))
    ]
    y = graph.values[node.outputs[0]]
    float_y = _float_op(m, node, graph, real)
    scale = m.constant("sy", np.float32(y.scale))
    zero = m.constant("zy", np.uint8(y.zero_point + 128))
    m.add("QuantizeLinear", [float_y, scale, zero], "y")
    return _as_s8(m.run("y")).reshape(y.shape)


_FORMS: dict[str, Callable[[Graph, Node, S8], S8]] = {"Conv2d": _conv, "FullyConnected": _gemm}


def onnxruntime_output(graph: Graph, node: Node, inputs: list[S8]) -> S8:
    """What onnxruntime computes for one lowered s8 node from the same s8 inputs (stored layout).

    ``inputs`` are the node's s8 operands, activations and elementwise constants, in order.
    """
    if node.op in _FORMS:
        y = _FORMS[node.op](graph, node, inputs[0])
    else:
        y = _general(graph, node, inputs)
    return np.clip(y, node.attrs.get("lo", -128), node.attrs.get("hi", 127)).astype(np.int8)
