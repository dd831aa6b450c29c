"""Chains of quantized nodes, and weights and scales out of the ordinary, beside onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto as T

from .quantized_nets import LEVEL, Net, check, imported, int8, oracle, run


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


@pytest.mark.parametrize("first", ["u8", "s8"])
def test_steps_of_another_type(first: str) -> None:
    """DequantizeLinear of u8 and QuantizeLinear to s8 of a zero point 128 below, between layers."""
    net = Net((1, 8, 6, 6))
    codes = [(np.uint8, 100), (np.int8, -28)]
    one, other = codes if first == "u8" else codes[::-1]
    x = net.quantize("x", 0.0317, one[1], one[0])
    w = net.weights(net.integers(8, 8, 1, 1).astype(np.int8), 0.0113)
    y = net.quantize(net.op("Conv", net.quantize(x, 0.0317, other[1], other[0]), w), 0.0971, 128)
    z = net.quantize(net.op("Relu", net.quantize(y, 0.0971, 0, np.int8)), 0.0971, 0, np.int8)
    result = check(net, net.quantize(net.op("Add", z, x), 0.0971, 7, np.int8), 0.0971)
    assert sorted(node.op for node in result.graph.nodes) == ["Add", "Conv2d"]


def test_rounded_as_both_types() -> None:
    """One value that two QuantizeLinear round to the same steps of two types."""
    net = Net((1, 8, 6, 6))
    a, b = net.quantize("x", 0.0317, 100), net.quantize("x", 0.0317, -28, np.int8)
    result = check(net, net.quantize(net.op("Mul", a, b), 0.0971, 20), 0.0971)
    assert [node.op for node in result.graph.nodes] == ["Mul"]


@pytest.mark.parametrize("move", ["cast", "clip", "transpose", "reshape"])
def test_weights_between_their_roundings(move: str) -> None:
    """QuantizeLinear of constant weights, a step on integers, DequantizeLinear."""
    net = Net((1, 8, 6, 6))
    x = net.quantize("x", 0.0317, 100)
    real = net.rng.normal(0, 0.5, (8, 8, 1, 1)).astype(np.float32)
    scale, zero = net.scale(0.0113), net.const(np.array(0, np.int8))
    q = net.op("QuantizeLinear", net.const(real), scale, zero)
    if move == "cast":
        q = net.op("Cast", q, to=T.INT8)
    elif move == "clip":
        q = net.op("Clip", q, net.const(np.array(-50, np.int8)), net.const(np.array(60, np.int8)))
    elif move == "transpose":
        q = net.op("Transpose", q, perm=[1, 0, 2, 3])
    else:
        q = net.op("Reshape", q, net.const(np.array([8, 8, 1, 1], np.int64)))
    y = net.op("Conv", x, net.op("DequantizeLinear", q, scale, zero))
    result = check(net, net.quantize(y, 0.0471, 128), 0.0471)
    assert list(int8(result).values()) == ["s8"]
    integers = np.clip(np.rint(real / np.float32(0.0113)), -128, 127)
    integers = np.clip(integers, -50, 60) if move == "clip" else integers
    integers = integers.swapaxes(0, 1) if move == "transpose" else integers
    stored = result.graph.values[result.graph.nodes[0].inputs[1]].data
    assert stored is not None
    np.testing.assert_array_equal(stored.reshape(8, 8), integers.reshape(8, 8))


@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (-1.03, 1.0), (0.0, 50.0)])
def test_clip_between_equal_roundings(low: float, high: float) -> None:
    """It is the clamp of the layer before, not a table."""
    net = Net((1, 8, 6, 6))
    w = net.weights(net.integers(8, 8, 1, 1).astype(np.int8), 0.0113)
    y = net.op("Conv", net.quantize("x", 0.0317, 128), w)
    y = net.quantize(y, 0.0471, 120)
    y = net.op("Clip", y, net.scale(low), net.scale(high))
    result = check(net, net.quantize(y, 0.0471, 120), 0.0471)
    assert [node.op for node in result.graph.nodes] == ["Conv2d"]
