"""What int8 costs a model, layer by layer, and why."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

import numpy as np

from edgecv.doctor import findings
from edgecv.doctor.findings import Finding, Seen
from edgecv.doctor.scores import Score
from edgecv.doctor.trial import Trials
from edgecv.graph.ir import Graph
from edgecv.model import load
from edgecv.quant.plan import LayerPlan, Plan
from edgecv.quant.precision import MOVES

Tell = Callable[[str, int, int], None]
_TRACED = 16  # pictures that are looked at layer by layer
_SCORED = 8  # pictures that sensitivities are measured on
_ALL_BUT_ONE = 8  # layers that are tried in float by themselves


@dataclass
class LayerState:
    """One layer of the int8 model.

    sqnr_db: of its output against the float model on the same picture, all error before it
    included. weights_db: of its output, for its weights alone. alone: the error of the answers with
    this layer alone in int8. without: the same with all but this layer in int8, None where not
    measured.
    """

    name: str
    op: str
    sqnr_db: Optional[float] = None
    weights_db: Optional[float] = None
    alone: Optional[float] = None
    without: Optional[float] = None


@dataclass
class Diagnosis:
    """The score of a plan, its layers in order, and causes of error, worst kinds first."""

    plan: Plan
    score: Score
    layers: List[LayerState] = field(default_factory=list)
    findings: List[Finding] = field(default_factory=list)


def diagnose(trials: Trials, plan: Plan, tell: Tell) -> Diagnosis:
    """Looks at the model that a plan makes."""
    score = trials.score(plan)
    lowered = trials.model.lowered
    made, blob = trials.quantize(plan)
    weights_db = {layer.node: layer.sqnr_db for layer in made.layers}
    seen = look(trials, made.graph, blob, tell)
    alone, without = sensitivities(trials, plan, set(made.kept), tell)
    layers = []
    for node in lowered.nodes:
        one = seen.get(node.outputs[0])
        layers.append(
            LayerState(
                node.name, node.op,
                one.sqnr_db if one is not None and one.count else None,
                weights_db.get(node.name), alone.get(node.name), without.get(node.name),
            )
        )  # fmt: skip
    found = findings.about_ranges(made.graph, seen)
    found += findings.about_layers(lowered, seen, weights_db)
    found += findings.about_heads(lowered, alone, trials.quick(plan, _SCORED).off, found)
    return Diagnosis(plan, score, layers, findings.ranked(found))


def look(trials: Trials, int8: Graph, blob: bytes, tell: Tell) -> Dict[str, Seen]:
    """Compares all activations of the int8 and the float model on the same pictures."""
    seen: Dict[str, Seen] = {}
    bounds = {
        name: np.array([v.scale * (-128 - v.zero_point), v.scale * (127 - v.zero_point), v.scale])
        for name, v in int8.values.items()
        if v.dtype == "s8" and not v.is_constant
    }
    pictures = trials.some(_TRACED)
    with trials.float_model() as real, load(blob, threads=1) as model:
        for done, sample in enumerate(pictures):
            got = model.trace(sample)
            for name, values in real.trace(sample).items():
                if values.dtype != np.float32 or values.ndim == 0:
                    continue
                one = seen.setdefault(name, Seen.empty(values.shape[-1]))
                match = got.get(name)
                same = match is not None and match.size == values.size
                one.see(values, match if same else None, bounds.get(name))
            tell("compare activations", done + 1, len(pictures))
    return seen


def sensitivities(
    trials: Trials, plan: Plan, kept: Set[str], tell: Tell
) -> Tuple[Dict[str, float], Dict[str, float]]:
    """Errors of the answers by node: with that node alone in int8, and, for the worst, with it
    alone in float.
    """
    nodes = [n for n in trials.model.lowered.nodes if n.name not in kept and n.op not in MOVES]
    names = [node.name for node in nodes]
    alone: Dict[str, float] = {}
    for done, name in enumerate(names):
        others = {other: LayerPlan(is_float=True) for other in names if other != name}
        only = replace(plan, layers={**plan.layers, **others})
        alone[name] = trials.quick(only, _SCORED).off
        tell("one layer in int8", done + 1, len(names))
    worst = sorted(names, key=lambda name: -alone[name])[:_ALL_BUT_ONE]
    without: Dict[str, float] = {}
    for done, name in enumerate(worst):
        layers = {**plan.layers, name: LayerPlan(is_float=True)}
        without[name] = trials.quick(replace(plan, layers=layers), _SCORED).off
        tell("one layer in float", done + 1, len(worst))
    return alone, without


def to_dict(diagnosis: Diagnosis) -> Dict[str, Any]:
    """Plain data, ready for JSON."""
    return {
        "plan": diagnosis.plan.to_text(),
        "score": diagnosis.score.to_dict(),
        "layers": [vars(layer) for layer in diagnosis.layers],
        "findings": [vars(finding) for finding in diagnosis.findings],
    }
