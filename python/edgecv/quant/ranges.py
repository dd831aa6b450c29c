"""The range of an activation from what calibration saw: minmax, percentile, KL divergence, mean
squared error.

A :class:`Statistics` gathers min and max in a first pass over the data and, for the other methods,
a histogram over that range in a second pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

BINS = 2048
Range = Tuple[float, float]
Histogram = NDArray[np.int64]


@dataclass
class Statistics:
    """Min, max and optionally a histogram of ``BINS`` equal bins over [low, high] of one
    activation.
    """

    low: float = np.inf
    high: float = -np.inf
    histogram: Optional[Histogram] = None

    def see_range(self, x: NDArray[Any]) -> bool:
        """Widens the range; False when x holds a NaN or an infinity."""
        low, high = float(x.min()), float(x.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            return False
        self.low, self.high = min(self.low, low), max(self.high, high)
        return True

    def see_values(self, x: NDArray[Any]) -> None:
        """Counts values into the histogram; call after the first pass is over."""
        if self.histogram is None:
            self.histogram = np.zeros(BINS, np.int64)
        width = self.high - self.low
        if width <= 0:
            self.histogram[0] += x.size
            return
        index = ((x.ravel() - np.float32(self.low)) * np.float32(BINS / width)).astype(np.int32)
        np.clip(index, 0, BINS - 1, out=index)
        self.histogram += np.bincount(index, minlength=BINS)

    def centers(self) -> NDArray[np.float64]:
        """The middle of each bin in real units."""
        step = (self.high - self.low) / BINS
        return np.asarray(self.low + (np.arange(BINS) + 0.5) * step, np.float64)


def minmax(stats: Statistics) -> Range:
    """Everything seen fits."""
    return stats.low, stats.high


def percentile(stats: Statistics, percent: float = 99.99) -> Range:
    """Cuts (100 - percent) / 2 percent of the values from each side; a side that ends at 0 keeps
    its end.
    """
    if stats.histogram is None or stats.high <= stats.low:
        return stats.low, stats.high
    total = np.cumsum(stats.histogram)
    tail = (100.0 - percent) / 200.0 * total[-1]
    step = (stats.high - stats.low) / BINS
    first = int(np.searchsorted(total, tail, side="right"))
    last = int(np.searchsorted(total, total[-1] - tail, side="left"))
    low = stats.low if stats.low >= 0 else stats.low + first * step
    high = stats.high if stats.high <= 0 else stats.low + (last + 1) * step
    return min(low, 0.0), max(high, 0.0)


def kl(stats: Statistics) -> Range:
    """The symmetric cut whose 128-level histogram diverges least from the whole one.

    Migacz, "8-bit inference with TensorRT" (GTC 2017): the histogram is that of |x|; outliers go to
    the last kept bin of the reference distribution; the candidate merges the kept bins into 128
    levels.
    """
    if stats.histogram is None or stats.high <= stats.low:
        return stats.low, stats.high
    limit = max(abs(stats.low), abs(stats.high))
    bins = np.minimum((np.abs(stats.centers()) / limit * BINS).astype(np.int64), BINS - 1)
    folded = np.bincount(bins, weights=stats.histogram.astype(np.float64), minlength=BINS)
    levels = 128
    best, best_divergence = BINS, np.inf
    for kept in range(levels, BINS + 1, 16):
        reference = folded[:kept].copy()
        outliers = folded[kept:].sum()
        group = np.arange(kept) * levels // kept
        filled = folded[:kept] > 0
        mass = np.bincount(group, weights=folded[:kept], minlength=levels)
        members = np.bincount(group, weights=filled.astype(np.float64), minlength=levels)
        candidate = np.where(filled, (mass / np.maximum(members, 1))[group], 0.0)
        reference[-1] += outliers
        p, q = reference / reference.sum(), candidate / max(candidate.sum(), 1e-30)
        used = p > 0
        divergence = float((p[used] * np.log(p[used] / np.maximum(q[used], 1e-12))).sum())
        if divergence < best_divergence:
            best, best_divergence = kept, divergence
    cut = limit * best / BINS
    return max(stats.low, -cut), min(stats.high, cut)


def mse(stats: Statistics, steps: float = 255.0) -> Range:
    """The range whose quantization of the histogram to so many steps has the least squared error,
    by shrinking each end in turn.
    """
    if stats.histogram is None or stats.high <= stats.low:
        return stats.low, stats.high
    x, count = stats.centers(), stats.histogram.astype(np.float64)

    def error(low: float, high: float) -> float:
        low, high = min(low, 0.0), max(high, 0.0)
        scale = max((high - low) / steps, 1e-30)
        kept = np.clip(x, low, high)
        rounding = np.where(kept == x, scale * scale / 12.0, 0.0)
        return float((count * ((x - kept) ** 2 + rounding)).sum())

    low, high = stats.low, stats.high
    fractions = np.linspace(1.0, 0.2, 81)
    for _ in range(2):
        high = min((stats.high * f for f in fractions), key=lambda v: error(low, v))
        low = min((stats.low * f for f in fractions), key=lambda v: error(v, high))
    return low, high


METHODS: Dict[str, Callable[..., Range]] = {
    "minmax": minmax,
    "percentile": percentile,
    "kl": kl,
    "mse": mse,
}


def needs_histogram(method: str) -> bool:
    """Whether the method needs the second pass."""
    return method != "minmax"
