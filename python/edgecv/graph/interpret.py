"""Runs a lowered graph in numpy: the oracle for everything that computes."""

from __future__ import annotations

from typing import Any, Dict, Mapping

import numpy as np
from numpy.typing import NDArray

from edgecv.graph.ir import DTYPES, Graph, Node
from edgecv.graph.ops import OPS


def interpret(graph: Graph, inputs: Mapping[str, NDArray[Any]]) -> Dict[str, NDArray[Any]]:
    """Return every activation of a lowered graph by value name, in stored layout.

    ``inputs``: port name -> array in the API's shape (the port's), of the stored value's dtype.
    Raises OpError when an accumulator leaves s32 or NaN is quantized, ValueError on bad inputs.
    """
    results: Dict[str, NDArray[Any]] = {}
    for port in graph.inputs:
        value = graph.values[port.value]
        array = np.asarray(inputs[port.name])
        if array.shape != port.shape:
            raise ValueError(f"input {port.name!r} is {array.shape}, not {port.shape}")
        order = [port.perm.index(axis) for axis in range(len(port.perm))]
        results[port.value] = np.ascontiguousarray(array.transpose(order)).astype(
            DTYPES[value.dtype], copy=False
        )
    for node in graph.nodes:
        results[node.outputs[0]] = interpret_node(graph, node, results)
    return results


def interpret_node(
    graph: Graph, node: Node, activations: Mapping[str, NDArray[Any]]
) -> NDArray[Any]:
    """Return the output of one lowered node, in stored layout.

    ``activations``: value name -> array in stored layout, for the inputs that are no constants.
    """
    values = [graph.values[name] if name else None for name in node.inputs]
    arrays = [
        None if value is None else value.data if value.is_constant else activations[value.name]
        for value in values
    ]
    return OPS[node.op].run(node, values, arrays, graph.values[node.outputs[0]])


def outputs_of(graph: Graph, results: Mapping[str, NDArray[Any]]) -> Dict[str, NDArray[Any]]:
    """The graph's outputs from the results of :func:`interpret`: port name -> array, API layout."""
    return {port.name: results[port.value].transpose(port.perm) for port in graph.outputs}
