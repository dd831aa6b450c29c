"""Finds HardSigmoid written as a clip.

Cases:
1. clip(x + b, 0, c) * k with k = 1 / c -> HardSigmoid(alpha k, beta b k), such as
   clip(x + 3, 0, 6) / 6.
2. clip(a * x + b, 0, 1), with a Mul and an Add of numbers -> HardSigmoid(alpha a, beta b).
"""

from __future__ import annotations

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.declutter.match import clip_bounds, close, sum_with_number
from edgecv.graph.passes.rewrite import Result, View


def fuse_hard_sigmoid(graph: Graph) -> Result:
    """Runs the pass."""
    result = Result()
    view = View(graph)
    for node in list(graph.nodes):
        changed = False
        if node.op == "Mul":
            changed = _scaled_clip(view, node, result)
        elif node.op == "Clip":
            changed = _unit_clip(view, node)
        if changed:
            result.changed = True
            view.renew()
    if result.changed:
        graph.drop_unused()
    return result


def _become(node: Node, x: str, alpha: float, beta: float) -> bool:
    node.op, node.inputs = "HardSigmoid", [x]
    node.attrs = {"alpha": alpha, "beta": beta}
    return True


def _scaled_clip(view: View, node: Node, result: Result) -> bool:
    found = view.operands(node)
    if found is None:
        return False
    name, number = found
    clip = view.producer(name, "Clip")
    if clip is None:
        return False
    low, high = clip_bounds(view, clip)
    shifted = sum_with_number(view, clip.inputs[0])
    if low != 0.0 or shifted is None or not close(number * high, 1.0):
        return False
    if not view.private(name):
        result.refuse(node, f"the clip {clip.name} has another reader")
        return False
    x, offset = shifted
    return _become(node, x, number, offset * number)


def _unit_clip(view: View, node: Node) -> bool:
    shifted = sum_with_number(view, node.inputs[0])
    if clip_bounds(view, node) != (0.0, 1.0) or shifted is None:
        return False
    name, offset = shifted
    scale = view.producer(name, "Mul")
    scaled = view.operands(scale) if scale is not None and view.private(name) else None
    if scaled is None:
        return False
    x, factor = scaled
    return _become(node, x, factor, offset)
