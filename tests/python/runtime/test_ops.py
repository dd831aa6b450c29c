"""Every op of docs/ops.md through a written file, on every instruction set of this CPU, against the
numpy interpreter: what the op code makes of shapes, strides, broadcasts and constants.
"""

from __future__ import annotations

from typing import Any, Callable, Sequence

import numpy as np
import pytest
from small_models import Builder

import edgecv
from edgecv import _core
from edgecv.graph.interpret import interpret

ISAS = [name for name, usable in _core.isas() if usable]
INF = float("inf")
SEEDS = range(100, 112)
Case = Callable[[Builder, str], str]  # builds one op of a dtype and returns its output


def small(value: float) -> float:
    return float(np.float32(value))


def dims(b: Builder, rank: int, low: int = 1, high: int = 6) -> list[int]:
    return [int(d) for d in b.random.integers(low, high + 1, rank)]


def add_input(b: Builder, name: str, shape: Sequence[int], dtype: str, **q: Any) -> str:
    return b.input(name, shape, range(len(shape)), dtype, **q)


def clamp(b: Builder, dtype: str) -> dict[str, Any]:
    if dtype == "s8":
        lo = int(b.random.integers(-128, 0))
        return {"lo": lo, "hi": lo + int(b.random.integers(0, 128))}
    return {"lo": -1.0, "hi": INF}


def window(b: Builder, h: int, w: int, pads: bool = True) -> dict[str, int]:
    """A window that fits into an h x w image, with pads smaller than the kernel."""
    attrs: dict[str, int] = {}
    for axis, size in (("h", h), ("w", w)):
        kernel = int(b.random.integers(1, min(size, 4) + 1))
        attrs[f"kernel_{axis}"] = kernel
        attrs[f"stride_{axis}"] = int(b.random.integers(1, 4))
        attrs[f"dilation_{axis}"] = int(b.random.integers(1, 3)) if (kernel - 1) * 2 < size else 1
    for side, axis in (("top", "h"), ("left", "w"), ("bottom", "h"), ("right", "w")):
        attrs[f"pad_{side}"] = int(b.random.integers(0, attrs[f"kernel_{axis}"])) if pads else 0
    return attrs


def out_size(size: int, at: dict[str, int], axis: str, before: str, after: str) -> int:
    span = (at[f"kernel_{axis}"] - 1) * at[f"dilation_{axis}"] + 1
    return (size + at[f"pad_{before}"] + at[f"pad_{after}"] - span) // at[f"stride_{axis}"] + 1


def weights(b: Builder, name: str, shape: Sequence[int], dtype: str) -> list[str]:
    """Operands w, bias and, for s8, multipliers."""
    if dtype == "f32":
        w = b.random.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        bias = b.constant(f"{name}_b", b.random.normal(size=shape[0]), "f32")
        return [b.constant(f"{name}_w", w, "f32"), bias if b.random.integers(2) else ""]
    m = (0.5 / (73 * np.sqrt(np.prod(shape[1:]))) * b.random.uniform(0.5, 1, shape[0])).astype("f4")
    return [
        b.constant(f"{name}_w", b.random.integers(-127, 128, shape), "s8"),
        b.constant(f"{name}_b", b.random.integers(-3000, 3000, shape[0]), "s32"),
        b.constant(f"{name}_m", m, "f32"),
    ]


def conv(b: Builder, dtype: str) -> str:
    n, h, w = int(b.random.integers(1, 3)), *dims(b, 2, 3, 9)
    groups, per_group = dims(b, 2, 1, 4)
    at = window(b, h, w)
    out_c = groups * int(b.random.integers(1, 5))
    x = add_input(b, "x", (n, h, w, groups * per_group), dtype)
    kernel = at.pop("kernel_h"), at.pop("kernel_w")
    full = {**at, "kernel_h": kernel[0], "kernel_w": kernel[1]}
    shape = (n, out_size(h, full, "h", "top", "bottom"), out_size(w, full, "w", "left", "right"))
    operands = weights(b, "w", (out_c, *kernel, per_group), dtype)
    return b.op(
        "Conv2d",
        "y",
        [x, *operands],
        (*shape, out_c),
        dtype,
        groups=groups,
        **at,
        **clamp(b, dtype),
    )


