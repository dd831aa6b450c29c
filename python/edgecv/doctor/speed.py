"""Which layers gain the most time for the least noise by weights for faster kernels."""

from __future__ import annotations

from typing import Dict, List, Mapping, Sequence, Tuple

from edgecv.graph.passes.quantize import LayerWeights
from edgecv.model import Model, load
from edgecv.quant.data import Sample

_ROUNDS = 40  # of runs that take turns: the least time of a step counts, as nothing makes it faster
_LEAST_GAIN = 0.0005  # of the whole time: less than the noise of a measurement
_LEAST_NOISE = 1e-6  # of a layer's output: what counts as nothing


def layer_times(files: Sequence[bytes], sample: Sample) -> List[Dict[str, float]]:
    """Milliseconds by node of files that are profiled in turn, on one thread."""
    models: List[Model] = []
    found: List[Dict[int, float]] = [{} for _ in files]
    try:
        models.extend(load(file, threads=1) for file in files)
        for _ in range(_ROUNDS):
            for model, least in zip(models, found):
                for index, step in enumerate(model.profile(sample, runs=1)):
                    taken = step.milliseconds or 0.0
                    least[index] = min(least.get(index, taken), taken)
        result: List[Dict[str, float]] = []
        for model, least in zip(models, found):
            by_node: Dict[str, float] = {}
            for index, step in enumerate(model.steps):
                by_node[step.name] = by_node.get(step.name, 0.0) + least[index]
            result.append(by_node)
        return result
    finally:
        for model in models:
            model.close()


def by_worth(
    names: Sequence[str],
    times: Tuple[Mapping[str, float], Mapping[str, float]],
    layers: Tuple[Sequence[LayerWeights], Sequence[LayerWeights]],
) -> List[str]:
    """Those nodes that gain time, the most time for the noise first; both before and after."""
    before, after = times
    total = sum(before.values())
    noise = [{one.node: 10.0 ** (-one.sqnr_db / 10.0) for one in some} for some in layers]
    worth: List[Tuple[float, str]] = []
    for name in names:
        gain = before.get(name, 0.0) - after.get(name, 0.0)
        if gain > _LEAST_GAIN * total:
            added = noise[1].get(name, 0.0) - noise[0].get(name, 0.0)
            worth.append((-gain / max(added, _LEAST_NOISE), name))
    return [name for _, name in sorted(worth)]
