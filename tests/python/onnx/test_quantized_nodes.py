"""Models of few quantized nodes, imported, beside onnx's reference evaluator: equal to one step."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto as T
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

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


def check(net: Net, y: str, step: float, exact: bool = True) -> ImportedModel:
    """Imports, compares to one step of the output, and expects no remarks."""
    model = net.model(y)
    x = net.input()
    want = ReferenceEvaluator(model).run(None, {"x": x})[0]
    result = imported(model)
    got = run(result.graph, x)
    assert got.shape == want.shape
    apart = np.abs(got - want) / step
    assert apart.max() < 1.01, f"up to {apart.max():.2f} steps"
    assert (apart > 0.5).mean() < 0.02
    assert float(np.ptp(want)) > 20 * step, "the test sees too few values"
    assert not exact or not result.remarks, result.remarks
    return result


def int8(result: ImportedModel) -> Dict[str, str]:
    graph = result.graph
    return {node.name: graph.values[node.outputs[0]].dtype for node in graph.nodes}


@pytest.mark.parametrize("kind", ["u8s8", "s8s8", "u8u8", "channel", "int4", "uint4"])
def test_conv(kind: str) -> None:
    net = Net((1, 6, 9, 9))
    activation = np.int8 if kind == "s8s8" else np.uint8
    x = net.quantize("x", 0.02, 3 if activation == np.int8 else 120, activation)
    q, scale, zero = net.integers(8, 6, 3, 3), np.array(0.01), None
    if kind == "channel":
        scale = net.rng.uniform(0.004, 0.02, 8)
    if kind == "u8u8":
        q, zero = net.integers(8, 6, 3, 3, low=20, high=220).astype(np.uint8), 125
    if kind in ("int4", "uint4"):
        low = -8 if kind == "int4" else 0
        typ = T.INT4 if kind == "int4" else T.UINT4
        data = net.const(net.integers(8, 6, 3, 3, low=low, high=low + 15), typ)
        zeros = net.const(np.array(low + 8), typ)
        w = net.op("DequantizeLinear", data, net.scale(0.1), zeros)
    else:
        q = q if kind == "u8u8" else q.astype(np.int8)
        w = net.weights(q, scale, zero)
    bias = net.weights(net.integers(8, low=-5000, high=5000).astype(np.int32), 0.02 * scale)
    y = net.op("Conv", x, w, bias, pads=[1, 1, 1, 1])
    y = net.quantize(net.op("Relu", y), 0.1, 0)
    result = check(net, y, 0.1)
    assert set(int8(result).values()) == {"s8"}
    assert [node.op for node in result.graph.nodes] == ["Conv2d"]
