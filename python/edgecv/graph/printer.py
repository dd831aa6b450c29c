"""A text form of a graph, one item a line, the same for the same graph, that can be parsed back.

A line is a word and JSON values: ``graph``, ``value``, ``const``, ``input``, ``output``, ``node``.
Constants are base64 of their little-endian bytes, or only a CRC-32 when ``data`` is off.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any, List

import numpy as np
from numpy.typing import NDArray

from edgecv.graph.ir import Graph, Node, Port, Value


def to_text(graph: Graph, *, data: bool = True) -> str:
    """Return the text form; without ``data`` it is for reading only and cannot be parsed."""
    lines = [_line("graph", graph.name, graph.opset, graph.source_opset)]
    for value in graph.values.values():
        if value.data is not None:
            content = _encode(value.data) if data else f"crc32:{_crc(value.data):08x}"
            lines.append(_line("const", value.name, value.dtype, list(value.shape), content))
        else:
            numbers: List[Any] = [float(value.scale), int(value.zero_point)] if value.scale else []
            lines.append(_line("value", value.name, value.dtype, list(value.shape), *numbers))
    for kind, ports in (("input", graph.inputs), ("output", graph.outputs)):
        lines += [
            _line(kind, port.name, port.value, list(port.shape), list(port.perm), port.dtype)
            for port in ports
        ]
    for node in graph.nodes:
        attrs = {name: _attribute(node.attrs[name]) for name in sorted(node.attrs)}
        lines.append(_line("node", node.op, node.name, node.inputs, node.outputs, attrs))
    return "\n".join(lines) + "\n"


def parse(text: str) -> Graph:
    """Return the graph of a text form; ValueError names the line that is wrong."""
    graph = Graph("")
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            kind, _, rest = line.partition(" ")
            _read(graph, kind, json.loads(f"[{rest}]"))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"line {number} is not part of a graph: {error}") from error
    return graph


def _read(graph: Graph, kind: str, items: List[Any]) -> None:
    if kind == "graph":
        graph.name, graph.opset, graph.source_opset = items
    elif kind == "const":
        name, dtype, shape, content = items
        graph.add(Value(name, tuple(shape), dtype, _decode(content).reshape(shape)))
    elif kind == "value":
        name, dtype, shape, *numbers = items
        graph.add(Value(name, tuple(shape), dtype, None, *numbers))
    elif kind in ("input", "output"):
        name, value, shape, perm, dtype = items
        ports = graph.inputs if kind == "input" else graph.outputs
        ports.append(Port(name, value, tuple(shape), tuple(perm), dtype))
    elif kind == "node":
        op, name, inputs, outputs, attrs = items
        decoded = {key: _decoded_attribute(value) for key, value in attrs.items()}
        graph.nodes.append(Node(op, name, inputs, outputs, decoded))
    else:
        raise ValueError(f"no item is called {kind!r}")


def _line(kind: str, *items: Any) -> str:
    return f"{kind} " + ", ".join(json.dumps(item, ensure_ascii=False) for item in items)


def _little(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


def _crc(array: NDArray[Any]) -> int:
    return zlib.crc32(_little(array).tobytes())


def _encode(array: NDArray[Any]) -> str:
    little = _little(array)
    return f"{little.dtype.str}:{base64.b64encode(little.tobytes()).decode('ascii')}"


def _decode(content: str) -> NDArray[Any]:
    dtype, _, data = content.partition(":")
    if dtype == "crc32":
        raise ValueError("a constant was printed without its data")
    little = np.frombuffer(base64.b64decode(data), np.dtype(dtype))
    return little.astype(little.dtype.newbyteorder("="))


def _attribute(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"tensor": _encode(value), "shape": list(value.shape)}
    return value.item() if isinstance(value, np.generic) else value


def _decoded_attribute(value: Any) -> Any:
    if isinstance(value, dict):
        return _decode(value["tensor"]).reshape(value["shape"])
    return value
