"""Pruning by measured time: what the layers take on this machine decides where channels go."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Tuple

from edgecv.compress.channels import ChannelMap
from edgecv.compress.measure import convert_for_timing, interleave
from edgecv.compress.prune import PruneJob, PruneReport
from edgecv.compress.search import Search
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
    if target_ms is not None and not target_ms > 0:
        raise Error(f"target_ms is {target_ms!r}: it takes a number above 0")
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
    search = Search(job, times.predict)
    if macs is not None:
        counts = search.until_macs(macs)
        result = job.finish(counts, f"by time, for {100 * macs:.0f}% of the multiply-accumulates")
        result[1].warn_of_excess(macs, of_macs=True)
        return result
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