def conv_transpose(b: Builder, dtype: str) -> str:
    n, h, w = int(b.random.integers(1, 3)), *dims(b, 2, 2, 6)
    groups, per_group = dims(b, 2, 1, 3)
    out_c = groups * int(b.random.integers(1, 4))
    at: dict[str, int] = {}
    shape = [n]
    kernel = dims(b, 2, 1, 4)
    for axis, size, k, (before, after) in zip(
        "hw", (h, w), kernel, (("top", "bottom"), ("left", "right"))
    ):
        stride, dilation = dims(b, 2, 1, 3)
        pads = [int(b.random.integers(0, k)) for _ in range(2)]
        extra = int(b.random.integers(0, stride))
        at.update(
            {f"stride_{axis}": stride, f"dilation_{axis}": dilation, f"output_pad_{axis}": extra}
        )
        size_out = (size - 1) * stride - sum(pads) + (k - 1) * dilation + 1 + extra
        if size_out < 1:
            size_out, pads = size_out + sum(pads), [0, 0]
        at[f"pad_{before}"], at[f"pad_{after}"] = pads
        shape.append(size_out)
    x = add_input(b, "x", (n, h, w, groups * per_group), dtype)
    operands = weights(b, "w", (out_c, *kernel, per_group), dtype)
    return b.op(
        "ConvTranspose2d",
        "y",
        [x, *operands],
        (*shape, out_c),
        dtype,
        groups=groups,
        **at,
        **clamp(b, dtype),
    )


def fully_connected(b: Builder, dtype: str) -> str:
    shape = dims(b, int(b.random.integers(1, 5)))
    n = int(b.random.integers(1, 20))
    x = add_input(b, "x", shape, dtype)
    operands = weights(b, "w", (n, shape[-1]), dtype)
    return b.op("FullyConnected", "y", [x, *operands], (*shape[:-1], n), dtype, **clamp(b, dtype))


def broadcast(b: Builder) -> tuple[list[int], list[int], list[int]]:
    """Two shapes and what they broadcast to."""
    full = dims(b, int(b.random.integers(1, 6)), 1, 5)
    pair = []
    for _ in range(2):
        shape = [1 if b.random.integers(3) == 0 else d for d in full]
        pair.append(shape[int(b.random.integers(0, len(shape))) :])
    return pair[0], pair[1], [int(d) for d in np.broadcast_shapes(*pair)]


def matmul(b: Builder, dtype: str) -> str:
    lead_a, lead_b, lead = broadcast(b)
    m, k, n = dims(b, 3)
    transpose = int(b.random.integers(2))
    left = add_input(b, "a", (*lead_a, m, k), dtype, zero_point=-7)
    right = add_input(b, "b", (*lead_b, *((n, k) if transpose else (k, n))), dtype)
    extra: dict[str, Any] = {**clamp(b, dtype), "m": small(0.005)} if dtype == "s8" else {}
    return b.op("MatMul", "y", [left, right], (*lead, m, n), dtype, transpose_b=transpose, **extra)


def binary(op: str) -> Case:
    def case(b: Builder, dtype: str) -> str:
        shape_a, shape_b, shape = broadcast(b)
        constant = int(b.random.integers(3))  # 0: none, 1: a, 2: b
        names = []
        for which, (name, own) in enumerate((("a", shape_a), ("b", shape_b)), 1):
            if which != constant:
                names.append(add_input(b, name, own, dtype, zero_point=5 - which))
            elif dtype == "s8":
                value = b.graph.values[b.constant(name, b.random.integers(-128, 128, own), dtype)]
                value.scale, value.zero_point = 0.125, -9
                names.append(value.name)
            else:
                names.append(b.constant(name, b.random.uniform(0.5, 2, own), dtype))
        extra = clamp(b, dtype)
        if dtype == "s8":
            extra.update(
                {"m": small(0.01)} if op == "Mul" else {"ma": small(0.7), "mb": small(0.4)}
            )
        return b.op(op, "y", names, shape, dtype, **extra)

    return case


def lookup(b: Builder, dtype: str) -> str:
    shape = dims(b, 3)
    table = b.constant("table", b.random.integers(-128, 128, 256), "s8")
    return b.op("Lookup", "y", [add_input(b, "x", shape, dtype), table], shape, dtype)


def unary(function: int) -> Case:
    # clip, leaky_relu, hard_sigmoid and elu have parameters
    parameters = {2: (-0.25, 0.5), 3: (0.125, 0.0), 5: (0.25, 0.5), 18: (0.75, 0.0)}

    def case(b: Builder, dtype: str) -> str:
        shape = dims(b, 3)
        x = add_input(b, "x", shape, dtype)
        if function in (13, 14, 17):  # log, sqrt, reciprocal
            x = b.op("Unary", "abs", [x], shape, dtype, function=15, alpha=0.0, beta=0.0)
        alpha, beta = parameters.get(function, (0.0, 0.0))
        return b.op("Unary", "y", [x], shape, dtype, function=function, alpha=alpha, beta=beta)

    return case


