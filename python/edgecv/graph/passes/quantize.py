"""Turns a lowered f32 graph into int8 where asked: scales from ranges, integer weights,
Quantize/Dequantize at borders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Set

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import UnsupportedModelError
from edgecv.graph.ir import Graph, Node, Value
from edgecv.graph.passes.wide_weights import QMAX, can_split, narrow_parts, split_wide
from edgecv.quant.given import given_weights
from edgecv.quant.lookup import lookup_table
from edgecv.quant.moments import Moments, coverage
from edgecv.quant.parameters import (
    ACC_LIMIT,
    QuantParams,
    activation_params,
    clamp_bounds,
    multiplier,
    quantize,
    reach,
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
    their input for the sake of weights beyond [-127, 127] that the model gives. Raises
    UnsupportedModelError naming every layer whose accumulator could overflow.
    """

    def __init__(
        self,
        ranges: Mapping[str, Range],
        float_nodes: Set[str],
        options: Optional[QuantOptions] = None,
        moments: Optional[Mapping[str, Moments]] = None,
        progress: Optional[Progress] = None,
    ) -> None:
        self._ranges = ranges
        self._float = float_nodes
        self._options = options or QuantOptions(lane_safe=False)
        self._moments = moments or {}
        self._progress = progress
        self.layers: List[LayerWeights] = []
        self.split: List[str] = []

    def run(self, graph: Graph) -> Graph:
        """Quantizes in place and returns the graph."""
        self._graph = graph
        self._params = choose_scales(
            graph, self._ranges, self._float, self._options.activation_bits
        )
        self._refused: List[str] = []
        self._nodes: List[Node] = []
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
        graph.nodes = self._nodes
        graph.drop_unused()
        return graph

    def _is_int8(self, node: Node) -> bool:
        return node.name not in self._float

    def _is_activation(self, name: str) -> bool:
        return not self._graph.values[name].is_constant

    # -- borders between f32 and s8

    def _make_port(self, name: str) -> None:
        """A graph input is s8 itself when every reader is int8; the API quantizes on the way in."""
        readers = self._graph.consumers().get(name, [])
        if name in self._params and readers and all(self._is_int8(node) for node in readers):
            self._mark(name)

    def _mark(self, name: str) -> None:
        value, params = self._graph.values[name], self._params[name]
        value.dtype, value.scale, value.zero_point = "s8", params.scale, params.zero_point

    def _bridge(self, name: str, op: str, dtype: str) -> str:
        """The s8 (f32) form of an f32 (s8) activation, by one Quantize (Dequantize) however many
        read it.
        """
        value = self._graph.values[name]
        if value.dtype == dtype or value.dtype not in ("f32", "s8"):
            return name
        if name not in self._bridges:
            bridged = self._graph.add(
                Value(self._graph.fresh(f"{name}.{dtype}"), value.shape, dtype)
            )
            if dtype == "s8":
                params = self._params[name]
                bridged.scale, bridged.zero_point = params.scale, params.zero_point
            self._nodes.append(Node(op, f"{name}.{op.lower()}", [name], [bridged.name]))
            self._bridges[name] = bridged.name
            self._origin[bridged.name] = name
        return self._bridges[name]

    def _float_node(self, node: Node) -> None:
        node.inputs = [
            self._bridge(name, "Dequantize", "f32") if name and self._is_activation(name) else name
            for name in node.inputs
        ]
        self._nodes.append(node)

    def _fake_quant(self, node: Node) -> None:
        """A rounding that the model itself asks for: Quantize, and a table between two codings."""
        x, y = self._graph.values[node.inputs[0]], self._graph.values[node.outputs[0]]
        code = node.attrs["code"]
        self._params[y.name] = QuantParams(code.scale, code.zero_point, code.qmin, code.qmax)
        self._mark(y.name)
        node.op, node.attrs = "Quantize", {}
        if x.dtype == "s8" or self._params[y.name] != QuantParams(code.scale, code.zero_point):
            if x.dtype == "f32":
                steps = Value(self._graph.fresh(f"{y.name}.steps"), y.shape, "s8")
                steps.scale, steps.zero_point = y.scale, y.zero_point
                self._nodes.append(Node(node.op, steps.name, [x.name], [steps.name]))
                x = self._graph.add(steps)
            table = lookup_table(None, 0.0, 0.0, self.params_of(x.name), self.params_of(y.name))
            node.op = "Lookup"
            node.inputs = [x.name, self.constant(f"{node.name}.table", table, "s8")]
        self._nodes.append(node)

    # -- int8 nodes

    def _quantize_node(self, node: Node) -> None:
        node.inputs = [
            self._bridge(name, "Quantize", "s8") if name and self._is_activation(name) else name
            for name in node.inputs
        ]
        for name in node.outputs:
            if self._graph.values[name].dtype == "f32":
                self._mark(name)
        form = _FORMS.get(node.op)
        try:
            if form is not None:
                form(self, node)
        except ValueError as cause:
            self._refused.append(f"{node.name} ({node.op}): {cause}")
        self._nodes.append(node)

    def params_of(self, name: str) -> QuantParams:
        """Scale and zero point of an s8 value."""
        known = self._params.get(self._origin.get(name, name))
        if known is not None:
            return known
        value = self._graph.values[name]
        return QuantParams(value.scale, value.zero_point)

    def set_clamp(self, node: Node, y: QuantParams) -> None:
        """Turns a fused real clamp into integer lo and hi."""
        low, high = node.attrs.pop("lo", -np.inf), node.attrs.pop("hi", np.inf)
        node.attrs["lo"], node.attrs["hi"] = clamp_bounds(float(low), float(high), y)

    def constant(self, name: str, data: NDArray[Any], dtype: str) -> str:
        """Adds a constant and returns its name."""
        return self._graph.constant(name, data, dtype).name

    def data_of(self, name: str) -> NDArray[Any]:
        """The array of a constant."""
        data = self._graph.values[name].data
        assert data is not None
        return data

    def weighted(self, node: Node) -> None:
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
            self._moments.get(origin), coverage(self._graph, node),
            (node.attrs.get("dilation_h", 1), node.attrs.get("dilation_w", 1)),
        )  # fmt: skip
        bits = self._options.bits_of(node.name, layer.is_depthwise)
        choice = self._given_weights(node, layer) or choose(layer, self._options, node.name)
        q = choice.weights
        integers = q.weights
        if np.abs(integers.astype(np.int64)).max() > QMAX:
            wide = integers.astype(np.int64)
            self._nodes += split_wide(self._graph, node, wide)
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
        given = self._graph.given_weights.get(node.name)
        if given is None:
            return None
        found, remarks = given_weights(
            layer.weights, layer.bias, layer.x, layer.y, given, can_split(node)
        )
        self._graph.remarks += [f"{node.name}: {remark}" for remark in remarks]
        if found is None:
            return None
        noise = sqnr_db(layer, found.weights, found.scale) if remarks else float("inf")
        return Choice(found, PLAIN_GROUP, noise)

    def binary(self, node: Node) -> None:
        """Add, Sub, Mul: constants become s8, one or two multipliers."""
        for i, name in enumerate(node.inputs):
            if not self._is_activation(name):
                node.inputs[i] = self._quantize_constant(name)
        a, b = (self.params_of(name) for name in node.inputs)
        y = self.params_of(node.outputs[0])
        if node.op == "Mul":
            node.attrs["m"] = float(
                multiplier(float(np.float32(a.scale) * np.float32(b.scale)), y.scale)
            )
            checked = [node.attrs["m"]]
            _check_bound(reach(a) * reach(b), node.attrs["m"])
        else:
            node.attrs["ma"] = float(multiplier(a.scale, y.scale))
            node.attrs["mb"] = float(multiplier(b.scale, y.scale))
            checked = [node.attrs["ma"], node.attrs["mb"]]
        _check_multipliers(checked)
        self.set_clamp(node, y)

    def _quantize_constant(self, name: str) -> str:
        data = self.data_of(name)
        params = activation_params(float(data.min()), float(data.max()))
        code = self._graph.given.get(name)
        if code is not None:
            params = QuantParams(code.scale, code.zero_point, code.qmin, code.qmax)
        value = self._graph.values[self.constant(f"{name}.s8", quantize(data, params), "s8")]
        value.scale, value.zero_point = params.scale, params.zero_point
        return value.name

    def matmul(self, node: Node) -> None:
        """MatMul of two activations: one multiplier."""
        for i, name in enumerate(node.inputs):
            if not self._is_activation(name):
                node.inputs[i] = self._quantize_constant(name)
        a, b = (self.params_of(name) for name in node.inputs)
        y = self.params_of(node.outputs[0])
        node.attrs["m"] = float(
            multiplier(float(np.float32(a.scale) * np.float32(b.scale)), y.scale)
        )
        k = self._graph.values[node.inputs[0]].shape[-1]
        _check_multipliers([node.attrs["m"]])
        _check_bound(k * reach(a) * reach(b), node.attrs["m"])
        self.set_clamp(node, y)

    def unary(self, node: Node) -> None:
        """Unary becomes a Lookup."""
        table = lookup_table(
            node.attrs["function"],
            node.attrs.get("alpha", 0.0),
            node.attrs.get("beta", 0.0),
            self.params_of(node.inputs[0]),
            self.params_of(node.outputs[0]),
        )
        node.op, node.attrs = "Lookup", {}
        node.inputs = [node.inputs[0], self.constant(f"{node.name}.table", table, "s8")]

    def prelu(self, node: Node) -> None:
        """One multiplier for positive, one a channel for negative values."""
        x, y = self.params_of(node.inputs[0]), self.params_of(node.outputs[0])
        positive = multiplier(x.scale, y.scale)
        slope = self.data_of(node.inputs[1]).ravel()
        node.inputs[1] = self.constant(f"{node.name}.slope", slope * positive, "f32")
        node.attrs = {"m_positive": float(positive)}
        negative = np.abs(slope * positive)
        _check_multipliers([float(positive), *(float(m) for m in negative if m != 0)])
        self.set_clamp(node, y)

    def softmax(self, node: Node) -> None:
        """The table of exponentials of docs/ops.md."""
        x = self.params_of(node.inputs[0])
        n = self._graph.values[node.inputs[0]].shape[-1]
        bits = min(23, 30 - int(np.ceil(np.log2(n))))
        table = np.rint(2.0**bits * np.exp(-x.scale * np.arange(256)))
        node.inputs = [node.inputs[0], self.constant(f"{node.name}.exp", table, "s32")]

    def layer_norm(self, node: Node) -> None:
        """Gamma and beta in steps of the output, epsilon in steps of the input."""
        x, y = self.params_of(node.inputs[0]), self.params_of(node.outputs[0])
        n = self._graph.values[node.inputs[0]].shape[-1]
        gamma, beta = (self.data_of(name) for name in node.inputs[1:3])
        node.inputs = [
            node.inputs[0],
            self.constant(f"{node.name}.gamma", gamma / np.float32(y.scale), "f32"),
            self.constant(f"{node.name}.beta", beta / np.float32(y.scale), "f32"),
        ]
        epsilon = float(node.attrs.pop("epsilon"))
        node.attrs["e"] = float(np.float32(epsilon * n * n / (x.scale * x.scale)))
        if n > 65536:
            raise ValueError(f"rows of {n} values: 65536 at most")
        if not 0 < node.attrs["e"] < np.inf:
            raise ValueError(f"epsilon {epsilon:g} cannot be brought to the scale of the input")
        self.set_clamp(node, y)

    def average_pool(self, node: Node) -> None:
        """One multiplier for each number of pixels a window can hold."""
        x, y = self.params_of(node.inputs[0]), self.params_of(node.outputs[0])
        window = node.attrs["kernel_h"] * node.attrs["kernel_w"]
        counts = np.arange(1, window + 1, dtype=np.float32)
        m = np.float32(x.scale) / (np.float32(y.scale) * counts)
        node.inputs = [node.inputs[0], self.constant(f"{node.name}.multiplier", m, "f32")]
        _check_multipliers([float(m.min()), float(m.max())])
        self.set_clamp(node, y)

    def reduce_mean(self, node: Node) -> None:
        """One multiplier: the change of scale over the count."""
        x, y = self.params_of(node.inputs[0]), self.params_of(node.outputs[0])
        shape = self._graph.values[node.inputs[0]].shape
        count = int(np.prod(shape[node.attrs["first_axis"] : node.attrs["last_axis"] + 1]))
        m = np.float32(x.scale) / (np.float32(y.scale) * np.float32(count))
        node.attrs["m"] = float(m)
        _check_multipliers([float(m)])
        _check_bound(count * reach(x), float(m))
        self.set_clamp(node, y)

    def pad(self, node: Node) -> None:
        """The fill value in steps."""
        params = self.params_of(node.inputs[0])
        fill = np.asarray([node.attrs.pop("fill_f32", 0.0)], np.float32)
        node.attrs["fill_s8"] = int(quantize(fill, params)[0])

    def resize(self, node: Node) -> None:
        """Weights in 1/2048."""
        for i in (2, 4):
            weight = np.rint(self.data_of(node.inputs[i]) * 2048.0)
            node.inputs[i] = self.constant(f"{node.inputs[i]}.q11", weight, "s32")

    def concat(self, node: Node) -> None:
        """Inputs with a scale of their own go through a table into the output's scale."""
        y = self.params_of(node.outputs[0])
        for i, name in enumerate(node.inputs):
            if not self._is_activation(name):
                value = self._graph.values[
                    self.constant(f"{name}.s8", quantize(self.data_of(name), y), "s8")
                ]
                value.scale, value.zero_point = y.scale, y.zero_point
                node.inputs[i] = value.name
                continue
            if self.params_of(name) == y:
                continue
            table = lookup_table(None, 0.0, 0.0, self.params_of(name), y)
            moved = Value(
                self._graph.fresh(f"{name}.rescaled"), self._graph.values[name].shape, "s8",
                scale=y.scale, zero_point=y.zero_point,
            )  # fmt: skip
            self._graph.add(moved)
            constant = self.constant(f"{node.name}.{i}.table", table, "s8")
            self._nodes.append(
                Node("Lookup", f"{node.name}.{i}.rescale", [name, constant], [moved.name])
            )
            node.inputs[i] = moved.name


