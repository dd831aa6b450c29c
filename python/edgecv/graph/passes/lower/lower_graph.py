"""Runs the lowering rules over a decluttered graph, and says what they cannot take."""

from __future__ import annotations

from typing import Dict, List, Mapping, Optional

from edgecv.errors import UnsupportedModelError
from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.lower import conv, elementwise, matmul, move, normalize, pool, resize
from edgecv.graph.passes.lower.context import Lowering
from edgecv.graph.passes.lower.layout import Layout
from edgecv.graph.passes.lower.rule import Rule, Rules
from edgecv.graph.passes.rewrite import UNKNOWN_SHAPE, constant, shape_of

RULES: Rules = {
    op: rule
    for module in (conv, matmul, elementwise, pool, normalize, move, resize)
    for op, rule in module.RULES.items()
}

# Ops with no rule: what a model can use instead.
_INSTEAD: Dict[str, str] = {
    "NonMaxSuppression": "the model without its post-processing",
    "TopK": "the model without its post-processing",
    "NonZero": "the model without its post-processing",
    "If": "If with a condition that is constant once shapes are fixed",
    "Loop": "an unrolled graph",
    "Scan": "an unrolled graph",
    "Gather": "Gather by a constant scalar or evenly rising indices",
    "Expand": "Expand that only adds dims of size 1",
    "Tile": "Tile that only adds dims of size 1",
    "Cast": "Cast between float types",
    "Pow": "Pow by a constant 0.5, 1, 2, 3, 4, -0.5, -1 or -2",
    "Split": "Split into constant sizes",
    "Max": "Max with a constant number",
    "Min": "Min with a constant number",
}


def unsupported(graph: Graph, refusals: Optional[Mapping[str, str]] = None) -> List[str]:
    """One line for each node of a decluttered graph that has no lowering, in graph order.

    ``refusals``: node name -> why a pass could not rewrite it, told for ops that have no rule.
    """
    lines = []
    for node in graph.nodes:
        reasons = _reasons(graph, node)
        if reasons and node.op not in RULES and node.name in (refusals or {}):
            reasons = [(refusals or {})[node.name]]
        if reasons:
            lines.append(_line(graph, node, reasons))
    return lines


def check(graph: Graph, refusals: Optional[Mapping[str, str]] = None) -> None:
    """Raises one UnsupportedModelError that lists every node of a graph that cannot be lowered."""
    lines = unsupported(graph, refusals)
    count = f"{len(lines)} node{'s are' if len(lines) != 1 else ' is'} not supported"
    for port in graph.inputs:
        if graph.values[port.value].dtype != "f32":
            dtype = graph.values[port.value].dtype
            lines.append(f"input {port.name!r} has dtype {dtype}; supported: f32")
    for port in graph.outputs:
        if graph.values[port.value].is_constant:
            lines.append(f"output {port.name!r} is constant; supported: computed outputs")
    if lines:
        raise UnsupportedModelError(
            f"the model cannot be lowered: {count}\n" + "\n".join(f"  {line}" for line in lines)
        )


def _reasons(graph: Graph, node: Node) -> List[str]:
    rule = RULES.get(node.op)
    if rule is None:
        return ["the op is not supported"]
    names = [name for name in node.inputs if name]
    if any(shape_of(graph, name) == UNKNOWN_SHAPE for name in names):
        return []  # the node that made the unknown shape is listed
    if any(shape_of(graph, name) == UNKNOWN_SHAPE for name in node.outputs[:1]):
        return ["its output shape is not known"]
    computed = [name for name in names if constant(graph, name) is None]
    if not computed:
        return ["all of its inputs are constant, and it could not be computed beforehand"]
    shapes = [shape_of(graph, name) for name in (*computed, *node.outputs[:1])]
    if any(0 in shape for shape in shapes):
        return ["a tensor is empty"]
    if any(len(shape) > 8 for shape in shapes):
        return ["a tensor has more than 8 dims"]
    kinds = {graph.values[name].dtype for name in (names[0], node.outputs[0]) if name}
    wrong = sorted(kinds - ({"f32", "s32", "s64"} if _moves_any(node) else {"f32"}))
    if wrong and node.op != "ArgMax":
        return [f"it computes {', '.join(wrong)}, not f32"]
    return rule.check(graph, node)


def _moves_any(node: Node) -> bool:
    return node.op in ("Reshape", "Transpose", "Slice", "Concat")


def _line(graph: Graph, node: Node, reasons: List[str]) -> str:
    shapes = ", ".join(
        _shape_text(shape_of(graph, name)) for name in node.inputs if name and name in graph.values
    )
    rule = RULES.get(node.op)
    form = rule.form if isinstance(rule, Rule) else _INSTEAD.get(node.op, "none")
    opset = graph.source_opset or graph.opset
    return (
        f"{node.name} ({node.op}, opset {opset}, inputs {shapes}): {'; '.join(reasons)}; "
        f"nearest supported form: {form}"
    )


def _shape_text(shape: tuple[int, ...]) -> str:
    return "[?]" if shape == UNKNOWN_SHAPE else "x".join(str(dim) for dim in shape) or "scalar"


def lower_graph(graph: Graph) -> Graph:
    """Return the lowered graph of a decluttered one; raises UnsupportedModelError."""
    check(graph)
    low = Lowering(graph)
    readers = graph.consumers()
    for port in graph.inputs:
        low.add_input(port, _input_layout(graph, port.value, readers.get(port.value, [])))
    for node in graph.nodes:
        low.node = node
        RULES[node.op].lower(low, node)
    low.node = None
    for port in graph.outputs:
        low.add_output(port)
    low.graph.drop_unused()
    return low.graph


def _input_layout(graph: Graph, name: str, readers: List[Node]) -> Layout:
    """NHWC for images, unless the model itself takes NHWC and transposes."""
    rank = len(shape_of(graph, name))
    if rank != 4 or any(
        node.op == "Transpose" and list(node.attrs.get("perm", [])) == [0, 3, 1, 2]
        for node in readers
    ):
        return Layout.identity(rank)
    return Layout.image(4)
