"""What passes share: their result, and questions and edits on a graph.

Editing rule of every declutter pass: a value keeps its name as long as it keeps its meaning, so
that what is known of a value by name (its range, for example) stays true.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.graph.ir import Graph, Node, Shape, Value

UNKNOWN_SHAPE: Shape = (-1,)
"""The shape of a value whose shape ONNX cannot infer; such a graph is refused before lowering."""


@dataclass
class Result:
    """What a pass did: whether the graph changed; (node name, reason) of what it left alone."""

    changed: bool = False
    refusals: List[Tuple[str, str]] = field(default_factory=list)

    def refuse(self, node: Node, reason: str) -> None:
        """Records that a candidate was left alone."""
        self.refusals.append((node.name, reason))


class View:
    """Producers and readers of a graph; call :meth:`renew` after an edit."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.renew()

    def renew(self) -> None:
        """Forgets what was known of the graph."""
        self._producer_table: Optional[Dict[str, Node]] = None
        self._consumer_table: Optional[Dict[str, List[Node]]] = None

    @property
    def _producers(self) -> Dict[str, Node]:
        if self._producer_table is None:
            self._producer_table = self.graph.producers()
        return self._producer_table

    @property
    def _consumers(self) -> Dict[str, List[Node]]:
        if self._consumer_table is None:
            self._consumer_table = self.graph.consumers()
        return self._consumer_table

    def producer(self, name: str, *ops: str) -> Optional[Node]:
        """The node that computes a value, if it is one of ``ops`` (any op when none is given)."""
        node = self._producers.get(name)
        return node if node is not None and (not ops or node.op in ops) else None

    def readers(self, name: str) -> List[Node]:
        """The nodes that read a value."""
        return self._consumers.get(name, [])

    def only_reader(self, name: str) -> Optional[Node]:
        """The one node that reads a value, None when another or the graph's output reads it too."""
        readers = self.readers(name)
        return readers[0] if len(readers) == 1 and not self.is_output(name) else None

    def private(self, name: str) -> bool:
        """True when exactly one node reads the value and it is no graph output."""
        return self.only_reader(name) is not None

    def is_output(self, name: str) -> bool:
        """True for a value behind a graph output."""
        return any(port.value == name for port in self.graph.outputs)

    def constant(self, name: str) -> Optional[NDArray[Any]]:
        """The data of a constant, else None."""
        return constant(self.graph, name)

    def scalar(self, name: str) -> Optional[float]:
        """The number in a constant of one element, else None."""
        return scalar(self.graph, name)

    def operands(self, node: Node) -> Optional[Tuple[str, float]]:
        """(the other input, number) of a commutative two-input node with a one-element constant."""
        if len(node.inputs) != 2:
            return None
        for index in (1, 0):
            number = self.scalar(node.inputs[index])
            other = node.inputs[1 - index]
            if number is not None and self.constant(other) is None and other:
                return other, number
        return None


def constant(graph: Graph, name: str) -> Optional[NDArray[Any]]:
    """The data of a constant, None for activations and absent inputs."""
    value = graph.values.get(name) if name else None
    return value.data if value is not None else None


def scalar(graph: Graph, name: str) -> Optional[float]:
    """The number in a constant of one element, else None."""
    data = constant(graph, name)
    return float(data.reshape(-1)[0]) if data is not None and data.size == 1 else None


def input_name(node: Node, index: int) -> str:
    """Input ``index`` of a node, ``""`` when absent."""
    return node.inputs[index] if index < len(node.inputs) else ""


def int_list(graph: Graph, node: Node, index: int, attr: str) -> Optional[List[int]]:
    """A list of integers given as input ``index`` or, in older opsets, as attribute ``attr``."""
    data = constant(graph, input_name(node, index))
    if data is not None:
        return [int(item) for item in data.reshape(-1)]
    if attr in node.attrs:
        return [int(item) for item in node.attrs[attr]]
    return None


def ints(graph: Graph, base: str, values: Sequence[int]) -> str:
    """Adds a constant s64 vector; returns its name."""
    return graph.constant(base, np.array(list(values), np.int64), "s64").name


def floats(graph: Graph, base: str, data: Any) -> str:
    """Adds a constant f32 tensor; returns its name."""
    return graph.constant(base, np.asarray(data, np.float32), "f32").name


def replace_uses(graph: Graph, old: str, new: str) -> None:
    """Makes every reader of ``old``, graph outputs included, read ``new``."""
    for node in graph.nodes:
        if old in node.inputs:
            node.inputs = [new if name == old else name for name in node.inputs]
    for port in graph.outputs:
        if port.value == old:
            port.value = new


def remove(graph: Graph, gone: Sequence[Node]) -> None:
    """Takes nodes out of the list; their output values stay until ``drop_unused``."""
    ids = {id(node) for node in gone}
    graph.nodes = [node for node in graph.nodes if id(node) not in ids]


def replace(graph: Graph, old: Node, new: Sequence[Node]) -> None:
    """Puts nodes in the place of one."""
    index = next(i for i, node in enumerate(graph.nodes) if node is old)
    graph.nodes[index : index + 1] = list(new)


def activation(graph: Graph, base: str, shape: Shape, dtype: str = "f32") -> str:
    """Adds an activation under a free name derived from ``base``; returns its name."""
    return graph.add(Value(graph.fresh(base), tuple(shape), dtype)).name


def shape_of(graph: Graph, name: str) -> Shape:
    """The shape of a value."""
    return graph.values[name].shape


def known(graph: Graph, node: Node) -> bool:
    """True when the shapes of all values of a node are known."""
    names = [name for name in (*node.inputs, *node.outputs) if name]
    return all(graph.values[name].shape != UNKNOWN_SHAPE for name in names)


def normal_axis(axis: int, rank: int) -> int:
    """An axis counted from the front."""
    return axis + rank if axis < 0 else axis


def pad_widths(graph: Graph, node: Node) -> List[Sequence[int]]:
    """(before, after) of each axis of a Pad with constant pads."""
    rank = len(shape_of(graph, node.inputs[0]))
    pads = int_list(graph, node, 1, "pads") or []
    axes = int_list(graph, node, 3, "axes") or list(range(rank))
    widths: List[Sequence[int]] = [(0, 0)] * rank
    for index, axis in enumerate(axes):
        widths[normal_axis(axis, rank)] = (pads[index], pads[index + len(axes)])
    return widths
