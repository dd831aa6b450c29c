"""Finds Gelu.

Cases:
1. 0.5 * x * (1 + erf(x / sqrt 2)), factors in any order -> Gelu.
2. 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) -> Gelu, approximate tanh; the cubic
   also as x * (1 + 0.044715 * x^2).
"""

from __future__ import annotations

import math
from typing import List, Optional, Tuple

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.declutter.match import close, product, products
from edgecv.graph.passes.rewrite import Result, View


def fuse_gelu(graph: Graph) -> Result:
    """Runs the pass."""
    result = Result()
    view = View(graph)
    for node in list(graph.nodes):
        if node.op != "Mul":
            continue
        for number, factors in products(view, node):
            if not close(number, 0.5) or len(factors) != 2:
                continue
            found = _match(view, factors)
            if found is not None:
                x, kind = found
                node.op, node.inputs, node.attrs = "Gelu", [x], {"approximate": kind}
                result.changed = True
                view.renew()
                break
    if result.changed:
        graph.drop_unused()
    return result


def _match(view: View, factors: List[str]) -> Optional[Tuple[str, str]]:
    for x, name in (factors, factors[::-1]):
        add = view.producer(name, "Add")
        shifted = view.operands(add) if add is not None else None
        if shifted is None or not close(shifted[1], 1.0):
            continue
        curve = view.producer(shifted[0], "Erf", "Tanh")
        if curve is None:
            continue
        inner = view.producer(curve.inputs[0], "Mul")
        if inner is None:
            continue
        if curve.op == "Erf":
            number, inside = product(view, inner)
            if inside == [x] and close(number, math.sqrt(0.5)):
                return x, "none"
        elif _is_cubic(view, inner, x):
            return x, "tanh"
    return None


def _is_cubic(view: View, node: Node, x: str) -> bool:
    """sqrt(2 / pi) * (x + 0.044715 x^3), or sqrt(2 / pi) * x * (1 + 0.044715 x^2)."""
    number, factors = product(view, node)
    if not close(number, math.sqrt(2 / math.pi)):
        return False
    if len(factors) == 1:
        add = view.producer(factors[0], "Add")
        if add is None or x not in add.inputs:
            return False
        other = add.inputs[1] if add.inputs[0] == x else add.inputs[0]
        return _is_power(view, other, x, 3)
    rest = [name for name in factors if name != x]
    if len(factors) != 2 or len(rest) != 1:
        return False
    add = view.producer(rest[0], "Add")
    shifted = view.operands(add) if add is not None else None
    return shifted is not None and close(shifted[1], 1.0) and _is_power(view, shifted[0], x, 2)


def _is_power(view: View, name: str, x: str, power: int) -> bool:
    node = view.producer(name, "Mul")
    if node is None:
        return False
    number, factors = product(view, node)
    return close(number, 0.044715) and factors == [x] * power
