"""Single steps of integer weights that lower the error of a layer's output, within
limits.

The error of a row is (v - q) C (v - q)^T, C the covariance of what the row is multiplied with: a
step of one weight can make up for the rounding of others that see similar inputs. All rows of a
layer move together, one column after the other.
"""

from __future__ import annotations

from typing import Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.quant.lanes import Lanes

Floats = NDArray[np.float32]
_BLOCK = 32  # columns whose steps are decided before the others hear of them


class Refiner:
    """Integers q [rows, K] and what is known of their error.

    v: real weights in steps. covariance: [K, K]. Limits: |q| <= qmax; in every lane set of every
    map [K] the sums of each sign are <= bound, which q must keep from the start.
    """

    def __init__(
        self,
        v: Floats,
        q: Floats,
        covariance: Floats,
        qmax: int,
        bound: int,
        maps: Sequence[Lanes],
    ) -> None:
        self._q = np.ascontiguousarray(q.T)  # [K, rows]
        self._c = covariance
        self._gradient = covariance @ (v.T - self._q)
        self._diagonal = np.diagonal(covariance).copy()
        self._qmax = np.float32(qmax)
        self._budgets = [_Budget(self._q, lanes, bound) for lanes in maps]

    def run(self, sweeps: int) -> Floats:
        """The integers after that many passes over all columns, or fewer when nothing moves."""
        count = len(self._q)
        for _ in range(sweeps):
            moved = False
            for first in range(0, count, _BLOCK):
                moved |= self._block(first, min(first + _BLOCK, count))
            if not moved:
                break
        return np.ascontiguousarray(self._q.T)

    def _block(self, first: int, last: int) -> bool:
        local = self._gradient[first:last].copy()
        before = self._q[first:last].copy()
        for k in range(first, last):
            self._single(k, first, last, local)
        change = self._q[first:last] - before
        if not change.any():
            return False
        self._gradient -= self._c[:, first:last] @ change
        return True

    def _single(self, k: int, first: int, last: int, local: Floats) -> None:
        """Moves column k to where the error is least."""
        old = self._q[k]
        new = np.rint(old + local[k - first] / self._diagonal[k])
        low, high = np.full_like(old, -self._qmax), np.full_like(old, self._qmax)
        for budget in self._budgets:
            low, high = budget.range_of(k, old, low, high)
        new = np.minimum(np.maximum(new, low), high)
        step = new - old
        if step.any():
            local -= self._c[k, first:last, None] * step
            for budget in self._budgets:
                budget.move(k, old, new)
            self._q[k] = new


_Two = Tuple[Floats, Floats]


class _Budget:
    """What the lane sets of one map still hold, [sets, rows] for each sign."""

    def __init__(self, q: Floats, lanes: Lanes, bound: int) -> None:
        self._lanes, self._bound = lanes, np.float32(bound)
        shape = (int(lanes.max()) + 1, q.shape[1])
        self._positive, self._negative = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        np.add.at(self._positive, lanes, np.maximum(q, 0.0))
        np.add.at(self._negative, lanes, np.maximum(-q, 0.0))

    def range_of(self, k: int, old: Floats, low: Floats, high: Floats) -> _Two:
        """[low, high] cut to what column k may be."""
        lane = self._lanes[k]
        room = self._bound - self._positive[lane] + np.maximum(old, 0.0)
        depth = self._bound - self._negative[lane] + np.maximum(-old, 0.0)
        return np.maximum(low, -depth), np.minimum(high, room)

    def move(self, k: int, old: Floats, new: Floats) -> None:
        """Column k changes in all rows."""
        lane = self._lanes[k]
        self._positive[lane] += np.maximum(new, 0.0) - np.maximum(old, 0.0)
        self._negative[lane] += np.maximum(-new, 0.0) - np.maximum(-old, 0.0)
