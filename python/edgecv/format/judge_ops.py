"""The rules of docs/ops.md for the reader: operands, shapes, attributes, tables, bounds."""

from __future__ import annotations

import math
from typing import Any, Callable, Dict, List, NoReturn, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.format.records import (
    ABSENT,
    DTYPE_NAMES,
    F32,
    S8,
    S32,
    Model,
    Tensor,
    between,
    fail,
    zero,
)

ACC_MAX = 2**31 - 1
WINDOW_MAX = 32767


class _Judge:
    """One op with its tensors at hand; every failure names it."""

    def __init__(self, model: Model, index: int) -> None:
        self.model = model
        self.op = model.ops[index]
        self.index = index
        self.ints = self.op.ints
        self.floats = self.op.floats
        self.y = model.tensors[self.op.output]
        self.x: List[Optional[Tensor]] = [
            None if i == ABSENT else model.tensors[i] for i in self.op.inputs
        ]

    def bad(self, rule: str) -> NoReturn:
        fail("corrupt", f"op {self.index} {self.op.name!r} (code {self.op.code}): {rule}")

    def need(self, good: Any, rule: str) -> None:
        if not good:
            self.bad(rule)

    @property
    def s8(self) -> bool:
        return self.y.dtype == S8

    def operand(self, i: int) -> Tensor:
        tensor = self.x[i] if i < len(self.x) else None
        if tensor is None:
            self.bad(f"input {i} is absent")
        return tensor

    def inputs(self, count: int, optional: Sequence[int] = ()) -> None:
        self.need(len(self.x) == count, f"{len(self.x)} inputs, not {count}")
        for i in range(count):
            if i not in optional:
                self.operand(i)
        self.need(not self.operand(0).constant, "input 0 is a constant")

    def attributes(self, ints: int, floats: int) -> None:
        self.need(not any(self.ints[ints:]), "unused ints are not 0")
        self.need(zero(self.floats[floats:]), "unused floats are not 0")

    def int_range(self, i: int, lo: int, hi: int) -> None:
        self.need(
            lo <= self.ints[i] <= hi, f"ints[{i}] = {self.ints[i]} is not within {lo} and {hi}"
        )

    def activation(self, i: int, dtype: int) -> None:
        tensor = self.operand(i)
        self.need(
            not tensor.constant and tensor.dtype == dtype,
            f"input {i} is no {DTYPE_NAMES[dtype]} activation",
        )

    def constant(self, i: int, dtype: int, shape: Tuple[int, ...]) -> NDArray[Any]:
        tensor = self.operand(i)
        plain = tensor.data is not None and tensor.dtype == dtype and zero(tensor.scale)
        if not plain or tensor.shape != shape or tensor.data is None:
            self.bad(f"input {i} is no plain {DTYPE_NAMES[dtype]} constant of shape {shape}")
        return tensor.data

    def s8_or_f32(self) -> None:
        self.need(self.operand(0).dtype == self.y.dtype != S32, "not both s8 or both f32")

    def shape(self, want: Tuple[int, ...]) -> None:
        self.need(self.y.shape == want, f"the output has shape {self.y.shape}, not {want}")

    def moves(self, tensor: Tensor) -> None:
        same = tensor.dtype == self.y.dtype and tensor.zero_point == self.y.zero_point
        same = same and tensor.scale.tobytes() == self.y.scale.tobytes()
        self.need(same, "input and output differ in dtype, scale or zero point")

    def clamp_s8(self, i: int) -> None:
        lo, hi = self.ints[i], self.ints[i + 1]
        self.need(-128 <= lo <= hi <= 127, f"lo {lo} and hi {hi} are no range of s8")

    def clamp_f32(self) -> None:
        self.need(self.floats[0] <= self.floats[1], "lo is above hi, or one is a NaN")

    def accumulator(self, bound: int) -> None:
        self.need(bound <= ACC_MAX, f"an accumulator can reach {bound}, beyond 2^31 - 1")

    def multiplier(self, m: Any, bound: int) -> None:
        self.need(between(m, 2.0**-100, 2.0**20), f"multiplier {m} is not within 2^-100 and 2^20")
        self.need(float(bound) * float(m) < 2.0**31, f"multiplier {m} takes {bound} beyond 2^31")


def reach(tensor: Tensor) -> int:
    """The largest |q - zero_point| of an s8 tensor."""
    return max(127 - tensor.zero_point, tensor.zero_point + 128)


def _weighted(j: _Judge, weights: NDArray[Any], lo: int, ints: int) -> None:
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


def _windows(j: _Judge, position: int) -> None:
    """Stride, dilation and pads from ``ints[position]`` on."""
    for i in range(position, position + 4):
        j.int_range(i, 1, WINDOW_MAX)
    for i in range(position + 4, position + 8):
        j.int_range(i, 0, WINDOW_MAX)


def _conv(j: _Judge, transposed: bool) -> int:
    j.inputs(4 if j.s8 else 3, () if j.s8 else (2,))
    j.s8_or_f32()
    _windows(j, 0)
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


def _fully_connected(j: _Judge) -> int:
    j.inputs(4 if j.s8 else 3, () if j.s8 else (2,))
    j.s8_or_f32()
    x, w = j.operand(0), j.operand(1)
    j.need(len(w.shape) == 2, "the weights are not of rank 2")
    weights = j.constant(1, j.y.dtype, (w.shape[0], x.shape[-1]))
    j.shape((*x.shape[:-1], w.shape[0]))
    _weighted(j, weights, 0, 2 if j.s8 else 0)
    return j.y.elements * x.shape[-1]


