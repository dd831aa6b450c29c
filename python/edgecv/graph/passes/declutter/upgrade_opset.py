"""Brings nodes of opsets 9 and later to their opset 21 form.

Cases:
1. Attributes that became inputs: Clip min/max; Squeeze, Unsqueeze and Reduce* axes; Split split;
   Slice starts/ends/axes; Pad pads/value; TopK k is left alone (not covered).
2. Upsample, and Resize of opset 10 -> Resize with coordinate mode asymmetric, nearest mode floor.
3. Softmax and LogSoftmax before opset 13: default axis 1, over all axes from there on ->
   the same axis when that is the last one, or else Reshape, Softmax, Reshape.
4. BatchNormalization: the outputs and attributes of training are dropped when nothing reads them.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Sequence

import numpy as np

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.rewrite import (
    Result,
    View,
    activation,
    floats,
    input_name,
    ints,
    known,
    normal_axis,
    replace,
    shape_of,
)

OPSET = 21


def upgrade_opset(graph: Graph) -> Result:
    """Runs the pass; afterwards ``graph.opset`` is 21 at least."""
    if graph.opset >= OPSET:
        return Result()
    for node in list(graph.nodes):
        rule = _RULES.get(node.op)
        if rule is not None and known(graph, node):
            rule(graph, node)
    graph.opset = OPSET
    graph.drop_unused()
    return Result(changed=True)


def _to_input(graph: Graph, node: Node, position: int, attr: str, scalar: bool = False) -> None:
    if attr not in node.attrs:
        return
    value: Any = node.attrs.pop(attr)
    base = f"{node.name}.{attr}"
    is_float = scalar and isinstance(value, float)
    name = floats(graph, base, value) if is_float else ints(graph, base, value)
    node.inputs += [""] * (position + 1 - len(node.inputs))
    node.inputs[position] = name


def _axes(graph: Graph, node: Node) -> None:
    _to_input(graph, node, 1, "axes")


def _clip(graph: Graph, node: Node) -> None:
    _to_input(graph, node, 1, "min", scalar=True)
    _to_input(graph, node, 2, "max", scalar=True)


def _split(graph: Graph, node: Node) -> None:
    _to_input(graph, node, 1, "split")


def _slice(graph: Graph, node: Node) -> None:
    for position, attr in enumerate(("starts", "ends", "axes"), start=1):
        _to_input(graph, node, position, attr)


def _pad(graph: Graph, node: Node) -> None:
    _to_input(graph, node, 1, "pads")
    _to_input(graph, node, 2, "value", scalar=True)


def _upsample(graph: Graph, node: Node) -> None:
    if graph.opset >= 11 and node.op == "Resize":
        return
    mode = node.attrs.get("mode", "nearest")
    scales = input_name(node, 1)
    if not scales:
        scales = floats(graph, f"{node.name}.scales", node.attrs.get("scales", []))
    node.op = "Resize"
    node.inputs = [node.inputs[0], "", scales]
    node.attrs = {
        "mode": mode,
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    }


def _softmax(graph: Graph, node: Node) -> None:
    if graph.opset >= 13:
        node.attrs.setdefault("axis", -1)
        return
    shape = shape_of(graph, node.inputs[0])
    axis = normal_axis(int(node.attrs.get("axis", 1)), len(shape))
    if _product(shape[axis + 1 :]) == 1 and axis < len(shape):
        node.attrs["axis"] = axis
        return
    flat = (_product(shape[:axis]), _product(shape[axis:]))
    output = node.outputs[0]
    before = activation(graph, f"{node.name}.flat", flat)
    after = activation(graph, f"{output}.flat", flat)
    to_flat = ints(graph, f"{node.name}.flat_shape", flat)
    back = ints(graph, f"{node.name}.shape", shape)
    replace(
        graph,
        node,
        [
            Node("Reshape", f"{node.name}.flatten", [node.inputs[0], to_flat], [before]),
            Node(node.op, node.name, [before], [after], {"axis": 1}),
            Node("Reshape", f"{node.name}.unflatten", [after, back], [output]),
        ],
    )


def _product(dims: Sequence[int]) -> int:
    return int(np.prod(dims, dtype=np.int64)) if dims else 1


def _batch_normalization(graph: Graph, node: Node) -> None:
    view = View(graph)
    if node.attrs.get("training_mode", 0) or any(
        view.readers(name) or view.is_output(name) for name in node.outputs[1:]
    ):
        return
    node.outputs = node.outputs[:1]
    node.attrs = {"epsilon": float(node.attrs.get("epsilon", 1e-5))}


_REDUCTIONS: List[str] = [
    f"Reduce{kind}" for kind in ("Mean", "Max", "Min", "Sum", "Prod", "L1", "L2", "SumSquare")
]
_RULES: Dict[str, Callable[[Graph, Node], None]] = {
    "Clip": _clip,
    "Squeeze": _axes,
    "Unsqueeze": _axes,
    **dict.fromkeys(_REDUCTIONS, _axes),
    "Split": _split,
    "Slice": _slice,
    "Pad": _pad,
    "Upsample": _upsample,
    "Resize": _upsample,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "BatchNormalization": _batch_normalization,
}
