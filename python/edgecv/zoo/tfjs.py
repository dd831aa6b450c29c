"""Read a TensorFlow.js graph model: one JSON file of nodes, and the raw weights it describes.

Everything is data: numbers are judged before they are used, and nothing of the file is run. Only
what convolutional networks need is read: weights of float32, int32 and bool, or float32 stored as
float16.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, Dict, List, Tuple

import numpy as np

from edgecv.errors import FormatError

Constants = Dict[str, "np.ndarray[Any, Any]"]

_DTYPES = {"float32": "<f4", "int32": "<i4", "bool": "|b1"}
_MAX_RANK = 8


@dataclass(frozen=True)
class Node:
    """One operation. Of ``inputs``, ``name:1`` is the second output of ``name``."""

    name: str
    op: str
    inputs: Tuple[str, ...]
    attributes: Dict[str, Any]

    def flag(self, key: str) -> bool:
        """A boolean attribute, false when absent."""
        return self._of(key, "b", False) is True

    def number(self, key: str, default: float) -> float:
        """A real attribute."""
        return float(self._of(key, "f", default))

    def text(self, key: str) -> str:
        """A text attribute, empty when absent."""
        try:
            return base64.b64decode(self._of(key, "s", "")).decode("ascii")
        except (TypeError, ValueError, binascii.Error) as error:
            raise FormatError(f"{self.name}: attribute {key} is damaged") from error

    def integers(self, key: str) -> List[int]:
        """A list attribute of integers, empty when absent."""
        try:
            return [int(item) for item in self._of(key, "list", {}).get("i", [])]
        except (AttributeError, TypeError, ValueError) as error:
            raise FormatError(f"{self.name}: attribute {key} is damaged") from error

    def _of(self, key: str, kind: str, default: Any) -> Any:
        holder = self.attributes.get(key, {})
        return holder.get(kind, default) if isinstance(holder, dict) else default


@dataclass(frozen=True)
class GraphModel:
    """Nodes, each after those it reads, and the constants by the names of their nodes."""

    nodes: Tuple[Node, ...]
    constants: Constants


def read_graph_model(topology: bytes, weights: bytes) -> GraphModel:
    """Return the model of a ``model.json`` and its one file of weights.

    Raises :class:`FormatError` for anything that is not a whole graph model of this kind.
    """
    try:
        document = json.loads(topology.decode("utf-8"))
        listed = [item for group in document["weightsManifest"] for item in group["weights"]]
        nodes = [_node(item) for item in document["modelTopology"]["node"]]
        constants = _constants(listed, weights)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(f"not a TensorFlow.js graph model: {error!r}") from error
    return GraphModel(_sorted(nodes, constants), constants)


def _node(item: Dict[str, Any]) -> Node:
    inputs = item.get("input", [])
    if not all(isinstance(text, str) for text in (item["name"], item["op"], *inputs)):
        raise FormatError("a node's names are not text")
    attributes = item.get("attr", {})
    if not isinstance(attributes, dict):
        raise FormatError(f"{item['name']}: the attributes are damaged")
    return Node(item["name"], item["op"], tuple(inputs), attributes)


def _constants(listed: List[Dict[str, Any]], data: bytes) -> Constants:
    constants: Constants = {}
    offset = 0
    for item in listed:
        name, shape, stored = item["name"], item["shape"], item["dtype"]
        packed = item.get("quantization")
        if stored not in _DTYPES or not isinstance(name, str):
            raise FormatError(f"weight {name}: {stored} is not supported")
        dtype = np.dtype(_DTYPES[stored])
        if packed is not None:
            if stored != "float32" or packed.get("dtype") != "float16":
                raise FormatError(f"weight {name}: quantized weights are not supported")
            dtype = np.dtype("<f2")
        if len(shape) > _MAX_RANK or not all(type(n) is int and n >= 0 for n in shape):
            raise FormatError(f"weight {name}: the shape is damaged")
        count = 1
        for size in shape:
            count *= size
        end = offset + count * dtype.itemsize
        if end > len(data):
            raise FormatError(f"weight {name} reaches beyond the file of weights")
        array = np.frombuffer(data[offset:end], dtype).reshape(shape)
        constants[name] = array.astype(np.float32) if packed is not None else array
        offset = end
    if offset != len(data):
        raise FormatError("bytes left over after the last weight")
    return constants


def source_of(reference: str) -> str:
    """The name of the node that an input refers to."""
    return reference.partition(":")[0]


def _sorted(nodes: List[Node], constants: Constants) -> Tuple[Node, ...]:
    """The nodes that compute, in an order in which each follows what it reads."""
    known = set(constants)
    waiting = [node for node in nodes if node.op != "Const"]
    done: List[Node] = []
    while waiting:
        later: List[Node] = []
        for node in waiting:
            if all(source_of(text) in known for text in node.inputs):
                known.add(node.name)
                done.append(node)
            else:
                later.append(node)
        if len(later) == len(waiting):
            raise FormatError(f"{later[0].name} reads what no node gives, or itself")
        waiting = later
    return tuple(done)