def _broadcast(j: _Judge, a: Tuple[int, ...], b: Tuple[int, ...]) -> Tuple[int, ...]:
    rank = max(len(a), len(b))
    pairs = zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b)
    out = []
    for p, q in pairs:
        j.need(p == q or p == 1 or q == 1, "the operands do not broadcast")
        out.append(max(p, q))
    return tuple(out)


def _matmul(j: _Judge) -> int:
    j.inputs(2)
    j.s8_or_f32()
    for i in range(2):
        j.activation(i, j.y.dtype)
    j.int_range(0, 0, 1)
    a, b = j.operand(0), j.operand(1)
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


def _binary(j: _Judge) -> int:
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


def _lookup(j: _Judge) -> int:
    j.inputs(2)
    j.activation(0, S8)
    j.constant(1, S8, (256,))
    j.need(j.s8, "the output is not s8")
    j.shape(j.operand(0).shape)
    j.attributes(0, 0)
    return j.y.elements


def _unary(j: _Judge) -> int:
    j.inputs(1)
    j.activation(0, F32)
    j.need(j.y.dtype == F32, "the output is not f32")
    j.shape(j.operand(0).shape)
    j.int_range(0, 1, 20)
    parameters = {2: 2, 5: 2, 3: 1, 18: 1}
    j.attributes(1, parameters.get(j.ints[0], 0))
    j.need(not np.isnan(j.floats).any(), "alpha or beta is a NaN")
    return j.y.elements


def _prelu(j: _Judge) -> int:
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


def _softmax(j: _Judge) -> int:
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


def _layer_norm(j: _Judge) -> int:
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


def _pool(j: _Judge) -> int:
    j.s8_or_f32()
    x = j.operand(0)
    j.need(len(x.shape) == 4, "the input is not of rank 4")
    for i in range(2):
        j.int_range(i, 1, WINDOW_MAX)
    _windows(j, 2)
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


def _max_pool(j: _Judge) -> int:
    j.inputs(1)
    work = _pool(j)
    j.moves(j.operand(0))
    j.attributes(10, 0)
    return work


def _average_pool(j: _Judge) -> int:
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


def _reduce_mean(j: _Judge) -> int:
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


def _concat(j: _Judge) -> int:
    j.need(len(j.x) >= 1, "no inputs")
    j.attributes(1, 0)
    rank = len(j.y.shape)
    j.int_range(0, 0, rank - 1)
    axis = j.ints[0]
    total = 0
    for i in range(len(j.x)):
        x = j.operand(i)
        j.need(not x.constant, f"input {i} is a constant")
        j.moves(x)
        j.need(len(x.shape) == rank, f"rank of input {i}")
        j.need(
            x.shape[:axis] + x.shape[axis + 1 :] == j.y.shape[:axis] + j.y.shape[axis + 1 :],
            f"shape of input {i}",
        )
        total += x.shape[axis]
    j.need(total == j.y.shape[axis], "the inputs do not add up to the output along the axis")
    return j.y.elements


def _move(j: _Judge, ints: int, floats: int, lists: int) -> Tensor:
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


def _slice(j: _Judge) -> int:
    x = _move(j, 16, 0, 2)
    for d, size in enumerate(x.shape):
        start, step = j.ints[d], j.ints[8 + d]
        j.need(start >= 0 and step >= 1 and start + (j.y.shape[d] - 1) * step < size, f"dim {d}")
    return j.y.elements


def _pad(j: _Judge) -> int:
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


def _reshape(j: _Judge) -> int:
    x = _move(j, 0, 0, 0)
    j.need(x.elements == j.y.elements, "input and output differ in size")
    return j.y.elements


def _transpose(j: _Judge) -> int:
    x = _move(j, 8, 0, 1)
    perm = j.ints[: len(x.shape)]
    j.need(sorted(perm) == list(range(len(perm))), "perm is no permutation")
    j.shape(tuple(x.shape[axis] for axis in perm))
    return j.y.elements


def _resize(j: _Judge) -> int:
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


def _arg_max(j: _Judge) -> int:
    j.inputs(1)
    x = j.operand(0)
    j.need(j.y.dtype == S32 and x.dtype != S32, "the dtypes do not fit")
    kept = (*x.shape[:-1], 1)
    j.need(
        j.y.shape == kept or (len(kept) > 1 and j.y.shape == kept[:-1]), "the shape of the output"
    )
    j.attributes(0, 0)
    return x.elements


def _conversion(j: _Judge, source: int, target: int) -> int:
    j.inputs(1)
    j.activation(0, source)
    j.need(j.y.dtype == target, "the dtype of the output")
    j.shape(j.operand(0).shape)
    j.attributes(0, 0)
    return j.y.elements


_JUDGES: Dict[int, Callable[[_Judge], int]] = {
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
    12: _softmax,
    13: _layer_norm,
    14: _max_pool,
    15: _average_pool,
    16: _reduce_mean,
    17: _concat,
    18: _slice,
    19: _pad,
    20: _reshape,
    21: _transpose,
    22: _resize,
    23: _arg_max,
    24: lambda j: _conversion(j, F32, S8),
    25: lambda j: _conversion(j, S8, F32),
}


def judge_op(model: Model, index: int) -> int:
    """Judges op ``index`` of a structurally judged model; returns its multiply-accumulates."""
    judge = _Judge(model, index)
    return _JUDGES[judge.op.code](judge)
