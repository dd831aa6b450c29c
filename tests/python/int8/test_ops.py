"""Each op with an int8 form, from ONNX to bits: calibrated, converted, against float onnxruntime,
on every code path, and with the op kept in float.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import pytest
from graph.onnx_models import Builder
from int8.checks import ONE_OP, check_int8, samples

import edgecv

Build = Callable[[Builder, int], Any]
CASES: Dict[str, Tuple[Build, str, Dict[str, Any]]] = {}


def case(name: str, op: str, build: Build, **options: Any) -> None:
    """``op``: the keep_float rule. options: opset, floor, keep_floor."""
    assert name not in CASES
    CASES[name] = (build, op, options)


def conv(w: Tuple[int, ...], size: Tuple[int, ...] = (9, 8), **attrs: Any) -> Build:
    def build(b: Builder, n: int) -> Any:
        channels = w[1] * attrs.get("group", 1)
        x = b.input(n, channels, *size[: len(w) - 2])
        return b.op("Conv", x, b.weights(*w), b.weights(w[0]), **attrs)

    return build


def transposed(w: Tuple[int, ...], size: Tuple[int, ...] = (5, 4), **attrs: Any) -> Build:
    def build(b: Builder, n: int) -> Any:
        bias = b.weights(w[1] * attrs.get("group", 1))
        return b.op("ConvTranspose", b.input(n, w[0], *size), b.weights(*w), bias, **attrs)

    return build


def unary(op: str, shape: Tuple[int, ...] = (4, 5, 6), **attrs: Any) -> Build:
    return lambda b, n: b.op(op, b.input(n, *shape), **attrs)


def binary(op: str, shape: Tuple[int, ...], swap: bool = False, computed: bool = False) -> Build:
    """An image and a constant (or an input) of ``shape``; n stands for the batch."""

    def build(b: Builder, n: int) -> Any:
        x = b.input(n, 4, 5, 6)
        if computed:
            other = b.input(*(n if dim == 0 else dim for dim in shape))
        else:
            other = b.const(b.rng.uniform(0.5, 2.0, [n if dim == 0 else dim for dim in shape]))
        return b.op(op, *((other, x) if swap else (x, other)))

    return build


case("conv 3x3", "Conv", conv((6, 4, 3, 3)))
case("conv 1x1 stride 2", "Conv", conv((6, 4, 1, 1), strides=[2, 2]), opset=9)
case("conv 3x5 asymmetric", "Conv", conv((6, 4, 3, 5), pads=[1, 2, 0, 1], strides=[2, 1]))
case("conv dilated", "Conv", conv((6, 4, 3, 3), dilations=[2, 3], pads=[2, 3, 2, 3]), opset=13)
case("conv grouped", "Conv", conv((8, 2, 3, 3), group=2, pads=[1, 1, 1, 1]))
case("conv depthwise 3x3", "Conv", conv((8, 1, 3, 3), group=8, pads=[1, 1, 1, 1]))
case("conv depthwise 5x5", "Conv", conv((4, 1, 5, 5), group=4, pads=[2, 2, 2, 2], strides=[2, 2]))
case("conv depthwise x2", "Conv", conv((8, 1, 3, 3), group=4))
case("conv same upper", "Conv", conv((6, 4, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2]), opset=11)
case("conv 1d", "Conv", conv((6, 4, 3), size=(16,), pads=[1, 2], strides=[2]))
case("conv 1d grouped", "Conv", conv((8, 2, 5), size=(16,), group=2, dilations=[2]))
case("conv transpose", "ConvTranspose", transposed((4, 6, 3, 3)))
case("conv transpose 2x2", "ConvTranspose", transposed((4, 6, 2, 2), strides=[2, 2]), opset=9)
case(
    "conv transpose padded", "ConvTranspose",
    transposed((4, 6, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
)  # fmt: skip
case(
    "conv transpose grouped", "ConvTranspose",
    transposed((4, 3, 3, 3), group=2, strides=[2, 3], pads=[0, 1, 1, 0]),
)  # fmt: skip
case(
    "conv transpose depthwise", "ConvTranspose",
    transposed((4, 1, 4, 4), group=4, strides=[2, 2], pads=[1, 1, 1, 1]),
)  # fmt: skip
case("conv transpose dilated", "ConvTranspose", transposed((4, 6, 3, 3), dilations=[2, 2]))


def gemm(**attrs: Any) -> Build:
    def build(b: Builder, n: int) -> Any:
        w = b.weights(*((7, 12) if attrs.get("transB") else (12, 7)))
        return b.op("Gemm", b.input(n, 12), w, b.weights(7), **attrs)

    return build


case("gemm", "Gemm", gemm(), opset=9)
case("gemm transposed", "Gemm", gemm(transB=1, alpha=0.5, beta=2.0))
case("matmul constant", "MatMul", lambda b, n: b.op("MatMul", b.input(n, 5, 12), b.weights(12, 7)))
case(
    "matmul constant with bias", "MatMul",
    lambda b, n: b.op("Add", b.op("MatMul", b.input(n, 5, 12), b.weights(12, 7)), b.weights(7)),
)  # fmt: skip
case("matmul left", "MatMul", lambda b, n: b.op("MatMul", b.weights(7, 5), b.input(n, 5, 6)))
case("matmul", "MatMul", lambda b, n: b.op("MatMul", b.input(n, 2, 5, 6), b.input(n, 2, 6, 7)))
case("matmul broadcast", "MatMul", lambda b, n: b.op("MatMul", b.input(n, 2, 5, 6), b.input(6, 7)))
case(
    "matmul batched constant", "MatMul",
    lambda b, n: b.op("MatMul", b.input(n, 2, 5, 6), b.weights(2, 6, 7)),
)  # fmt: skip
case(
    "matmul of a transpose", "MatMul",
    lambda b, n: b.op(
        "MatMul", b.input(n, 2, 5, 6), b.op("Transpose", b.input(n, 2, 7, 6), perm=[0, 1, 3, 2])
    ),
)  # fmt: skip

for _op in ("Add", "Sub", "Mul", "Div"):
    _rule = "Mul" if _op == "Div" else _op  # a constant divides as its reciprocal multiplies
    case(f"{_op} scalar", _rule, binary(_op, ()), opset=9)
    case(f"{_op} channel", _rule, binary(_op, (4, 1, 1)))
    case(f"{_op} channel of batch 1", _rule, binary(_op, (1, 4, 1, 1)))
    case(f"{_op} constant", _rule, binary(_op, (0, 4, 5, 6)))
    case(f"{_op} row", _rule, binary(_op, (6,)))
    if _op != "Div":
        case(f"{_op} input", _op, binary(_op, (0, 4, 5, 6), computed=True))
        case(f"{_op} input per channel", _op, binary(_op, (0, 4, 1, 1), computed=True))
        case(f"{_op} input of less rank", _op, binary(_op, (5, 6), computed=True))
        case(f"{_op} swapped", _op, binary(_op, (4, 1, 1), swap=True))
        case(f"{_op} input swapped", _op, binary(_op, (1, 4, 1, 6), swap=True, computed=True))
case("add to itself", "Add", lambda b, n: b.op("Add", *[b.input(n, 4, 3)] * 2))
case("add and relu", "Add", lambda b, n: b.op("Relu", b.op("Add", b.input(n, 4), b.input(n, 4))))
case(
    "add of very different ranges", "Add",
    lambda b, n: b.op("Add", b.op("Mul", b.input(n, 40), b.const(1e-3)), b.input(n, 40)),
)  # fmt: skip

for _name, _op, _attrs in [
    ("relu", "Relu", {}),
    ("leaky relu", "LeakyRelu", {"alpha": 0.2}),
    ("sigmoid", "Sigmoid", {}),
    ("hard sigmoid", "HardSigmoid", {"alpha": 0.3, "beta": 0.4}),
    ("hard swish", "HardSwish", {}),
    ("tanh", "Tanh", {}),
    ("gelu", "Gelu", {}),
    ("gelu tanh", "Gelu", {"approximate": "tanh"}),
    ("erf", "Erf", {}),
    ("elu", "Elu", {"alpha": 0.7}),
    ("softplus", "Softplus", {}),
    ("abs", "Abs", {}),
    ("neg", "Neg", {}),
    ("mish", "Mish", {}),
]:  # fmt: skip
    case(_name, "Unary" if _op != "Mish" else "*", unary(_op, **_attrs))


def erf_gelu(b: Builder, n: int) -> Any:
    x = b.input(n, 5, 8)
    gate = b.op("Add", b.op("Erf", b.op("Div", x, b.const(np.sqrt(2.0)))), b.const(1.0))
    return b.op("Mul", b.op("Mul", x, gate), b.const(0.5))


def silu(b: Builder, n: int) -> Any:
    x = b.input(n, 4, 5, 6)
    return b.op("Mul", x, b.op("Sigmoid", x))


case("gelu of erf", "Unary", erf_gelu, opset=13)
case("silu", "Unary", silu, opset=13)
case("clip", "Unary", lambda b, n: b.op("Clip", b.input(n, 30), b.const(-1.0), b.const(0.5)))
case(
    "clip of opset 9", "Unary", lambda b, n: b.op("Clip", b.input(n, 30), min=0.0, max=2.0), opset=9
)
case(
    "conv and relu6", "Conv",
    lambda b, n: b.op(
        "Clip", b.op("Conv", b.input(n, 3, 6, 6), b.weights(8, 3, 3, 3)), b.const(0.0), b.const(1.0)
    ),
)  # fmt: skip
for _shape in [(1,), (4, 1, 1)]:
    case(
        f"prelu {_shape}", "PRelu",
        lambda b, n, s=_shape: b.op(
            "PRelu", b.input(n, 4, 5, 6), b.const(b.rng.uniform(-0.2, 0.6, s))
        ),
    )  # fmt: skip
for _axis in (1, 2, 3, -1):
    case(f"softmax {_axis}", "Softmax", unary("Softmax", axis=_axis))
case("softmax of opset 11", "Softmax", unary("Softmax", (12,), axis=1), opset=11)
case("softmax of one", "Softmax", unary("Softmax", (12, 1)))


def layer_norm(axis: int, bias: bool) -> Build:
    def build(b: Builder, n: int) -> Any:
        tail = (4, 24)[axis if axis < 0 else axis - 1 :]
        parameters = [b.const(b.rng.uniform(0.5, 2, tail))] + ([b.weights(*tail)] if bias else [])
        return b.op("LayerNormalization", b.input(n, 4, 24), *parameters, axis=axis)

    return build


case("layer norm", "LayerNormalization", layer_norm(-1, True), opset=17)
case("layer norm of two axes", "LayerNormalization", layer_norm(1, False))


def layer_norm_pattern(b: Builder, n: int) -> Any:
    x = b.input(n, 4, 24)
    centred = b.op("Sub", x, b.op("ReduceMean", x, axes=[-1]))
    variance = b.op("ReduceMean", b.op("Pow", centred, b.const(2.0)), axes=[-1])
    root = b.op("Sqrt", b.op("Add", variance, b.const(1e-5)))
    return b.op("Add", b.op("Mul", b.op("Div", centred, root), b.weights(24)), b.weights(24))


case("layer norm as exported", "LayerNormalization", layer_norm_pattern, opset=13)


def batch_norm(*tail: int) -> Build:
    def build(b: Builder, n: int) -> Any:
        parameters = [b.const(b.rng.uniform(0.5, 2.0, 4)) for _ in range(4)]
        return b.op("BatchNormalization", b.input(n, 4, *tail), *parameters)

    return build


case("batch norm of an image", "Conv2d", batch_norm(5, 6))
case("batch norm of rank 2", "*", batch_norm(), opset=9)
case("batch norm of rank 3", "Conv2d", batch_norm(6), opset=14)
case("batch norm of rank 5", "*", batch_norm(2, 3, 3))

WINDOWS: List[Dict[str, Any]] = [
    {"kernel_shape": [2, 2], "strides": [2, 2]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [3, 2], "strides": [2, 3], "pads": [1, 0, 2, 1]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1},
    {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
]
for _i, _window in enumerate(WINDOWS):
    case(f"max pool {_i}", "MaxPool", unary("MaxPool", (4, 7, 10), **_window))
    for _count in (0, 1):
        case(
            f"average pool {_i} {_count}", "AveragePool",
            unary("AveragePool", (4, 7, 10), count_include_pad=_count, **_window),
            opset=19,
        )  # fmt: skip
case(
    "max pool dilated",
    "MaxPool",
    unary("MaxPool", (4, 8, 9), kernel_shape=[3, 3], dilations=[2, 2]),
)
case("average pool 1d", "AveragePool", unary("AveragePool", (4, 9), kernel_shape=[3], pads=[1, 1]))
case("global average pool", "GlobalAveragePool", unary("GlobalAveragePool"))
for _axes in [(2, 3), (1,), (-1,), (1, 2, 3), (1, 3)]:
    for _keep in (0, 1):
        case(
            f"reduce mean {_axes} {_keep}", "ReduceMean",
            lambda b, n, a=_axes, k=_keep: b.op(
                "ReduceMean", b.input(n, 4, 5, 6), b.ints(*a), keepdims=k
            ),
        )  # fmt: skip


def concat(ratio: float, axis: int, read_elsewhere: bool = False, constant: bool = False) -> Build:
    def build(b: Builder, n: int) -> Any:
        x, z = b.input(n, 4, 5, 6), b.input(n, 4, 5, 6)
        narrow = b.op("Tanh", x)
        wide = b.op("Mul", b.op("Tanh", z), b.const(ratio))
        extra = [b.const(b.rng.uniform(-ratio, ratio, (n, 4, 5, 6)))] if constant else []
        y = b.op("Concat", narrow, wide, *extra, axis=axis)
        return [y, b.op("Sigmoid", narrow)] if read_elsewhere else y

    return build


case("concat", "Concat", concat(1.0, 1))
case("concat of rows", "Concat", concat(1.2, 2), opset=9)
case("concat of different ranges", "Concat", concat(20.0, 1))
case("concat read elsewhere", "Concat", concat(1.0, 1, read_elsewhere=True))
case("concat of different ranges read elsewhere", "Concat", concat(20.0, 3, read_elsewhere=True))
case("concat with a constant", "Concat", concat(1.0, 1, constant=True))
case("concat with a constant of another range", "Concat", concat(10.0, 2, True, True))
case(
    "concat of softmaxes", "Concat",
    lambda b, n: b.op(
        "Concat", b.op("Softmax", b.input(n, 9)), b.op("Softmax", b.input(n, 9)), axis=1
    ),
)  # fmt: skip
case(
    "concat of a softmax and its input", "Concat",
    lambda b, n: b.op("Concat", b.op("Softmax", b.input(n, 9)), "x0", axis=1),
)  # fmt: skip
case("split", "Slice", lambda b, n: b.op("Split", b.input(n, 6, 4), outputs=3, axis=1), opset=13)
case(
    "slice", "Slice",
    lambda b, n: b.op(
        "Slice", b.input(n, 4, 5, 6), b.ints(1, -4), b.ints(4, 2**31 - 1), b.ints(2, 3),
        b.ints(2, 1),
    ),
)  # fmt: skip
case(
    "pad", "Pad",
    lambda b, n: b.op("Pad", b.input(n, 4, 5, 6), b.ints(0, 1, 2, 1, 0, 0, 0, 3), b.const(1.25)),
)  # fmt: skip
case(
    "pad by zero", "Pad",
    lambda b, n: b.op("Pad", b.op("Sigmoid", b.input(n, 4, 5, 6)), pads=[0, 0, 1, 1, 0, 0, 1, 1]),
    opset=9,
)  # fmt: skip
case(
    "pad by a value never seen", "Pad",
    lambda b, n: b.op(
        "Pad", b.op("Sigmoid", b.input(n, 4, 5, 6)), b.ints(*[0, 0, 1, 1] * 2), b.const(-3.0)
    ),
)  # fmt: skip
case(
    "pad reflect", "Slice",
    lambda b, n: b.op("Pad", b.input(n, 4, 5, 6), b.ints(*[0, 0, 1, 1] * 2), mode="reflect"),
)  # fmt: skip


def tanh_of(op: str, *extra: Callable[[Builder, int], str], **attrs: Any) -> Build:
    """Tanh, a move, Sigmoid."""

    def build(b: Builder, n: int) -> Any:
        x = b.op("Tanh", b.input(n, 4, 5, 6))
        return b.op("Sigmoid", b.op(op, x, *(make(b, n) for make in extra), **attrs))

    return build


case("reshape", "Reshape", tanh_of("Reshape", lambda b, n: b.ints(n, 20, 6)))
case("flatten", "Reshape", tanh_of("Flatten"))
case("transpose", "Unary", tanh_of("Transpose", perm=[0, 2, 1, 3]))
case("unsqueeze", "Reshape", tanh_of("Unsqueeze", lambda b, n: b.ints(1)))
case(
    "squeeze", "Reshape",
    lambda b, n: b.op(
        "Tanh", b.op("Squeeze", b.op("GlobalAveragePool", b.input(n, 4, 5, 6)), b.ints(2, 3))
    ),
)  # fmt: skip


def shuffle(b: Builder, n: int) -> Any:
    x = b.op("Conv", b.input(n, 4, 5, 6), b.weights(8, 4, 1, 1))
    parts = b.op("Transpose", b.op("Reshape", x, b.ints(n, 2, 4, 5, 6)), perm=[0, 2, 1, 3, 4])
    x = b.op("Reshape", parts, b.ints(n, 8, 5, 6))
    return b.op("Conv", x, b.weights(4, 8, 1, 1))


case("channel shuffle", "Transpose", shuffle)
for _mode in ("DCR", "CRD"):
    case(
        f"depth to space {_mode}",
        "Transpose",
        unary("DepthToSpace", (8, 3, 5), blocksize=2, mode=_mode),
    )
case("space to depth", "Transpose", unary("SpaceToDepth", (2, 4, 6), blocksize=2))

for _mode in ("nearest", "linear"):
    for _where in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"):
        case(
            f"resize {_mode} {_where}", "Resize",
            lambda b, n, m=_mode, w=_where: b.op(
                "Resize", b.input(n, 4, 5, 6), "", "", b.ints(n, 4, 9, 8),
                mode=m, coordinate_transformation_mode=w,
            ),
        )  # fmt: skip
case(
    "upsample", "Resize",
    lambda b, n: b.op("Upsample", b.input(n, 4, 5, 6), b.const([1, 1, 2, 2]), mode="nearest"),
    opset=9,
)  # fmt: skip


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", CASES)
def test_op(name: str, batch: int, tmp_path: Path) -> None:
    build, rule, options = CASES[name]
    floor = options.get("floor", ONE_OP)
    b = Builder(options.get("opset", 21), seed=zlib.crc32(name.encode()))
    outputs = build(b, batch)
    model = b.model(*([outputs] if isinstance(outputs, str) else outputs))
    graph, report = check_int8(model, tmp_path, floor=floor)
    assert report.float_layers == [], "an op of the list has no int8 form"
    assert {node.op for node in graph.nodes} & {"Quantize", "Dequantize", "Unary"} == set()
    if batch == 1:
        # The other ops stay int8, so that both borders are crossed where there are several.
        _, kept = check_int8(model, tmp_path, floor=floor, keep_float=[rule])
        assert kept.float_layers


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("axis", [1, 2, -1])
def test_arg_max(axis: int, batch: int, tmp_path: Path) -> None:
    """The index found holds the largest value up to the rounding of two values to steps."""
    b = Builder()
    model = b.model(b.op("ArgMax", b.input(batch, 4, 5, 6), axis=axis, keepdims=1))
    graph, report = check_int8(model, tmp_path)
    assert report.float_layers == []
    (feed, *_) = samples(model)
    with edgecv.load(tmp_path / "model.ecv") as loaded:
        (index,) = loaded.run(feed).values()
        step = graph.values[graph.inputs[0].value].scale
    found = np.take_along_axis(feed["x0"], index, axis)
    assert float((feed["x0"].max(axis, keepdims=True) - found).max()) <= step
    check_int8(model, tmp_path, keep_float=["ArgMax"])
