"""TensorFlow.js graph models into ONNX: made-up models against a naive NHWC interpreter."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecv.errors import FormatError
from edgecv.zoo.nanodet import build_nanodet
from edgecv.zoo.tfjs import read_graph_model
from edgecv.zoo.tfjs_graph import Translator

TO_NHWC, TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


class Maker:
    """Makes the files of a model, and computes what the model means."""

    def __init__(self, x: NDArray[np.float32]) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.weights: list[dict[str, Any]] = []
        self.data = b""
        self.values: dict[str, NDArray[Any]] = {"x": x}
        dims = [{"size": str(size)} for size in x.shape]
        self.node("x", "Placeholder", [], shape={"shape": {"dim": dims}})

    def node(self, name: str, op: str, inputs: list[str], **attributes: Any) -> str:
        item: dict[str, Any] = {"name": name, "op": op, "attr": attributes}
        if inputs:
            item["input"] = inputs
        self.nodes.append(item)
        return name

    def constant(self, name: str, array: Any, half: bool = False) -> str:
        array = np.asarray(array)
        kind = {"f": "float32", "i": "int32"}[array.dtype.kind]
        item: dict[str, Any] = {"name": name, "shape": list(array.shape), "dtype": kind}
        if half:
            item["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
        stored = "<f2" if half else {"float32": "<f4", "int32": "<i4"}[kind]
        self.weights.append(item)
        self.data += array.astype(stored).tobytes()
        self.nodes.append({"name": name, "op": "Const"})
        self.values[name] = array.astype(stored).astype(array.dtype)
        return name

    def transpose(self, name: str, x: str, perm: tuple[int, ...]) -> str:
        self.values[name] = self.values[x].transpose(perm)
        return self.node(name, "Transpose", [x, self.constant(name + "/perm", perm)])

    def pad(self, name: str, x: str, pads: list[list[int]], fill: float | None = None) -> str:
        inputs = [x, self.constant(name + "/pads", pads)]
        if fill is not None:
            inputs.append(self.constant(name + "/fill", np.float32(fill)))
        self.values[name] = np.pad(self.values[x], pads, constant_values=fill or 0.0)
        return self.node(name, "Pad" if fill is None else "PadV2", inputs)

    def window(self, name: str, op: str, inputs: list[str], stride: int, **more: Any) -> str:
        attributes = {
            "strides": {"list": {"i": ["1", str(stride), str(stride), "1"]}},
            "padding": {"s": base64.b64encode(b"VALID").decode()},
            "data_format": {"s": base64.b64encode(b"NHWC").decode()},
            **more,
        }
        return self.node(name, op, inputs, **attributes)

    def conv(self, name: str, x: str, weight: NDArray[np.float32], stride: int) -> str:
        w = self.values[self.constant(name + "/w", weight, half=True)].astype(np.float64)
        views = np.lib.stride_tricks.sliding_window_view(self.values[x], w.shape[:2], axis=(1, 2))
        y = np.einsum("bhwcij,ijco->bhwo", views[:, ::stride, ::stride].astype(np.float64), w)
        self.values[name] = y.astype(np.float32)
        return self.window(name, "Conv2D", [x, name + "/w"], stride)

    def max_pool(self, name: str, x: str, size: int, stride: int) -> str:
        views = np.lib.stride_tricks.sliding_window_view(self.values[x], (size, size), axis=(1, 2))
        self.values[name] = views[:, ::stride, ::stride].max(axis=(-2, -1))
        sides = {"list": {"i": ["1", str(size), str(size), "1"]}}
        return self.window(name, "MaxPool", [x], stride, ksize=sides)

    def add(self, name: str, a: str, b: str) -> str:
        self.values[name] = self.values[a] + self.values[b]
        return self.node(name, "Add", [a, b])

    def concat(self, name: str, parts: list[str], axis: int) -> str:
        self.values[name] = np.concatenate([self.values[part] for part in parts], axis)
        return self.node(name, "ConcatV2", [*parts, self.constant(name + "/axis", axis)])

    def files(self) -> tuple[bytes, bytes]:
        manifest = [{"paths": ["w.bin"], "weights": self.weights}]
        document = {"modelTopology": {"node": self.nodes}, "weightsManifest": manifest}
        return json.dumps(document).encode(), self.data

    def run(self, outputs: list[str]) -> tuple[list[str], list[NDArray[Any]]]:
        """The ops of the ONNX graph, and its answers by onnx's reference evaluator."""
        onnx = pytest.importorskip("onnx")
        from onnx.reference import ReferenceEvaluator

        names = {name: f"out{i}" for i, name in enumerate(outputs)}
        data = Translator("made", read_graph_model(*self.files()), names).translate()
        model = onnx.load_model_from_string(data)
        answers = ReferenceEvaluator(model).run(None, {"input": self.values["x"]})
        for name, answer in zip(outputs, answers):
            assert answer.shape == self.values[name].shape
            np.testing.assert_allclose(answer, self.values[name], rtol=1e-4, atol=1e-5)
        return [node.op_type for node in model.graph.node], answers


