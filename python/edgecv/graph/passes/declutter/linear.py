"""Edits on the weights and bias of linear ops that several passes share.

Conv, ConvTranspose, Gemm; and BatchNormalization, whose scale and bias lie at the same places.
"""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.rewrite import constant, floats, input_name, shape_of

Array = NDArray[Any]


def channels(graph: Graph, node: Node) -> int:
    """Output channels: axis 1 of every linear op."""
    return int(shape_of(graph, node.outputs[0])[1])


def bias_of(graph: Graph, node: Node) -> Optional[Array]:
    """The bias per output channel in float64, zeros when absent; None when it has another form."""
    name = input_name(node, 2)
    count = channels(graph, node)
    if not name:
        return np.zeros(count)
    data = constant(graph, name)
    if data is None:
        return None
    if node.op == "Gemm":
        if data.ndim > 1 and data.shape[0] != 1:
            return None
        beta = float(node.attrs.get("beta", 1.0))
        return np.broadcast_to(beta * data.astype(np.float64).reshape(-1), (count,)).copy()
    return data.astype(np.float64)


def set_bias(graph: Graph, node: Node, bias: Array) -> None:
    """Replaces the bias."""
    base = input_name(node, 2) or f"{node.name}.bias"
    node.inputs += [""] * (3 - len(node.inputs))
    node.inputs[2] = floats(graph, base, bias)
    if node.op == "Gemm":
        node.attrs.pop("beta", None)


def add_bias(graph: Graph, node: Node, extra: Array) -> None:
    """Adds to the bias, which must have a form that :func:`bias_of` reads."""
    bias = bias_of(graph, node)
    assert bias is not None
    if input_name(node, 2) or np.any(extra):
        set_bias(graph, node, bias + extra)


def scale_outputs(graph: Graph, node: Node, factor: Array) -> bool:
    """Multiplies weights and bias by a factor per output channel; False when they are computed."""
    w = constant(graph, node.inputs[1])
    bias = bias_of(graph, node)
    if w is None or bias is None:
        return False
    wide = w.astype(np.float64)
    if node.op == "BatchNormalization":
        scaled = wide * factor
    elif node.op == "Conv":
        scaled = wide * factor.reshape(-1, *(1,) * (w.ndim - 1))
    elif node.op == "ConvTranspose":
        groups = int(node.attrs.get("group", 1))
        rows = factor.reshape(groups, -1)
        per_row = np.repeat(rows, w.shape[0] // groups, axis=0)
        scaled = wide * per_row.reshape(*per_row.shape, *(1,) * (w.ndim - 2))
    else:
        scaled = wide * (factor[:, None] if node.attrs.get("transB", 0) else factor[None, :])
    node.inputs[1] = floats(graph, node.inputs[1], scaled)
    if input_name(node, 2):
        set_bias(graph, node, bias * factor)
    return True
