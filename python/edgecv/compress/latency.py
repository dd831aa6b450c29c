"""Pruning by measured time: what the layers take on this machine decides where channels go."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from edgecv.compress.channels import ChannelMap
from edgecv.compress.measure import convert_for_timing, interleave
from edgecv.compress.prune import PruneJob, PruneReport, default_snap
from edgecv.compress.surgery import Mask
from edgecv.errors import Error

# A dense layer's time is proportional to outputs * (depth + this): its output is rounded and
# stored, however few products it sums. Fitted to 1x1 layers of 32 to 96 inputs
# (docs/compression.md).
STORE = 16
_ROUNDS = 4


class LayerTimes:
    """Predicts the time of a network with fewer channels from that of its layers with all."""

    def __init__(self, found: ChannelMap, steps: Mapping[str, float]) -> None:
        self._parts: List[Tuple[float, Any, Any, float]] = []
        nodes = found.net.nodes
        costs = {cost.node: cost for cost in found.costs}
        known = 0.0
        for index, node in enumerate(nodes):
            ms = steps.get(node.name, 0.0) if node.name else 0.0
            known += ms
            if not ms:
                continue
            cost = costs.get(index)
            if cost is not None:
                weights = found.net.weights[node.input[1]]
                outputs = len(cost.outputs) if cost.outputs is not None else 1
                depth = weights.size / max(1, outputs)
                fixed = 1.0 if cost.inputs is None else STORE / (STORE + depth)
                self._parts.append((ms, cost.inputs, cost.outputs, fixed))
                continue
            channels = found.tensors.get(node.output[0])
            labels = None if channels is None else channels.labels
            self._parts.append((ms, None, labels, 1.0))
        self.total = sum(steps.values())
        self._constant = self.total - known

    @property
    def known_share(self) -> float:
        """How much of the time belongs to layers whose channels are followed."""
        return 1 - self._constant / self.total if self.total else 0.0

    def predict(self, kept: Mask) -> float:
        """Milliseconds of a run with the channels that stay."""
        total = self._constant
        for ms, inputs, outputs, fixed in self._parts:
            s_in = 1.0 if inputs is None else float(kept[inputs].mean())
            s_out = 1.0 if outputs is None else float(kept[outputs].mean())
            total += ms * s_out * (fixed + (1 - fixed) * s_in)
        return total


def prune_by_latency(
    model: Any,
    *,
    target_ms: Optional[float] = None,
    macs: Optional[float] = None,
    calibration: Optional[Any] = None,
    threads: int = 1,
    seconds: float = 3.0,
    convert_options: Optional[Mapping[str, Any]] = None,
    **options: Any,
) -> Tuple[Any, PruneReport]:
    """Removes channels where they cost the most time for the least importance.

    target_ms: the time of a run to reach (the minimum, interleaved with the unpruned model, int8 by
        default conversion). macs: instead, the share of the multiply-accumulates that must go.
    calibration, convert_options: as ``edgecv.convert`` takes them; without, generated data.
    Other options are those of ``prune``.

    Layers are timed once. Step by step the group goes smaller whose next step saves the most
    predicted time for its loss of importance; then the result is converted and measured, and where
    the prediction was off, the search goes on with its target corrected.
    """
    if (target_ms is None) == (macs is None):
        raise Error("give either target_ms or macs: how much is to go")
    if macs is not None and not 0 < macs < 1:
        raise Error(f"macs is {macs!r}: it takes 0 to 1")
    job = PruneJob(model, **options)
    shapes = options.get("input_shapes")
    more = dict(convert_options or {})
    if calibration is None:
        more.pop("preprocess", None)
    whole, _ = convert_for_timing(model, calibration, shapes, **more)
    timing = interleave([whole], seconds=seconds, threads=threads, layers=True)[0]
    times = LayerTimes(job.found, timing.steps)
    if times.known_share < 0.5:
        raise Error(
            f"only {100 * times.known_share:.0f}% of the measured time belongs to nodes known by "
            "name: give the nodes of the model names"
        )
    search = _Search(job, times)
    if macs is not None:
        counts = search.until_macs(macs)
        return job.finish(counts, f"by time, for {100 * macs:.0f}% of the multiply-accumulates")
    assert target_ms is not None
    if target_ms >= timing.ms:
        raise Error(f"the model takes {timing.ms:.3f} ms already: a target of {target_ms} is met")
    share = target_ms / timing.ms
    wanted = share
    for _ in range(_ROUNDS):
        counts = search.until_share(wanted)
        proto, report = job.finish(counts, f"by time, for {target_ms} ms")
        pruned, _ = convert_for_timing(proto, calibration, shapes, **more)
        a, b = interleave([whole, pruned], seconds=seconds, threads=threads)
        measured = b.ms / a.ms
        if b.ms <= target_ms:
            return proto, report
        wanted *= share / measured * 0.995
    report.warnings.append(
        f"{b.ms:.3f} ms is not the {target_ms} ms asked for, after {_ROUNDS} attempts"
    )
    return proto, report


class _Search:
    """Greedy choice of counts."""

    def __init__(self, job: PruneJob, times: LayerTimes) -> None:
        self._job = job
        self._times = times
        self._whole = [len(group.roots) for group in job.groups]
        self._lost: List[Any] = []
        for group in job.groups:
            relative = group.scores[group.order]
            if job.importance != "output":  # which compares across groups as it is
                relative = relative / max(1e-30, float(group.scores.sum()))
            self._lost.append(np.concatenate([[0.0], np.cumsum(relative)]))

    def until_macs(self, share: float) -> List[int]:
        """Until so much of the work is gone."""
        job = self._job
        limit = job.macs(self._whole) * (1 - share)
        return self._run(lambda counts: job.macs(counts) <= limit)

    def until_share(self, share: float) -> List[int]:
        """Until the predicted time is this share of the whole."""
        limit = self._times.total * share
        return self._run(lambda counts: self._ms(counts) <= limit)

    def _ms(self, counts: Sequence[int]) -> float:
        return self._times.predict(self._job.mask(counts))

    def _smaller(self, index: int, count: int) -> int:
        """The next smaller count that kernels like, 0 when there is none."""
        group = self._job.groups[index]
        channels = self._whole[index] * group.multiplicity
        step = max(1, (self._job.snap or default_snap(channels)) // group.multiplicity)
        below = (count - 1) // step * step
        return below if below >= max(step, 1) else 0

    def _run(self, done: Any) -> List[int]:
        counts = list(self._whole)
        now = self._ms(counts)
        gains: Dict[int, Tuple[float, int, float]] = {}
        stale = set(range(len(counts)))
        while not done(counts):
            for index in stale:
                gains.pop(index, None)
                below = self._smaller(index, counts[index])
                if below:
                    changed = [*counts[:index], below, *counts[index + 1 :]]
                    ms = self._ms(changed)
                    gains[index] = (
                        (now - ms) / self._price(index, counts[index], below),
                        below,
                        ms,
                    )
            if not gains:
                raise Error("the model cannot become that fast by losing channels alone")
            best = max(gains, key=lambda index: (gains[index][0], -index))
            counts[best] = gains[best][1]
            now = self._ms(counts)
            stale = set(range(len(counts)))
        return counts

    def _price(self, index: int, before: int, after: int) -> float:
        """What a step costs: of the importance lost, the more the more is lost already."""
        lost = self._lost[index]
        whole = self._whole[index]
        a, b = float(lost[whole - before]), float(lost[whole - after])
        return max(1e-12, (b / (1 - min(b, 0.999))) - (a / (1 - min(a, 0.999))))
