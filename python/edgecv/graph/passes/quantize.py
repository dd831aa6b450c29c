"""Turns a lowered f32 graph into int8 where asked: scales from ranges, integer weights,
Quantize/Dequantize at borders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Set

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import UnsupportedModelError
from edgecv.graph.ir import Graph, Node, Value
from edgecv.graph.passes.quantize_forms import FORMS
from edgecv.graph.passes.settle import WEIGHTED
from edgecv.graph.passes.wide_weights import QMAX, can_split, narrow_parts, split_wide
from edgecv.quant.given import given_weights
from edgecv.quant.lookup import lookup_table
from edgecv.quant.moments import Moments, coverage
from edgecv.quant.parameters import (
    QuantParams,
    clamp_bounds,
)
from edgecv.quant.progress import Progress
from edgecv.quant.ranges import Range
from edgecv.quant.scales import choose_scales
from edgecv.quant.weights import PLAIN_GROUP, Choice, Layer, QuantOptions, choose, sqnr_db


@dataclass
class LayerWeights:
    """How the integer weights of a layer were chosen: the lane group they keep (1: plain), the bits
    they may use, and how far they are from the real ones.
    """

    node: str
    group: int
    bits: int
    sqnr_db: float
    depthwise: bool


class QuantizePass:
    """int8 for every node not in ``float_nodes``.

    ranges: value name -> (low, high) in real units, for every activation int8 nodes read or write
    (moves inherit). options: how weights are rounded, plain when absent. moments: of what layers
    read, by value name, for lane-safe weights. After ``run`` the graph's s8 values carry scale and
    zero_point, ``layers`` tells of the weights, and ``split`` names the layers that read copies of
    their input for the sake of weights beyond [-127, 127] that the model gives; with
    ``cut_weights`` -128 becomes -127 instead. Raises UnsupportedModelError naming every layer whose
    accumulator could overflow.
    """

    def __init__(
        self,
        ranges: Mapping[str, Range],
        float_nodes: Set[str],
        options: Optional[QuantOptions] = None,
        moments: Optional[Mapping[str, Moments]] = None,
        progress: Optional[Progress] = None,
        cut_weights: bool = False,
    ) -> None:
        self._ranges = ranges
        self._float = float_nodes
        self._options = options or QuantOptions(lane_safe=False)
        self._moments = moments or {}
        self._progress = progress
        self._cut_weights = cut_weights
        self.layers: List[LayerWeights] = []
        self.split: List[str] = []

    def run(self, graph: Graph) -> Graph:
        """Quantizes in place and returns the graph."""
        self.graph = graph
        self._params = choose_scales(
            graph, self._ranges, self._float, self._options.activation_bits
        )
        self._refused: List[str] = []
        self.nodes: List[Node] = []
        self._bridges: Dict[str, str] = {}
        self._origin: Dict[str, str] = {}
        for port in graph.inputs:
            self._make_port(port.value)
        for done, node in enumerate(graph.nodes):
            if node.op == "FakeQuant":
                self._fake_quant(node)
            else:
                self._quantize_node(node) if self._is_int8(node) else self._float_node(node)
            if self._progress is not None:
                self._progress("choose integers", done + 1, len(graph.nodes))
        if self._refused:
            raise UnsupportedModelError(
                "these layers cannot be int8:\n  "
                + "\n  ".join(self._refused)
                + "\nkeep them in float with keep_float (--keep-float)"
            )
        graph.nodes = self.nodes
        graph.drop_unused()
        return graph

    def _is_int8(self, node: Node) -> bool:
        return node.name not in self._float

    def is_activation(self, name: str) -> bool:
        """Whether it is no constant."""
        return not self.graph.values[name].is_constant

    # -- borders between f32 and s8

    def _make_port(self, name: str) -> None:
        """A graph input is s8 itself when every reader is int8; the API quantizes on the way in."""
        readers = self.graph.consumers().get(name, [])
        if name in self._params and readers and all(self._is_int8(node) for node in readers):
            self._mark(name)

    def _mark(self, name: str) -> None:
        value, params = self.graph.values[name], self._params[name]
        value.dtype, value.scale, value.zero_point = "s8", params.scale, params.zero_point

    def _bridge(self, name: str, op: str, dtype: str) -> str:
        """The s8 (f32) form of an f32 (s8) activation, by one Quantize (Dequantize) however many
        read it.
        """
        value = self.graph.values[name]
        if value.dtype == dtype or value.dtype not in ("f32", "s8"):
            return name
        if name not in self._bridges:
            bridged = self.graph.add(Value(self.graph.fresh(f"{name}.{dtype}"), value.shape, dtype))
            if dtype == "s8":
                params = self._params[name]
                bridged.scale, bridged.zero_point = params.scale, params.zero_point
            self.nodes.append(Node(op, f"{name}.{op.lower()}", [name], [bridged.name]))
            self._bridges[name] = bridged.name
            self._origin[bridged.name] = name
        return self._bridges[name]

    def _float_node(self, node: Node) -> None:
        node.inputs = [
            self._bridge(name, "Dequantize", "f32") if name and self.is_activation(name) else name
            for name in node.inputs
        ]
        self.nodes.append(node)

    def _fake_quant(self, node: Node) -> None:
        """A rounding that the model itself asks for: Quantize, and a table between two codings."""
        x, y = self.graph.values[node.inputs[0]], self.graph.values[node.outputs[0]]
        code = node.attrs["code"]
        self._params[y.name] = QuantParams(code.scale, code.zero_point, code.qmin, code.qmax)
        self._mark(y.name)
        node.op, node.attrs = "Quantize", {}
        if x.dtype == "s8" or self._params[y.name] != QuantParams(code.scale, code.zero_point):
            if x.dtype == "f32":
                steps = Value(self.graph.fresh(f"{y.name}.steps"), y.shape, "s8")
                steps.scale, steps.zero_point = y.scale, y.zero_point
                self.nodes.append(Node(node.op, steps.name, [x.name], [steps.name]))
                x = self.graph.add(steps)
            table = lookup_table(None, 0.0, 0.0, self.params_of(x.name), self.params_of(y.name))
            node.op = "Lookup"
            node.inputs = [x.name, self.constant(f"{node.name}.table", table, "s8")]
        self.nodes.append(node)

    # -- int8 nodes

    def _quantize_node(self, node: Node) -> None:
        node.inputs = [
            self._bridge(name, "Quantize", "s8") if name and self.is_activation(name) else name
            for name in node.inputs
        ]
        for name in node.outputs:
            if self.graph.values[name].dtype == "f32":
                self._mark(name)
        form = FORMS.get(node.op)
        try:
            if node.op in WEIGHTED:
                self._weighted(node)
            elif form is not None:
                form(self, node)
        except ValueError as cause:
            self._refused.append(f"{node.name} ({node.op}): {cause}")
        self.nodes.append(node)

    def params_of(self, name: str) -> QuantParams:
        """Scale and zero point of an s8 value."""
        known = self._params.get(self._origin.get(name, name))
        if known is not None:
            return known
        value = self.graph.values[name]
        return QuantParams(value.scale, value.zero_point)

    def set_clamp(self, node: Node, y: QuantParams) -> None:
        """Turns a fused real clamp into integer lo and hi."""
        low, high = node.attrs.pop("lo", -np.inf), node.attrs.pop("hi", np.inf)
        node.attrs["lo"], node.attrs["hi"] = clamp_bounds(float(low), float(high), y)

    def constant(self, name: str, data: NDArray[Any], dtype: str) -> str:
        """Adds a constant and returns its name."""
        return self.graph.constant(name, data, dtype).name

    def data_of(self, name: str) -> NDArray[Any]:
        """The array of a constant."""
        data = self.graph.values[name].data
        assert data is not None
        return data

    def _weighted(self, node: Node) -> None:
        """Conv2d, ConvTranspose2d, FullyConnected: integer weights and bias, one multiplier a
        channel.
        """
        x, y = self.params_of(node.inputs[0]), self.params_of(node.outputs[0])
        weights = self.data_of(node.inputs[1])
        has_bias = len(node.inputs) > 2 and node.inputs[2] != ""
        bias = self.data_of(node.inputs[2]) if has_bias else np.zeros(len(weights), np.float32)
        origin = self._origin.get(node.inputs[0], node.inputs[0])
        layer = Layer(
            weights, bias, int(node.attrs.get("groups", 1)), x, y, x.qmax - x.qmin,
            self._moments.get(origin), coverage(self.graph, node),
            (node.attrs.get("dilation_h", 1), node.attrs.get("dilation_w", 1)),
        )  # fmt: skip
        bits = self._options.bits_of(node.name, layer.is_depthwise)
        choice = self._given_weights(node, layer) or choose(layer, self._options, node.name)
        q = choice.weights
        integers = q.weights
        if np.abs(integers.astype(np.int64)).max() > QMAX:
            wide = integers.astype(np.int64)
            self.nodes += split_wide(self.graph, node, wide)
            integers = narrow_parts(node, wide)
            self.split.append(node.name)
        self.layers.append(
            LayerWeights(node.name, choice.group, bits, choice.sqnr_db, layer.is_depthwise)
        )
        node.inputs = [
            node.inputs[0],
            self.constant(f"{node.name}.weight", integers, "s8"),
            self.constant(f"{node.name}.bias", q.bias, "s32"),
            self.constant(f"{node.name}.multiplier", q.multiplier, "f32"),
        ]
        self.set_clamp(node, y)

    def _given_weights(self, node: Node, layer: Layer) -> Optional[Choice]:
        """The integers that a model brings with it; None where it brings none."""
        given = self.graph.given_weights.get(node.name)
        if given is None:
            return None
        found, remarks = given_weights(
            layer.weights, layer.bias, layer.x, layer.y, given, can_split(node), self._cut_weights
        )
        self.graph.remarks += [f"{node.name}: {remark}" for remark in remarks]
        if found is None:
            return None
        noise = sqnr_db(layer, found.weights, found.scale) if remarks else float("inf")
        return Choice(found, PLAIN_GROUP, noise)
