"""Softmax, LayerNormalization, ArgMax: ops over one axis, which must be stored last."""

from __future__ import annotations

from typing import List

import numpy as np

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.lower.context import Lowering
from edgecv.graph.passes.lower.elementwise import unary
from edgecv.graph.passes.lower.layout import Layout
from edgecv.graph.passes.lower.rule import Rule, Rules, anything
from edgecv.graph.passes.rewrite import constant, input_name, normal_axis, shape_of


def with_last(layout: Layout, axis: int) -> Layout:
    """The layout, changed so that an ONNX axis is the last stored one."""
    if layout.perm[axis] == layout.rank - 1:
        return layout
    return Layout.of_order([item for item in layout.order() if item != axis] + [axis])


def _check_axis(graph: Graph, node: Node) -> List[str]:
    rank = len(shape_of(graph, node.inputs[0]))
    axis = int(node.attrs.get("axis", 0))
    return [] if -rank <= axis < rank else [f"axis {axis} of a tensor of rank {rank}"]


def _lower_softmax(low: Lowering, node: Node) -> None:
    x, output = node.inputs[0], node.outputs[0]
    axis = normal_axis(int(node.attrs.get("axis", -1)), len(low.shape(x)))
    layout = with_last(low.layout(x), axis)
    if node.op == "Softmax":
        low.define(output, "Softmax", [low.get(x, layout)], layout)
        return
    dims = layout.stored(low.shape(x))
    share = low.temp(f"{output}.softmax", "Softmax", [low.get(x, layout)], dims)
    low.alias(output, share, layout)
    unary(low, output, output, "log")


def _check_layer_norm(graph: Graph, node: Node) -> List[str]:
    reasons = _check_axis(graph, node)
    if len(node.outputs) > 1:
        reasons.append("mean or deviation is read")
    if any(name and constant(graph, name) is None for name in node.inputs[1:]):
        reasons.append("scale or bias is not constant")
    return reasons


def _lower_layer_norm(low: Lowering, node: Node) -> None:
    x, output = node.inputs[0], node.outputs[0]
    shape = low.shape(x)
    rank = len(shape)
    axis = normal_axis(int(node.attrs.get("axis", -1)), rank)
    count = int(np.prod(shape[axis:], dtype=np.int64))
    gamma, beta = (low.constant(input_name(node, index)) for index in (1, 2))
    parameters = []
    for name, data, default in (("gamma", gamma, 1.0), ("beta", beta, 0.0)):
        full = np.full((), default) if data is None else data
        vector = np.broadcast_to(full, shape[axis:]).reshape(count)
        parameters.append(low.add_constant(f"{output}.{name}", vector))
    attrs = {"epsilon": float(node.attrs.get("epsilon", 1e-5))}
    if axis == rank - 1:
        layout = with_last(low.layout(x), axis)
        low.define(output, "LayerNorm", [low.get(x, layout), *parameters], layout, attrs)
        return
    layout = Layout.identity(rank)
    stored = low.get(x, layout)
    flat = low.reshape(stored, (*shape[:axis], count))
    normal = low.temp(
        f"{output}.flat", "LayerNorm", [flat, *parameters], (*shape[:axis], count), attrs
    )
    low.define(output, "Reshape", [normal], layout)


def _check_argmax(graph: Graph, node: Node) -> List[str]:
    reasons = _check_axis(graph, node)
    if node.attrs.get("select_last_index", 0):
        reasons.append("select_last_index is set")
    if graph.values[node.inputs[0]].dtype != "f32":
        reasons.append("the input is not f32")
    return reasons


def _lower_argmax(low: Lowering, node: Node) -> None:
    x, output = node.inputs[0], node.outputs[0]
    rank = len(low.shape(x))
    axis = normal_axis(int(node.attrs.get("axis", 0)), rank)
    layout = with_last(low.layout(x), axis)
    after = layout
    if not node.attrs.get("keepdims", 1):
        kept = [item for item in range(rank) if item != axis]
        after = Layout(tuple(layout.perm[item] for item in kept), layout.rank)
    low.define(output, "ArgMax", [low.get(x, layout)], after, dtype="s32")


def _lower_identity(low: Lowering, node: Node) -> None:
    low.alias(node.outputs[0], *low.where(node.inputs[0]))


RULES: Rules = {
    "Softmax": Rule(_check_axis, _lower_softmax, "Softmax over one axis"),
    "LogSoftmax": Rule(_check_axis, _lower_softmax, "LogSoftmax over one axis"),
    "LayerNormalization": Rule(
        _check_layer_norm, _lower_layer_norm, "LayerNormalization with constant scale and bias"
    ),
    "ArgMax": Rule(_check_argmax, _lower_argmax, "ArgMax over one axis, first index"),
    "Identity": Rule(anything, _lower_identity, "Identity"),
}