def prelu(b: Builder, dtype: str) -> str:
    shape = dims(b, 3)
    x = add_input(b, "x", shape, dtype)
    slope = b.random.normal(size=shape[-1] if b.random.integers(2) else 1) / 4
    extra: dict[str, Any] = {**clamp(b, dtype), "m_positive": small(0.8)} if dtype == "s8" else {}
    return b.op("PRelu", "y", [x, b.constant("slope", slope, "f32")], shape, dtype, **extra)


def softmax(b: Builder, dtype: str) -> str:
    x = add_input(b, "x", dims(b, 3, 1, 20), dtype)
    if dtype == "s8":
        return b.softmax("y", x)
    return b.op("Softmax", "y", [x], b.graph.values[x].shape, dtype)


def layer_norm(b: Builder, dtype: str) -> str:
    shape = dims(b, 3, 2, 20)
    x = add_input(b, "x", shape, dtype)
    factor = 20 if dtype == "s8" else 1
    operands = [
        b.constant(n, b.random.normal(size=shape[-1]) * factor, "f32") for n in ("gamma", "beta")
    ]
    extra: dict[str, Any] = (
        {**clamp(b, dtype), "e": small(3.5)} if dtype == "s8" else {"epsilon": small(1e-3)}
    )
    return b.op("LayerNorm", "y", [x, *operands], shape, dtype, **extra)


def max_pool(b: Builder, dtype: str) -> str:
    n, h, w, c = dims(b, 4, 3, 9)
    at = window(b, h, w)
    shape = (n, out_size(h, at, "h", "top", "bottom"), out_size(w, at, "w", "left", "right"), c)
    return b.op("MaxPool2d", "y", [add_input(b, "x", (n, h, w, c), dtype)], shape, dtype, **at)


def average_pool(b: Builder, dtype: str) -> str:
    n, h, w, c = dims(b, 4, 3, 9)
    at = window(b, h, w)
    at["dilation_h"] = at["dilation_w"] = 1
    shape = (n, out_size(h, at, "h", "top", "bottom"), out_size(w, at, "w", "left", "right"), c)
    at["count_include_pad"] = int(b.random.integers(2))
    at["declared_pad_bottom"], at["declared_pad_right"] = at["pad_bottom"], at["pad_right"]
    operands = [add_input(b, "x", (n, h, w, c), dtype)]
    if dtype == "s8":
        m = np.float32(0.9) / np.arange(1, at["kernel_h"] * at["kernel_w"] + 1)
        operands.append(b.constant("m", m.astype(np.float32), "f32"))
        at.update(clamp(b, dtype))
    return b.op("AveragePool2d", "y", operands, shape, dtype, **at)


def reduce_mean(b: Builder, dtype: str) -> str:
    shape = dims(b, int(b.random.integers(1, 6)))
    first, last = sorted(int(i) for i in b.random.integers(0, len(shape), 2))
    reduced = [1 if first <= i <= last else d for i, d in enumerate(shape)]
    count = int(np.prod(shape[first : last + 1]))
    extra: dict[str, Any] = {**clamp(b, dtype), "m": small(1.1 / count)} if dtype == "s8" else {}
    x = add_input(b, "x", shape, dtype)
    return b.op("ReduceMean", "y", [x], reduced, dtype, first_axis=first, last_axis=last, **extra)


def concat(b: Builder, dtype: str) -> str:
    shape = dims(b, int(b.random.integers(1, 5)))
    axis = int(b.random.integers(len(shape)))
    names = []
    for i in range(int(b.random.integers(1, 5))):
        shape[axis] = int(b.random.integers(1, 5))
        names.append(add_input(b, f"x{i}", shape, dtype))
    if b.random.integers(2):
        names.append(names[0])  # one tensor twice
    shape[axis] = sum(b.graph.values[name].shape[axis] for name in names)
    return b.op("Concat", "y", names, shape, dtype, axis=axis)


