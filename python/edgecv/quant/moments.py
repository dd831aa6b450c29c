"""Mean and covariance of what layers read, over the calibration data: how much an error of each
weight matters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, List, Optional

import numpy as np
from numpy.typing import NDArray

from edgecv.graph.ir import Graph, Node

Floats = NDArray[np.float32]
_WAITING = 1 << 20  # values gathered before their products are summed
# Covariances of few samples overstate how channels move together.
_SHRINK = 0.2


@dataclass
class Moments:
    """Sums over pixels: of the channels [C], and of their products, [C, C] or only the squares
    [C].
    """

    count: int
    sums: NDArray[np.float64]
    products: NDArray[np.float64]
    waiting: List[Floats] = field(default_factory=list)

    @staticmethod
    def empty(channels: int, full: bool) -> Moments:
        """Nothing seen yet."""
        shape = (channels, channels) if full else (channels,)
        return Moments(0, np.zeros(channels), np.zeros(shape))

    def see(self, pixels: Floats) -> None:
        """Adds pixels [P, C]; they count after the next ``flush``."""
        self.waiting.append(pixels)
        if sum(part.size for part in self.waiting) >= _WAITING:
            self.flush()

    def flush(self) -> None:
        """Sums what was seen."""
        if not self.waiting:
            return
        pixels = np.concatenate(self.waiting)
        self.waiting = []
        self.count += len(pixels)
        self.sums += pixels.sum(axis=0, dtype=np.float64)
        if self.products.ndim == 2:
            self.products += pixels.T @ pixels
        else:
            self.products += np.square(pixels).sum(axis=0, dtype=np.float64)

    def mean(self) -> Floats:
        """E[x], [C]."""
        return np.asarray(self.sums / max(self.count, 1), np.float32)

    def variance(self) -> Floats:
        """The variance of each channel, [C], at least a thousandth of their mean."""
        squares = self.products if self.products.ndim == 1 else np.diagonal(self.products)
        found = squares / max(self.count, 1) - np.square(self.sums / max(self.count, 1))
        floor = 1e-3 * float(np.maximum(found, 0.0).mean())
        return np.asarray(np.maximum(found, floor if floor > 0 else 1.0), np.float32)

    def covariance(self, first: int, channels: int) -> Optional[Floats]:
        """The covariance of some channels, [channels, channels], shrunk towards its diagonal; None
        when only variances are known.
        """
        if self.products.ndim == 1:
            return None
        part = slice(first, first + channels)
        mean = self.sums[part] / max(self.count, 1)
        found = self.products[part, part] / max(self.count, 1) - np.outer(mean, mean)
        found *= 1.0 - _SHRINK
        np.fill_diagonal(found, self.variance()[part])
        return np.asarray(found, np.float32)

    def energy(self, first: int, rows: Floats) -> float:
        """The variance of rows [R, channels] times the channels from ``first`` on, summed."""
        covariance = self.covariance(first, rows.shape[1])
        if covariance is None:
            h = self.variance()[first : first + rows.shape[1]]
            return float((np.square(rows) @ h).sum(dtype=np.float64))
        return float(np.vdot(rows, rows @ covariance))


def coverage(graph: Graph, node: Node) -> NDArray[np.float64]:
    """The share of output pixels for which each tap of a convolution lies inside the image,
    [KH, KW].
    """
    weights: Any = graph.values[node.inputs[1]].shape
    if node.op != "Conv2d":
        return np.ones(weights[1:3] if len(weights) == 4 else (1, 1))
    x, y = graph.values[node.inputs[0]].shape, graph.values[node.outputs[0]].shape

    def along(axis: int, stride: str, dilation: str, pad: str) -> NDArray[np.float64]:
        tap = np.arange(weights[axis])[:, None] * node.attrs[dilation] - node.attrs[pad]
        at = np.arange(y[axis])[None, :] * node.attrs[stride] + tap
        return np.asarray(((at >= 0) & (at < x[axis])).mean(axis=1))

    return np.outer(
        along(1, "stride_h", "dilation_h", "pad_top"),
        along(2, "stride_w", "dilation_w", "pad_left"),
    )
