"""Writes arithmetic in the few ops that other passes look for.

Cases:
1. Div by a constant -> Mul by its reciprocal (when that is a normal f32).
2. Pow by a constant: 2, 3, 4 -> Mul; 0.5 -> Sqrt; negative ones -> their Reciprocal; 1 is removed
   by remove_identities.
3. Max or Min with a constant number -> Clip.
4. Sum of several -> Add; Mean of several -> Add and Mul.
5. Relu or Clip after Relu or Clip that nothing else reads -> one Clip.
6. Clip from 0 without upper bound -> Relu.
"""

from __future__ import annotations

import math
from typing import Callable, Dict, List

import numpy as np

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.declutter.match import clip_bounds
from edgecv.graph.passes.rewrite import (
    Result,
    View,
    activation,
    constant,
    floats,
    known,
    replace,
    scalar,
    shape_of,
)


def simplify_arithmetic(graph: Graph) -> Result:
    """Runs the pass."""
    result = Result()
    view = View(graph)
    for node in list(graph.nodes):
        rule = _RULES.get(node.op)
        if rule is None or not known(graph, node) or not _is_f32(graph, node):
            continue
        if rule(view, node):
            result.changed = True
            view.renew()
    if result.changed:
        graph.drop_unused()
    return result


def _is_f32(graph: Graph, node: Node) -> bool:
    return graph.values[node.outputs[0]].dtype == "f32"


def _div(view: View, node: Node) -> bool:
    graph = view.graph
    data = constant(graph, node.inputs[1])
    if data is None or constant(graph, node.inputs[0]) is not None:
        return False
    with np.errstate(all="ignore"):
        inverse = 1.0 / data.astype(np.float64)
    size, limits = np.abs(inverse), np.finfo(np.float32)
    if not np.all((size >= float(limits.tiny)) & (size <= float(limits.max))):
        return False
    node.op = "Mul"
    node.inputs = [node.inputs[0], floats(graph, node.inputs[1], inverse)]
    return True


def _pow(view: View, node: Node) -> bool:
    graph = view.graph
    power = scalar(graph, node.inputs[1])
    x, output = node.inputs[0], node.outputs[0]
    if constant(graph, x) is not None or power not in (2, 3, 4, 0.5, -0.5, -1, -2):
        return False
    shape = shape_of(graph, output)
    if shape != shape_of(graph, x):
        return False
    assert power is not None
    nodes: List[Node] = []
    result = output
    if power < 0:
        result = activation(graph, f"{output}.inverse", shape) if power != -1 else x
    if abs(power) == 0.5:
        nodes.append(Node("Sqrt", f"{node.name}.sqrt", [x], [result]))
    elif abs(power) == 2:
        nodes.append(Node("Mul", f"{node.name}.square", [x, x], [result]))
    elif power == 3:
        square = activation(graph, f"{output}.square", shape)
        nodes.append(Node("Mul", f"{node.name}.square", [x, x], [square]))
        nodes.append(Node("Mul", f"{node.name}.cube", [square, x], [result]))
    elif power == 4:
        square = activation(graph, f"{output}.square", shape)
        nodes.append(Node("Mul", f"{node.name}.square", [x, x], [square]))
        nodes.append(Node("Mul", f"{node.name}.fourth", [square, square], [result]))
    if power < 0:
        nodes.append(Node("Reciprocal", f"{node.name}.reciprocal", [result], [output]))
    replace(graph, node, nodes)
    return True


def _extreme(view: View, node: Node) -> bool:
    graph = view.graph
    found = view.operands(node)
    if found is None or shape_of(graph, found[0]) != shape_of(graph, node.outputs[0]):
        return False
    x, number = found
    bound = floats(graph, f"{node.name}.bound", number)
    node.inputs = [x, bound] if node.op == "Max" else [x, "", bound]
    node.op, node.attrs = "Clip", {}
    return True


def _sum(view: View, node: Node) -> bool:
    graph = view.graph
    if len(node.inputs) < 2 or all(constant(graph, name) is not None for name in node.inputs):
        return False
    nodes: List[Node] = []
    output = node.outputs[0]
    # Constants last, so that no node has constants only.
    names = sorted(node.inputs, key=lambda name: constant(graph, name) is not None)
    total = names[0]
    for index, name in enumerate(names[1:], start=1):
        last = index == len(names) - 1 and node.op == "Sum"
        shape = np.broadcast_shapes(shape_of(graph, total), shape_of(graph, name))
        result = output if last else activation(graph, f"{output}.sum", shape)
        nodes.append(Node("Add", f"{node.name}.add{index}", [total, name], [result]))
        total = result
    if node.op == "Mean":
        share = floats(graph, f"{node.name}.share", 1.0 / len(names))
        nodes.append(Node("Mul", f"{node.name}.mul", [total, share], [output]))
    replace(graph, node, nodes)
    return True


def _clamp(view: View, node: Node) -> bool:
    graph = view.graph
    low, high = clip_bounds(view, node)
    if math.isnan(low) or math.isnan(high):
        return False
    before = view.producer(node.inputs[0], "Relu", "Clip")
    if before is not None and view.private(node.inputs[0]):
        first_low, first_high = clip_bounds(view, before)
        if not math.isnan(first_low) and not math.isnan(first_high):
            first_low, low = min(first_low, first_high), min(low, high)
            _set_clamp(
                graph,
                node,
                before.inputs[0],
                min(max(first_low, low), high),
                min(max(first_high, low), high),
            )
            return True
    if node.op == "Clip" and (low, high) == (0.0, math.inf):
        node.op, node.inputs = "Relu", node.inputs[:1]
        return True
    return False


def _set_clamp(graph: Graph, node: Node, x: str, low: float, high: float) -> None:
    node.op, node.attrs = "Clip", {}
    node.inputs = [
        x,
        "" if low == -math.inf else floats(graph, f"{node.name}.min", low),
        "" if high == math.inf else floats(graph, f"{node.name}.max", high),
    ]
    while not node.inputs[-1]:
        node.inputs.pop()


_RULES: Dict[str, Callable[[View, Node], bool]] = {
    "Div": _div,
    "Pow": _pow,
    "Max": _extreme,
    "Min": _extreme,
    "Sum": _sum,
    "Mean": _sum,
    "Relu": _clamp,
    "Clip": _clamp,
}
