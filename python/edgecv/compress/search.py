"""Greedy choice of how many channels each group keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, List, Sequence, Tuple

import numpy as np

from edgecv.compress.surgery import Mask
from edgecv.errors import Error

if TYPE_CHECKING:
    from edgecv.compress.prune import PruneJob

# Channels a kernel computes at once: a vector of an x86 tile has 8 columns, and its depth is padded
# to 16 products.
SNAP_SMALL, SNAP_LARGE, LARGE = 8, 16, 64


def default_snap(channels: int) -> int:
    """What counts of channels are rounded to (docs/compression.md has the measurements)."""
    return SNAP_LARGE if channels >= LARGE else SNAP_SMALL


class Search:
    """Makes groups smaller, step by step: the one whose next step saves the most for its loss.

    ``cost``: what a network costs with the channels that stay, in any unit.
    """

    def __init__(self, job: PruneJob, cost: Callable[[Mask], float]) -> None:
        self._job = job
        self._cost = cost
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
        """Until the cost is this share of the whole."""
        limit = self._of(self._whole) * share
        return self._run(lambda counts: self._of(counts) <= limit)

    def _of(self, counts: Sequence[int]) -> float:
        return self._cost(self._job.mask(counts))

    def _smaller(self, index: int, count: int) -> int:
        """The next smaller count that kernels like, 0 when there is none."""
        group = self._job.groups[index]
        step = group.step(self._job.snap)
        below = (count - 1) // step * step
        return below if below >= max(step, 1) else 0

    def _run(self, done: Any) -> List[int]:
        counts = list(self._whole)
        now = self._of(counts)
        gains: Dict[int, Tuple[float, int]] = {}
        while not done(counts):
            for index in range(len(counts)):
                gains.pop(index, None)
                below = self._smaller(index, counts[index])
                if below:
                    changed = [*counts[:index], below, *counts[index + 1 :]]
                    then = self._of(changed)
                    price = self._price(index, counts[index], below)
                    gains[index] = ((now - then) / price, below)
            if not gains:
                raise Error("so much cannot go: the rest is in layers whose channels must stay")
            best = max(gains, key=lambda index: (gains[index][0], -index))
            counts[best] = gains[best][1]
            now = self._of(counts)
        return counts

    def _price(self, index: int, before: int, after: int) -> float:
        """What a step costs: of the importance lost, the more the more is lost already."""
        lost = self._lost[index]
        whole = self._whole[index]
        a, b = float(lost[whole - before]), float(lost[whole - after])
        return max(1e-12, (b / (1 - min(b, 0.999))) - (a / (1 - min(a, 0.999))))
