"""Structured channel pruning of ONNX models."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.compress.channels import Labels
from edgecv.compress.compensate import Seen, add_biases, elimination, make_up, readers
from edgecv.compress.importance import Scores, scores
from edgecv.compress.network import Network
from edgecv.compress.search import Search, default_snap
from edgecv.compress.surgery import Mask, remove_channels, total_macs
from edgecv.compress.trace import trace
from edgecv.errors import Error


@dataclass
class Group:
    """Channels of which any may go: ``roots`` in order, least important first in ``order``.

    ``multiplicity``: how many channels of one tensor a label stands for.
    """

    name: str
    layers: List[str]
    roots: Labels
    multiplicity: int
    order: Labels
    scores: Scores
    kept: int = 0

    def step(self, snap: Optional[int]) -> int:
        """Of how many labels the counts that kernels like are multiples."""
        channels = len(self.roots) * self.multiplicity
        return max(1, (snap or default_snap(channels)) // self.multiplicity)

    def snapped(self, wanted: float, snap: Optional[int]) -> int:
        """The count of labels nearest to ``wanted`` that kernels like."""
        whole, step = len(self.roots), self.step(snap)
        return min(whole, max(min(whole, step), round(wanted / step) * step))


@dataclass
class GroupReport:
    """What became of a group; ``layers`` make or carry its channels."""

    name: str
    layers: List[str]
    channels: int
    kept: int


@dataclass
class PruneReport:
    """What pruning did. ``importance_lost`` is the share of all importance that went."""

    importance: str
    schedule: str
    macs_before: int
    macs_after: int
    weights_before: int
    weights_after: int
    importance_lost: float
    groups: List[GroupReport] = field(default_factory=list)
    made_up: int = 0
    warnings: List[str] = field(default_factory=list)

    def warn_of_excess(self, wanted: float, *, of_macs: bool) -> None:
        """Adds a warning when over a quarter more than ``wanted`` went, which snapping can do."""
        if of_macs:
            before, after, what = self.macs_before, self.macs_after, "multiply-accumulates"
        else:
            before, what = sum(group.channels for group in self.groups), "channels that may go"
            after = sum(group.kept for group in self.groups)
        gone = 1 - after / max(1, before)
        if gone > 1.25 * wanted:
            self.warnings.append(
                f"{100 * gone:.1f}% of the {what} went where {100 * wanted:.1f}% were asked for: "
                "counts are snapped to multiples, in narrow layers much of the whole; a smaller "
                "snap comes closer"
            )

    def to_dict(self) -> Dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        share = 100 * (1 - self.macs_after / max(1, self.macs_before))
        fewer = 100 * (1 - self.weights_after / max(1, self.weights_before))
        touched = sum(group.kept < group.channels for group in self.groups)
        lines = [
            f"multiply-accumulates  {self.macs_before / 1e6:,.1f} -> {self.macs_after / 1e6:,.1f} "
            f"million (-{share:.1f}%)",
            f"weights               {self.weights_before:,} -> {self.weights_after:,} "
            f"(-{fewer:.1f}%)",
            f"groups of channels    {touched} of {len(self.groups)} pruned by {self.importance}, "
            f"{self.schedule}; {100 * self.importance_lost:.1f}% of the importance went",
        ]
        if self.made_up:
            lines.append(f"made up for           in {self.made_up} layers that read them")
        return "\n".join(lines + [f"warning: {text}" for text in self.warnings])


def prune(
    model: Any,
    *,
    macs: Optional[float] = None,
    share: Optional[float] = None,
    importance: str = "l2",
    gradients: Optional[Mapping[str, NDArray[Any]]] = None,
    snap: Optional[int] = None,
    keep: Sequence[str] = (),
    input_shapes: Optional[Mapping[str, Sequence[int]]] = None,
    seen: Optional[Mapping[str, Seen]] = None,
    greedy: bool = False,
) -> Tuple[Any, PruneReport]:
    """Removes channels, the same share everywhere; returns (onnx.ModelProto, PruneReport).

    model: path, bytes or onnx.ModelProto with float weights.
    macs: the share of the multiply-accumulates that must go, e.g. 0.3; at least so much goes, and
        little more: some groups keep a snapped count more than others. Or share: of the channels
        of every group.
    importance: which channels go first: "l1", "l2", "bn-scale", or "taylor" with ``gradients`` of
        the loss (initializer name -> array of its shape).
    snap: counts of channels are rounded to multiples of it; None for what the kernels like,
        1 to take any count.
    keep: names of nodes (wildcards allowed) whose channels stay.
    input_shapes: input name -> shape, for models with symbolic dims.
    seen: what ``edgecv.compress.compensate.observe`` saw over calibration data: the layers that
        read a removed channel make up for it, as far as the others predict it. "output" removes
        first what is made up for best.
    greedy: not the same share everywhere, but where the most multiply-accumulates go for the least
        importance; with ``macs``.

    Without ``seen`` the result computes what the model computes when all that reads a removed
    channel had weights of zero there. Fine-tune it in the framework it came from; without, accuracy
    drops.
    """
    job = PruneJob(model, importance, gradients, snap, keep, input_shapes, seen)
    if (macs is None) == (share is None):
        raise Error("give either macs or share: how much is to go")
    wanted = share if macs is None else macs
    assert wanted is not None
    if not 0 < wanted < 1:
        raise Error(f"{'share' if macs is None else 'macs'} is {wanted!r}: it takes 0 to 1")
    if greedy:
        if macs is None:
            raise Error("greedy goes with macs")
        search = Search(job, lambda kept: float(total_macs(job.found, kept)))
        proto, report = job.finish(search.until_macs(macs), "greedy")
    else:
        counts = job.uniform(wanted) if macs is None else job.uniform_for_macs(macs)
        proto, report = job.finish(counts, "uniform")
    report.warn_of_excess(wanted, of_macs=macs is not None)
    return proto, report


class PruneJob:
    """A network whose groups are known, so that several choices of counts can be looked at."""

    def __init__(
        self,
        model: Any,
        importance: str = "l2",
        gradients: Optional[Mapping[str, NDArray[Any]]] = None,
        snap: Optional[int] = None,
        keep: Sequence[str] = (),
        input_shapes: Optional[Mapping[str, Sequence[int]]] = None,
        seen: Optional[Mapping[str, Seen]] = None,
    ) -> None:
        if importance == "output" and seen is None:
            raise Error("importance 'output' needs calibration data")
        if snap is not None and snap < 1:
            raise Error(f"snap is {snap!r}: it takes 1 or more")
        self._source = model
        self._input_shapes = input_shapes
        self.snap = snap
        self.importance = importance
        self._seen = seen
        self.found = trace(Network(model, input_shapes))
        if seen is not None and not readers(self.found, seen):
            raise Error(
                "no layer of the model can make up for channels that it reads: give its nodes names"
            )
        self._pin(keep)
        self._roots = self.found.roots()
        magnitude = "l2" if importance == "output" else importance
        self.groups = self._find_groups(scores(self.found, magnitude, gradients))
        if importance == "output":
            self._order_by_output()
        if not self.groups:
            raise Error("the model has no channels that could go")

    def _pin(self, keep: Sequence[str]) -> None:
        nodes = self.found.net.nodes
        used = set()
        for take in self.found.takes:
            node = nodes[take.node]
            for rule in keep:
                if fnmatchcase(node.name or node.output[0], rule):
                    used.add(rule)
                    if take.role != "in":
                        self.found.pin(take.labels)
        unused = [rule for rule in keep if rule not in used]
        if unused:
            raise Error(f"keep: no layer is named {unused[0]!r}")

    def _find_groups(self, importance: Scores) -> List[Group]:
        nodes = self.found.net.nodes
        layers: Dict[int, List[str]] = {}
        for take in self.found.takes:
            if take.role == "out":
                name = nodes[take.node].name or nodes[take.node].output[0]
                for root in np.unique(self._roots[take.labels]).tolist():
                    layers.setdefault(root, []).append(name)
        groups = []
        for roots, multiplicity in self.found.keep_none_apart():
            values = importance[roots]
            if len(roots) < 2 or not np.isfinite(values).all():
                continue
            names = layers.get(int(roots[0]), ["?"])
            order = np.argsort(values, kind="stable")
            groups.append(Group(names[0], names, roots, multiplicity, order, values, len(roots)))
        return groups

    def _order_by_output(self) -> None:
        """Orders the groups by what the readers of a channel cannot make up for."""
        assert self._seen is not None
        found = readers(self.found, self._seen)
        for group in self.groups:
            result = elimination(group.roots, self._roots, found)
            if result is None:
                continue  # nothing measured reads it: by magnitude
            order, losses = result
            group.order = order
            group.scores = np.zeros(len(order))
            group.scores[order] = losses

    def mask(self, counts: Sequence[int]) -> Mask:
        """Which labels stay when each group keeps so many."""
        gone = [
            group.roots[group.order[: len(group.roots) - count]]
            for group, count in zip(self.groups, counts)
        ]
        removed = np.zeros(len(self._roots), bool)
        removed[np.concatenate(gone)] = True
        kept: Mask = ~removed[self._roots]
        return kept

    def macs(self, counts: Sequence[int]) -> int:
        """Multiply-accumulates when each group keeps so many."""
        return total_macs(self.found, self.mask(counts))

    def uniform(self, share: float) -> List[int]:
        """The counts when every group loses this share."""
        return [group.snapped(len(group.roots) * (1 - share), self.snap) for group in self.groups]

    def uniform_for_macs(self, wanted: float) -> List[int]:
        """The counts of the smallest share with which so much of the work goes."""
        whole = self.macs([len(group.roots) for group in self.groups])
        low, high = 0.0, 1.0
        if self.macs(self.uniform(high)) > whole * (1 - wanted):
            least = 1 - self.macs(self.uniform(high)) / whole
            raise Error(
                f"at most {100 * least:.0f}% of the multiply-accumulates can go: the rest is in "
                "layers whose channels must stay"
            )
        for _ in range(24):
            middle = (low + high) / 2
            if self.macs(self.uniform(middle)) > whole * (1 - wanted):
                low = middle
            else:
                high = middle
        return self._give_back(self.uniform(high), whole * (1 - wanted))

    def _give_back(self, counts: Sequence[int], limit: float) -> List[int]:
        """Lets groups keep one snapped count more where the work stays within ``limit``.

        At some shares all groups of a width take their next snapped count at once, narrow ones half
        of their channels. Those are first whose step loses the most importance for its work.
        """
        now = self.macs(counts)
        steps = []
        for index, (group, few) in enumerate(zip(self.groups, counts)):
            whole = len(group.roots)
            if few < whole:
                many = min(whole, few + group.step(self.snap))
                lost = float(group.scores[group.order[whole - many : whole - few]].sum())
                work = self.macs([*counts[:index], many, *counts[index + 1 :]]) - now
                share = lost / max(1e-30, float(group.scores.sum()))
                steps.append((-share / max(1, work), index, many))
        result = list(counts)
        for _, index, many in sorted(steps):
            changed = [*result[:index], many, *result[index + 1 :]]
            if self.macs(changed) <= limit:
                result = changed
        return result

    def finish(self, counts: Sequence[int], schedule: str) -> Tuple[Any, PruneReport]:
        """Removes the channels from a fresh copy of the model."""
        kept = self.mask(counts)
        net = Network(self._source, self._input_shapes)
        before = _weights(net.proto)
        if self._seen is not None:
            add_biases(net)
        found = trace(net)
        made_up = 0 if self._seen is None else make_up(found, kept, self._seen)
        proto = remove_channels(found, kept)
        lost = [
            float(group.scores[group.order[: len(group.roots) - count]].sum())
            for group, count in zip(self.groups, counts)
        ]
        report = PruneReport(
            self.importance,
            schedule,
            total_macs(self.found, np.ones_like(kept)),
            total_macs(self.found, kept),
            before,
            _weights(proto),
            sum(lost) / max(1e-30, sum(float(group.scores.sum()) for group in self.groups)),
            [
                GroupReport(
                    group.name,
                    group.layers,
                    len(group.roots) * group.multiplicity,
                    count * group.multiplicity,
                )
                for group, count in zip(self.groups, counts)
            ],
            made_up,
        )
        return proto, report


def _weights(proto: Any) -> int:
    """Elements of all float initializers."""
    return sum(
        int(np.prod(tensor.dims, dtype=np.int64))
        for tensor in proto.graph.initializer
        if tensor.data_type in (1, 10, 11, 16)
    )
