"""Rewrites operators on integers (QLinearConv, MatMulInteger, com.microsoft's QLinear*) as
DequantizeLinear, the float operator and QuantizeLinear.

That is what they are defined to compute; afterwards a quantized model has one form.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NoReturn, Optional, Sequence, Set

import numpy as np

from edgecv.errors import FormatError, UnsupportedModelError
from edgecv.onnx.load import onnx

from onnx import helper, numpy_helper  # isort: skip - load reports a missing onnx

_DOMAINS = ("", "ai.onnx", "com.microsoft")


def expand_integer_operators(nodes: Sequence[Any], taken: Set[str], opset: int) -> List[Any]:
    """The nodes, in order, with every operator on integers that is known rewritten.

    taken: names of all values, added to.
    """
    result: List[Any] = []
    for node in nodes:
        rule = _RULES.get(node.op_type) if node.domain in _DOMAINS else None
        if rule is None:
            result.append(node)
            continue
        writer = _Writer(node, taken, opset)
        rule(writer)
        result += writer.nodes
    return result


class _Writer:
    """Writes the nodes that stand for one."""

    def __init__(self, node: Any, taken: Set[str], opset: int) -> None:
        self.node = node
        self.nodes: List[Any] = []
        self.opset = opset
        self._taken = taken
        self.attrs: Dict[str, Any] = {
            attr.name: helper.get_attribute_value(attr) for attr in node.attribute
        }

    @property
    def name(self) -> str:
        """The node's name, that of its output when it has none."""
        return str(self.node.name or self.node.output[0])

    def input(self, index: int) -> str:
        """Input ``index``, which must be there."""
        name = self.optional(index)
        if not name:
            raise FormatError(
                f"node {self.name!r} ({self.node.op_type}) has no input {index}, which it needs"
            )
        return name

    def refuse(self, why: str) -> NoReturn:
        """Raises UnsupportedModelError."""
        raise UnsupportedModelError(f"node {self.name!r}: {self.node.op_type} {why}")

    def optional(self, index: int) -> str:
        """Input ``index``, ``""`` when absent."""
        return str(self.node.input[index]) if index < len(self.node.input) else ""

    def fresh(self, base: str) -> str:
        """A free value name."""
        name, count = base, 0
        while name in self._taken:
            count += 1
            name = f"{base}.{count}"
        self._taken.add(name)
        return name

    def emit(
        self, op: str, inputs: Sequence[str], output: str, name: str = "", **attrs: Any
    ) -> str:
        """Adds a node; returns its output."""
        self.nodes.append(
            helper.make_node(op, list(inputs), [output], name=name or f"{output}.{op}", **attrs)
        )
        return output

    def constant(self, base: str, array: Any) -> str:
        """Adds a constant."""
        output = self.fresh(f"{self.name}.{base}")
        return self.emit("Constant", [], output, value=numpy_helper.from_array(array, output))

    def real(self, x: str, scale: str, zero: str, axis: Optional[int] = None) -> str:
        """What an integer tensor stands for."""
        attrs: Dict[str, Any] = {} if axis is None else {"axis": axis}
        inputs = [x, scale, zero] if zero else [x, scale]
        return self.emit("DequantizeLinear", inputs, self.fresh(f"{x}.real"), **attrs)

    def operand(self, index: int, axis: Optional[int] = None) -> str:
        """The operand whose tensor, scale and zero point are the inputs from ``index`` on."""
        return self.real(self.input(index), self.input(index + 1), self.optional(index + 2), axis)

    def compute(self, op: str, inputs: Sequence[str], scale: str, zero: str, **attrs: Any) -> None:
        """The float operator, under the node's name, and its result as integers."""
        output = str(self.node.output[0])
        if not scale:
            self.emit(op, inputs, output, self.name, **attrs)
            return
        result = self.emit(op, inputs, self.fresh(f"{output}.real"), self.name, **attrs)
        self.emit("QuantizeLinear", [result, scale, zero] if zero else [result, scale], output)

    def kept(self, *names: str) -> Dict[str, Any]:
        """The attributes of these names that the node has."""
        return {name: self.attrs[name] for name in names if name in self.attrs}


_WINDOW = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")


def _bias(w: _Writer, index: int, first: str, second: str) -> List[str]:
    """The s32 bias at the product of two scales, nothing when absent."""
    name = w.optional(index)
    if not name:
        return []
    scale = w.emit("Mul", [first, second], w.fresh(f"{w.name}.bias_scale"))
    flat = w.constant("flat", np.array([-1], np.int64))
    scale = w.emit("Reshape", [scale, flat], w.fresh(f"{w.name}.bias_scales"))
    return [w.real(name, scale, "", 0)]


def _conv(w: _Writer) -> None:
    if w.attrs.get("channels_last", 0):
        w.refuse("with channels last is not supported")
    inputs = [w.operand(0), w.operand(3, 0)]
    inputs += _bias(w, 8, w.input(1), w.input(4))
    w.compute("Conv", inputs, w.input(6), w.optional(7), **w.kept(*_WINDOW))


def _matmul(w: _Writer) -> None:
    w.compute("MatMul", [w.operand(0), w.operand(3, -1)], w.input(6), w.optional(7))


