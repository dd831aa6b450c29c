"""What :mod:`adopt_quantization` needs for activations with a scale a channel."""

from __future__ import annotations

import math
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.declutter.match import clip_bounds
from edgecv.graph.passes.rewrite import View, activation, floats

Array = NDArray[Any]


def per_channel(
    graph: Graph, name: str, x: str, y: str, factor: Array, offset: Optional[Array] = None
) -> Node:
    """The node that multiplies axis 1 by a factor a channel, and adds an offset; neighbours fold
    it.
    """
    zeros, ones = np.zeros(factor.size), np.ones(factor.size)
    last = zeros if offset is None else offset
    parameters = [
        floats(graph, f"{name}.{part}", data)
        for part, data in (("factor", factor), ("offset", last), ("mean", zeros), ("var", ones))
    ]
    return Node("BatchNormalization", name, [x, *parameters], [y], {"epsilon": 0.0})


def rounded_f32(
    graph: Graph, name: str, x: str, scale: Array, zero: Array, bounds: Tuple[int, int]
) -> Tuple[str, List[Node]]:
    """(real values, nodes) of a rounding by f32 ops: QuantizeLinear, DequantizeLinear."""
    shape = graph.values[x].shape
    steps, whole, cut, real = (
        activation(graph, f"{x}.{part}", shape) for part in ("steps", "whole", "cut", "rounded")
    )
    limits = [floats(graph, f"{name}.bound", float(bound)) for bound in bounds]
    return real, [
        per_channel(graph, f"{name}.divide", x, steps, 1.0 / scale, zero + 0.5),
        Node("Floor", f"{name}.floor", [steps], [whole]),
        Node("Clip", f"{name}.clip", [whole, *limits], [cut]),
        per_channel(graph, f"{name}.multiply", cut, real, scale, -zero * scale),
    ]


def unclamped(
    graph: Graph, x: str, low: Array, high: Array, nodes: Sequence[Node]
) -> Tuple[str, float]:
    """``x``, or what a Relu or Clip makes it from where rounding to [low, high] clamps as much; and
    the least value of ``x``.
    """
    node = next((node for node in reversed(nodes) if x in node.outputs), None)
    if node is None or node.op not in ("Relu", "Clip"):
        return x, -math.inf
    bounds = clip_bounds(View(graph), node)
    slack = 1e-6 * float((high - low).max())
    covered = float(low.min()) >= bounds[0] - slack and float(high.max()) <= bounds[1] + slack
    return (node.inputs[0] if covered else x), bounds[0]
