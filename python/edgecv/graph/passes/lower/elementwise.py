"""Ops that compute each element from the elements at the same place."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import numpy as np

from edgecv.graph.ir import Graph, Node
from edgecv.graph.ops.unary import FUNCTIONS
from edgecv.graph.passes.lower.context import INF, NO_CLAMP, Lowering
from edgecv.graph.passes.lower.layout import Layout
from edgecv.graph.passes.lower.rule import Rule, Rules, anything
from edgecv.graph.passes.rewrite import constant, input_name, shape_of

# ONNX op -> function; attributes (name, default) that become alpha and beta.
_UNARY: Dict[str, Tuple[str, Tuple[Tuple[str, float], ...]]] = {
    "Relu": ("relu", ()),
    "LeakyRelu": ("leaky_relu", (("alpha", 0.01),)),
    "Sigmoid": ("sigmoid", ()),
    "HardSigmoid": ("hard_sigmoid", (("alpha", 0.2), ("beta", 0.5))),
    "HardSwish": ("hard_swish", ()),
    "Silu": ("silu", ()),
    "Tanh": ("tanh", ()),
    "Erf": ("erf", ()),
    "Exp": ("exp", ()),
    "Log": ("log", ()),
    "Sqrt": ("sqrt", ()),
    "Abs": ("abs", ()),
    "Neg": ("neg", ()),
    "Reciprocal": ("reciprocal", ()),
    "Elu": ("elu", (("alpha", 1.0),)),
    "Softplus": ("softplus", ()),
    "Floor": ("floor", ()),
}


def unary(
    low: Lowering, x: str, output: str, function: str, alpha: float = 0.0, beta: float = 0.0
) -> None:
    """Emits a Unary in the layout of its input."""
    stored, layout = low.where(x)
    attrs = {"function": FUNCTIONS[function], "alpha": float(alpha), "beta": float(beta)}
    low.define(output, "Unary", [stored], layout, attrs)


def _lower_unary(low: Lowering, node: Node) -> None:
    function, attributes = _UNARY[node.op]
    numbers = [float(node.attrs.get(name, default)) for name, default in attributes]
    unary(low, node.inputs[0], node.outputs[0], function, *numbers)


def _lower_fake_quant(low: Lowering, node: Node) -> None:
    stored, layout = low.where(node.inputs[0])
    low.define(node.outputs[0], "FakeQuant", [stored], layout, node.attrs)


def _lower_gelu(low: Lowering, node: Node) -> None:
    tanh = node.attrs.get("approximate", "none") == "tanh"
    unary(low, node.inputs[0], node.outputs[0], "gelu_tanh" if tanh else "gelu")


def _check_clip(graph: Graph, node: Node) -> List[str]:
    if any(name and constant(graph, name) is None for name in node.inputs[1:]):
        return ["a bound is not constant"]
    return []


def _lower_clip(low: Lowering, node: Node) -> None:
    bounds = []
    for index, default in ((1, -INF), (2, INF)):
        data = low.constant(input_name(node, index))
        bounds.append(default if data is None else float(data.reshape(-1)[0]))
    # ONNX: min(max, max(x, min)), also when min exceeds max.
    unary(low, node.inputs[0], node.outputs[0], "clip", min(bounds), bounds[1])


def common_layout(low: Lowering, names: List[str], rank: int) -> Layout:
    """The layout in which operands of a broadcast meet: that of the largest activation."""
    computed = [name for name in names if low.constant(name) is None]
    lead = max(computed, key=lambda name: int(np.prod(low.shape(name), dtype=np.int64)))
    return low.layout(lead).prepend(rank - len(low.shape(lead)))


def operand(low: Lowering, name: str, layout: Layout) -> str:
    """An operand of a broadcast, extended by leading axes of size 1, in ``layout``."""
    rank = len(layout.perm)
    shape = low.shape(name)
    missing = rank - len(shape)
    if missing == 0:
        return low.get(name, layout)
    full = (*(1 for _ in range(missing)), *shape)
    data = low.constant(name)
    if data is not None:
        return low.add_constant(name, layout.store(data.reshape(full)))
    stored, have = low.where(name)
    extended = have.prepend(missing)
    return low.convert(low.reshape(stored, extended.stored(full)), full, extended, layout)


def _check_binary(graph: Graph, node: Node) -> List[str]:
    if all(constant(graph, name) is not None for name in node.inputs):
        return ["both operands are constant"]
    return []


def _lower_binary(low: Lowering, node: Node) -> None:
    output = node.outputs[0]
    layout = common_layout(low, node.inputs, len(low.shape(output)))
    inputs = [operand(low, name, layout) for name in node.inputs]
    low.define(output, node.op, inputs, layout, NO_CLAMP)


def _check_prelu(graph: Graph, node: Node) -> List[str]:
    slope = constant(graph, node.inputs[1])
    if slope is None:
        return ["the slope is not constant"]
    shape = shape_of(graph, node.inputs[0])
    rank = len(shape)
    dims = (1,) * (rank - slope.ndim) + slope.shape
    large = [axis for axis, size in enumerate(dims) if size > 1]
    if len(large) > 1 or len(dims) > rank:
        return ["the slope varies along more than one axis"]
    if any(dims[axis] != shape[axis] for axis in large):
        return ["the slope does not fit the input"]
    return []


def _lower_prelu(low: Lowering, node: Node) -> None:
    x, output = node.inputs[0], node.outputs[0]
    slope = low.constant(node.inputs[1])
    assert slope is not None
    rank = len(low.shape(x))
    dims = (1,) * (rank - slope.ndim) + slope.shape
    large = [axis for axis, size in enumerate(dims) if size > 1]
    layout = low.layout(x)
    if large and layout.perm[large[0]] != layout.rank - 1:
        order = [axis for axis in layout.order() if axis != large[0]]
        layout = Layout.of_order([*order, large[0]])
    inputs = [low.get(x, layout), low.add_constant(node.inputs[1], slope.reshape(-1))]
    low.define(output, "PRelu", inputs, layout)


RULES: Rules = {
    **{op: Rule(anything, _lower_unary, f"{op} of f32") for op in _UNARY},
    "FakeQuant": Rule(anything, _lower_fake_quant, "FakeQuant of f32"),
    "Gelu": Rule(anything, _lower_gelu, "Gelu of f32"),
    "Clip": Rule(_check_clip, _lower_clip, "Clip with constant bounds"),
    **{
        op: Rule(_check_binary, _lower_binary, f"{op} of f32 with at most one constant operand")
        for op in ("Add", "Sub", "Mul", "Div")
    },
    "PRelu": Rule(_check_prelu, _lower_prelu, "PRelu with a constant slope per channel or one"),
}


def attributes_of_clip(function: int, alpha: float, beta: float) -> Any:
    """(lo, hi) of a Unary that only clamps, None of any other."""
    if function == FUNCTIONS["relu"]:
        return 0.0, INF
    return (alpha, beta) if function == FUNCTIONS["clip"] else None
