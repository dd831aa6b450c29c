"""The lowered graph: layouts, the nodes it needs and no more, names, ports."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from graph.onnx_models import Builder, check, ops

from edgecv.graph.ir import Graph
from edgecv.graph.passes.lower.layout import Layout, layout_for, reshape_groups


def moves(graph: Graph) -> Counter[str]:
    """How many nodes of a graph only move values."""
    return Counter(op for op in ops(graph) if op in ("Reshape", "Transpose", "Slice", "Concat"))


def bottleneck(b: Builder, x: str, channels: int) -> str:
    """An inverted residual with BatchNormalization and ReLU6."""

    def norm(y: str, count: int) -> str:
        constants = [b.const(b.rng.uniform(0.5, 2.0, count)) for _ in range(4)]
        name: str = b.op("BatchNormalization", y, *constants)
        return name

    def relu6(y: str) -> str:
        name: str = b.op("Clip", y, b.const(0.0), b.const(6.0))
        return name

    wide = channels * 2
    y = relu6(norm(b.op("Conv", x, b.weights(wide, channels, 1, 1)), wide))
    y = b.op("Conv", y, b.weights(wide, 1, 3, 3), group=wide, pads=[1, 1, 1, 1])
    y = norm(b.op("Conv", relu6(norm(y, wide)), b.weights(channels, wide, 1, 1)), channels)
    name: str = b.op("Add", y, x)
    return name


def test_mobile_network() -> None:
    b = Builder(13)
    x = b.op("Conv", b.input("N", 3, 16, 16), b.weights(8, 3, 3, 3), strides=[2, 2])
    x = bottleneck(b, bottleneck(b, b.op("Relu", x), 8), 8)
    x = b.op("Flatten", b.op("GlobalAveragePool", x))
    x = b.op("Gemm", x, b.weights(10, 8), b.weights(10), transB=1)
    graph, low = check(b.model(x))
    assert ops(graph).count("Conv") == 7
    assert Counter(ops(low)) == {
        "Conv2d": 7,
        "Add": 2,
        "ReduceMean": 1,
        "Reshape": 1,
        "FullyConnected": 1,
    }
    bounds = [(node.attrs["lo"], node.attrs["hi"]) for node in low.nodes if node.op == "Conv2d"]
    inf = float("inf")
    assert bounds == [(0.0, inf), *[(0.0, 6.0), (0.0, 6.0), (-inf, inf)] * 2]


def test_squeeze_and_excitation_moves_nothing() -> None:
    b = Builder()
    x = b.op("HardSwish", b.op("Conv", b.input(1, 3, 8, 8), b.weights(8, 3, 3, 3)))
    s = b.op("Relu", b.op("Conv", b.op("GlobalAveragePool", x), b.weights(4, 8, 1, 1)))
    s = b.op("HardSigmoid", b.op("Conv", s, b.weights(8, 4, 1, 1)), alpha=1 / 6)
    _, low = check(b.model(b.op("Mul", x, s)))
    assert moves(low) == {}


def test_squeeze_and_excitation_by_fully_connected_layers() -> None:
    b = Builder()
    x = b.op("Relu", b.op("Conv", b.input(2, 3, 8, 8), b.weights(8, 3, 3, 3)))
    s = b.op("ReduceMean", x, b.ints(2, 3), keepdims=0)
    s = b.op("Relu", b.op("Gemm", s, b.weights(4, 8), transB=1))
    s = b.op("Sigmoid", b.op("Gemm", s, b.weights(8, 4), transB=1))
    _, low = check(b.model(b.op("Mul", x, b.op("Reshape", s, b.ints(2, 8, 1, 1)))))
    assert moves(low) == {"Reshape": 2}


def test_channel_shuffle() -> None:
    b = Builder()
    x = b.op("Conv", b.input(2, 6, 4, 5), b.weights(6, 6, 1, 1))
    x = b.op("Reshape", x, b.ints(2, 3, 2, 4, 5))
    x = b.op("Reshape", b.op("Transpose", x, perm=[0, 2, 1, 3, 4]), b.ints(2, 6, 4, 5))
    _, low = check(b.model(b.op("Conv", x, b.weights(4, 6, 1, 1))))
    assert ops(low) == ["Conv2d", "Reshape", "Transpose", "Reshape", "Conv2d"]
    transpose = low.nodes[2]
    assert low.values[transpose.inputs[0]].shape == (2, 4, 5, 3, 2)
    assert transpose.attrs["perm"] == [0, 1, 2, 4, 3]


def test_nhwc_models_need_no_transpose() -> None:
    b = Builder()
    x = b.op("Transpose", b.input(1, 8, 8, 3), perm=[0, 3, 1, 2])
    x = b.op("Relu", b.op("Conv", x, b.weights(4, 3, 3, 3)))
    x = b.op("Add", b.op("Transpose", x, perm=[0, 2, 3, 1]), b.weights(4))
    _, low = check(b.model(b.op("Softmax", x, axis=-1)))
    assert ops(low) == ["Conv2d", "Add", "Softmax"]
    assert low.inputs[0].perm == (0, 1, 2, 3)
    assert low.outputs[0].perm == (0, 1, 2, 3)


def test_image_ports_are_stored_as_nhwc() -> None:
    b = Builder()
    _, low = check(b.model(b.op("Conv", b.input(2, 3, 8, 6), b.weights(4, 3, 3, 3))))
    assert (low.inputs[0].perm, low.inputs[0].shape) == ((0, 3, 1, 2), (2, 3, 8, 6))
    assert low.values[low.inputs[0].value].shape == (2, 8, 6, 3)
    assert (low.outputs[0].perm, low.outputs[0].shape) == ((0, 3, 1, 2), (2, 4, 6, 4))


def test_flatten_of_an_image_needs_the_order_of_onnx() -> None:
    b = Builder()
    x = b.op("Flatten", b.op("Conv", b.input(2, 3, 4, 5), b.weights(3, 3, 1, 1)))
    _, low = check(b.model(b.op("Gemm", x, b.weights(7, 60), transB=1)))
    assert ops(low) == ["Conv2d", "Transpose", "Reshape", "FullyConnected"]


def test_detection_head_moves_only_by_reshape() -> None:
    b = Builder()
    x = b.op("Conv", b.input(1, 3, 4, 6), b.weights(8, 3, 1, 1))
    x = b.op("Transpose", x, perm=[0, 2, 3, 1])
    x = b.op("Reshape", x, b.ints(1, -1, 4))
    _, low = check(b.model(b.op("Sigmoid", x)))
    assert ops(low) == ["Conv2d", "Reshape", "Unary"]


def test_attention() -> None:
    b = Builder()
    tokens, width, heads = 6, 8, 2
    x = b.op("Conv", b.input(1, 3, 8, 12), b.weights(width, 3, 4, 4), strides=[4, 4])
    x = b.op("Transpose", b.op("Reshape", x, b.ints(1, width, -1)), perm=[0, 2, 1])
    x = b.op("Add", x, b.weights(1, tokens, width))
    y = b.op("LayerNormalization", x, b.weights(width), b.weights(width))
    y = b.op("Add", b.op("MatMul", y, b.weights(width, 3 * width)), b.weights(3 * width))
    y = b.op("Reshape", y, b.ints(1, tokens, 3, heads, width // heads))
    y = b.op("Transpose", y, perm=[2, 0, 3, 1, 4])
    q, k, v = (b.op("Gather", y, b.const(i, np.int64), axis=0) for i in range(3))
    q = b.op("Mul", q, b.const(0.5))
    scores = b.op("MatMul", q, b.op("Transpose", k, perm=[0, 1, 3, 2]))
    y = b.op("MatMul", b.op("Softmax", scores, axis=-1), v)
    y = b.op("Reshape", b.op("Transpose", y, perm=[0, 2, 1, 3]), b.ints(1, tokens, width))
    y = b.op("Add", b.op("MatMul", y, b.weights(width, width)), b.weights(width))
    x = b.op("Add", x, y)
    first = b.op("Gather", x, b.const(0, np.int64), axis=1)
    _, low = check(b.model(b.op("Gemm", first, b.weights(5, width), transB=1)))
    # q, k and v to heads, the result back from them; nothing else moves data.
    assert moves(low)["Transpose"] <= 4
    assert [node.attrs["transpose_b"] for node in low.nodes if node.op == "MatMul"] == [1, 0]


def test_one_transpose_serves_two_readers() -> None:
    b = Builder()
    x = b.op("Conv", b.input(1, 3, 4, 5), b.weights(3, 3, 1, 1))
    first = b.op("Softmax", x, axis=-1)
    second = b.op("LayerNormalization", x, b.weights(5))
    _, low = check(b.model(first, second))
    assert moves(low) == {"Transpose": 1}


def test_clamps_are_not_fused_into_a_value_with_another_reader() -> None:
    b = Builder()
    x = b.op("Conv", b.input(1, 3, 4, 5), b.weights(3, 3, 1, 1))
    _, low = check(b.model(b.op("Add", b.op("Relu", x), x)))
    assert ops(low) == ["Conv2d", "Unary", "Add"]


def test_clamps_narrow_one_another() -> None:
    b = Builder()
    x = b.op("Add", b.input(2, 3), b.weights(3))
    _, low = check(b.model(b.op("Clip", b.op("Relu", x), b.const(-1.0), b.const(0.5))))
    assert ops(low) == ["Add"]
    assert (low.nodes[0].attrs["lo"], low.nodes[0].attrs["hi"]) == (0.0, 0.5)


def test_nodes_and_values_keep_their_names() -> None:
    b = Builder()
    x = b.op("Conv", b.input(1, 3, 4, 5), b.weights(3, 3, 1, 1))
    y = b.op("MaxPool", b.op("Relu", x), kernel_shape=[2, 2])
    _, low = check(b.model(y))
    assert [(node.name, node.outputs[0]) for node in low.nodes] == [
        ("Conv0", "relu1"),
        ("MaxPool2", "maxpool2"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "groups"),
    [
        ((2, 6, 4), (2, 3, 2, 4), [([0], [0]), ([1], [1, 2]), ([2], [3])]),
        ((2, 3, 4), (6, 4), [([0, 1], [0]), ([2], [1])]),
        ((4, 6), (3, 8), [([0, 1], [0, 1])]),
        ((1, 5, 1), (5,), [([1], [0])]),
        ((2, 3), (2, 4), None),
    ],
)
def test_reshape_groups(
    before: tuple[int, ...], after: tuple[int, ...], groups: list[object] | None
) -> None:
    assert reshape_groups(before, after) == groups


def test_layouts() -> None:
    image = Layout.image(4)
    assert image.stored((2, 3, 4, 5)) == (2, 4, 5, 3)
    assert image.order() == [0, 2, 3, 1]
    data = np.arange(120).reshape(2, 3, 4, 5)
    assert np.array_equal(image.store(data), data.transpose(0, 2, 3, 1))
    row = Layout.image(3)
    assert row.stored((2, 3, 7)) == (2, 1, 7, 3)
    assert row.compact() == Layout((0, 2, 1), 3)
    assert layout_for([0, 2, 3, 1], (2, 3, 4, 5)) == image
    assert layout_for([1], (1, 3, 1, 1)) == Layout.identity(4)
    assert layout_for([2, 0], (4, 1, 5)).stored((4, 1, 5)) == (5, 4, 1)
