"""Builds models of few quantized nodes, and holds them against onnxruntime."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto as T
from onnx import helper, numpy_helper

from edgecv.graph.interpret import interpret
from edgecv.graph.ir import Graph
from edgecv.graph.passes.pipeline import declutter
from edgecv.graph.verify import verify
from edgecv.imported import ImportedModel, quantize_imported
from edgecv.onnx.importer import import_model

Array = NDArray[Any]


class Net:
    """Builds a model around quantized tensors: input ``x`` f32, output ``y``."""

    def __init__(self, shape: Sequence[int], opset: int = 21, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: List[Any] = []
        self.initializers: List[Any] = []
        self.shape, self.opset, self.count = tuple(shape), opset, 0

    def name(self) -> str:
        self.count += 1
        return f"t{self.count}"

    def op(self, op: str, *inputs: str, domain: str = "", **attrs: Any) -> str:
        output = self.name()
        self.nodes.append(
            helper.make_node(op, list(inputs), [output], f"{op}.{output}", domain=domain, **attrs)
        )
        return output

    def const(self, array: Any, kind: Optional[int] = None) -> str:
        name = self.name()
        tensor = (
            numpy_helper.from_array(np.asarray(array), name)
            if kind is None
            else helper.make_tensor(name, kind, np.shape(array), np.ravel(array))
        )
        self.initializers.append(tensor)
        return name

    def scale(self, value: Any) -> str:
        return self.const(np.asarray(value, np.float32))

    def quantize(self, x: str, scale: float, zero: int, dtype: Any = np.uint8) -> str:
        parameters = [self.scale(scale), self.const(np.array(zero, dtype))]
        q = self.op("QuantizeLinear", x, *parameters)
        return self.op("DequantizeLinear", q, *parameters)

    def weights(self, q: Array, scale: Any, zero: Any = None, axis: int = 0) -> str:
        zero = np.zeros(np.shape(scale), q.dtype) if zero is None else np.asarray(zero, q.dtype)
        inputs = [self.const(q), self.scale(scale), self.const(zero)]
        return self.op("DequantizeLinear", *inputs, axis=axis)

    def model(self, y: str) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes, "net", [helper.make_tensor_value_info("x", T.FLOAT, self.shape)],
            [helper.make_tensor_value_info(y, T.FLOAT, None)], self.initializers,
        )  # fmt: skip
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def input(self) -> Array:
        return self.rng.normal(0, 1.5, self.shape).astype(np.float32)

    def integers(self, *shape: int, low: int = -127, high: int = 127) -> Array:
        return self.rng.integers(low, high, shape, endpoint=True)


def imported(model: onnx.ModelProto) -> ImportedModel:
    result = quantize_imported(declutter(import_model(model)))
    verify(result.graph)
    return result


def run(graph: Graph, x: Array) -> Array:
    """The one output, in real numbers."""
    port = graph.inputs[0]
    value = graph.values[port.value]
    feed = x
    if value.dtype == "s8":
        steps = np.rint(x / np.float32(value.scale)) + value.zero_point
        feed = np.clip(steps, -128, 127).astype(np.int8)
    out = graph.outputs[0]
    array = interpret(graph, {port.name: feed})[out.value].transpose(out.perm)
    y = graph.values[out.value]
    if y.dtype != "s8":
        return array
    return (array.astype(np.float32) - y.zero_point) * np.float32(y.scale)


LEVEL = onnxruntime.GraphOptimizationLevel


def oracle(model: onnx.ModelProto, x: Array, level: Any = LEVEL.ORT_ENABLE_ALL) -> Array:
    """onnxruntime's answer, its 8-bit kernels exact."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = level
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    result: Array = session.run(None, {"x": x})[0]
    return result


def check(
    net: Net, y: str, step: float, exact: bool = True, level: Any = LEVEL.ORT_ENABLE_ALL
) -> ImportedModel:
    """Imports, compares to one step of the output, and expects no remarks."""
    model = net.model(y)
    x = net.input()
    want = oracle(model, x, level)
    result = imported(model)
    got = run(result.graph, x)
    assert got.shape == want.shape
    apart = np.abs(got - want) / step
    assert apart.max() < 1.01, f"up to {apart.max():.2f} steps"
    assert (apart > 0.5).sum() <= max(2, 0.01 * apart.size)  # ties of rounding
    assert float(np.ptp(want)) > 20 * step, "the test sees too few values"
    assert not exact or not result.remarks, result.remarks
    return result


def int8(result: ImportedModel) -> Dict[str, str]:
    graph = result.graph
    return {node.name: graph.values[node.outputs[0]].dtype for node in graph.nodes}


def qlinear(net: Net, name: str) -> str:
    """One operator on integers between QuantizeLinear and DequantizeLinear."""
    sx, zx = net.scale(0.03), net.const(np.array(120, np.uint8))
    sy, zy = net.scale(0.05), net.const(np.array(128, np.uint8))
    q = net.op("QuantizeLinear", "x", sx, zx)
    ms = "com.microsoft"
    if name == "QLinearConv":
        w = net.const(net.integers(6, 4, 3, 3).astype(np.int8))
        sw, zw = net.scale(net.rng.uniform(0.002, 0.01, 6)), net.const(np.zeros(6, np.int8))
        bias = net.const(net.integers(6, low=-3000, high=3000).astype(np.int32))
        q = net.op(name, q, sx, zx, w, sw, zw, sy, zy, bias, pads=[1, 1, 1, 1])
    elif name == "QLinearMatMul":
        w = net.const(net.integers(6, 5).astype(np.int8))
        q = net.op(name, q, sx, zx, w, net.scale(0.01), net.const(np.array(0, np.int8)), sy, zy)
    elif name in ("QLinearAdd", "QLinearMul"):
        q = net.op(name, q, sx, zx, q, sx, zx, sy, zy, domain=ms)
    elif name == "QLinearConcat":
        q = net.op(name, sy, zy, q, sx, zx, q, sx, zx, axis=1, domain=ms)
    elif name == "QGemm":
        w = net.const(net.integers(9, 6).astype(np.int8))
        bias = net.const(net.integers(9, low=-3000, high=3000).astype(np.int32))
        zero = net.const(np.array(0, np.int8))
        flat = net.op("Reshape", q, net.const(np.array([24, 6], np.int64)))
        inputs = [flat, sx, zx, w, net.scale(0.01), zero, bias, sy, zy]
        q = net.op(name, *inputs, transB=1, domain=ms)
    else:
        attrs: Dict[str, Any] = {"alpha": 0.2} if name == "QLinearLeakyRelu" else {}
        if name == "QLinearAveragePool":
            attrs = {"kernel_shape": [2, 2], "strides": [2, 2]}
        if name in ("QLinearSigmoid", "QLinearSoftmax"):
            sy, zy = net.scale(1 / 256), net.const(np.array(0, np.uint8))
        if name == "QLinearSoftmax":
            attrs = {"axis": -1, "opset": 13}
        if name == "QLinearGlobalAveragePool":
            sy, zy = net.scale(0.01), net.const(np.array(128, np.uint8))
            attrs = {"channels_last": 0}
        q = net.op(name, q, sx, zx, sy, zy, domain=ms, **attrs)
    return net.op("DequantizeLinear", q, sy, zy)
