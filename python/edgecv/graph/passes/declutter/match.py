"""Questions that the pattern passes share: sums with a number, products as flat lists."""

from __future__ import annotations

import math
from typing import List, Optional, Tuple

from edgecv.graph.ir import Node
from edgecv.graph.passes.rewrite import View, input_name


def close(a: float, b: float) -> bool:
    """Equal up to the rounding of exporters (1 in 100,000)."""
    return math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-9)


def sum_with_number(view: View, name: str) -> Optional[Tuple[str, float]]:
    """(x, b) when a value is x + b or x - b with one number b; the value must be private."""
    node = view.producer(name, "Add", "Sub")
    if node is None or not view.private(name):
        return None
    if node.op == "Sub":
        number = view.scalar(node.inputs[1])
        computed = view.constant(node.inputs[0]) is None
        return (node.inputs[0], -number) if number is not None and computed else None
    return view.operands(node)


def clip_bounds(view: View, node: Node) -> Tuple[float, float]:
    """(min, max) of a Clip or Relu; infinite where absent, NaN where computed."""
    if node.op == "Relu":
        return 0.0, math.inf
    bounds = []
    for index, default in ((1, -math.inf), (2, math.inf)):
        name = input_name(node, index)
        number = view.scalar(name) if name else default
        bounds.append(math.nan if number is None else number)
    return bounds[0], bounds[1]


def product(view: View, node: Node) -> Tuple[float, List[str]]:
    """(number, factors) of a tree of Mul nodes; inner products must be private to the tree."""
    number = 1.0
    factors: List[str] = []
    for name in node.inputs:
        scalar = view.scalar(name)
        inner = view.producer(name, "Mul")
        if scalar is not None:
            number *= scalar
        elif (
            inner is not None
            and all(reader is node for reader in view.readers(name))
            and (not view.is_output(name))
        ):
            inner_number, inner_factors = product(view, inner)
            number *= inner_number
            factors += inner_factors
        else:
            factors.append(name)
    return number, factors


def products(view: View, node: Node) -> List[Tuple[float, List[str]]]:
    """The product of a Mul as its tree, and as its own two inputs."""
    flat = product(view, node)
    number = 1.0
    factors: List[str] = []
    for name in node.inputs:
        scalar = view.scalar(name)
        if scalar is not None:
            number *= scalar
        else:
            factors.append(name)
    return [flat, (number, factors)] if flat != (number, factors) else [flat]