def slice_(b: Builder, dtype: str) -> str:
    shape = dims(b, int(b.random.integers(1, 6)), 1, 7)
    start = [int(b.random.integers(0, d)) for d in shape]
    step = dims(b, len(shape), 1, 3)
    out = [int(b.random.integers(1, (d - 1 - s) // t + 2)) for d, s, t in zip(shape, start, step)]
    return b.op("Slice", "y", [add_input(b, "x", shape, dtype)], out, dtype, start=start, step=step)


def pad(b: Builder, dtype: str) -> str:
    shape = dims(b, int(b.random.integers(1, 5)))
    before = [int(v) for v in b.random.integers(0, 3, len(shape))]
    out = [d + n + int(b.random.integers(0, 3)) for d, n in zip(shape, before)]
    extra: dict[str, Any] = {"fill_s8": -77} if dtype == "s8" else {"fill_f32": -0.75}
    return b.op("Pad", "y", [add_input(b, "x", shape, dtype)], out, dtype, before=before, **extra)


def reshape(b: Builder, dtype: str) -> str:
    shape = dims(b, 4)
    x = add_input(b, "x", shape, dtype)
    flat = b.op("Reshape", "flat", [x], (int(np.prod(shape)),), dtype)
    return b.op("Reshape", "y", [flat], (shape[0] * shape[1], 1, shape[2] * shape[3]), dtype)


def transpose(b: Builder, dtype: str) -> str:
    shape = dims(b, int(b.random.integers(1, 7)), 1, 4)
    perm = [int(axis) for axis in b.random.permutation(len(shape))]
    out = [shape[axis] for axis in perm]
    return b.op("Transpose", "y", [add_input(b, "x", shape, dtype)], out, dtype, perm=perm)


def resize(b: Builder, dtype: str) -> str:
    n, h, w, c = dims(b, 4)
    oh, ow = dims(b, 2, 1, 12)
    operands = [add_input(b, "x", (n, h, w, c), dtype)]
    for axis, size, out in (("y", h, oh), ("x", w, ow)):
        index = b.random.integers(0, size, (2, out))
        part = b.random.integers(0, 2049, out)
        operands.append(b.constant(f"{axis}_index", index, "s32"))
        share = (part, "s32") if dtype == "s8" else (part / 2048, "f32")
        operands.append(b.constant(f"{axis}_weight", *share))
    return b.op("Resize2d", "y", operands, (n, oh, ow, c), dtype)


def arg_max(b: Builder, dtype: str) -> str:
    shape = dims(b, 3, 1, 9)
    return b.op("ArgMax", "y", [add_input(b, "x", shape, dtype)], shape[:-1], "s32")


def quantize(b: Builder, _: str) -> str:
    shape = dims(b, 3)
    q = {"scale": 0.0078125, "zero_point": -20}
    return b.op("Quantize", "y", [add_input(b, "x", shape, "f32")], shape, "s8", q)


def dequantize(b: Builder, _: str) -> str:
    shape = dims(b, 3)
    return b.op("Dequantize", "y", [add_input(b, "x", shape, "s8", zero_point=-20)], shape, "f32")


BOTH: dict[str, Case] = {
    "Conv2d": conv,
    "ConvTranspose2d": conv_transpose,
    "FullyConnected": fully_connected,
    "MatMul": matmul,
    "Add": binary("Add"),
    "Sub": binary("Sub"),
    "Mul": binary("Mul"),
    "PRelu": prelu,
    "Softmax": softmax,
    "LayerNorm": layer_norm,
    "MaxPool2d": max_pool,
    "AveragePool2d": average_pool,
    "ReduceMean": reduce_mean,
    "Concat": concat,
    "Slice": slice_,
    "Pad": pad,
    "Reshape": reshape,
    "Transpose": transpose,
    "Resize2d": resize,
    "ArgMax": arg_max,
}
CASES = [(name, dtype, case) for name, case in BOTH.items() for dtype in ("s8", "f32")]
CASES += [("Div", "f32", binary("Div")), ("Lookup", "s8", lookup)]
CASES += [("Unary", "f32", unary(function)) for function in range(1, 21)]
CASES += [("Quantize", "s8", quantize), ("Dequantize", "f32", dequantize)]


def check(case: Case, dtype: str, seed: int) -> None:
    b = Builder(seed)
    output = case(b, dtype)
    b.output("y", output, range(len(b.graph.values[output].shape)))
    data = b.file()
    feed: dict[str, Any] = {}
    for port in b.graph.inputs:
        if b.graph.values[port.value].dtype == "s8":
            feed[port.name] = b.random.integers(-128, 128, port.shape).astype(np.int8)
        else:
            feed[port.name] = b.random.uniform(-1, 1, port.shape).astype(np.float32)
    want = interpret(b.graph, feed)[output]
    for isa in ISAS:
        with edgecv.load(data, isa=isa, threads=2) as model:
            got = model.run(feed, raw=True)["y"]
        if want.dtype != np.float32:
            np.testing.assert_array_equal(got, want, err_msg=f"seed {seed}, {isa}")
        else:  # docs/ops.md: 1e-4 of the largest magnitude
            bound = 1e-4 * float(np.abs(want).max()) + 1e-7
            np.testing.assert_allclose(got, want, rtol=0, atol=bound, err_msg=f"seed {seed}, {isa}")


@pytest.mark.parametrize(
    ("name", "dtype", "case"), CASES, ids=[f"{i}-{n}-{d}" for i, (n, d, _) in enumerate(CASES)]
)
def test_op(name: str, dtype: str, case: Case) -> None:
    for seed in SEEDS:
        check(case, dtype, seed)


def test_every_op_has_cases() -> None:
    from edgecv.format.schema import OPS

    assert {name for name, _, _ in CASES} == set(OPS)
