"""A float model and what calibration data show of it: int8 graphs of it, as plans say."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

import numpy as np

from edgecv.errors import UnsupportedModelError
from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes import pipeline
from edgecv.graph.passes.quantize import LayerWeights, QuantizePass
from edgecv.quant.bias import correct_biases
from edgecv.quant.calibration import choose_range, observe
from edgecv.quant.data import CalibrationSet
from edgecv.quant.equalize import equalize
from edgecv.quant.layer_inputs import WEIGHTED_OPS, channel_reach, input_moments
from edgecv.quant.moments import Moments
from edgecv.quant.plan import ActivationPlan, Plan
from edgecv.quant.precision import float_nodes, matching_nodes
from edgecv.quant.progress import Progress
from edgecv.quant.ranges import METHODS, Range, Statistics, mse, needs_histogram, percentile
from edgecv.quant.scales import open_sums
from edgecv.quant.weights import NEAREST, QuantOptions, RoundingMemo


@dataclass
class Quantized:
    """An int8 graph, how its weights were chosen, and the names of the nodes kept in float."""

    graph: Graph
    layers: List[LayerWeights]
    kept: List[str]


def fingerprint(graph: Graph) -> str:
    """What a model computes, as a short digest: nodes, attributes and constants of its graph, but
    not how its file spells them.
    """
    digest = hashlib.sha256()
    for node in graph.nodes:
        attributes = sorted((key, _plain(value)) for key, value in node.attrs.items())
        digest.update(repr((node.op, node.inputs, node.outputs, attributes)).encode())
    for name in sorted(graph.values):
        value = graph.values[name]
        if value.data is not None:
            digest.update(repr((name, value.dtype, value.shape)).encode())
            digest.update(np.ascontiguousarray(value.data).tobytes())
    for port in (*graph.inputs, *graph.outputs):
        digest.update(repr((port.name, port.shape, port.dtype)).encode())
    return digest.hexdigest()[:16]


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


class View:
    """A lowered f32 graph and what calibration saw of it, gathered as far as it is asked for.

    bounds: value name -> the least and the largest value seen.
    """

    def __init__(
        self,
        lowered: Graph,
        data: CalibrationSet,
        bounds: Mapping[str, Range],
        progress: Optional[Progress],
    ) -> None:
        self.lowered = lowered
        self.bounds = bounds
        self.moments: Dict[str, Moments] = {}
        self.scaled: Set[str] = set()
        self._data = data
        self._progress = progress
        self._statistics: Dict[str, Statistics] = {}
        self._least: Dict[Tuple[str, float], Range] = {}

    def look(self, nodes: Sequence[Node], names: Iterable[str]) -> None:
        """Gathers the moments of what layers read, and histograms of activations, as far as they
        are not known; one pass over the data.
        """
        missing = [node for node in nodes if node.inputs[0] not in self.moments]
        fresh = {
            name: Statistics(*self.bounds[name])
            for name in dict.fromkeys(names)
            if name not in self._statistics
        }
        if missing or fresh:
            found = input_moments(self.lowered, missing, self._data, self._progress, fresh)
            self.moments.update(found)
            self._statistics.update(fresh)

    def activations(self) -> List[str]:
        """Names of the f32 activations whose ranges are known, in order."""
        return [
            value.name
            for value in self.lowered.values.values()
            if value.dtype == "f32" and not value.is_constant and value.name in self.bounds
        ]

    def range_by(self, name: str, one: ActivationPlan, steps: float) -> Range:
        """The range of an activation; ``look`` has seen it where that needs its histogram."""
        if one.range is not None:
            return one.range
        assert one.method is not None
        if not needs_statistics(one):
            return self.bounds[name]
        stats = self._statistics[name]
        if one.method == "mse":
            if (name, steps) not in self._least:
                self._least[name, steps] = mse(stats, steps)
            return self._least[name, steps]
        if one.method == "percentile":
            return percentile(stats, 99.99 if one.percent is None else one.percent)
        return METHODS[one.method](stats)


class CalibratedModel:
    """Quantizes one model by any number of plans; what calibration saw is gathered once.

    graph: decluttered. Raises CalibrationError when an activation becomes NaN or infinite, and
    UnsupportedModelError when a rule of a plan selects nothing or a layer cannot be int8.
    """

    def __init__(
        self,
        graph: Graph,
        data: CalibrationSet,
        progress: Optional[Progress] = None,
        memo: Optional[RoundingMemo] = None,
    ) -> None:
        self.graph = graph
        self.data = data
        self.lowered = pipeline.lower(graph)
        self._progress = progress
        self._ranges: Dict[Tuple[str, float], Dict[str, Range]] = {}
        self._all: Optional[Dict[str, Statistics]] = None
        self._has_histograms = False
        self._views: Dict[float, View] = {}
        self._reach: Optional[Dict[str, Tuple[Any, Any]]] = None
        self.memo = memo or RoundingMemo()

    def quantize(
        self, plan: Plan, coarse: Optional[Mapping[str, Tuple[float, float]]] = None
    ) -> Quantized:
        """The int8 graph a plan makes. ``coarse``: node name -> step of its weights and price of a
        bit (quant.rate).
        """
        view = self.view(plan.equalize)
        lowered = copy_of(view.lowered)
        options = self._options(plan)  # first, as it says which table's rule selects nothing
        options = replace(options, step_of_node=coarse or {})
        chosen = self._float_nodes(plan)
        whole = "minmax" if plan.method == "auto" else plan.method
        ranges = dict(self.ranges(whole, plan.percent))
        percent = plan.percent if whole == "percentile" else None
        singles = dict.fromkeys(sorted(view.scaled), ActivationPlan(whole, percent))
        if plan.method == "auto":
            opened = [name for name in open_sums(lowered, chosen) if name in ranges]
            singles.update(dict.fromkeys(opened, ActivationPlan("mse")))
        singles.update(self._single_ranges(plan, view))
        weighted = [
            node
            for node in lowered.nodes
            if node.op in WEIGHTED_OPS
            and node.name not in chosen
            and (options.lane_safe or options.group_of_node.get(node.name, NEAREST) != NEAREST)
        ]
        view.look(weighted, [name for name, one in singles.items() if needs_statistics(one)])
        steps = 2.0**plan.activation_bits - 1
        ranges.update((name, view.range_by(name, one, steps)) for name, one in singles.items())
        moments = view.moments if weighted else None
        quantizer = QuantizePass(ranges, chosen, options, moments, self._progress)
        result = quantizer.run(lowered)
        if plan.correct_bias:
            correct_biases(result, view.lowered, self.data, self._progress)
        kept = [node.name for node in result.nodes if node.name in chosen]
        return Quantized(result, quantizer.layers, kept)

    def planned_nodes(self, plan: Plan) -> Set[str]:
        """The nodes whose weights a plan has a say in of their own, or that it keeps in float."""
        options = self._options(plan)
        return self._float_nodes(plan) | {*options.bits_of_node, *options.group_of_node}

    def ranges(self, method: str, percent: float = 99.99) -> Dict[str, Range]:
        """The range of every activation by one method, before equalization."""
        key = (method, percent if method == "percentile" else 0.0)
        if key not in self._ranges:
            self._ranges[key] = {
                name: choose_range(stats, method, percent)
                for name, stats in self._observed(needs_histogram(method)).items()
            }
        return self._ranges[key]

    def view(self, strength: float) -> View:
        """The lowered graph, equalized with some strength, and what is seen of it."""
        if strength not in self._views:
            bounds, lowered = dict(self.ranges("minmax")), self.lowered
            scaled: Set[str] = set()
            if strength > 0:
                if self._reach is None:
                    self._reach = channel_reach(self.lowered, self.data, self._progress)
                lowered = copy_of(lowered)
                for name, factor in equalize(lowered, self._reach, strength).items():
                    low, high = self._reach[name]
                    bounds[name] = float((low * factor).min()), float((high * factor).max())
                    scaled.add(name)
            self._views[strength] = View(lowered, self.data, bounds, self._progress)
            self._views[strength].scaled = scaled
        return self._views[strength]

    def _observed(self, histograms: bool) -> Dict[str, Statistics]:
        if self._all is None or (histograms and not self._has_histograms):
            self._all = observe(self.graph, self.data, histograms, self._progress)
            self._has_histograms = histograms
        return self._all

    def _float_nodes(self, plan: Plan) -> Set[str]:
        rules = list(plan.keep_float)
        rules += [rule for rule, layer in plan.layers.items() if layer.is_float]
        return float_nodes(self.lowered, rules)

    def _options(self, plan: Plan) -> QuantOptions:
        bits: Dict[str, int] = {}
        groups: Dict[str, int] = {}
        for rule, layer in plan.layers.items():
            what = "layer" if layer.weight_bits is None else "weight_bits"
            named = matching_nodes(self.lowered, rule, what)
            if layer.weight_bits is not None:
                bits.update(dict.fromkeys(named, layer.weight_bits))
            if layer.weights == "plain":
                groups.update(dict.fromkeys(named, 0))
            elif layer.lane_group is not None:
                groups.update(dict.fromkeys(named, layer.lane_group))
        return replace(
            QuantOptions(
                plan.weights == "lane-safe", plan.lane_group, plan.weight_bits, plan.activation_bits
            ),
            bits_of_node=bits,
            group_of_node=groups,
            memo=self.memo,
        )

    def _single_ranges(self, plan: Plan, view: View) -> Dict[str, ActivationPlan]:
        known = view.activations() if plan.activations else []
        found: Dict[str, ActivationPlan] = {}
        for rule, one in plan.activations.items():
            named = [name for name in known if name == rule or fnmatchcase(name, rule)]
            if not named:
                raise UnsupportedModelError(
                    f"plan: the activation {rule!r} matches no float activation of this model; "
                    "`edgecv inspect` lists their names"
                )
            found.update(dict.fromkeys(named, one))
        return found


def needs_statistics(one: ActivationPlan) -> bool:
    """Whether the range of an activation comes from its histogram."""
    return one.range is None and one.method != "minmax"


def copy_of(graph: Graph) -> Graph:
    """A graph that can be edited; the arrays of constants are shared, and must not be."""
    return replace(
        graph,
        inputs=[replace(port) for port in graph.inputs],
        outputs=[replace(port) for port in graph.outputs],
        nodes=[
            replace(n, inputs=list(n.inputs), outputs=list(n.outputs), attrs=dict(n.attrs))
            for n in graph.nodes
        ],
        values={name: replace(value) for name, value in graph.values.items()},
    )
