"""Which scales and precisions the converter chooses, and what it refuses by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from graph.onnx_models import Builder
from int8.checks import check_int8, samples
from onnx import TensorProto, helper

import edgecv
from edgecv.convert import convert
from edgecv.errors import UnsupportedModelError


def test_products_beyond_32_bits_are_refused_by_name(tmp_path: Path) -> None:
    b = Builder()
    # Values of one sign reach 255 steps: 34000 * 255 * 255 is beyond 2^31.
    x = b.op("Sigmoid", b.input(1, 2, 34000))
    y = b.op("MatMul", x, b.op("Sigmoid", b.input(1, 34000, 2)))
    model = b.model(y)
    with pytest.raises(UnsupportedModelError, match="MatMul2") as caught:
        convert(model, tmp_path / "m.ecv", samples(model, 1))
    assert "keep_float" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    convert(model, tmp_path / "m.ecv", samples(model, 1), keep_float=["MatMul"], golden_seeds=())


def test_a_narrow_value_keeps_its_scale_when_a_part_of_it_is_concatenated(tmp_path: Path) -> None:
    """The halves of a split go on to a wide Concat, but others read the whole too."""
    b = Builder()
    x = b.op("Tanh", b.input(1, 8, 4, 4))
    left, right = b.op("Split", x, b.ints(4, 4), outputs=2, axis=1)
    wide = b.op("Mul", right, b.const(50.0))
    y = b.op("Concat", left, wide, axis=1)
    z = b.op("Conv", x, b.weights(4, 8, 1, 1))
    graph, _ = check_int8(b.model(y, z), tmp_path)
    scales = {name: value.scale for name, value in graph.values.items()}
    assert scales[x] < scales[y] / 20


def test_moves_between_float_ops_stay_float(tmp_path: Path) -> None:
    b = Builder()
    x = b.op("Exp", b.op("Conv", b.input(1, 3, 4, 4), b.weights(4, 3, 1, 1)))
    flat = b.op("Reshape", b.op("Transpose", x, perm=[0, 1, 3, 2]), b.ints(1, 4, 16))
    y = b.op("Sigmoid", b.op("Log", flat))
    graph, report = check_int8(b.model(y), tmp_path)
    ops = [node.op for node in graph.nodes]
    assert ops.count("Dequantize") == ops.count("Quantize") == 1
    assert len(report.float_layers) >= 3


def test_a_dead_activation_converts(tmp_path: Path) -> None:
    """A Relu that never fires has a range without extent."""
    b = Builder()
    x = b.input(1, 3, 4, 4)
    dead = b.op("Relu", b.op("Conv", x, b.const(np.zeros((4, 3, 1, 1))), b.const([-1.0] * 4)))
    y = b.op("Add", b.op("Conv", x, b.weights(4, 3, 1, 1)), dead)
    check_int8(b.model(y), tmp_path)


@pytest.mark.parametrize(
    ("op", "rule"),
    [("Sigmoid", "Sigmoid"), ("HardSwish", "HardSwish"), ("Tanh", "Tanh"), ("Sigmoid", "l[0]")],
)
def test_an_activation_is_kept_in_float_by_its_onnx_name(
    op: str, rule: str, tmp_path: Path
) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="relu"),
        helper.make_node(op, ["r"], ["y"], name="l[0]"),
    ]
    graph = helper.make_graph(nodes, "net", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    data = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    report = edgecv.convert(model, tmp_path / "m.ecv", data, keep_float=[rule])
    assert report.float_layers == ["l[0]"]


def test_a_float_model_whose_noise_is_not_finite_has_no_goldens(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])
    graph = helper.make_graph([helper.make_node("Log", ["x"], ["y"])], "net", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    edgecv.convert(model, tmp_path / "m.ecv")
    with edgecv.load(tmp_path / "m.ecv") as loaded:
        assert loaded.verify().goldens == 0
