"""What an op of docs/ops.md is to the converter: its attributes, its shape rule, its arithmetic.

The ``run`` functions are the numpy oracle: each f32 step is one np.float32 operation in the order
of docs/ops.md, integer sums are computed exactly and checked against their bound. ``f32`` ops
promise a tolerance and may sum in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.graph.ir import Node, Shape, Value

Array = NDArray[Any]
Arrays = List[Optional[Array]]
Operands = List[Optional[Value]]

S32_MAX = 2**31 - 1


class OpError(Exception):
    """A lowered node breaks the rules of its op; the message says how."""


@dataclass(frozen=True)
class OpDef:
    """One op. ``infer`` returns the output shape, ``run`` the output array.

    ``attrs`` maps the dtype of the first input to the names of the attributes a node must have,
    no more and no fewer. ``inputs`` maps it to (fewest, most) inputs.
    """

    name: str
    attrs: Dict[str, Tuple[str, ...]]
    inputs: Dict[str, Tuple[int, int]]
    infer: Callable[[Node, Operands, Value], Shape]
    run: Callable[[Node, Operands, Arrays, Value], Array]
    out_dtype: Callable[[str], str] = lambda dtype: dtype


def need(condition: bool, message: str) -> None:
    """Raises OpError unless the condition holds."""
    if not condition:
        raise OpError(message)


def present(values: Operands, index: int) -> Value:
    """Operand ``index``, which must be there."""
    value = values[index] if index < len(values) else None
    need(value is not None, f"input {index} is missing")
    assert value is not None
    return value


def array(arrays: Arrays, index: int) -> Array:
    """Array ``index``, which must be there."""
    item = arrays[index] if index < len(arrays) else None
    assert item is not None
    return item


def optional(arrays: Arrays, index: int) -> Optional[Array]:
    """Array ``index``, None when absent."""
    return arrays[index] if index < len(arrays) else None


def float_of(acc: Array) -> Array:
    """float(acc): an integer converted to f32 in one rounding."""
    return acc.astype(np.float32)


def checked(acc: Array) -> Array:
    """Integer accumulators, exact, as int64; OpError when one does not fit s32."""
    exact = np.rint(acc).astype(np.int64) if acc.dtype.kind == "f" else acc.astype(np.int64)
    need(exact.size == 0 or int(np.abs(exact).max()) <= S32_MAX, "an accumulator exceeds s32")
    return exact


def to_s8(real: Array, zero_point: int, lo: int, hi: int) -> Array:
    """clamp(rint(real) + zero_point, lo, hi) of f32 values."""
    need(real.dtype == np.float32, "arithmetic left f32")
    rounded = np.rint(real.astype(np.float64)) + zero_point
    q: Array = np.clip(rounded, lo, hi).astype(np.int8)
    return q


def requantize(acc: Array, multiplier: Any, node: Node, output: Value) -> Array:
    """clamp(rint(float(acc) * m) + zy, lo, hi); ``multiplier`` broadcasts on the last axis."""
    real = float_of(checked(acc)) * np.asarray(multiplier, np.float32)
    return to_s8(real, output.zero_point, int(node.attrs["lo"]), int(node.attrs["hi"]))


def clamp_f32(real: Array, node: Node) -> Array:
    """The fused activation of an f32 op."""
    lo, hi = np.float32(node.attrs["lo"]), np.float32(node.attrs["hi"])
    clamped: Array = np.minimum(np.maximum(real.astype(np.float32), lo), hi)
    return clamped


def check_range(node: Node, dtype: str) -> None:
    """The rules of lo and hi."""
    lo, hi = node.attrs["lo"], node.attrs["hi"]
    need(lo <= hi, f"lo {lo} exceeds hi {hi}")
    if dtype == "s8":
        need(lo >= -128 and hi <= 127, f"lo {lo}, hi {hi} leave s8")


def broadcast(a: Shape, b: Shape) -> Shape:
    """The shape of numpy broadcasting."""
    try:
        return tuple(np.broadcast_shapes(a, b))
    except ValueError as error:
        raise OpError(f"shapes {list(a)} and {list(b)} do not broadcast") from error


def same_quantization(values: Operands, output: Value) -> None:
    """Moves keep dtype, scale and zero point."""
    for value in values:
        if value is None or value.dtype != "s8":
            continue
        need(
            (value.scale, value.zero_point) == (output.scale, output.zero_point),
            f"{value.name} and {output.name} differ in scale or zero point",
        )


def window_taps(
    node: Node, x: Array, kernel: Tuple[int, int], output: Value, fill: float = 0.0
) -> Iterator[Array]:
    """[N, OH, OW, C] for each tap of a kernel, row by row: what it reads, ``fill`` outside the
    image.
    """
    attrs = node.attrs
    _, oh, ow, _ = output.shape
    sh, sw = attrs["stride_h"], attrs["stride_w"]
    pads = (attrs["pad_top"], attrs["pad_bottom"]), (attrs["pad_left"], attrs["pad_right"])
    padded = np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
    for kh in range(kernel[0]):
        for kw in range(kernel[1]):
            top, left = kh * attrs["dilation_h"], kw * attrs["dilation_w"]
            yield padded[
                :, top : top + (oh - 1) * sh + 1 : sh, left : left + (ow - 1) * sw + 1 : sw
            ]
