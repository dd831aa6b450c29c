"""MaxPool2d, AveragePool2d and ReduceMean."""

from __future__ import annotations

from typing import Tuple

import numpy as np

from edgecv.graph.ir import Node, Shape, Value
from edgecv.graph.ops.base import (
    Array,
    Arrays,
    OpDef,
    Operands,
    array,
    check_range,
    need,
    present,
    requantize,
    same_quantization,
    window_taps,
)

_WINDOW = (
    "kernel_h",
    "kernel_w",
    "stride_h",
    "stride_w",
    "dilation_h",
    "dilation_w",
    "pad_top",
    "pad_left",
    "pad_bottom",
    "pad_right",
)


def _infer_pool(node: Node, values: Operands, output: Value) -> Shape:
    x, attrs = present(values, 0), node.attrs
    need(len(x.shape) == 4, "x must have rank 4")
    for name in _WINDOW[:6]:
        need(attrs[name] >= 1, f"{name} must be positive")
    if node.op == "MaxPool2d":
        same_quantization(values, output)
    else:
        need(attrs["dilation_h"] == attrs["dilation_w"] == 1, "average pools have no dilation")
        if x.dtype == "s8":
            check_range(node, "s8")
            taps = attrs["kernel_h"] * attrs["kernel_w"]
            need(present(values, 1).shape == (taps,), "m must be [KH*KW]")
    sizes = []
    for axis, size, before, after in ((1, "h", "top", "bottom"), (2, "w", "left", "right")):
        reach = (attrs[f"kernel_{size}"] - 1) * attrs[f"dilation_{size}"] + 1
        need(0 <= attrs[f"pad_{before}"] < reach, "a window sees padding only")
        extent = x.shape[axis] + attrs[f"pad_{before}"] + attrs[f"pad_{after}"] - reach
        need(extent >= 0, "the window is larger than the padded image")
        count = extent // attrs[f"stride_{size}"] + 1
        last = (count - 1) * attrs[f"stride_{size}"] - attrs[f"pad_{before}"]
        need(last < x.shape[axis], "a window sees padding only")
        sizes.append(count)
    return (x.shape[0], sizes[0], sizes[1], x.shape[3])


def _windows(node: Node, x: Array, output: Value, fill: float) -> Array:
    """[taps, N, OH, OW, C]: each tap of every window, ``fill`` outside the image."""
    kernel = (node.attrs["kernel_h"], node.attrs["kernel_w"])
    return np.stack(list(window_taps(node, x, kernel, output, fill)))


def _run_max(node: Node, values: Operands, arrays: Arrays, output: Value) -> Array:
    x = array(arrays, 0)
    windows = _windows(node, x.astype(np.float64), output, -np.inf)
    largest: Array = windows.max(axis=0).astype(x.dtype)
    return largest


def _counts(node: Node, height: int, width: int, output: Value) -> Array:
    """[OH, OW]: the divisor of each window."""
    attrs = node.attrs

    def axis(size: int, count: int, name: str, before: int, after: int) -> Array:
        starts = np.arange(count) * attrs[f"stride_{name}"] - before
        ends = starts + attrs[f"kernel_{name}"]
        low, high = (-before, size + after) if attrs["count_include_pad"] else (0, size)
        inside: Array = np.minimum(ends, high) - np.maximum(starts, low)
        return inside

    rows = axis(height, output.shape[1], "h", attrs["pad_top"], attrs["declared_pad_bottom"])
    cols = axis(width, output.shape[2], "w", attrs["pad_left"], attrs["declared_pad_right"])
    counts: Array = np.multiply.outer(rows, cols)
    return counts


def _run_average(node: Node, values: Operands, arrays: Arrays, output: Value) -> Array:
    value = present(values, 0)
    x = array(arrays, 0).astype(np.float64) - (value.zero_point if value.dtype == "s8" else 0)
    acc = _windows(node, x, output, 0.0).sum(axis=0)
    counts = _counts(node, value.shape[1], value.shape[2], output)[None, :, :, None]
    if value.dtype == "f32":
        mean: Array = (acc / counts).astype(np.float32)
        return mean
    return requantize(acc, array(arrays, 1)[counts - 1], node, output)


def _infer_reduce(node: Node, values: Operands, output: Value) -> Shape:
    x, first, last = present(values, 0), node.attrs["first_axis"], node.attrs["last_axis"]
    need(0 <= first <= last < len(x.shape), "bad axes")
    if x.dtype == "s8":
        check_range(node, "s8")
    return (*x.shape[:first], *(1,) * (last - first + 1), *x.shape[last + 1 :])


def _run_reduce(node: Node, values: Operands, arrays: Arrays, output: Value) -> Array:
    value = present(values, 0)
    axes = tuple(range(node.attrs["first_axis"], node.attrs["last_axis"] + 1))
    if value.dtype == "f32":
        mean = array(arrays, 0).astype(np.float64).mean(axis=axes, keepdims=True)
        return np.asarray(mean).astype(np.float32)
    acc = (array(arrays, 0).astype(np.int64) - value.zero_point).sum(axis=axes, keepdims=True)
    return requantize(acc, node.attrs["m"], node, output)


_AVERAGE: Tuple[str, ...] = (
    *_WINDOW,
    "count_include_pad",
    "declared_pad_bottom",
    "declared_pad_right",
)
_REDUCE = ("first_axis", "last_axis")
_ONE = {"f32": (1, 1), "s8": (1, 1)}
OPS = (
    OpDef("MaxPool2d", {"f32": _WINDOW, "s8": _WINDOW}, _ONE, _infer_pool, _run_max),
    OpDef(
        "AveragePool2d",
        {"f32": _AVERAGE, "s8": (*_AVERAGE, "lo", "hi")},
        {"f32": (1, 1), "s8": (2, 2)},
        _infer_pool,
        _run_average,
    ),
    OpDef(
        "ReduceMean",
        {"f32": _REDUCE, "s8": (*_REDUCE, "lo", "hi", "m")},
        _ONE,
        _infer_reduce,
        _run_reduce,
    ),
)
