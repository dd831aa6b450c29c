"""TFLite files of tests/data/tflite, held against what LiteRT's reference kernels computed: every
int8 layer on its inputs to one step, and the networks as a whole.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import pytest
from numpy.typing import NDArray

import edgecv
from edgecv.cli.main import main
from edgecv.errors import Error, FormatError, UnsupportedModelError
from edgecv.format.reader import read
from edgecv.format.to_graph import to_graph
from edgecv.graph.interpret import interpret_node
from edgecv.graph.ir import Graph
from edgecv.onnx.importer import import_model
from edgecv.tflite.ops import FORMS
from edgecv.tflite.reader import (
    TRANSPOSE_CONV_BIAS,
    Operator,
    custom_options,
    read_model,
    unpack_int4,
)
from edgecv.tflite.sparse import Axis, densify
from edgecv.tflite.translate import Translator

DATA = Path(__file__).resolve().parents[2] / "data" / "tflite"
INT8 = ["mobile_int8", "mobile_uint8", "mobile_int8_inside", "swish_int8", "decode_int8"]
Array = NDArray[Any]


def reference(name: str) -> Dict[str, Array]:
    """LiteRT's tensors; unsigned ones as signed."""
    with np.load(DATA / f"{name}.npz") as file:
        tensors = {str(key): file[f"t{i}"] for i, key in enumerate(file["names"])}
    return {
        key: (a.astype(np.int16) - 128).astype(np.int8) if a.dtype == np.uint8 else a
        for key, a in tensors.items()
    }


def planar(array: Array) -> Array:
    """As outputs of rank 4 are here: [N, C, H, W]."""
    return array.transpose(0, 3, 1, 2) if array.ndim == 4 else array


def converted(name: str, tmp_path: Path) -> Tuple[edgecv.ConversionReport, Graph]:
    report = edgecv.convert(DATA / f"{name}.tflite", tmp_path / "m.ecv")
    return report, to_graph(read((tmp_path / "m.ecv").read_bytes()))


def real_input(name: str) -> Array:
    """LiteRT's input as real numbers, NCHW."""
    model = read_model((DATA / f"{name}.tflite").read_bytes(), name)
    tensor = model.tensors[model.inputs[0]]
    with np.load(DATA / f"{name}.npz") as file:
        x: Array = file[f"t{list(file['names']).index(tensor.name)}"]
    if tensor.quantization is not None:
        x = (x.astype(np.float32) - tensor.quantization.zero) * tensor.quantization.scale
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2), np.float32)


@pytest.mark.parametrize("name", INT8)
def test_layers_of_int8(name: str, tmp_path: Path) -> None:
    report, graph = converted(name, tmp_path)
    assert (report.precision, report.parameters) == ("int8", "from the model")
    assert not report.remarks
    assert all(layer.dtype == "s8" for layer in report.layers)
    theirs = reference(name)
    port = graph.inputs[0]
    x = real_input(name).transpose(0, 2, 3, 1)
    scale, zero = graph.values[port.value].scale, graph.values[port.value].zero_point
    values = {port.value: np.clip(np.rint(x / scale) + zero, -128, 127).astype(np.int8)}
    compared: List[str] = []
    unequal = total = 0
    for node in graph.nodes:
        output = node.outputs[0]
        ours = interpret_node(graph, node, values)
        values[output] = ours
        if output in theirs:
            values[output] = theirs[output].reshape(ours.shape)
            apart = np.abs(ours.astype(int) - values[output])
            assert apart.max() <= 1, node
            unequal, total = unequal + int((apart > 0).sum()), total + apart.size
            compared.append(node.op)
    assert sum(op in ("Conv2d", "ConvTranspose2d") for op in compared) >= 4
    assert unequal <= 0.03 * total


@pytest.mark.parametrize("name", INT8)
def test_int8_as_a_whole(name: str, tmp_path: Path) -> None:
    _, graph = converted(name, tmp_path)
    port = graph.outputs[0]
    scale, zero = graph.values[port.value].scale, graph.values[port.value].zero_point
    assert scale
    theirs = planar(reference(name)[port.name].astype(np.float32))
    if name != "mobile_int8_inside":  # whose output is real numbers
        theirs = (theirs - zero) * scale
    with edgecv.load(tmp_path / "m.ecv") as model:
        assert model.verify().passed
        ours = next(iter(model.run(real_input(name)).values()))
    assert np.abs(ours - theirs).max() <= 1.01 * scale


