"""Removes moves that undo or follow one another in a lowered graph.

Cases:
1. Reshape of a Reshape: reads the first one's input.
2. Transpose of a Transpose: one Transpose of the product.
3. Reshape to the shape it has, Transpose that moves nothing: removed, unless it feeds a graph
   output from a graph input.
4. Transpose that moves only dims of size 1: a Reshape.
"""

from __future__ import annotations

from edgecv.graph.ir import Graph
from edgecv.graph.passes.rewrite import Result, View, remove, replace_uses, shape_of


def cancel_moves(graph: Graph) -> Result:
    """Runs the pass."""
    result = Result()
    view = View(graph)
    inputs = {port.value for port in graph.inputs}
    for node in list(graph.nodes):
        if node.op not in ("Reshape", "Transpose"):
            continue
        source, output = node.inputs[0], node.outputs[0]
        shape = shape_of(graph, source)
        if node.op == "Transpose":
            moved = [axis for axis in node.attrs["perm"] if shape[axis] != 1]
            if moved == sorted(moved):
                node.op, node.attrs = "Reshape", {}
                result.changed = True
                view.renew()
        before = view.producer(source, node.op)
        if before is not None:
            if node.op == "Transpose":
                first = before.attrs["perm"]
                node.attrs["perm"] = [first[axis] for axis in node.attrs["perm"]]
            node.inputs = [before.inputs[0]]
            source = node.inputs[0]
            result.changed = True
            view.renew()
        idle = (
            shape_of(graph, source) == shape_of(graph, output)
            if node.op == "Reshape"
            else node.attrs["perm"] == sorted(node.attrs["perm"])
        )
        outputs = set(graph.output_values())
        if idle and not (output in outputs and (source in inputs or source in outputs)):
            replace_uses(graph, output, source)
            remove(graph, [node])
            result.changed = True
            view.renew()
    if result.changed:
        graph.drop_unused()
    return result
