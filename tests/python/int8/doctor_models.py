"""Small models that a doctor finds something in, and data for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from graph.onnx_models import Builder

from edgecv.doctor.doctor import Doctor
from edgecv.quant.plan import Plan

CHANNELS = 16


def net(outlier: float = 1.0, branch: float = 1.0) -> onnx.ModelProto:
    """A classifier with a linear bottleneck, one channel of which may be large, and a residual sum
    one operand of which may be small.
    """
    b = Builder(seed=6)
    x = b.op("Relu", b.op("Conv", b.input(1, 3, 10, 10), b.weights(CHANNELS, 3, 3, 3)))
    w = np.random.default_rng(1).normal(0, 0.25, (CHANNELS, CHANNELS, 1, 1)).astype(np.float32)
    w[5] *= outlier
    y = b.op("Conv", x, b.const(w))
    back = np.random.default_rng(2).normal(0, 0.25, (CHANNELS, CHANNELS, 1, 1)).astype(np.float32)
    back[:, 5] /= outlier
    z = b.op("Relu", b.op("Conv", y, b.const(back)))
    small = np.random.default_rng(3).normal(0, 0.25, (CHANNELS, CHANNELS, 1, 1)) * branch
    z = b.op("Add", z, b.op("Conv", z, b.const(small.astype(np.float32))))
    flat = b.op("Flatten", b.op("GlobalAveragePool", b.op("Relu", z)))
    return b.model(b.op("Gemm", flat, b.weights(10, CHANNELS), b.weights(10), transB=1))


def pictures(count: int = 12, seed: int = 0) -> np.ndarray:
    """Noise around a colour: plain grounds occur in them as well."""
    random = np.random.default_rng(seed)
    colour = random.uniform(-2, 2, (count, 3, 1, 1))
    return (colour + 0.5 * random.normal(size=(count, 3, 10, 10))).astype(np.float32)


def doctor_of(model: onnx.ModelProto, start: Plan | None = None, **options: Any) -> Doctor:
    return Doctor(model, pictures(), start=start or Plan(), **options)


def detector() -> onnx.ModelProto:
    """Scores of many cells, of which a few rare colours make large ones, and boxes beside them."""
    b = Builder(seed=4)
    x = b.op("Relu", b.op("Conv", b.input(1, 3, 24, 24), b.weights(8, 3, 3, 3)))
    quiet = b.const(np.full(6, -3.0, np.float32))
    scores = b.op("Conv", x, b.weights(6, 8, 1, 1), quiet)
    scores = b.op("Sigmoid", b.op("Flatten", scores))
    boxes = b.op("Conv", x, b.weights(4, 8, 1, 1))
    return b.model(scores, b.op("Flatten", boxes))


def scenes(count: int = 12) -> np.ndarray:
    """A quiet ground, and one bright spot of few pixels."""
    random = np.random.default_rng(3)
    made = 0.1 * random.normal(size=(count, 3, 24, 24)) + random.normal(size=(count, 3, 1, 1)) * 0.2
    for one in made:
        y, x = random.integers(2, 20, 2)
        one[:, y : y + 3, x : x + 3] += random.uniform(6, 9)
    return made.astype(np.float32)
