"""Gemm and MatMul -> FullyConnected where one side is a constant matrix, else MatMul."""

from __future__ import annotations

from typing import Any, List, Optional

from numpy.typing import NDArray

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.lower.context import NO_CLAMP, Lowering
from edgecv.graph.passes.lower.layout import Layout
from edgecv.graph.passes.lower.rule import Rule, Rules
from edgecv.graph.passes.rewrite import constant, input_name, shape_of


def _last(low: Lowering, x: str, axis: int) -> Layout:
    """The layout of x that it has, with ``axis`` moved to the end of the stored axes."""
    layout = low.layout(x).compact()
    order = layout.order()
    if order[-1] == axis:
        return layout
    return Layout.of_order([item for item in order if item != axis] + [axis])


def fully_connected(
    low: Lowering, x: str, weight: NDArray[Any], bias: Optional[NDArray[Any]], node: Node, axis: int
) -> None:
    """Emits y[.., n, ..] = sum_k weight[n, k] * x[.., k, ..] + bias[n] over ONNX axis ``axis``."""
    output = node.outputs[0]
    layout = _last(low, x, axis)
    inputs = [low.get(x, layout), low.add_constant(f"{output}.weight", weight)]
    if bias is not None:
        inputs.append(low.add_constant(f"{output}.bias", bias))
    low.define(output, "FullyConnected", inputs, layout, NO_CLAMP)


def _check_matmul(graph: Graph, node: Node) -> List[str]:
    a, b = (shape_of(graph, name) for name in node.inputs)
    a_data, b_data = (constant(graph, name) for name in node.inputs)
    if len(a) < 2 and not (len(a) == 1 and b_data is not None and len(b) == 2):
        return [f"the left side has rank {len(a)}"]
    if len(b) < 2:
        return [f"the right side has rank {len(b)}"]
    if a_data is not None and b_data is not None:
        return ["both sides are constant"]
    return []


def _lower_matmul(low: Lowering, node: Node) -> None:
    a, b = node.inputs
    a_data, b_data = low.constant(a), low.constant(b)
    if b_data is not None and b_data.ndim == 2:
        fully_connected(low, a, b_data.T, None, node, len(low.shape(a)) - 1)
        return
    if a_data is not None and a_data.ndim == 2:
        # y[.., m, n] = sum_k a[m, k] * b[.., k, n]: over the last but one axis of b.
        fully_connected(low, b, a_data, None, node, len(low.shape(b)) - 2)
        return
    _lower_product(low, a, b, node)


def _swapped(rank: int) -> Layout:
    return Layout.of_order([*range(rank - 2), rank - 1, rank - 2])


def _lower_product(low: Lowering, a: str, b: str, node: Node) -> None:
    rank_a, rank_b = len(low.shape(a)), len(low.shape(b))
    transpose_b = 0
    layout_b = Layout.identity(rank_b)
    if low.constant(b) is None:
        have = low.layout(b).order_of_data(low.shape(b))
        if have and have[-1] == rank_b - 2:
            transpose_b, layout_b = 1, _swapped(rank_b)
    inputs = [low.get(a, Layout.identity(rank_a)), low.get(b, layout_b)]
    rank = max(rank_a, rank_b)
    low.define(
        node.outputs[0], "MatMul", inputs, Layout.identity(rank), {"transpose_b": transpose_b}
    )


def _check_gemm(graph: Graph, node: Node) -> List[str]:
    reasons = []
    if constant(graph, node.inputs[0]) is not None:
        reasons.append("the left side is constant")
    if constant(graph, node.inputs[1]) is None:
        reasons.append("the right side is not constant")
    c = input_name(node, 2)
    if c and constant(graph, c) is None:
        reasons.append("C is not constant")
    return reasons


def _lower_gemm(low: Lowering, node: Node) -> None:
    # canonicalize_gemm leaves transA 0, transB 1, alpha 1, beta 1 and C of shape [N].
    weight, bias = low.constant(node.inputs[1]), low.constant(input_name(node, 2))
    assert weight is not None
    fully_connected(low, node.inputs[0], weight, bias, node, 1)


RULES: Rules = {
    "MatMul": Rule(_check_matmul, _lower_matmul, "MatMul of rank 2 at least, one side computed"),
    "Gemm": Rule(_check_gemm, _lower_gemm, "Gemm with a constant B and C, or all sides computed"),
}
