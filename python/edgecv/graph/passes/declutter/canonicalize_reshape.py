"""Writes every op that only renames dims as a Reshape to a constant shape.

Cases:
1. Flatten, Squeeze, Unsqueeze -> Reshape.
2. Reshape (0, -1, allowzero) -> Reshape to the full shape.
3. Reshape of a Reshape that nothing else reads -> one Reshape.
4. Transpose that moves only dims of size 1 -> Reshape.
5. Transpose of a Transpose that nothing else reads -> one Transpose.
6. Expand and Tile that do not repeat anything but add dims of size 1 -> Reshape.
"""

from __future__ import annotations

from typing import List, Optional

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.rewrite import Result, View, constant, ints, known, shape_of

_RENAMES = ("Flatten", "Squeeze", "Unsqueeze", "Reshape")


def canonicalize_reshape(graph: Graph) -> Result:
    """Runs the pass."""
    result = Result()
    for node in graph.nodes:
        if known(graph, node) and _is_rename(graph, node):
            result.changed |= _to_reshape(graph, node)
    view = View(graph)
    for node in graph.nodes:
        before = view.producer(node.inputs[0], node.op) if node.inputs else None
        if before is None or not view.private(node.inputs[0]):
            continue
        if node.op == "Reshape":
            node.inputs[0] = before.inputs[0]
        elif node.op == "Transpose":
            first, second = _perm(graph, before), _perm(graph, node)
            node.attrs["perm"] = [first[axis] for axis in second]
            node.inputs[0] = before.inputs[0]
        else:
            continue
        result.changed = True
        view.renew()
    if result.changed:
        graph.drop_unused()
    return result


def _perm(graph: Graph, node: Node) -> List[int]:
    rank = len(shape_of(graph, node.inputs[0]))
    return [int(axis) for axis in node.attrs.get("perm", reversed(range(rank)))]


def _is_rename(graph: Graph, node: Node) -> bool:
    if node.op in _RENAMES:
        return True
    if node.op in ("Expand", "Tile"):
        before, after = (shape_of(graph, name) for name in (node.inputs[0], node.outputs[0]))
        return [size for size in before if size != 1] == [size for size in after if size != 1]
    if node.op == "Transpose":
        shape = shape_of(graph, node.inputs[0])
        moved = [axis for axis in _perm(graph, node) if shape[axis] != 1]
        return moved == sorted(moved)
    return False


def _to_reshape(graph: Graph, node: Node) -> bool:
    target = shape_of(graph, node.outputs[0])
    if node.op == "Reshape" and not node.attrs and _given(graph, node) == list(target):
        return False
    shape = ints(graph, f"{node.name}.shape", target)
    node.op, node.inputs, node.attrs = "Reshape", [node.inputs[0], shape], {}
    return True


def _given(graph: Graph, node: Node) -> Optional[List[int]]:
    data = constant(graph, node.inputs[1])
    return None if data is None else [int(item) for item in data.reshape(-1)]
