"""Finds LayerNormalization written in primitive ops.

Cases:
1. d / sqrt(mean(d * d) + epsilon), d = x - mean(x), both means over the same last axes, the
   division also as a product with a reciprocal -> LayerNormalization with scale 1.
2. LayerNormalization whose output only a Mul by a constant over its axes reads -> its scale.
3. LayerNormalization whose output only an Add of a constant over its axes reads -> its bias.
"""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

import numpy as np

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.rewrite import (
    Result,
    View,
    constant,
    floats,
    input_name,
    int_list,
    known,
    normal_axis,
    remove,
    shape_of,
)


def fuse_layer_norm(graph: Graph) -> Result:
    """Runs the pass."""
    result = Result()
    view = View(graph)
    for node in list(graph.nodes):
        changed = False
        if node.op in ("Div", "Mul") and known(graph, node):
            changed = _fuse(view, node)
        elif node.op == "LayerNormalization" and known(graph, node) and len(node.outputs) == 1:
            changed = _absorb(view, node, result)
        if changed:
            result.changed = True
            view.renew()
    if result.changed:
        graph.drop_unused()
    return result


def _mean(graph: Graph, view: View, name: str) -> Optional[Tuple[str, int]]:
    """(x, first axis) of a mean over the last axes that keeps its dims."""
    node = view.producer(name, "ReduceMean")
    if node is None or not node.attrs.get("keepdims", 1):
        return None
    rank = len(shape_of(graph, node.inputs[0]))
    axes = sorted(normal_axis(axis, rank) for axis in int_list(graph, node, 1, "axes") or [])
    if not axes or axes != list(range(axes[0], rank)):
        return None
    return node.inputs[0], axes[0]


def _centred(graph: Graph, view: View, name: str) -> Optional[Tuple[str, int]]:
    """(x, first axis) when a value is x - mean(x)."""
    node = view.producer(name, "Sub")
    found = _mean(graph, view, node.inputs[1]) if node is not None else None
    return found if node is not None and found is not None and found[0] == node.inputs[0] else None


def _deviation(graph: Graph, view: View, name: str) -> Optional[Tuple[str, int, float]]:
    """(x, first axis, epsilon) when a value is sqrt(mean((x - mean(x))^2) + epsilon)."""
    root = view.producer(name, "Sqrt")
    add = view.producer(root.inputs[0], "Add") if root is not None else None
    shifted = view.operands(add) if add is not None else None
    found = _mean(graph, view, shifted[0]) if shifted is not None else None
    if found is None or shifted is None:
        return None
    square = view.producer(found[0], "Mul")
    if square is None:
        return None
    sides: List[Any] = [_centred(graph, view, side) for side in square.inputs]
    if sides[0] is None or sides[0] != sides[1] or sides[0][1] != found[1]:
        return None
    return sides[0][0], found[1], shifted[1]


def _fuse(view: View, node: Node) -> bool:
    graph = view.graph
    pairs = [tuple(node.inputs)]
    if node.op == "Mul":
        pairs = [tuple(node.inputs), tuple(node.inputs[::-1])]
    for numerator, denominator in pairs:
        name = denominator
        if node.op == "Mul":
            reciprocal = view.producer(denominator, "Reciprocal")
            if reciprocal is None:
                continue
            name = reciprocal.inputs[0]
        centred, deviation = _centred(graph, view, numerator), _deviation(graph, view, name)
        if centred is None or deviation is None or centred != deviation[:2]:
            continue
        x, axis, epsilon = deviation
        scale = floats(graph, f"{node.name}.scale", np.ones(shape_of(graph, x)[axis:]))
        node.op, node.inputs = "LayerNormalization", [x, scale]
        node.attrs = {"axis": axis, "epsilon": epsilon}
        return True
    return False


def _absorb(view: View, node: Node, result: Result) -> bool:
    graph = view.graph
    after = view.only_reader(node.outputs[0])
    if after is None or after.op not in ("Mul", "Add") or len(after.inputs) != 2:
        return False
    other = after.inputs[1] if after.inputs[0] == node.outputs[0] else after.inputs[0]
    data = constant(graph, other)
    if data is None:
        return False
    shape = shape_of(graph, node.inputs[0])
    tail = shape[normal_axis(int(node.attrs.get("axis", -1)), len(shape)) :]
    scale, bias = (constant(graph, input_name(node, index)) for index in (1, 2))
    if scale is None or (input_name(node, 2) and bias is None):
        result.refuse(node, "its scale or bias is computed")
        return False
    if shape_of(graph, after.outputs[0]) != shape or any(
        size != 1 for size in data.shape[: max(0, data.ndim - len(tail))]
    ):
        result.refuse(node, f"{after.name} is not over the normalized axes")
        return False
    inner = data.reshape(data.shape[max(0, data.ndim - len(tail)) :]).astype(np.float64)
    full = np.broadcast_to(inner, tail)
    if after.op == "Mul":
        node.inputs[1] = floats(graph, f"{node.name}.scale", scale * full)
        if bias is not None:
            node.inputs[2] = floats(graph, f"{node.name}.bias", bias * full)
    else:
        total = full if bias is None else bias + full
        node.inputs = [*node.inputs[:2], floats(graph, f"{node.name}.bias", total)]
    node.outputs = [after.outputs[0]]
    remove(graph, [after])
    return True
