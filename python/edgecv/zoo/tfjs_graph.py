"""Turn the nodes of a TensorFlow.js graph model into an ONNX graph.

Such models keep feature maps in NHWC around each convolution, with Transposes between, where ONNX
has NCHW throughout. So a Transpose adds no node here: a value remembers how its dimensions are
permuted, and only what must see another order of them gets a real Transpose. Likewise a Pad waits
for the convolution or the pooling that takes it as its own padding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from edgecv.errors import FormatError
from edgecv.zoo.onnx_graph import GraphBuilder
from edgecv.zoo.tfjs import GraphModel, Node, source_of

_NCHW = (0, 3, 1, 2)  # the dimension of an NHWC value that each of NCHW is
_LOWEST = -3.0e38  # a padding at or below this never wins a maximum
_ELEMENTWISE = {"LeakyRelu": "LeakyRelu", "Sigmoid": "Sigmoid", "Relu": "Relu"}

Pads = Tuple[Tuple[int, int], ...]


@dataclass(frozen=True)
class _Value:
    """A value of the model: dimension i of it is dimension ``order[i]`` of the ONNX value ``name``.

    pads: what is still to be added around each dimension of the model's value, filled with
    ``fill``. shape: of the ONNX value, without pads.
    """

    name: str
    order: Tuple[int, ...]
    shape: Tuple[int, ...]
    pads: Pads = ()
    fill: float = 0.0


class Translator:
    """Translates one model. ``names`` gives outputs (by their nodes) and nothing else a name."""

    def __init__(self, title: str, model: GraphModel, outputs: Mapping[str, str]) -> None:
        places = [node for node in model.nodes if node.op == "Placeholder"]
        if len(places) != 1:
            raise FormatError(f"{title}: one input is expected, there are {len(places)}")
        shape = _input_shape(places[0])
        self._graph = GraphBuilder(title, {}, shape)
        self._title = title
        self._nodes = model.nodes
        self._constants = dict(model.constants)
        self._outputs = outputs
        self._values: Dict[str, _Value] = {
            places[0].name: _Value(self._graph.input, tuple(range(len(shape))), shape)
        }
        self._readers: Dict[str, int] = {}
        for node in model.nodes:
            for text in node.inputs:
                self._readers[text] = self._readers.get(text, 0) + 1
        self._biases: Dict[str, Tuple[str, np.ndarray[Any, Any]]] = _biases(model, self._readers)

    def translate(self) -> bytes:
        """Return the checked ONNX model, serialized."""
        steps: Dict[str, Callable[[Node], None]] = {
            "Placeholder": lambda node: None,
            "Identity": self._identity,
            "Transpose": self._transpose,
            "Pad": self._pad,
            "PadV2": self._pad,
            "Conv2D": self._conv,
            "MaxPool": self._max_pool,
            "Add": self._add,
            "AddV2": self._add,
            "ConcatV2": self._concat,
            "SplitV": self._split,
            "ResizeBilinear": self._resize,
            "Reshape": self._reshape,
            "SparseToDense": self._dense,
            **dict.fromkeys(_ELEMENTWISE, self._elementwise),
        }
        for node in self._nodes:
            if node.op not in steps:
                raise FormatError(f"{self._title}: {node.name}: {node.op} is not supported")
            try:
                steps[node.op](node)
            except (ValueError, KeyError, IndexError, TypeError) as error:
                raise FormatError(f"{self._title}: {node.name} is damaged: {error!r}") from error
        shapes: Dict[str, Sequence[int]] = {}
        for source, name in self._outputs.items():
            value = self._values.get(source)
            if value is None:
                raise FormatError(f"{self._title}: there is no output {source}")
            shapes[name] = self._settle(value, name).shape
        return self._graph.finish_all(shapes)

    # -- values

    def _value(self, text: str) -> _Value:
        return self._values[text[:-2] if text.endswith(":0") else text]

    def _constant(self, text: str) -> np.ndarray[Any, Any]:
        array = self._constants.get(source_of(text))
        if array is None:
            raise ValueError(f"{text} is no constant")
        return array

    def _integers(self, text: str) -> List[int]:
        return [int(item) for item in np.atleast_1d(self._constant(text))]

    def _padded(self, value: _Value) -> _Value:
        """The value with its pads added by a node of their own."""
        if not any(map(any, value.pads)):
            return replace(value, pads=())
        stored = [(0, 0)] * len(value.order)
        for dimension, pair in zip(value.order, value.pads):
            stored[dimension] = pair
        amounts = np.array([p[0] for p in stored] + [p[1] for p in stored], np.int64)
        name = value.name + ".pad"
        inputs = [value.name, self._graph.constant(name + ".pads", amounts)]
        inputs.append(self._graph.constant(name + ".value", np.array(value.fill, np.float32)))
        shape = tuple(size + sum(pair) for size, pair in zip(value.shape, stored))
        return replace(
            value, name=self._graph.node("Pad", inputs, name), shape=shape, pads=(), fill=0.0
        )

    def _settle(self, value: _Value, name: str) -> _Value:
        """The value as an ONNX value of the same dimensions, in a node called ``name``."""
        value = self._padded(value)
        rank = tuple(range(len(value.order)))
        if value.order == rank:
            result = self._graph.node("Identity", [value.name], name)
        else:
            result = self._graph.node("Transpose", [value.name], name, perm=list(value.order))
        return _Value(result, rank, tuple(value.shape[i] for i in value.order))

    def _in_order(self, value: _Value, order: Tuple[int, ...], name: str) -> _Value:
        """The value stored in a way that its order is ``order``."""
        if value.order == order:
            return value
        perm = [value.order[order.index(i)] for i in range(len(order))]
        result = self._graph.node("Transpose", [value.name], name, perm=perm)
        return replace(value, name=result, order=order, shape=tuple(value.shape[i] for i in perm))

    def _image(self, node: Node) -> _Value:
        """The first input of a node that sees NHWC, stored as NCHW."""
        value = self._value(node.inputs[0])
        if len(value.order) != 4 or node.text("data_format") not in ("", "NHWC"):
            raise ValueError("not a feature map in NHWC")
        return self._in_order(value, (0, 2, 3, 1), _short(node.name) + ".input")

    def _window(self, node: Node, fill: float) -> Tuple[_Value, Dict[str, Any]]:
        """Input and attributes of a convolution or a pooling, its padding among them."""
        value = self._image(node)
        strides, dilations = node.integers("strides"), node.integers("dilations") or [1] * 4
        if node.text("padding") != "VALID" or len(strides) != 4 or len(dilations) != 4:
            raise ValueError("padding other than VALID, or other than four strides")
        if value.pads:
            can = not any(value.pads[0]) and not any(value.pads[3])
            if can and (value.fill == fill or (fill < _LOWEST and value.fill <= _LOWEST)):
                pads = value.pads
                value = replace(value, pads=())
            else:
                value, pads = self._padded(value), ((0, 0),) * 4
        else:
            pads = ((0, 0),) * 4
        return value, {
            "dilations": dilations[1:3],
            "pads": [pads[1][0], pads[2][0], pads[1][1], pads[2][1]],
            "strides": strides[1:3],
        }

    def _slid(self, value: _Value, kernel: Sequence[int], window: Dict[str, Any]) -> List[int]:
        sides = []
        for i in range(2):
            size = value.shape[2 + i] + window["pads"][i] + window["pads"][2 + i]
            reach = (kernel[i] - 1) * window["dilations"][i] + 1
            sides.append((size - reach) // window["strides"][i] + 1)
        return sides

    # -- operations

    def _identity(self, node: Node) -> None:
        self._values[node.name] = self._value(node.inputs[0])

    def _transpose(self, node: Node) -> None:
        value, perm = self._value(node.inputs[0]), self._integers(node.inputs[1])
        self._values[node.name] = replace(
            value,
            order=tuple(value.order[i] for i in perm),
            pads=tuple(value.pads[i] for i in perm) if value.pads else (),
        )

    def _pad(self, node: Node) -> None:
        value = self._padded(self._value(node.inputs[0]))
        pads = self._constant(node.inputs[1])
        if pads.shape != (len(value.order), 2) or pads.min() < 0:
            raise ValueError("the padding does not fit its input")
        fill = float(self._constant(node.inputs[2])) if node.op == "PadV2" else 0.0
        pairs = tuple((int(a), int(b)) for a, b in pads)
        self._values[node.name] = replace(value, pads=pairs, fill=fill)

    def _conv(self, node: Node) -> None:
        weight = self._constant(node.inputs[1]).transpose(3, 2, 0, 1)
        value, window = self._window(node, 0.0)
        if weight.shape[1] != value.shape[1] or weight.dtype != np.float32:
            raise ValueError("weights that do not fit the input")
        name = _short(node.name)
        inputs = [value.name, self._graph.constant(name + ".weight", weight)]
        follower = self._biases.get(node.name)
        if follower is not None:
            inputs.append(self._graph.constant(name + ".bias", follower[1]))
        kernel = list(weight.shape[2:])
        sides = self._slid(value, kernel, window)
        self._graph.node("Conv", inputs, name, group=1, kernel_shape=kernel, **window)
        shape = (value.shape[0], weight.shape[0], *sides)
        self._values[node.name] = _Value(name, (0, 2, 3, 1), shape)

    def _max_pool(self, node: Node) -> None:
        kernel = node.integers("ksize")[1:3]
        value, window = self._window(node, float("-inf"))
        sides = self._slid(value, kernel, window)
        name = self._graph.node(
            "MaxPool", [value.name], _short(node.name), kernel_shape=kernel, **window
        )
        self._values[node.name] = _Value(name, (0, 2, 3, 1), (*value.shape[:2], *sides))

    def _add(self, node: Node) -> None:
        if all(source_of(text) in self._constants for text in node.inputs):
            a, b = (self._constant(text) for text in node.inputs)
            self._constants[node.name] = a + b
            return
        follower = self._biases.get(source_of(node.inputs[0]))
        if follower is not None and follower[0] == node.name:
            self._values[node.name] = self._value(node.inputs[0])
            return
        left, right = (self._padded(self._value(text)) for text in node.inputs)
        right = self._in_order(right, left.order, _short(node.name) + ".input")
        if left.shape != right.shape:
            raise ValueError("operands of different shapes")
        name = self._graph.node("Add", [left.name, right.name], _short(node.name))
        self._values[node.name] = replace(left, name=name)

    def _elementwise(self, node: Node) -> None:
        value = self._padded(self._value(node.inputs[0]))
        attributes = {"alpha": node.number("alpha", 0.2)} if node.op == "LeakyRelu" else {}
        name = self._graph.node(
            _ELEMENTWISE[node.op], [value.name], _short(node.name), **attributes
        )
        self._values[node.name] = replace(value, name=name)

    def _concat(self, node: Node) -> None:
        (axis,) = self._integers(node.inputs[-1])
        first = self._padded(self._value(node.inputs[0]))
        axis = first.order[axis]
        parts = [first]
        for number, text in enumerate(node.inputs[1:-1], 1):
            value = self._padded(self._value(text))
            parts.append(self._in_order(value, first.order, f"{_short(node.name)}.input{number}"))
        names = [part.name for part in parts]
        name = self._graph.node("Concat", names, _short(node.name), axis=axis)
        shape = list(first.shape)
        shape[axis] = sum(part.shape[axis] for part in parts)
        self._values[node.name] = replace(first, name=name, shape=tuple(shape))

    def _split(self, node: Node) -> None:
        value = self._padded(self._value(node.inputs[0]))
        sizes, (axis,) = self._integers(node.inputs[1]), self._integers(node.inputs[2])
        axis = value.order[axis]
        if sum(sizes) != value.shape[axis]:
            raise ValueError("sizes that do not make up the input")
        name = _short(node.name)
        amounts = self._graph.constant(name + ".sizes", np.array(sizes, np.int64))
        names = [f"{name}.{number}" for number in range(len(sizes))]
        self._graph.node_of_several("Split", [value.name, amounts], name, names, axis=axis)
        for number, (size, part) in enumerate(zip(sizes, names)):
            shape = (*value.shape[:axis], size, *value.shape[axis + 1 :])
            key = node.name if number == 0 else f"{node.name}:{number}"
            self._values[key] = replace(value, name=part, shape=shape)

    def _resize(self, node: Node) -> None:
        value, sides = self._padded(self._image(node)), self._integers(node.inputs[1])
        if node.flag("align_corners") or not node.flag("half_pixel_centers"):
            raise ValueError("only half-pixel centres are supported")
        name, shape = _short(node.name), (*value.shape[:2], *sides)
        sizes = self._graph.constant(name + ".sizes", np.array(shape, np.int64))
        self._graph.node(
            "Resize", [value.name, "", "", sizes], name, mode="linear",
            coordinate_transformation_mode="half_pixel",
        )  # fmt: skip
        self._values[node.name] = replace(value, name=name, shape=shape)

    def _reshape(self, node: Node) -> None:
        value = self._value(node.inputs[0])
        wanted = self._integers(node.inputs[1])
        if value.pads or value.order != tuple(range(len(value.order))):
            value = self._settle(value, _short(node.name) + ".input")
        shape = np.empty(value.shape, np.bool_).reshape(wanted).shape
        name = _short(node.name)
        sizes = self._graph.constant(name + ".shape", np.array(shape, np.int64))
        self._graph.node("Reshape", [value.name, sizes], name)
        self._values[node.name] = _Value(name, tuple(range(len(shape))), shape)

    def _dense(self, node: Node) -> None:
        """A constant: without entries, all the default value."""
        entries, shape, _, default = (self._constant(text) for text in node.inputs)
        if entries.size:
            raise ValueError("sparse constants with entries are not supported")
        self._constants[node.name] = np.full([int(n) for n in np.atleast_1d(shape)], default)


def _biases(
    model: GraphModel, readers: Mapping[str, int]
) -> Dict[str, Tuple[str, np.ndarray[Any, Any]]]:
    """Convolutions whose only reader adds a constant for each channel: (the sum, the constant)."""
    convs = {node.name for node in model.nodes if node.op == "Conv2D"}
    found = {}
    for node in model.nodes:
        if node.op in ("Add", "AddV2") and len(node.inputs) == 2:
            conv, text = node.inputs
            bias = model.constants.get(source_of(text))
            is_only = conv in convs and readers.get(conv) == 1
            if is_only and bias is not None and bias.ndim == 1 and bias.dtype == np.float32:
                found[conv] = (node.name, bias)
    return found


def _input_shape(node: Node) -> Tuple[int, ...]:
    try:
        shape = tuple(int(item["size"]) for item in node.attributes["shape"]["shape"]["dim"])
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{node.name}: the input has no shape") from error
    if not shape or min(shape) < 1:
        raise FormatError(f"{node.name}: the input's shape {list(shape)} is not fixed")
    return shape


def _short(name: str) -> str:
    """A node's name without what conversions put in front."""
    return name.split("/", 1)[-1].replace("onnx_tf_prefix_", "").replace("/", ".")
