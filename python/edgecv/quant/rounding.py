"""Integer weights of one layer under limits: a width in bits and a bound on every lane set.

Per output channel the scale is searched; weights are rounded; lane sets beyond the bound are pulled
back by least squares; then single steps of weights go on as long as they lower the error of the
layer's output, which the covariance of its input measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Sequence

import numpy as np
from numpy.typing import NDArray

from edgecv.quant.lanes import Lanes
from edgecv.quant.refine import Refiner

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
# Scales tried, as factors of max|w| / qmax; then once more around the best.
_COARSE = np.geomspace(0.4, 3.6, 24)
_FINE = np.geomspace(0.96, 1.04, 8)
_LEAST_AT_8_BITS = 0.8  # cutting the largest weights pays for few bits alone
_CHUNK = 1 << 18  # weights at a time, so that the search stays in cache
_SWEEPS = 3
# From this share on zeros are there on purpose: they stay, for kernels and files that skip them.
_MEANT_ZEROS = 0.25


@dataclass
class Limits:
    """|q| <= qmax; in every lane set of every map the sums of each sign are <= bound."""

    qmax: int
    bound: int
    maps: Sequence[Lanes]  # [K] each; none: no bound


@dataclass
class Rounded:
    """Integers [rows, K] and the scale [channels] they are steps of."""

    q: NDArray[np.int8]
    scale: Floats


def pull_back(v: Floats, q: Floats, h: Floats, bound: float) -> Floats:
    """The integers 0 <= p <= q whose sum along the last axis is at most ``bound`` and that have the
    least sum of h * (v - p)^2.

    v, q, h: [n, g]; q is v rounded (or less), h positive. The error is convex in each integer, so
    that the real optimum, rounded down and then raised where that gains most, is the integer one
    but for ties of the rounding.
    """
    # [g, n]: sums over a set are then sums of long rows.
    real, weight, top = (
        np.ascontiguousarray(part.T, np.float64) for part in (np.maximum(v, 0.0), h, q)
    )
    level = _level(real, weight, bound)
    cut = (real > top + 0.5).any(axis=0)
    if cut.any():
        level[cut] = _capped_level(real[:, cut], top[:, cut], weight[:, cut], level[cut], bound)
    p = np.minimum(np.floor(np.maximum(real - level / weight, 0.0) + 1e-6), top)
    left = bound - p.sum(axis=0)
    gain = weight * (2.0 * (real - p) - 1.0)
    gain[p + 1 > top] = -1.0
    for i, own in enumerate(gain):
        rank = (gain[:i] >= own).sum(axis=0) + (gain[i + 1 :] > own).sum(axis=0)
        p[i] += (own > 0) & (rank < left)
    return np.asarray(p.T, np.float32)


def _level(v: Doubles, h: Doubles, bound: float) -> Doubles:
    """The least t >= 0 at which max(v - t / h, 0) sums to at most ``bound``, [n], for v, h [g, n]:
    those below it drop out until none does.
    """
    height, inverse = v * h, 1.0 / h
    level = (v.sum(axis=0) - bound) / inverse.sum(axis=0)
    for _ in range(len(v) - 1):
        above = height > level
        share = (inverse * above).sum(axis=0)
        found = ((v * above).sum(axis=0) - bound) / np.where(share > 0, share, np.inf)
        if (found <= level).all():
            break
        level = np.maximum(level, found)
    return np.asarray(np.maximum(level, 0.0))


def _capped_level(v: Doubles, q: Doubles, h: Doubles, high: Doubles, bound: float) -> Doubles:
    """The same for min(max(v - t / h, 0), q), by bisection below ``high``, where that fits."""
    low = np.zeros(v.shape[1])
    for _ in range(48):
        middle = (low + high) / 2
        sums = np.minimum(np.maximum(v - middle / h, 0.0), q).sum(axis=0)
        low, high = np.where(sums > bound, middle, low), np.where(sums > bound, high, middle)
    return high


def _blocks(lanes: Lanes) -> NDArray[np.int64]:
    """[sets, g]: the weights of each lane set, K where a set has fewer."""
    sets = int(lanes.max()) + 1
    sizes = np.bincount(lanes, minlength=sets)
    table = np.full((sets, int(sizes.max())), len(lanes), np.int64)
    order = np.argsort(lanes, kind="stable")
    within = np.arange(len(lanes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    table[lanes[order], within] = order
    return table


class _Projection:
    """Rounds real weights in steps [rows, K] to integers within limits."""

    def __init__(self, limits: Limits, h: Floats) -> None:
        self._limits = limits
        self._tables = [_blocks(lanes) for lanes in limits.maps]
        self._h = np.append(h, np.float32(1.0))

    def __call__(self, v: Floats) -> Floats:
        qmax = np.float32(self._limits.qmax)
        q = np.clip(np.rint(v), -qmax, qmax)
        for table in self._tables:
            self._pull(v, q, table)
        return q

    def _pull(self, v: Floats, q: Floats, table: NDArray[np.int64]) -> None:
        bound = self._limits.bound
        padded = np.concatenate([q, np.zeros((len(q), 1), np.float32)], axis=1)
        magnitude = np.abs(padded)
        # Cheap first look: a set whose magnitudes fit holds the bound for either sign.
        sums = magnitude.take(table[:, 0], axis=1)
        for column in table.T[1:]:
            sums += magnitude.take(column, axis=1)
        row, lane = np.nonzero(sums > bound)
        if len(row) == 0:
            return
        at = table[lane]  # [n, g]
        values = padded[row[:, None], at]
        real = np.where(at < q.shape[1], v[row[:, None], np.minimum(at, q.shape[1] - 1)], 0.0)
        weights = self._h[at]
        for sign in (1.0, -1.0):
            part = np.maximum(sign * values, 0.0)
            bad = part.sum(axis=1) > bound
            if bad.any():
                kept = pull_back(sign * real[bad], part[bad], weights[bad], bound)
                values[bad] = np.where(part[bad] > 0, sign * kept, values[bad])
        inside = at < q.shape[1]
        q[np.broadcast_to(row[:, None], at.shape)[inside], at[inside]] = values[inside]


def project_rows(v: Floats, h: Floats, limits: Limits) -> Floats:
    """The integers nearest to v [rows, K], in steps, that keep the limits; h as in round_rows."""
    return _Projection(limits, h)(v)


def search_scales(
    w: Floats, h: Floats, floor: Doubles, limits: Limits, rows_a_channel: int
) -> Floats:
    """The scale of each output channel with the least sum of h * (w - scale * q)^2, [channels].

    w: [channels * rows_a_channel, K]; h: [K]; floor: the least scale allowed, [channels].
    """
    channels = len(w) // rows_a_channel
    project = _Projection(limits, h)
    size = max(1, _CHUNK // (w.shape[1] * rows_a_channel))
    result = np.empty(channels, np.float64)
    for first in range(0, channels, size):
        part = slice(first, min(first + size, channels))
        block = w[part.start * rows_a_channel : part.stop * rows_a_channel]
        top = np.abs(block).reshape(part.stop - part.start, -1).max(axis=1) / float(limits.qmax)
        base = np.maximum(top.astype(np.float64), floor[part])

        def error(scale: Doubles, block: Floats = block) -> Doubles:
            step = np.repeat(scale, rows_a_channel).astype(np.float32)[:, None]
            v = block / step
            off = (v - project(v)) * step
            return np.asarray(
                ((off * off) @ h).reshape(len(scale), -1).sum(axis=1, dtype=np.float64)
            )

        best, least = base.copy(), np.full(len(base), np.inf)
        for factors in (_COARSE, _FINE):
            center = base if factors is _COARSE else best.copy()
            for factor in factors:
                if factor < _LEAST_AT_8_BITS and limits.qmax == 127 and factors is _COARSE:
                    continue
                scale = np.maximum(center * factor, floor[part])
                found = error(scale)
                better = found < least
                best[better], least[better] = scale[better], found[better]
        result[part] = best
    return result.astype(np.float32)


def are_meant(zero: NDArray[np.bool_]) -> bool:
    """Whether zeros of a layer are so many that they stay zeros."""
    return float(np.mean(zero)) >= _MEANT_ZEROS


def round_rows(
    w: Floats,
    h: Floats,
    covariance: Optional[Floats],
    floor: Doubles,
    limits: Limits,
    rows_a_channel: int,
) -> Rounded:
    """Integers and scales for w [channels * rows_a_channel, K] within limits.

    h: how much an error of each column matters, [K]; covariance: [K, K] of what the columns are
    multiplied with, or None. Zeros of a layer that has many stay zeros.
    """
    zero = w == 0
    meant = are_meant(zero)
    scale = search_scales(w, h, floor, limits, rows_a_channel)
    project = _Projection(limits, h)
    parts: List[NDArray[np.int8]] = []
    size = max(1, 16 * _CHUNK // (w.shape[1] * rows_a_channel))
    for first in range(0, len(scale), size):
        rows = slice(first * rows_a_channel, (first + size) * rows_a_channel)
        v = w[rows] / np.repeat(scale[first : first + size], rows_a_channel)[:, None]
        q = project(v)
        if covariance is not None:
            refiner = Refiner(
                v, q, covariance, limits.qmax, limits.bound, limits.maps,
                fixed=zero[rows] if meant else None,
            )  # fmt: skip
            q = refiner.run(_SWEEPS)
        parts.append(q.astype(np.int8))
    return Rounded(np.concatenate(parts), scale)
