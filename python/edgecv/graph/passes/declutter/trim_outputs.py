"""Drops outputs that nothing reads from the end of a node's list.

Cases:
1. The mask of Dropout, the indices of MaxPool, the mean and deviation of LayerNormalization, the
   statistics of BatchNormalization, and any other optional output but the first. Split keeps
   all of its outputs.
"""

from __future__ import annotations

from edgecv.graph.ir import Graph
from edgecv.graph.passes.rewrite import Result, View


def trim_outputs(graph: Graph) -> Result:
    """Runs the pass."""
    result = Result()
    view = View(graph)
    for node in graph.nodes:
        while (
            node.op != "Split"
            and len(node.outputs) > 1
            and not view.readers(node.outputs[-1])
            and not view.is_output(node.outputs[-1])
        ):
            node.outputs.pop()
            result.changed = True
    if result.changed:
        graph.drop_unused()
    return result
