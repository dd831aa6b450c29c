"""Writes ops that only move or repeat values as Reshape, Transpose, Slice and Concat.

Cases:
1. Split -> one Slice an output.
2. DepthToSpace and SpaceToDepth (DCR, CRD) -> Reshape, Transpose, Reshape.
3. Gather by constant indices that rise evenly (a scalar also) -> Slice, and Reshape for a scalar;
   by at most 64 other indices -> Slices and Concat.
4. Expand and Tile of an activation, at most 64 copies an axis -> Concat.
5. Pad with mode edge, reflect or wrap, at most 64 positions a side -> Slices and Concat.
"""

from __future__ import annotations

from typing import Callable, Dict, List, Sequence, Tuple

import numpy as np

from edgecv.graph.ir import Graph, Node, Shape
from edgecv.graph.passes.rewrite import (
    Result,
    activation,
    constant,
    input_name,
    int_list,
    ints,
    known,
    normal_axis,
    pad_widths,
    replace,
    shape_of,
)

_MOST_COPIES = 64


class _Builder:
    """Collects the nodes that take the place of one."""

    def __init__(self, graph: Graph, node: Node) -> None:
        self.graph, self.node = graph, node
        self.nodes: List[Node] = []

    def _add(
        self, op: str, inputs: Sequence[str], shape: Shape, output: str, **attrs: object
    ) -> str:
        name = f"{self.node.name}.{op.lower()}{len(self.nodes)}"
        dtype = self.graph.values[inputs[0]].dtype
        result = output or activation(self.graph, f"{self.node.outputs[0]}.part", shape, dtype)
        self.nodes.append(Node(op, name, list(inputs), [result], dict(attrs)))
        return result

    def reshape(self, x: str, shape: Sequence[int], output: str = "") -> str:
        target = ints(self.graph, f"{self.node.name}.shape", shape)
        return self._add("Reshape", [x, target], tuple(shape), output)

    def transpose(self, x: str, perm: Sequence[int], output: str = "") -> str:
        dims = shape_of(self.graph, x)
        shape = tuple(dims[axis] for axis in perm)
        return self._add("Transpose", [x], shape, output, perm=list(perm))

    def slice(
        self, x: str, axis: int, start: int, count: int, step: int = 1, output: str = ""
    ) -> str:
        dims = list(shape_of(self.graph, x))
        end = start + (count - 1) * step + 1
        dims[axis] = count
        base = self.node.name
        parameters = [
            ints(self.graph, f"{base}.{name}", [value])
            for name, value in (("start", start), ("end", end), ("axis", axis), ("step", step))
        ]
        return self._add("Slice", [x, *parameters], tuple(dims), output)

    def concat(self, parts: Sequence[str], axis: int, output: str = "") -> str:
        dims = list(shape_of(self.graph, parts[0]))
        dims[axis] = sum(shape_of(self.graph, part)[axis] for part in parts)
        return self._add("Concat", parts, tuple(dims), output, axis=axis)

    def finish(self, result: str) -> bool:
        """Puts the nodes in the place of the old one, whose output ``result`` becomes."""
        output = self.node.outputs[0]
        if not self.nodes:
            return False
        last = next(item for item in reversed(self.nodes) if item.outputs == [result])
        last.outputs = [output]
        replace(self.graph, self.node, self.nodes)
        return True


def expand_moves(graph: Graph) -> Result:
    """Runs the pass."""
    result = Result()
    for node in list(graph.nodes):
        rule = _RULES.get(node.op)
        if rule is None or not known(graph, node):
            continue
        if 0 in shape_of(graph, node.outputs[0]) or constant(graph, node.inputs[0]) is not None:
            continue
        result.changed |= rule(graph, node, result)
    if result.changed:
        graph.drop_unused()
    return result


def _split(graph: Graph, node: Node, result: Result) -> bool:
    build = _Builder(graph, node)
    x = node.inputs[0]
    axis = normal_axis(int(node.attrs.get("axis", 0)), len(shape_of(graph, x)))
    start = 0
    for output in node.outputs:
        size = shape_of(graph, output)[axis]
        build.slice(x, axis, start, size, output=output)
        start += size
    replace(graph, node, build.nodes)
    return True


def _depth_to_space(graph: Graph, node: Node, result: Result) -> bool:
    build = _Builder(graph, node)
    x = node.inputs[0]
    if len(shape_of(graph, x)) != 4:
        result.refuse(node, "the input has not rank 4")
        return False
    n, c, h, w = shape_of(graph, x)
    b = int(node.attrs["blocksize"])
    depth = c // (b * b)
    if node.attrs.get("mode", "DCR") == "CRD":
        split, perm = (n, depth, b, b, h, w), (0, 1, 4, 2, 5, 3)
    else:
        split, perm = (n, b, b, depth, h, w), (0, 3, 4, 1, 5, 2)
    moved = build.transpose(build.reshape(x, split), perm)
    return build.finish(build.reshape(moved, (n, depth, h * b, w * b)))


