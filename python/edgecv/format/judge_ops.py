"""The rules of docs/ops.md for the reader: operands, shapes, attributes, tables, bounds."""

from __future__ import annotations

import math
from typing import Any, Callable, Dict, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.format.judge_windows import (
    judge_arg_max,
    judge_average_pool,
    judge_layer_norm,
    judge_max_pool,
    judge_reduce_mean,
    judge_resize,
    judge_softmax,
    judge_windows,
)
from edgecv.format.op_judge import WINDOW_MAX, OpJudge, reach
from edgecv.format.records import F32, S8, S32, Model, Tensor, zero


def _weighted(j: OpJudge, weights: NDArray[Any], lo: int, ints: int) -> None:
    """Bias, multipliers, clamp and accumulators of an op with x, w, bias (and m)."""
    rows = weights.shape[0]
    if not j.s8:
        if j.x[2] is not None:
            j.constant(2, F32, (rows,))
        j.attributes(ints, 2)
        j.need(ints == 0 or j.ints[lo] == j.ints[lo + 1] == 0, "lo and hi of an f32 op are floats")
        j.clamp_f32()
        return
    bias = j.constant(2, S32, (rows,)).astype(np.int64)
    m = j.constant(3, F32, (rows,))
    j.attributes(ints, 0)
    j.clamp_s8(lo)
    sums = np.abs(weights.reshape(rows, -1).astype(np.int16)).sum(axis=1, dtype=np.int64)
    bounds = sums * reach(j.operand(0)) + np.abs(bias)
    j.accumulator(int(bounds.max()))
    with np.errstate(invalid="ignore"):  # a signalling NaN
        good = (m >= 2.0**-100) & (m <= 2.0**20) & (bounds * m.astype(np.float64) < 2.0**31)
    if not good.all():
        worst = int(np.argmin(good))
        j.multiplier(m[worst], int(bounds[worst]))