@pytest.mark.parametrize(
    ("name", "tolerance"),
    # LiteRT rounds the activations of dynamic quantization and 16-bit ones, too; here they are real
    # numbers.
    [
        ("mobile_float", 1e-6),
        ("mobile_fp16", 1e-6),
        ("mobile_sparse", 1e-6),
        ("swish_float", 1e-6),
        ("decode_float", 1e-6),
        ("mobile_dynamic", 1e-3),
        ("mobile_int16", 6e-5),
    ],
)
def test_real_numbers(name: str, tolerance: float, tmp_path: Path) -> None:
    report, _ = converted(name, tmp_path)
    assert report.precision == "fp32"
    assert any("of 16 bits" in remark for remark in report.remarks) == (name == "mobile_int16")
    with edgecv.load(tmp_path / "m.ecv") as model:
        results = model.run(real_input(name))
    output, ours = next(iter(results.items()))
    theirs = planar(reference(name)[output])
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


def test_weights_are_those_of_the_file(tmp_path: Path) -> None:
    _, graph = converted("mobile_int8", tmp_path)
    model = read_model((DATA / "mobile_int8.tflite").read_bytes(), "m")
    theirs = [t.data for t in model.tensors if t.data is not None and t.data.ndim == 4]
    ours = [graph.values[n.inputs[1]].data for n in graph.nodes if n.op == "Conv2d"]
    assert len(ours) == 5
    for weights in ours:
        assert weights is not None
        one = weights.transpose(3, 1, 2, 0)  # depthwise: [1, KH, KW, OC]
        assert any(
            np.array_equal(weights, each) or np.array_equal(one, each)
            for each in theirs
            if each.dtype == np.int8
        )


def test_known_by_its_identifier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither by its name nor only from a path."""
    data = (DATA / "mobile_int8.tflite").read_bytes()
    (tmp_path / "m.onnx").write_bytes(data)
    assert main(["convert", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "a.ecv")]) == 0
    assert "from the model" in capsys.readouterr().out
    edgecv.convert(data, tmp_path / "b.ecv")
    with edgecv.load(tmp_path / "a.ecv") as a, edgecv.load(tmp_path / "b.ecv") as b:
        x = real_input("mobile_int8")
        for first, second in zip(a.run(x).values(), b.run(x).values()):
            np.testing.assert_array_equal(first, second)


def test_pictures(tmp_path: Path) -> None:
    """A recipe for pictures fits, as the input is [N, C, H, W] here."""
    recipe = "resize=16,crop=13,mean=127,std=128"
    edgecv.convert(DATA / "mobile_int8.tflite", tmp_path / "m.ecv", preprocess=recipe)
    image = np.random.default_rng(1).integers(0, 256, (20, 24, 3), np.uint8)
    with edgecv.load(tmp_path / "m.ecv") as model:
        assert model.inputs[0].shape == (1, 3, 13, 13)
        assert next(iter(model.run_image(image).values())).shape == (1, 10)


def test_an_operator_without_a_form(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(FORMS, "MEAN")
    monkeypatch.delitem(FORMS, "PAD")
    with pytest.raises(UnsupportedModelError, match=r"operator 4 \(PAD\), operator 8 \(MEAN\)"):
        edgecv.convert(DATA / "mobile_int8.tflite", tmp_path / "m.ecv")
    assert not list(tmp_path.iterdir())


def test_operators_without_a_form_are_grouped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(FORMS, "CONV_2D")
    with pytest.raises(UnsupportedModelError, match=r"operator \d+ \(CONV_2D\) and 2 more$"):
        import_model(DATA / "mobile_int8.tflite")


def test_truncated(tmp_path: Path) -> None:
    data = (DATA / "mobile_int8.tflite").read_bytes()
    for size in (8, 9, 100, len(data) // 2, len(data) - 600):
        with pytest.raises(FormatError, match=r"damaged or truncated") as caught:
            edgecv.convert(data[:size], tmp_path / "m.ecv")
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["mobile_int8", "mobile_sparse"])
def test_damaged_bytes(name: str) -> None:
    """Whatever a file holds, it is read or refused in edgecv's words."""
    data = (DATA / f"{name}.tflite").read_bytes()
    random = np.random.default_rng(7)
    messages = []
    for _ in range(40):
        damaged = bytearray(data)
        for place in random.integers(8, len(data), 3):
            damaged[place] = int(random.integers(256))
        try:
            import_model(bytes(damaged))
        except Error as error:
            messages.append(str(error))
    assert messages
    assert not any("\n" in message for message in messages)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("mobile_int8", "PAD"),
        ("swish_int8", "RESIZE_"),
        ("decode_int8", "SPACE_"),
        ("decode_int8", "DEPTH_"),
        ("decode_int8", "TRANSPOSE_C"),
    ],
)
def test_shapes_that_contradict(name: str, code: str) -> None:
    """Neither place alone decides how large a tensor is."""
    model = read_model((DATA / f"{name}.tflite").read_bytes(), name)
    op = next(op for op in model.operators if op.code.startswith(code))
    model.tensors[op.outputs[0]].shape = (1, 9, 1 << 30, 8)
    with pytest.raises(FormatError, match=rf"operator {op.index} \({op.code}\)"):
        Translator(model, name).run()


