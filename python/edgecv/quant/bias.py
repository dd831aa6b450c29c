"""Bias correction: the mean error of every linear channel, measured on the int8 model as it runs,
goes into the bias of its layer.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019), with
measured means: what clamps, cut ranges and layers before have shifted counts as well.
"""

from __future__ import annotations

from typing import Dict, List, Optional

import numpy as np
from numpy.typing import NDArray

from edgecv.graph.ir import Graph, Node
from edgecv.quant.alike import kinds_of
from edgecv.quant.data import CalibrationSet, Sample
from edgecv.quant.parameters import QuantParams, check_bounds
from edgecv.quant.progress import Progress

_LAYERS = ("Conv2d", "FullyConnected")
_SAMPLES = 32
_DOUBTS = 2.0  # times the variance of a mean that its square has to be above to count
Doubles = NDArray[np.float64]


def linear_layers(lowered: Graph) -> List[str]:
    """Names of the layers of a lowered f32 graph whose output nothing clamps, in order."""
    return [
        node.name
        for node in lowered.nodes
        if node.op in _LAYERS
        and node.attrs.get("lo", -np.inf) == -np.inf
        and node.attrs.get("hi", np.inf) == np.inf
    ]


def correct_biases(
    int8: Graph, lowered: Graph, data: CalibrationSet, progress: Optional[Progress] = None
) -> None:
    """Corrects the linear layers of an int8 graph in place, first to last, each with those before
    it corrected. lowered: the f32 graph it was made from.
    """
    samples = _some(data)
    nodes = {node.name: node for node in int8.nodes}
    names = [
        name
        for name in linear_layers(lowered)
        if name in nodes and int8.values[nodes[name].outputs[0]].dtype == "s8"
    ]
    values = [nodes[name].outputs[0] for name in names]
    wanted = _means(lowered, samples, values)
    for done, (name, value) in enumerate(zip(names, values)):
        got = _means(int8, samples, [value])[value]
        _shift(int8, nodes[name], wanted[value] - got)
        if progress is not None:
            progress("correct biases", done + 1, len(names))


def _some(data: CalibrationSet) -> List[Sample]:
    """Samples of different photographs: several sizes of one would have their own errors counted as
    what all have in common. Where all are alike, as of a camera that never moves, all of them: one
    would be believed without doubt.
    """
    every = list(data)
    first = [every[i] for i in sorted(kind[0] for kind in kinds_of(every))]
    if len(first) == 1:
        first = every
    count = min(len(first), _SAMPLES)
    return [first[i * len(first) // count] for i in range(count)]


def _means(graph: Graph, samples: List[Sample], names: List[str]) -> Dict[str, Doubles]:
    """The mean of each channel of activations over each sample, [samples, channels]."""
    from edgecv.format.writer import write
    from edgecv.model import load

    found: Dict[str, List[Doubles]] = {name: [] for name in names}
    with load(write(graph, meta={}, preprocess={})) as model:
        for sample in samples:
            values = model.trace(sample)
            for name, means in found.items():
                one = values[name]
                means.append(one.reshape(-1, one.shape[-1]).mean(axis=0, dtype=np.float64))
    return {name: np.stack(means) for name, means in found.items()}


def _shift(graph: Graph, node: Node, off: Doubles) -> None:
    """Adds the mean of ``off`` [samples, channels] to what a layer gives; what differs from sample
    to sample counts less, or not at all.
    """
    mean = off.mean(axis=0)
    doubt = _DOUBTS * off.var(axis=0) / max(len(off) - 1, 1)
    square = np.square(mean)
    share = np.divide(square - doubt, square, out=np.zeros_like(square), where=square > doubt)
    mean = mean * share
    weights, bias, multiplier = (graph.values[name] for name in node.inputs[1:4])
    x, y = graph.values[node.inputs[0]], graph.values[node.outputs[0]]
    assert weights.data is not None
    assert bias.data is not None
    assert multiplier.data is not None
    steps = np.rint(mean / (multiplier.data.astype(np.float64) * y.scale)).astype(np.int64)
    found = bias.data.astype(np.int64) + steps
    try:
        check_bounds(weights.data, found, multiplier.data, QuantParams(x.scale, x.zero_point))
    except ValueError:
        return  # it would leave 32 bits
    bias.data = found.astype(np.int32)
