"""A model that cannot be lowered: one error that lists every node and what to use instead."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from graph.onnx_models import Builder, check
from onnx import helper

from edgecv.errors import UnsupportedModelError
from edgecv.graph.passes.pipeline import declutter
from edgecv.onnx.importer import import_model


def message(model: onnx.ModelProto) -> list[str]:
    """The lines of the error."""
    with pytest.raises(UnsupportedModelError) as error:
        declutter(import_model(model))
    return str(error.value).splitlines()


def test_five_nodes_are_named_at_once() -> None:
    b = Builder()
    x = b.input(1, 4, 8, 8)
    a = b.op("LRN", x, size=3)
    c = b.op("Conv", a, b.op("Tanh", b.input(4, 4, 3, 3)))
    d = b.op("MaxPool", c, kernel_shape=[2, 2], outputs=2)
    e = b.op("Resize", d[0], "", "", b.ints(1, 4, 9, 9), mode="cubic")
    f = b.op("Round", e)
    lines = message(b.model(f, d[1]))
    assert lines[0] == "the model cannot be lowered: 5 nodes are not supported"
    starts = [
        "  LRN0 (LRN, opset 21, inputs 1x4x8x8): ",
        "  Conv2 (Conv, opset 21, inputs 1x4x8x8, 4x4x3x3): the weights are not constant",
        "  MaxPool3 (MaxPool, opset 21, inputs 1x4x6x6): the indices output is used",
        "  Resize4 (Resize, opset 21, inputs 1x4x5x5, 4): mode is cubic",
        "  Round5 (Round, opset 21, inputs 1x4x9x9): the op is not supported",
    ]
    for line, start in zip(lines[1:], starts):
        assert line.startswith(start)
        assert "nearest supported form: " in line
    assert len(lines) == 6


def test_an_op_of_another_domain_and_what_follows_it() -> None:
    b = Builder()
    y = b.op("Relu", b.op("Sigmoid", b.input(1, 4)))
    model = b.model(y)
    model.graph.node[0].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    lines = message(model)
    # Only the node itself: of what follows it nothing is known but the op.
    assert len(lines) == 2
    assert lines[1].startswith("  Sigmoid0 (com.example::Sigmoid, opset 21, inputs 1x4): ")


CASES: list[tuple[str, list[Any], dict[str, Any], str]] = [
    ("Conv", [(1, 2, 4, 4, 4), (3, 2, 1, 1, 1)], {}, "the input has rank 5, not 3 or 4"),
    ("AveragePool", [(1, 2, 8, 8)], {"kernel_shape": [2, 2], "dilations": [2, 2]}, "has dilations"),
    ("PRelu", [(1, 4, 5), (4, 5)], {}, "the slope varies along more than one axis"),
    ("ArgMax", [(2, 3)], {"select_last_index": 1}, "select_last_index is set"),
    ("Pow", [(2, 3), ()], {}, "Pow by a constant 0.5, 1, 2"),
    ("LpNormalization", [(2, 3)], {"p": 1}, "p is not 2"),
]


@pytest.mark.parametrize(("op", "shapes", "attrs", "reason"), CASES, ids=lambda item: str(item))
def test_reasons(op: str, shapes: list[Any], attrs: dict[str, Any], reason: str) -> None:
    b = Builder()
    inputs = [b.input(*shapes[0]), *(b.weights(*shape) for shape in shapes[1:])]
    assert reason in message(b.model(b.op(op, *inputs, **attrs)))[1]


def test_slices_backwards() -> None:
    b = Builder()
    y = b.op("Slice", b.input(2, 6), b.ints(5), b.ints(0), b.ints(1), b.ints(-1))
    assert "a step is negative" in message(b.model(y))[1]


def test_inputs_of_another_type() -> None:
    b = Builder()
    y = b.op("Relu", b.input(2, 6))
    model = b.model(y)
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT32
    del model.graph.value_info[:]
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT32
    lines = message(model)
    assert any(line.endswith("input 'x0' has dtype s32; supported: f32") for line in lines)


def test_an_output_that_is_constant() -> None:
    b = Builder()
    lines = message(b.model(b.op("Shape", b.input(2, 6))))
    assert lines[1].endswith("output 'shape0' is constant; supported: computed outputs")


def test_what_nothing_reads_may_be_anything() -> None:
    b = Builder()
    x = b.input(1, 4, 8, 8)
    b.op("LRN", x, size=3)
    check(b.model(b.op("Relu", x)))
