"""The 256-entry tables that carry unary functions on s8 activations."""

from __future__ import annotations

import math
from typing import Any, Callable, Dict, Optional

import numpy as np
from numpy.typing import NDArray

from edgecv.quant.parameters import QuantParams

Doubles = NDArray[np.float64]
_erf = np.vectorize(math.erf, otypes=[np.float64])


def _sigmoid(x: Doubles) -> Doubles:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


# Codes of docs/ops.md, functions of Unary, evaluated in f64.
FUNCTIONS: Dict[int, Callable[[Doubles, float, float], Any]] = {
    1: lambda x, a, b: np.maximum(x, 0.0),
    2: lambda x, a, b: np.minimum(np.maximum(x, a), b),
    3: lambda x, a, b: np.where(x < 0, a * x, x),
    4: lambda x, a, b: _sigmoid(x),
    5: lambda x, a, b: np.clip(a * x + b, 0.0, 1.0),
    6: lambda x, a, b: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0),
    7: lambda x, a, b: x * _sigmoid(x),
    8: lambda x, a, b: np.tanh(x),
    9: lambda x, a, b: 0.5 * x * (1.0 + _erf(x / math.sqrt(2.0))),
    10: lambda x, a, b: 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))),
    11: lambda x, a, b: _erf(x),
    15: lambda x, a, b: np.abs(x),
    16: lambda x, a, b: -x,
    18: lambda x, a, b: np.where(x < 0, a * np.expm1(np.minimum(x, 0.0)), x),
    19: lambda x, a, b: np.logaddexp(0.0, x),
}


def lookup_table(
    function: Optional[int], alpha: float, beta: float, x: QuantParams, y: QuantParams
) -> NDArray[np.int8]:
    """s8[256]: entry q + 128 is the function of scale_x * (q - zero_point_x), rounded to y's steps.

    ``function`` is a code of docs/ops.md, or None for the identity (a change of scale).
    """
    q = np.arange(-128, 128, dtype=np.float64)
    real = (q - x.zero_point) * x.scale
    result = real if function is None else FUNCTIONS[function](real, alpha, beta)
    steps = np.rint(np.asarray(result, np.float64) / y.scale) + y.zero_point
    return np.asarray(np.clip(steps, -128, 127), np.int8)
