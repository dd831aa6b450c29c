"""ONNX model -> Graph of ONNX ops with fixed shapes.

The importer knows no ops: it fixes the input shapes, lets :mod:`edgecv.onnx.fold` compute what is
constant, and copies the rest. All floating types become f32.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import UnsupportedModelError
from edgecv.graph.ir import Graph, Node, Port, Value
from edgecv.graph.passes.rewrite import UNKNOWN_SHAPE
from edgecv.onnx.apply_encodings import apply_encodings
from edgecv.onnx.encodings import EncodingsSource, read_encodings
from edgecv.onnx.fold import Folder, TensorInfo
from edgecv.onnx.load import ModelSource, load_model, onnx, opset_of
from edgecv.onnx.qoperator import expand_integer_operators

_T = onnx.TensorProto
_FLOATS = frozenset((_T.FLOAT, _T.FLOAT16, _T.DOUBLE, _T.BFLOAT16))
_DTYPES: Dict[int, str] = {
    **dict.fromkeys(_FLOATS, "f32"),
    _T.INT8: "s8",
    _T.UINT8: "u8",
    _T.INT4: "s4",
    _T.UINT4: "u4",
    _T.INT16: "s16",
    _T.UINT16: "u16",
    _T.INT32: "s32",
    _T.INT64: "s64",
    _T.BOOL: "bool",
}


def import_model(
    source: ModelSource,
    *,
    input_shapes: Optional[Mapping[str, Sequence[int]]] = None,
    encodings: Optional[EncodingsSource] = None,
) -> Graph:
    """Return the graph of a model, with ONNX ops, ONNX layouts and every shape fixed.

    ``source``: path, bytes or ModelProto. ``input_shapes``: input name -> shape; needed for
    symbolic dims other than the first (which becomes 1), and it overrides declared shapes.
    ``encodings``: a file that AIMET wrote beside the model, which is float.
    A value whose shape ONNX cannot infer has the shape ``UNKNOWN_SHAPE``.
    Raises FormatError for a file that is not a sound ONNX model, UnsupportedModelError when input
    shapes are missing.
    """
    proto = load_model(source)
    where = "model" if isinstance(source, (bytes, onnx.ModelProto)) else str(source)
    remarks: List[str] = []
    if encodings is not None:
        remarks = apply_encodings(proto, read_encodings(encodings), str(encodings))
    folder = Folder(proto, where)
    folder.add_initializers(proto.graph.initializer)
    initializers = {tensor.name for tensor in proto.graph.initializer}
    inputs = [item for item in proto.graph.input if item.name not in initializers]
    shapes = input_shapes_of(inputs, dict(input_shapes or {}))
    for item in inputs:
        folder.add_input(item.name, _elem_type(item), shapes[item.name])
    folder.run(expand_integer_operators(proto.graph.node, _value_names(proto), opset_of(proto)))
    graph = _build(proto, folder, inputs, where)
    graph.remarks += remarks
    return graph


def _value_names(proto: Any) -> Set[str]:
    names = {tensor.name for tensor in proto.graph.initializer}
    names.update(item.name for item in proto.graph.input)
    return names.union(*(node.output for node in proto.graph.node))


def _elem_type(item: Any) -> int:
    return int(item.type.tensor_type.elem_type)


def input_shapes_of(
    inputs: List[Any], wanted: Dict[str, Sequence[int]]
) -> Dict[str, Tuple[int, ...]]:
    """The shape of every graph input, by name: as wanted, else as declared, an open batch as 1."""
    names = [item.name for item in inputs]
    extra = sorted(set(wanted) - set(names))
    if extra:
        raise UnsupportedModelError(
            f"input_shapes names {extra[0]!r}; the model's inputs are {', '.join(names) or 'none'}"
        )
    result: Dict[str, Tuple[int, ...]] = {}
    missing: List[str] = []
    for item in inputs:
        tensor = item.type.tensor_type
        if item.name in wanted:
            shape = tuple(int(dim) for dim in wanted[item.name])
            if any(not 1 <= dim < 2**31 for dim in shape):
                raise UnsupportedModelError(
                    f"input_shapes[{item.name!r}] is {list(shape)}; every dim must be 1 to 2^31 - 1"
                )
            result[item.name] = shape
            continue
        dims = list(tensor.shape.dim)
        values = [int(dim.dim_value) if dim.HasField("dim_value") else 0 for dim in dims]
        if values and values[0] < 1:
            values[0] = 1
        if not tensor.HasField("shape") or any(value < 1 for value in values):
            shown = ", ".join(
                dim.dim_param or (str(dim.dim_value) if dim.HasField("dim_value") else "?")
                for dim in dims
            )
            shape_text = f"[{shown}]" if tensor.HasField("shape") else "no shape"
            missing.append(f"{item.name!r} has {shape_text}")
        result[item.name] = tuple(values)
    if missing:
        raise UnsupportedModelError(
            f"the shape of an input is not fixed: {'; '.join(missing)}; "
            "give input_shapes={name: shape}"
        )
    return result


def _build(proto: Any, folder: Folder, inputs: List[Any], where: str) -> Graph:
    tensors = folder.result.tensors
    graph = Graph(
        name=proto.graph.name or "model", opset=opset_of(proto), source_opset=opset_of(proto)
    )
    for name, info in tensors.items():
        graph.add(_value(name, info))
    graph.inputs = [_port(graph, item.name) for item in inputs]
    names = set()
    for index, node in enumerate(folder.result.nodes):
        copy = _node(graph, node, index)
        while copy.name in names:
            copy.name += f".{index}"
        names.add(copy.name)
        graph.nodes.append(copy)
    for item in proto.graph.output:
        if item.name not in graph.values:
            raise UnsupportedModelError(f"{where}: the output {item.name!r} is never computed")
        graph.outputs.append(_port(graph, item.name))
    graph.drop_unused()
    return graph


def _port(graph: Graph, name: str) -> Port:
    value = graph.values[name]
    return Port(name, name, value.shape, tuple(range(len(value.shape))), value.dtype)


def _value(name: str, info: TensorInfo) -> Value:
    dtype = _DTYPES.get(info.elem_type, "other")
    shape = UNKNOWN_SHAPE if info.shape is None else info.shape
    data = info.data
    if data is not None and dtype == "f32":
        data = np.ascontiguousarray(data, np.float32).reshape(shape)
    return Value(name, shape, dtype, data)


def _node(graph: Graph, node: Any, index: int) -> Node:
    op = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"
    inputs = list(node.input)
    while inputs and not inputs[-1]:
        inputs.pop()
    outputs = list(node.output)
    while len(outputs) > 1 and not outputs[-1]:
        outputs.pop()
    name = node.name or f"{op}_{index}"
    for position, output in enumerate(outputs):
        if not output:
            value = graph.add(Value(graph.fresh(f"{name}.unused"), UNKNOWN_SHAPE, "other"))
            outputs[position] = value.name
    attrs = {attr.name: _attribute(attr) for attr in node.attribute}
    if op in ("Cast", "CastLike") and attrs.get("to") in _FLOATS:
        attrs["to"] = int(_T.FLOAT)
    return Node(op, name, inputs, outputs, attrs)


def _attribute(attr: Any) -> Any:
    value = onnx.helper.get_attribute_value(attr)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, _T):
        array: NDArray[Any] = onnx.numpy_helper.to_array(value)
        return array
    if attr.type in (onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS):
        return list(value)
    if attr.type == onnx.AttributeProto.STRINGS:
        return [item.decode("utf-8", "replace") for item in value]
    return value
