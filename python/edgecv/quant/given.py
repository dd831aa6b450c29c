"""The integer weights of a layer that came in quantized: found again, not chosen."""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.graph.ir import GivenWeights
from edgecv.quant.parameters import (
    ACC_LIMIT,
    MULTIPLIER_MAX,
    MULTIPLIER_MIN,
    QuantizedWeights,
    QuantParams,
    check_bounds,
    reach,
    scale_floor,
)

QMAX = 127
# How far from an integer weight / scale may be: f32 rounding of what passes multiplied.
_TOLERANCE = 0.01


def given_weights(
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
    x: QuantParams,
    y: QuantParams,
    given: GivenWeights,
    may_be_wide: bool = False,
    cut_least: bool = False,
) -> Tuple[Optional[QuantizedWeights], List[str]]:
    """(integers, what is not as it was given) of real weights [OC, ...]; no integers when what
    passes did to the weights is more than a factor an output channel.

    Integers beyond [-127, 127] are cut where that moves no output by more than half a step (-128 of
    a tool that uses it), or anyway if they are -128 and ``cut_least``; else they stay as they are,
    in s16, if ``may_be_wide``; else the channel's scale is raised.
    """
    remarks: List[str] = []
    flat = weights.reshape(len(weights), -1).astype(np.float64)
    found = integers_of(flat, given)
    if found is None:
        return None, ["its weights were changed by folding, and are rounded anew"]
    q, scale = found
    beyond = np.maximum(np.abs(q) - QMAX, 0).sum(axis=1)
    moved = beyond * reach(x) * x.scale * scale / y.scale
    cut = (beyond > 0) & (moved <= 0.5)
    if cut_least:
        cut |= (q.min(axis=1) == -QMAX - 1) & (q.max(axis=1) <= QMAX)
    is_split = may_be_wide and bool(((beyond > 0) & ~cut).any())
    if cut.any() and not is_split:
        count = int((np.abs(q[cut]) > QMAX).sum())
        q[cut] = np.clip(q[cut], -QMAX, QMAX)
        most = float(moved[cut].max())
        remarks.append(
            f"{count} of {q.size} weights beyond [-127, 127] are cut there, which moves no output "
            f"by more than {'half a step' if most <= 0.5 else f'{most:.1f} steps'}"
        )
    wide = (beyond > 0) & ~cut
    if wide.any() and not is_split:
        q[wide], scale[wide] = _narrowed(q[wide], scale[wide])
        remarks.append(
            f"{int(wide.sum())} of {len(q)} output channels have weights beyond [-127, 127], and "
            "are rounded anew to a larger scale"
        )
    scale, raised = _raised(q, scale, weights, bias, x, y)
    if raised.any():
        q[raised] = np.rint(flat[raised] / scale[raised, None])
        remarks.append(
            f"{int(raised.sum())} of {len(q)} output channels have a bias or a scale that 32-bit "
            "sums cannot hold; their weights have a larger scale"
        )
    scales = scale.astype(np.float32)
    product = (np.float32(x.scale) * scales).astype(np.float32)
    steps = np.rint(bias.astype(np.float64) / product.astype(np.float64)).astype(np.int64)
    mult = (product / np.float32(y.scale)).astype(np.float32)
    integers: NDArray[Any] = q.astype(np.int16).reshape(weights.shape)
    if not is_split:
        integers = integers.astype(np.int8)
    check_bounds(integers, steps, mult, x)
    return QuantizedWeights(integers, steps.astype(np.int32), scales, mult), remarks


def integers_of(
    flat: NDArray[np.float64], given: GivenWeights
) -> Optional[Tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """(integers, scale of each row) of real weights [OC, K], None when they are no multiples of a
    scale: each row was multiplied by one number at most since it was given.
    """
    if len(flat) != len(given.scale):
        return None
    top = np.abs(flat).max(axis=1)
    whole = np.where(given.largest > 0, given.largest * given.scale, 1.0)
    factor = np.where((given.largest > 0) & (top > 0), top / whole, 1.0)
    factor[np.abs(factor - 1.0) < 1e-6] = 1.0  # f32 rounding
    scale = given.scale * factor
    steps = flat / scale[:, None]
    q = np.rint(steps)
    if np.abs(steps - q).max() > _TOLERANCE:
        return None
    return q, scale


def _narrowed(
    q: NDArray[np.float64], scale: NDArray[np.float64]
) -> Tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows within [-127, 127], rounded to a larger scale."""
    ratio = np.abs(q).max(axis=1) / QMAX
    return np.rint(q / ratio[:, None]), scale * ratio


def _raised(
    q: NDArray[np.float64],
    scale: NDArray[np.float64],
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
    x: QuantParams,
    y: QuantParams,
) -> Tuple[NDArray[np.float64], NDArray[Any]]:
    """Scales, raised where sums or multipliers would leave their bounds, and where that is."""
    sums = np.abs(q).sum(axis=1) * reach(x)
    mult = x.scale * scale / y.scale
    bad = sums + np.abs(bias) / (x.scale * scale) + 1 > ACC_LIMIT
    bad |= (mult < MULTIPLIER_MIN * 2) | (mult > MULTIPLIER_MAX)
    bad |= (sums + np.abs(bias) / (x.scale * scale)) * mult >= 2.0**31
    floor = np.maximum(scale_floor(weights, bias, x, y), scale)
    return np.where(bad, floor, scale), bad & (floor > scale)
