"""Models of few quantized nodes, imported, beside onnx's reference evaluator: equal to one step."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto as T
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import edgecv
from edgecv.errors import Error
from edgecv.format.reader import read
from edgecv.format.to_graph import to_graph
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


def qat_chain(net: Net) -> str:
    """Conv, BatchNormalization and Relu as eager-mode QAT exports them when nothing was fused: what
    each computes is quantized by itself.
    """
    x = net.quantize("x", 0.03, 128)
    w = net.weights(net.integers(8, 4, 3, 3).astype(np.int8), net.rng.uniform(0.002, 0.01, 8))
    y = net.quantize(net.op("Conv", x, w, net.scale(net.rng.normal(0, 1, 8))), 0.05, 131)
    parameters = [net.rng.normal(1, 0.4, 8), *net.rng.normal(0, 0.5, (2, 8))]
    parameters.append(net.rng.uniform(0.3, 2.0, 8))
    y = net.op("BatchNormalization", y, *(net.scale(item) for item in parameters))
    y = net.quantize(y, 0.07, 126)
    return net.quantize(net.op("Relu", y), 0.03, 0)


def test_unfused_chain() -> None:
    """Every intermediate rounding of the author stays: three int8 steps."""
    net = Net((1, 4, 10, 10))
    result = check(net, qat_chain(net), 0.03)
    assert set(int8(result).values()) == {"s8"}
    assert [node.op for node in result.graph.nodes] == ["Conv2d", "Conv2d", "Lookup"]


def test_relu_without_rounding() -> None:
    """A Relu of quantized values needs no parameters: it is the clamp of the layer before it."""
    net = Net((1, 4, 8, 8))
    x = net.quantize("x", 0.03, 128)
    w = net.weights(net.integers(8, 4, 3, 3).astype(np.int8), 0.01)
    y = net.op("Relu", net.quantize(net.op("Conv", x, w), 0.08, 131))
    w = net.weights(net.integers(4, 8, 1, 1).astype(np.int8), 0.01)
    y = net.quantize(net.op("Conv", y, w), 0.15, 128)
    result = check(net, y, 0.15)
    assert [node.op for node in result.graph.nodes] == ["Conv2d", "Conv2d"]
    assert result.graph.nodes[0].attrs["lo"] == 3


def test_integers_cast_to_their_type() -> None:
    """As PyTorch writes them before every DequantizeLinear."""
    net = Net((1, 4, 8, 8))
    parameters = [net.scale(0.03), net.const(np.array(128, np.uint8))]
    q = net.op("Cast", net.op("QuantizeLinear", "x", *parameters), to=T.UINT8)
    x = net.op("DequantizeLinear", q, *parameters)
    w = net.weights(net.integers(8, 4, 3, 3).astype(np.int8), 0.01)
    result = check(net, net.quantize(net.op("Conv", x, w), 0.08, 131), 0.08)
    assert [node.op for node in result.graph.nodes] == ["Conv2d"]


def test_batch_norm_without_rounding() -> None:
    """Nothing is quantized between Conv and BatchNormalization: its factors go into the scales of
    the weights, whose integers stay.
    """
    net = Net((1, 4, 10, 10))
    x = net.quantize("x", 0.03, 128)
    q = net.integers(8, 4, 3, 3).astype(np.int8)
    y = net.op("Conv", x, net.weights(q, net.rng.uniform(0.002, 0.01, 8)))
    parameters = [net.rng.normal(0, 1, 8), *net.rng.normal(0, 0.5, (2, 8))]
    parameters.append(net.rng.uniform(0.3, 2.0, 8))
    y = net.op("BatchNormalization", y, *(net.scale(item) for item in parameters))
    result = check(net, net.quantize(y, 0.08, 120), 0.08)
    node = result.graph.nodes[0]
    stored = result.graph.values[node.inputs[1]].data
    assert stored is not None
    sign = np.sign(parameters[0])[:, None, None, None]
    np.testing.assert_array_equal(stored, q.transpose(0, 2, 3, 1) * sign)


def test_quantized_by_file() -> None:
    """Weights stored as f32 behind QuantizeLinear, as training tools write them."""
    net = Net((1, 4, 8, 8))
    x = net.quantize("x", 0.03, 128)
    scale, zero = net.scale(net.rng.uniform(0.002, 0.01, 8)), net.const(np.zeros(8, np.int8))
    w = net.scale(net.rng.uniform(-0.25, 0.25, (8, 4, 3, 3)))
    w = net.op("QuantizeLinear", w, scale, zero, axis=0)
    w = net.op("DequantizeLinear", w, scale, zero, axis=0)
    check(net, net.quantize(net.op("Conv", x, w), 0.08, 120), 0.08)


def test_residual_and_pool() -> None:
    net = Net((2, 4, 8, 8))
    x = net.quantize("x", 0.03, 128)
    w = net.weights(net.integers(4, 4, 1, 1).astype(np.int8), 0.01)
    a = net.quantize(net.op("Conv", x, w), 0.06, 100)
    b = net.quantize(net.op("Add", x, a), 0.05, 110)
    pooled = net.op("MaxPool", b, kernel_shape=[2, 2], strides=[2, 2])
    pooled = net.quantize(pooled, 0.05, 110)
    c = net.quantize(net.op("Mul", pooled, pooled), 0.2, 4)
    c = net.quantize(net.op("Sigmoid", c), 1 / 256, 0)
    d = net.quantize(net.op("Concat", c, pooled, axis=1), 0.04, 90)
    d = net.quantize(net.op("GlobalAveragePool", d), 0.01, 60)
    d = net.op("Reshape", d, net.const(np.array([2, 8], np.int64)))
    w = net.weights(net.integers(8, 16).astype(np.int8), net.rng.uniform(0.01, 0.02, 16), axis=1)
    y = net.quantize(net.op("MatMul", d, w), 0.05, 128)
    result = check(net, y, 0.05)
    assert set(int8(result).values()) == {"s8"}


def test_gemm_forms() -> None:
    for transposed in (0, 1):
        net = Net((3, 20), seed=transposed)
        x = net.quantize("x", 0.03, 128)
        shape = (10, 20) if transposed else (20, 10)
        scale = net.rng.uniform(0.01, 0.02, 10)
        w = net.weights(net.integers(*shape).astype(np.int8), scale, axis=1 - transposed)
        bias = net.weights(net.integers(10, low=-900, high=900).astype(np.int32), 0.03 * scale)
        y = net.quantize(net.op("Gemm", x, w, bias, transB=transposed, alpha=0.5), 0.1, 128)
        assert set(int8(check(net, y, 0.1)).values()) == {"s8"}


@pytest.mark.parametrize("groups", [1, 2])
def test_conv_transpose(groups: int) -> None:
    net = Net((1, 4, 6, 6))
    x = net.quantize("x", 0.03, 128)
    w = net.integers(4, 3, 3, 3).astype(np.int8)
    scale = 0.01 if groups == 2 else net.rng.uniform(0.005, 0.01, 3)
    y = net.op("ConvTranspose", x, net.weights(w, scale, axis=1), strides=[2, 2], group=groups)
    assert set(int8(check(net, net.quantize(y, 0.1, 128), 0.1)).values()) == {"s8"}


def test_other_functions_are_tables() -> None:
    """Between two given codings any function is a table, also those that edgecv itself keeps in
    float.
    """
    net = Net((1, 4, 6, 6))
    y = net.quantize(net.op("Exp", net.quantize("x", 0.02, 128)), 0.05, 0)
    result = check(net, y, 0.05)
    assert [node.op for node in result.graph.nodes] == ["Lookup"]


def test_softmax_and_constants() -> None:
    net = Net((1, 40))
    x = net.quantize("x", 0.04, 128)
    factor = net.weights(net.integers(40).astype(np.int8), 0.02)
    x = net.quantize(net.op("Mul", x, factor), 0.05, 120)
    y = net.quantize(net.op("Softmax", x, axis=-1), 1 / 256, 0)
    assert set(int8(check(net, y, 1 / 256)).values()) == {"s8"}


def test_missing_roundings_stay_float() -> None:
    """A layer whose output has no parameters is f32; the others are int8."""
    net = Net((1, 4, 8, 8))
    x = net.quantize("x", 0.03, 128)
    w = net.weights(net.integers(4, 4, 1, 1).astype(np.int8), 0.01)
    a = net.op("Conv", x, w)
    b = net.quantize(net.op("Add", a, x), 0.06, 128)
    y = net.quantize(net.op("Conv", b, w), 0.1, 128)
    # onnxruntime's optimizer fails on weights that two layers share.
    result = check(net, y, 0.1, exact=False, level=LEVEL.ORT_DISABLE_ALL)
    kinds = {node.op: result.graph.values[node.outputs[0]].dtype for node in result.graph.nodes}
    assert kinds["Add"] == "f32"
    assert [n.op for n in result.graph.nodes if n.op == "Quantize"] == ["Quantize"] * 2
    assert len(result.kept) == 2
    assert "1 layers stay f32" in result.remarks[0]


def test_moves_of_integers() -> None:
    """Ops that move integers between QuantizeLinear and DequantizeLinear, and a Clip of them."""
    net = Net((1, 8, 6, 6))
    parameters = [net.scale(0.03), net.const(np.array(100, np.uint8))]
    q = net.op("QuantizeLinear", "x", *parameters)
    q = net.op("Transpose", q, perm=[0, 2, 3, 1])
    q = net.op("Clip", q, net.const(np.array(10, np.uint8)), net.const(np.array(150, np.uint8)))
    q = net.op("Reshape", q, net.const(np.array([1, 36, 8], np.int64)))
    pads = net.const(np.array([0, 1, 0, 0, 2, 0], np.int64))
    q = net.op("Pad", q, pads, net.const(np.array(30, np.uint8)))
    result = check(net, net.op("DequantizeLinear", q, *parameters), 0.03)
    assert "f32" not in int8(result).values()


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


@pytest.mark.parametrize(
    "name",
    [
        "QLinearConv", "QLinearMatMul", "QLinearAdd", "QLinearMul", "QLinearConcat", "QGemm",
        "QLinearLeakyRelu", "QLinearSigmoid", "QLinearSoftmax", "QLinearGlobalAveragePool",
        "QLinearAveragePool",
    ],
)  # fmt: skip
def test_operators_on_integers(name: str) -> None:
    """Against onnxruntime, whose operators most of these are."""
    net = Net((1, 4, 6, 6), opset=17)
    model = net.model(qlinear(net, name))
    x = net.input()
    want = oracle(model, x)
    result = imported(model)
    assert not result.remarks
    assert "f32" not in int8(result).values()
    step = result.graph.values[result.graph.outputs[0].value].scale
    apart = np.abs(run(result.graph, x) - want) / step
    assert apart.max() < 1.01
    assert (apart > 0.5).sum() <= max(2, 0.01 * apart.size)  # ties of rounding
    assert np.ptp(want) > 10 * step


def dynamic(net: Net) -> onnx.ModelProto:
    """What dynamic quantization writes: MatMulInteger and ConvInteger on DynamicQuantizeLinear."""
    net.nodes.append(helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], "dql"))
    w, zero = net.const(net.integers(6, 4, 3, 3).astype(np.int8)), net.const(np.array(0, np.int8))
    y = net.op("Cast", net.op("ConvInteger", "q", w, "z", zero), to=T.FLOAT)
    y = net.op("Mul", y, net.op("Mul", "s", net.scale(0.01)))
    y = net.op("Relu", net.op("Add", y, net.scale(net.rng.normal(0, 1, (1, 6, 1, 1)))))
    return net.model(net.op("GlobalAveragePool", y))


def test_dynamic_becomes_static_with_calibration(tmp_path: Path) -> None:
    net = Net((1, 4, 6, 6))
    model = dynamic(net)
    x = net.input()
    want = ReferenceEvaluator(model).run(None, {"x": x})[0]
    plain = imported(model)
    assert set(int8(plain).values()) == {"f32"}
    assert np.abs(run(plain.graph, x) - want).max() < 0.02 * np.abs(want).max()
    report = edgecv.convert(model, tmp_path / "m.ecv", [x])
    assert report.parameters == "from the model"
    assert not report.float_layers
    with edgecv.load(tmp_path / "m.ecv") as loaded:
        answer = next(iter(loaded.run(x).values()))
    assert np.abs(answer - want).max() < 0.03 * np.abs(want).max()
    graph = to_graph(read((tmp_path / "m.ecv").read_bytes()))
    conv = next(node for node in graph.nodes if node.op == "Conv2d")
    stored = graph.values[conv.inputs[1]].data
    assert stored is not None
    assert np.abs(stored).max() == 127


def damaged(what: str) -> onnx.ModelProto:
    net = Net((1, 4, 6, 6))
    scale = {"zero": 0.0, "nan": np.nan, "negative": -0.1, "infinite": np.inf}.get(what, 0.03)
    zero = np.array(3, np.int8 if what == "type" else np.uint8)
    zero = np.array([3, 4], np.uint8) if what == "shape" else zero
    parameters = [net.scale(scale), net.const(zero)]
    if what == "missing":
        parameters[0] = "lost"
    q = net.op("QuantizeLinear", "x", net.scale(0.03), net.const(np.array(3, np.uint8)))
    if what == "channels":
        x = net.op("DequantizeLinear", q, net.scale(0.03), net.const(np.array(3, np.uint8)))
        w = net.weights(net.integers(4, 4, 1, 1).astype(np.int8), [0.1, 0.2, 0.3])
        return net.model(net.op("Conv", x, w))
    if what == "other":
        parameters[0] = net.scale(0.04)
    return net.model(net.op("DequantizeLinear", q, *parameters))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("zero", "is a scale of 0; it must be above 0"),
        ("negative", "is a scale of -0.1; it must be above 0"),
        ("nan", "is a scale that is not finite"),
        ("infinite", "is a scale that is not finite"),
        ("type", "is a zero point of dtype s8 for integers of u8"),
        ("shape", "is a zero point of shape [2], its scale []"),
        ("missing", "reads 'lost', which nothing before it computes"),
        ("channels", "has 3 entries for the 4 of axis 0"),
        ("other", "was quantized with another scale or zero point"),
    ],
)
def test_bad_parameters(what: str, message: str, tmp_path: Path) -> None:
    """One line that names node and tensor; nothing is written."""
    target = tmp_path / "m.ecv"
    with pytest.raises(Error) as error:
        edgecv.convert(damaged(what), target)
    assert message in str(error.value)
    assert "DequantizeLinear" in str(error.value)
    assert "\n" not in str(error.value)
    assert not target.exists()


@pytest.mark.parametrize(
    ("name", "attribute", "message"),
    [
        ("QLinearConv", {"channels_last": 1}, "with channels last is not supported"),
        ("QLinearSoftmax", {"opset": 11}, "of opset 11 in a model of opset 17 is not supported"),
    ],
)
def test_forms_of_other_meaning_are_refused(
    name: str, attribute: Dict[str, int], message: str
) -> None:
    """Attributes of com.microsoft that change what an operator computes."""
    model = Net((1, 4, 6, 6), opset=17)
    proto = model.model(qlinear(model, name))
    node = next(node for node in proto.graph.node if node.op_type == name)
    kept = [attr for attr in node.attribute if attr.name not in attribute]
    kept += [helper.make_attribute(key, value) for key, value in attribute.items()]
    node.ClearField("attribute")
    node.attribute.extend(kept)
    with pytest.raises(Error, match=message):
        imported(proto)


@pytest.mark.parametrize("form", ["dense", "part", "depthwise", "grouped", "matmul", "extreme"])
def test_wide_weights(form: str) -> None:
    """Weights beyond [-127, 127] multiply exactly, as a sum of two or three."""
    groups = {"depthwise": 8, "grouped": 2}.get(form, 1)
    net = Net((2, 8, 9, 7) if form != "matmul" else (5, 30))
    x = net.quantize("x", 0.02, 110)
    zero = 0 if form == "extreme" else 90
    if form == "matmul":
        q = net.integers(30, 12, low=0, high=255).astype(np.uint8)
        y = net.op("MatMul", x, net.weights(q, 0.01, zero))
    else:
        q = net.integers(8, 8 // groups, 3, 3, low=0, high=255).astype(np.uint8)
        if form == "part":
            q = np.minimum(q, 200).astype(np.uint8)
            q[3, 2, 1, 1], q[5, 4, 0, 2] = 255, 250
        strides = [2, 1] if groups > 1 else [1, 1]
        w = net.weights(q, 0.01, zero)
        y = net.op("Conv", x, w, group=groups, pads=[1, 0, 1, 1], strides=strides)
    y = net.quantize(y, 0.2, 128)
    result = check(net, y, 0.2)
    assert len(result.warnings) == 1
    layer = next(n for n in result.graph.nodes if n.op in ("Conv2d", "FullyConnected"))
    stored = result.graph.values[layer.inputs[1]]
    copies = 3 if form == "extreme" else 2
    widths = {"dense": 16, "part": 11, "matmul": 60, "extreme": 24}
    if form in widths:
        assert stored.shape[-1] == widths[form]
    else:
        assert stored.shape[1] == 3 * copies


def test_least_weight_is_cut_where_that_is_little() -> None:
    """-128, which symmetric weights of some tools hold, becomes -127 where no output moves by more
    than half a step for it; the report says so.
    """
    for step, cut in ((3.0, True), (0.05, False)):
        net = Net((1, 8, 6, 6))
        q = net.integers(8, 8, 3, 3).astype(np.int8)
        q[2, 3, 1, 1] = -128
        y = net.op("Conv", net.quantize("x", 0.02, 128), net.weights(q, 0.01))
        model = net.model(net.quantize(y, step, 128))
        result = imported(model)
        assert bool(result.remarks) == cut
        assert bool(result.warnings) != cut
        x = net.input()
        apart = np.abs(run(result.graph, x) - oracle(model, x)) / step
        assert apart.max() < 1.01


@pytest.mark.parametrize("kind", ["equal", "dead", "unequal"])
def test_scales_of_channels(kind: str) -> None:
    """Activations with a scale a channel before a depthwise layer, as NNCF writes them: the layers
    around take the scales into theirs.
    """
    net = Net((1, 4, 9, 9))
    x = net.quantize("x", 0.03, 128)
    w = net.weights(net.integers(8, 4, 1, 1).astype(np.int8), net.rng.uniform(0.002, 0.01, 8))
    y = net.op("Conv", x, w)
    if kind != "unequal":
        y = net.op("Clip", y, net.scale(0.0), net.scale(6.0))
    zero = np.zeros(8, np.uint8)
    if kind != "equal":
        zero[3] = 128
    scale = np.array([0.02, 0.005, 0.01, 1e-5, 0.0235, 0.02, 0.01, 0.02], np.float32)
    parameters = [net.scale(scale), net.const(zero)]
    q = net.op("QuantizeLinear", y, *parameters, axis=1)
    y = net.op("DequantizeLinear", q, *parameters, axis=1)
    w = net.weights(net.integers(8, 1, 3, 3).astype(np.int8), net.rng.uniform(0.002, 0.01, 8))
    y = net.quantize(net.op("Conv", y, w, group=8, pads=[1, 1, 1, 1]), 0.05, 128)
    # onnxruntime's 8-bit kernels have no such form.
    result = check(net, y, 0.05, exact=False, level=LEVEL.ORT_DISABLE_ALL)
    kinds = [(n.op, result.graph.values[n.outputs[0]].dtype) for n in result.graph.nodes]
    if kind == "unequal":
        assert ("Conv2d", "f32") in kinds
        assert "unequal zero points; it is rounded in f32" in result.remarks[0]
    else:
        assert kinds == [("Conv2d", "s8")] * 2
        assert len(result.remarks) == (kind == "dead")


def test_old_opset() -> None:
    """QLinearConv of opset 11, before DequantizeLinear had an axis."""
    net = Net((1, 4, 6, 6), opset=11)
    result = check(net, qlinear(net, "QLinearConv"), 0.05)
    assert [node.op for node in result.graph.nodes] == ["Conv2d"]


def test_integer_inputs_and_outputs(tmp_path: Path) -> None:
    """They become f32, rounded by the API with the model's parameters."""
    net = Net((1, 4, 6, 6))
    parameters = [net.scale(0.03), net.const(np.array(120, np.uint8))]
    x = net.op("DequantizeLinear", "x", *parameters)
    w = net.weights(net.integers(8, 4, 3, 3).astype(np.int8), 0.01)
    last = [net.scale(0.1), net.const(np.array(100, np.uint8))]
    model = net.model(net.op("QuantizeLinear", net.op("Conv", x, w), *last))
    model.graph.input[0].type.tensor_type.elem_type = T.UINT8
    model.graph.output[0].type.tensor_type.elem_type = T.UINT8
    q = net.rng.integers(0, 256, net.shape).astype(np.uint8)
    want = (oracle(model, q).astype(np.float32) - 100) * np.float32(0.1)
    report = edgecv.convert(model, tmp_path / "m.ecv")
    assert len(report.remarks) == 2
    with edgecv.load(tmp_path / "m.ecv") as loaded:
        got = next(iter(loaded.run((q.astype(np.float32) - 120) * np.float32(0.03)).values()))
    assert np.abs(got - want).max() < 0.101


