"""The int8 form of each op but those with weights, which :mod:`quantize` itself brings into it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Dict, List

import numpy as np

from edgecv.graph.ir import Node, Value
from edgecv.quant.lookup import lookup_table
from edgecv.quant.parameters import (
    ACC_LIMIT,
    QuantParams,
    activation_params,
    multiplier,
    quantize,
    reach,
)

if TYPE_CHECKING:
    from edgecv.graph.passes.quantize import QuantizePass


def _binary(q: QuantizePass, node: Node) -> None:
    """Add, Sub, Mul: constants become s8, one or two multipliers."""
    for i, name in enumerate(node.inputs):
        if not q.is_activation(name):
            node.inputs[i] = _constant(q, name)
    a, b = (q.params_of(name) for name in node.inputs)
    y = q.params_of(node.outputs[0])
    if node.op == "Mul":
        node.attrs["m"] = float(
            multiplier(float(np.float32(a.scale) * np.float32(b.scale)), y.scale)
        )
        checked = [node.attrs["m"]]
        _check_bound(reach(a) * reach(b), node.attrs["m"])
    else:
        node.attrs["ma"] = float(multiplier(a.scale, y.scale))
        node.attrs["mb"] = float(multiplier(b.scale, y.scale))
        checked = [node.attrs["ma"], node.attrs["mb"]]
    _check_multipliers(checked)
    q.set_clamp(node, y)


def _constant(q: QuantizePass, name: str) -> str:
    data = q.data_of(name)
    params = activation_params(float(data.min()), float(data.max()))
    code = q.graph.given.get(name)
    if code is not None:
        params = QuantParams(code.scale, code.zero_point, code.qmin, code.qmax)
    value = q.graph.values[q.constant(f"{name}.s8", quantize(data, params), "s8")]
    value.scale, value.zero_point = params.scale, params.zero_point
    return value.name


def _matmul(q: QuantizePass, node: Node) -> None:
    """MatMul of two activations: one multiplier."""
    for i, name in enumerate(node.inputs):
        if not q.is_activation(name):
            node.inputs[i] = _constant(q, name)
    a, b = (q.params_of(name) for name in node.inputs)
    y = q.params_of(node.outputs[0])
    node.attrs["m"] = float(multiplier(float(np.float32(a.scale) * np.float32(b.scale)), y.scale))
    k = q.graph.values[node.inputs[0]].shape[-1]
    _check_multipliers([node.attrs["m"]])
    _check_bound(k * reach(a) * reach(b), node.attrs["m"])
    q.set_clamp(node, y)


def _unary(q: QuantizePass, node: Node) -> None:
    """Unary becomes a Lookup."""
    table = lookup_table(
        node.attrs["function"],
        node.attrs.get("alpha", 0.0),
        node.attrs.get("beta", 0.0),
        q.params_of(node.inputs[0]),
        q.params_of(node.outputs[0]),
    )
    node.op, node.attrs = "Lookup", {}
    node.inputs = [node.inputs[0], q.constant(f"{node.name}.table", table, "s8")]


def _prelu(q: QuantizePass, node: Node) -> None:
    """One multiplier for positive, one a channel for negative values."""
    x, y = q.params_of(node.inputs[0]), q.params_of(node.outputs[0])
    positive = multiplier(x.scale, y.scale)
    slope = q.data_of(node.inputs[1]).ravel()
    node.inputs[1] = q.constant(f"{node.name}.slope", slope * positive, "f32")
    node.attrs = {"m_positive": float(positive)}
    negative = np.abs(slope * positive)
    _check_multipliers([float(positive), *(float(m) for m in negative if m != 0)])
    q.set_clamp(node, y)


def _softmax(q: QuantizePass, node: Node) -> None:
    """The table of exponentials of docs/ops.md."""
    x = q.params_of(node.inputs[0])
    n = q.graph.values[node.inputs[0]].shape[-1]
    bits = min(23, 30 - int(np.ceil(np.log2(n))))
    table = np.rint(2.0**bits * np.exp(-x.scale * np.arange(256)))
    node.inputs = [node.inputs[0], q.constant(f"{node.name}.exp", table, "s32")]


def _layer_norm(q: QuantizePass, node: Node) -> None:
    """Gamma and beta in steps of the output, epsilon in steps of the input."""
    x, y = q.params_of(node.inputs[0]), q.params_of(node.outputs[0])
    n = q.graph.values[node.inputs[0]].shape[-1]
    gamma, beta = (q.data_of(name) for name in node.inputs[1:3])
    node.inputs = [
        node.inputs[0],
        q.constant(f"{node.name}.gamma", gamma / np.float32(y.scale), "f32"),
        q.constant(f"{node.name}.beta", beta / np.float32(y.scale), "f32"),
    ]
    epsilon = float(node.attrs.pop("epsilon"))
    node.attrs["e"] = float(np.float32(epsilon * n * n / (x.scale * x.scale)))
    if n > 65536:
        raise ValueError(f"rows of {n} values: 65536 at most")
    if not 0 < node.attrs["e"] < np.inf:
        raise ValueError(f"epsilon {epsilon:g} cannot be brought to the scale of the input")
    q.set_clamp(node, y)


def _average_pool(q: QuantizePass, node: Node) -> None:
    """One multiplier for each number of pixels a window can hold."""
    x, y = q.params_of(node.inputs[0]), q.params_of(node.outputs[0])
    window = node.attrs["kernel_h"] * node.attrs["kernel_w"]
    counts = np.arange(1, window + 1, dtype=np.float32)
    m = np.float32(x.scale) / (np.float32(y.scale) * counts)
    node.inputs = [node.inputs[0], q.constant(f"{node.name}.multiplier", m, "f32")]
    _check_multipliers([float(m.min()), float(m.max())])
    q.set_clamp(node, y)


def _reduce_mean(q: QuantizePass, node: Node) -> None:
    """One multiplier: the change of scale over the count."""
    x, y = q.params_of(node.inputs[0]), q.params_of(node.outputs[0])
    shape = q.graph.values[node.inputs[0]].shape
    count = int(np.prod(shape[node.attrs["first_axis"] : node.attrs["last_axis"] + 1]))
    m = np.float32(x.scale) / (np.float32(y.scale) * np.float32(count))
    node.attrs["m"] = float(m)
    _check_multipliers([float(m)])
    _check_bound(count * reach(x), float(m))
    q.set_clamp(node, y)


def _pad(q: QuantizePass, node: Node) -> None:
    """The fill value in steps."""
    params = q.params_of(node.inputs[0])
    fill = np.asarray([node.attrs.pop("fill_f32", 0.0)], np.float32)
    node.attrs["fill_s8"] = int(quantize(fill, params)[0])


def _resize(q: QuantizePass, node: Node) -> None:
    """Weights in 1/2048."""
    for i in (2, 4):
        weight = np.rint(q.data_of(node.inputs[i]) * 2048.0)
        node.inputs[i] = q.constant(f"{node.inputs[i]}.q11", weight, "s32")


def _concat(q: QuantizePass, node: Node) -> None:
    """Inputs with a scale of their own go through a table into the output's scale."""
    y = q.params_of(node.outputs[0])
    for i, name in enumerate(node.inputs):
        if not q.is_activation(name):
            value = q.graph.values[q.constant(f"{name}.s8", quantize(q.data_of(name), y), "s8")]
            value.scale, value.zero_point = y.scale, y.zero_point
            node.inputs[i] = value.name
            continue
        if q.params_of(name) == y:
            continue
        table = lookup_table(None, 0.0, 0.0, q.params_of(name), y)
        moved = Value(
            q.graph.fresh(f"{name}.rescaled"), q.graph.values[name].shape, "s8",
            scale=y.scale, zero_point=y.zero_point,
        )  # fmt: skip
        q.graph.add(moved)
        constant = q.constant(f"{node.name}.{i}.table", table, "s8")
        q.nodes.append(Node("Lookup", f"{node.name}.{i}.rescale", [name, constant], [moved.name]))
        node.inputs[i] = moved.name


def _check_bound(bound: int, m: float) -> None:
    if bound > ACC_LIMIT:
        raise ValueError("the accumulator can leave 32 bits")
    if bound * m >= 2.0**31:
        raise ValueError("the result can leave 32 bits: inputs and output differ too much in range")


def _check_multipliers(values: List[float]) -> None:
    for value in values:
        if not 2.0**-100 <= value <= 2.0**20:
            raise ValueError(f"the multiplier {value:g} lies outside [2^-100, 2^20]")


FORMS: Dict[str, Callable[[QuantizePass, Node], None]] = {
    "MatMul": _matmul,
    "Add": _binary,
    "Sub": _binary,
    "Mul": _binary,
    "Unary": _unary,
    "PRelu": _prelu,
    "Softmax": _softmax,
    "LayerNorm": _layer_norm,
    "AveragePool2d": _average_pool,
    "ReduceMean": _reduce_mean,
    "Pad": _pad,
    "Resize2d": _resize,
    "Concat": _concat,
}
