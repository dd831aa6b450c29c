"""Finds HardSwish: x * clip(x + 3, 0, 6) / 6.

Cases:
1. A product of x and HardSigmoid(x; 1/6, 1/2) -> HardSwish.
2. A product of x, clip(x + 3, 0, 6) and the number 1/6, in any order -> HardSwish.
"""

from __future__ import annotations

from typing import List

from edgecv.graph.ir import Graph
from edgecv.graph.passes.declutter.match import clip_bounds, close, products
from edgecv.graph.passes.rewrite import Result, View


def fuse_hard_swish(graph: Graph) -> Result:
    """Runs the pass."""
    result = Result()
    view = View(graph)
    for node in list(graph.nodes):
        if node.op != "Mul":
            continue
        for number, factors in products(view, node):
            x = _match(view, number, factors)
            if x:
                node.op, node.inputs, node.attrs = "HardSwish", [x], {}
                result.changed = True
                view.renew()
                break
    if result.changed:
        graph.drop_unused()
    return result


def _match(view: View, number: float, factors: List[str]) -> str:
    if len(factors) != 2:
        return ""
    for x, gate_name in (factors, factors[::-1]):
        gate = view.producer(gate_name, "HardSigmoid", "Clip")
        if gate is None:
            continue
        if gate.op == "HardSigmoid":
            alpha, beta = (gate.attrs.get(k, d) for k, d in (("alpha", 0.2), ("beta", 0.5)))
            if gate.inputs[0] == x and close(alpha, 1 / 6) and close(beta, 0.5) and number == 1.0:
                return x
            continue
        shift = view.producer(gate.inputs[0], "Add")
        shifted = view.operands(shift) if shift is not None else None
        if (
            shifted is not None
            and shifted[0] == x
            and close(shifted[1], 3.0)
            and clip_bounds(view, gate) == (0.0, 6.0)
            and close(number, 1 / 6)
        ):
            return x
    return ""
