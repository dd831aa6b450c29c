"""What a lowering rule is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, List

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.lower.context import Lowering

Check = Callable[[Graph, Node], List[str]]
Lower = Callable[[Lowering, Node], None]


@dataclass(frozen=True)
class Rule:
    """How one ONNX op is lowered.

    ``check`` returns the reasons why a node cannot be (none: it can); ``lower`` emits the lowered
    nodes. ``form`` says what is supported, for the message about a node that is not.
    """

    check: Check
    lower: Lower
    form: str


Rules = Dict[str, Rule]


def anything(graph: Graph, node: Node) -> List[str]:
    """A check that accepts every node."""
    return []