def test_sixteen_bits_stay_float() -> None:
    """An activation of 16 bits is not rounded at all; what lies around stays as it is."""
    net = Net((1, 4, 6, 6))
    x = net.quantize("x", 0.03, 128)
    w = net.weights(net.integers(8, 4, 3, 3).astype(np.int8), 0.01)
    y = net.quantize(net.op("Conv", x, w), 0.0005, 0, np.int16)
    w = net.weights(net.integers(4, 8, 1, 1).astype(np.int8), 0.01)
    y = net.quantize(net.op("Conv", y, w), 0.1, 128)
    result = check(net, y, 0.1, exact=False, level=LEVEL.ORT_DISABLE_ALL)
    assert "parameters of 16 bits are not used" in " ".join(result.remarks)
    assert len(result.kept) == 2


def test_weights_of_sixteen_bits_are_remarked() -> None:
    """They are f32 with their exact values, and no longer the model's own with calibration data."""
    net = Net((1, 4, 6, 6))
    w = net.weights(net.integers(8, 4, 3, 3).astype(np.int16) * 100, 1e-4)
    y = net.quantize(net.op("Conv", net.quantize("x", 0.03, 128), w), 0.1, 128)
    result = check(net, y, 0.1, exact=False, level=LEVEL.ORT_DISABLE_ALL)
    assert "parameters of 16 bits are not used" in result.remarks[0]
    assert len(result.kept) == 1


def test_blocks_of_weights_stay_float() -> None:
    """4-bit weights with a scale a block of inputs: real weights, exact, in f32."""
    net = Net((3, 64))
    data = net.const(net.integers(64, 10, low=-8, high=7), T.INT4)
    scale = net.scale(net.rng.uniform(0.05, 0.1, (4, 10)))
    zero = net.const(np.zeros((4, 10), np.int64), T.INT4)
    w = net.op("DequantizeLinear", data, scale, zero, axis=0, block_size=16)
    y = net.quantize(net.op("MatMul", net.quantize("x", 0.03, 128), w), 0.1, 128)
    result = check(net, y, 0.1, exact=False, level=LEVEL.ORT_DISABLE_ALL)
    assert result.kept
    assert "scales of another axis" in result.remarks[0]