def _gemm(w: _Writer) -> None:
    alpha = float(w.attrs.get("alpha", 1.0))
    axis = 0 if w.attrs.get("transB", 0) else 1
    inputs = [w.operand(0), w.operand(3, axis)]
    inputs += _bias(w, 6, w.input(1), w.input(4))
    attrs = {**w.kept("transA", "transB"), "alpha": alpha, "beta": alpha}
    w.compute("Gemm", inputs, w.optional(7), w.optional(8), **attrs)


def _unscaled(w: _Writer, index: int, zero: int, axis: Optional[int] = None) -> str:
    """An operand without a scale: as many ones as it has zero points."""
    if not w.optional(zero):
        return w.real(w.input(index), w.constant("one", np.array(1.0, np.float32)), "", axis)
    shape = w.emit("Shape", [w.input(zero)], w.fresh(f"{w.input(zero)}.shape"))
    one = numpy_helper.from_array(np.array([1.0], np.float32))
    ones = w.emit("ConstantOfShape", [shape], w.fresh(f"{w.input(zero)}.ones"), value=one)
    return w.real(w.input(index), ones, w.input(zero), axis)


def _conv_integer(w: _Writer) -> None:
    inputs = [_unscaled(w, 0, 2), _unscaled(w, 1, 3, 0)]
    w.compute("Conv", inputs, "", "", **w.kept(*_WINDOW))


def _matmul_integer(w: _Writer) -> None:
    w.compute("MatMul", [_unscaled(w, 0, 2), _unscaled(w, 1, 3, -1)], "", "")


def _dynamic(w: _Writer) -> None:
    """Stands for what it reads: its parameters are those of each picture, a file has none."""
    outputs = list(w.node.output)
    w.emit("Identity", [w.input(0)], outputs[0], w.name)
    for output, value in zip(outputs[1:], (np.array(1.0, np.float32), np.array(0, np.uint8))):
        if output:
            w.emit("Constant", [], output, value=numpy_helper.from_array(value, output))


def _binary(op: str) -> Callable[[_Writer], None]:
    return lambda w: w.compute(op, [w.operand(0), w.operand(3)], w.input(6), w.optional(7))


def _unary(op: str, *attrs: str) -> Callable[[_Writer], None]:
    return lambda w: w.compute(op, [w.operand(0)], w.input(3), w.optional(4), **w.kept(*attrs))


def _softmax(w: _Writer) -> None:
    opset = int(w.attrs.get("opset", w.opset))
    if (opset < 13) != (w.opset < 13):  # which flattens its axes
        w.refuse(f"of opset {opset} in a model of opset {w.opset} is not supported")
    _unary("Softmax", "axis")(w)


def _pool(op: str, *attrs: str) -> Callable[[_Writer], None]:
    def write(w: _Writer) -> None:
        if not w.attrs.get("channels_last", 0):
            _unary(op, *attrs)(w)
            return
        rank = len(w.attrs.get("kernel_shape", [1, 1])) + 2
        first = [0, rank - 1, *range(1, rank - 1)]
        x = w.emit("Transpose", [w.operand(0)], w.fresh(f"{w.name}.nchw"), perm=first)
        y = w.emit(op, [x], w.fresh(f"{w.name}.pooled"), w.name, **w.kept(*attrs))
        z = w.emit(
            "Transpose", [y], w.fresh(f"{w.name}.nhwc"), perm=[0, *range(2, rank), 1]
        )  # fmt: skip
        inputs = [z, w.input(3)] + ([w.optional(4)] if w.optional(4) else [])
        w.emit("QuantizeLinear", inputs, str(w.node.output[0]))

    return write


def _reduce_mean(w: _Writer) -> None:
    inputs, attrs = [w.operand(0)], w.kept("keepdims")
    axes = w.attrs.get("axes")
    if axes is not None and w.opset >= 18:
        inputs.append(w.constant("axes", np.array(list(axes), np.int64)))
    elif axes is not None:
        attrs["axes"] = list(axes)
    w.compute("ReduceMean", inputs, w.input(3), w.optional(4), **attrs)


def _concat(w: _Writer) -> None:
    inputs = [w.operand(index) for index in range(2, len(w.node.input), 3)]
    w.compute("Concat", inputs, w.input(0), w.optional(1), **w.kept("axis"))


def _standard(w: _Writer) -> None:
    """com.microsoft's form of 16 and 4 bits, from before ONNX had them."""
    node = onnx.NodeProto()
    node.CopyFrom(w.node)
    node.domain = ""
    w.nodes.append(node)


_POOL = ("auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides")
_RULES: Dict[str, Callable[[_Writer], None]] = {
    "QLinearConv": _conv,
    "QLinearMatMul": _matmul,
    "QGemm": _gemm,
    "ConvInteger": _conv_integer,
    "MatMulInteger": _matmul_integer,
    "DynamicQuantizeLinear": _dynamic,
    "QLinearAdd": _binary("Add"),
    "QLinearMul": _binary("Mul"),
    "QLinearSigmoid": _unary("Sigmoid"),
    "QLinearLeakyRelu": _unary("LeakyRelu", "alpha"),
    "QLinearSoftmax": _softmax,
    "QLinearGlobalAveragePool": _pool("GlobalAveragePool"),
    "QLinearAveragePool": _pool("AveragePool", *_POOL),
    "QLinearReduceMean": _reduce_mean,
    "QLinearConcat": _concat,
    "QuantizeLinear": _standard,
    "DequantizeLinear": _standard,
}

# Operators of quantized models, by their type.
INTEGER_OPERATORS = frozenset(_RULES)
