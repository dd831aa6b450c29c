"""What an ONNX model brings along from pruning and weight sharing done elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from edgecv.compress.network import Network, attributes
from edgecv.sparsity import Sparsity, sparsity_of

_ADVICE = {
    "filters": "edgecv compress prune removes them",
    "2:4": "kept dense: file 0%, time 0",
    "unstructured": "kept dense: file 0%, time 0",
}


@dataclass
class LookedAt:
    """The weights of a layer. ``distinct``: how many different ones (at most of a channel)."""

    name: str
    shape: Tuple[int, ...]
    zeros: float
    pattern: Optional[str]
    distinct: int
    advice: str


def look(model: Any, input_shapes: Optional[Mapping[str, Sequence[int]]] = None) -> List[LookedAt]:
    """Every layer with constant float weights."""
    net = Network(model, input_shapes)
    layers = []
    for node in net.nodes:
        weights = net.weight(node, 1)
        if node.op_type not in ("Conv", "Gemm", "MatMul") or weights is None or weights.ndim < 2:
            continue
        if node.op_type == "MatMul" or (
            node.op_type == "Gemm" and not attributes(node).get("transB", 0)
        ):
            weights = weights.T
        found = sparsity_of(weights) if weights.shape[1] > 1 else None
        layers.append(
            LookedAt(
                node.name or node.output[0],
                tuple(weights.shape),
                float(np.mean(weights == 0)),
                found.pattern if found else None,
                max(len(np.unique(row)) for row in weights.reshape(len(weights), -1)),
                _worth(found) if found else "",
            )
        )
    return layers


def _worth(found: Sparsity) -> str:
    """What zeros gain: blocks are skipped by pointwise and fully connected layers."""
    if found.pattern != "1x4 blocks":
        return _ADVICE[found.pattern]
    if found.gain is None:
        return "kept dense: file 0%, time 0 (no kernel skips blocks of k x k layers)"
    if found.gain < 1.1:
        return "kept dense: as fast"
    return f"sparse kernel on x86, about {found.gain:.1f} times as fast"
