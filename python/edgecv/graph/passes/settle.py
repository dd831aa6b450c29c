"""Gives the parameters of a model that came in quantized to the values of its lowered graph.

A FakeQuant right behind an op that can compute s8 becomes that op's rounding; where it stands
alone, or parameters change between two ops, it stays a step of its own, so that everything is
rounded where, and as often as, the model's author had it rounded.
"""

from __future__ import annotations

from typing import List, Mapping, Optional, Set

import numpy as np

from edgecv.graph.ir import Given, Graph, Node
from edgecv.graph.ops.unary import FUNCTIONS, evaluate
from edgecv.graph.passes.lower.elementwise import attributes_of_clip
from edgecv.graph.passes.rewrite import View, remove, replace_uses
from edgecv.quant.precision import INT8_OPS, MOVES, has_int8_form
from edgecv.quant.ranges import Range
from edgecv.quant.scales import SOFTMAX_PARAMS

WEIGHTED = frozenset({"Conv2d", "ConvTranspose2d", "FullyConnected"})
_SOFTMAX = Given(SOFTMAX_PARAMS.scale, SOFTMAX_PARAMS.zero_point)
# A rounding may change places with these.
_EXCHANGED = frozenset({"Reshape", "Transpose", "Slice", "MaxPool2d"})


def is_quantized(graph: Graph) -> bool:
    """Whether a decluttered graph brings parameters of activations or weights with it, or brought
    such as were not taken over.
    """
    given = bool(graph.given_weights or graph.remarks)
    return given or any(node.op == "FakeQuant" for node in graph.nodes)


def settle(graph: Graph, kept: Set[str], ranges: Optional[Mapping[str, Range]] = None) -> Set[str]:
    """Settles parameters in a lowered f32 graph, in place; returns the names of the nodes that are
    f32.

    kept: names of nodes that have to stay f32. ranges: of calibration, for what has no parameters;
    without them every op stays f32 whose inputs, output or weights have none.
    """
    return _Settler(graph, kept, ranges).run()


