"""Weights of which many are equal, as weight sharing leaves them, rounded value by value: what is
equal stays equal, so that a file can store it as indices.
"""

from __future__ import annotations

from typing import Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.quant.rounding import Limits, Rounded

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
# The most different values of a channel beside zero; above that no form of a file gets smaller.
MOST_VALUES = 128
_FEW, _OF_FEW, _OF_MANY = 16, 2, 4  # weights a value stands for at least, with 16 of them and more
_STEPS = np.geomspace(1.0, 1.6, 24)  # scales tried, as factors of about the least that fits
_LEAST_OF_NARROW = 0.5  # cutting the largest weights pays for few bits alone
_CHUNK = 1 << 20  # weights at a time


def are_shared(weights: Floats) -> bool:
    """Whether in every channel [channels, ...] each value beside zero stands for several weights,
    and there are few.
    """
    flat = np.sort(weights.reshape(len(weights), -1), axis=1)
    used = np.count_nonzero(flat, axis=1)
    different = ((np.diff(flat, axis=1, prepend=np.nan) != 0) & (flat != 0)).sum(axis=1)
    each = np.where(different <= _FEW, _OF_FEW, _OF_MANY)
    good = (different <= MOST_VALUES) & (different * each <= used)
    return bool(good.all() and used.any())


def round_values(w: Floats, h: Floats, floor: Doubles, limits: Limits) -> Rounded:
    """Integers and scales for w [channels, K] within limits, equal where weights are.

    h: how much an error of each column matters, [K]; floor: the least scale of each channel. Of the
    scales at which integers keep the limits when rounded to nearest, that with the least error.
    """
    q = np.zeros(w.shape, np.int8)
    scale = np.empty(len(w), np.float32)
    size = max(1, _CHUNK // w.shape[1])
    for first in range(0, len(w), size):
        part = slice(first, first + size)
        q[part], scale[part] = _round(w[part], h, floor[part], limits)
    return Rounded(q, scale)


def _round(w: Floats, h: Floats, floor: Doubles, limits: Limits) -> Tuple[NDArray[np.int8], Floats]:
    least = np.abs(w).max(axis=1).astype(np.float64) / limits.qmax
    if limits.qmax < 127:
        least *= _LEAST_OF_NARROW
    if limits.maps:
        # At 1.6 times this, less what rounding adds to a lane set, sums are within the bound.
        least = np.maximum(least, _largest_sums(w, limits) / limits.bound)
    least = np.maximum(least, floor)
    steps = _STEPS if limits.qmax == 127 else np.geomspace(1.0, _STEPS[-1] / _LEAST_OF_NARROW, 48)
    best = np.zeros(w.shape, np.int8)
    best_scale, lowest = (least * steps[-1]).astype(np.float32), np.full(len(w), np.inf)
    for factor in steps:
        scale = (least * factor).astype(np.float32)
        v = w / scale[:, None]
        q = np.clip(np.rint(v), -limits.qmax, limits.qmax)
        off = (v - q) * scale[:, None]
        error = np.asarray((off * off) @ h, np.float64)
        better = error < lowest
        if limits.maps:
            better[better] = _largest_sums(q[better], limits) <= limits.bound
        best[better] = q[better].astype(np.int8)
        best_scale[better], lowest[better] = scale[better], error[better]
    return best, best_scale


def _largest_sums(w: Floats, limits: Limits) -> Doubles:
    """The largest sum of weights of one sign over all lane sets of each row."""
    found = np.zeros(len(w))
    for lanes in limits.maps:
        order = np.argsort(lanes, kind="stable")
        starts = np.searchsorted(lanes[order], np.arange(int(lanes.max()) + 1))
        part = w[:, order]
        for sign in (1, -1):
            sums = np.add.reduceat(np.maximum(sign * part, 0), starts, axis=1)
            np.maximum(found, sums.max(axis=1), out=found)
    return found
