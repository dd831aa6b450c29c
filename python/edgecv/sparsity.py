"""Recognises zeros in weights, and the patterns in which pruning tools leave them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Optional

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edgecv.graph.ir import Graph

# Below this share zeros are what training leaves, and nothing is said of them.
_NOTABLE = 0.25
_OF_FOUR = 4


@dataclass(frozen=True)
class Sparsity:
    """``zeros``: their share of the weights. ``pattern``: one of

    - "filters": whole output channels, which pruning can remove
    - "1x4 blocks": 4 inputs side by side are zero together
    - "2:4": at least 2 of every 4 inputs side by side are zero
    - "unstructured": anything else

    ``gain``: of blocks in pointwise and fully connected layers, how many times as fast the kernel
    that skips them is on x86, about; it is taken where that is clearly faster.
    """

    zeros: float
    pattern: str
    gain: Optional[float] = None

    def __str__(self) -> str:
        return f"{100 * self.zeros:.0f}% zeros ({self.pattern})"


def sparsity_of(weights: NDArray[Any]) -> Optional[Sparsity]:
    """The pattern of weights [outputs, inputs, ...], None when they have no notable zeros."""
    if weights.ndim < 2 or weights.size == 0:
        return None
    zero = np.asarray(weights) == 0
    share = float(zero.mean())
    if share < _NOTABLE:
        return None
    rows = zero.reshape(zero.shape[0], zero.shape[1], -1)
    count = float(zero.sum())
    empty = rows.all((1, 2))
    if float(empty.sum()) * rows[0].size >= 0.99 * count:
        return Sparsity(share, "filters")
    rows = rows[~empty]
    whole = rows.shape[1] // _OF_FOUR * _OF_FOUR
    if whole:
        fours = rows[:, :whole].reshape(len(rows), -1, _OF_FOUR, rows.shape[2])
        left = float(rows.sum())
        if float(fours.all(2).sum()) * _OF_FOUR >= 0.95 * left:
            return Sparsity(share, "1x4 blocks", _gain(np.asarray(weights)))
        if bool((fours.sum(2) >= 2).all()):
            return Sparsity(share, "2:4")
    return Sparsity(share, "unstructured")


def _gain(weights: NDArray[Any]) -> Optional[float]:
    outputs, inputs = weights.shape[:2]
    if weights.size != outputs * inputs:
        return None
    return sparse_gain(outputs, inputs, share_of_blocks(weights), single=weights.ndim == 2)


def sparse_gain(outputs: int, inputs: int, blocks: float, single: bool = False) -> float:
    """How many times as fast as the dense kernel the one that skips blocks of 1x4 is on x86, about:
    for a pointwise layer of many pixels, or a single one, that keeps this share of its blocks.
    """
    if single:  # ns an output
        return 0.024 * inputs / (0.112 * inputs * blocks + 3.0)
    # ns an output of eight pixels by AVX2: products, then requantizing and storing, and its share
    # of copying the inputs.
    dense = 0.058 * inputs + 0.64 + 0.1 * inputs / outputs
    sparse = 0.083 * inputs * blocks + 1.2 + 0.28 * inputs / outputs
    return dense / sparse


def share_of_blocks(weights: NDArray[Any]) -> float:
    """The share of the blocks of four inputs side by side that are not zero."""
    rows = np.asarray(weights).reshape(weights.shape[0], weights.shape[1], -1)
    padded = np.zeros((len(rows), -(-rows.shape[1] // _OF_FOUR) * _OF_FOUR, rows.shape[2]), bool)
    padded[:, : rows.shape[1]] = rows != 0
    return float(padded.reshape(len(rows), -1, _OF_FOUR, rows.shape[2]).any(2).mean())


def patterns_of(graph: Graph) -> Dict[str, Sparsity]:
    """The layers of a graph of ONNX ops with notable zeros, by name of the node."""
    found = {}
    for node in graph.nodes:
        if node.op not in ("Conv", "Gemm", "MatMul") or len(node.inputs) < 2:
            continue
        weights = graph.values[node.inputs[1]].data
        if weights is None or weights.ndim < 2:
            continue
        if node.op == "MatMul" or (node.op == "Gemm" and not node.attrs.get("transB", 0)):
            weights = weights.T
        sparsity = sparsity_of(weights) if weights.shape[1] > 1 else None
        if sparsity is not None:
            found[node.name] = sparsity
    return found
