"""TFLite -> ONNX: the translator's tensors; the operators' forms are in :mod:`edgecv.tflite.ops`.

Rank 4 is NCHW in the ONNX model, its inputs and outputs included. Quantized tensors go through
QuantizeLinear and DequantizeLinear with the file's scales and zero points, and operators compute on
real numbers between them: the one form in which the importer takes quantized models.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import FormatError, UnsupportedModelError
from edgecv.onnx.load import onnx
from edgecv.tflite.reader import Operator, Quantization, Tensor, TfliteModel, read_model

# 21 has DequantizeLinear and QuantizeLinear of 16 bits.
OPSET, IR_VERSION = 21, 10
TO_NCHW, TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)
_T = onnx.TensorProto
_CODES: Dict[str, Any] = {"INT8": np.int8, "UINT8": np.uint8, "INT16": np.int16}
Array = NDArray[Any]


def translate(data: bytes, where: str) -> Any:
    """Returns the ModelProto of a TFLite file.

    Raises FormatError for a damaged file, UnsupportedModelError naming the operators that have no
    form here.
    """
    return Translator(read_model(data, where), where).run()


class Translator:
    """Builds the ONNX graph of a TFLite model."""

    def __init__(self, model: TfliteModel, where: str) -> None:
        self.model = model
        self.where = where
        self._nodes: List[Any] = []
        self._initializers: List[Any] = []
        self._names: Set[str] = {""}
        # tensor -> the real tensor that stands for it, with its axes as in the file, or as NCHW
        self._stored: Dict[int, str] = {}
        self._planar: Dict[int, str] = {}

    def run(self) -> Any:
        """The ModelProto."""
        from edgecv.tflite.ops import FORMS, read_inputs

        self._unpack_constants()
        operators = self._needed(read_inputs)
        unknown = [op for op in operators if op.code not in FORMS]
        if unknown:
            listed = []
            for code in dict.fromkeys(op.code for op in unknown):
                places = [op.index for op in unknown if op.code == code]
                more = f" and {len(places) - 1} more" if len(places) > 1 else ""
                listed.append(f"operator {places[0]} ({code}){more}")
            raise UnsupportedModelError(f"{self.where}: not supported: {', '.join(listed)}")
        for index in (*self.model.inputs, *self.model.outputs):
            self._names.add(self.port_name(index))
        inputs = [self._input(index) for index in self.model.inputs]
        for op in operators:
            for index in read_inputs(op):
                if not self._is_known(index):
                    raise self.broken(
                        op, f"reads {self.port_name(index)!r}, which nothing computes before"
                    )
            FORMS[op.code](self, op)
        outputs = [self._output(index) for index in self.model.outputs]
        graph = onnx.helper.make_graph(
            self._nodes, self.model.name or "tflite", inputs, outputs, self._initializers
        )
        return onnx.helper.make_model(
            graph,
            opset_imports=[onnx.helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="tflite",
        )

    def _unpack_constants(self) -> None:
        """Lets Dequantize and Densify of constants, as of 16-bit weights, be constants."""
        tensors, left = self.model.tensors, []
        for op in self.model.operators:
            source = tensors[op.inputs[0]] if len(op.inputs) == 1 and op.inputs[0] >= 0 else None
            if (
                op.code not in ("DEQUANTIZE", "DENSIFY")
                or source is None
                or source.data is None
                or len(op.outputs) != 1
                or tensors[op.outputs[0]].shape != source.shape
            ):
                left.append(op)
                continue
            target = tensors[op.outputs[0]]
            target.data, target.dtype = source.data, source.dtype
            target.quantization = source.quantization
        self.model.operators = left

    def _needed(self, read_inputs: Any) -> List[Operator]:
        """The operators that the outputs depend on: not, say, those that compute the shape of a
        Reshape, which the file holds as well.
        """
        wanted, found = set(self.model.outputs), []
        for op in reversed(self.model.operators):
            if wanted.intersection(op.outputs):
                wanted.update(read_inputs(op))
                found.append(op)
        return found[::-1]

    def port_name(self, index: int) -> str:
        """The name of a graph input or output."""
        return self.model.tensors[index].name or f"tensor_{index}"

    def _input(self, index: int) -> Any:
        tensor, name = self.model.tensors[index], self.port_name(index)
        if tensor.dtype not in ("FLOAT32", *_CODES) or (
            tensor.dtype != "FLOAT32" and tensor.quantization is None
        ):
            raise UnsupportedModelError(
                f"{self.where}: input {name!r} is {tensor.dtype.lower()} without a scale"
            )
        self.define(index, name, planar=len(tensor.shape) == 4)
        return self._port(index, name)

    def _output(self, index: int) -> Any:
        tensor, name = self.model.tensors[index], self.port_name(index)
        if tensor.data is not None or not self._is_known(index):
            raise FormatError(f"{self.where}: the output {name!r} is never computed")
        real = self.planar(index) if len(tensor.shape) == 4 else self.stored(index)
        self._nodes.append(onnx.helper.make_node("Identity", [real], [name]))
        return self._port(index, name)

    def _is_known(self, index: int) -> bool:
        is_constant = self.model.tensors[index].data is not None
        return is_constant or index in self._stored or index in self._planar

    def _port(self, index: int, name: str) -> Any:
        shape: Sequence[int] = self.shape(index)
        if len(shape) == 4:
            shape = [shape[axis] for axis in TO_NCHW]
        return onnx.helper.make_tensor_value_info(name, _T.FLOAT, list(shape))

    # Building blocks

    def shape(self, index: int) -> Tuple[int, ...]:
        """The shape of a tensor as in the file."""
        return self.model.tensors[index].shape

    def fresh(self, base: str) -> str:
        """A name not used yet."""
        name, count = base or "tensor", 0
        while name in self._names:
            count += 1
            name = f"{base}.{count}"
        self._names.add(name)
        return name

    def constant(self, base: str, data: Any) -> str:
        """Adds an initializer."""
        name = self.fresh(base)
        self._initializers.append(onnx.numpy_helper.from_array(np.array(data, order="C"), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], base: str, **attrs: Any) -> str:
        """Adds a node; returns its output."""
        name = self.fresh(base)
        self._nodes.append(onnx.helper.make_node(kind, list(inputs), [name], name=name, **attrs))
        return name

    def base(self, op: Operator) -> str:
        """What the names of an operator's nodes begin with."""
        return f"{self.port_name(op.outputs[0])}/{op.code}"

    def fail(self, op: Operator, what: str) -> UnsupportedModelError:
        """An error that names the operator."""
        return UnsupportedModelError(f"{self.where}: operator {op.index} ({op.code}): {what}")

    def broken(self, op: Operator, what: str) -> FormatError:
        """An error that names the operator, for what contradicts itself."""
        return FormatError(f"{self.where}: operator {op.index} ({op.code}): {what}")

    # Tensors

    def tensor(self, op: Operator, place: int) -> int:
        """The index of an operator's input, which has to be there."""
        if place >= len(op.inputs) or op.inputs[place] < 0:
            raise self.broken(op, f"has no input {place}")
        return op.inputs[place]

    def integers(self, op: Operator, place: int) -> List[int]:
        """A constant input of integers."""
        data = self.model.tensors[self.tensor(op, place)].data
        if data is None or data.dtype.kind != "i":
            raise self.fail(op, f"its input {place} is not constant integers")
        return [int(value) for value in data.reshape(-1)]

    def stored(self, index: int) -> str:
        """The real tensor with its axes as in the file."""
        if index not in self._stored:
            if self.model.tensors[index].data is not None:
                self._stored[index] = self.real_constant(index)
            else:
                name = self.port_name(index)
                self._stored[index] = self.node(
                    "Transpose", [self._planar[index]], f"{name}/stored", perm=TO_NHWC
                )
        return self._stored[index]

    def planar(self, index: int) -> str:
        """The real tensor of rank 4 as NCHW."""
        if index not in self._planar:
            if self.model.tensors[index].data is not None:
                self._planar[index] = self.real_constant(index, TO_NCHW)
            else:
                name = self.port_name(index)
                self._planar[index] = self.node(
                    "Transpose", [self._stored[index]], f"{name}/planar", perm=TO_NCHW
                )
        return self._planar[index]

    def is_planar(self, index: int) -> bool:
        """Whether the tensor is there as NCHW, without a Transpose."""
        return index in self._planar or self.model.tensors[index].data is not None

    def real_constant(
        self, index: int, order: Optional[Sequence[int]] = None, rank: int = 0
    ) -> str:
        """The real numbers of a constant, with its axes in another order, first made of ``rank``.

        Integers stay integers, behind a DequantizeLinear.
        """
        tensor = self.model.tensors[index]
        data = tensor.data
        assert data is not None
        extra = max(0, rank - data.ndim)
        data = data.reshape((1,) * extra + data.shape)
        order = list(range(data.ndim)) if order is None else list(order)
        data = data.transpose(order)
        if data.dtype == np.float16:
            data = data.astype(np.float32)
        if data.dtype == np.float32:
            return self.constant(tensor.name, data)
        given = tensor.quantization
        if given is None or data.dtype.kind not in "iu":
            raise UnsupportedModelError(
                f"{self.where}: {tensor.name!r} is {tensor.dtype.lower()} without a scale"
            )
        axis = order.index(given.axis + extra) if given.scale.size > 1 else 0
        if data.dtype.itemsize > 4:  # the bias of 16-bit activations
            wide = [1] * data.ndim
            wide[axis] = -1
            spread = given.scale.reshape(wide) if given.scale.size > 1 else given.scale
            return self.constant(tensor.name, (data * spread.astype(np.float64)).astype(np.float32))
        scale, zero = self._parameters(tensor.name, given, data.dtype)
        q = self.constant(tensor.name, data)
        attrs = {"axis": axis} if given.scale.size > 1 else {}
        return self.node("DequantizeLinear", [q, scale, zero], f"{tensor.name}/real", **attrs)

    def _parameters(self, name: str, given: Quantization, dtype: Any) -> Tuple[str, str]:
        kind = np.iinfo(dtype)
        if ((given.zero < kind.min) | (given.zero > kind.max)).any():
            raise FormatError(f"{self.where}: {name!r} has a zero point beyond its type")
        form = () if given.scale.size == 1 else (-1,)
        scale = self.constant(f"{name}/scale", given.scale.reshape(form))
        return scale, self.constant(f"{name}/zero_point", given.zero.astype(dtype).reshape(form))

    def is_same_code(self, first: int, second: int) -> bool:
        """Whether two tensors have the same steps, as signed or unsigned integers."""
        codes = []
        for index in (first, second):
            tensor = self.model.tensors[index]
            given = tensor.quantization
            if given is None or given.scale.size != 1 or tensor.dtype not in ("INT8", "UINT8"):
                return False
            shift = 128 if tensor.dtype == "UINT8" else 0
            codes.append((float(given.scale[0]), int(given.zero[0]) - shift))
        return codes[0] == codes[1]

    def alias(self, index: int, name: str, planar: bool) -> None:
        """Makes a real tensor that of the file as it is."""
        if index in self._stored or index in self._planar:
            raise FormatError(f"{self.where}: {self.port_name(index)!r} is computed twice")
        (self._planar if planar else self._stored)[index] = name

    def define(self, index: int, name: str, planar: bool = False) -> None:
        """Makes a real tensor that of the file, rounded as the file says."""
        tensor = self.model.tensors[index]
        if tensor.dtype in _CODES:
            name = self._rounded(index, tensor, name)
        elif tensor.dtype != "FLOAT32":
            raise UnsupportedModelError(
                f"{self.where}: {self.port_name(index)!r} is computed {tensor.dtype.lower()}"
            )
        self.alias(index, name, planar)

    def _rounded(self, index: int, tensor: Tensor, name: str) -> str:
        given, base = tensor.quantization, self.port_name(index)
        if given is None or given.scale.size != 1:
            raise UnsupportedModelError(
                f"{self.where}: {base!r} is {tensor.dtype.lower()} and has no scale, or several"
            )
        parameters = self._parameters(base, given, _CODES[tensor.dtype])
        q = self.node("QuantizeLinear", [name, *parameters], base)
        return self.node("DequantizeLinear", [q, *parameters], f"{base}/real")

    def finish(self, op: Operator, name: str, planar: bool = False) -> None:
        """Makes a real tensor the operator's output, behind its fused activation."""
        kind = op.options.get("FusedActivationFunction", 0)
        if kind not in _CLAMPS:
            raise self.fail(op, f"fused activation {kind} is not supported")
        self.define(op.outputs[0], self.clamp(name, _CLAMPS[kind], self.base(op)), planar)

    def clamp(self, name: str, ends: Tuple[Optional[float], Optional[float]], base: str) -> str:
        """The tensor within ends."""
        if ends == (None, None):
            return name
        if ends == (0.0, None):
            return self.node("Relu", [name], f"{base}/relu")
        bounds = [self.constant(f"{base}/end", np.float32(end)) for end in ends]
        return self.node("Clip", [name, *bounds], f"{base}/clip")


# The schema's ActivationFunctionType: NONE, RELU, RELU_N1_TO_1, RELU6.
_CLAMPS: Dict[int, Tuple[Optional[float], Optional[float]]] = {
    0: (None, None),
    1: (0.0, None),
    2: (-1.0, 1.0),
    3: (0.0, 6.0),
}