class _Settler:
    def __init__(self, graph: Graph, kept: Set[str], ranges: Optional[Mapping[str, Range]]) -> None:
        self._graph = graph
        self._kept = kept
        self._ranges = ranges
        self._float: Set[str] = set()

    def run(self) -> Set[str]:
        graph = self._graph
        self._view = View(graph)
        for node in list(graph.nodes):
            if node.op == "FakeQuant":
                self._fake(node)
            elif self._ready(node):
                self._inherit(node)
        for node in graph.nodes:
            if node.op != "FakeQuant" and not self._is_int8(node):
                self._float.add(node.name)
        self._fuse_clamps()
        for node in list(graph.nodes):
            if node.op == "FakeQuant" and self._is_port(node.inputs[0]):
                self._absorb_port(node)
        graph.drop_unused()
        return self._float

    def _activations(self, node: Node) -> List[str]:
        return [n for n in node.inputs if n and not self._graph.values[n].is_constant]

    def _has_form(self, node: Node) -> bool:
        """Unlike in a model that edgecv quantizes itself, any function between two given codings
        is a table.
        """
        if node.name in self._kept:
            return False
        if has_int8_form(self._graph, node) or node.op != "Unary":
            return has_int8_form(self._graph, node)
        code = self._graph.given.get(node.inputs[0])
        if code is None:
            return False
        real = (np.arange(-128.0, 128.0) - code.zero_point) * code.scale
        attrs = node.attrs
        return not np.isnan(evaluate(attrs["function"], real, attrs["alpha"], attrs["beta"])).any()

    def _ready(self, node: Node) -> bool:
        """Whether the op can compute s8 as soon as its output has parameters."""
        if not self._has_form(node):
            return False
        if self._ranges is not None and has_int8_form(self._graph, node):
            return True
        given = self._graph.given
        return all(name in given for name in self._activations(node)) and (
            node.op not in WEIGHTED
            or node.name in self._graph.given_weights
            or self._is_factor(node)
        )

    def _is_factor(self, node: Node) -> bool:
        """A factor a channel, as BatchNormalization that stands alone: a scale holds it exactly."""
        channels = self._graph.values[node.outputs[0]].shape[-1]
        return int(np.prod(self._graph.values[node.inputs[1]].shape)) == channels

    def _is_int8(self, node: Node) -> bool:
        if not self._ready(node):
            return False
        if self._ranges is not None and has_int8_form(self._graph, node):
            return True
        return all(name in self._graph.given for name in node.outputs)

    def _inherit(self, node: Node) -> None:
        """Moves, and Softmax, need no parameters of their own."""
        given, output = self._graph.given, node.outputs[0]
        if node.op == "Softmax":
            given[output] = _SOFTMAX
        elif node.op == "Unary" and node.attrs["function"] == FUNCTIONS["relu"]:
            reader = self._view.only_reader(output)
            if node.inputs[0] in given and (reader is None or reader.op != "FakeQuant"):
                given[output] = given[node.inputs[0]]  # which has a step for 0
        elif node.op in MOVES:
            codes = [given.get(name) for name in self._activations(node)]
            if codes and codes[0] is not None and all(code == codes[0] for code in codes):
                given[output] = codes[0]

    def _fake(self, node: Node) -> None:
        graph = self._graph
        code: Given = node.attrs["code"]
        x, y = node.inputs[0], node.outputs[0]
        graph.given[y] = code
        if graph.given.get(x) == code:
            if not self._view.is_output(y) or not self._is_port(x):
                replace_uses(graph, y, x)
                remove(graph, [node])
                self._view.renew()
            return
        if self._is_port(x):
            return
        moves: List[Node] = []
        name = x
        while name not in graph.given and self._view.private(name):
            before = self._view.producer(name)
            if before is None:
                return
            if before.op not in _EXCHANGED:
                if self._ready(before) and before.op in INT8_OPS | {"Unary"}:
                    before.outputs = [y] if not moves else before.outputs
                    self._finish(node, moves, code)
                return
            moves.insert(0, before)
            name = before.inputs[0]

    def _fuse_clamps(self) -> None:
        """A Relu or Clip that keeps the coding of the layer before it is that layer's clamp."""
        graph, given = self._graph, self._graph.given
        for node in list(graph.nodes):
            attrs = node.attrs
            bounds = None
            if node.op == "Unary":
                bounds = attributes_of_clip(attrs["function"], attrs["alpha"], attrs["beta"])
            if bounds is None:
                continue
            x, y = node.inputs[0], node.outputs[0]
            before = self._view.producer(x, *WEIGHTED, "Add", "Sub", "Mul")
            same = x in given and given.get(y) == given[x]
            if before is None or not same or not self._view.private(x):
                continue
            if not {before.name, node.name} & self._float:
                for name in ("lo", "hi"):
                    before.attrs[name] = min(max(before.attrs[name], bounds[0]), bounds[1])
                before.outputs = [y]
                remove(graph, [node])
                self._view.renew()

    def _finish(self, node: Node, moves: List[Node], code: Given) -> None:
        """Takes the FakeQuant out; what moves lie before it now move s8."""
        graph, y = self._graph, node.outputs[0]
        if moves:
            for move in moves:
                graph.given[move.inputs[0]] = graph.given[move.outputs[0]] = code
            moves[-1].outputs = [y]
        remove(graph, [node])
        self._view.renew()

    def _is_port(self, name: str) -> bool:
        return any(port.value == name for port in self._graph.inputs)

    def _absorb_port(self, node: Node) -> None:
        """The API rounds an input that one FakeQuant alone reads, for readers that are int8."""
        graph = self._graph
        x, y = node.inputs[0], node.outputs[0]
        code: Given = node.attrs["code"]
        full = (code.qmin, code.qmax) == (-128, 127)
        if not full or self._view.only_reader(x) is None or self._view.is_output(y):
            return
        if any(reader.name in self._float for reader in self._view.readers(y)):
            return
        for port in graph.inputs:
            if port.value == x:
                port.value = y
        remove(graph, [node])
        self._view.renew()
