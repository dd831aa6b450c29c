"""Removes nodes that pass their input on.

Cases:
1. Identity.
2. Dropout at inference (its mask, if anything reads it, is refused).
3. Cast between types that are both f32 in the graph.
4. Reshape, Expand or Tile to the shape the input has already; Transpose that moves nothing.
5. Concat or Sum of one input; Pad by nothing; Slice of everything.
6. Add/Sub of 0 and Mul/Div by 1 by a constant that does not broadcast the other operand; Pow 1.
7. Clip without bounds; AveragePool and MaxPool of one pixel with stride 1 and no padding.

8. Reduce* without axes that is told to do nothing then.

A graph output that is fed by a graph input or constant keeps its node, as Identity.
"""

from __future__ import annotations

from typing import Optional

import numpy as np

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.rewrite import (
    Result,
    constant,
    input_name,
    known,
    remove,
    replace_uses,
    shape_of,
)


def remove_identities(graph: Graph) -> Result:
    """Runs the pass."""
    result = Result()
    gone = []
    for node in graph.nodes:
        source = _source(graph, node, result)
        if source is None:
            continue
        inputs = {port.value for port in graph.inputs}
        fixed = source in inputs or constant(graph, source) is not None
        if fixed and any(port.value == node.outputs[0] for port in graph.outputs):
            if node.op != "Identity":
                node.op, node.inputs, node.attrs = "Identity", [source], {}
                result.changed = True
            continue
        replace_uses(graph, node.outputs[0], source)
        gone.append(node)
    remove(graph, gone)
    result.changed |= bool(gone)
    if result.changed:
        graph.drop_unused()
    return result


def _source(graph: Graph, node: Node, result: Result) -> Optional[str]:
    if not node.inputs or not node.inputs[0]:
        return None
    first = node.inputs[0]
    if node.op == "Identity":
        return first
    if not known(graph, node) and node.op != "Dropout":
        return None
    same_shape = shape_of(graph, first) == shape_of(graph, node.outputs[0])
    if node.op == "Dropout":
        training = input_name(node, 2)
        flag = constant(graph, training)
        if training and (flag is None or bool(np.any(flag))):
            result.refuse(node, "it is in training mode")
            return None
        if len(node.outputs) > 1:
            result.refuse(node, "its mask is read")
            return None
        return first
    if node.op in ("Cast", "CastLike"):
        values = graph.values
        return first if values[first].dtype == values[node.outputs[0]].dtype else None
    if node.op in ("Reshape", "Expand", "Tile", "Flatten", "Squeeze", "Unsqueeze"):
        return first if same_shape else None
    if node.op == "Transpose":
        perm = list(node.attrs.get("perm", reversed(range(len(shape_of(graph, first))))))
        return first if perm == list(range(len(perm))) else None
    if node.op in ("Concat", "Sum", "Mean", "Max", "Min"):
        return first if len(node.inputs) == 1 else None
    if node.op in ("Pad", "Slice"):
        return first if same_shape and _moves_nothing(graph, node) else None
    if node.op in ("Add", "Sub", "Mul", "Div", "Pow"):
        return _neutral(graph, node)
    if node.op.startswith("Reduce") and node.attrs.get("noop_with_empty_axes", 0):
        axes = input_name(node, 1)
        given = constant(graph, axes)
        # ReduceL1, ReduceSumSquare and so on still compute on each element.
        plain = node.op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd")
        return first if plain and (not axes or (given is not None and not given.size)) else None
    if node.op == "Clip":
        return first if not input_name(node, 1) and not input_name(node, 2) else None
    if node.op in ("AveragePool", "MaxPool") and len(node.outputs) == 1:
        ones = all(
            int(item) == 1
            for name in ("kernel_shape", "strides")
            for item in node.attrs.get(name, [1])
        )
        return first if ones and same_shape and not any(node.attrs.get("pads", [0])) else None
    return None


def _moves_nothing(graph: Graph, node: Node) -> bool:
    if node.op == "Pad":
        pads = constant(graph, input_name(node, 1))
        return pads is not None and not np.any(pads)
    starts, steps = (constant(graph, input_name(node, index)) for index in (1, 4))
    return starts is not None and (steps is None or bool(np.all(steps > 0)))


def _neutral(graph: Graph, node: Node) -> Optional[str]:
    number = 0.0 if node.op in ("Add", "Sub") else 1.0
    positions = (1, 0) if node.op in ("Add", "Mul") else (1,)
    for position in positions:
        data = constant(graph, node.inputs[position])
        other = node.inputs[1 - position]
        if data is None or constant(graph, other) is not None:
            continue
        if np.all(data == number) and shape_of(graph, other) == shape_of(graph, node.outputs[0]):
            return other
    return None
