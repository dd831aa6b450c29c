"""Add, Sub, Mul, Div, PRelu, Lookup, Quantize and Dequantize."""

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
    float_of,
    need,
    present,
    to_s8,
)


def _infer_binary(node: Node, values: Operands, output: Value) -> Shape:
    a, b = present(values, 0), present(values, 1)
    need(a.dtype == b.dtype, "operands differ in dtype")
    check_range(node, a.dtype)
    return broadcast(a.shape, b.shape)


def _run_binary(node: Node, values: Operands, arrays: Arrays, output: Value) -> Array:
    a, b = array(arrays, 0), array(arrays, 1)
    if present(values, 0).dtype == "f32":
        functions = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return clamp_f32(functions[node.op](a, b), node)
    attrs = node.attrs
    da = a.astype(np.int64) - present(values, 0).zero_point
    db = b.astype(np.int64) - present(values, 1).zero_point
    if node.op == "Mul":
        real = float_of(da * db) * np.float32(attrs["m"])
    else:
        left, right = float_of(da) * np.float32(attrs["ma"]), float_of(db) * np.float32(attrs["mb"])
        real = left + right if node.op == "Add" else left - right
    return to_s8(real, output.zero_point, int(attrs["lo"]), int(attrs["hi"]))


def _infer_prelu(node: Node, values: Operands, output: Value) -> Shape:
    x, slope = present(values, 0), present(values, 1)
    need(slope.is_constant and slope.dtype == "f32", "slopes must be constant f32")
    need(slope.shape in ((1,), x.shape[-1:]), "slopes must be [C] or [1]")
    if x.dtype == "s8":
        check_range(node, "s8")
    return x.shape


def _run_prelu(node: Node, values: Operands, arrays: Arrays, output: Value) -> Array:
    x, slope = array(arrays, 0), array(arrays, 1)
    value = present(values, 0)
    if value.dtype == "f32":
        result: Array = np.where(x < 0, x * slope, x)
        return result
    d = x.astype(np.int64) - value.zero_point
    m = np.where(d >= 0, np.float32(node.attrs["m_positive"]), slope).astype(np.float32)
    real = float_of(d) * m
    return to_s8(real, output.zero_point, int(node.attrs["lo"]), int(node.attrs["hi"]))


def _infer_lookup(node: Node, values: Operands, output: Value) -> Shape:
    table = present(values, 1)
    need(table.is_constant and table.shape == (256,) and table.dtype == "s8", "bad table")
    return present(values, 0).shape


def _run_lookup(node: Node, values: Operands, arrays: Arrays, output: Value) -> Array:
    result: Array = array(arrays, 1)[array(arrays, 0).astype(np.int64) + 128]
    return result


def _infer_same(node: Node, values: Operands, output: Value) -> Shape:
    return present(values, 0).shape


def _run_quantize(node: Node, values: Operands, arrays: Arrays, output: Value) -> Array:
    x = array(arrays, 0)
    need(not np.isnan(x).any(), "NaN cannot be quantized")
    zero_point = output.zero_point
    with np.errstate(over="ignore"):
        t = np.rint(x / np.float32(output.scale))
    return (np.clip(t, -128 - zero_point, 127 - zero_point).astype(np.int64) + zero_point).astype(
        np.int8
    )


def _run_dequantize(node: Node, values: Operands, arrays: Arrays, output: Value) -> Array:
    value = present(values, 0)
    return float_of(array(arrays, 0).astype(np.int64) - value.zero_point) * np.float32(value.scale)


_F32 = ("lo", "hi")
_TWO = {"f32": (2, 2), "s8": (2, 2)}
OPS = (
    OpDef("Add", {"f32": _F32, "s8": (*_F32, "ma", "mb")}, _TWO, _infer_binary, _run_binary),
    OpDef("Sub", {"f32": _F32, "s8": (*_F32, "ma", "mb")}, _TWO, _infer_binary, _run_binary),
    OpDef("Mul", {"f32": _F32, "s8": (*_F32, "m")}, _TWO, _infer_binary, _run_binary),
    OpDef("Div", {"f32": _F32}, {"f32": (2, 2)}, _infer_binary, _run_binary),
    OpDef("PRelu", {"f32": (), "s8": (*_F32, "m_positive")}, _TWO, _infer_prelu, _run_prelu),
    OpDef("Lookup", {"s8": ()}, {"s8": (2, 2)}, _infer_lookup, _run_lookup),
    OpDef("Quantize", {"f32": ()}, {"f32": (1, 1)}, _infer_same, _run_quantize, lambda _: "s8"),
    OpDef("Dequantize", {"s8": ()}, {"s8": (1, 1)}, _infer_same, _run_dequantize, lambda _: "f32"),
)
