"""What becomes an answer of a model by moves and functions alone: labels and detections are the
largest of its values.
"""

from __future__ import annotations

from typing import List, Tuple

from edgecv.graph.ir import Graph
from edgecv.quant.layer_inputs import WEIGHTED_OPS
from edgecv.quant.precision import MOVES

_PASSED = MOVES | {"Unary", "Softmax"}


def answer_values(graph: Graph) -> List[str]:
    """Names of the f32 activations of a lowered graph that reach an output so, in order."""
    producers = graph.producers()
    found = set()
    pending = list(graph.output_values())
    while pending:
        name = pending.pop()
        if name in found or graph.values[name].is_constant:
            continue
        found.add(name)
        node = producers.get(name)
        if node is not None and node.op in _PASSED:
            pending += [other for other in node.inputs if other]
    return [
        value.name
        for value in graph.values.values()
        if value.name in found and value.name in producers and value.dtype == "f32"
    ]


def answer_nodes(graph: Graph) -> Tuple[List[str], List[str]]:
    """Names of the nodes that write those: what follows the last layers, and these themselves."""
    names = set(answer_values(graph))
    nodes = [node for node in graph.nodes if node.outputs[0] in names]
    after = [node.name for node in nodes if node.op in _PASSED]
    return after, [node.name for node in nodes if node.op in WEIGHTED_OPS]
