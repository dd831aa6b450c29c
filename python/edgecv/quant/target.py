"""How coarse the weights of each layer are for a file of a given size.

Noise is spread so that no layer could give bits to another for less error of the model's outputs:
every weight then adds as much to that error, as far as it was measured, one layer at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.calibrated import CalibratedModel, Quantized, View, copy_of
from edgecv.errors import Error
from edgecv.graph.ir import Graph
from edgecv.quant.layer_inputs import WEIGHTED_OPS
from edgecv.quant.plan import Plan
from edgecv.quant.progress import Progress
from edgecv.quant.rate import BIT_WORTH

Floats = NDArray[np.float32]
Steps = Dict[str, Tuple[float, float]]
_SAMPLES = 6  # calibration samples that harm is measured on
_PROBE = 0.01  # how much of a layer's output energy is noise then
_LOOKED_AT = 1 << 16  # weights of a layer whose entropy is estimated
_COARSEST = 3.0  # steps of the largest weight, at least
_TURNS = 5
_NEAR = 0.99  # of the target: near enough
_PRICE = 1.0  # of a bit, in BIT_WORTH


@dataclass
class RatedLayer:
    """A layer whose weights may get coarser.

    energy: of its output, in variances, summed. variance: what a weight is multiplied with, on
    average. harm: relative squared error of the model's outputs by that of the layer's output.
    """

    name: str
    weights: Floats
    energy: float
    variance: float
    harm: float = 1.0

    def step_for(self, noise: float) -> float:
        """The step at which each weight adds ``noise`` to the error of the model's outputs."""
        top = float(np.abs(self.weights).max())
        step = float(np.sqrt(12 * noise * self.energy / (self.harm * self.variance)))
        return min(max(step, top / 127), top / _COARSEST)


def rated_layers(view: View, taken: Set[str]) -> List[RatedLayer]:
    """The layers whose inputs are known, but for depthwise ones, which are small, and ``taken``."""
    layers = []
    for node in view.lowered.nodes:
        moments = view.moments.get(node.inputs[0]) if node.op in WEIGHTED_OPS else None
        weights: Any = view.lowered.values[node.inputs[1]].data if moments else None
        if moments is None or node.name in taken or int(node.attrs.get("groups", 1)) != 1:
            continue
        channels = weights.shape[-1]
        energy = moments.energy(0, weights.reshape(-1, channels))
        variance = float(moments.variance().mean())
        if energy > 0 and variance > 0:
            layers.append(RatedLayer(node.name, weights, energy, variance))
    return layers


def measure_harm(layers: Sequence[RatedLayer], view: View, made: CalibratedModel,
                 progress: Optional[Progress] = None) -> None:  # fmt: skip
    """Sets ``harm`` of each layer: the float model runs with its weights rounded, all others as
    they are.
    """
    from edgecv.format.writer import write
    from edgecv.model import load

    count = len(made.data)
    chosen = sorted({i * count // _SAMPLES for i in range(_SAMPLES)})
    feeds = [feed for i, feed in enumerate(made.data) if i in chosen]

    def outputs(graph: Graph) -> List[NDArray[np.float64]]:
        with load(write(graph, meta={}, preprocess={}), threads=1) as model:
            runs = [model.run(feed) for feed in feeds]
        return [
            np.concatenate([np.asarray(y, np.float64).reshape(-1) for y in run.values()])
            for run in runs
        ]

    wanted = outputs(view.lowered)
    by_name = {node.name: node for node in view.lowered.nodes}
    for done, layer in enumerate(layers):
        if progress is not None:
            progress("measuring layers", done, len(layers))
        step = float(np.sqrt(12 * _PROBE * layer.energy / (layer.variance * layer.weights.size)))
        graph = copy_of(view.lowered)
        node = by_name[layer.name]
        rounded = (np.rint(layer.weights / step) * step).astype(np.float32)
        graph.values[node.inputs[1]].data = rounded
        channels = rounded.shape[-1]
        noise = view.moments[node.inputs[0]].energy(
            0, (layer.weights - rounded).reshape(-1, channels)
        )
        errors = [
            float(np.square(y - x).sum() / max(np.square(x).sum(), 1e-30))
            for y, x in zip(outputs(graph), wanted)
        ]
        if noise > 0:
            layer.harm = max(float(np.mean(errors)) * layer.energy / noise, 1e-6)
    if progress is not None:
        progress("measuring layers", len(layers), len(layers))


def entropy_bytes(layers: Sequence[RatedLayer], noise: float) -> float:
    """About how many bytes the weights take when each adds ``noise``."""
    total = 0.0
    for layer in layers:
        flat = layer.weights.reshape(-1)
        flat = flat[:: max(1, flat.size // _LOOKED_AT)]
        q = np.clip(np.rint(flat / layer.step_for(noise)), -127, 127).astype(np.int64)
        share = np.bincount(q + 127) / q.size
        share = share[share > 0]
        total -= float((share * np.log2(share)).sum()) * layer.weights.size / 8
    return total


def noise_for(layers: Sequence[RatedLayer], size: float) -> float:
    """The noise at which the weights take about ``size`` bytes."""
    low, high = np.log(1e-16), np.log(1e3)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if entropy_bytes(layers, np.exp(middle)) > size else (low, middle)
        )
    return float(np.exp(high))


def fit(
    made: CalibratedModel,
    plan: Plan,
    target: int,
    size_of: Callable[[Graph], int],
    progress: Optional[Progress] = None,
) -> Quantized:
    """The int8 graph of a plan whose file, as ``size_of`` writes it, has at most ``target`` bytes
    and not much less.

    Raises Error when the coarsest weights do not make it as small.
    """
    view = made.view(plan.equalize)
    view.look([node for node in view.lowered.nodes if node.op in WEIGHTED_OPS], [])
    layers = rated_layers(view, made.planned_nodes(plan))
    budget = 0.98 * target - _other_bytes(view.lowered, layers)
    if entropy_bytes(layers, 0.0) <= budget or not layers:
        found = made.quantize(plan)
        size = size_of(found.graph)
        if size <= target:
            return found
        if not layers:
            raise Error(f"no layer can be stored in fewer bits: the file has {size:,} bytes")
    measure_harm(layers, view, made, progress)
    best: Tuple[int, Optional[Quantized]] = (0, None)
    smallest = 1 << 62
    for _ in range(_TURNS):
        budget = max(budget, 1.0)
        noise = noise_for(layers, budget)
        steps = {layer.name: (layer.step_for(noise), _PRICE * BIT_WORTH) for layer in layers}
        found = made.quantize(plan, steps)
        size = size_of(found.graph)
        smallest = min(smallest, size)
        if best[0] < size <= target:
            best = (size, found)
        if _NEAR * target <= size <= target:
            break
        # From what the steps were taken to give: steps of 127 a range get no finer for more.
        budget = min(budget, entropy_bytes(layers, noise)) + 0.997 * target - size
    if best[1] is None:
        raise Error(f"cannot make a file of {target:,} bytes: it would have {smallest:,} at least")
    return best[1]


def _other_bytes(graph: Graph, layers: Sequence[RatedLayer]) -> float:
    """About what a file holds besides the weights of these layers."""
    rated = {id(layer.weights) for layer in layers}
    constants = [value.data for value in graph.values.values() if value.data is not None]
    weights = sum(data.size for data in constants if data.ndim > 1 and id(data) not in rated)
    others = sum(data.nbytes for data in constants if data.ndim <= 1)
    return float(weights + others + 512 * len(graph.nodes))
