"""Causes of quantization error, each found by a rule with a figure (docs/doctor.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional

import numpy as np
from numpy.typing import NDArray

from edgecv.graph.ir import Graph, Node
from edgecv.quant.precision import MOVES

# The rules. Steps are of the 255 that an activation has.
CLIPS_MORE = 4.0  # cut-off energy beyond this many times that of rounding
CLIPS_DB = 36.0  # ... and above this share of the signal
OUTLIER = 4.0  # one channel's reach over that of nine in ten
SPREAD_STEPS = 16.0  # half of the channels of a depthwise input use fewer steps than this
DEAD_SHARE = 0.25  # of channels that never change
BRANCH_STEPS = 32.0  # steps of the sum that a branch spans
HEAD_ERROR = 0.02  # logit error that quantizing the head alone makes
HEAD_SHARE = 0.5  # ... and its share of the error of the whole
WEIGHTS_DB = 22.0  # of a layer's output, for its weights alone


@dataclass
class Finding:
    """A cause: what kind it is, where, the figure that shows it, in words, and what helps."""

    kind: str
    where: str
    figure: float
    text: str
    remedy: str


@dataclass
class Seen:
    """Sums over pictures of one activation: values of the float model by channel, and what int8
    made of them.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    count: int = 0
    power: float = 0.0
    noise: float = 0.0
    cut: float = 0.0  # energy of what lies outside of the range
    outside: int = 0
    pictures: List[float] = field(default_factory=list)

    @staticmethod
    def empty(channels: int) -> Seen:
        """Nothing seen yet."""
        return Seen(np.full(channels, np.inf), np.full(channels, -np.inf))

    def see(
        self, real: NDArray[Any], got: Optional[NDArray[Any]], bounds: Optional[NDArray[Any]]
    ) -> None:
        """Adds one picture. bounds: the least and the largest value that int8 can hold."""
        flat = real.reshape(-1, real.shape[-1]).astype(np.float64)
        self.low = np.minimum(self.low, flat.min(axis=0))
        self.high = np.maximum(self.high, flat.max(axis=0))
        self.count += flat.size
        self.power += float(np.square(flat).sum())
        if got is not None:
            self.noise += float(np.square(got.reshape(flat.shape) - flat).sum())
        if bounds is not None:
            off = flat - np.clip(flat, bounds[0], bounds[1])
            self.cut += float(np.square(off).sum())
            self.outside += int(np.count_nonzero(np.abs(off) > 0.51 * bounds[2]))

    @property
    def reach(self) -> NDArray[np.float64]:
        """The largest magnitude of each channel."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    @property
    def sqnr_db(self) -> float:
        """Signal to noise ratio, all error before this place included."""
        return decibels(self.power, self.noise)


def decibels(power: float, noise: float) -> float:
    """10 log10 of a ratio; 200 without noise."""
    return float(10 * np.log10(power / noise)) if power > 0 and noise > 0 else 200.0


def about_ranges(int8: Graph, seen: Mapping[str, Seen]) -> List[Finding]:
    """Ranges too narrow, outlier channels and dead activations."""
    found: List[Finding] = []
    for name, one in seen.items():
        value = int8.values.get(name)
        if value is None or value.dtype != "s8" or one.count == 0:
            continue
        rounding = one.count * value.scale**2 / 12.0
        cut_db = decibels(one.power, one.cut)
        if one.cut > CLIPS_MORE * rounding and cut_db < CLIPS_DB:
            low, high = (value.scale * (q - value.zero_point) for q in (-128, 127))
            found.append(
                Finding(
                    "range too narrow", name, cut_db,
                    f"{100.0 * one.outside / one.count:.2f}% of its values lie outside of "
                    f"[{low:.3g}, {high:.3g}] (seen: [{one.low.min():.3g}, {one.high.max():.3g}]); "
                    f"cutting them leaves {cut_db:.1f} dB, rounding alone would leave "
                    f"{decibels(one.power, rounding):.1f} dB",
                    "a wider range: minmax or mse",
                )
            )  # fmt: skip
        reach = one.reach
        if reach.max() <= 0 or float((one.high - one.low).max()) <= 0:
            found.append(
                Finding("dead activation", name, 1.0, "it never changes", "prune what reads it")
            )
            continue
        if len(reach) >= 8:
            found += _about_channels(name, one, reach)
    return found


def _about_channels(name: str, one: Seen, reach: NDArray[np.float64]) -> List[Finding]:
    found: List[Finding] = []
    largest = int(reach.argmax())
    usual = float(np.quantile(reach, 0.9))
    if usual > 0 and reach[largest] > OUTLIER * usual:
        found.append(
            Finding(
                "range outlier", name, float(reach[largest]) / usual,
                f"channel {largest} reaches {reach[largest]:.3g}, nine of ten channels stay below "
                f"{usual:.3g}: they share {255.0 * usual / float(reach[largest]):.0f} of 255 steps",
                "equalization, or a cut range (mse)",
            )
        )  # fmt: skip
    dead = np.count_nonzero(one.high <= one.low)
    if dead > DEAD_SHARE * len(reach):
        found.append(
            Finding(
                "dead channels", name, dead / len(reach),
                f"{dead} of {len(reach)} channels never change", "prune them",
            )
        )  # fmt: skip
    return found


def about_layers(
    lowered: Graph, seen: Mapping[str, Seen], weights_db: Mapping[str, float]
) -> List[Finding]:
    """Depthwise range spread, residual sums of unequal branches, weights that lost too much."""
    found: List[Finding] = []
    for node in lowered.nodes:
        if node.op == "Conv2d" and lowered.values[node.inputs[1]].shape[-1] == 1:
            one = seen.get(node.inputs[0])
            groups = int(node.attrs.get("groups", 1))
            if groups > 8 and one is not None and one.count and one.reach.max() > 0:
                steps = 255.0 * float(np.median(one.high - np.minimum(one.low, 0)))
                steps /= float(one.high.max() - min(one.low.min(), 0.0))
                if steps < SPREAD_STEPS:
                    found.append(
                        Finding(
                            "depthwise range spread", node.name, steps,
                            f"half of the {groups} channels it reads use fewer than {steps:.0f} of "
                            "255 steps, and no sum over channels evens that out",
                            "equalization",
                        )
                    )  # fmt: skip
        elif node.op == "Add":
            found += _about_sum(node, seen)
        if weights_db.get(node.name, 200.0) < WEIGHTS_DB:
            ratio = weights_db[node.name]
            found.append(
                Finding(
                    "coarse weights", node.name, ratio,
                    f"rounding its weights alone leaves {ratio:.1f} dB of its output",
                    "a smaller lane group, or more bits",
                )
            )  # fmt: skip
    return found


def _about_sum(node: Node, seen: Mapping[str, Seen]) -> List[Finding]:
    total = seen.get(node.outputs[0])
    if total is None or total.count == 0 or total.reach.max() <= 0:
        return []
    found: List[Finding] = []
    whole = float(total.high.max() - total.low.min())
    for name in node.inputs:
        one = seen.get(name)
        if one is None or one.count == 0:
            continue
        steps = 255.0 * float(one.high.max() - one.low.min()) / max(whole, 1e-30)
        if 0 < steps < BRANCH_STEPS:
            found.append(
                Finding(
                    "residual scale mismatch", node.name, steps,
                    f"its operand {name} spans {steps:.0f} of the 255 steps of the sum",
                    "a cut range of the sum (mse), or equalization",
                )
            )  # fmt: skip
    return found


def about_heads(
    lowered: Graph, alone: Mapping[str, float], whole: float, others: List[Finding]
) -> List[Finding]:
    """Layers before an output whose quantization alone costs much, but not for a range that others
    of the findings call too narrow.

    alone: node name -> logit error with that node alone in int8. whole: with all of them.
    """
    narrow = {finding.where for finding in others if finding.kind == "range too narrow"}
    found: List[Finding] = []
    producers = lowered.producers()
    for port in lowered.outputs:
        node: Optional[Node] = producers.get(port.value)
        while node is not None and node.op in MOVES and node.name not in alone:
            node = producers.get(node.inputs[0])
        if node is None or narrow.intersection([*node.inputs, *node.outputs]):
            continue
        error = alone.get(node.name, 0.0)
        if error > max(HEAD_ERROR, HEAD_SHARE * whole):
            found.append(
                Finding(
                    "output head", node.name, error,
                    f"with it alone in int8 the output {port.name} is off by {100 * error:.1f}% "
                    f"(everything in int8: {100 * whole:.1f}%): it must not be int8",
                    "keep it in float",
                )
            )  # fmt: skip
    return found


def ranked(findings: List[Finding]) -> List[Finding]:
    """In the order of the report: what costs most first, at most some of each kind."""
    order = ("output head", "range too narrow", "coarse weights", "range outlier",
             "depthwise range spread", "residual scale mismatch", "dead activation",
             "dead channels")  # fmt: skip
    kinds: Dict[str, List[Finding]] = {kind: [] for kind in order}
    for finding in findings:
        kinds[finding.kind].append(finding)
    for kind, some in kinds.items():
        some.sort(key=lambda f: f.figure, reverse=kind not in ("range too narrow", "coarse weights",
                  "depthwise range spread", "residual scale mismatch"))  # fmt: skip
    return [finding for some in kinds.values() for finding in some]
