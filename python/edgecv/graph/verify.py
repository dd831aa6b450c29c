"""Checks that a lowered graph keeps the rules of the IR and of docs/ops.md."""

from __future__ import annotations

from typing import List, Set

from edgecv.graph.ir import DTYPES, Graph, Node
from edgecv.graph.ops import OPS, OpError


class VerifyError(Exception):
    """A graph is not sound; the message names the node or value."""


def verify(graph: Graph) -> None:
    """Raises VerifyError unless a lowered graph is sound.

    Each value is computed once, before it is read; shapes, dtypes, attributes and constants fit
    the ops; ports fit their values.
    """
    ready: Set[str] = {name for name, value in graph.values.items() if value.is_constant}
    for name, value in graph.values.items():
        _need(name == value.name, f"value {name!r} calls itself {value.name!r}")
        _need(value.dtype in DTYPES, f"value {name!r} has dtype {value.dtype!r}")
        _need(all(dim >= 1 for dim in value.shape), f"value {name!r} has shape {value.shape}")
        if value.data is not None:
            _need(value.data.shape == value.shape, f"constant {name!r} has another shape")
            _need(value.data.dtype == DTYPES[value.dtype], f"constant {name!r} has another dtype")
    for port in graph.inputs:
        _need(port.value in graph.values, f"input {port.name!r} has no value")
        _need(port.value not in ready, f"input {port.name!r} is a constant or given twice")
        ready.add(port.value)
    for node in graph.nodes:
        _node(graph, node, ready)
    for port in (*graph.inputs, *graph.outputs):
        _need(port.value in ready, f"output {port.name!r} is never computed")
        shape = graph.values[port.value].shape
        _need(sorted(port.perm) == list(range(len(shape))), f"port {port.name!r} has a bad perm")
        _need(
            port.shape == tuple(shape[axis] for axis in port.perm),
            f"port {port.name!r} has shape {port.shape}, its value {shape}",
        )


def _node(graph: Graph, node: Node, ready: Set[str]) -> None:
    op = OPS.get(node.op)
    _need(op is not None, f"node {node.name!r}: no op is called {node.op!r}")
    assert op is not None
    for name in node.inputs:
        _need(not name or name in ready, f"node {node.name!r} reads {name!r} before it is computed")
    _need(len(node.outputs) == 1, f"node {node.name!r} has {len(node.outputs)} outputs")
    output = graph.values.get(node.outputs[0])
    _need(output is not None, f"node {node.name!r} has no output value")
    assert output is not None
    _need(output.name not in ready, f"value {output.name!r} is computed twice")
    operands = [graph.values[name] if name else None for name in node.inputs]
    first = operands[0] if operands else None
    _need(first is not None, f"node {node.name!r} has no first input")
    assert first is not None
    where = f"node {node.name!r} ({node.op} {first.dtype})"
    _need(first.dtype in op.attrs, f"{where}: the op has no such form")
    wanted = set(op.attrs[first.dtype])
    _need(set(node.attrs) == wanted, f"{where}: attributes {_difference(set(node.attrs), wanted)}")
    low, high = op.inputs[first.dtype]
    _need(low <= len(operands) <= high, f"{where}: has {len(operands)} inputs")
    try:
        shape = op.infer(node, operands, output)
    except OpError as error:
        raise VerifyError(f"{where}: {error}") from error
    _need(shape == output.shape, f"{where}: gives {shape}, {output.name!r} is {output.shape}")
    _need(op.out_dtype(first.dtype) == output.dtype, f"{where}: gives another dtype than its value")
    if output.dtype == "s8":
        _need(output.scale > 0, f"{where}: {output.name!r} has no scale")
        _need(-128 <= output.zero_point <= 127, f"{where}: bad zero point")
    ready.add(output.name)


def _difference(have: Set[str], want: Set[str]) -> str:
    parts: List[str] = [f"+{name}" for name in sorted(have - want)]
    parts += [f"-{name}" for name in sorted(want - have)]
    return " ".join(parts)


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise VerifyError(message)
