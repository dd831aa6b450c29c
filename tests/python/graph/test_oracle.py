"""The int8 arithmetic of the interpreter against loops over Python integers, element by element."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecv.graph.interpret import interpret
from edgecv.graph.ir import Graph, Node, Port, Value
from edgecv.graph.ops import OpError
from edgecv.graph.verify import verify

Array = NDArray[Any]
F = np.float32


def rounded(x: Any) -> int:
    """rint of an f32 value: Python's round is to even, and the float is exact."""
    return round(float(x))


def requantize(acc: int, m: Any, zero_point: int, lo: int, hi: int) -> int:
    return min(max(rounded(F(acc) * F(m)) + zero_point, lo), hi)


class Case:
    """A graph of one node."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.graph = Graph("case")
        self.names: list[str] = []
        self.feeds: dict[str, Array] = {}

    def x(self, *shape: int, zero_point: int = 0, scale: float = 0.5) -> Array:
        name = f"x{len(self.feeds)}"
        data = self.rng.integers(-128, 128, shape).astype(np.int8)
        self.graph.add(Value(name, shape, "s8", None, scale, zero_point))
        self.graph.inputs.append(Port(name, name, shape, tuple(range(len(shape))), "s8"))
        self.feeds[name] = data
        self.names.append(name)
        return data

    def const(self, data: Any, dtype: str) -> Array:
        value = self.graph.constant(f"c{len(self.graph.values)}", np.asarray(data), dtype)
        self.names.append(value.name)
        assert value.data is not None
        return value.data

    def run(
        self,
        op: str,
        shape: tuple[int, ...],
        attrs: dict[str, Any],
        zero_point: int = 0,
        scale: float = 0.5,
        dtype: str = "s8",
    ) -> Array:
        s8 = dtype == "s8"
        self.graph.add(
            Value("y", shape, dtype, None, scale if s8 else 0.0, zero_point if s8 else 0)
        )
        self.graph.outputs.append(Port("y", "y", shape, tuple(range(len(shape))), dtype))
        self.graph.nodes.append(Node(op, op, self.names, ["y"], attrs))
        verify(self.graph)
        return interpret(self.graph, self.feeds)["y"]


def conv_attrs(**changes: int) -> dict[str, int]:
    attrs = dict.fromkeys(("stride_h", "stride_w", "dilation_h", "dilation_w", "groups"), 1)
    attrs.update(dict.fromkeys(("pad_top", "pad_left", "pad_bottom", "pad_right"), 0))
    attrs.update(lo=-128, hi=127)
    return {**attrs, **changes}


CONVS = [
    conv_attrs(),
    conv_attrs(stride_h=2, pad_top=1, pad_right=2, lo=-100, hi=90),
    conv_attrs(dilation_w=2, pad_left=3, groups=2),
    conv_attrs(groups=4, stride_w=3, pad_bottom=1),
]


@pytest.mark.parametrize("attrs", CONVS, ids=str)
def test_conv(attrs: dict[str, int]) -> None:
    case = Case(1)
    zx, zy, groups = 7, -3, attrs["groups"]
    x = case.x(2, 6, 7, 4, zero_point=zx)
    w = case.const(case.rng.integers(-127, 128, (4, 3, 2, 4 // groups)), "s8")
    bias = case.const(case.rng.integers(-5000, 5000, 4), "s32")
    m = case.const(case.rng.uniform(1e-4, 3e-3, 4), "f32")
    oh = (6 + attrs["pad_top"] + attrs["pad_bottom"] - 3) // attrs["stride_h"] + 1
    reach = attrs["dilation_w"] + 1
    ow = (7 + attrs["pad_left"] + attrs["pad_right"] - reach) // attrs["stride_w"] + 1
    y = case.run("Conv2d", (2, oh, ow, 4), attrs, zy)
    for n, i, j, o in itertools.product(range(2), range(oh), range(ow), range(4)):
        acc = int(bias[o])
        for kh, kw, c in itertools.product(range(3), range(2), range(4 // groups)):
            row = i * attrs["stride_h"] + kh - attrs["pad_top"]
            col = j * attrs["stride_w"] + kw * attrs["dilation_w"] - attrs["pad_left"]
            if 0 <= row < 6 and 0 <= col < 7:
                channel = o // (4 // groups) * (4 // groups) + c
                acc += int(w[o, kh, kw, c]) * (int(x[n, row, col, channel]) - zx)
        assert y[n, i, j, o] == requantize(acc, m[o], zy, attrs["lo"], attrs["hi"])


@pytest.mark.parametrize("groups", [1, 2])
def test_conv_transpose(groups: int) -> None:
    case = Case(2)
    zx, zy = -5, 4
    attrs = conv_attrs(stride_h=2, stride_w=3, pad_top=1, pad_left=1, groups=groups)
    attrs.update(output_pad_h=1, output_pad_w=0)
    x = case.x(1, 3, 4, 4, zero_point=zx)
    w = case.const(case.rng.integers(-127, 128, (2, 3, 3, 4 // groups)), "s8")
    bias = case.const(case.rng.integers(-5000, 5000, 2), "s32")
    m = case.const(case.rng.uniform(1e-4, 3e-3, 2), "f32")
    y = case.run("ConvTranspose2d", (1, 7, 11, 2), attrs, zy)
    acc = [[[int(bias[o]) for o in range(2)] for _ in range(11)] for _ in range(7)]
    for h, v, kh, kw, o in itertools.product(range(3), range(4), range(3), range(3), range(2)):
        row, col = h * 2 + kh - 1, v * 3 + kw - 1
        if 0 <= row < 7 and 0 <= col < 11:
            for c in range(4 // groups):
                channel = o * groups // 2 * (4 // groups) + c
                acc[row][col][o] += int(w[o, kh, kw, c]) * (int(x[0, h, v, channel]) - zx)
    for i, j, o in itertools.product(range(7), range(11), range(2)):
        assert y[0, i, j, o] == requantize(acc[i][j][o], m[o], zy, -128, 127)


def test_fully_connected() -> None:
    case = Case(3)
    x = case.x(3, 5, zero_point=11)
    w = case.const(case.rng.integers(-127, 128, (4, 5)), "s8")
    bias = case.const(case.rng.integers(-500, 500, 4), "s32")
    m = case.const(case.rng.uniform(1e-3, 1e-2, 4), "f32")
    y = case.run("FullyConnected", (3, 4), {"lo": -50, "hi": 60}, 2)
    for i, n in itertools.product(range(3), range(4)):
        acc = int(bias[n]) + sum(int(w[n, k]) * (int(x[i, k]) - 11) for k in range(5))
        assert y[i, n] == requantize(acc, m[n], 2, -50, 60)


@pytest.mark.parametrize("transpose_b", [0, 1])
def test_matmul(transpose_b: int) -> None:
    case = Case(4)
    a = case.x(2, 3, 5, zero_point=3)
    b = case.x(*((4, 5) if transpose_b else (5, 4)), zero_point=-9)
    attrs = {"transpose_b": transpose_b, "lo": -128, "hi": 127, "m": 0.0021}
    y = case.run("MatMul", (2, 3, 4), attrs, 5)
    for g, i, j in itertools.product(range(2), range(3), range(4)):
        acc = sum(
            (int(a[g, i, k]) - 3) * (int(b[j, k] if transpose_b else b[k, j]) + 9) for k in range(5)
        )
        assert y[g, i, j] == requantize(acc, 0.0021, 5, -128, 127)


@pytest.mark.parametrize("op", ["Add", "Sub"])
def test_add(op: str) -> None:
    case = Case(5)
    a, b = case.x(3, 4, 8, zero_point=3), case.x(4, 1, zero_point=-20)
    attrs = {"lo": -90, "hi": 100, "ma": 0.613, "mb": 0.387}
    y = case.run(op, (3, 4, 8), attrs, -7)
    for i, j, k in itertools.product(range(3), range(4), range(8)):
        left = F(int(a[i, j, k]) - 3) * F(0.613)
        right = F(int(b[j, 0]) + 20) * F(0.387)
        real = left + right if op == "Add" else left - right
        assert y[i, j, k] == min(max(rounded(real) - 7, -90), 100)


def test_mul() -> None:
    case = Case(6)
    a, b = case.x(5, 6, zero_point=3), case.x(5, 6, zero_point=-20)
    y = case.run("Mul", (5, 6), {"lo": -128, "hi": 127, "m": 0.0071}, 9)
    for i, j in itertools.product(range(5), range(6)):
        product = (int(a[i, j]) - 3) * (int(b[i, j]) + 20)
        assert y[i, j] == min(max(rounded(F(product) * F(0.0071)) + 9, -128), 127)


def test_prelu() -> None:
    case = Case(7)
    x = case.x(9, 5, zero_point=-12)
    slopes = case.const(case.rng.uniform(-0.5, 0.9, 5), "f32")
    y = case.run("PRelu", (9, 5), {"lo": -128, "hi": 127, "m_positive": 0.83}, 3)
    for i, c in itertools.product(range(9), range(5)):
        d = int(x[i, c]) + 12
        m = F(0.83) if d >= 0 else slopes[c]
        assert y[i, c] == min(max(rounded(F(d) * m) + 3, -128), 127)


def test_lookup() -> None:
    case = Case(8)
    x = case.x(40)
    table = case.const(case.rng.permutation(256) - 128, "s8")
    y = case.run("Lookup", (40,), {})
    assert [int(item) for item in y] == [int(table[int(q) + 128]) for q in x]


def test_softmax() -> None:
    case = Case(9)
    x = case.x(6, 11)
    table = [round(2**20 * math.exp(-0.05 * d)) for d in range(256)]
    case.const(table, "s32")
    y = case.run("Softmax", (6, 11), {}, -128, 1 / 256)
    for i in range(6):
        e = [table[int(x[i].max()) - int(q)] for q in x[i]]
        r = F(256) / F(sum(e))
        for j in range(11):
            assert y[i, j] == min(max(rounded(F(e[j]) * r) - 128, -128), 127)


def test_layer_norm() -> None:
    case = Case(10)
    x = case.x(6, 13, zero_point=5)
    gamma = case.const(case.rng.uniform(5, 40, 13), "f32")
    beta = case.const(case.rng.uniform(-9, 9, 13), "f32")
    y = case.run("LayerNorm", (6, 13), {"lo": -120, "hi": 110, "e": 3.5}, 4)
    for i in range(6):
        q = [int(item) for item in x[i]]
        total = sum(q)
        variance = 13 * sum(item * item for item in q) - total * total
        r = F(1) / np.sqrt(F(variance) + F(3.5))
        for j in range(13):
            t = (F(13 * q[j] - total) * r) * gamma[j] + beta[j]
            assert y[i, j] == min(max(rounded(t) + 4, -120), 110)


def pool_attrs() -> dict[str, int]:
    return {
        "kernel_h": 3,
        "kernel_w": 2,
        "stride_h": 2,
        "stride_w": 2,
        "dilation_h": 1,
        "dilation_w": 1,
        "pad_top": 1,
        "pad_left": 0,
        "pad_bottom": 2,
        "pad_right": 1,
    }


def test_max_pool() -> None:
    case = Case(11)
    x = case.x(1, 6, 5, 2, zero_point=90)
    y = case.run("MaxPool2d", (1, 4, 3, 2), pool_attrs(), 90)
    for i, j, c in itertools.product(range(4), range(3), range(2)):
        rows, cols = range(i * 2 - 1, i * 2 + 2), range(j * 2, j * 2 + 2)
        seen = [x[0, r, k, c] for r in rows if 0 <= r < 6 for k in cols if k < 5]
        assert y[0, i, j, c] == max(seen)


@pytest.mark.parametrize("include", [0, 1])
def test_average_pool(include: int) -> None:
    case = Case(12)
    x = case.x(1, 6, 5, 2, zero_point=9)
    m = case.const([0.9 / (k + 1) for k in range(6)], "f32")
    attrs = pool_attrs()
    attrs.update(count_include_pad=include, declared_pad_bottom=1, declared_pad_right=1)
    y = case.run("AveragePool2d", (1, 4, 3, 2), {**attrs, "lo": -128, "hi": 127}, -4)
    for i, j, c in itertools.product(range(4), range(3), range(2)):
        places = list(itertools.product(range(i * 2 - 1, i * 2 + 2), range(j * 2, j * 2 + 2)))
        inside = [(r, k) for r, k in places if 0 <= r < 6 and 0 <= k < 5]
        counted = [(r, k) for r, k in places if -1 <= r < 6 + 1 and 0 <= k < 5 + 1]
        count = len(counted) if include else len(inside)
        acc = sum(int(x[0, r, k, c]) - 9 for r, k in inside)
        assert y[0, i, j, c] == requantize(acc, m[count - 1], -4, -128, 127)


def test_reduce_mean() -> None:
    case = Case(13)
    x = case.x(2, 3, 4, 5, zero_point=-6)
    attrs = {"first_axis": 1, "last_axis": 2, "lo": -128, "hi": 127, "m": 0.071}
    y = case.run("ReduceMean", (2, 1, 1, 5), attrs, 8)
    for n, c in itertools.product(range(2), range(5)):
        acc = sum(int(q) + 6 for q in x[n, :, :, c].reshape(-1))
        assert y[n, 0, 0, c] == requantize(acc, 0.071, 8, -128, 127)


def test_resize() -> None:
    case = Case(14)
    x = case.x(1, 4, 5, 2)
    tables = []
    for size, out in ((4, 7), (5, 3)):
        low = case.rng.integers(0, size - 1, out)
        tables.append((case.const([low, low + 1], "s32"), case.const(low * 511, "s32")))
    y = case.run("Resize2d", (1, 7, 3, 2), {})
    (rows, wy), (cols, wx) = tables
    for i, j, c in itertools.product(range(7), range(3), range(2)):
        p = [[int(x[0, rows[a, i], cols[b, j], c]) for b in (0, 1)] for a in (0, 1)]
        u, v = int(wy[i]), int(wx[j])
        top = p[0][0] * (2048 - v) + p[0][1] * v
        bottom = p[1][0] * (2048 - v) + p[1][1] * v
        assert y[0, i, j, c] == (top * (2048 - u) + bottom * u + 2**21) >> 22


def test_arg_max_takes_the_first() -> None:
    case = Case(15)
    x = case.x(4, 30)
    x[:, 20:] = x[:, :10]
    y = case.run("ArgMax", (4,), {}, dtype="s32")
    assert [int(item) for item in y] == [list(row).index(max(row)) for row in x.tolist()]


def quantize_graph(op: str, shape: tuple[int, ...], scale: float, zero_point: int) -> Graph:
    graph = Graph("case")
    real, s8 = Value("real", shape), Value("s8", shape, "s8", None, scale, zero_point)
    first, second = (real, s8) if op == "Quantize" else (s8, real)
    graph.add(first)
    graph.add(second)
    graph.inputs.append(Port("x", first.name, shape, tuple(range(len(shape))), first.dtype))
    graph.outputs.append(Port("y", second.name, shape, tuple(range(len(shape))), second.dtype))
    graph.nodes.append(Node(op, op, [first.name], [second.name], {}))
    verify(graph)
    return graph


def test_quantize_rounds_half_to_even_and_saturates() -> None:
    x = np.array([0.25, 0.75, -0.25, 1e30, -1e30, np.inf, -np.inf, 63.4, -67.0], np.float32)
    y = interpret(quantize_graph("Quantize", x.shape, 0.5, 5), {"x": x})["s8"]
    assert y.tolist() == [5, 7, 5, 127, -128, 127, -128, 127, -128]


def test_quantize_refuses_nan() -> None:
    x = np.array([0.0, np.nan], np.float32)
    with pytest.raises(OpError, match="NaN cannot be quantized"):
        interpret(quantize_graph("Quantize", (2,), 0.5, 5), {"x": x})


def test_dequantize() -> None:
    q = np.arange(-128, 128).astype(np.int8)
    y = interpret(quantize_graph("Dequantize", (256,), 0.1, -3), {"x": q})["real"]
    assert y.dtype == np.float32
    assert [float(item) for item in y] == [float(F(int(i) + 3) * F(0.1)) for i in q]


def test_an_accumulator_that_leaves_s32_is_found() -> None:
    case = Case(16)
    case.x(1, 4)
    case.feeds["x0"][:] = 127
    case.const(np.full((1, 4), 127), "s8")
    case.const([2**31 - 10], "s32")
    case.const([1e-9], "f32")
    with pytest.raises(OpError, match="exceeds s32"):
        case.run("FullyConnected", (1, 1), {"lo": -128, "hi": 127})
