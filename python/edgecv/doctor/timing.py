"""Times of two files that take turns, and what decides them."""

from __future__ import annotations

import hashlib
import time
from typing import List, Sequence, Tuple

import numpy as np

from edgecv.graph.passes.quantize import LayerWeights
from edgecv.model import load
from edgecv.quant.data import Sample

_SECONDS = 4.0  # of one measurement of time
# A plan that seems slower is measured again: another job may have got in its way, none makes it
# faster than it is.
_NEAR, _AGAIN = 1.02, 3


def work_of(blob: bytes, layers: Sequence[LayerWeights]) -> str:
    """A digest of what decides the time of a run: the kernel calls of its plan, and the widths and
    lane groups of weights, which decide how a kernel multiplies.
    """
    with load(blob, threads=1) as model:
        steps = [
            (s.kernel, s.isa, s.shape, s.macs, s.packed_bytes, s.scratch_bytes, s.chain)
            for s in model.steps
        ]
    weights = [(layer.node, layer.group, layer.bits) for layer in layers]
    return hashlib.sha256(repr((steps, weights)).encode()).hexdigest()[:16]


def ratio_of(reference: bytes, other: bytes, sample: Sample) -> Tuple[float, float]:
    """(milliseconds of the other file, its time over that of the reference)."""
    best = compare_times(reference, other, sample)
    for _ in range(_AGAIN):
        if best[1] > _NEAR:
            best = min(best, compare_times(reference, other, sample), key=lambda pair: pair[1])
    return best


def compare_times(reference: bytes, other: bytes, sample: Sample) -> Tuple[float, float]:
    """(least milliseconds of the other file, its time over that of the reference): of runs that
    take turns, those a quarter of which were faster. It is the CPU time of the one thread that
    runs, which does not go on while other jobs have the CPU.
    """
    times: Tuple[List[float], List[float]] = ([], [])
    with load(reference, threads=1) as a, load(other, threads=1) as b:
        for model in (a, b):
            model.run(sample)
        end = time.perf_counter() + _SECONDS
        while len(times[0]) < 9 or time.perf_counter() < end:
            order = (0, 1) if len(times[0]) % 2 == 0 else (1, 0)
            for which in order:
                start = time.thread_time()
                (a, b)[which].run(sample)
                times[which].append(time.thread_time() - start)
    usual, found = (float(np.quantile(one, 0.25)) for one in times)
    return min(times[1]) * 1e3, found / usual