def _space_to_depth(graph: Graph, node: Node, result: Result) -> bool:
    build = _Builder(graph, node)
    x = node.inputs[0]
    n, c, h, w = shape_of(graph, x)
    b = int(node.attrs["blocksize"])
    split = build.reshape(x, (n, c, h // b, b, w // b, b))
    crd = node.attrs.get("mode", "DCR") == "CRD"
    moved = build.transpose(split, (0, 1, 3, 5, 2, 4) if crd else (0, 3, 5, 1, 2, 4))
    return build.finish(build.reshape(moved, (n, c * b * b, h // b, w // b)))


def _gather(graph: Graph, node: Node, result: Result) -> bool:
    x = node.inputs[0]
    shape = shape_of(graph, x)
    axis = normal_axis(int(node.attrs.get("axis", 0)), len(shape))
    data = constant(graph, node.inputs[1])
    if data is None:
        result.refuse(node, "the indices are computed")
        return False
    indices = [normal_axis(int(item), shape[axis]) for item in data.reshape(-1)]
    if any(not 0 <= index < shape[axis] for index in indices):
        result.refuse(node, "an index leaves the tensor")
        return False
    steps = {b - a for a, b in zip(indices, indices[1:])}
    build = _Builder(graph, node)
    if len(steps) <= 1 and min(steps, default=1) > 0:
        part = build.slice(x, axis, indices[0], len(indices), min(steps, default=1))
    elif len(indices) <= _MOST_COPIES:
        part = build.concat([build.slice(x, axis, index, 1) for index in indices], axis)
    else:
        result.refuse(node, f"{len(indices)} indices do not rise evenly")
        return False
    if data.ndim != 1:
        part = build.reshape(part, shape_of(graph, node.outputs[0]))
    return build.finish(part)


def _repeat(graph: Graph, node: Node, result: Result) -> bool:
    build = _Builder(graph, node)
    before, after = (shape_of(graph, name) for name in (node.inputs[0], node.outputs[0]))
    before = (1,) * (len(after) - len(before)) + before
    copies = [out // size for size, out in zip(before, after)]
    if max(copies) > _MOST_COPIES:
        result.refuse(node, f"{max(copies)} copies along an axis")
        return False
    part = node.inputs[0]
    if shape_of(graph, part) != before:
        part = build.reshape(part, before)
    for axis, count in enumerate(copies):
        if count > 1:
            part = build.concat([part] * count, axis)
    return build.finish(part)


def _outside(mode: str, size: int, before: int, after: int) -> Tuple[List[int], List[int]]:
    """Positions of the image that the padding before and after it repeats."""
    if mode == "edge":
        return [0] * before, [size - 1] * after
    if mode == "reflect":
        return list(range(before, 0, -1)), [size - 2 - i for i in range(after)]
    return [size - before + i for i in range(before)], list(range(after))


def _pad(graph: Graph, node: Node, result: Result) -> bool:
    mode = str(node.attrs.get("mode", "constant"))
    if mode not in ("edge", "reflect", "wrap"):
        return False
    axes = input_name(node, 3)
    if int_list(graph, node, 1, "pads") is None or (axes and constant(graph, axes) is None):
        result.refuse(node, "the pads are computed")
        return False
    widths = pad_widths(graph, node)
    shape = shape_of(graph, node.inputs[0])
    flat = np.array(widths)
    limit = [size - 1 if mode == "reflect" else size for size in shape]
    too_wide = mode != "edge" and any(max(pair) > most for pair, most in zip(widths, limit))
    if flat.min() < 0 or flat.max() > _MOST_COPIES or too_wide:
        result.refuse(node, "the pads are negative, wider than the image, or many")
        return False
    build = _Builder(graph, node)
    part = node.inputs[0]
    for axis, (before, after) in enumerate(widths):
        if before or after:
            left, right = _outside(mode, shape[axis], before, after)
            whole = part
            slices = [build.slice(whole, axis, index, 1) for index in left]
            tail = [build.slice(whole, axis, index, 1) for index in right]
            part = build.concat([*slices, whole, *tail], axis)
    return build.finish(part)


_RULES: Dict[str, Callable[[Graph, Node, Result], bool]] = {
    "Split": _split,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Gather": _gather,
    "Expand": _repeat,
    "Tile": _repeat,
    "Pad": _pad,
}
