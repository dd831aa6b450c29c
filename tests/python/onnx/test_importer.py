"""Files in: what is read, what is refused, and that the same input gives the same graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graph.onnx_models import Builder, check, ops
from onnx import TensorProto, helper, numpy_helper

from edgecv.errors import Error, FormatError, UnsupportedModelError
from edgecv.graph.ir import Graph
from edgecv.graph.passes.pipeline import declutter
from edgecv.graph.passes.rewrite import UNKNOWN_SHAPE
from edgecv.graph.printer import to_text
from edgecv.onnx.importer import import_model


def small(opset: int = 13) -> onnx.ModelProto:
    """Conv, Relu on 1x3x8x8."""
    b = Builder(opset)
    return b.model(b.op("Relu", b.op("Conv", b.input(1, 3, 8, 8), b.weights(4, 3, 3, 3))))


def one_line(error: pytest.ExceptionInfo[Error]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


# Files that are not models


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FormatError) as error:
        import_model(tmp_path / "missing.onnx")
    assert one_line(error).endswith("missing.onnx: no such file")


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(FormatError) as error:
        import_model(tmp_path)
    assert "is a directory" in one_line(error)


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.onnx"
    path.write_bytes(b"")
    with pytest.raises(FormatError) as error:
        import_model(str(path))
    assert one_line(error).endswith("empty.onnx: is empty")


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n" + bytes(64), b"hello, world", bytes(100)])
def test_a_file_of_another_kind(data: bytes) -> None:
    with pytest.raises(FormatError) as error:
        import_model(data)
    assert "is not an ONNX model" in one_line(error)


def test_every_truncation_is_one_clear_line() -> None:
    data = small().SerializeToString()
    for length in range(len(data)):
        with pytest.raises(FormatError) as error:
            import_model(data[:length])
        one_line(error)


def test_damaged_bytes_never_raise_anything_else() -> None:
    data = bytearray(small().SerializeToString())
    rng = np.random.default_rng(5)
    outcomes = set()
    for _ in range(400):
        damaged = bytearray(data)
        for index in rng.integers(0, 200, 3):
            damaged[index] = rng.integers(0, 256)
        try:
            declutter(import_model(bytes(damaged)))
            outcomes.add("read")
        except Error as error:
            outcomes.add(type(error).__name__)
    assert "FormatError" in outcomes


def test_something_that_is_no_source() -> None:
    with pytest.raises(FormatError) as error:
        import_model(42)
    assert "not int" in one_line(error)


@pytest.mark.parametrize("opset", [8, 99])
def test_an_opset_out_of_range(opset: int) -> None:
    model = small()
    model.opset_import[0].version = opset
    with pytest.raises(FormatError) as error:
        import_model(model)
    assert f"uses ONNX opset {opset}; edgecv reads 9 to" in one_line(error)


def test_a_value_that_nothing_computes() -> None:
    model = small()
    model.graph.node[1].input[0] = "missing"
    with pytest.raises(FormatError) as error:
        import_model(model)
    assert "reads 'missing', which nothing before it computes" in one_line(error)


def test_a_value_that_is_computed_twice() -> None:
    model = small()
    model.graph.node[1].output[0] = model.graph.node[0].output[0]
    with pytest.raises(FormatError) as error:
        import_model(model)
    assert "is defined twice" in one_line(error)


def test_weights_shorter_than_their_shape() -> None:
    model = small()
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]
    with pytest.raises(FormatError) as error:
        import_model(model)
    assert "does not fit its shape" in one_line(error)


# Sources


def test_path_bytes_and_proto_give_the_same_graph(tmp_path: Path) -> None:
    model = small()
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    texts = [to_text(import_model(item)) for item in (path, path.read_bytes(), model, str(path))]
    assert len(set(texts)) == 1


def test_a_proto_is_left_as_it_was() -> None:
    model = small(9)
    before = model.SerializeToString()
    declutter(import_model(model, input_shapes={"x0": (1, 3, 9, 9)}))
    assert model.SerializeToString() == before


def test_external_data(tmp_path: Path) -> None:
    model = small()
    want = to_text(import_model(model))
    path = tmp_path / "m.onnx"
    onnx.save(
        model,
        path,
        save_as_external_data=True,
        location="m.bin",
        size_threshold=0,
    )
    assert to_text(import_model(path)) == want
    with pytest.raises(FormatError) as error:
        import_model(path.read_bytes())
    assert "give the path of the model" in one_line(error)
    (tmp_path / "m.bin").write_bytes(b"short")
    with pytest.raises(FormatError) as error:
        import_model(path)
    assert "external weights cannot be read" in one_line(error)
    (tmp_path / "m.bin").unlink()
    with pytest.raises(FormatError) as error:
        import_model(path)
    assert "external weights cannot be read" in one_line(error)


# Shapes


def dynamic(*shape: int | str) -> onnx.ModelProto:
    b = Builder()
    return b.model(b.op("Conv", b.input(*shape), b.weights(4, 3, 3, 3)))


@pytest.mark.parametrize("batch", ["N", -1, 0, 1])
def test_a_symbolic_batch_is_one(batch: int | str) -> None:
    graph = import_model(dynamic(batch, 3, 8, 8))
    assert graph.inputs[0].shape == (1, 3, 8, 8)
    assert graph.outputs[0].shape == (1, 4, 6, 6)


def test_other_symbolic_dims_must_be_given() -> None:
    with pytest.raises(UnsupportedModelError) as error:
        import_model(dynamic("N", 3, "height", "width"))
    assert "'x0' has [N, 3, height, width]; give input_shapes" in one_line(error)
    graph = import_model(dynamic("N", 3, "height", "width"), input_shapes={"x0": (2, 3, 10, 12)})
    assert graph.outputs[0].shape == (2, 4, 8, 10)


def test_given_shapes_replace_declared_ones() -> None:
    graph = import_model(dynamic(1, 3, 8, 8), input_shapes={"x0": (1, 3, 20, 30)})
    assert graph.outputs[0].shape == (1, 4, 18, 28)


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        ({"y": (1, 3, 8, 8)}, "input_shapes names 'y'; the model's inputs are x0"),
        ({"x0": (1, 3, 0, 8)}, "every dim must be 1 to 2"),
    ],
)
def test_wrong_input_shapes(shapes: dict[str, tuple[int, ...]], reason: str) -> None:
    with pytest.raises(UnsupportedModelError) as error:
        import_model(dynamic(1, 3, 8, 8), input_shapes=shapes)
    assert reason in one_line(error)


def test_an_input_shape_that_the_model_cannot_take() -> None:
    with pytest.raises(UnsupportedModelError) as error:
        declutter(import_model(dynamic(1, 3, 8, 8), input_shapes={"x0": (1, 5, 8, 8)}))
    assert "5 channels do not fit the weights and 1 groups" in str(error.value)
    for size, reason in ((2, "a tensor is empty"), (1, "its output shape is not known")):
        graph = import_model(dynamic(1, 3, 8, 8), input_shapes={"x0": (1, 3, size, size)})
        assert (graph.outputs[0].shape == UNKNOWN_SHAPE) == (size == 1)
        with pytest.raises(UnsupportedModelError) as error:
            declutter(graph)
        assert reason in str(error.value)


def test_shape_arithmetic_is_folded() -> None:
    b = Builder()
    x = b.input("N", 3, 8, 8)
    y = b.op("Conv", x, b.weights(4, 3, 3, 3))
    shape = b.op("Shape", y)
    batch = b.op("Gather", shape, b.const(0, np.int64))
    rest = b.op("ReduceProd", b.op("Slice", shape, b.ints(1), b.ints(4)), keepdims=0)
    parts = [b.op("Unsqueeze", item, b.ints(0)) for item in (batch, rest)]
    y = b.op("Reshape", y, b.op("Concat", *parts, axis=0))
    graph, _ = check(b.model(y))
    assert ops(graph) == ["Conv", "Reshape"]


def test_sizes_of_a_resize_are_folded() -> None:
    b = Builder()
    x = b.input(1, 3, 8, 8)
    shape = b.op("Cast", b.op("Shape", x), to=1)
    sizes = b.op("Floor", b.op("Mul", shape, b.const([1.0, 1.0, 1.5, 2.0])))
    sizes = b.op("Cast", sizes, to=7)
    graph, low = check(b.model(b.op("Resize", x, "", "", sizes, mode="linear")))
    assert graph.outputs[0].shape == (1, 3, 12, 16)
    assert ops(low) == ["Resize2d"]


# Forms of graphs


def test_initializers_that_are_also_inputs() -> None:
    b = Builder(9)
    w = b.weights(4, 3, 3, 3)
    y = b.op("Conv", b.input(1, 3, 8, 8), w)
    b.input(4, 3, 3, 3, name=w)
    graph = declutter(import_model(b.model(y)))
    assert [port.name for port in graph.inputs] == ["x0"]


def test_half_precision_becomes_f32() -> None:
    b = Builder()
    x = b.input(1, 3, 8, 8)
    w = b.const(b.rng.standard_normal((4, 3, 3, 3)), np.float16)
    y = b.op("Conv", b.op("Cast", x, to=int(TensorProto.FLOAT16)), w)
    graph = declutter(import_model(b.model(b.op("Cast", y, to=1))))
    assert ops(graph) == ["Conv"]
    assert {value.dtype for value in graph.values.values()} == {"f32"}


@pytest.mark.parametrize("condition", [True, False])
def test_a_branch_that_is_known_is_inlined(condition: bool) -> None:
    b = Builder()
    x = b.input(2, 3)

    def branch(op: str) -> onnx.GraphProto:
        info = helper.make_tensor_value_info(f"{op}_y", 1, [2, 3])
        return helper.make_graph([helper.make_node(op, [x], [f"{op}_y"])], op, [], [info])

    flag = b.const(condition, np.bool_)
    y = b.op("If", flag, then_branch=branch("Relu"), else_branch=branch("Tanh"))
    graph, _ = check(b.model(b.op("Sigmoid", y)))
    assert ops(graph) == ["Relu" if condition else "Tanh", "Sigmoid"]


def test_local_functions_are_inlined() -> None:
    b = Builder()
    y = b.op("Relu", b.op("Sigmoid", b.input(2, 3)))
    model = b.model(y)
    model.graph.node[0].op_type, model.graph.node[0].domain = "Twice", "local"
    body = [helper.make_node("Add", ["a", "a"], ["t"]), helper.make_node("Tanh", ["t"], ["r"])]
    imports = [helper.make_opsetid("", 21)]
    model.functions.append(helper.make_function("local", "Twice", ["a"], ["r"], body, imports))
    model.opset_import.append(helper.make_opsetid("local", 1))
    graph = declutter(import_model(model))
    assert ops(graph) == ["Add", "Tanh", "Relu"]


def test_nodes_without_names_get_them() -> None:
    model = small()
    for node in model.graph.node:
        node.name = ""
    assert [node.name for node in import_model(model).nodes] == ["Conv_0", "Relu_1"]
    for node in model.graph.node:
        node.name = "same"
    assert [node.name for node in import_model(model).nodes] == ["same", "same.1"]


def test_constant_nodes_of_every_kind() -> None:
    b = Builder()
    x = b.input(2, 3)
    forms: list[dict[str, Any]] = [
        {"value": numpy_helper.from_array(np.float32(2.0))},
        {"value_float": 3.0},
        {"value_floats": [1.0, 2.0, 3.0]},
    ]
    for form in forms:
        x = b.op("Mul", x, b.op("Constant", **form))
    x = b.op("Reshape", x, b.op("Constant", value_ints=[3, 2]))
    shape = b.ints(3, 2)
    filled = b.op("ConstantOfShape", shape, value=numpy_helper.from_array(np.float32([4.0])))
    check(b.model(b.op("Add", x, filled)))


@pytest.mark.parametrize("opset", [9, 10, 11, 12, 13, 14, 15, 17, 18, 19, 21, 22, 23, 24])
def test_opsets(opset: int) -> None:
    b = Builder(opset)
    x = b.op("Conv", b.input("N", 3, 8, 8), b.weights(4, 3, 3, 3), pads=[1, 1, 1, 1])
    constants = [b.const(b.rng.uniform(0.5, 2.0, 4)) for _ in range(4)]
    x = b.op("BatchNormalization", x, *constants)
    if opset < 11:
        x = b.op("Clip", x, min=0.0, max=6.0)
    else:
        x = b.op("Clip", x, b.const(0.0), b.const(6.0))
    x = b.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    if opset < 18:
        x = b.op("ReduceMean", x, axes=[2, 3], keepdims=0)
    else:
        x = b.op("ReduceMean", x, b.ints(2, 3), keepdims=0)
    x = b.op("Dropout", b.op("Gemm", x, b.weights(4, 5), b.weights(5)))
    _, low = check(b.model(b.op("Softmax", x, axis=1)))
    assert ops(low) == ["Conv2d", "MaxPool2d", "ReduceMean", "Reshape", "FullyConnected", "Softmax"]


def test_the_same_input_gives_the_same_graph() -> None:
    def graph() -> Graph:
        return declutter(import_model(small(9)))

    assert to_text(graph()) == to_text(graph())
