"""Writes compound ops in the ops that have a lowering.

Cases:
1. Mish -> x * tanh(softplus(x)). Selu, Celu -> Elu with factors. Softsign -> x / (1 + |x|).
2. InstanceNormalization, GroupNormalization -> Reshape, LayerNormalization, Reshape, Mul, Add.
3. ReduceSum -> ReduceMean times the count. ReduceL1, ReduceL2, ReduceSumSquare,
   ReduceLogSum, ReduceLogSumExp -> their definitions by ReduceSum.
4. ReduceMax over neighbouring axes -> GlobalMaxPool of them as an image; ReduceMin the same
   between two Neg. ArgMin -> ArgMax of -x.
5. Ceil -> -floor(-x).
6. RMSNormalization, LpNormalization (p 2) -> their definitions.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional

import numpy as np

from edgecv.graph.ir import Graph, Node, Shape
from edgecv.graph.passes.rewrite import (
    Result,
    activation,
    constant,
    floats,
    input_name,
    int_list,
    ints,
    known,
    normal_axis,
    replace,
    shape_of,
)


class _Builder:
    """Collects the nodes that take the place of one; every value is f32."""

    def __init__(self, graph: Graph, node: Node) -> None:
        self.graph, self.node = graph, node
        self.x, self.shape = node.inputs[0], shape_of(graph, node.inputs[0])
        self.nodes: List[Node] = []

    def add(self, op: str, *inputs: str, shape: Optional[Shape] = None, **attrs: Any) -> str:
        """Adds a node; its output has the shape of the first input unless given."""
        name = f"{self.node.name}.{op.lower()}{len(self.nodes)}"
        dims = shape_of(self.graph, inputs[0]) if shape is None else shape
        output = activation(self.graph, f"{self.node.outputs[0]}.part", dims)
        self.nodes.append(Node(op, name, list(inputs), [output], dict(attrs)))
        return output

    def number(self, value: object) -> str:
        """A constant."""
        return floats(self.graph, f"{self.node.name}.number", value)

    def reshape(self, x: str, shape: Shape) -> str:
        """A Reshape."""
        target = ints(self.graph, f"{self.node.name}.shape", shape)
        return self.add("Reshape", x, target, shape=shape)

    def finish(self) -> None:
        """The last node computes what the old one did."""
        self.nodes[-1].outputs = [self.node.outputs[0]]
        replace(self.graph, self.node, self.nodes)


def expand_compound(graph: Graph) -> Result:
    """Runs the pass."""
    result = Result()
    for node in list(graph.nodes):
        rule = _RULES.get(node.op)
        if rule is None or not known(graph, node) or len(node.outputs) != 1:
            continue
        if graph.values[node.inputs[0]].dtype != "f32" or 0 in shape_of(graph, node.inputs[0]):
            continue
        build = _Builder(graph, node)
        reason = rule(build)
        if reason:
            result.refuse(node, reason)
            continue
        build.finish()
        result.changed = True
    if result.changed:
        graph.drop_unused()
    return result


def _mish(b: _Builder) -> str:
    b.add("Mul", b.x, b.add("Tanh", b.add("Softplus", b.x)))
    return ""


def _selu(b: _Builder) -> str:
    alpha = float(b.node.attrs.get("alpha", 1.67326319217681884765625))
    gamma = float(b.node.attrs.get("gamma", 1.05070102214813232421875))
    b.add("Mul", b.add("Elu", b.x, alpha=alpha), b.number(gamma))
    return ""


def _celu(b: _Builder) -> str:
    alpha = float(b.node.attrs.get("alpha", 1.0))
    scaled = b.add("Mul", b.x, b.number(1.0 / alpha))
    b.add("Mul", b.add("Elu", scaled, alpha=1.0), b.number(alpha))
    return ""


def _softsign(b: _Builder) -> str:
    b.add("Div", b.x, b.add("Add", b.add("Abs", b.x), b.number(1.0)))
    return ""


def _ceil(b: _Builder) -> str:
    b.add("Neg", b.add("Floor", b.add("Neg", b.x)))
    return ""


def _normalized(b: _Builder, groups: int) -> str:
    """x with mean 0 and variance 1 over each of ``groups`` groups of channels."""
    n = b.shape[0]
    count = int(np.prod(b.shape[1:], dtype=np.int64)) // groups
    rows = b.reshape(b.x, (n, groups, count))
    epsilon = float(b.node.attrs.get("epsilon", 1e-5))
    scale = b.number(np.ones(count))
    normal = b.add("LayerNormalization", rows, scale, axis=2, epsilon=epsilon)
    return b.reshape(normal, b.shape)


def _scaled(b: _Builder, normal: str, scale: str, bias: str, repeat: int) -> str:
    tail = (-1, *(1 for _ in b.shape[2:]))
    for op, name in (("Mul", scale), ("Add", bias)):
        data = constant(b.graph, name)
        assert data is not None
        normal = b.add(op, normal, b.number(np.repeat(data.reshape(-1), repeat).reshape(tail)))
    return normal


def _instance_norm(b: _Builder) -> str:
    if any(constant(b.graph, name) is None for name in b.node.inputs[1:3]):
        return "scale or bias is computed"
    _scaled(b, _normalized(b, b.shape[1]), b.node.inputs[1], b.node.inputs[2], 1)
    return ""


def _group_norm(b: _Builder) -> str:
    scale = constant(b.graph, b.node.inputs[1])
    if scale is None or constant(b.graph, b.node.inputs[2]) is None:
        return "scale or bias is computed"
    groups = int(b.node.attrs["num_groups"])
    # Opset 18 has a scale for each group, opset 21 one for each channel.
    repeat = b.shape[1] // scale.size
    _scaled(b, _normalized(b, groups), b.node.inputs[1], b.node.inputs[2], repeat)
    return ""


def _axes(b: _Builder) -> Optional[List[int]]:
    rank = len(b.shape)
    name = input_name(b.node, 1)
    if name and constant(b.graph, name) is None:
        return None
    given = int_list(b.graph, b.node, 1, "axes")
    if not given:
        return [] if b.node.attrs.get("noop_with_empty_axes", 0) else list(range(rank))
    return sorted(normal_axis(axis, rank) for axis in given)


def _sum(b: _Builder, x: str) -> str:
    """The sum of x over the node's axes, in the shape of the node's output."""
    axes = _axes(b) or []
    count = int(np.prod([b.shape[axis] for axis in axes], dtype=np.int64))
    mean = b.add(
        "ReduceMean",
        x,
        ints(b.graph, f"{b.node.name}.axes", axes),
        shape=shape_of(b.graph, b.node.outputs[0]),
        keepdims=int(b.node.attrs.get("keepdims", 1)),
    )
    return b.add("Mul", mean, b.number(float(count)))


_SUMS: Dict[str, Callable[[_Builder], str]] = {
    "ReduceSum": lambda b: _sum(b, b.x),
    "ReduceL1": lambda b: _sum(b, b.add("Abs", b.x)),
    "ReduceSumSquare": lambda b: _sum(b, b.add("Mul", b.x, b.x)),
    "ReduceL2": lambda b: b.add("Sqrt", _sum(b, b.add("Mul", b.x, b.x))),
    "ReduceLogSum": lambda b: b.add("Log", _sum(b, b.x)),
    "ReduceLogSumExp": lambda b: b.add("Log", _sum(b, b.add("Exp", b.x))),
}


def _reduce_sum(b: _Builder) -> str:
    if not _axes(b):
        return "the axes are computed or empty"
    _SUMS[b.node.op](b)
    return ""


def _reduce_extreme(b: _Builder) -> str:
    axes = _axes(b)
    if not axes or axes != list(range(axes[0], axes[-1] + 1)):
        return "the axes are computed, empty or not neighbours"
    before, over, after = (
        int(np.prod(dims, dtype=np.int64))
        for dims in (b.shape[: axes[0]], b.shape[axes[0] : axes[-1] + 1], b.shape[axes[-1] + 1 :])
    )
    low = b.node.op == "ReduceMin"
    x = b.add("Neg", b.x) if low else b.x
    if axes != list(range(2, len(b.shape))) or len(b.shape) not in (3, 4):
        rows = b.reshape(x, (before, over, after))
        x = b.add("Transpose", rows, shape=(before, after, over), perm=[0, 2, 1])
    shape = shape_of(b.graph, x)
    result = b.add("GlobalMaxPool", x, shape=(*shape[:2], *(1 for _ in shape[2:])))
    if low:
        result = b.add("Neg", result)
    b.reshape(result, shape_of(b.graph, b.node.outputs[0]))
    return ""


def _argmin(b: _Builder) -> str:
    b.add("ArgMax", b.add("Neg", b.x), **b.node.attrs)
    return ""


def _mean_square(b: _Builder, axes: List[int]) -> str:
    square = b.add("Mul", b.x, b.x)
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(b.shape))
    name = ints(b.graph, f"{b.node.name}.axes", axes)
    return b.add("ReduceMean", square, name, shape=shape, keepdims=1)


def _rms_norm(b: _Builder) -> str:
    if constant(b.graph, b.node.inputs[1]) is None:
        return "the scale is computed"
    first = normal_axis(int(b.node.attrs.get("axis", -1)), len(b.shape))
    mean = _mean_square(b, list(range(first, len(b.shape))))
    epsilon = b.number(float(b.node.attrs.get("epsilon", 1e-5)))
    root = b.add("Sqrt", b.add("Add", mean, epsilon))
    b.add("Mul", b.add("Div", b.x, root), b.node.inputs[1])
    return ""


def _lp_normalization(b: _Builder) -> str:
    axis = normal_axis(int(b.node.attrs.get("axis", -1)), len(b.shape))
    if int(b.node.attrs.get("p", 2)) != 2:
        return "p is not 2"
    total = b.add("Mul", _mean_square(b, [axis]), b.number(float(b.shape[axis])))
    # A vector of zeros stays one.
    b.add("Div", b.x, b.add("Clip", b.add("Sqrt", total), b.number(1e-12)))
    return ""


_RULES: Dict[str, Callable[[_Builder], str]] = {
    "Mish": _mish,
    "Selu": _selu,
    "Celu": _celu,
    "Softsign": _softsign,
    "Ceil": _ceil,
    "InstanceNormalization": _instance_norm,
    "GroupNormalization": _group_norm,
    **dict.fromkeys(_SUMS, _reduce_sum),
    "ReduceMax": _reduce_extreme,
    "ReduceMin": _reduce_extreme,
    "ArgMin": _argmin,
    "RMSNormalization": _rms_norm,
    "LpNormalization": _lp_normalization,
}