_FORMS: Dict[str, Callable[[QuantizePass, Node], None]] = {
    "Conv2d": QuantizePass.weighted,
    "ConvTranspose2d": QuantizePass.weighted,
    "FullyConnected": QuantizePass.weighted,
    "MatMul": QuantizePass.matmul,
    "Add": QuantizePass.binary,
    "Sub": QuantizePass.binary,
    "Mul": QuantizePass.binary,
    "Unary": QuantizePass.unary,
    "PRelu": QuantizePass.prelu,
    "Softmax": QuantizePass.softmax,
    "LayerNorm": QuantizePass.layer_norm,
    "AveragePool2d": QuantizePass.average_pool,
    "ReduceMean": QuantizePass.reduce_mean,
    "Pad": QuantizePass.pad,
    "Resize2d": QuantizePass.resize,
    "Concat": QuantizePass.concat,
}


def _check_bound(bound: int, m: float) -> None:
    if bound > ACC_LIMIT:
        raise ValueError("the accumulator can leave 32 bits")
    if bound * m >= 2.0**31:
        raise ValueError("the result can leave 32 bits: inputs and output differ too much in range")


def _check_multipliers(values: List[float]) -> None:
    for value in values:
        if not 2.0**-100 <= value <= 2.0**20:
            raise ValueError(f"the multiplier {value:g} lies outside [2^-100, 2^20]")
