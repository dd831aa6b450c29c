"""Resize2d: two rows and two columns a pixel, from tables."""

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


def _infer(node: Node, values: Operands, output: Value) -> Shape:
    x = present(values, 0)
    need(len(x.shape) == 4, "x must have rank 4")
    sizes = []
    for axis, index in ((1, 1), (2, 3)):
        table, weight = present(values, index), present(values, index + 1)
        need(table.is_constant and table.dtype == "s32", "the index table is not constant s32")
        need(table.shape == (2, *weight.shape), "index and weight tables differ in length")
        need(weight.dtype == ("s32" if x.dtype == "s8" else "f32"), "weights have the wrong dtype")
        assert table.data is not None
        inside = table.data.min() >= 0 and table.data.max() < x.shape[axis]
        need(bool(inside), "an index leaves the image")
        sizes.append(table.shape[1])
    same_quantization([x], output)
    return (x.shape[0], sizes[0], sizes[1], x.shape[3])


def _run(node: Node, values: Operands, arrays: Arrays, output: Value) -> Array:
    x, y_index, wy, x_index, wx = (array(arrays, index) for index in range(5))
    s8 = present(values, 0).dtype == "s8"
    one = 2048 if s8 else np.float32(1)
    x = x.astype(np.int64) if s8 else x
    wy, wx = wy[None, :, None, None], wx[None, None, :, None]
    rows = [x[:, y_index[i]] for i in (0, 1)]
    mixed = [row[:, :, x_index[0]] * (one - wx) + row[:, :, x_index[1]] * wx for row in rows]
    v = mixed[0] * (one - wy) + mixed[1] * wy
    if s8:
        q: Array = ((v + (1 << 21)) >> 22).astype(np.int8)
        return q
    result: Array = np.asarray(v, np.float32)
    return result


OPS = (OpDef("Resize2d", {"f32": (), "s8": ()}, {"f32": (5, 5), "s8": (5, 5)}, _infer, _run),)
