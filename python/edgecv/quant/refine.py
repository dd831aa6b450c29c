"""Single steps of integer weights that lower the error of a layer's output, within
limits.

The error of a row is (v - q) C (v - q)^T, C the covariance of what the row is multiplied with: a
step of one weight can make up for the rounding of others that see similar inputs. All rows of a
layer move together, one column after the other.
"""

from __future__ import annotations

from typing import Any, Optional, Sequence

import numpy as np
from numpy.typing import NDArray

from edgecv.quant.lanes import Lanes

Floats = NDArray[np.float32]
_BLOCK = 32  # columns whose steps are decided before the others hear of them
_CHUNK = 256  # columns that hear of them at a time, so that what they hear stays in cache


class Refiner:
    """Integers q [rows, K] and what is known of their error.

    v: real weights in steps. covariance: [K, K]. Limits: |q| <= qmax; in every lane set of every
    map [K] the sums of each sign are <= bound; with ``total`` the magnitudes of a row sum up to at
    most that. q must keep them from the start. fixed: [rows, K], where q stays as it is.
    """

    def __init__(
        self,
        v: Floats,
        q: Floats,
        covariance: Floats,
        qmax: int,
        bound: int,
        maps: Sequence[Lanes],
        total: Optional[int] = None,
        fixed: Optional[NDArray[np.bool_]] = None,
    ) -> None:
        self._q = np.ascontiguousarray(q.T)  # [K, rows]
        self._c = covariance
        self._gradient = covariance @ (v.T - self._q)
        self._diagonal = np.diagonal(covariance).copy()
        self._qmax = np.float32(qmax)
        self._budgets = [_Budget(self._q, lanes, bound) for lanes in maps]
        self._fixed = None if fixed is None else np.ascontiguousarray(fixed.T)
        self._left = None if total is None else np.float32(total) - np.abs(self._q).sum(axis=0)

    def run(self, sweeps: int) -> Floats:
        """The integers after that many passes over all columns, or fewer when nothing moves."""
        count = len(self._q)
        for sweep in range(sweeps):
            moved = False
            for first in range(0, count, _BLOCK):
                # Nothing reads the gradient of columns that the last pass has left behind.
                heard = first + _BLOCK if sweep + 1 == sweeps else 0
                moved |= self._block(first, min(first + _BLOCK, count), heard)
            if not moved:
                break
        return np.ascontiguousarray(self._q.T)

    def _block(self, first: int, last: int, heard: int) -> bool:
        """Moves columns [first, last) and tells the gradient of columns from ``heard`` on."""
        local = self._gradient[first:last].copy()
        before = self._q[first:last].copy()
        for k in range(first, last):
            self._single(k, first, last, local)
        change = self._q[first:last] - before
        if not change.any():
            return False
        for begin in range(heard, len(self._q), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            self._gradient[part] -= self._c[part, first:last] @ change
        return True

    def _single(self, k: int, first: int, last: int, local: Floats) -> None:
        """Moves column k to where the error is least."""
        old = self._q[k]
        positive = np.maximum(old, 0.0)
        negative = positive - old
        high: Any = self._qmax
        low: Any = self._qmax
        for budget in self._budgets:
            lane = budget.lanes[k]
            high = np.minimum(budget.room[lane] + positive, high)
            low = np.minimum(budget.depth[lane] + negative, low)
        if self._left is not None:
            reach = self._left + positive + negative
            high, low = np.minimum(high, reach), np.minimum(low, reach)
        new = local[k - first] / self._diagonal[k]
        new += old
        np.rint(new, out=new)
        np.maximum(new, -low, out=new)
        np.minimum(new, high, out=new)
        if self._fixed is not None:
            np.copyto(new, old, where=self._fixed[k])
        step = new - old
        if not np.count_nonzero(step):
            return
        local -= self._c[k, first:last, None] * step
        if self._left is not None:
            self._left += positive + negative - np.abs(new)
        positive -= np.maximum(new, 0.0)
        for budget in self._budgets:
            lane = budget.lanes[k]
            budget.room[lane] += positive
            budget.depth[lane] += positive + step
        self._q[k] = new


class _Budget:
    """What the lane sets of one map may still grow by, [sets, rows] for each sign."""

    def __init__(self, q: Floats, lanes: Lanes, bound: int) -> None:
        self.lanes = lanes.tolist()
        shape = (int(lanes.max()) + 1, q.shape[1])
        self.room, self.depth = np.full((2, *shape), np.float32(bound))
        np.subtract.at(self.room, lanes, np.maximum(q, 0.0))
        np.subtract.at(self.depth, lanes, np.maximum(-q, 0.0))
