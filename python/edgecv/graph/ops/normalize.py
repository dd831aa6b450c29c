"""Softmax, LayerNorm and ArgMax, over the last axis."""

from __future__ import annotations

import numpy as np

from edgecv.graph.ir import Node, Shape, Value
from edgecv.graph.ops.base import (
    Array,
    Arrays,
    OpDef,
    Operands,
    array,
    check_range,
    float_of,
    need,
    present,
    to_s8,
)


def _infer_softmax(node: Node, values: Operands, output: Value) -> Shape:
    x = present(values, 0)
    if x.dtype == "s8":
        table = present(values, 1)
        need(table.is_constant and table.shape == (256,) and table.dtype == "s32", "bad exp_table")
        need((output.scale, output.zero_point) == (1 / 256, -128), "y must have scale 1/256")
    return x.shape


def _run_softmax(node: Node, values: Operands, arrays: Arrays, output: Value) -> Array:
    x = array(arrays, 0)
    if present(values, 0).dtype == "f32":
        e = np.exp(x.astype(np.float64) - x.max(axis=-1, keepdims=True))
        share: Array = (e / e.sum(axis=-1, keepdims=True)).astype(np.float32)
        return share
    q = x.astype(np.int64)
    e = array(arrays, 1).astype(np.int64)[q.max(axis=-1, keepdims=True) - q]
    total = e.sum(axis=-1, keepdims=True)
    need(int(total.max()) < 2**31, "the sum of exponentials exceeds s32")
    r = np.float32(256.0) / float_of(total)
    return to_s8(float_of(e) * r, -128, -128, 127)


def _infer_layer_norm(node: Node, values: Operands, output: Value) -> Shape:
    x = present(values, 0)
    for index in (1, 2):
        value = present(values, index)
        need(value.is_constant and value.dtype == "f32", "gamma and beta must be constant f32")
        need(value.shape == x.shape[-1:], "gamma and beta must be [C]")
    if x.dtype == "s8":
        check_range(node, "s8")
        need(x.shape[-1] <= 65536 and node.attrs["e"] > 0, "C exceeds 65536 or e is not positive")
    return x.shape


def _run_layer_norm(node: Node, values: Operands, arrays: Arrays, output: Value) -> Array:
    x, gamma, beta = (array(arrays, index) for index in range(3))
    if present(values, 0).dtype == "f32":
        wide = x.astype(np.float64)
        centred = wide - wide.mean(axis=-1, keepdims=True)
        variance = (centred * centred).mean(axis=-1, keepdims=True)
        normal = centred / np.sqrt(variance + node.attrs["epsilon"])
        scaled: Array = (normal * gamma + beta).astype(np.float32)
        return scaled
    q = x.astype(np.int64)
    n = q.shape[-1]
    s = q.sum(axis=-1, keepdims=True)
    a = n * q - s
    v = n * (q * q).sum(axis=-1, keepdims=True) - s * s
    r = np.float32(1.0) / np.sqrt(float_of(v) + np.float32(node.attrs["e"]))
    t = (float_of(a) * r) * gamma + beta
    return to_s8(t, output.zero_point, int(node.attrs["lo"]), int(node.attrs["hi"]))


def _infer_argmax(node: Node, values: Operands, output: Value) -> Shape:
    x = present(values, 0).shape
    need(len(output.shape) in (len(x), len(x) - 1), "y must have the dims of x but the last")
    return (*x[:-1], 1) if len(output.shape) == len(x) else x[:-1]


def _run_argmax(node: Node, values: Operands, arrays: Arrays, output: Value) -> Array:
    index: Array = array(arrays, 0).argmax(axis=-1).astype(np.int32)
    return index.reshape(output.shape)


OPS = (
    OpDef(
        "Softmax",
        {"f32": (), "s8": ()},
        {"f32": (1, 1), "s8": (2, 2)},
        _infer_softmax,
        _run_softmax,
    ),
    OpDef(
        "LayerNorm",
        {"f32": ("epsilon",), "s8": ("lo", "hi", "e")},
        {"f32": (3, 3), "s8": (3, 3)},
        _infer_layer_norm,
        _run_layer_norm,
    ),
    OpDef(
        "ArgMax",
        {"f32": (), "s8": ()},
        {"f32": (1, 1), "s8": (1, 1)},
        _infer_argmax,
        _run_argmax,
        lambda _: "s32",
    ),
)
