"""Each ONNX op that computes: imported, decluttered, exported, lowered and interpreted against
onnxruntime.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graph.onnx_models import Builder, check, ops

CONVS: list[dict[str, Any]] = [
    {"w": (6, 4, 3, 3)},
    {"w": (6, 4, 1, 1), "strides": [2, 2]},
    {"w": (6, 4, 3, 5), "pads": [1, 2, 0, 1], "strides": [2, 1]},
    {"w": (6, 4, 3, 3), "dilations": [2, 3], "pads": [2, 3, 2, 3]},
    {"w": (8, 2, 3, 3), "group": 2, "pads": [1, 1, 1, 1]},
    {"w": (4, 1, 5, 5), "group": 4, "pads": [2, 2, 2, 2]},
    {"w": (8, 1, 3, 3), "group": 4},
    {"w": (6, 4, 3, 3), "auto_pad": "SAME_UPPER", "strides": [2, 2]},
    {"w": (6, 4, 4, 4), "auto_pad": "SAME_LOWER", "strides": [2, 2]},
    {"w": (6, 4, 3, 3), "auto_pad": "VALID"},
]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("case", CONVS, ids=str)
def test_conv(case: dict[str, Any], bias: bool) -> None:
    b = Builder()
    attrs = {name: value for name, value in case.items() if name != "w"}
    extra = [b.weights(case["w"][0])] if bias else []
    y = b.op("Conv", b.input(2, 4, 11, 10), b.weights(*case["w"]), *extra, **attrs)
    _, low = check(b.model(y))
    assert ops(low) == ["Conv2d"]


@pytest.mark.parametrize("attrs", [{}, {"strides": [2], "pads": [1, 2]}, {"group": 4}], ids=str)
def test_conv_of_rank_3(attrs: dict[str, Any]) -> None:
    b = Builder()
    w = b.weights(8, 4 // attrs.get("group", 1), 3)
    y = b.op("Relu", b.op("Conv", b.input(2, 4, 16), w, **attrs))
    _, low = check(b.model(y))
    assert ops(low) == ["Transpose", "Reshape", "Conv2d", "Reshape"]


TRANSPOSED: list[dict[str, Any]] = [
    {"w": (4, 6, 3, 3)},
    {"w": (4, 6, 2, 2), "strides": [2, 2]},
    {"w": (4, 6, 3, 3), "strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
    {"w": (4, 3, 3, 3), "group": 2, "strides": [2, 3], "pads": [0, 1, 1, 0]},
    {"w": (4, 1, 4, 4), "group": 4, "strides": [2, 2], "pads": [1, 1, 1, 1]},
    {"w": (4, 6, 3, 3), "dilations": [2, 2]},
    {"w": (4, 6, 3, 3), "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    {"w": (4, 6, 3, 3), "strides": [2, 2], "auto_pad": "SAME_LOWER"},
    {"w": (4, 6, 3, 3), "strides": [2, 2], "output_shape": [14, 13]},
]


@pytest.mark.parametrize("case", TRANSPOSED, ids=str)
def test_conv_transpose(case: dict[str, Any]) -> None:
    b = Builder()
    attrs = {name: value for name, value in case.items() if name != "w"}
    bias = b.weights(case["w"][1] * attrs.get("group", 1))
    y = b.op("ConvTranspose", b.input(2, 4, 7, 6), b.weights(*case["w"]), bias, **attrs)
    _, low = check(b.model(y))
    assert ops(low) == ["ConvTranspose2d"]


GEMMS = [
    {"transB": 1},
    {"transB": 0},
    {"transA": 1},
    {"transB": 1, "alpha": 0.5, "beta": 2.0},
]


@pytest.mark.parametrize("c", [None, (), (1,), (6,), (1, 6), (5, 6), (5, 1)], ids=str)
@pytest.mark.parametrize("attrs", GEMMS, ids=str)
def test_gemm(attrs: dict[str, Any], c: tuple[int, ...] | None) -> None:
    b = Builder()
    x = b.input(*((4, 5) if attrs.get("transA") else (5, 4)))
    w = b.weights(*((6, 4) if attrs.get("transB") else (4, 6)))
    extra = [] if c is None else [b.const(b.rng.standard_normal(c))]
    _, low = check(b.model(b.op("Gemm", x, w, *extra, **attrs)))
    assert "FullyConnected" in ops(low)


@pytest.mark.parametrize("attrs", [{}, {"transA": 1, "transB": 1, "alpha": 2.0, "beta": 0.5}])
def test_gemm_of_two_activations(attrs: dict[str, Any]) -> None:
    b = Builder()
    first = b.input(*((4, 5) if attrs else (5, 4)))
    second = b.input(*((6, 4) if attrs else (4, 6)))
    _, low = check(b.model(b.op("Gemm", first, second, b.weights(6), **attrs)))
    assert "MatMul" in ops(low)


def test_gemm_with_a_constant_left_side() -> None:
    b = Builder()
    y = b.op("Gemm", b.weights(5, 4), b.input(4, 6), b.weights(6), alpha=0.5)
    _, low = check(b.model(y))
    assert "FullyConnected" in ops(low)


MATMULS: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((5, 4), (4, 6)),
    ((2, 5, 4), (4, 6)),
    ((2, 3, 5, 4), (2, 3, 4, 6)),
    ((2, 3, 5, 4), (3, 4, 6)),
    ((5, 4), (2, 4, 6)),
    ((4,), (4, 6)),
    ((4,), (2, 4, 6)),
    ((2, 5, 4), (4,)),
    ((4,), (4,)),
]


@pytest.mark.parametrize("constant", ["none", "left", "right"])
@pytest.mark.parametrize("shapes", MATMULS, ids=str)
def test_matmul(shapes: tuple[tuple[int, ...], tuple[int, ...]], constant: str) -> None:
    b = Builder()
    a = b.weights(*shapes[0]) if constant == "left" else b.input(*shapes[0])
    c = b.weights(*shapes[1]) if constant == "right" else b.input(*shapes[1])
    check(b.model(b.op("MatMul", a, c)))


def test_matmul_with_bias_and_clamp_is_one_node() -> None:
    b = Builder()
    y = b.op("Add", b.weights(6), b.op("MatMul", b.input(2, 5, 4), b.weights(4, 6)))
    _, low = check(b.model(b.op("Relu", y)))
    assert ops(low) == ["FullyConnected"]
    assert (low.nodes[0].attrs["lo"], low.nodes[0].attrs["hi"]) == (0.0, float("inf"))


BROADCASTS: list[tuple[int, ...]] = [
    (2, 4, 5, 6),
    (4, 1, 1),
    (1, 4, 1, 1),
    (6,),
    (5, 1),
    (),
    (2, 1, 5, 6),
    (3, 1, 4, 5, 6)[1:],
]


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("kind", ["const", "input"])
@pytest.mark.parametrize("shape", BROADCASTS, ids=str)
@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
def test_binary(op: str, shape: tuple[int, ...], kind: str, swap: bool) -> None:
    b = Builder()
    # A convolution before it, so that the layout is the image's.
    image = b.op("Relu", b.op("Conv", b.input(2, 3, 5, 6), b.weights(4, 3, 1, 1)))
    image = b.op("Add", image, b.op("Sigmoid", image))
    data = np.random.default_rng(3).uniform(0.5, 2.0, shape)
    other = b.const(data) if kind == "const" else b.op("Exp", b.input(*shape))
    shifted = b.op("Add", image, b.const(1.0))
    y = b.op(op, other, shifted) if swap else b.op(op, shifted, other)
    _, low = check(b.model(y))
    if kind == "const":
        assert "Transpose" not in ops(low)


UNARY: list[tuple[str, dict[str, Any]]] = [
    ("Relu", {}),
    ("LeakyRelu", {"alpha": 0.2}),
    ("LeakyRelu", {}),
    ("Sigmoid", {}),
    ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}),
    ("HardSigmoid", {}),
    ("HardSwish", {}),
    ("Tanh", {}),
    ("Gelu", {}),
    ("Gelu", {"approximate": "tanh"}),
    ("Erf", {}),
    ("Exp", {}),
    ("Abs", {}),
    ("Neg", {}),
    ("Elu", {"alpha": 0.7}),
    ("Softplus", {}),
    ("Floor", {}),
    ("Ceil", {}),
    ("Mish", {}),
    ("Selu", {}),
    ("Celu", {"alpha": 0.7}),
    ("Softsign", {}),
]


@pytest.mark.parametrize(("op", "attrs"), UNARY, ids=str)
def test_unary(op: str, attrs: dict[str, Any]) -> None:
    b = Builder()
    check(b.model(b.op(op, b.input(2, 3, 5, 4), **attrs)))


@pytest.mark.parametrize("op", ["Log", "Sqrt", "Reciprocal"])
def test_unary_of_positive_numbers(op: str) -> None:
    b = Builder()
    check(b.model(b.op(op, b.op("Exp", b.input(2, 3)))))


@pytest.mark.parametrize("bounds", [(None, None), (-1.0, 1.0), (None, 0.5), (0.0, None), (2.0, -1)])
def test_clip(bounds: tuple[float | None, float | None]) -> None:
    b = Builder()
    names = ["" if item is None else b.const(item) for item in bounds]
    check(b.model(b.op("Clip", b.input(2, 3), *names)))


@pytest.mark.parametrize("slope", [(4, 1, 1), (1,), (1, 1, 1), (6,)], ids=str)
def test_prelu(slope: tuple[int, ...]) -> None:
    b = Builder()
    check(b.model(b.op("PRelu", b.input(2, 4, 5, 6), b.weights(*slope))))


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_softmax(op: str, axis: int) -> None:
    b = Builder()
    check(b.model(b.op(op, b.input(2, 3, 4, 5), axis=axis)))


@pytest.mark.parametrize("axis", [0, 1, 2, 3, None])
@pytest.mark.parametrize("opset", [9, 11, 13])
def test_softmax_of_older_opsets(opset: int, axis: int | None) -> None:
    b = Builder(opset)
    attrs = {} if axis is None else {"axis": axis}
    check(b.model(b.op("Softmax", b.input(2, 3, 4, 5), **attrs)))


@pytest.mark.parametrize("axis", [-1, 1, 2])
@pytest.mark.parametrize("bias", [False, True])
def test_layer_normalization(axis: int, bias: bool) -> None:
    b = Builder()
    tail = (3, 4, 5)[axis if axis < 0 else axis - 1 :]
    extra = [b.weights(*tail)] if bias else []
    x = b.input(2, 3, 4, 5)
    y = b.op("LayerNormalization", x, b.weights(*tail), *extra, axis=axis, epsilon=1e-3)
    check(b.model(y))


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 5), (2, 3, 2, 2, 2)], ids=str)
def test_batch_normalization_alone(shape: tuple[int, ...]) -> None:
    b = Builder()
    parameters = [b.const(b.rng.uniform(0.5, 2.0, 3)) for _ in range(4)]
    _, low = check(b.model(b.op("BatchNormalization", b.input(*shape), *parameters)))
    assert ("Conv2d" in ops(low)) == (len(shape) in (3, 4))


@pytest.mark.parametrize("op", ["InstanceNormalization", "GroupNormalization", "RMSNormalization"])
def test_other_normalizations(op: str) -> None:
    b = Builder(23 if op == "RMSNormalization" else 21)
    x = b.input(2, 4, 3, 5)
    if op == "RMSNormalization":
        y = b.op(op, x, b.weights(5))
    else:
        attrs = {"num_groups": 2} if op == "GroupNormalization" else {}
        y = b.op(op, x, b.weights(4), b.weights(4), **attrs)
    check(b.model(y))


def test_lp_normalization() -> None:
    b = Builder()
    check(b.model(b.op("LpNormalization", b.input(2, 8), axis=1, p=2)))


POOLS: list[dict[str, Any]] = [
    {"kernel_shape": [2, 2], "strides": [2, 2]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [3, 2], "strides": [2, 3], "pads": [1, 0, 2, 1]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1},
    {"kernel_shape": [2, 2], "strides": [3, 3], "ceil_mode": 1},
    {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
]


@pytest.mark.parametrize("size", [(8, 9), (7, 10)])
@pytest.mark.parametrize("attrs", [*POOLS, {"kernel_shape": [3, 3], "dilations": [2, 2]}], ids=str)
def test_max_pool(attrs: dict[str, Any], size: tuple[int, int]) -> None:
    b = Builder()
    _, low = check(b.model(b.op("MaxPool", b.input(2, 3, *size), **attrs)))
    assert ops(low) == ["MaxPool2d"]


@pytest.mark.parametrize("include", [0, 1])
@pytest.mark.parametrize("size", [(8, 9), (7, 10)])
@pytest.mark.parametrize("attrs", POOLS, ids=str)
def test_average_pool(attrs: dict[str, Any], size: tuple[int, int], include: int) -> None:
    b = Builder()
    x = b.input(2, 3, *size)
    _, low = check(b.model(b.op("AveragePool", x, count_include_pad=include, **attrs)))
    assert ops(low) == ["AveragePool2d"]


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pool_of_rank_3(op: str) -> None:
    b = Builder()
    check(b.model(b.op(op, b.input(2, 3, 9), kernel_shape=[3], strides=[2], pads=[1, 1])))


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("shape", [(2, 3, 7), (2, 3, 5, 4)], ids=str)
def test_global_pool(op: str, shape: tuple[int, ...]) -> None:
    b = Builder()
    check(b.model(b.op(op, b.input(*shape))))


NEIGHBOURS: list[tuple[int, ...]] = [(2, 3), (1,), (-1,), (0, 1, 2, 3), ()]


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("axes", [*NEIGHBOURS, (1, 3), (0, 2)], ids=str)
@pytest.mark.parametrize("op", ["ReduceMean", "ReduceSum", "ReduceL2", "ReduceLogSumExp"])
def test_reduce(op: str, axes: tuple[int, ...], keep: int) -> None:
    b = Builder()
    extra = [b.ints(*axes)] if axes else []
    check(b.model(b.op(op, b.input(2, 3, 4, 5), *extra, keepdims=keep)))


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("axes", NEIGHBOURS, ids=str)
@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMin"])
def test_reduce_to_an_extreme(op: str, axes: tuple[int, ...], keep: int) -> None:
    b = Builder()
    extra = [b.ints(*axes)] if axes else []
    check(b.model(b.op(op, b.input(2, 3, 4, 5), *extra, keepdims=keep)))


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_arg_max(op: str, axis: int, keep: int) -> None:
    b = Builder()
    check(b.model(b.op(op, b.input(2, 3, 4, 5), axis=axis, keepdims=keep)))


@pytest.mark.parametrize("op", ["Sum", "Mean"])
def test_sum_and_mean(op: str) -> None:
    b = Builder()
    x = b.input(2, 3)
    check(b.model(b.op(op, x, b.op("Sigmoid", x), b.weights(3))))


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 3.0, 4.0, -0.5, -1.0, -2.0])
def test_pow(power: float) -> None:
    b = Builder()
    check(b.model(b.op("Pow", b.op("Exp", b.input(2, 3)), b.const(power))))


@pytest.mark.parametrize("op", ["Max", "Min"])
def test_max_and_min_with_a_number(op: str) -> None:
    b = Builder()
    check(b.model(b.op(op, b.const(0.5), b.input(2, 3))))


def test_an_output_that_is_the_input() -> None:
    b = Builder()
    check(b.model(b.op("Identity", b.input(2, 3, 4, 5))))


def test_two_names_for_one_output() -> None:
    b = Builder()
    x = b.op("Relu", b.input(2, 3))
    check(b.model(x, b.op("Identity", x), b.op("Dropout", x)))
