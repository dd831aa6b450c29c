"""Writes encodings into a float model as QuantizeLinear and DequantizeLinear, the one form in which
the importer takes quantized models.
"""

from __future__ import annotations

from typing import Any, Dict, List, NoReturn, Optional, Sequence, Set, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import Error, FormatError
from edgecv.onnx.encodings import Encoding
from edgecv.onnx.load import onnx, opset_of
from edgecv.onnx.qoperator import INTEGER_OPERATORS

from onnx import helper, numpy_helper  # isort: skip - load reports a missing onnx

Array = NDArray[Any]
_FLOATS = frozenset(
    (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
)  # fmt: skip


def apply_encodings(proto: Any, encodings: Sequence[Encoding], where: str) -> List[str]:
    """Changes the model in place; returns remarks.

    Raises FormatError with one line when an encoding names a tensor that the model does not have,
    or does not fit the tensor.
    """
    return _Writer(proto, where).run(encodings)


class _Writer:
    def __init__(self, proto: Any, where: str) -> None:
        self._graph = proto.graph
        self._where = where
        self._opset = opset_of(proto)
        self._constants = _constants(self._graph)
        self._readers: Dict[str, Tuple[Any, int]] = {}
        self._made: Set[str] = set()
        for node in self._graph.node:
            if node.op_type in INTEGER_OPERATORS:
                raise Error(
                    f"{where}: are for a float model; this one is quantized already (node "
                    f"{node.name or node.output[0]!r}, {node.op_type})"
                )
            self._made.update(node.output)
            for place, name in enumerate(node.input):
                self._readers.setdefault(name, (node, place))
        inputs = {item.name for item in self._graph.input}
        self._inputs = inputs - {tensor.name for tensor in self._graph.initializer}
        self._taken = self._made | inputs | set(self._constants)

    def run(self, encodings: Sequence[Encoding]) -> List[str]:
        known = self._made | self._inputs | set(self._constants)
        missing = [encoding.name for encoding in encodings if encoding.name not in known]
        if missing:
            listed = ", ".join(map(repr, missing[:3]))
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise FormatError(f"{self._where}: names tensors that the model lacks: {listed}{more}")
        first: List[Any] = []  # what is there before any node runs
        behind: Dict[str, List[Any]] = {}
        outputs = {item.name for item in self._graph.output}
        renamed: Dict[str, str] = {}  # what nodes read
        raw: Dict[str, str] = {}  # what nodes write
        wide: List[str] = []
        for encoding in encodings:
            name = encoding.name
            if encoding.bits > 8:
                wide.append(name)
            if name in self._constants:
                renamed[name] = self._parameter(encoding, self._constants[name], first)
            elif name in outputs and name in self._made:
                raw[name] = self._fresh(f"{name}.raw")
                behind[name] = self._rounding(encoding, raw[name], name)
            else:
                renamed[name] = self._fresh(f"{name}.real")
                nodes = self._rounding(encoding, name, renamed[name])
                if name in self._inputs:
                    first += nodes
                else:
                    behind[name] = nodes
        self._rewrite(first, behind, renamed, raw)
        if not wide:
            return []
        return [
            f"{len(wide)} encodings are of more than 8 bits ({wide[0]}, ...): weights have these "
            "steps, activations only their bounds; both are f32, or int8 by calibration"
        ]

    def _rewrite(
        self,
        first: List[Any],
        behind: Dict[str, List[Any]],
        renamed: Dict[str, str],
        raw: Dict[str, str],
    ) -> None:
        nodes = first
        for node in self._graph.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.input[:] = [renamed.get(name, name) for name in node.input]
            copy.output[:] = [raw.get(name, name) for name in node.output]
            nodes.append(copy)
            for name in node.output:
                nodes += behind.get(name, [])
        del self._graph.node[:]
        self._graph.node.extend(nodes)

    def _fail(self, encoding: Encoding, what: str) -> NoReturn:
        raise FormatError(f"{self._where}: the encoding of {encoding.name!r} {what}")

    def _fresh(self, base: str) -> str:
        name, count = base, 0
        while name in self._taken:
            count += 1
            name = f"{base}.{count}"
        self._taken.add(name)
        return name

    def _constant(self, base: str, array: Any) -> str:
        name = self._fresh(base)
        tensor = numpy_helper.from_array(np.array(array, order="C"), name)
        self._graph.initializer.append(tensor)
        return name

    def _parameters(self, encoding: Encoding) -> List[str]:
        """Scale and zero point as they stand in the model."""
        single = encoding.scale.size == 1 and not encoding.block
        form: Tuple[int, ...] = () if single else encoding.scale.shape
        dtype = np.int8 if encoding.bits <= 8 else np.int16
        name = encoding.name
        return [
            self._constant(f"{name}.scale", encoding.scale.reshape(form).astype(np.float32)),
            self._constant(f"{name}.zero_point", encoding.zero.reshape(form).astype(dtype)),
        ]

    # -- activations

    def _rounding(self, encoding: Encoding, x: str, y: str) -> List[Any]:
        """The nodes that round ``x`` to ``y``."""
        if encoding.scale.size != 1:
            self._fail(encoding, f"gives an activation {encoding.scale.size} scales")
        base, parameters = encoding.name, self._parameters(encoding)
        q = self._fresh(f"{base}.quantized")
        nodes = [helper.make_node("QuantizeLinear", [x, *parameters], [q], f"{q}.node")]
        if encoding.bits < 8:
            if self._opset < 12:
                self._fail(encoding, f"is of {encoding.bits} bits, which needs opset 12 or newer")
            ends = [self._constant(f"{base}.end", np.int8(end)) for end in encoding.bounds]
            cut = self._fresh(f"{base}.clipped")
            nodes.append(helper.make_node("Clip", [q, *ends], [cut], f"{cut}.node"))
            q = cut
        nodes.append(helper.make_node("DequantizeLinear", [q, *parameters], [y], f"{y}.node"))
        return nodes

    # -- parameters

    def _parameter(self, encoding: Encoding, tensor: Any, first: List[Any]) -> str:
        """The constant, rounded; returns its name."""
        name = encoding.name
        if tensor.data_type not in _FLOATS:
            self._fail(encoding, "is of integers")
        data = numpy_helper.to_array(tensor).astype(np.float64)
        axis = self._axis(encoding, data.ndim)
        scale, zero = (
            self._spread(encoding, each, data.shape, axis)
            for each in (encoding.scale.astype(np.float32).astype(np.float64), encoding.zero)
        )
        steps = np.clip(np.rint(data / scale) + zero, *encoding.bounds)
        if encoding.bits > 8:
            return self._constant(f"{name}.rounded", ((steps - zero) * scale).astype(np.float32))
        inputs = [self._constant(f"{name}.quantized", steps.astype(np.int8))]
        inputs += self._parameters(encoding)
        attrs: Dict[str, Any] = {} if encoding.scale.size == 1 else {"axis": axis}
        if encoding.block:
            attrs = {"axis": axis, "block_size": encoding.block}
        real = self._fresh(f"{name}.real")
        first.append(helper.make_node("DequantizeLinear", inputs, [real], f"{real}.node", **attrs))
        return real

    def _axis(self, encoding: Encoding, rank: int) -> int:
        """The axis that scales belong to: as given, else the output channels of its first reader.

        0.x and 1.0.0 leave it to the reader.
        """
        if encoding.scale.size == 1 and not encoding.block:
            return 0
        axis: Optional[int] = encoding.axis
        if axis is None:
            node, place = self._readers.get(encoding.name, (None, 0))
            kind = "" if node is None else node.op_type
            flags = {} if node is None else {attr.name: attr.i for attr in node.attribute}
            last = kind == "MatMul" and place == 1
            second = kind == "ConvTranspose" or (kind == "Gemm" and not flags.get("transB", 0))
            axis = rank - 1 if last else 1 if second and rank > 1 else 0
        if not -rank <= axis < rank:
            self._fail(encoding, f"belongs to axis {axis} of a tensor of rank {rank}")
        return axis % rank

    def _spread(self, encoding: Encoding, given: Array, shape: Tuple[int, ...], axis: int) -> Array:
        """Scales or zero points, broadcastable to the constant."""
        if encoding.block:
            blocks = list(shape)
            blocks[axis] = -(-shape[axis] // encoding.block)
            if list(given.shape) != blocks:
                self._fail(encoding, f"does not fit blocks of {encoding.block} on axis {axis}")
            return np.repeat(given, encoding.block, axis).take(range(shape[axis]), axis)
        if given.size == 1:
            return given.reshape((1,) * len(shape))
        if given.size != shape[axis]:
            self._fail(
                encoding,
                f"has {given.size} scales for the {shape[axis]} channels of axis {axis}",
            )
        return given.reshape([-1 if i == axis else 1 for i in range(len(shape))])


def _constants(graph: Any) -> Dict[str, Any]:
    """Constants by name, as TensorProtos."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            found.update(
                (node.output[0], attr.t) for attr in node.attribute if attr.name == "value"
            )
    return found
