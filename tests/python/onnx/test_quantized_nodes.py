"""Models of few quantized nodes, imported, beside onnxruntime: equal to one step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper
from onnx.reference import ReferenceEvaluator

import edgecv
from edgecv.format.reader import read
from edgecv.format.to_graph import to_graph

from .quantized_nets import Net, check, imported, int8, oracle, qlinear, run


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
