"""Lowered int8 graph -> ONNX model in QDQ form: float ops between DequantizeLinear and
QuantizeLinear, which other runtimes turn into their own integer kernels.

Activations are u8 (zero point + 128), weights s8 with a scale a channel, biases s32. Scales of
weights are such that the multiplier a runtime derives from them is the file's own, bit for bit.
Tensors of rank 4 are NCHW.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import Error
from edgecv.graph.ir import Graph, Node, Value
from edgecv.onnx.load import onnx

OPSET, IR_VERSION = 17, 8
_T = onnx.TensorProto
_KINDS = {"f32": _T.FLOAT, "s8": _T.FLOAT, "s32": _T.INT32, "s64": _T.INT64}
TO_NCHW, TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)
Array = NDArray[Any]


def export_qdq(
    model: Union[str, os.PathLike[str], bytes], out: Union[str, os.PathLike[str]]
) -> Any:
    """Writes an `.ecv` file (path or bytes) as an ONNX model in QDQ form; returns the ModelProto.

    Raises Error when an op has no ONNX form, naming it.
    """
    from edgecv.format.reader import read
    from edgecv.format.to_graph import to_graph

    blob = model if isinstance(model, bytes) else Path(model).read_bytes()
    proto = Exporter(to_graph(read(blob))).export()
    onnx.checker.check_model(proto)
    Path(out).write_bytes(proto.SerializeToString())
    return proto


class Exporter:
    """Builds the ONNX graph of a lowered graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: List[Any] = []
        self._constants: Dict[str, Any] = {}
        self._names = {port.name for port in (*graph.inputs, *graph.outputs)}
        self._real: Dict[str, str] = {}  # value -> its float (or integer) tensor, rank 4 as NCHW
        self._stored: Dict[str, str] = {}

    def export(self) -> Any:
        """The ModelProto."""
        from edgecv.onnx.qdq_ops import FORMS

        for port in self.graph.inputs:
            value = self.graph.values[port.value]
            order = _canonical(len(value.shape))
            # API axis i is stored axis perm[i]; the tensor's axis j is stored axis order[j].
            perm = [port.perm.index(axis) for axis in order]
            self.define_tensor(value, self.transpose(port.name, perm, value.name))
        for node in self.graph.nodes:
            form = FORMS.get(node.op)
            if form is None:
                raise Error(f"node {node.name!r}: {node.op} has no form in ONNX")
            form(self, node)
        outputs = [self._output(port) for port in self.graph.outputs]
        inputs = [
            onnx.helper.make_tensor_value_info(port.name, _T.FLOAT, list(port.shape))
            for port in self.graph.inputs
        ]
        proto = onnx.helper.make_graph(
            self.nodes, self.graph.name or "edgecv", inputs, outputs,
            initializer=list(self._constants.values()),
        )  # fmt: skip
        return onnx.helper.make_model(
            proto,
            opset_imports=[onnx.helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="edgecv",
        )

    def _output(self, port: Any) -> Any:
        value = self.graph.values[port.value]
        order = _canonical(len(value.shape))
        perm = [order.index(axis) for axis in port.perm]
        name = self.real(value.name)
        if perm == list(range(len(perm))):
            self.nodes.append(onnx.helper.make_node("Identity", [name], [port.name]))
        else:
            self.nodes.append(onnx.helper.make_node("Transpose", [name], [port.name], perm=perm))
        return onnx.helper.make_tensor_value_info(port.name, _KINDS[value.dtype], list(port.shape))

    # Building blocks

    def fresh(self, base: str) -> str:
        """A tensor name not used yet."""
        name, count = base, 0
        while name in self._names:
            count += 1
            name = f"{base}.{count}"
        self._names.add(name)
        return name

    def constant(self, base: str, data: Any) -> str:
        """Adds an initializer."""
        name = self.fresh(base)
        self._constants[name] = onnx.numpy_helper.from_array(np.ascontiguousarray(data), name)
        return name

    def scalar(self, base: str, data: Any) -> str:
        """Adds an initializer of rank 0."""
        name = self.fresh(base)
        self._constants[name] = onnx.numpy_helper.from_array(np.asarray(data), name)
        return name

    def op(self, op: str, inputs: Sequence[str], base: str, **attrs: Any) -> str:
        """Adds a node; returns its output."""
        name = self.fresh(base)
        self.nodes.append(onnx.helper.make_node(op, list(inputs), [name], name=name, **attrs))
        return name

    def transpose(self, name: str, perm: Sequence[int], base: str) -> str:
        """The tensor with its axes permuted, itself where nothing moves."""
        if list(perm) == list(range(len(perm))):
            return name
        return self.op("Transpose", [name], f"{base}.transposed", perm=list(perm))

    def data(self, name: str) -> Array:
        """The array of a constant."""
        data = self.graph.values[name].data
        assert data is not None
        return data

    # Values

    def real(self, name: str) -> str:
        """The float tensor of a value; rank 4 is NCHW. Constants become initializers."""
        if name not in self._real:
            value = self.graph.values[name]
            assert value.data is not None
            data = value.data
            data = data.transpose(TO_NCHW) if data.ndim == 4 else data
            self._real[name] = self._dequantized_constant(value, data)
        return self._real[name]

    def _dequantized_constant(self, value: Value, data: Array) -> str:
        if value.dtype != "s8":
            return self.constant(value.name, data)
        q = self.constant(f"{value.name}.u8", (data.astype(np.int16) + 128).astype(np.uint8))
        return self.op("DequantizeLinear", [q, *self._parameters(value)], f"{value.name}.real")

    def stored(self, name: str) -> str:
        """The float tensor of a value with its axes as in the file."""
        if name not in self._stored:
            rank = len(self.graph.values[name].shape)
            perm = TO_NHWC if rank == 4 else tuple(range(rank))
            self._stored[name] = self.transpose(self.real(name), perm, name)
        return self._stored[name]

    def operand(self, name: str, rank: int) -> str:
        """A value as an operand of an elementwise op whose result has ``rank`` axes."""
        value = self.graph.values[name]
        if value.data is not None and rank == 4 and len(value.shape) < 4:
            data = value.data.reshape((1,) * (4 - value.data.ndim) + value.data.shape)
            return self._dequantized_constant(value, data.transpose(TO_NCHW))
        if rank == 4 and len(value.shape) < 4:
            shape = (1,) * (4 - len(value.shape)) + value.shape
            wide = self.reshape(self.stored(name), shape, name)
            return self.transpose(wide, TO_NCHW, name)
        return self.real(name)

    def reshape(self, name: str, shape: Sequence[int], base: str) -> str:
        """The tensor with other dims."""
        wanted = self.constant(f"{base}.shape", np.asarray(shape, np.int64))
        return self.op("Reshape", [name, wanted], f"{base}.reshaped")

    def _parameters(self, value: Value) -> Tuple[str, str]:
        """Scale and zero point of an s8 value as u8."""
        scale = self.scalar(f"{value.name}.scale", np.float32(value.scale))
        zero = self.scalar(f"{value.name}.zero_point", np.uint8(value.zero_point + 128))
        return scale, zero

    def define_tensor(
        self, value: Value, name: str, clamp: Optional[Tuple[int, int]] = None
    ) -> None:
        """Makes a float tensor (NCHW when of rank 4) a value; an s8 value is quantized, within
        ``clamp``.
        """
        if value.dtype != "s8":
            self._real[value.name] = name
            return
        low, high = clamp or (-128, 127)
        if low > -128 or high < 127:
            # Ends in the middle of their steps: a runtime's own rounding decides the same.
            ends = [
                self.scalar(f"{value.name}.end", np.float32((end - value.zero_point) * value.scale))
                for end in (low, high)
            ]
            name = self.op("Clip", [name, *ends], f"{value.name}.clipped")
        parameters = self._parameters(value)
        q = self.op("QuantizeLinear", [name, *parameters], f"{value.name}.u8")
        self._real[value.name] = self.op("DequantizeLinear", [q, *parameters], value.name)

    def define(self, node: Node, name: str) -> None:
        """Makes a float tensor the output of a node, with the clamp fused into the node."""
        value = self.graph.values[node.outputs[0]]
        low, high = node.attrs.get("lo", -np.inf), node.attrs.get("hi", np.inf)
        if value.dtype == "s8":
            both = np.isfinite(low) and np.isfinite(high)
            self.define_tensor(value, name, (int(low), int(high)) if both else None)
            return
        if node.op != "ArgMax" and (np.isfinite(low) or np.isfinite(high)):
            ends = ["", ""]
            for i, end in enumerate((low, high)):
                if np.isfinite(end):
                    ends[i] = self.scalar(f"{value.name}.end", np.float32(end))
            name = self.op("Clip", [name, *ends], f"{value.name}.clipped")
        self.define_tensor(value, name)

    def define_stored(self, node: Node, name: str) -> None:
        """The same for a tensor with its axes as in the file."""
        rank = len(self.graph.values[node.outputs[0]].shape)
        perm = TO_NCHW if rank == 4 else tuple(range(rank))
        self.define(node, self.transpose(name, perm, node.outputs[0]))

    def define_u8(self, value: Value, name: str) -> None:
        """Makes a u8 tensor an s8 value."""
        self._real[value.name] = self.op(
            "DequantizeLinear", [name, *self._parameters(value)], value.name
        )


def _canonical(rank: int) -> List[int]:
    """The stored axis behind each axis of a tensor."""
    return list(TO_NCHW) if rank == 4 else list(range(rank))


def weight_scale(m: NDArray[np.float32], x: Value, y: Value) -> NDArray[np.float32]:
    """The scales for which f32(f32(s_x * s) / s_y) is the multiplier, bit for bit.

    One exists where the converter made the multiplier from a scale; else the nearest is taken.
    """
    sx, sy = np.float32(x.scale), np.float32(y.scale)
    guess = np.asarray(m.astype(np.float64) * float(sy) / float(sx), np.float32)
    best = guess.copy()
    found = ((sx * guess).astype(np.float32) / sy).astype(np.float32) == m
    down = up = guess
    for _ in range(8):
        down, up = np.nextafter(down, np.float32(0)), np.nextafter(up, np.float32(np.inf))
        for near in (down, up):
            fits = ((sx * near).astype(np.float32) / sy).astype(np.float32) == m
            best[fits & ~found] = near[fits & ~found]
            found |= fits
    return best
