"""The scale and zero point of every activation that int8 nodes touch, and who must share one."""

from __future__ import annotations

from typing import Dict, Iterable, List, Mapping, Set

import numpy as np

from edgecv.errors import UnsupportedModelError
from edgecv.graph.ir import Graph, Node
from edgecv.quant.parameters import QuantParams, activation_params
from edgecv.quant.precision import MOVES
from edgecv.quant.ranges import Range

SOFTMAX_PARAMS = QuantParams(float(np.float32(1.0 / 256.0)), -128)
# Concat inputs that others read too keep their own, finer scale when the output's range is this
# much wider.
CONCAT_RATIO = 2.0


class SharedScales:
    """Groups of values that must have the same quantization parameters (union-find)."""

    def __init__(self) -> None:
        self._parent: Dict[str, str] = {}

    def find(self, name: str) -> str:
        """The representative of the name's group."""
        root = name
        while self._parent.get(root, root) != root:
            root = self._parent[root]
        while self._parent.get(name, name) != root:
            self._parent[name], name = root, self._parent[name]
        return root

    def join(self, names: Iterable[str]) -> None:
        """Makes one group of the groups of all names."""
        roots: List[str] = [self.find(name) for name in names]
        for root in roots[1:]:
            self._parent[self.find(root)] = self.find(roots[0])


def open_sums(graph: Graph, float_nodes: Set[str]) -> List[str]:
    """Names of the values of a lowered f32 graph that nothing clamps and that only sums read:
    outputs of layers and additions, read by layers and additions.

    Their ranges are made by few values, whose cutting costs less than the coarse steps of all
    others. (A clamp, or a function, bounds values that matter up to the bound; an output's largest
    value is the answer.)
    """
    sums = ("Conv2d", "ConvTranspose2d", "FullyConnected", "Add")
    readers, outputs = graph.consumers(), set(graph.output_values())
    return [
        node.outputs[0]
        for node in graph.nodes
        if node.op in sums
        and node.name not in float_nodes
        and node.outputs[0] not in outputs
        and not np.isfinite(node.attrs.get("lo", -np.inf))
        and not np.isfinite(node.attrs.get("hi", np.inf))
        and all(
            reader.op in sums and reader.name not in float_nodes
            for reader in readers.get(node.outputs[0], [])
        )
    ]


def choose_scales(
    graph: Graph, ranges: Mapping[str, Range], float_nodes: Set[str], bits: int = 8
) -> Dict[str, QuantParams]:
    """Value name -> parameters, for every f32 activation an int8 node of a lowered graph touches.

    1. A single-input move gives its output its input's scale.
    2. Softmax has the scale 1/256 of docs/ops.md, and so has what is moved from it.
    3. The inputs of a Concat share the output's scale, except those of (2) and those whose range is
       much narrower and which something else reads as well.
    4. A group's range is the union of the ranges of its members.
    5. A group with a value whose parameters the model gives has those.
    6. With 7 ``bits`` values are in [-64, 63], but for groups whose values come from outside or
       from an f32 node: nothing clamps those to less than s8.

    ranges: value name -> (low, high) in real units. float_nodes: names of the nodes that stay f32.
    Raises UnsupportedModelError when no range is known for a group.
    """
    shared = SharedScales()
    forced: Set[str] = set()
    concats: List[Node] = []
    touched: Dict[str, None] = {}
    for node in graph.nodes:
        if node.name in float_nodes or node.op == "FakeQuant":
            continue
        activations = [n for n in node.inputs if n and not graph.values[n].is_constant]
        for name in activations + node.outputs:
            if graph.values[name].dtype == "f32":
                touched[name] = None
        if node.op == "Concat":
            concats.append(node)
        elif node.op in MOVES:
            shared.join(activations[:1] + node.outputs)
        elif node.op == "Softmax":
            forced.add(node.outputs[0])
    _join_concats(graph, ranges, shared, concats, forced, touched)
    outside = {port.value for port in graph.inputs}
    for node in graph.nodes:
        if node.name in float_nodes:
            outside.update(node.outputs)
    params: Dict[str, QuantParams] = {}
    for group in _groups(shared, touched):
        given = [graph.given[name] for name in group if name in graph.given]
        if any(name in forced for name in group):
            chosen = SOFTMAX_PARAMS
        elif given:
            code = given[0]
            chosen = QuantParams(code.scale, code.zero_point, code.qmin, code.qmax)
        else:
            known = [ranges[name] for name in group if name in ranges]
            known = known or [_product_range(graph, ranges, group[0])]
            width = 8 if any(name in outside for name in group) else bits
            chosen = activation_params(min(r[0] for r in known), max(r[1] for r in known), width)
        params.update((name, chosen) for name in group)
    return params


def _groups(shared: SharedScales, names: Iterable[str]) -> List[List[str]]:
    groups: Dict[str, List[str]] = {}
    for name in names:
        groups.setdefault(shared.find(name), []).append(name)
    return list(groups.values())


def _join_concats(
    graph: Graph,
    ranges: Mapping[str, Range],
    shared: SharedScales,
    concats: Iterable[Node],
    forced: Set[str],
    touched: Iterable[str],
) -> None:
    """Case 3 of choose_scales; so far groups are joined by single-input moves alone."""
    readers = graph.consumers()
    members = {name: group for group in _groups(shared, touched) for name in group}
    outputs = set(graph.output_values())

    def is_read_elsewhere(name: str, concat: Node) -> bool:
        others = [
            reader
            for member in members[name]
            for reader in readers.get(member, [])
            if reader is not concat and not (reader.op in MOVES and reader.op != "Concat")
        ]
        return bool(others) or any(member in outputs for member in members[name])

    def extent(name: str) -> float:
        low, high = ranges.get(name, (0.0, 0.0))
        return max(high, 0.0) - min(low, 0.0)

    for node in concats:
        for name in node.inputs:
            if graph.values[name].is_constant:
                continue
            wide = extent(node.outputs[0]) > CONCAT_RATIO * extent(name)
            is_forced = any(shared.find(f) == shared.find(name) for f in forced)
            if name in graph.given:
                continue
            if not is_forced and not (wide and is_read_elsewhere(name, node)):
                shared.join([node.outputs[0], name])


def _product_range(graph: Graph, ranges: Mapping[str, Range], name: str) -> Range:
    """The range of a Mul by a constant that lowering made and calibration did not see."""
    node = graph.producers().get(name)
    if node is not None and node.op == "Mul":
        x, factor = node.inputs
        if graph.values[x].is_constant:
            x, factor = factor, x
        data = graph.values[factor].data
        if x in ranges and data is not None:
            ends = np.multiply.outer(ranges[x], data)
            return float(ends.min()), float(ends.max())
    raise UnsupportedModelError(
        f"no range is known for the activation {name!r}: calibration did not see it"
    )
