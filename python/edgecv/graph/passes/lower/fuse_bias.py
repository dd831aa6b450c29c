"""Fuses an Add of a constant vector into the FullyConnected before it.

Cases:
1. FullyConnected without clamp whose output only an Add of a constant [N] (or one number) on the
   last axis reads: into the bias. The result keeps the name of the Add's output, and its clamp.
"""

from __future__ import annotations

import numpy as np

from edgecv.graph.ir import Graph
from edgecv.graph.passes.lower.context import INF
from edgecv.graph.passes.rewrite import Result, View, constant, floats, input_name, remove, shape_of


def fuse_bias(graph: Graph) -> Result:
    """Runs the pass on a lowered f32 graph."""
    result = Result()
    view = View(graph)
    for node in list(graph.nodes):
        if node.op != "Add":
            continue
        for name, other in (node.inputs, node.inputs[::-1]):
            before = view.producer(name, "FullyConnected")
            data = constant(graph, other)
            if before is None or data is None:
                continue
            shape = shape_of(graph, name)
            vector = data.size == 1 or data.shape[-1:] == (data.size,) == shape[-1:]
            if not vector or shape_of(graph, node.outputs[0]) != shape:
                result.refuse(node, "the constant is not a vector on the last axis")
            elif not view.private(name):
                result.refuse(node, f"the output of {before.name} has another reader")
            elif (before.attrs["lo"], before.attrs["hi"]) != (-INF, INF):
                result.refuse(node, f"{before.name} clamps")
            else:
                bias = constant(graph, input_name(before, 2))
                full = np.broadcast_to(data.reshape(-1).astype(np.float64), (shape[-1],))
                total = full if bias is None else full + bias
                bias_name = floats(graph, f"{node.outputs[0]}.bias", total)
                before.inputs = [*before.inputs[:2], bias_name]
                before.outputs = [node.outputs[0]]
                before.attrs.update(node.attrs)
                remove(graph, [node])
                result.changed = True
                view.renew()
                break
    if result.changed:
        graph.drop_unused()
    return result
