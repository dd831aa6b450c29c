"""Concat, Slice, Pad, Reshape, Transpose: ops that move values."""

from __future__ import annotations

import numpy as np

from edgecv.graph.ir import Node, Shape, Value
from edgecv.graph.ops.base import (
    Array,
    Arrays,
    OpDef,
    Operands,
    array,
    need,
    present,
    same_quantization,
)

_ANY = ("f32", "s8", "s32")


def _infer_concat(node: Node, values: Operands, output: Value) -> Shape:
    axis = node.attrs["axis"]
    first = present(values, 0)
    need(0 <= axis < len(first.shape), "bad axis")
    total = 0
    for index in range(len(values)):
        value = present(values, index)
        need(value.dtype == first.dtype, "operands differ in dtype")
        need(
            value.shape[:axis] == first.shape[:axis]
            and value.shape[axis + 1 :] == first.shape[axis + 1 :],
            "operands differ outside the axis",
        )
        total += value.shape[axis]
    same_quantization(values, output)
    return (*first.shape[:axis], total, *first.shape[axis + 1 :])


def _run_concat(node: Node, values: Operands, arrays: Arrays, output: Value) -> Array:
    return np.concatenate([array(arrays, i) for i in range(len(arrays))], axis=node.attrs["axis"])


def _infer_slice(node: Node, values: Operands, output: Value) -> Shape:
    x, start, step = present(values, 0).shape, node.attrs["start"], node.attrs["step"]
    need(len(start) == len(step) == len(x) == len(output.shape), "bad rank of start or step")
    for axis, size in enumerate(output.shape):
        need(start[axis] >= 0 and step[axis] >= 1, "start or step out of range")
        need(start[axis] + (size - 1) * step[axis] < x[axis], "the slice leaves x")
    same_quantization(values, output)
    return output.shape


def _run_slice(node: Node, values: Operands, arrays: Arrays, output: Value) -> Array:
    index = tuple(
        slice(start, start + (size - 1) * step + 1, step)
        for start, step, size in zip(node.attrs["start"], node.attrs["step"], output.shape)
    )
    return array(arrays, 0)[index]


def _infer_pad(node: Node, values: Operands, output: Value) -> Shape:
    x, before = present(values, 0).shape, node.attrs["before"]
    need(len(before) == len(x) == len(output.shape), "before must have x's rank")
    for axis, size in enumerate(x):
        need(before[axis] >= 0 and before[axis] + size <= output.shape[axis], "x leaves y")
    same_quantization(values, output)
    return output.shape


def _run_pad(node: Node, values: Operands, arrays: Arrays, output: Value) -> Array:
    x = array(arrays, 0)
    fill = node.attrs["fill_s8"] if x.dtype == np.int8 else node.attrs["fill_f32"]
    y = np.full(output.shape, fill, x.dtype)
    before = node.attrs["before"]
    y[tuple(slice(start, start + size) for start, size in zip(before, x.shape))] = x
    return y


def _infer_reshape(node: Node, values: Operands, output: Value) -> Shape:
    x = present(values, 0).shape
    need(np.prod(x, dtype=np.int64) == np.prod(output.shape, dtype=np.int64), "sizes differ")
    same_quantization(values, output)
    return output.shape


def _run_reshape(node: Node, values: Operands, arrays: Arrays, output: Value) -> Array:
    return array(arrays, 0).reshape(output.shape)


def _infer_transpose(node: Node, values: Operands, output: Value) -> Shape:
    x, perm = present(values, 0).shape, node.attrs["perm"]
    need(sorted(perm) == list(range(len(x))), "perm is no permutation of x's axes")
    same_quantization(values, output)
    return tuple(x[axis] for axis in perm)


def _run_transpose(node: Node, values: Operands, arrays: Arrays, output: Value) -> Array:
    return np.ascontiguousarray(array(arrays, 0).transpose(node.attrs["perm"]))


_ONE = dict.fromkeys(_ANY, (1, 1))
OPS = (
    OpDef(
        "Concat",
        dict.fromkeys(_ANY, ("axis",)),
        dict.fromkeys(_ANY, (1, 1 << 16)),
        _infer_concat,
        _run_concat,
    ),
    OpDef("Slice", dict.fromkeys(_ANY, ("start", "step")), _ONE, _infer_slice, _run_slice),
    OpDef(
        "Pad",
        {"f32": ("before", "fill_f32"), "s8": ("before", "fill_s8")},
        _ONE,
        _infer_pad,
        _run_pad,
    ),
    OpDef("Reshape", dict.fromkeys(_ANY, ()), _ONE, _infer_reshape, _run_reshape),
    OpDef("Transpose", dict.fromkeys(_ANY, ("perm",)), _ONE, _infer_transpose, _run_transpose),
)
