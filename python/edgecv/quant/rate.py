"""Integer weights for small files: steps so coarse that entropy coding makes them short, and
rounding that weighs the error of a layer's output against the bits its integers take.
"""

from __future__ import annotations

from typing import Callable, List, Optional

import numpy as np
from numpy.typing import NDArray

from edgecv.quant.refine import Refiner
from edgecv.quant.rounding import Limits, Rounded, are_meant, project_rows

Floats = NDArray[np.float32]
QMAX = 127
# What a bit is worth, in errors of one step: at high rates an error D falls by 2 ln 2 D with each
# bit, and rounding to steps of 1 makes D = 1/12.
BIT_WORTH = 2 * np.log(2) / 12
# How far the covariance of a layer's input is believed. Coarse steps leave much error, which
# rounding would put where calibration pictures show little and other pictures may show more.
_TRUST = 0.3
_SWEEPS = 3
_CHUNK = 1 << 22


class RateRefiner(Refiner):
    """Refines integers [rows, K] under error + price * bits; a row's bits are those of a geometric
    distribution, so that each step away from zero costs its row the same.
    """

    def __init__(
        self,
        v: Floats,
        q: Floats,
        covariance: Floats,
        limits: Limits,
        price: float,
        fixed: Optional[NDArray[np.bool_]] = None,
    ) -> None:
        super().__init__(
            v, q, covariance, limits.qmax, limits.bound, limits.maps, fixed=fixed
        )  # fmt: skip
        mean = np.abs(q).mean(axis=1) + np.float32(0.02)
        self._pull = (price / 2 * np.log2(1 + 1 / mean)).astype(np.float32)

    def _single(self, k: int, first: int, last: int, local: Floats) -> None:
        # As if the gradient pulled towards zero, by what a step there saves.
        weight = self._diagonal[k]
        wanted = self._q[k] * weight + local[k - first]
        shift = -np.sign(wanted) * np.minimum(np.abs(wanted), self._pull)
        local[k - first] += shift
        super()._single(k, first, last, local)
        local[k - first] -= shift


def round_at(
    step: float, price: float
) -> Callable[[Floats, Floats, Optional[Floats], NDArray[np.float64], Limits, int], Rounded]:
    """A function like rounding.round_rows whose scales are ``step``, but for channels whose floor
    or largest weight asks for more. ``price``: of a bit, in errors of one step (BIT_WORTH).
    """

    def rounded(
        w: Floats,
        h: Floats,
        covariance: Optional[Floats],
        floor: NDArray[np.float64],
        limits: Limits,
        rows_a_channel: int,
    ) -> Rounded:
        channels = len(w) // rows_a_channel
        zero = w == 0
        meant = are_meant(zero)
        top = np.abs(w).reshape(channels, -1).max(axis=1).astype(np.float64)
        least = np.maximum(floor, top / limits.qmax)
        scale = np.maximum(least, step).astype(np.float32)
        mean = float(np.diagonal(covariance).mean() if covariance is not None else h.mean())
        parts: List[NDArray[np.int8]] = []
        size = max(1, _CHUNK // (w.shape[1] * rows_a_channel))
        for first in range(0, channels, size):
            rows = slice(first * rows_a_channel, (first + size) * rows_a_channel)
            v = w[rows] / np.repeat(scale[first : first + size], rows_a_channel)[:, None]
            q = project_rows(v, h, limits)
            known = np.diag(h) if covariance is None else covariance
            known = _TRUST * known + np.eye(len(h), dtype=np.float32) * ((1 - _TRUST) * mean)
            known = known.astype(np.float32)
            fixed = zero[rows] if meant else None
            q = RateRefiner(v, q, known, limits, price * mean, fixed).run(_SWEEPS)
            parts.append(q.astype(np.int8))
        return Rounded(np.concatenate(parts), scale)

    return rounded
