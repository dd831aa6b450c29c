"""Folds BatchNormalization into the linear op before it, or into the one after it.

Cases:
1. Conv, ConvTranspose or Gemm whose output only the BatchNormalization reads: its scale goes into
   the weights, the rest into the bias. The result keeps the BatchNormalization's name.
2. BatchNormalization whose output only an unpadded Conv (any group) or a Gemm reads: its scale
   goes into that op's weights by input channel, its offset into the bias. With padding the offset
   would be missing at the border, so only an offset of zero is folded then.

The arithmetic is done in float64 and rounded to f32 once.
"""

from __future__ import annotations

from typing import Any, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.declutter.linear import add_bias, bias_of, scale_outputs
from edgecv.graph.passes.rewrite import Result, View, constant, floats, known, remove, shape_of

Array = NDArray[Any]


def fold_batchnorm(graph: Graph) -> Result:
    """Runs the pass."""
    result = Result()
    for node in list(graph.nodes):
        if node.op != "BatchNormalization" or not known(graph, node):
            continue
        if len(node.outputs) > 1 or node.attrs.get("training_mode", 0):
            result.refuse(node, "it is in training mode")
            continue
        affine = affine_of(graph, node)
        if affine is None:
            result.refuse(node, "a parameter is not a constant vector")
            continue
        if _into_previous(graph, node, affine, result) or _into_next(graph, node, affine, result):
            result.changed = True
    if result.changed:
        graph.drop_unused()
    return result


def affine_of(graph: Graph, node: Node) -> Optional[Tuple[Array, Array]]:
    """(factor, offset) per channel in float64, None when a parameter is not a constant vector."""
    parameters = [constant(graph, name) for name in node.inputs[1:5]]
    channels = shape_of(graph, node.inputs[0])[1:2]
    if any(item is None or item.shape != channels for item in parameters):
        return None
    scale, bias, mean, variance = (np.asarray(item, np.float64) for item in parameters)
    factor = scale / np.sqrt(variance + float(node.attrs.get("epsilon", 1e-5)))
    return factor, bias - mean * factor


def _into_previous(graph: Graph, node: Node, affine: Tuple[Array, Array], result: Result) -> bool:
    view = View(graph)
    before = view.producer(node.inputs[0], "Conv", "ConvTranspose", "Gemm")
    if before is None:
        return False
    if not view.private(node.inputs[0]):
        result.refuse(node, f"the output of {before.name} has another reader")
        return False
    factor, offset = affine
    if not scale_outputs(graph, before, factor):
        result.refuse(node, f"the weights or bias of {before.name} are not constant")
        return False
    add_bias(graph, before, offset)
    before.outputs = [node.outputs[0]]
    remove(graph, [node])
    return True


def _into_next(graph: Graph, node: Node, affine: Tuple[Array, Array], result: Result) -> bool:
    view = View(graph)
    after = view.only_reader(node.outputs[0])
    if after is None or after.op != "Conv" or after.inputs[0] != node.outputs[0]:
        return False
    w = constant(graph, after.inputs[1])
    if w is None or node.outputs[0] in after.inputs[1:] or bias_of(graph, after) is None:
        result.refuse(node, f"the weights or bias of {after.name} are not constant")
        return False
    factor, offset = affine
    padded = any(after.attrs.get("pads", [0])) or after.attrs.get("auto_pad", "NOTSET") not in (
        "NOTSET",
        "VALID",
    )
    if padded and np.any(offset):
        result.refuse(node, f"{after.name} pads, and the offset is not zero")
        return False
    groups = int(after.attrs.get("group", 1))
    per_group = w.shape[0] // groups
    wide = w.astype(np.float64)
    by_output = np.repeat(np.arange(groups), per_group)
    channel = by_output[:, None] * w.shape[1] + np.arange(w.shape[1])[None, :]
    tail = (1,) * (w.ndim - 2)
    extra = (wide * offset[channel].reshape(*channel.shape, *tail)).sum(
        axis=tuple(range(1, w.ndim))
    )
    scaled = wide * factor[channel].reshape(*channel.shape, *tail)
    after.inputs[1] = floats(graph, f"{after.inputs[1]}.folded", scaled)
    add_bias(graph, after, extra)
    after.inputs[0] = node.inputs[0]
    remove(graph, [node])
    return True
