"""Looks at what every layer reads while the float model runs over calibration data."""

from __future__ import annotations

from typing import Dict, Iterable, Mapping, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.graph.ir import Graph, Node
from edgecv.quant.data import CalibrationSet
from edgecv.quant.moments import Moments
from edgecv.quant.progress import Progress
from edgecv.quant.ranges import Statistics

WEIGHTED_OPS = frozenset({"Conv2d", "ConvTranspose2d", "FullyConnected"})
_PIXELS = 256  # of one sample that are looked at
_MOST_CHANNELS = 2304  # whose covariance is kept; of wider inputs only the variances


def input_moments(
    graph: Graph,
    nodes: Iterable[Node],
    data: CalibrationSet,
    progress: Optional[Progress] = None,
    statistics: Optional[Mapping[str, Statistics]] = None,
) -> Dict[str, Moments]:
    """Moments of the first input of each of ``nodes``, by value name; ``statistics``, whose ranges
    are known, see the values they are named by.

    graph: the lowered f32 graph. It runs in edgecv's own core, in which every activation lies as
    weights count it, channels last.
    """
    from edgecv.format.writer import write
    from edgecv.model import load

    wanted: Dict[str, Moments] = {}
    for node in nodes:
        name = node.inputs[0]
        channels = graph.values[name].shape[-1]
        depthwise = graph.values[node.inputs[1]].shape[-1] == 1
        full = not depthwise and channels <= _MOST_CHANNELS
        if name not in wanted or (full and wanted[name].products.ndim == 1):
            wanted[name] = Moments.empty(channels, full)
    with load(write(graph, meta={}, preprocess={})) as model:
        for done, sample in enumerate(data):
            values = model.trace(sample)
            for name, stats in (statistics or {}).items():
                stats.see_values(values[name])
            for name, moments in wanted.items():
                pixels = values[name].reshape(-1, len(moments.sums))
                picked = min(len(pixels), _PIXELS)
                moments.see(pixels[np.arange(picked) * len(pixels) // picked])
            if progress is not None:
                progress("measure layer inputs", done + 1, len(data))
    for moments in wanted.values():
        moments.flush()
    return wanted


def channel_reach(
    graph: Graph, data: CalibrationSet, progress: Optional[Progress] = None
) -> Dict[str, Tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The least and the largest value of each channel (last axis) of every f32 activation of a
    lowered f32 graph, by value name.
    """
    from edgecv.format.writer import write
    from edgecv.model import load

    found: Dict[str, Tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    with load(write(graph, meta={}, preprocess={})) as model:
        for done, sample in enumerate(data):
            for name, values in model.trace(sample).items():
                if values.dtype != np.float32 or values.ndim == 0:
                    continue
                flat = values.reshape(-1, values.shape[-1])
                low, high = flat.min(axis=0).astype(float), flat.max(axis=0).astype(float)
                if name in found:
                    low, high = np.minimum(low, found[name][0]), np.maximum(high, found[name][1])
                found[name] = (low, high)
            if progress is not None:
                progress("measure channels", done + 1, len(data))
    return found
