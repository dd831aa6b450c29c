"""Which nodes of a lowered graph run in int8."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Dict, Iterable, Sequence, Set

from edgecv.errors import UnsupportedModelError
from edgecv.graph.ir import Graph, Node
from edgecv.graph.ops.unary import NAMES

# Ops whose output is their input's values moved: input and output share scale and zero point.
MOVES = frozenset({"Reshape", "Transpose", "Slice", "Pad", "MaxPool2d", "Resize2d", "Concat"})

# Functions of Unary (docs/ops.md) that a 256-entry table holds well; the others have ranges int8
# cannot serve.
TABLE_FUNCTIONS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 16, 18, 19})

INT8_OPS = frozenset(
    {
        "Conv2d", "ConvTranspose2d", "FullyConnected", "MatMul", "Add", "Sub", "Mul", "PRelu",
        "Softmax", "LayerNorm", "AveragePool2d", "ReduceMean", "ArgMax",
    }
) | MOVES  # fmt: skip

# What people call an op in ONNX -> what it is after lowering.
ALIASES: Dict[str, Sequence[str]] = {
    "Conv": ("Conv2d",),
    "ConvTranspose": ("ConvTranspose2d",),
    "Gemm": ("FullyConnected",),
    "MatMul": ("MatMul", "FullyConnected"),
    "MaxPool": ("MaxPool2d",),
    "AveragePool": ("AveragePool2d",),
    "GlobalAveragePool": ("ReduceMean",),
    "LayerNormalization": ("LayerNorm",),
    "Resize": ("Resize2d",),
    "Split": ("Slice",),
    "Flatten": ("Reshape",),
    "Squeeze": ("Reshape",),
    "Unsqueeze": ("Reshape",),
}


def has_int8_form(graph: Graph, node: Node) -> bool:
    """Whether docs/ops.md gives the node an s8 form that this converter uses."""
    if node.op == "Unary":
        return node.attrs["function"] in TABLE_FUNCTIONS
    return node.op in INT8_OPS and all(
        graph.values[name].dtype == "f32" for name in node.inputs[:1] if name
    )


def _is_function(node: Node, op: str) -> bool:
    """Whether a Unary is what ONNX calls ``op``: HardSwish is hard_swish, Gelu either form."""
    function = NAMES[node.attrs["function"]]
    wanted = op.lower().replace("_", "")
    return wanted in (function.replace("_", ""), function.split("_tanh")[0])


def float_nodes(graph: Graph, keep_float: Iterable[str]) -> Set[str]:
    """Names of the nodes that stay f32: those without an int8 form and those ``keep_float``
    selects.

    A rule is a node name or output name (``*`` and ``?`` match), or an op, spelled as in ONNX or as
    in docs/ops.md. Raises UnsupportedModelError when a rule selects nothing: a typing error would
    silently quantize a layer.
    """
    chosen = {node.name for node in graph.nodes if not has_int8_form(graph, node)}
    for rule in keep_float:
        chosen |= matching_nodes(graph, rule, "keep_float")
    return chosen | _moves_between(graph, chosen)


def matching_nodes(graph: Graph, rule: str, option: str) -> Set[str]:
    """Names of the nodes a rule selects (see float_nodes); ``option`` is named when it selects
    none.
    """
    ops = set(ALIASES.get(rule, ())) | {rule}
    matched = {
        node.name
        for node in graph.nodes
        if node.op in ops
        or (node.op == "Unary" and _is_function(node, rule))
        or any(rule == name or fnmatchcase(name, rule) for name in [node.name, *node.outputs])
    }
    if not matched:
        known = ", ".join(sorted({node.op for node in graph.nodes}))
        raise UnsupportedModelError(
            f"{option} rule {rule!r} matches no node: give a node name (wildcards allowed) "
            f"or an op of this model ({known})"
        )
    return matched


def _moves_between(graph: Graph, chosen: Set[str]) -> Set[str]:
    """Moves that take f32 values to f32 readers (or outputs): eight bits on the way would only
    lose.
    """
    producers, readers = graph.producers(), graph.consumers()
    found: Set[str] = set()
    for node in graph.nodes:
        if node.op not in MOVES or node.name in chosen:
            continue
        sources = [producers[name] for name in node.inputs if name in producers]
        if sources and all(source.name in chosen | found for source in sources):
            found.add(node.name)
    for node in reversed(graph.nodes):
        if any(r.name not in chosen | found for r in readers.get(node.outputs[0], [])):
            found.discard(node.name)
    return found
