"""Reads an ONNX model from a path, bytes or a ModelProto and judges whether it is one.

A TFLite file, known by its identifier, becomes an ONNX model here.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, Union

import numpy as np

from edgecv.errors import Error, FormatError
from edgecv.tflite.reader import is_tflite

try:
    import onnx
    import onnx.inliner
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped, unused-ignore]
except ImportError as error:  # pragma: no cover - depends on the environment
    raise Error("reading ONNX needs the onnx package: pip install edgecv[convert]") from error

__all__ = ["ModelSource", "load_model", "onnx", "opset_of"]

# Elements of a sparse constant, made dense.
_MOST_DENSE = 1 << 28
ModelSource = Union[str, "os.PathLike[str]", bytes, Any]


def load_model(source: ModelSource) -> Any:
    """Return a ModelProto with all weights in memory; a ModelProto given is copied, not changed.

    Raises FormatError with one line when the source is missing, empty, truncated or not ONNX.
    """
    if isinstance(source, onnx.ModelProto):
        proto = onnx.ModelProto()
        proto.CopyFrom(source)
        return _finish(proto, "model", None)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _finish(_parse(bytes(source), "model"), "model", None)
    if not isinstance(source, (str, os.PathLike)):
        raise FormatError(
            f"a model is a path, bytes or onnx.ModelProto, not {type(source).__name__}"
        )
    path = Path(source)
    if path.is_dir():
        raise FormatError(f"{path}: is a directory, not an ONNX file")
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise FormatError(f"{path}: no such file") from error
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or 'cannot be read'}") from error
    return _finish(_parse(data, str(path)), str(path), path.parent)


def _parse(data: bytes, where: str) -> Any:
    if not data:
        raise FormatError(f"{where}: is empty")
    if is_tflite(data):
        from edgecv.tflite.translate import translate

        return translate(data, where)
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise FormatError(f"{where}: is not an ONNX model, or is truncated") from error
    return proto


def _finish(proto: Any, where: str, folder: Path | None) -> Any:
    if not proto.HasField("graph") or not proto.graph.output:
        raise FormatError(f"{where}: is not an ONNX model, or is truncated (no graph outputs)")
    versions = [entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions:
        raise FormatError(f"{where}: is not an ONNX model, or is truncated (no opset)")
    newest = onnx.defs.onnx_opset_version()
    if not 9 <= versions[0] <= newest:
        raise FormatError(
            f"{where}: uses ONNX opset {versions[0]}; edgecv reads 9 to {newest}"
            " (the newest that the installed onnx package knows)"
        )
    _load_external_data(proto, where, folder)
    _densify(proto, where)
    if proto.functions:
        try:
            proto = onnx.inliner.inline_local_functions(proto)
        except Exception as error:
            raise FormatError(f"{where}: its local functions cannot be inlined") from error
    return proto


def _densify(proto: Any, where: str) -> None:
    """Makes sparse constants dense: initializers, and values of Constant."""
    graph = proto.graph
    for sparse in graph.sparse_initializer:
        graph.initializer.append(_dense(sparse, where))
    del graph.sparse_initializer[:]
    for node in graph.node:
        for attr in node.attribute if node.op_type == "Constant" else ():
            if attr.name == "sparse_value":
                attr.t.CopyFrom(_dense(attr.sparse_tensor, where))
                attr.ClearField("sparse_tensor")
                attr.name, attr.type = "value", onnx.AttributeProto.TENSOR


def _dense(sparse: Any, where: str) -> Any:
    """The TensorProto of a SparseTensorProto: indices of the flat tensor, or one a dim."""
    name, dims = sparse.values.name, tuple(int(dim) for dim in sparse.dims)
    count = math.prod(dims)
    if min(dims, default=0) < 1 or count > _MOST_DENSE:
        raise FormatError(f"{where}: the sparse constant {name!r} has the shape {list(dims)}")
    try:
        values = onnx.numpy_helper.to_array(sparse.values).reshape(-1)
        indices = onnx.numpy_helper.to_array(sparse.indices).astype(np.int64)
        if indices.ndim == 2:
            indices = np.ravel_multi_index(tuple(indices.T), dims)
        if indices.shape != values.shape or not ((indices >= 0) & (indices < count)).all():
            raise ValueError("indices beyond the shape")
    except Exception as error:
        raise FormatError(
            f"{where}: the indices and values of the sparse constant {name!r} do not fit its shape"
        ) from error
    dense = np.zeros(count, values.dtype)
    dense[indices] = values
    return onnx.numpy_helper.from_array(dense.reshape(dims), name)


def _load_external_data(proto: Any, where: str, folder: Path | None) -> None:
    from onnx import external_data_helper

    external = [
        tensor.name
        for tensor in proto.graph.initializer
        if external_data_helper.uses_external_data(tensor)
    ]
    if not external:
        return
    if folder is None:
        raise FormatError(
            f"{where}: the weights are in another file ({external[0]}, ...); "
            "give the path of the model instead of its bytes"
        )
    try:
        external_data_helper.load_external_data_for_model(proto, str(folder))
    except Exception as error:
        line = str(error).strip().splitlines()
        raise FormatError(
            f"{where}: external weights cannot be read: {line[0] if line else type(error).__name__}"
        ) from error


def opset_of(proto: Any) -> int:
    """The version of the default operator set."""
    return next(int(e.version) for e in proto.opset_import if e.domain in ("", "ai.onnx"))
