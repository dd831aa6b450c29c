"""The ONNX form of each lowered op (see qdq.py)."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import Error
from edgecv.graph.ir import Node, Value
from edgecv.graph.ops.unary import FUNCTIONS, NAMES
from edgecv.onnx.qdq import TO_NCHW, Exporter, weight_scale
from edgecv.quant.lookup import lookup_table
from edgecv.quant.parameters import QuantParams

# Functions whose tables are recognized, with the parameters tried.
_KNOWN: Tuple[Tuple[str, float, float], ...] = (
    *((name, 0.0, 0.0) for name in ("relu", "sigmoid", "hard_swish", "silu", "tanh", "gelu")),
    *((name, 0.0, 0.0) for name in ("gelu_tanh", "erf", "abs", "neg", "softplus")),
    ("hard_sigmoid", 1.0 / 6.0, 0.5),
    ("hard_sigmoid", float(np.float32(1.0 / 6.0)), 0.5),
    ("hard_sigmoid", float(np.float32(0.2)), 0.5),
    ("elu", 1.0, 0.0),
    *(("leaky_relu", float(np.float32(alpha)), 0.0) for alpha in (0.01, 0.02, 0.1, 0.2)),
)


def _operands(e: Exporter, node: Node) -> Tuple[Value, Value]:
    return e.graph.values[node.inputs[0]], e.graph.values[node.outputs[0]]


def _weights(e: Exporter, node: Node, order: Tuple[int, ...], axis: int) -> List[str]:
    """Weights and bias as float tensors; ``order`` permutes the stored axes of the weights."""
    x, y = _operands(e, node)
    w = e.data(node.inputs[1]).transpose(order)
    base = node.name
    bias = e.data(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    if x.dtype != "s8":
        names = [e.constant(f"{base}.weight", w)]
        return names + ([e.constant(f"{base}.bias", bias)] if bias is not None else [])
    scale = weight_scale(e.data(node.inputs[3]), x, y)
    zeros = np.zeros(len(scale), np.int8)
    q = [
        e.constant(f"{base}.weight", w),
        e.constant(f"{base}.weight_scale", scale),
        e.constant(f"{base}.weight_zero_point", zeros),
    ]
    result = [e.op("DequantizeLinear", q, f"{base}.weight.real", axis=axis)]
    assert bias is not None
    b = [
        e.constant(f"{base}.bias", bias),
        e.constant(f"{base}.bias_scale", (np.float32(x.scale) * scale).astype(np.float32)),
        e.constant(f"{base}.bias_zero_point", np.zeros(len(scale), np.int32)),
    ]
    result.append(e.op("DequantizeLinear", b, f"{base}.bias.real", axis=0))
    return result


def _window(node: Node) -> Dict[str, Any]:
    at = node.attrs
    return {
        "strides": [at["stride_h"], at["stride_w"]],
        "dilations": [at["dilation_h"], at["dilation_w"]],
        "pads": [at["pad_top"], at["pad_left"], at["pad_bottom"], at["pad_right"]],
    }


def _conv(e: Exporter, node: Node) -> None:
    inputs = [e.real(node.inputs[0]), *_weights(e, node, TO_NCHW, 0)]
    window = {**_window(node), "group": node.attrs["groups"]}
    e.define(node, e.op("Conv", inputs, f"{node.name}.sum", **window))


def _conv_transpose(e: Exporter, node: Node) -> None:
    if node.attrs["groups"] != 1:
        raise Error(f"node {node.name!r}: ConvTranspose2d in groups is not exported")
    # [OC, KH, KW, C] -> [C, OC, KH, KW]
    inputs = [e.real(node.inputs[0]), *_weights(e, node, (3, 0, 1, 2), 1)]
    extra = [node.attrs["output_pad_h"], node.attrs["output_pad_w"]]
    window = {**_window(node), "output_padding": extra}
    e.define(node, e.op("ConvTranspose", inputs, f"{node.name}.sum", **window))


def _fully_connected(e: Exporter, node: Node) -> None:
    x, _ = _operands(e, node)
    if len(x.shape) == 2:
        inputs = [e.real(node.inputs[0]), *_weights(e, node, (0, 1), 0)]
        e.define(node, e.op("Gemm", inputs, f"{node.name}.sum", transB=1))
        return
    weight, *bias = _weights(e, node, (1, 0), 1)
    product = e.op("MatMul", [e.stored(node.inputs[0]), weight], f"{node.name}.product")
    if bias:
        product = e.op("Add", [product, *bias], f"{node.name}.sum")
    e.define_stored(node, product)


def _matmul(e: Exporter, node: Node) -> None:
    a, b = (e.stored(name) for name in node.inputs)
    if node.attrs["transpose_b"]:
        rank = len(e.graph.values[node.inputs[1]].shape)
        b = e.transpose(b, [*range(rank - 2), rank - 1, rank - 2], node.inputs[1])
    e.define_stored(node, e.op("MatMul", [a, b], f"{node.name}.product"))


def _binary(e: Exporter, node: Node) -> None:
    rank = len(e.graph.values[node.outputs[0]].shape)
    operands = [e.operand(name, rank) for name in node.inputs]
    e.define(node, e.op(node.op, operands, f"{node.name}.result"))


def _function(e: Exporter, name: str, x: str, base: str, alpha: float, beta: float) -> str:
    """A function of docs/ops.md of a float tensor."""

    def number(value: float) -> str:
        return e.scalar(f"{base}.number", np.float32(value))

    simple = {
        "relu": "Relu", "sigmoid": "Sigmoid", "hard_swish": "HardSwish", "tanh": "Tanh",
        "erf": "Erf", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "abs": "Abs", "neg": "Neg",
        "reciprocal": "Reciprocal", "softplus": "Softplus", "floor": "Floor",
    }  # fmt: skip
    if name in simple:
        return e.op(simple[name], [x], f"{base}.{name}")
    if name == "clip":
        return e.op("Clip", [x, number(alpha), number(beta)], f"{base}.clip")
    if name == "leaky_relu":
        return e.op("LeakyRelu", [x], f"{base}.leaky_relu", alpha=float(alpha))
    if name == "elu":
        return e.op("Elu", [x], f"{base}.elu", alpha=float(alpha))
    if name == "hard_sigmoid":
        attrs = {"alpha": float(alpha), "beta": float(beta)}
        return e.op("HardSigmoid", [x], f"{base}.hard_sigmoid", **attrs)
    if name == "silu":
        gate = e.op("Sigmoid", [x], f"{base}.sigmoid")
        return e.op("Mul", [x, gate], f"{base}.silu")
    # GELU: x / 2 * (1 + g), g by erf or by tanh
    if name == "gelu":
        inner = e.op("Mul", [x, number(np.sqrt(0.5))], f"{base}.inner")
        gate = e.op("Erf", [inner], f"{base}.erf")
    else:
        square = e.op("Mul", [x, x], f"{base}.square")
        cube = e.op("Mul", [square, x], f"{base}.cube")
        small = e.op("Mul", [cube, number(0.044715)], f"{base}.small")
        total = e.op("Add", [x, small], f"{base}.total")
        inner = e.op("Mul", [total, number(np.sqrt(2 / np.pi))], f"{base}.inner")
        gate = e.op("Tanh", [inner], f"{base}.tanh")
    gate = e.op("Add", [gate, number(1.0)], f"{base}.gate")
    half = e.op("Mul", [x, number(0.5)], f"{base}.half")
    return e.op("Mul", [half, gate], f"{base}.gelu")


def _unary(e: Exporter, node: Node) -> None:
    at = node.attrs
    x = e.real(node.inputs[0])
    name = NAMES[int(at["function"])]
    e.define(node, _function(e, name, x, node.name, at["alpha"], at["beta"]))


def _recognize(table: NDArray[Any], x: Value, y: Value) -> Optional[Tuple[str, float, float]]:
    """The function a table holds, None when it is none of those known, ("", ..) for a change of
    scale.
    """
    params = QuantParams(x.scale, x.zero_point), QuantParams(y.scale, y.zero_point)
    if (lookup_table(None, 0.0, 0.0, *params) == table).all():
        return "", 0.0, 0.0
    for name, alpha, beta in _KNOWN:
        if (lookup_table(FUNCTIONS[name], alpha, beta, *params) == table).all():
            return name, alpha, beta
    return None


def _lookup(e: Exporter, node: Node) -> None:
    """The float function where the table is one of those known; else the table itself."""
    x, y = _operands(e, node)
    table = e.data(node.inputs[1])
    known = _recognize(table, x, y)
    real = e.real(node.inputs[0])
    if known is not None:
        name, alpha, beta = known
        e.define(node, _function(e, name, real, node.name, alpha, beta) if name else real)
        return
    scale = e.scalar(f"{node.name}.scale", np.float32(x.scale))
    zero = e.scalar(f"{node.name}.zero_point", np.uint8(x.zero_point + 128))
    q = e.op("QuantizeLinear", [real, scale, zero], f"{node.name}.u8")
    index = e.op("Cast", [q], f"{node.name}.index", to=6)  # INT32
    entries = e.constant(f"{node.name}.table", (table.astype(np.int16) + 128).astype(np.uint8))
    e.define_u8(y, e.op("Gather", [entries, index], f"{node.name}.entry"))


def _prelu(e: Exporter, node: Node) -> None:
    x, _ = _operands(e, node)
    slope = e.data(node.inputs[1])
    if x.dtype == "s8":
        slope = (slope / np.float32(node.attrs["m_positive"])).astype(np.float32)
    if len(x.shape) == 4:
        slope = slope.reshape(-1, 1, 1)
    inputs = [e.real(node.inputs[0]), e.constant(f"{node.name}.slope", slope)]
    e.define(node, e.op("PRelu", inputs, f"{node.name}.result"))


def _softmax(e: Exporter, node: Node) -> None:
    rank = len(e.graph.values[node.inputs[0]].shape)
    axis = 1 if rank == 4 else -1
    e.define(node, e.op("Softmax", [e.real(node.inputs[0])], f"{node.name}.share", axis=axis))


def _layer_norm(e: Exporter, node: Node) -> None:
    x, y = _operands(e, node)
    gamma, beta = (e.data(name) for name in node.inputs[1:3])
    epsilon = node.attrs.get("epsilon", 0.0)
    if x.dtype == "s8":
        gamma, beta = gamma * np.float32(y.scale), beta * np.float32(y.scale)
        epsilon = node.attrs["e"] * x.scale * x.scale / x.shape[-1] ** 2
    inputs = [
        e.stored(node.inputs[0]),
        e.constant(f"{node.name}.gamma", gamma),
        e.constant(f"{node.name}.beta", beta),
    ]
    attrs = {"axis": -1, "epsilon": float(epsilon)}
    e.define_stored(node, e.op("LayerNormalization", inputs, f"{node.name}.norm", **attrs))


def _pool(e: Exporter, node: Node) -> None:
    at = node.attrs
    attrs = _window(node)
    attrs["kernel_shape"] = [at["kernel_h"], at["kernel_w"]]
    if node.op == "AveragePool2d":
        attrs.pop("dilations", None)
        attrs["count_include_pad"] = at["count_include_pad"]
        declared = (at["declared_pad_bottom"], at["declared_pad_right"])
        if at["count_include_pad"] and declared != tuple(attrs["pads"][2:]):
            raise Error(f"node {node.name!r}: ceil mode that counts pads is not exported")
    e.define(node, e.op(node.op[:-2], [e.real(node.inputs[0])], f"{node.name}.pooled", **attrs))


def _axis(rank: int, stored: int) -> int:
    return TO_NCHW.index(stored) if rank == 4 else stored


def _reduce_mean(e: Exporter, node: Node) -> None:
    rank = len(e.graph.values[node.inputs[0]].shape)
    stored = range(node.attrs["first_axis"], node.attrs["last_axis"] + 1)
    axes = sorted(_axis(rank, axis) for axis in stored)
    x = e.real(node.inputs[0])
    if axes == [2, 3] and rank == 4:
        e.define(node, e.op("GlobalAveragePool", [x], f"{node.name}.mean"))
        return
    e.define(node, e.op("ReduceMean", [x], f"{node.name}.mean", axes=axes, keepdims=1))


def _concat(e: Exporter, node: Node) -> None:
    rank = len(e.graph.values[node.outputs[0]].shape)
    inputs = [e.operand(name, rank) for name in node.inputs]
    axis = _axis(rank, node.attrs["axis"])
    e.define(node, e.op("Concat", inputs, f"{node.name}.joined", axis=axis))


def _integers(e: Exporter, node: Node, what: str, values: Any) -> str:
    return e.constant(f"{node.name}.{what}", np.asarray(values, np.int64))


def _slice(e: Exporter, node: Node) -> None:
    x, y = _operands(e, node)
    start, step = list(node.attrs["start"]), list(node.attrs["step"])
    ends = [s + (d - 1) * t + 1 for s, d, t in zip(start, y.shape, step)]
    parts = [start, ends, list(range(len(x.shape))), step]
    names = [
        _integers(e, node, what, p) for what, p in zip(("start", "end", "axes", "step"), parts)
    ]
    e.define_stored(node, e.op("Slice", [e.stored(node.inputs[0]), *names], f"{node.name}.part"))


def _pad(e: Exporter, node: Node) -> None:
    x, y = _operands(e, node)
    before = list(node.attrs["before"])
    after = [dy - dx - b for dy, dx, b in zip(y.shape, x.shape, before)]
    fill = node.attrs.get("fill_f32", 0.0)
    if x.dtype == "s8":
        fill = (node.attrs["fill_s8"] - x.zero_point) * x.scale
    inputs = [
        e.stored(node.inputs[0]),
        _integers(e, node, "pads", before + after),
        e.scalar(f"{node.name}.fill", np.float32(fill)),
    ]
    e.define_stored(node, e.op("Pad", inputs, f"{node.name}.padded"))


def _reshape(e: Exporter, node: Node) -> None:
    shape = e.graph.values[node.outputs[0]].shape
    e.define_stored(node, e.reshape(e.stored(node.inputs[0]), shape, node.name))


def _transpose(e: Exporter, node: Node) -> None:
    x = e.stored(node.inputs[0])
    e.define_stored(node, e.transpose(x, node.attrs["perm"], node.name))


def _resize(e: Exporter, node: Node) -> None:
    """Two rows and two columns a pixel by Gather, mixed by their weights."""
    x, _ = _operands(e, node)
    unit = np.float32(1 / 2048 if x.dtype == "s8" else 1)

    def along(name: str, axis: int, index: NDArray[Any], weight: NDArray[Any]) -> str:
        ends = [
            e.op("Gather", [name, _integers(e, node, "index", row)], f"{node.name}.g", axis=axis)
            for row in index
        ]
        share = (weight.astype(np.float32) * unit).reshape((-1, 1) if axis == 2 else (-1,))
        if not share.any():
            return ends[0]
        parts = [
            e.op("Mul", [end, e.constant(f"{node.name}.share", s)], f"{node.name}.part")
            for end, s in zip(ends, (np.float32(1) - share, share))
        ]
        return e.op("Add", parts, f"{node.name}.mixed")

    y_index, wy, x_index, wx = (e.data(name) for name in node.inputs[1:5])
    rows = along(e.real(node.inputs[0]), 2, y_index, wy)
    e.define(node, along(rows, 3, x_index, wx))


def _argmax(e: Exporter, node: Node) -> None:
    x, y = _operands(e, node)
    keep = int(len(y.shape) == len(x.shape))
    index = e.op("ArgMax", [e.stored(node.inputs[0])], f"{node.name}.s64", axis=-1, keepdims=keep)
    e.define_stored(node, e.op("Cast", [index], f"{node.name}.s32", to=6))


def _border(e: Exporter, node: Node) -> None:
    e.define(node, e.real(node.inputs[0]))


FORMS: Dict[str, Callable[[Exporter, Node], None]] = {
    "Conv2d": _conv,
    "ConvTranspose2d": _conv_transpose,
    "FullyConnected": _fully_connected,
    "MatMul": _matmul,
    "Add": _binary,
    "Sub": _binary,
    "Mul": _binary,
    "Div": _binary,
    "Lookup": _lookup,
    "Unary": _unary,
    "PRelu": _prelu,
    "Softmax": _softmax,
    "LayerNorm": _layer_norm,
    "MaxPool2d": _pool,
    "AveragePool2d": _pool,
    "ReduceMean": _reduce_mean,
    "Concat": _concat,
    "Slice": _slice,
    "Pad": _pad,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Resize2d": _resize,
    "ArgMax": _argmax,
    "Quantize": _border,
    "Dequantize": _border,
}