def random(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(7).standard_normal(shape).astype(np.float32)


def make_conv(maker: Maker, name: str, x: str, outputs: int, stride: int = 1) -> str:
    """Pad, to NHWC, Conv2D, bias, back to NCHW, as conversions from ONNX leave it."""
    channels = maker.values[x].shape[1]
    padded = maker.pad(name + "/pad", x, [[0, 0], [0, 0], [1, 1], [0, 2]])
    padded = maker.transpose(name + "/nhwc", padded, TO_NHWC)
    y = maker.conv(name, padded, random(3, 3, channels, outputs), stride)
    y = maker.add(name + "/add", y, maker.constant(name + "/b", random(outputs)))
    return maker.transpose(name + "/nchw", y, TO_NCHW)


def test_layouts_paddings_and_biases_cost_no_nodes() -> None:
    maker = Maker(random(1, 3, 9, 11))
    first = make_conv(maker, "a", "x", 4, stride=2)
    second = make_conv(maker, "b", first, 6)
    maker.concat("c", [first, second], 1)
    pooled = maker.pad("p", "c", [[0, 0], [0, 0], [1, 1], [1, 1]], -3.4e38)
    pooled = maker.max_pool("m", maker.transpose("p/nhwc", pooled, TO_NHWC), 3, 2)
    maker.transpose("out", pooled, TO_NCHW)
    ops, _ = maker.run(["out"])
    assert ops == ["Conv", "Conv", "Concat", "MaxPool", "Identity"]


def test_what_must_see_the_order_gets_a_transpose() -> None:
    maker = Maker(random(1, 3, 4, 6))
    nhwc = maker.transpose("n", "x", TO_NHWC)
    maker.values["r"] = maker.values[nhwc].reshape(1, 24, 3)
    maker.node("r", "Reshape", [nhwc, maker.constant("r/shape", [1, -1, 3])])
    maker.values["s"] = 1 / (1 + np.exp(-maker.values["r"]))
    maker.node("s", "Sigmoid", ["r"])
    ops, _ = maker.run(["s", "n"])
    assert ops == ["Transpose", "Reshape", "Sigmoid", "Identity", "Transpose"]


def test_a_padding_that_does_not_fit_stays_a_node() -> None:
    maker = Maker(random(1, 3, 5, 5))
    padded = maker.pad("p", "x", [[0, 0], [0, 0], [1, 1], [1, 1]], 2.0)
    y = maker.conv("c", maker.transpose("n", padded, TO_NHWC), random(3, 3, 3, 2), 1)
    maker.pad("deep", maker.transpose("t", y, TO_NCHW), [[0, 0], [1, 0], [0, 0], [0, 2]])
    ops, _ = maker.run(["deep"])
    assert ops == ["Pad", "Conv", "Pad", "Identity"]


def test_a_sum_that_another_node_also_reads_keeps_its_convolution_whole() -> None:
    maker = Maker(random(1, 4, 4, 3))
    y = maker.conv("c", "x", random(1, 1, 3, 3), 1)
    maker.add("b", y, maker.concat("k", [y], 3))
    assert maker.run(["b"])[0] == ["Transpose", "Conv", "Concat", "Add", "Transpose"]


def test_split_resize_and_leaky_relu() -> None:
    maker = Maker(random(1, 5, 4, 4))
    maker.values["s"], maker.values["s:1"] = np.split(maker.values["x"], [2], axis=1)
    sizes, axis = maker.constant("s/sizes", [2, 3]), maker.constant("s/axis", 1)
    maker.node("s", "SplitV", ["x", sizes, axis])
    rest = maker.values["s:1"]
    maker.values["l"] = np.where(rest < 0, rest * np.float32(0.1), rest)
    maker.node("l", "LeakyRelu", ["s:1"], alpha={"f": 0.1})
    half = maker.transpose("h", "l", TO_NHWC)
    # Half-pixel centres at half the size: the mean of two by two.
    maker.values["r"] = maker.values[half].reshape(1, 2, 2, 2, 2, 3).mean(axis=(2, 4))
    maker.node("r", "ResizeBilinear", [half, maker.constant("r/size", [2, 2])],
               half_pixel_centers={"b": True})  # fmt: skip
    maker.transpose("o", "r", TO_NCHW)
    assert maker.run(["s", "o"])[0] == ["Split", "LeakyRelu", "Resize", "Identity", "Identity"]


def test_operands_stored_in_different_orders_are_brought_together() -> None:
    maker = Maker(random(1, 3, 4, 4))
    y = maker.conv("c", maker.transpose("n", "x", TO_NHWC), random(1, 1, 3, 4), 1)
    square = maker.concat("k", ["x", maker.transpose("q", y, TO_NCHW)], 1)
    turned = maker.transpose("t", square, (0, 1, 3, 2))
    maker.add("a", square, turned)
    assert "Transpose" in maker.run(["a"])[0]


def good() -> tuple[dict[str, Any], bytes]:
    maker = Maker(random(1, 3, 4, 4))
    make_conv(maker, "a", "x", 2)
    topology, data = maker.files()
    return json.loads(topology), data


def test_damaged_files_are_one_clear_error() -> None:
    document, data = good()
    as_bytes = json.dumps(document).encode()
    read_graph_model(as_bytes, data)
    with pytest.raises(FormatError, match="reaches beyond"):
        read_graph_model(as_bytes, data[:-1])
    with pytest.raises(FormatError, match="left over"):
        read_graph_model(as_bytes, data + b"\0")
    for wrong in (b"", b"\xff", b"[]", b"{}", as_bytes[:-9], b"[" * 100_000):
        with pytest.raises(FormatError, match="not a TensorFlow"):
            read_graph_model(wrong, data)
    weight = document["weightsManifest"][0]["weights"][0]
    for change in ({"shape": [-1]}, {"shape": [1 << 70]}, {"dtype": "string"},
                   {"quantization": {"dtype": "uint8", "scale": 1, "min": 0}}):  # fmt: skip
        changed = json.loads(as_bytes)
        changed["weightsManifest"][0]["weights"][0] = {**weight, **change}
        with pytest.raises(FormatError):
            read_graph_model(json.dumps(changed).encode(), data)


def test_damaged_graphs_are_one_clear_error() -> None:
    pytest.importorskip("onnx")
    document, data = good()

    def translate(node: str, **changes: Any) -> bytes:
        changed = json.loads(json.dumps(document))
        for item in changed["modelTopology"]["node"]:
            if item["name"] == node:
                item.update(changes)
        model = read_graph_model(json.dumps(changed).encode(), data)
        return Translator("made", model, {"a/nchw": "out"}).translate()

    translate("none")
    with pytest.raises(FormatError, match="reads what no node gives"):
        translate("a", input=["a/nchw", "a/w"])
    with pytest.raises(FormatError, match="made: a: Conv3D is not supported"):
        translate("a", op="Conv3D")
    with pytest.raises(FormatError, match="a is damaged"):
        translate("a", attr={})
    with pytest.raises(FormatError, match="a is damaged"):
        translate("a", input=["x", "a/w"])
    with pytest.raises(FormatError, match="a/nhwc is damaged"):
        translate("a/nhwc", input=["a/pad"])
    with pytest.raises(FormatError, match="no shape"):
        translate("x", attr={})
    with pytest.raises(FormatError, match="one input is expected, there are 0"):
        translate("x", op="Identity", input=["a/w"])


def test_another_model_is_not_nanodet() -> None:
    pytest.importorskip("onnx")
    document, data = good()
    model = read_graph_model(json.dumps(document).encode(), data)
    with pytest.raises(FormatError, match="nanodet: there is no output Identity"):
        build_nanodet(model)
