"""From real ranges and weights to scales, zero points, integer weights and multipliers.

The arithmetic is that of the numeric contract (docs/quantization.md): every multiplier is computed
once, here, in f32 steps, and stored as bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Tuple

import numpy as np
from numpy.typing import NDArray

QMIN, QMAX = -128, 127
MULTIPLIER_MIN, MULTIPLIER_MAX = 2.0**-100, 2.0**20
ACC_LIMIT = 2**31 - 1

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class QuantParams:
    """real = scale * (q - zero_point), qmin <= q <= qmax; ``scale`` is exactly an f32."""

    scale: float
    zero_point: int
    qmin: int = QMIN
    qmax: int = QMAX


def activation_params(low: float, high: float, bits: int = 8) -> QuantParams:
    """The affine parameters of a range [low, high] in real units, widened to hold 0 exactly.

    scale = (high - low) / 255 in f32, zero_point = round_half_even(-128 - low / scale), clamped to
    s8. A range without extent gets scale 1. With 7 bits values are in [-64, 63].
    """
    qmin, qmax = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    scale = np.float32((high - low) / (qmax - qmin))
    if not np.isfinite(scale) or scale < np.float32(2.0**-100):
        return QuantParams(1.0, 0, qmin, qmax)
    zero_point = int(np.clip(np.rint(qmin - low / float(scale)), qmin, qmax))
    return QuantParams(float(scale), zero_point, qmin, qmax)


def quantize(real: NDArray[Any], params: QuantParams) -> NDArray[np.int8]:
    """clamp(rint(real / scale) + zero_point), the division in f32."""
    steps = np.rint(np.asarray(real, np.float32) / np.float32(params.scale))
    clipped = np.clip(steps, params.qmin - params.zero_point, params.qmax - params.zero_point)
    return np.asarray(clipped.astype(np.int32) + params.zero_point, np.int8)


def dequantize(q: NDArray[Any], params: QuantParams) -> Floats:
    """float(q - zero_point) * scale in f32."""
    return (q.astype(np.int32) - params.zero_point).astype(np.float32) * np.float32(params.scale)


def reach(params: QuantParams) -> int:
    """The largest magnitude of q - zero_point."""
    return max(QMAX - params.zero_point, params.zero_point - QMIN)


def clamp_bounds(low: float, high: float, params: QuantParams) -> Tuple[int, int]:
    """The integer range that a fused clamp to [low, high] becomes (infinite bounds stay the least
    and the largest step).
    """

    def bound(real: float) -> int:
        if np.isinf(real):
            return params.qmin if real < 0 else params.qmax
        return int(quantize(np.asarray([real], np.float32), params)[0])

    return bound(low), bound(high)


def multiplier(numerator: float, denominator: float) -> np.float32:
    """f32(numerator) / f32(denominator), one f32 division."""
    return np.float32(np.float32(numerator) / np.float32(denominator))


@dataclass(frozen=True)
class QuantizedWeights:
    """Integer weights [out, ...] in [-127, 127], s32 bias [out], f32 scale and multiplier [out]."""

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    scale: Floats
    multiplier: Floats


def scale_floor(
    weights: Floats, bias: Floats, x: QuantParams, y: QuantParams
) -> NDArray[np.float64]:
    """The least scale of each output channel: |bias| / (2^30 * s_x) keeps the integer bias below
    2^30; a channel of zeros gets a scale whose multiplier is 2^-16, so that its constant output
    still rounds well; a multiplier below 2^-40 cannot move the output by a step.
    """
    flat = np.abs(weights.reshape(weights.shape[0], -1)).max(axis=1)
    floor = np.abs(bias.astype(np.float64)) / (2.0**30 * x.scale)
    floor = np.maximum(floor, y.scale / x.scale * 2.0**-40)
    return np.where(flat > 0, floor, np.maximum(floor, y.scale / (x.scale * 2.0**16)))


def weight_scales(
    weights: Floats, bias: Floats, x: QuantParams, y: QuantParams, qmax: int = 127
) -> Floats:
    """Per-output-channel scales: max|w| / qmax, raised to the floor."""
    flat = np.abs(weights.reshape(weights.shape[0], -1)).max(axis=1).astype(np.float64)
    scale: Floats = np.maximum(flat / qmax, scale_floor(weights, bias, x, y)).astype(np.float32)
    return scale


def quantize_weights(
    weights: Floats, bias: Floats, x: QuantParams, y: QuantParams, qmax: int = 127
) -> QuantizedWeights:
    """Symmetric per-channel weights in [-qmax, qmax] by rounding to nearest; axis 0 is the output
    channel.

    Raises ValueError, naming the channel, when an accumulator could leave s32 or a result the range
    of rint.
    """
    scale = weight_scales(weights, bias, x, y, qmax)
    per_channel = scale.reshape((-1,) + (1,) * (weights.ndim - 1))
    q = np.clip(np.rint(weights.astype(np.float64) / per_channel), -qmax, qmax).astype(np.int8)
    product = (np.float32(x.scale) * scale).astype(np.float32)
    integer_bias = np.rint(bias.astype(np.float64) / product.astype(np.float64)).astype(np.int64)
    mult = (product / np.float32(y.scale)).astype(np.float32)
    check_bounds(q, integer_bias, mult, x)
    return QuantizedWeights(q, integer_bias.astype(np.int32), scale, mult)


def check_bounds(
    q: NDArray[np.int8], bias: NDArray[np.int64], mult: Floats, x: QuantParams
) -> None:
    """Raises ValueError unless every channel obeys the bounds of docs/ops.md."""
    sums = np.abs(q.reshape(q.shape[0], -1).astype(np.int64)).sum(axis=1)
    bound = sums * reach(x) + np.abs(bias)
    if bound.max() > ACC_LIMIT:
        raise ValueError(
            f"the accumulator of output channel {int(bound.argmax())} can leave 32 bits"
        )
    real = bound * mult.astype(np.float64)
    if real.max() >= 2.0**31:
        raise ValueError(f"the result of output channel {int(real.argmax())} can leave 32 bits")
    if mult.min() < MULTIPLIER_MIN or mult.max() > MULTIPLIER_MAX or not np.isfinite(mult).all():
        raise ValueError("a multiplier lies outside [2^-100, 2^20]")
