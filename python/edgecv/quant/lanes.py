"""Lane sets: which weights one 16-bit lane of a kernel sums, and what keeps such a sum exact.

A kernel that adds T products of u8 activations and s8 weights in a 16-bit lane before widening is
exact when in every lane set range * (sum of the weights of one sign) fits 16 bits, where ``range``
is the largest difference of two values of the input. Sets hold g = 2 * T weights of one kernel tap:

    g = 2   {k, k+1}
    g = 4   {k, k+1, k+4, k+5} in aligned blocks of 8
    g = 8   {k, k+1, k+4, k+5, k+8, k+9, k+12, k+13} in aligned blocks of 16

where k counts input channels inside a tap. A set of 2 g holds whole sets of g, and every chain of
{k, k+4, ...} that NEON sums. Kernels that read several taps in one go count k over what they read,
so that weights with few channels keep the bound for these counts as well (see :func:`lane_maps`).
"""

from __future__ import annotations

from typing import Any, List, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

GROUPS = (2, 4, 8)
FULL_RANGE, HALF_RANGE = 255, 127  # of 8-bit and 7-bit activations
_PAIR, _QUAD = 2, 4
Lanes = NDArray[np.int64]


def lane_bound(input_range: int) -> int:
    """The largest sum of weights of one sign in a lane set."""
    return 32767 // max(input_range, 1)


def lanes_of(positions: NDArray[Any], group: int) -> Lanes:
    """The number of the lane set each k is in, for k counted from 0."""
    k = np.asarray(positions, np.int64)
    if group == _PAIR:
        return k // _PAIR
    block = 2 * group
    return k // block * 2 + k % _QUAD // _PAIR


def lane_maps(taps: Tuple[int, int], channels: int, group: int) -> List[Lanes]:
    """The lane set of each weight of an output channel, [KH * KW * channels], once for each way
    that a kernel may count k.

    The first restarts at every tap. Where channels fill no whole blocks the others differ from it:
    over a row of taps, over all taps, and over taps padded to 4 channels (RGB).
    """
    height, width = taps
    channel = np.tile(np.arange(channels), height * width)
    tap = np.repeat(np.arange(height * width), channels)
    row, column = tap // width, tap % width
    counts = [(tap, channel)]
    if height * width > 1 and channels % (group if group == _PAIR else 2 * group) != 0:
        counts.append((row, column * channels + channel))
        counts.append((np.zeros_like(tap), tap * channels + channel))
        if channels < _QUAD:
            counts.append((row, column * _QUAD + channel))
            counts.append((np.zeros_like(tap), tap * _QUAD + channel))
    maps: List[Lanes] = []
    for outer, k in counts:
        key = outer * (int(k.max()) + 16) + lanes_of(k, group)
        lanes = np.unique(key, return_inverse=True)[1].reshape(-1)
        if not any(np.array_equal(lanes, known) for known in maps):
            maps.append(lanes)
    return maps


def lane_sums(q: NDArray[Any], lanes: Lanes) -> Tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The sums of positive and of negative weights (as magnitudes) of each row's lane sets.

    q: integers [rows, K]; lanes: [K]. Both results are [rows, sets].
    """
    order = np.argsort(lanes, kind="stable")
    starts = np.searchsorted(lanes[order], np.arange(int(lanes.max()) + 1))
    sorted_q = q[:, order].astype(np.int64)
    positive = np.add.reduceat(np.maximum(sorted_q, 0), starts, axis=1)
    negative = np.add.reduceat(np.maximum(-sorted_q, 0), starts, axis=1)
    return positive, negative


def largest_lane_sum(weights: NDArray[Any], group: int) -> int:
    """The largest same-sign sum over all lane sets of integer weights [OC, KH, KW, C] or [N, K]."""
    flat, taps, channels = _flatten(weights.shape)
    q = weights.reshape(flat)
    return max(
        int(part.max())
        for lanes in lane_maps(taps, channels, group)
        for part in lane_sums(q, lanes)
    )


def _flatten(shape: Sequence[int]) -> Tuple[Tuple[int, int], Tuple[int, int], int]:
    if len(shape) == 4:
        return (shape[0], shape[1] * shape[2] * shape[3]), (shape[1], shape[2]), shape[3]
    return (shape[0], shape[1]), (1, 1), shape[1]


def safe_group(weights: NDArray[Any], input_range: int) -> int:
    """The largest group whose every lane set keeps the bound; 1 when not even pairs do."""
    bound = lane_bound(input_range)
    best = 1
    for group in GROUPS:
        if largest_lane_sum(weights, group) > bound:
            break
        best = group
    return best
