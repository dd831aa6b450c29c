"""Finds SiLU.

Cases:
1. x * Sigmoid(x) -> Silu.
2. The op Swish (opset 24) with alpha 1 -> Silu; with another alpha -> Mul, Sigmoid, Mul.
"""

from __future__ import annotations

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.rewrite import Result, View, activation, floats, known, replace, shape_of


def fuse_silu(graph: Graph) -> Result:
    """Runs the pass."""
    result = Result()
    view = View(graph)
    for node in list(graph.nodes):
        if node.op == "Swish" and known(graph, node):
            _swish(graph, node)
            result.changed = True
            view.renew()
            continue
        if node.op != "Mul" or len(node.inputs) != 2:
            continue
        for x, gate_name in (node.inputs, node.inputs[::-1]):
            gate = view.producer(gate_name, "Sigmoid")
            if gate is None or gate.inputs[0] != x:
                continue
            if not view.private(gate_name):
                result.refuse(node, f"the output of {gate.name} has another reader")
                continue
            node.op, node.inputs, node.attrs = "Silu", [x], {}
            result.changed = True
            view.renew()
            break
    if result.changed:
        graph.drop_unused()
    return result


def _swish(graph: Graph, node: Node) -> None:
    alpha = float(node.attrs.get("alpha", 1.0))
    x, output = node.inputs[0], node.outputs[0]
    if alpha == 1.0:
        node.op, node.attrs = "Silu", {}
        return
    shape = shape_of(graph, x)
    scaled = activation(graph, f"{output}.scaled", shape)
    gate = activation(graph, f"{output}.gate", shape)
    factor = floats(graph, f"{node.name}.alpha", alpha)
    replace(
        graph,
        node,
        [
            Node("Mul", f"{node.name}.scale", [x, factor], [scaled]),
            Node("Sigmoid", f"{node.name}.gate", [scaled], [gate]),
            Node("Mul", node.name, [x, gate], [output]),
        ],
    )
