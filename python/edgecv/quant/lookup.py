"""The 256-entry tables that carry unary functions on s8 activations."""

from __future__ import annotations

from typing import Optional

import numpy as np
from numpy.typing import NDArray

from edgecv.graph.ops.unary import evaluate
from edgecv.quant.parameters import QuantParams


def lookup_table(
    function: Optional[int], alpha: float, beta: float, x: QuantParams, y: QuantParams
) -> NDArray[np.int8]:
    """s8[256]: entry q + 128 is the function of scale_x * (q - zero_point_x), rounded to y's steps.

    ``function`` is a code of docs/ops.md, computed in f64, or None for the identity (a change of
    scale).
    """
    q = np.arange(-128, 128, dtype=np.float64)
    real = (q - x.zero_point) * x.scale
    result = real if function is None else evaluate(function, real, alpha, beta)
    steps = np.rint(np.asarray(result, np.float64) / y.scale) + y.zero_point
    table: NDArray[np.int8] = np.clip(steps, y.qmin, y.qmax).astype(np.int8)
    return table
