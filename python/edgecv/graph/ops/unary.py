"""Unary: the functions of one f32 value, by code."""

from __future__ import annotations

import math
from typing import Callable, Dict, Tuple

import numpy as np

from edgecv.graph.ir import Node, Shape, Value
from edgecv.graph.ops.base import Array, Arrays, OpDef, Operands, array, need, present

FUNCTIONS: Dict[str, int] = {
    "relu": 1,
    "clip": 2,
    "leaky_relu": 3,
    "sigmoid": 4,
    "hard_sigmoid": 5,
    "hard_swish": 6,
    "silu": 7,
    "tanh": 8,
    "gelu": 9,
    "gelu_tanh": 10,
    "erf": 11,
    "exp": 12,
    "log": 13,
    "sqrt": 14,
    "abs": 15,
    "neg": 16,
    "reciprocal": 17,
    "elu": 18,
    "softplus": 19,
    "floor": 20,
}
NAMES: Dict[int, str] = {code: name for name, code in FUNCTIONS.items()}


def _sigmoid(x: Array) -> Array:
    result: Array = np.where(
        x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x)))
    )
    return result


def _erf(x: Array) -> Array:
    result: Array = np.vectorize(math.erf, otypes=[np.float64])(x)
    return result


_KERNELS: Dict[str, Callable[[Array, float, float], Array]] = {
    "relu": lambda x, a, b: np.maximum(x, 0),
    "clip": lambda x, a, b: np.minimum(np.maximum(x, a), b),
    "leaky_relu": lambda x, a, b: np.where(x < 0, a * x, x),
    "sigmoid": lambda x, a, b: _sigmoid(x),
    "hard_sigmoid": lambda x, a, b: np.clip(a * x + b, 0, 1),
    "hard_swish": lambda x, a, b: x * np.clip(x / 6 + 0.5, 0, 1),
    "silu": lambda x, a, b: x * _sigmoid(x),
    "tanh": lambda x, a, b: np.tanh(x),
    "gelu": lambda x, a, b: 0.5 * x * (1 + _erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x, a, b: (
        0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    ),
    "erf": lambda x, a, b: _erf(x),
    "exp": lambda x, a, b: np.exp(x),
    "log": lambda x, a, b: np.log(x),
    "sqrt": lambda x, a, b: np.sqrt(x),
    "abs": lambda x, a, b: np.abs(x),
    "neg": lambda x, a, b: -x,
    "reciprocal": lambda x, a, b: 1 / x,
    "elu": lambda x, a, b: np.where(x < 0, a * np.expm1(np.minimum(x, 0)), x),
    "softplus": lambda x, a, b: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    "floor": lambda x, a, b: np.floor(x),
}


def evaluate(function: int, x: Array, alpha: float = 0.0, beta: float = 0.0) -> Array:
    """The function of a code, computed in float64; the result is float64."""
    with np.errstate(all="ignore"):
        return _KERNELS[NAMES[function]](np.asarray(x, np.float64), float(alpha), float(beta))


def _infer(node: Node, values: Operands, output: Value) -> Shape:
    need(node.attrs["function"] in NAMES, f"no function has code {node.attrs['function']}")
    return present(values, 0).shape


def _run(node: Node, values: Operands, arrays: Arrays, output: Value) -> Array:
    attrs = node.attrs
    result = evaluate(int(attrs["function"]), array(arrays, 0), attrs["alpha"], attrs["beta"])
    with np.errstate(over="ignore"):
        return result.astype(np.float32)


_ATTRS: Tuple[str, ...] = ("function", "alpha", "beta")
OPS = (OpDef("Unary", {"f32": _ATTRS}, {"f32": (1, 1)}, _infer, _run),)
