"""Folds arithmetic with constants into the linear op before it.

Cases:
1. Conv, ConvTranspose, Gemm or BatchNormalization whose output only a Mul, Add or Sub with a
   constant per output channel (or one number) reads -> into weights and bias.
2. The constant minus the output -> the same with a factor of -1.
3. MatMul by a constant matrix whose output only a Mul by one number or a number per column
   reads -> into the matrix.
4. Mul by one number of the input that only a MatMul by a constant matrix, or a Gemm, reads ->
   into the matrix.

The arithmetic is done in float64 and rounded to f32 once.
"""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.declutter.linear import add_bias, bias_of, channels, scale_outputs
from edgecv.graph.passes.rewrite import (
    Result,
    View,
    constant,
    floats,
    known,
    remove,
    shape_of,
)

_LINEAR = ("Conv", "ConvTranspose", "Gemm", "BatchNormalization")


def fold_affine(graph: Graph) -> Result:
    """Runs the pass."""
    result = Result()
    view = View(graph)
    for node in list(graph.nodes):
        if not known(graph, node):
            continue
        changed = False
        if node.op in ("Mul", "Add", "Sub") and len(node.inputs) == 2:
            changed = _fold(view, node, result) or _fold_matrix(view, node)
        elif node.op in ("MatMul", "Gemm"):
            changed = _fold_input(view, node)
        if changed:
            result.changed = True
            view.renew()
    if result.changed:
        graph.drop_unused()
    return result


def _per_channel(graph: Graph, node: Node, data: NDArray[Any]) -> Optional[NDArray[Any]]:
    """The constant as one number per output channel, None when it varies otherwise."""
    shape = shape_of(graph, node.outputs[0])
    dims = (1,) * (len(shape) - data.ndim) + data.shape
    if len(dims) != len(shape) or any(size != 1 for i, size in enumerate(dims) if i != 1):
        return None
    return np.broadcast_to(data.reshape(-1).astype(np.float64), (shape[1],))


def _fold(view: View, node: Node, result: Result) -> bool:
    graph = view.graph
    for position in (0, 1):
        name, other = node.inputs[position], node.inputs[1 - position]
        before = view.producer(name, *_LINEAR)
        data = constant(graph, other)
        if before is None or data is None:
            continue
        if not view.private(name):
            result.refuse(node, f"the output of {before.name} has another reader")
            return False
        numbers = _per_channel(graph, before, data)
        if numbers is None or shape_of(graph, node.outputs[0]) != shape_of(graph, name):
            result.refuse(node, "the constant is not per output channel")
            return False
        if len(before.outputs) > 1 or before.attrs.get("training_mode", 0):
            result.refuse(node, f"{before.name} is in training mode")
            return False
        if bias_of(graph, before) is None or constant(graph, before.inputs[1]) is None:
            result.refuse(node, f"the weights or bias of {before.name} are not constant")
            return False
        if node.op == "Mul":
            scale_outputs(graph, before, numbers)
        elif node.op == "Add" or position == 0:
            add_bias(graph, before, numbers if node.op == "Add" else -numbers)
        else:
            scale_outputs(graph, before, np.full(channels(graph, before), -1.0))
            add_bias(graph, before, numbers)
        before.outputs = [node.outputs[0]]
        remove(graph, [node])
        return True
    return False


def _fold_matrix(view: View, node: Node) -> bool:
    graph = view.graph
    if node.op != "Mul":
        return False
    for name, other in (node.inputs, node.inputs[::-1]):
        before = view.producer(name, "MatMul")
        data = constant(graph, other)
        if before is None or data is None or not view.private(name):
            continue
        matrix = constant(graph, before.inputs[1])
        columns = shape_of(graph, name)[-1]
        if matrix is None or matrix.ndim != 2 or data.size not in (1, columns):
            continue
        if data.size != 1 and data.shape[-1] != columns:
            continue
        if shape_of(graph, node.outputs[0]) != shape_of(graph, name):
            continue
        scaled = matrix.astype(np.float64) * data.reshape(-1)
        before.inputs[1] = floats(graph, before.inputs[1], scaled)
        before.outputs = [node.outputs[0]]
        remove(graph, [node])
        return True
    return False


def _fold_input(view: View, node: Node) -> bool:
    graph = view.graph
    scale = view.producer(node.inputs[0], "Mul")
    matrix = constant(graph, node.inputs[1])
    if scale is None or matrix is None or not view.private(node.inputs[0]):
        return False
    found = view.operands(scale)
    if found is None or shape_of(graph, found[0]) != shape_of(graph, node.inputs[0]):
        return False
    x, number = found
    node.inputs[1] = floats(graph, node.inputs[1], matrix.astype(np.float64) * number)
    node.inputs[0] = x
    remove(graph, [scale])
    return True
