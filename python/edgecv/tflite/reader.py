"""Reads a TFLite flatbuffer into plain records, checked against each other.

All that the file says is read here, so that a damaged file fails here: the schema's generated code
raises whatever comes to its mind on one.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import Error, FormatError
from edgecv.tflite.sparse import Axis, densify

Array = NDArray[Any]
IDENTIFIER = b"TFL3"
# What generated code and numpy raise on damaged bytes.
_DAMAGE = (
    struct.error, IndexError, KeyError, ValueError, TypeError, AttributeError, OverflowError,
    MemoryError,
)  # fmt: skip
_DTYPES: Dict[str, Any] = {
    "FLOAT32": np.float32, "FLOAT16": np.float16, "INT8": np.int8, "UINT8": np.uint8,
    "INT16": np.int16, "INT32": np.int32, "INT64": np.int64, "BOOL": np.bool_,
}  # fmt: skip
_WINDOW = "Padding StrideH StrideW FusedActivationFunction"
_ACTIVATION = "FusedActivationFunction"
# The options that an op's meaning depends on: table and fields of the schema.
_OPTIONS = {
    "CONV_2D": ("Conv2DOptions", f"{_WINDOW} DilationHFactor DilationWFactor"),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", f"{_WINDOW} DilationHFactor DilationWFactor"),
    "AVERAGE_POOL_2D": ("Pool2DOptions", f"{_WINDOW} FilterHeight FilterWidth"),
    "MAX_POOL_2D": ("Pool2DOptions", f"{_WINDOW} FilterHeight FilterWidth"),
    "FULLY_CONNECTED": ("FullyConnectedOptions", f"{_ACTIVATION} WeightsFormat"),
    "ADD": ("AddOptions", _ACTIVATION),
    "SUB": ("SubOptions", _ACTIVATION),
    "MUL": ("MulOptions", _ACTIVATION),
    "DIV": ("DivOptions", _ACTIVATION),
    "MEAN": ("ReducerOptions", "KeepDims"),
    "SOFTMAX": ("SoftmaxOptions", "Beta"),
    "LEAKY_RELU": ("LeakyReluOptions", "Alpha"),
    "DEPTH_TO_SPACE": ("DepthToSpaceOptions", "BlockSize"),
    "SPACE_TO_DEPTH": ("SpaceToDepthOptions", "BlockSize"),
    "TRANSPOSE_CONV": ("TransposeConvOptions", _WINDOW),
    "CONCATENATION": ("ConcatenationOptions", f"Axis {_ACTIVATION}"),
    "RESIZE_BILINEAR": ("ResizeBilinearOptions", "AlignCorners HalfPixelCenters"),
    "RESIZE_NEAREST_NEIGHBOR": ("ResizeNearestNeighborOptions", "AlignCorners HalfPixelCenters"),
    "STRIDED_SLICE": (
        "StridedSliceOptions",
        "BeginMask EndMask EllipsisMask NewAxisMask ShrinkAxisMask Offset",
    ),
}
TRANSPOSE_CONV_BIAS = "CUSTOM Convolution2DTransposeBias"
# A table without fields: every getter gives its default.
_NO_FIELDS = bytes((4, 0, 4, 0, 4, 0, 0, 0))


@dataclass
class Quantization:
    """Scales and zero points, one or one an index of ``axis``."""

    scale: Array
    zero: Array
    axis: int


@dataclass
class Tensor:
    """A tensor; ``data`` when it is constant."""

    name: str
    shape: Tuple[int, ...]
    dtype: str
    data: Optional[Array] = None
    quantization: Optional[Quantization] = None


@dataclass
class Operator:
    """An operator; -1 stands for an input left out."""

    code: str
    index: int
    inputs: List[int]
    outputs: List[int]
    options: Dict[str, Any] = field(default_factory=dict)


@dataclass
class TfliteModel:
    """The main subgraph of a file."""

    name: str
    tensors: List[Tensor]
    operators: List[Operator]
    inputs: List[int]
    outputs: List[int]


def is_tflite(data: bytes) -> bool:
    """Whether the bytes begin as a TFLite flatbuffer, whatever its file is called."""
    return data[4:8] == IDENTIFIER


def read_model(data: bytes, where: str) -> TfliteModel:
    """Returns what the file holds; raises FormatError when it is damaged."""
    try:
        import tflite
    except ImportError as error:
        raise Error(
            f"{where}: reading TFLite needs the tflite package: pip install edgecv[convert]"
        ) from error
    try:
        return _Reader(tflite, data, where).read()
    except _DAMAGE as error:
        raise FormatError(f"{where}: is a damaged or truncated TFLite file") from error


class _Reader:
    def __init__(self, schema: Any, data: bytes, where: str) -> None:
        self._schema = schema
        self._model = schema.Model.GetRootAs(data, 0)
        self._where = where
        self._types = _names(schema.TensorType)
        self._codes = _names(schema.BuiltinOperator)
        self._table_names = _names(schema.BuiltinOptions)

    def read(self) -> TfliteModel:
        model = self._model
        if model.SubgraphsLength() < 1:
            raise FormatError(f"{self._where}: holds no graph")
        graph = model.Subgraphs(0)
        tensors = [self._tensor(graph.Tensors(i)) for i in range(graph.TensorsLength())]
        operators = [self._operator(graph.Operators(i), i) for i in range(graph.OperatorsLength())]
        inputs, outputs = (
            [int(item(i)) for i in range(count)]
            for item, count in (
                (graph.Inputs, graph.InputsLength()), (graph.Outputs, graph.OutputsLength()),
            )
        )  # fmt: skip
        named = [*inputs, *outputs, *(i for op in operators for i in op.outputs)]
        read = [i for op in operators for i in op.inputs if i != -1]
        if not outputs or any(not 0 <= i < len(tensors) for i in (*named, *read)):
            raise FormatError(f"{self._where}: is damaged: it names tensors that it does not hold")
        return TfliteModel(_text(graph.Name()), tensors, operators, inputs, outputs)

    def _tensor(self, table: Any) -> Tensor:
        name = _text(table.Name())
        shape = tuple(int(table.Shape(i)) for i in range(table.ShapeLength()))
        if any(dim < 0 for dim in shape):
            raise FormatError(f"{self._where}: tensor {name!r} has the shape {list(shape)}")
        dtype = self._types[table.Type()]
        buffer = self._model.Buffers(table.Buffer())
        data: Optional[Array] = None
        if buffer is not None and buffer.DataLength() and dtype in (*_DTYPES, "INT4"):
            raw = np.asarray(buffer.DataAsNumpy(), np.uint8).tobytes()
            data = self._data(table, raw, shape, dtype, name)
            dtype = "INT8" if dtype == "INT4" else dtype
        return Tensor(name, shape, dtype, data, self._quantization(table, shape, name))

    def _data(self, table: Any, raw: bytes, shape: Tuple[int, ...], dtype: str, name: str) -> Array:
        sparsity = table.Sparsity()
        if dtype == "INT4":
            values = unpack_int4(raw)
            if sparsity is None:
                values = values[: int(np.prod(shape))]
        else:
            values = np.frombuffer(raw, np.dtype(_DTYPES[dtype]).newbyteorder("<"))
        if sparsity is not None:
            return densify(values, shape, *self._axes(sparsity))
        if values.size != int(np.prod(shape)):
            raise FormatError(
                f"{self._where}: is damaged: tensor {name!r} of shape {list(shape)} has "
                f"{values.size} values"
            )
        return values.reshape(shape)

    def _axes(self, table: Any) -> Tuple[List[int], List[int], List[Axis]]:
        order = [int(table.TraversalOrder(i)) for i in range(table.TraversalOrderLength())]
        blocks = [int(table.BlockMap(i)) for i in range(table.BlockMapLength())]
        axes = []
        for i in range(table.DimMetadataLength()):
            entry = table.DimMetadata(i)
            if entry.Format() == self._schema.DimensionType.DENSE:
                axes.append(Axis(int(entry.DenseSize())))
            else:
                segments = self._indices(entry.ArraySegmentsType(), entry.ArraySegments())
                indices = self._indices(entry.ArrayIndicesType(), entry.ArrayIndices())
                axes.append(Axis(0, segments, indices))
        return order, blocks, axes

    def _indices(self, kind: int, table: Any) -> Array:
        """A vector of indices, which the schema stores in one of three widths."""
        names = _names(self._schema.SparseIndexVector)
        vector = getattr(self._schema, names[kind])()
        vector.Init(table.Bytes, table.Pos)
        return np.array([vector.Values(i) for i in range(vector.ValuesLength())], np.int64)

    def _quantization(
        self, table: Any, shape: Tuple[int, ...], name: str
    ) -> Optional[Quantization]:
        entry = table.Quantization()
        if entry is None or not entry.ScaleLength():
            return None
        scale = np.array([entry.Scale(i) for i in range(entry.ScaleLength())], np.float32)
        zero = np.array([entry.ZeroPoint(i) for i in range(entry.ZeroPointLength())], np.int64)
        axis = int(entry.QuantizedDimension())
        if zero.size not in (0, 1, scale.size) or (
            scale.size > 1 and not (0 <= axis < len(shape) and shape[axis] == scale.size)
        ):
            raise FormatError(
                f"{self._where}: tensor {name!r}: scales, zero points and shape do not fit"
            )
        if not np.all(np.isfinite(scale) & (scale > 0)):
            raise FormatError(f"{self._where}: tensor {name!r} has a scale that is not above 0")
        zeros = np.zeros(scale.size, np.int64)
        zeros[...] = zero if zero.size else 0
        return Quantization(scale, zeros, axis if scale.size > 1 else 0)

    def _operator(self, table: Any, index: int) -> Operator:
        entry = self._model.OperatorCodes(table.OpcodeIndex())
        number = max(entry.DeprecatedBuiltinCode(), entry.BuiltinCode())
        code = self._codes.get(number, f"operator code {number}")
        if code == "CUSTOM":
            code = f"CUSTOM {_text(entry.CustomCode())}"
        inputs = [int(table.Inputs(i)) for i in range(table.InputsLength())]
        outputs = [int(table.Outputs(i)) for i in range(table.OutputsLength())]
        return Operator(code, index, inputs, outputs, self._options(table, code, index))

    def _options(self, table: Any, code: str, index: int) -> Dict[str, Any]:
        if code == TRANSPOSE_CONV_BIAS:
            raw = np.asarray(table.CustomOptionsAsNumpy(), np.uint8).tobytes()
            return custom_options(code, raw)
        if code not in _OPTIONS:
            return {}
        name, fields = _OPTIONS[code]
        options = getattr(self._schema, name)()
        given = self._table_names.get(table.BuiltinOptionsType(), "NONE")
        union = table.BuiltinOptions()
        if union is None or given == "NONE":
            options.Init(_NO_FIELDS, 4)
        elif given == name:
            options.Init(union.Bytes, union.Pos)
        else:
            raise FormatError(f"{self._where}: operator {index} ({code}) has {given}")
        return {field: getattr(options, field)() for field in fields.split()}


def custom_options(code: str, raw: bytes) -> Dict[str, Any]:
    """The options of an operator of MediaPipe, which stores them as C has them in memory."""
    assert code == TRANSPOSE_CONV_BIAS
    padding, width, height = struct.unpack_from("<iii", raw)
    return {"Padding": padding - 1, "StrideW": width, "StrideH": height}


def unpack_int4(raw: bytes) -> Array:
    """Integers of 4 bits, two in a byte, the first in its lower half."""
    pairs = np.frombuffer(raw, np.int8)
    return np.stack(((pairs << 4) >> 4, pairs >> 4), -1).reshape(-1)


def _names(enumeration: Any) -> Dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def _text(value: Optional[bytes]) -> str:
    """A name, without what is not printable: names stand in reports and errors of one line."""
    text = (value or b"").decode("utf-8", "replace")
    return "".join(sign if sign.isprintable() else "?" for sign in text)
