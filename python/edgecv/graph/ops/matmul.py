"""FullyConnected and MatMul."""

from __future__ import annotations

import numpy as np

from edgecv.graph.ir import Node, Shape, Value
from edgecv.graph.ops.base import (
    Array,
    Arrays,
    OpDef,
    Operands,
    array,
    broadcast,
    check_range,
    clamp_f32,
    need,
    optional,
    present,
    requantize,
)


def _infer_fully_connected(node: Node, values: Operands, output: Value) -> Shape:
    x, w = present(values, 0), present(values, 1)
    need(len(x.shape) >= 1 and len(w.shape) == 2 and x.shape[-1] == w.shape[1], "K disagrees")
    need(w.is_constant and w.dtype == x.dtype, "weights must be constant, of the dtype of x")
    for index in (2, 3):
        value = values[index] if index < len(values) else None
        if value is not None:
            need(value.shape == (w.shape[0],) and value.is_constant, f"input {index} is not [N]")
    check_range(node, x.dtype)
    return (*x.shape[:-1], w.shape[0])


def _run_fully_connected(node: Node, values: Operands, arrays: Arrays, output: Value) -> Array:
    value = present(values, 0)
    x, w = array(arrays, 0).astype(np.float64), array(arrays, 1).astype(np.float64)
    bias = optional(arrays, 2)
    if value.dtype == "s8":
        x = x - value.zero_point
    acc = x @ w.T
    if bias is not None:
        acc = acc + bias
    if value.dtype == "s8":
        return requantize(acc, array(arrays, 3), node, output)
    return clamp_f32(acc, node)


def _infer_matmul(node: Node, values: Operands, output: Value) -> Shape:
    a, b = present(values, 0).shape, present(values, 1).shape
    need(len(a) >= 2 and len(b) >= 2, "operands must have rank 2 at least")
    need(present(values, 0).dtype == present(values, 1).dtype, "operands differ in dtype")
    if node.attrs["transpose_b"]:
        b = (*b[:-2], b[-1], b[-2])
    need(a[-1] == b[-2], "K disagrees")
    if present(values, 0).dtype == "s8":
        check_range(node, "s8")
    return (*broadcast(a[:-2], b[:-2]), a[-2], b[-1])


def _run_matmul(node: Node, values: Operands, arrays: Arrays, output: Value) -> Array:
    a, b = array(arrays, 0).astype(np.float64), array(arrays, 1).astype(np.float64)
    s8 = present(values, 0).dtype == "s8"
    if s8:
        a = a - present(values, 0).zero_point
        b = b - present(values, 1).zero_point
    if node.attrs["transpose_b"]:
        b = np.swapaxes(b, -1, -2)
    acc: Array = a @ b
    if s8:
        return requantize(acc, node.attrs["m"], node, output)
    return acc.astype(np.float32)


OPS = (
    OpDef(
        "FullyConnected",
        {"f32": ("lo", "hi"), "s8": ("lo", "hi")},
        {"f32": (2, 3), "s8": (4, 4)},
        _infer_fully_connected,
        _run_fully_connected,
    ),
    OpDef(
        "MatMul",
        {"f32": ("transpose_b",), "s8": ("transpose_b", "lo", "hi", "m")},
        {"f32": (2, 2), "s8": (2, 2)},
        _infer_matmul,
        _run_matmul,
    ),
)
