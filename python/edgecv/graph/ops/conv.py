"""Conv2d and ConvTranspose2d."""

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
    clamp_f32,
    need,
    optional,
    present,
    requantize,
    window_taps,
)

WINDOW = (
    "stride_h",
    "stride_w",
    "dilation_h",
    "dilation_w",
    "pad_top",
    "pad_left",
    "pad_bottom",
    "pad_right",
    "groups",
)


def _check(node: Node, values: Operands, output: Value) -> Tuple[Shape, Shape]:
    x, w = present(values, 0), present(values, 1)
    need(len(x.shape) == 4 and len(w.shape) == 4, "x and w must have rank 4")
    groups = int(node.attrs["groups"])
    need(groups >= 1 and x.shape[3] == w.shape[3] * groups, "channels, groups and weights disagree")
    need(w.shape[0] % groups == 0, "output channels are not a multiple of groups")
    need(w.is_constant, "weights must be constant")
    need(w.dtype == x.dtype, "weights must have the dtype of x")
    for name in WINDOW[:4]:
        need(int(node.attrs[name]) >= 1, f"{name} must be positive")
    for name in WINDOW[4:8]:
        need(int(node.attrs[name]) >= 0, f"{name} must not be negative")
    for index in (2, 3):
        value = values[index] if index < len(values) else None
        if value is not None:
            need(value.shape == (w.shape[0],) and value.is_constant, f"input {index} is not [OC]")
    check_range(node, x.dtype)
    return x.shape, w.shape


def _infer_conv(node: Node, values: Operands, output: Value) -> Shape:
    x, w = _check(node, values, output)
    attrs = node.attrs
    oh = x[1] + attrs["pad_top"] + attrs["pad_bottom"] - (w[1] - 1) * attrs["dilation_h"] - 1
    ow = x[2] + attrs["pad_left"] + attrs["pad_right"] - (w[2] - 1) * attrs["dilation_w"] - 1
    need(oh >= 0 and ow >= 0, "the kernel is larger than the padded image")
    return (x[0], oh // attrs["stride_h"] + 1, ow // attrs["stride_w"] + 1, w[0])


def _infer_transpose(node: Node, values: Operands, output: Value) -> Shape:
    x, w = _check(node, values, output)
    attrs = node.attrs
    oh = (x[1] - 1) * attrs["stride_h"] - attrs["pad_top"] - attrs["pad_bottom"]
    ow = (x[2] - 1) * attrs["stride_w"] - attrs["pad_left"] - attrs["pad_right"]
    oh += (w[1] - 1) * attrs["dilation_h"] + 1 + attrs["output_pad_h"]
    ow += (w[2] - 1) * attrs["dilation_w"] + 1 + attrs["output_pad_w"]
    return (x[0], oh, ow, w[0])


def _dot(pixels: Array, taps: Array, groups: int) -> Array:
    """[P, C] pixels times [OC, C/groups] taps -> [P, OC], in float64 (exact for s8)."""
    count, channels = pixels.shape
    if groups == 1:
        product: Array = pixels @ taps.T
        return product
    if groups == channels == taps.shape[0]:
        scaled: Array = pixels * taps[:, 0]
        return scaled
    split = pixels.reshape(count, groups, channels // groups).transpose(1, 0, 2)
    weights = taps.reshape(groups, taps.shape[0] // groups, -1).transpose(0, 2, 1)
    return (split @ weights).transpose(1, 0, 2).reshape(count, taps.shape[0])


def _conv_sum(node: Node, x: Array, w: Array, output: Value) -> Array:
    acc = np.zeros((int(np.prod(output.shape[:3])), w.shape[0]), np.float64)
    kernel = w.shape[1:3]
    for tap, window in zip(np.ndindex(kernel), window_taps(node, x, kernel, output)):
        acc += _dot(window.reshape(-1, x.shape[3]), w[(slice(None), *tap)], node.attrs["groups"])
    return acc.reshape(output.shape)


def _transpose_sum(node: Node, x: Array, w: Array, output: Value) -> Array:
    attrs = node.attrs
    n, oh, ow, oc = output.shape
    h, width = x.shape[1:3]
    sh, sw = attrs["stride_h"], attrs["stride_w"]
    top, left = attrs["pad_top"], attrs["pad_left"]
    full_h = max((h - 1) * sh + (w.shape[1] - 1) * attrs["dilation_h"] + 1, top + oh)
    full_w = max((width - 1) * sw + (w.shape[2] - 1) * attrs["dilation_w"] + 1, left + ow)
    full = np.zeros((n, full_h, full_w, oc), np.float64)
    for kh in range(w.shape[1]):
        for kw in range(w.shape[2]):
            y0, x0 = kh * attrs["dilation_h"], kw * attrs["dilation_w"]
            part = _dot(x.reshape(-1, x.shape[3]), w[:, kh, kw], attrs["groups"])
            full[:, y0 : y0 + (h - 1) * sh + 1 : sh, x0 : x0 + (width - 1) * sw + 1 : sw] += (
                part.reshape(n, h, width, oc)
            )
    return full[:, top : top + oh, left : left + ow]


def _run(node: Node, values: Operands, arrays: Arrays, output: Value) -> Array:
    value = present(values, 0)
    x, w = array(arrays, 0).astype(np.float64), array(arrays, 1).astype(np.float64)
    bias = optional(arrays, 2)
    if value.dtype == "s8":
        x = x - value.zero_point
    sums = _conv_sum if node.op == "Conv2d" else _transpose_sum
    acc = sums(node, x, w, output)
    if bias is not None:
        acc = acc + bias
    if value.dtype == "s8":
        return requantize(acc, array(arrays, 3), node, output)
    return clamp_f32(acc, node)


_INPUTS = {"f32": (2, 3), "s8": (4, 4)}
_ATTRS = (*WINDOW, "lo", "hi")
_ATTRS_TRANSPOSE = (*_ATTRS, "output_pad_h", "output_pad_w")
OPS = (
    OpDef("Conv2d", {"f32": _ATTRS, "s8": _ATTRS}, _INPUTS, _infer_conv, _run),
    OpDef(
        "ConvTranspose2d",
        {"f32": _ATTRS_TRANSPOSE, "s8": _ATTRS_TRANSPOSE},
        _INPUTS,
        _infer_transpose,
        _run,
    ),
)