def test_a_name_that_is_not_printable(tmp_path: Path) -> None:
    data = (DATA / "mobile_int8.tflite").read_bytes().replace(b"depthwise", b"dep\nhw\xffse")
    edgecv.convert(data, tmp_path / "m.ecv")
    with edgecv.load(tmp_path / "m.ecv") as model:
        assert model.verify().passed


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tflite", None)
    with pytest.raises(Error, match=r"pip install edgecv\[convert\]"):
        edgecv.convert(DATA / "mobile_int8.tflite", tmp_path / "m.ecv")
    assert not list(tmp_path.iterdir())


def test_transposed_convolution_of_mediapipe() -> None:
    """Its own operator has the input first, and padding, width and height as C stores them."""
    stored = read_model((DATA / "decode_float.tflite").read_bytes(), "m")
    at = next(i for i, op in enumerate(stored.operators) if op.code == "TRANSPOSE_CONV")
    data = (DATA / "decode_float.tflite").read_bytes()
    op = stored.operators[at]
    wanted = import_model(Translator(stored, "m").run())
    other = read_model(data, "m")
    shape, weights, x = op.inputs[:3]
    other.operators[at] = Operator(
        TRANSPOSE_CONV_BIAS, op.index, [x, weights, *op.inputs[3:]], op.outputs,
        custom_options(TRANSPOSE_CONV_BIAS, struct.pack("<iii", 1, 2, 2)),
    )  # fmt: skip
    assert {**op.options, "FusedActivationFunction": 0} == {
        "FusedActivationFunction": 0, **other.operators[at].options,
    }  # fmt: skip
    got = import_model(Translator(other, "m").run())
    assert [node.op for node in got.nodes] == [node.op for node in wanted.nodes]
    one, two = (
        next(node for node in graph.nodes if node.op == "ConvTranspose") for graph in (wanted, got)
    )
    assert one.attrs == two.attrs
    assert shape != x


@pytest.mark.parametrize(("padding", "pads"), [(0, [1, 1, 1, 1]), (1, [0, 0, 2, 2])])
def test_ends_that_a_transposed_convolution_leaves_out(padding: int, pads: List[int]) -> None:
    """TFLite finds the padding of the convolution from its output to its input: none for VALID."""
    stored = read_model((DATA / "decode_float.tflite").read_bytes(), "m")
    op = next(op for op in stored.operators if op.code == "TRANSPOSE_CONV")
    kernel, source = (stored.tensors[index].shape for index in op.inputs[1:3])
    stored.operators[:] = [op]
    stored.inputs[:], stored.outputs[:] = op.inputs[2:3], op.outputs
    strides = op.options["StrideH"], op.options["StrideW"]
    full = [(source[i] - 1) * strides[i - 1] + kernel[i] - 2 for i in (1, 2)]
    made = stored.tensors[op.outputs[0]]
    made.shape = type(made.shape)([1, *full, made.shape[3]])
    op.options["Padding"] = padding
    nodes = Translator(stored, "m").run().graph.node
    node = next(node for node in nodes if node.op_type == "ConvTranspose")
    assert next(list(a.ints) for a in node.attribute if a.name == "pads") == pads


def test_integers_of_4_bits() -> None:
    values = unpack_int4(bytes((0x21, 0x8F, 0x70)))
    assert values.dtype == np.int8
    assert values.tolist() == [1, 2, -1, -8, 0, 7]


def test_sparse_rows() -> None:
    """Rows dense, columns compressed."""
    axes = [Axis(3), Axis(0, np.array([0, 2, 2, 3]), np.array([1, 3, 0]))]
    dense = densify(np.array([5, 6, 7], np.int8), (3, 4), [0, 1], [], axes)
    np.testing.assert_array_equal(dense, [[0, 5, 0, 6], [0, 0, 0, 0], [7, 0, 0, 0]])


def test_sparse_blocks() -> None:
    """Compressed blocks of 1 x 2."""
    axes = [Axis(2), Axis(0, np.array([0, 1, 2]), np.array([1, 0])), Axis(2)]
    dense = densify(np.array([1, 2, 3, 4]), (2, 4), [0, 1, 2], [1], axes)
    np.testing.assert_array_equal(dense, [[0, 0, 1, 2], [3, 4, 0, 0]])


@pytest.mark.parametrize(
    ("segments", "indices"),
    [([0, 2, 2, 3], [1, 4, 0]), ([0, 2, 1, 3], [1, 3, 0]), ([0, 3], [0, 1, 2])],
)
def test_sparse_that_does_not_fit(segments: List[int], indices: List[int]) -> None:
    axes = [Axis(3), Axis(0, np.array(segments), np.array(indices))]
    with pytest.raises((ValueError, IndexError), match="sparse tensor"):
        densify(np.ones(3), (3, 4), [0, 1], [], axes)
