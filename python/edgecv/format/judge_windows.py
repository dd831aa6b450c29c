"""The rules of docs/ops.md for ops over windows and axes: pools, means, softmax, resize, ..."""

from __future__ import annotations

import math

import numpy as np

from edgecv.format.op_judge import WINDOW_MAX, OpJudge, reach
from edgecv.format.records import F32, S32, between


def judge_windows(j: OpJudge, position: int) -> None:
    """Stride, dilation and pads from ``ints[position]`` on."""
    for i in range(position, position + 4):
        j.int_range(i, 1, WINDOW_MAX)
    for i in range(position + 4, position + 8):
        j.int_range(i, 0, WINDOW_MAX)


def judge_softmax(j: OpJudge) -> int:
    """Softmax; returns its multiply-accumulates."""
    j.inputs(2 if j.s8 else 1)
    j.s8_or_f32()
    j.shape(j.operand(0).shape)
    j.attributes(0, 0)
    if j.s8:
        j.need(
            j.y.scale == 2.0**-8 and j.y.zero_point == -128, "scale and zero point of the output"
        )
        table = j.constant(1, S32, (256,)).tolist()
        j.need(table[0] >= 1 and table[0] * j.y.shape[-1] <= 2**30, f"exp_table[0] is {table[0]}")
        j.need(all(0 <= entry <= table[0] for entry in table), "exp_table is out of range")
    return j.y.elements


def judge_layer_norm(j: OpJudge) -> int:
    """LayerNorm; returns its multiply-accumulates."""
    j.inputs(3)
    j.s8_or_f32()
    j.shape(j.operand(0).shape)
    n = j.y.shape[-1]
    parameters = [j.constant(1, F32, (n,)), j.constant(2, F32, (n,))]
    if not j.s8:
        j.attributes(0, 1)
        j.need(between(j.floats[0], 0.0, 2.0**100), "epsilon")
        return j.y.elements
    j.attributes(2, 1)
    j.clamp_s8(0)
    j.need(n <= 65536, f"rows of {n} values")
    j.need(between(j.floats[0], 2.0**-100, 2.0**100), "e is not within 2^-100 and 2^100")
    for row in parameters:
        j.need(bool((np.abs(row) <= np.float32(2.0**100)).all()), "gamma or beta")
    return j.y.elements


def _touches(size: int, out: int, kernel: int, stride: int, dilation: int, pad: int) -> bool:
    """Whether every window of one axis has a tap inside the image."""
    if (out - 1) * stride - pad >= size:
        return False
    for o in range(min(out, -(-pad // stride))):
        before = pad - o * stride
        first = -(-before // dilation)
        if first >= kernel or first * dilation - before >= size:
            return False
    return True


def _pool(j: OpJudge) -> int:
    j.s8_or_f32()
    x = j.operand(0)
    j.need(len(x.shape) == 4, "the input is not of rank 4")
    for i in range(2):
        j.int_range(i, 1, WINDOW_MAX)
    judge_windows(j, 2)
    size = []
    for d in range(2):
        kernel, stride, dilation = j.ints[d], j.ints[2 + d], j.ints[4 + d]
        top, bottom = j.ints[6 + d], j.ints[8 + d]
        room = x.shape[1 + d] + top + bottom - (kernel - 1) * dilation - 1
        j.need(room >= 0, "the kernel is larger than the padded image")
        size.append(room // stride + 1)
        touch = _touches(x.shape[1 + d], size[d], kernel, stride, dilation, top)
        j.need(touch, "a window lies wholly in the padding")
    j.shape((x.shape[0], size[0], size[1], x.shape[3]))
    return j.y.elements * j.ints[0] * j.ints[1]


def judge_max_pool(j: OpJudge) -> int:
    """MaxPool2d; returns its multiply-accumulates."""
    j.inputs(1)
    work = _pool(j)
    j.moves(j.operand(0))
    j.attributes(10, 0)
    return work


def judge_average_pool(j: OpJudge) -> int:
    """AveragePool2d; returns its multiply-accumulates."""
    j.inputs(2 if j.s8 else 1)
    work = _pool(j)
    j.attributes(15, 0)
    j.need(j.ints[4] == j.ints[5] == 1, "dilation")
    j.int_range(10, 0, 1)
    for d in range(2):
        j.int_range(13 + d, 0, j.ints[8 + d])
    if not j.s8:
        j.need(j.ints[11] == j.ints[12] == 0, "lo and hi of an f32 op are 0")
        return work
    j.clamp_s8(11)
    positions = j.ints[0] * j.ints[1]
    m = j.constant(1, F32, (positions,))
    j.accumulator(positions * reach(j.operand(0)))
    for k, multiplier in enumerate(m, 1):
        j.multiplier(multiplier, k * reach(j.operand(0)))
    return work


def judge_reduce_mean(j: OpJudge) -> int:
    """ReduceMean; returns its multiply-accumulates."""
    j.inputs(1)
    j.s8_or_f32()
    x = j.operand(0)
    rank = len(x.shape)
    j.int_range(0, 0, rank - 1)
    j.int_range(1, j.ints[0], rank - 1)
    axes = range(j.ints[0], j.ints[1] + 1)
    j.shape(tuple(1 if d in axes else size for d, size in enumerate(x.shape)))
    if j.s8:
        j.attributes(4, 1)
        j.clamp_s8(2)
        bound = math.prod(x.shape[d] for d in axes) * reach(x)
        j.accumulator(bound)
        j.multiplier(j.floats[0], bound)
    else:
        j.attributes(2, 0)
    return x.elements


def judge_resize(j: OpJudge) -> int:
    """Resize2d; returns its multiply-accumulates."""
    j.inputs(5)
    j.s8_or_f32()
    x = j.operand(0)
    j.moves(x)
    j.need(len(x.shape) == len(j.y.shape) == 4, "an operand is not of rank 4")
    j.shape((x.shape[0], j.y.shape[1], j.y.shape[2], x.shape[3]))
    for d in range(2):
        out = j.y.shape[1 + d]
        index = j.constant(1 + 2 * d, S32, (2, out))
        j.need(
            ((index >= 0) & (index < x.shape[1 + d])).all(),
            f"an index of axis {d} leaves the image",
        )
        weight = j.constant(2 + 2 * d, S32 if j.s8 else F32, (out,))
        j.need(((weight >= 0) & (weight <= (2048 if j.s8 else 1))).all(), f"a weight of axis {d}")
    j.attributes(0, 0)
    return j.y.elements * 4


def judge_arg_max(j: OpJudge) -> int:
    """ArgMax; returns its multiply-accumulates."""
    j.inputs(1)
    x = j.operand(0)
    j.need(j.y.dtype == S32 and x.dtype != S32, "the dtypes do not fit")
    kept = (*x.shape[:-1], 1)
    j.need(
        j.y.shape == kept or (len(kept) > 1 and j.y.shape == kept[:-1]), "the shape of the output"
    )
    j.attributes(0, 0)
    return x.elements
