"""Integer weights beyond [-127, 127], exactly: as sums of weights within it.

An unsigned weight less its zero point lies within [-255, 255]. What a layer multiplies with such
weights it reads several times; each copy takes a part of them:

1. Conv2d without groups, FullyConnected: the channels that need it lie behind the input a second
   (third) time.
2. Conv2d in groups (depthwise): every row of the input lies there twice (three times), and the
   kernel, its strides and pads grow alike.
"""

from __future__ import annotations

from typing import Any, List

import numpy as np
from numpy.typing import NDArray

from edgecv.graph.ir import Graph, Node, Value

QMAX = 127
Integers = NDArray[np.int64]


def can_split(node: Node) -> bool:
    """Whether a weighted layer has such a form."""
    if node.op == "Conv2d":
        return bool(node.attrs["groups"] == 1 or node.attrs["dilation_h"] == 1)
    return node.op == "FullyConnected"


def split_wide(graph: Graph, node: Node, q: Integers) -> List[Node]:
    """Makes ``node`` read copies of its input, an s8 value, so that its weights are what
    :func:`narrow_parts` makes of ``q``; the nodes that make the copies.
    """
    return _channels(graph, node, q) if _is_dense(node) else _rows(graph, node, q)


def _is_dense(node: Node) -> bool:
    return node.op == "FullyConnected" or node.attrs["groups"] == 1


def narrow_parts(node: Node, q: Integers) -> NDArray[np.int8]:
    """The weights, within [-127, 127], of a layer that :func:`split_wide` changed."""
    parts = _parts(q)
    if _is_dense(node):
        first, last = _span(q)
        joined = [parts[0], *(part[..., first:last] for part in parts[1:])]
        return np.concatenate(joined, axis=-1).astype(np.int8)
    stacked = np.stack(parts, axis=2)  # [OC, KH, copies, KW, C/groups]
    shape = (q.shape[0], q.shape[1] * len(parts), *q.shape[2:])
    return stacked.reshape(shape).astype(np.int8)


def _parts(q: Integers) -> List[Integers]:
    parts: List[Integers] = []
    rest = q
    while np.any(rest):
        parts.append(np.clip(rest, -QMAX, QMAX))
        rest = rest - parts[-1]
    return parts


def _span(q: Integers) -> Any:
    wide = np.flatnonzero((np.abs(q) > QMAX).reshape(-1, q.shape[-1]).any(axis=0))
    return int(wide[0]), int(wide[-1]) + 1


def _emit(
    graph: Graph, nodes: List[Node], op: str, inputs: List[str], shape: Any, **attrs: Any
) -> str:
    """Adds a move of s8 values; returns its output."""
    x = graph.values[inputs[0]]
    name = graph.fresh(f"{inputs[0]}.{op.lower()}")
    value = Value(name, tuple(shape), "s8", scale=x.scale, zero_point=x.zero_point)
    graph.add(value)
    nodes.append(Node(op, name, inputs, [name], attrs))
    return name


def _channels(graph: Graph, node: Node, q: Integers) -> List[Node]:
    nodes: List[Node] = []
    x = node.inputs[0]
    shape = graph.values[x].shape
    first, last = _span(q)
    copy, copies = x, len(_parts(q)) - 1
    if last - first < shape[-1]:
        start = [0] * (len(shape) - 1) + [first]
        part = (*shape[:-1], last - first)
        copy = _emit(graph, nodes, "Slice", [x], part, start=start, step=[1] * len(shape))
    wide = (*shape[:-1], shape[-1] + copies * (last - first))
    inputs = [x, *[copy] * copies]
    node.inputs[0] = _emit(graph, nodes, "Concat", inputs, wide, axis=len(shape) - 1)
    return nodes


def _rows(graph: Graph, node: Node, q: Integers) -> List[Node]:
    nodes: List[Node] = []
    x = node.inputs[0]
    n, h, w, c = graph.values[x].shape
    copies = len(_parts(q))
    flat = _emit(graph, nodes, "Reshape", [x], (n, h, w * c))
    rows = _emit(graph, nodes, "Concat", [flat] * copies, (n, h, copies * w * c), axis=2)
    node.inputs[0] = _emit(graph, nodes, "Reshape", [rows], (n, copies * h, w, c))
    for name in ("stride_h", "pad_top", "pad_bottom"):
        node.attrs[name] *= copies
    return nodes
