"""The search for a plan that costs less: one step after the other, each kept only where it pays on
pictures that calibration did not see, and within the limit of time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from edgecv.calibrated import needs_statistics
from edgecv.doctor.answers import answer_nodes, answer_values
from edgecv.doctor.diagnosis import Diagnosis, Tell
from edgecv.doctor.scores import TINY, Score, change, harms, pays
from edgecv.doctor.speed import by_worth, layer_times
from edgecv.doctor.trial import Trials
from edgecv.errors import UnsupportedModelError
from edgecv.graph.ir import Node
from edgecv.quant.layer_inputs import WEIGHTED_OPS
from edgecv.quant.plan import ActivationPlan, LayerPlan, Plan
from edgecv.quant.scales import open_sums

_GAIN = 0.995  # a step has to bring the error below this share of what it was
_CUT_GAIN = 0.98  # the same for ranges cut everywhere: what is rare here need not be elsewhere
_FLOAT_GAIN = 0.95  # the same for a layer kept in float
_FEWER = 50  # one in so many labels, and always one, may be lost while the error falls
_WORSE = 0.01  # that the error may rise, as a logarithm, where labels are judged first
_TENSORS = 10  # activations whose methods are tried one by one
_ISLANDS = 4  # layers that are tried in float one by one
_FASTER = 0.99  # of the time, at most, for a step that makes a model faster
_PRICE = 1.1  # times the error of the start: what faster weights may cost
_PARTS = 12  # of the layers: how closely the number of faster ones is found
_SHARES = (0.15, 0.4, 1.0)  # of layers, most sensitive first, that get another lane group
METHODS = ("auto", "minmax", "mse")
CUTS = ("percentile", "kl")  # methods that leave out the rarest values whatever that costs
CUTTING = ("mse", "percentile", "kl")  # methods whose ranges leave out what was seen
STRENGTHS = (0.5, 1.0)
WHOLE = ActivationPlan("minmax")
MSE = ActivationPlan("mse")
SINGLE = (WHOLE, MSE, ActivationPlan("percentile", 99.99))


@dataclass(frozen=True)
class Limits:
    """What a plan must keep: most_ratio times the default conversion's time, and most_ms on this
    machine. most_drop: the share of labels, in percent, that may differ from the float model's
    (of other models: the error in percent); the search ends when it is reached. speed: whether what
    was gained is spent on time in the end. labels: whether candidates are judged by labels first.
    """

    most_ratio: float = 1.05
    most_ms: Optional[float] = None
    most_drop: Optional[float] = None
    speed: bool = False
    labels: bool = False

    def allows(self, milliseconds: float, ratio: float, now: float = 0.0) -> bool:
        """Whether a plan is fast enough; one that takes no longer than what there is ``now`` does
        not miss most_ms more.
        """
        is_short = self.most_ms is None or milliseconds <= max(self.most_ms, now)
        return ratio <= self.most_ratio and is_short

    def reached_by(self, score: Score) -> bool:
        """Whether a plan is as good as asked for; never when nothing is asked."""
        return self.most_drop is not None and drop_of(score) <= self.most_drop


def drop_of(score: Score) -> float:
    """What limits are on: labels that differ, or else the error, in percent."""
    if score.agree is None:
        return 100.0 * score.off
    return 100.0 * (score.pictures - score.agree) / score.pictures


@dataclass
class Row:
    """One candidate: the step it belongs to, what it changes, its score, and whether it was kept.

    score: None where the converter refused the plan; of fewer pictures where the first of them
    decided. why: in words, where it was not kept.
    """

    step: str
    what: str
    score: Optional[Score]
    kept: bool
    why: str = ""
    plan: Plan = field(default_factory=Plan)


class Ladder:
    """Climbs from the plan of a diagnosis; ``rows`` are all candidates, ``plan`` the best."""

    def __init__(self, trials: Trials, start: Diagnosis, limits: Limits, tell: Tell) -> None:
        self._trials = trials
        self._start = start
        self._limits = limits
        self._tell = tell
        known = set(trials.model.view(0.0).activations())
        self._answers = [name for name in answer_values(trials.model.lowered) if name in known]
        self.plan = start.plan
        self.score = self._first = self._timed(start.plan, start.score)
        self._tried = [start.plan]
        self.rows = [Row("start", "the plan to begin with", self.score, True, plan=start.plan)]

    def climb(self) -> None:
        """All steps in order."""
        steps: Sequence[Tuple[str, Callable[[], None]]] = (
            ("narrow ranges", self._widen),
            ("ranges of answers", self._uncut),
            ("output heads in float", self._heads),
            ("method of all ranges", self._methods),
            ("equalization", self._equalize),
            ("cut ranges", self._cuts),
            ("ranges of single tensors", self._tensors),
            ("lane groups", self._groups),
            ("layers in float", self._islands),
            ("bias correction", self._biases),
        )
        for done, (name, step) in enumerate(steps):
            self._tell(f"ladder: {name}", done, len(steps))
            if self._limits.reached_by(self.score):
                break
            step()
        is_slow = not self._limits.allows(self.score.milliseconds or 0.0, 0.0)
        if self._limits.speed or is_slow:
            self._tell("ladder: faster weights", len(steps), len(steps) + 1)
            self._faster()
        self._tell("ladder", len(steps), len(steps))

    def _timed(self, plan: Plan, score: Score) -> Score:
        milliseconds, ratio = self._trials.time(plan)
        return replace(score, milliseconds=milliseconds, ratio=ratio)

    def _scored(self, row: Row, rival: Optional[Score]) -> Optional[Score]:
        """The score of a candidate; None, and the row kept for the table, when it is refused."""
        try:
            row.score = self._trials.score(row.plan, rival)
        except UnsupportedModelError as cause:
            row.why = f"cannot be converted: {cause}"
            self.rows.append(row)
        return row.score

    def offer(
        self, step: str, what: str, plan: Plan, gain: float = _GAIN, is_safer: bool = False
    ) -> bool:
        """Tries a plan, and keeps it when it pays and is fast enough; one that is safer also when
        it only does no harm.
        """
        if plan in self._tried:
            return False
        self._tried.append(plan)
        row = Row(step, what, None, False, plan=plan)
        score = self._scored(row, None if self._limits.labels or is_safer else self.score)
        if score is None:
            return False
        row.why = harms(self.score, score) if is_safer else self._objection(score, gain)
        if not row.why:
            row.score = score = self._timed(plan, score)
            assert score.milliseconds is not None
            assert score.ratio is not None
            now = self.score.milliseconds or 0.0
            if not self._limits.allows(score.milliseconds, score.ratio, now):
                row.why = f"takes {score.milliseconds:.2f} ms, {score.ratio:.3f} of the default's"
        self._close(row, score)
        return row.kept

    def _close(self, row: Row, score: Score) -> None:
        row.kept = not row.why
        self.rows.append(row)
        if row.kept:
            self.plan, self.score = row.plan, score

    def _objection(self, score: Score, gain: float) -> str:
        before = self.score
        if score.agree is None or before.agree is None or score.pictures < before.pictures:
            return pays(before, score, gain)
        gained = score.agree - before.agree
        if self._limits.labels and gained:
            if gained < 0:
                return "loses labels"
            return "raises the error" if change(before, score)[0] > _WORSE else ""
        if gained < -max(1, score.pictures // _FEWER):
            return pays(before, score, gain) or "loses labels"
        return pays(before, score, gain)

    def _offer_faster(self, what: str, plan: Plan) -> bool:
        """Tries a plan, and keeps it when it is faster and little worse than that to begin with."""
        row = Row("faster weights", what, None, False, plan=plan)
        score, first = self._scored(row, None), self._first
        if score is None:
            return False
        if not score.off <= _PRICE * first.off:
            times = score.off / max(first.off, TINY)
            row.why = f"raises the error to {times:.2f} times that of the start"
        elif (score.agree or 0) < (first.agree or 0) - max(1, score.pictures // _FEWER):
            row.why = "loses labels"
        else:
            row.score = score = self._timed(plan, score)
            if (score.ratio or 0.0) > _FASTER * (self.score.ratio or 0.0):
                row.why = "is not faster"
        self._close(row, score)
        return row.kept

    # -- the steps

    def _whole_answers(self, plan: Plan) -> Plan:
        """The plan with no range cut of what becomes an answer by moves and functions alone: labels
        and detections are the largest of its values.
        """
        if plan.method not in CUTTING:
            return plan
        return replace(
            plan, activations={**plan.activations, **dict.fromkeys(self._answers, WHOLE)}
        )

    def _widen(self) -> None:
        """Cutting hurts the pictures that a network is surest of, and calibration may have few: a
        range that loses more by its cut than by its steps is widened unless that does harm.
        """
        narrow = [f.where for f in self._start.findings if f.kind == "range too narrow"]
        if not narrow:
            return
        what = f"{len(narrow)} tensors: mse"
        plan = replace(
            self.plan, activations={**self.plan.activations, **dict.fromkeys(narrow, MSE)}
        )
        if self.plan.method in CUTS:
            what = "mse for every tensor"
            plan = replace(self.plan, method="mse", percent=Plan.percent, activations={})
        self.offer("narrow ranges", what, self._whole_answers(plan), is_safer=True)

    def _uncut(self) -> None:
        whole = self._whole_answers(self.plan)
        self.offer("ranges of answers", f"{len(self._answers)} tensors: minmax", whole)

    def _heads(self) -> None:
        found = [f.where for f in self._start.findings if f.kind == "output head"]
        groups = [found, self._layers_before(found)] if found else []
        if not self._trials.classifies:
            after, last = answer_nodes(self._trials.model.lowered)
            groups += [after, after + last]
        tried: List[List[str]] = []
        for names in groups:
            if not names or sorted(names) in tried:
                continue
            tried.append(sorted(names))
            layers = {**self.plan.layers, **dict.fromkeys(names, LayerPlan(is_float=True))}
            what = ", ".join(names if len(names) < 5 else [*names[:4], f"{len(names) - 4} more"])
            self.offer("output heads in float", what, replace(self.plan, layers=layers))

    def _layers_before(self, names: Sequence[str]) -> List[str]:
        """The nodes, and what computes the inputs of those without weights, back to the first layer
        with some.
        """
        lowered = self._trials.model.lowered
        producers, found = lowered.producers(), list(names)
        pending = [node for node in lowered.nodes if node.name in names]
        while pending:
            node = pending.pop()
            if node.op not in WEIGHTED_OPS:
                pending += [producers[name] for name in node.inputs if name in producers]
            if node.name not in found:
                found.append(node.name)
        return found

    def _methods(self) -> None:
        best, base = self.plan, self.plan
        for method in METHODS:
            plan = replace(base, method=method, percent=Plan.percent)
            self.offer("method of all ranges", method, self._whole_answers(plan))
        if self.plan is not best and self.plan.activations:
            # What was said of single tensors may have been for the old method.
            plan = self._whole_answers(replace(self.plan, activations={}))
            self.offer("method of all ranges", f"{self.plan.method} for every tensor", plan)

    def _equalize(self) -> None:
        for strength in STRENGTHS:
            self.offer(
                "equalization", f"strength {strength}", replace(self.plan, equalize=strength)
            )
        if self.plan.equalize > 0:
            for method in ("auto", "mse"):
                what = f"strength {self.plan.equalize}, {method}"
                plan = self._whole_answers(replace(self.plan, method=method))
                self.offer("equalization", what, plan)

    def _cuts(self) -> None:
        for method in CUTS:
            plan = replace(self.plan, method=method, percent=Plan.percent)
            self.offer("cut ranges", method, self._whole_answers(plan), _CUT_GAIN)

    def _tensors(self) -> None:
        for done, name in enumerate(self._by_noise()[:_TENSORS]):
            self._tell("ranges of single tensors", done, _TENSORS)
            base = self.plan
            for one in SINGLE:
                if one.method in CUTTING and name in self._answers:
                    continue
                plan = replace(base, activations={**base.activations, name: one})
                if self._changes(name, one):
                    percent = "" if one.percent is None else f" {one.percent:g}"
                    self.offer("ranges of single tensors", f"{name}: {one.method}{percent}", plan)

    def _by_noise(self) -> List[str]:
        """Activations that int8 layers write, the most sensitive first."""
        lowered = self._trials.model.lowered
        alone = {layer.name: layer.alone or 0.0 for layer in self._start.layers}
        known = set(self._trials.model.view(self.plan.equalize).activations())
        nodes = [n for n in lowered.nodes if n.outputs[0] in known and alone.get(n.name, 0.0) > 0]
        return [n.outputs[0] for n in sorted(nodes, key=lambda n: -alone[n.name])]

    def _changes(self, name: str, one: ActivationPlan) -> bool:
        """Whether a method gives the activation another range than it has."""
        model = self._trials.model.view(self.plan.equalize)
        if needs_statistics(one):
            model.look([], [name])
        low, high = model.range_by(name, one, 255.0)
        now = self.plan.activations.get(name)
        if now is None:
            is_open = name in open_sums(model.lowered, set())
            method = self.plan.method
            if method == "auto":
                method = "mse" if is_open else "minmax"
            now = ActivationPlan(method, self.plan.percent if method == "percentile" else None)
            if needs_statistics(now):
                model.look([], [name])
        old_low, old_high = model.range_by(name, now, 255.0)
        return abs((high - low) - (old_high - old_low)) > 0.01 * (old_high - old_low)

    def _groups(self) -> None:
        """Lane groups of the most sensitive layers: smaller ones are more precise, and slower."""
        nodes = self._weighted()
        alone = {layer.name: layer.alone or 0.0 for layer in self._start.layers}
        nodes.sort(key=lambda n: -alone.get(n.name, 0.0))
        for group in (2, 1):
            for share in _SHARES:
                some = nodes[: max(1, round(share * len(nodes)))]
                layers: Dict[str, LayerPlan] = dict(self.plan.layers)
                for node in some:
                    old = layers.get(node.name, LayerPlan())
                    layers[node.name] = replace(old, lane_group=group)
                what = f"{len(some)} of {len(nodes)} layers: {'no bound' if group == 1 else group}"
                if not self.offer("lane groups", what, replace(self.plan, layers=layers)):
                    why = self.rows[-1].why
                    if why.startswith("takes"):
                        break

    def _faster(self) -> None:
        """Lane groups of 8, from the layers that gain the most time for the noise on: of these as
        many as the limit of the error allows.
        """
        base = self.plan
        names = [node.name for node in self._weighted(depthwise=True)]
        made, blob = self._trials.quantize(base)
        wide, wide_blob = self._trials.quantize(_with_groups(base, names))
        before, after = layer_times([blob, wide_blob], self._trials.some(1)[0])
        order = by_worth(names, (before, after), (made.layers, wide.layers))
        good, bad = 0, len(order) + 1
        while bad - good > max(1, len(order) // _PARTS):
            count = len(order) if bad > len(order) else (good + bad) // 2
            what = f"{count} of {len(names)} layers: groups of 8"
            if self._offer_faster(what, _with_groups(base, order[:count])):
                good = count
            else:
                bad = count

    def _weighted(self, depthwise: bool = False) -> List[Node]:
        lowered = self._trials.model.lowered
        return [
            node
            for node in lowered.nodes
            if node.op in WEIGHTED_OPS
            and (depthwise or lowered.values[node.inputs[1]].shape[-1] > 1)
            and not self.plan.layers.get(node.name, LayerPlan()).is_float
        ]

    def _biases(self) -> None:
        """The last step: it is measured anew for each plan, which takes long."""
        self.offer("bias correction", "linear layers", replace(self.plan, correct_bias=True))

    def _islands(self) -> None:
        tried = [layer for layer in self._start.layers if layer.without is not None]
        tried.sort(key=lambda layer: layer.without or 0.0)
        for layer in tried[:_ISLANDS]:
            if not self.plan.layers.get(layer.name, LayerPlan()).is_float:
                layers = {**self.plan.layers, layer.name: LayerPlan(is_float=True)}
                plan = replace(self.plan, layers=layers)
                self.offer("layers in float", layer.name, plan, _FLOAT_GAIN)


def _with_groups(plan: Plan, names: Sequence[str]) -> Plan:
    """A plan with lane groups of 8 for some of its int8 layers."""
    layers: Dict[str, LayerPlan] = dict(plan.layers)
    for name in names:
        layers[name] = replace(layers.get(name, LayerPlan()), lane_group=8, weights=None)
    return replace(plan, layers=layers)


def pareto(rows: Sequence[Row]) -> List[Row]:
    """The candidates that were timed and that none beats in both time and error, fastest first."""
    timed = [(r.score.ratio, r.score.off, i) for i, r in enumerate(rows) if r.score is not None
             and r.score.ratio is not None]  # fmt: skip
    front: List[Row] = []
    least = float("inf")
    for _, off, index in sorted(timed):
        if off < least:
            front.append(rows[index])
            least = off
    return front
