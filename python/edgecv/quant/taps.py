"""Depthwise weights whose sums over all taps of a kernel stay in 16 bits.

Kernels that add up u8 activations times s8 taps in 16 bits, two taps an instruction, are exact for
a channel when, ``range`` being the largest difference of two values of the input,

    range * (sum of the weights of one sign) of every pair fits s16: 32767;
    range * (sum of the magnitudes of all its weights) fits u16: 65535.

Pairs are the rows at the same distance from the middle one, column by column, and in the middle row
(0, 2) of three columns, (0, 1) and (3, 4) of five; the centre is alone.
"""

from __future__ import annotations

from typing import Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.quant.lanes import Lanes, lane_bound
from edgecv.quant.refine import Refiner

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
SIZES = (3, 5)  # of kernels that have pairs
# The bias of a kernel that holds sums in f32 before it scales them; what is left of 2^23 is room
# for zero points.
BIAS_BITS = 22
_MIDDLE_PAIRS = {3: ((0, 2),), 5: ((0, 1), (3, 4))}
_LARGEST, _STEPS = 6.0, 150  # scales tried: up to so many times that of plain weights
_NEXT = (1.0, 1.02, 1.04, 1.07, 1.1, 1.15)  # times the least scale that fits
_SWEEPS = 4


def tap_pairs(taps: Tuple[int, int]) -> Optional[Lanes]:
    """The number of the pair each weight [KH * KW] is in; None for kernels without pairs."""
    height, width = taps
    if height != width or height not in SIZES:
        return None
    row, column = np.divmod(np.arange(height * width), width)
    key = np.minimum(row, height - 1 - row) * width + column
    middle = height // 2
    for first, second in _MIDDLE_PAIRS[height]:
        key[middle * width + second] = key[middle * width + first]
    return np.asarray(np.unique(key, return_inverse=True)[1].reshape(-1), np.int64)


def total_bound(input_range: int) -> int:
    """The largest sum of magnitudes of a channel's weights."""
    return 65535 // max(input_range, 1)


def fits(q: Floats, pairs: Lanes, input_range: int) -> NDArray[np.bool_]:
    """Which rows of integers [channels, taps] keep both bounds."""
    bound = lane_bound(input_range)
    kept: NDArray[np.bool_] = np.abs(q).sum(axis=1) <= total_bound(input_range)
    member = (pairs[:, None] == np.arange(int(pairs.max()) + 1)).astype(np.float32)
    for sign in (1.0, -1.0):
        kept &= (np.maximum(sign * q, 0.0) @ member <= bound).all(axis=1)
    return kept


def keeps_taps(q: NDArray[np.int8], input_range: int) -> bool:
    """Whether depthwise weights [OC, KH, KW, 1] keep both bounds in every channel."""
    pairs = tap_pairs((q.shape[1], q.shape[2]))
    flat = q.reshape(len(q), -1).astype(np.float32)
    return pairs is not None and bool(fits(flat, pairs, input_range).all())


def round_taps(
    w: Floats, scale: Doubles, taps: Floats, pairs: Lanes, input_range: int, qmax: int
) -> Tuple[NDArray[np.int8], Floats]:
    """Integers [channels, taps] within both bounds, and their scales.

    w: real weights; scale: the least allowed of each channel; taps: [taps, taps], how much what two
    taps read moves together: errors of single weights make up for one another.
    """
    least = _least_scales(w, scale, pairs, input_range, qmax)
    best = np.zeros(w.shape, np.int8)
    best_scale, lowest = least.copy(), np.full(len(w), np.inf)
    for factor in _NEXT:
        tried = least * factor
        v = (w / tried[:, None]).astype(np.float32)
        q = np.clip(np.rint(v), -qmax, qmax)
        q = np.where(fits(q, pairs, input_range)[:, None], q, np.trunc(v))
        refiner = Refiner(
            v, q, taps, qmax, lane_bound(input_range), [pairs], total_bound(input_range)
        )
        q = refiner.run(_SWEEPS)
        off = (w - q * tried[:, None]).astype(np.float64)
        error = (off * (off @ taps)).sum(axis=1)
        better = error < lowest
        best[better] = q[better].astype(np.int8)
        best_scale[better], lowest[better] = tried[better], error[better]
    return best, best_scale.astype(np.float32)


def _least_scales(w: Floats, scale: Doubles, pairs: Lanes, input_range: int, qmax: int) -> Doubles:
    """The least scale of each channel, on a grid, at which weights cut to integers fit: what
    rounding adds beyond the bounds, single steps take elsewhere.
    """
    least = np.full(len(w), np.nan)
    for factor in np.geomspace(1.0, _LARGEST, _STEPS):
        open_ = np.isnan(least)
        if not open_.any():
            break
        tried = scale[open_] * factor
        q = np.trunc(w[open_] / tried[:, None]).astype(np.float32)
        found = fits(q, pairs, input_range) & (np.abs(q).max(axis=1) <= qmax)
        least[np.flatnonzero(open_)[found]] = tried[found]
    # Beyond the grid: so many times its end that every bound holds.
    rest = np.isnan(least)
    least[rest] = np.maximum(
        scale[rest], np.abs(w[rest]).sum(axis=1) / (lane_bound(input_range) / 2)
    )
    return least
