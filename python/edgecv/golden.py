"""The golden records that make an `.ecv` file prove itself on a device (docs/format.md, "Golden
inputs").

Digests come from the reference kernels, so that every other kernel is held against them.
"""

from __future__ import annotations

import hashlib
from typing import Any, Dict, List, Sequence, Set

import numpy as np
from numpy.typing import NDArray

from edgecv.format.generator import generate
from edgecv.format.schema import Digest, Golden
from edgecv.graph.interpret import interpret_node
from edgecv.graph.ir import Graph, Node
from edgecv.model import load

SAMPLES = 16
# f32 ops promise 1e-4 of the largest magnitude each; their errors add up along a network.
F32_TOLERANCE = 1e-3


def golden_records(graph: Graph, blob: bytes, seeds: Sequence[int]) -> List[Golden]:
    """Goldens for a written model.

    One whole run a seed, with the digests of every op up to the first f32 op and samples of the f32
    ones; then one golden of kind 1 that runs every integer op alone: behind an f32 op nothing else
    is exact, and deep in a network a whole run on noise leaves many channels at one value, where a
    wrong weight changes nothing.

    graph: the lowered graph that ``blob`` was written from, without goldens.
    """
    exact = _exact_nodes(graph)
    goldens: List[Golden] = []
    with load(blob, isa="reference") as model:
        for seed in seeds:
            feed = {
                port.name: generate(
                    seed + i, graph.values[port.value].dtype, graph.values[port.value].shape
                )
                for i, port in enumerate(graph.inputs)
            }
            values = model.trace(feed, raw=True)
            digests = []
            for index, node in enumerate(graph.nodes):
                y = values[node.outputs[0]]
                if node.name in exact:
                    digests.append(Digest(index, sha256=_sha256(y)))
                elif y.dtype == np.float32 and np.isfinite(y).all():
                    digests.append(_samples(index, y))
            if digests:  # noise may leave nothing finite in a float model
                goldens.append(Golden(seed, digests, kind=0))
    alone = [
        (index, node)
        for index, node in enumerate(graph.nodes)
        if graph.values[node.outputs[0]].dtype != "f32"
    ]
    if alone and seeds:
        digests = [
            Digest(i, sha256=_sha256(_run_alone(graph, node, seeds[0]))) for i, node in alone
        ]
        goldens.append(Golden(seeds[0], digests, kind=1))
    return goldens


def _exact_nodes(graph: Graph) -> Set[str]:
    """Names of the nodes whose output is integers that depend on no f32 arithmetic but Quantize."""
    exact_values = {port.value for port in graph.inputs}
    exact: Set[str] = set()
    for node in graph.nodes:
        y = graph.values[node.outputs[0]]
        sources = [name for name in node.inputs if name and graph.values[name].data is None]
        if y.dtype != "f32" and all(name in exact_values for name in sources):
            exact_values.update(node.outputs)
            exact.add(node.name)
    return exact


def _run_alone(graph: Graph, node: Node, seed: int) -> NDArray[Any]:
    inputs: Dict[str, NDArray[Any]] = {}
    for i, name in enumerate(node.inputs):
        if name and graph.values[name].data is None:
            value = graph.values[name]
            inputs[name] = generate(seed + i, value.dtype, value.shape)
    return interpret_node(graph, node, inputs)


def _sha256(y: NDArray[Any]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(y).tobytes()).digest()


def _samples(index: int, y: NDArray[Any]) -> Digest:
    flat = np.ascontiguousarray(y).ravel()
    picked = flat[np.arange(SAMPLES) * flat.size // SAMPLES]
    tolerance = float(np.float32(F32_TOLERANCE * float(np.abs(flat).max()) + 1e-6))
    return Digest(index, samples=tuple(float(v) for v in picked), tolerance=tolerance)
