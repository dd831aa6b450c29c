"""Each other declutter pass: what it makes of a model, and why it leaves one alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from graph.onnx_models import Builder, check, conv, ops, refusals

from edgecv.graph.passes.declutter.canonicalize_gemm import canonicalize_gemm
from edgecv.graph.passes.declutter.expand_compound import expand_compound
from edgecv.graph.passes.declutter.expand_moves import expand_moves
from edgecv.graph.passes.declutter.fuse_hard_sigmoid import fuse_hard_sigmoid
from edgecv.graph.passes.declutter.fuse_layer_norm import fuse_layer_norm
from edgecv.graph.passes.declutter.fuse_silu import fuse_silu
from edgecv.graph.passes.declutter.remove_identities import remove_identities

# Activation patterns


def divided(b: Builder, x: str, by: float, multiply: bool) -> str:
    name: str = b.op("Mul", x, b.const(1 / by)) if multiply else b.op("Div", x, b.const(by))
    return name


@pytest.mark.parametrize("multiply", [False, True])
def test_hard_sigmoid_from_clip(multiply: bool) -> None:
    b = Builder()
    x = conv(b, b.input(1, 4, 6, 7), 4, 4)
    y = b.op("Clip", b.op("Add", x, b.const(3.0)), b.const(0.0), b.const(6.0))
    graph, _ = check(b.model(divided(b, y, 6.0, multiply)))
    assert ops(graph) == ["Conv", "HardSigmoid"]


def test_hard_sigmoid_from_unit_clip() -> None:
    b = Builder()
    x = b.op("Add", b.op("Mul", b.input(2, 3), b.const(0.2)), b.const(0.5))
    graph, _ = check(b.model(b.op("Clip", x, b.const(0.0), b.const(1.0))))
    assert ops(graph) == ["HardSigmoid"]


def test_hard_sigmoid_stays_when_the_clip_has_another_reader() -> None:
    b = Builder()
    x = b.op("Clip", b.op("Add", b.input(2, 3), b.const(3.0)), b.const(0.0), b.const(6.0))
    outputs = (b.op("Mul", x, b.const(1 / 6)), b.op("Tanh", x))
    assert "has another reader" in refusals(b, fuse_hard_sigmoid, *outputs)
    check(b.model(*outputs))


@pytest.mark.parametrize("form", range(5))
def test_hard_swish(form: int) -> None:
    b = Builder()
    x = conv(b, b.input(1, 4, 6, 7), 4, 4)
    if form == 0:
        y = b.op("Mul", x, b.op("HardSigmoid", x, alpha=1 / 6, beta=0.5))
    else:
        gate = b.op("Clip", b.op("Add", x, b.const(3.0)), b.const(0.0), b.const(6.0))
        if form == 1:
            y = b.op("Div", b.op("Mul", x, gate), b.const(6.0))
        elif form == 2:
            y = b.op("Mul", b.op("Div", gate, b.const(6.0)), x)
        elif form == 3:
            y = b.op("Mul", b.op("Mul", x, b.const(1 / 6)), gate)
        else:
            low = b.op("Max", b.op("Add", b.const(3.0), x), b.const(0.0))
            y = b.op("Mul", x, b.op("Div", b.op("Min", low, b.const(6.0)), b.const(6.0)))
    graph, low_graph = check(b.model(y))
    assert ops(graph) == ["Conv", "HardSwish"]
    assert ops(low_graph) == ["Conv2d", "Unary"]


def test_another_gate_is_no_hard_swish() -> None:
    b = Builder()
    x = b.input(2, 3)
    gate = b.op("Clip", b.op("Add", x, b.const(2.0)), b.const(0.0), b.const(6.0))
    graph, _ = check(b.model(b.op("Div", b.op("Mul", x, gate), b.const(6.0))))
    assert "HardSwish" not in ops(graph)


@pytest.mark.parametrize("swap", [False, True])
def test_silu(swap: bool) -> None:
    b = Builder()
    x = conv(b, b.input(1, 4, 6, 7), 4, 4)
    gate = b.op("Sigmoid", x)
    graph, _ = check(b.model(b.op("Mul", gate, x) if swap else b.op("Mul", x, gate)))
    assert ops(graph) == ["Conv", "Silu"]


def test_silu_stays_when_the_gate_has_another_reader() -> None:
    b = Builder()
    x = b.input(2, 3)
    gate = b.op("Sigmoid", x)
    outputs = (b.op("Mul", x, gate), gate)
    assert "has another reader" in refusals(b, fuse_silu, *outputs)
    check(b.model(*outputs))


@pytest.mark.parametrize("alpha", [1.0, 1.7])
def test_swish(alpha: float) -> None:
    b = Builder(24)
    x = b.input(2, 3)
    data = np.random.default_rng(1).standard_normal((2, 3)).astype(np.float32)
    want = data / (1 + np.exp(-alpha * data))
    graph, _ = check(b.model(b.op("Swish", x, alpha=alpha)), {"x0": data}, [want])
    assert (ops(graph) == ["Silu"]) == (alpha == 1.0)


@pytest.mark.parametrize("form", range(4))
def test_gelu(form: int) -> None:
    b = Builder()
    x = b.op("Add", b.input(2, 3, 8), b.weights(8))
    root = b.const(math.sqrt(2.0))
    inner = b.op("Mul", x, b.const(math.sqrt(0.5))) if form == 1 else b.op("Div", x, root)
    curve = b.op("Add", b.op("Erf", inner), b.const(1.0))
    if form == 0:
        y = b.op("Mul", b.op("Mul", x, curve), b.const(0.5))
    elif form == 1:
        y = b.op("Mul", b.op("Mul", x, b.const(0.5)), curve)
    elif form == 2:
        y = b.op("Mul", x, b.op("Mul", b.const(0.5), curve))
    else:
        y = b.op("Mul", curve, b.op("Div", x, b.const(2.0)))
    graph, low = check(b.model(y))
    assert ops(graph) == ["Add", "Gelu"]
    assert ops(low) == ["Add", "Unary"]


@pytest.mark.parametrize("form", range(2))
def test_gelu_by_tanh(form: int) -> None:
    b = Builder()
    x = b.op("Add", b.input(2, 3, 8), b.weights(8))
    scale = b.const(math.sqrt(2 / math.pi))
    if form == 0:
        cube = b.op("Mul", b.op("Pow", x, b.const(3.0)), b.const(0.044715))
        inner = b.op("Mul", b.op("Add", x, cube), scale)
    else:
        square = b.op("Mul", b.op("Pow", x, b.const(2.0)), b.const(0.044715))
        inner = b.op("Mul", b.op("Mul", x, scale), b.op("Add", square, b.const(1.0)))
    curve = b.op("Add", b.op("Tanh", inner), b.const(1.0))
    graph, _ = check(b.model(b.op("Mul", b.op("Mul", x, b.const(0.5)), curve)))
    assert ops(graph) == ["Add", "Gelu"]
    assert graph.nodes[1].attrs["approximate"] == "tanh"


# fuse_layer_norm


def layer_norm(b: Builder, x: str, form: int, axes: tuple[int, ...] = (-1,)) -> str:
    mean = b.op("ReduceMean", x, b.ints(*axes))
    centred = b.op("Sub", x, mean)
    other = b.op("Sub", x, mean) if form == 1 else centred
    square = b.op("Mul", other, other) if form == 2 else b.op("Pow", other, b.const(2.0))
    variance = b.op("Add", b.op("ReduceMean", square, b.ints(*axes)), b.const(1e-5))
    if form == 3:
        name: str = b.op("Mul", centred, b.op("Pow", variance, b.const(-0.5)))
    else:
        name = b.op("Div", centred, b.op("Sqrt", variance))
    return name


@pytest.mark.parametrize("form", range(4))
def test_layer_norm_from_primitive_ops(form: int) -> None:
    b = Builder()
    y = b.op("Mul", layer_norm(b, b.input(2, 5, 8), form), b.weights(8))
    graph, low = check(b.model(b.op("Add", b.weights(8), y)))
    assert (ops(graph), ops(low)) == (["LayerNormalization"], ["LayerNorm"])


def test_layer_norm_over_two_axes() -> None:
    b = Builder()
    y = layer_norm(b, b.input(2, 3, 4, 5), 0, (2, 3))
    graph, _ = check(b.model(b.op("Mul", y, b.weights(3, 1, 1))))
    assert ops(graph) == ["LayerNormalization", "Mul"]


def test_normalization_over_the_first_axes_stays() -> None:
    b = Builder()
    graph, _ = check(b.model(layer_norm(b, b.input(2, 5, 8), 0, (1,))))
    assert "LayerNormalization" not in ops(graph)


def test_layer_norm_keeps_a_constant_of_other_axes_outside() -> None:
    b = Builder()
    y = b.op("LayerNormalization", b.input(2, 5, 8), b.weights(8))
    y = b.op("Mul", y, b.weights(5, 1))
    assert "is not over the normalized axes" in refusals(b, fuse_layer_norm, y)
    check(b.model(y))


# Identities, reshapes, arithmetic, other rewrites


def test_identities_are_removed() -> None:
    b = Builder()
    x = b.op("Tanh", b.input(2, 3, 4, 4))
    for op, inputs, attrs in [
        ("Identity", [], {}),
        ("Dropout", [], {}),
        ("Cast", [], {"to": 1}),
        ("Reshape", [b.ints(2, 3, 4, 4)], {}),
        ("Transpose", [], {"perm": [0, 1, 2, 3]}),
        ("Add", [b.const(0.0)], {}),
        ("Mul", [b.const(np.ones((3, 1, 1)))], {}),
        ("Div", [b.const(1.0)], {}),
        ("Sub", [b.const(0.0)], {}),
        ("Pow", [b.const(1.0)], {}),
        ("Clip", [], {}),
        ("Concat", [], {"axis": 1}),
        ("Pad", [b.ints(0, 0, 0, 0, 0, 0, 0, 0)], {}),
        ("Slice", [b.ints(0), b.ints(100), b.ints(1)], {}),
        ("AveragePool", [], {"kernel_shape": [1, 1]}),
        ("Expand", [b.ints(2, 3, 4, 4)], {}),
    ]:
        x = b.op(op, x, *inputs, **attrs)
    graph, _ = check(b.model(x))
    assert ops(graph) == ["Tanh"]
    assert [port.name for port in graph.outputs] == [x]


def test_a_dropout_mask_that_is_read_stays() -> None:
    b = Builder()
    y, mask = b.op("Dropout", b.input(2, 3), outputs=2)
    assert "its mask is read" in refusals(b, remove_identities, y, mask)


def test_adding_zero_that_broadcasts_stays() -> None:
    b = Builder()
    graph, _ = check(b.model(b.op("Add", b.input(3), b.const(np.zeros((2, 3))))))
    assert ops(graph) == ["Add"]


def test_reshapes_and_transposes_merge() -> None:
    b = Builder()
    x = b.op("Reshape", b.op("Reshape", b.input(2, 3, 4), b.ints(6, 4)), b.ints(2, 12))
    x = b.op("Transpose", b.op("Transpose", x, perm=[1, 0]), perm=[1, 0])
    graph, _ = check(b.model(b.op("Flatten", b.op("Unsqueeze", x, b.ints(2)))))
    assert ops(graph) == ["Reshape"]


def test_clamps_merge() -> None:
    b = Builder()
    x = b.op("Clip", b.op("Relu", b.input(2, 3)), b.const(-1.0), b.const(6.0))
    graph, _ = check(b.model(b.op("Min", x, b.const(2.0))))
    assert ops(graph) == ["Clip"]
    x = b.op("Clip", b.input(2, 3, name="other"), b.const(0.0))
    graph, _ = check(b.model(b.op("Relu", x)))
    assert ops(graph) == ["Relu"]


def test_matmul_and_add_become_gemm() -> None:
    b = Builder()
    y = b.op("Add", b.op("MatMul", b.input(2, 4), b.weights(4, 6)), b.weights(6))
    graph, low = check(b.model(y))
    assert (ops(graph), ops(low)) == (["Gemm"], ["FullyConnected"])


def test_division_by_a_huge_number_stays() -> None:
    b = Builder()
    graph, _ = check(b.model(b.op("Div", b.input(2, 3), b.const([1.0, 3e38, 2.0]))))
    assert ops(graph) == ["Div"]


def test_gather_by_computed_indices_stays() -> None:
    b = Builder()
    index = b.op("Cast", b.input(2), to=7)
    y = b.op("Gather", b.op("Tanh", b.input(4, 5)), index)
    assert "the indices are computed" in refusals(b, expand_moves, y)


def test_maximum_over_separate_axes_stays() -> None:
    b = Builder()
    y = b.op("ReduceMax", b.input(2, 3, 4), b.ints(0, 2))
    assert "not neighbours" in refusals(b, expand_compound, y)


def test_gemm_of_canonical_form_stays() -> None:
    b = Builder()
    y = b.op("Gemm", b.input(2, 4), b.weights(6, 4), b.weights(6), transB=1)
    assert refusals(b, canonicalize_gemm, y) == ""
