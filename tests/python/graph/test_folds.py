"""What goes into the weights, biases and pads of a neighbour: batch norms, constants, pads; and why
some of them stay.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from graph.onnx_models import Builder, check, conv, ops, refusals

from edgecv.graph.passes.declutter.fold_affine import fold_affine
from edgecv.graph.passes.declutter.fold_batchnorm import fold_batchnorm
from edgecv.graph.passes.declutter.fold_pads import fold_pads


def norm(b: Builder, x: str, channels: int, offset: bool = True) -> str:
    """A BatchNormalization with random parameters."""
    scale, bias, mean, variance = (b.rng.uniform(0.5, 2.0, channels) for _ in range(4))
    if not offset:
        bias, mean = np.zeros(channels), np.zeros(channels)
    constants = [b.const(item) for item in (scale, bias, mean, variance)]
    name: str = b.op("BatchNormalization", x, *constants, epsilon=1e-3)
    return name


# fold_batchnorm


@pytest.mark.parametrize("group", [1, 2, 4])
def test_batchnorm_goes_into_the_conv_before(group: int) -> None:
    b = Builder()
    graph, low = check(b.model(norm(b, conv(b, b.input(1, 4, 6, 7), 4, 8, group=group), 8)))
    assert (ops(graph), ops(low)) == (["Conv"], ["Conv2d"])
    assert graph.nodes[0].outputs == ["batchnormalization1"]


@pytest.mark.parametrize("group", [1, 2])
def test_batchnorm_goes_into_the_transposed_conv_before(group: int) -> None:
    b = Builder()
    y = b.op("ConvTranspose", b.input(1, 4, 6, 7), b.weights(4, 3, 3, 3), group=group)
    graph, _ = check(b.model(norm(b, y, 3 * group)))
    assert ops(graph) == ["ConvTranspose"]


@pytest.mark.parametrize("trans", [0, 1])
def test_batchnorm_goes_into_the_gemm_before(trans: int) -> None:
    b = Builder()
    w = b.weights(6, 4) if trans else b.weights(4, 6)
    graph, _ = check(b.model(norm(b, b.op("Gemm", b.input(2, 4), w, transB=trans), 6)))
    assert ops(graph) == ["Gemm"]


@pytest.mark.parametrize("group", [1, 2, 4])
def test_batchnorm_goes_into_the_conv_after(group: int) -> None:
    b = Builder()
    graph, _ = check(b.model(conv(b, norm(b, b.input(1, 4, 6, 7), 4), 4, 8, group=group)))
    assert ops(graph) == ["Conv"]


def test_batchnorm_without_offset_goes_into_a_padded_conv_after() -> None:
    b = Builder()
    x = norm(b, b.input(1, 4, 6, 7), 4, offset=False)
    graph, _ = check(b.model(conv(b, x, 4, 8, pads=[1, 1, 1, 1])))
    assert ops(graph) == ["Conv"]


def test_batchnorm_stays_before_a_padded_conv() -> None:
    b = Builder()
    y = conv(b, norm(b, b.input(1, 4, 6, 7), 4), 4, 8, pads=[1, 1, 1, 1])
    assert "pads, and the offset is not zero" in refusals(b, fold_batchnorm, y)
    graph, _ = check(b.model(y))
    assert ops(graph) == ["BatchNormalization", "Conv"]


def test_batchnorm_stays_when_the_conv_has_another_reader() -> None:
    b = Builder()
    x = conv(b, b.input(1, 4, 6, 7), 4, 4)
    outputs = (norm(b, x, 4), b.op("Sigmoid", x))
    assert "has another reader" in refusals(b, fold_batchnorm, *outputs)
    check(b.model(*outputs))


def test_batchnorm_stays_when_the_conv_is_an_output() -> None:
    b = Builder()
    x = conv(b, b.input(1, 4, 6, 7), 4, 4)
    graph, _ = check(b.model(norm(b, x, 4), x))
    assert ops(graph) == ["Conv", "BatchNormalization"]


# fold_affine


@pytest.mark.parametrize("shape", [(8, 1, 1), (1, 8, 1, 1), (), (1,)], ids=str)
@pytest.mark.parametrize("op", ["Mul", "Add", "Sub", "Div"])
@pytest.mark.parametrize("swap", [False, True])
def test_constants_go_into_the_conv_before(op: str, shape: tuple[int, ...], swap: bool) -> None:
    b = Builder()
    x = conv(b, b.input(1, 4, 6, 7), 4, 8)
    c = b.const(b.rng.uniform(0.5, 2.0, shape))
    graph, _ = check(b.model(b.op(op, c, x) if swap else b.op(op, x, c)))
    assert ops(graph) == (["Conv", "Div"] if op == "Div" and swap else ["Conv"])


def test_a_constant_per_pixel_stays() -> None:
    b = Builder()
    y = b.op("Mul", conv(b, b.input(1, 4, 6, 7), 4, 8), b.weights(5))
    assert "not per output channel" in refusals(b, fold_affine, y)
    check(b.model(y))


def test_a_constant_stays_when_the_conv_has_another_reader() -> None:
    b = Builder()
    x = conv(b, b.input(1, 4, 6, 7), 4, 8)
    outputs = (b.op("Mul", x, b.weights(8, 1, 1)), b.op("Tanh", x))
    assert "has another reader" in refusals(b, fold_affine, *outputs)
    check(b.model(*outputs))


def test_constants_go_into_a_batchnorm_that_stays() -> None:
    b = Builder()
    x = norm(b, b.op("Sigmoid", b.input(1, 4, 6, 7)), 4)
    y = b.op("Add", b.op("Mul", x, b.weights(4, 1, 1)), b.weights(4, 1, 1))
    _, low = check(b.model(b.op("Relu", y)))
    assert ops(low) == ["Unary", "Conv2d"]


def test_the_scale_of_attention_goes_into_the_matrix() -> None:
    b = Builder()
    x = b.op("Mul", b.input(2, 5, 4), b.const(0.125))
    y = b.op("Mul", b.op("MatMul", x, b.weights(4, 6)), b.const(0.25))
    graph, _ = check(b.model(y))
    assert ops(graph) == ["MatMul"]


# fold_pads


def pad(b: Builder, x: str, value: float = 0.0, **attrs: Any) -> str:
    """One row above, two columns right."""
    name: str = b.op("Pad", x, b.ints(0, 0, 1, 0, 0, 0, 0, 2), b.const(value), **attrs)
    return name


def test_pad_goes_into_the_conv_after() -> None:
    b = Builder()
    y = conv(b, pad(b, b.input(1, 4, 6, 7)), 4, 8, pads=[0, 1, 1, 0])
    graph, _ = check(b.model(y))
    assert ops(graph) == ["Conv"]
    assert graph.nodes[0].attrs["pads"] == [1, 1, 1, 2]


def test_pad_with_another_value_stays_before_a_conv() -> None:
    b = Builder()
    y = conv(b, pad(b, b.input(1, 4, 6, 7), 1.0), 4, 8)
    assert "Conv pads with 0, this with 1.0" in refusals(b, fold_pads, y)
    check(b.model(y))


def test_pad_of_channels_stays() -> None:
    b = Builder()
    x = b.op("Pad", b.input(1, 3, 6, 7), b.ints(0, 1, 0, 0, 0, 0, 0, 0))
    y = conv(b, x, 4, 8)
    assert "it pads other axes" in refusals(b, fold_pads, y)
    check(b.model(y))


@pytest.mark.parametrize("include", [0, 1])
def test_pad_goes_into_an_average_pool(include: int) -> None:
    b = Builder()
    x = pad(b, b.input(1, 4, 6, 7))
    y = b.op("AveragePool", x, kernel_shape=[3, 3], count_include_pad=include)
    graph, _ = check(b.model(y))
    assert ops(graph) == ["AveragePool"]


def test_pad_stays_before_an_average_pool_that_does_not_count() -> None:
    b = Builder()
    x = pad(b, b.input(1, 4, 6, 7))
    y = b.op("AveragePool", x, kernel_shape=[4, 4], pads=[1, 1, 1, 1])
    assert "has pads that it does not count" in refusals(b, fold_pads, y)
    check(b.model(y))


@pytest.mark.parametrize("value", [-math.inf, 0.0])
def test_pad_goes_into_a_max_pool(value: float) -> None:
    b = Builder()
    x = pad(b, b.op("Relu", b.input(1, 4, 6, 7)), value)
    graph, _ = check(b.model(b.op("MaxPool", x, kernel_shape=[3, 3])))
    assert ops(graph) == ["Relu", "MaxPool"]


def test_pad_with_zero_stays_before_a_max_pool_of_negative_numbers() -> None:
    b = Builder()
    y = b.op("MaxPool", pad(b, b.op("Tanh", b.input(1, 4, 6, 7))), kernel_shape=[3, 3])
    assert "MaxPool ignores padding, this pads with 0.0" in refusals(b, fold_pads, y)
    check(b.model(y))


def test_pad_wider_than_the_window_stays() -> None:
    b = Builder()
    y = b.op("MaxPool", pad(b, b.op("Relu", b.input(1, 4, 6, 7))), kernel_shape=[2, 2])
    assert "would see padding only" in refusals(b, fold_pads, y)
    check(b.model(y))