def _conv(j: OpJudge, transposed: bool) -> int:
    j.inputs(4 if j.s8 else 3, () if j.s8 else (2,))
    j.s8_or_f32()
    judge_windows(j, 0)
    x, w, y = j.operand(0), j.operand(1), j.y
    j.need(len(x.shape) == len(w.shape) == len(y.shape) == 4, "an operand is not of rank 4")
    groups = j.ints[8]
    j.need(groups >= 1 and x.shape[3] % groups == 0 and y.shape[3] % groups == 0, "groups")
    weights = j.constant(1, y.dtype, (y.shape[3], w.shape[1], w.shape[2], x.shape[3] // groups))
    size = []
    for d in range(2):
        stride, dilation, pads = j.ints[d], j.ints[2 + d], j.ints[4 + d] + j.ints[6 + d]
        extent = (w.shape[1 + d] - 1) * dilation
        if transposed:
            j.int_range(11 + d, 0, WINDOW_MAX)
            size.append((x.shape[1 + d] - 1) * stride - pads + extent + 1 + j.ints[11 + d])
        else:
            room = x.shape[1 + d] + pads - extent - 1
            j.need(room >= 0, "the kernel is larger than the padded image")
            size.append(room // stride + 1)
    j.shape((x.shape[0], size[0], size[1], y.shape[3]))
    _weighted(j, weights, 9, 13 if transposed else 11)
    taps = math.prod(w.shape[1:])
    return x.elements // x.shape[3] * y.shape[3] * taps if transposed else y.elements * taps


def _fully_connected(j: OpJudge) -> int:
    j.inputs(4 if j.s8 else 3, () if j.s8 else (2,))
    j.s8_or_f32()
    x, w = j.operand(0), j.operand(1)
    j.need(len(w.shape) == 2, "the weights are not of rank 2")
    weights = j.constant(1, j.y.dtype, (w.shape[0], x.shape[-1]))
    j.shape((*x.shape[:-1], w.shape[0]))
    _weighted(j, weights, 0, 2 if j.s8 else 0)
    return j.y.elements * x.shape[-1]


def _broadcast(j: OpJudge, a: Tuple[int, ...], b: Tuple[int, ...]) -> Tuple[int, ...]:
    rank = max(len(a), len(b))
    pairs = zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b)
    out = []
    for p, q in pairs:
        j.need(p == q or p == 1 or q == 1, "the operands do not broadcast")
        out.append(max(p, q))
    return tuple(out)


def _matmul(j: OpJudge) -> int:
    j.need(len(j.x) == 2, f"{len(j.x)} inputs, not 2")
    a, b = j.operand(0), j.operand(1)
    j.need(not (a.constant and b.constant), "both operands are constants")
    j.s8_or_f32()
    j.need(b.dtype == j.y.dtype, "the operands differ in dtype")
    j.int_range(0, 0, 1)
    j.need(len(a.shape) >= 2 and len(b.shape) >= 2, "an operand has rank 1")
    k = a.shape[-1]
    inner, outer = (b.shape[-1], b.shape[-2]) if j.ints[0] else (b.shape[-2], b.shape[-1])
    j.need(inner == k, "the inner dims differ")
    j.shape((*_broadcast(j, a.shape[:-2], b.shape[:-2]), a.shape[-2], outer))
    if j.s8:
        j.attributes(3, 1)
        j.clamp_s8(1)
        bound = k * reach(a) * reach(b)
        j.accumulator(bound)
        j.multiplier(j.floats[0], bound)
    else:
        j.attributes(1, 0)
    return j.y.elements * k


def _binary(j: OpJudge) -> int:
    j.need(len(j.x) == 2, "not 2 inputs")
    a, b = j.operand(0), j.operand(1)
    j.need(not (a.constant and b.constant), "both operands are constants")
    j.need(a.dtype == b.dtype == j.y.dtype != S32, "the dtypes do not fit")
    j.shape(_broadcast(j, a.shape, b.shape))
    if not j.s8:
        j.attributes(0, 2)
        j.clamp_f32()
        return j.y.elements
    j.need(j.op.code != 8, "Div has no s8 form")
    j.clamp_s8(0)
    if j.op.code == 7:
        j.attributes(2, 1)
        j.multiplier(j.floats[0], reach(a) * reach(b))
    else:
        j.attributes(2, 2)
        j.multiplier(j.floats[0], reach(a))
        j.multiplier(j.floats[1], reach(b))
    return j.y.elements


def _lookup(j: OpJudge) -> int:
    j.inputs(2)
    j.activation(0, S8)
    j.constant(1, S8, (256,))
    j.need(j.s8, "the output is not s8")
    j.shape(j.operand(0).shape)
    j.attributes(0, 0)
    return j.y.elements


def _unary(j: OpJudge) -> int:
    j.inputs(1)
    j.activation(0, F32)
    j.need(j.y.dtype == F32, "the output is not f32")
    j.shape(j.operand(0).shape)
    j.int_range(0, 1, 20)
    parameters = {2: 2, 5: 2, 3: 1, 18: 1}
    j.attributes(1, parameters.get(j.ints[0], 0))
    j.need(not np.isnan(j.floats).any(), "alpha or beta is a NaN")
    return j.y.elements


def _prelu(j: OpJudge) -> int:
    j.inputs(2)
    j.s8_or_f32()
    x = j.operand(0)
    j.shape(x.shape)
    count = 1 if j.operand(1).shape == (1,) else x.shape[-1]
    slopes = j.constant(1, F32, (count,))
    if not j.s8:
        j.attributes(0, 0)
        return j.y.elements
    j.attributes(2, 1)
    j.clamp_s8(0)
    j.multiplier(j.floats[0], reach(x))
    for slope in slopes:
        if slope != 0:
            j.multiplier(abs(slope), reach(x))
    return j.y.elements


def _concat(j: OpJudge) -> int:
    j.need(len(j.x) >= 1, "no inputs")
    j.attributes(1, 0)
    rank = len(j.y.shape)
    j.int_range(0, 0, rank - 1)
    axis = j.ints[0]
    total = 0
    for i in range(len(j.x)):
        x = j.operand(i)
        j.moves(x)
        j.need(len(x.shape) == rank, f"rank of input {i}")
        j.need(
            x.shape[:axis] + x.shape[axis + 1 :] == j.y.shape[:axis] + j.y.shape[axis + 1 :],
            f"shape of input {i}",
        )
        total += x.shape[axis]
    j.need(any(x is not None and not x.constant for x in j.x), "all inputs are constants")
    j.need(total == j.y.shape[axis], "the inputs do not add up to the output along the axis")
    return j.y.elements


def _move(j: OpJudge, ints: int, floats: int, lists: int) -> Tensor:
    """The one input of an op that moves values; ``lists`` lists of 8 ints, 0 past the rank."""
    j.inputs(1)
    x = j.operand(0)
    j.moves(x)
    j.attributes(ints, floats)
    if lists:
        j.need(len(x.shape) == len(j.y.shape), "input and output differ in rank")
    for i in range(lists):
        j.need(not any(j.ints[8 * i + len(x.shape) : 8 * i + 8]), "ints past the rank are not 0")
    return x


def _slice(j: OpJudge) -> int:
    x = _move(j, 16, 0, 2)
    for d, size in enumerate(x.shape):
        start, step = j.ints[d], j.ints[8 + d]
        j.need(start >= 0 and step >= 1 and start + (j.y.shape[d] - 1) * step < size, f"dim {d}")
    return j.y.elements


def _pad(j: OpJudge) -> int:
    x = _move(j, 9, 1, 1)
    j.s8_or_f32()
    for d, size in enumerate(x.shape):
        j.need(j.ints[d] >= 0 and j.ints[d] + size <= j.y.shape[d], f"dim {d}")
    if j.s8:
        j.int_range(8, -128, 127)
        j.need(zero(j.floats[0]), "fill_f32 of an s8 op")
    else:
        j.int_range(8, 0, 0)
    return j.y.elements


def _reshape(j: OpJudge) -> int:
    x = _move(j, 0, 0, 0)
    j.need(x.elements == j.y.elements, "input and output differ in size")
    return j.y.elements


def _transpose(j: OpJudge) -> int:
    x = _move(j, 8, 0, 1)
    perm = j.ints[: len(x.shape)]
    j.need(sorted(perm) == list(range(len(perm))), "perm is no permutation")
    j.shape(tuple(x.shape[axis] for axis in perm))
    return j.y.elements


def _conversion(j: OpJudge, source: int, target: int) -> int:
    j.inputs(1)
    j.activation(0, source)
    j.need(j.y.dtype == target, "the dtype of the output")
    j.shape(j.operand(0).shape)
    j.attributes(0, 0)
    return j.y.elements


_JUDGES: Dict[int, Callable[[OpJudge], int]] = {
    1: lambda j: _conv(j, False),
    2: lambda j: _conv(j, True),
    3: _fully_connected,
    4: _matmul,
    5: _binary,
    6: _binary,
    7: _binary,
    8: _binary,
    9: _lookup,
    10: _unary,
    11: _prelu,
    12: judge_softmax,
    13: judge_layer_norm,
    14: judge_max_pool,
    15: judge_average_pool,
    16: judge_reduce_mean,
    17: _concat,
    18: _slice,
    19: _pad,
    20: _reshape,
    21: _transpose,
    22: judge_resize,
    23: judge_arg_max,
    24: lambda j: _conversion(j, F32, S8),
    25: lambda j: _conversion(j, S8, F32),
}


def judge_op(model: Model, index: int) -> int:
    """Judges op ``index`` of a structurally judged model; returns its multiply-accumulates."""
    judge = OpJudge(model, index)
    return _JUDGES[judge.op.code](judge)
