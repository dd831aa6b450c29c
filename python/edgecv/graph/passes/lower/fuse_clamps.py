"""Fuses relu and clip into the op before them.

Cases:
1. Unary relu or clip whose input only it reads, computed by Conv2d, ConvTranspose2d,
   FullyConnected, Add, Sub, Mul or Div: the range is narrowed in lo and hi. The fused node's
   output keeps the name of the clamp's output.
"""

from __future__ import annotations

from edgecv.graph.ir import Graph
from edgecv.graph.passes.lower.elementwise import attributes_of_clip
from edgecv.graph.passes.rewrite import Result, View, remove

_CLAMPING = ("Conv2d", "ConvTranspose2d", "FullyConnected", "Add", "Sub", "Mul", "Div")


def fuse_clamps(graph: Graph) -> Result:
    """Runs the pass on a lowered f32 graph."""
    result = Result()
    view = View(graph)
    for node in list(graph.nodes):
        if node.op != "Unary":
            continue
        attrs = node.attrs
        bounds = attributes_of_clip(attrs["function"], attrs["alpha"], attrs["beta"])
        if bounds is None:
            continue
        before = view.producer(node.inputs[0], *_CLAMPING)
        if before is None:
            result.refuse(node, "the op before it does not clamp")
            continue
        if not view.private(node.inputs[0]):
            result.refuse(node, f"the output of {before.name} has another reader")
            continue
        low, high = bounds
        for name in ("lo", "hi"):
            before.attrs[name] = min(max(before.attrs[name], low), high)
        before.outputs = [node.outputs[0]]
        remove(graph, [node])
        result.changed = True
        view.renew()
    if result.changed:
        graph.drop_unused()
    return result
