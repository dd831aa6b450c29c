"""Cross-layer equalization: channels of an activation are scaled to ranges alike, and the layers
around it undo that. The float model stays what it was; int8 gives every channel more steps.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019), with
measured ranges of activations: scales of weights are per channel here and need no help.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.graph.ir import Graph, Node
from edgecv.quant.scales import SharedScales

Doubles = NDArray[np.float64]
_MOST = 64.0  # what a channel is scaled by, at most, and its inverse
_SUMS = ("Add", "Sub")
# Whose output scales with its input, channel by channel; Reshape only where channels stay last.
_KEEPS = ("ReduceMean", "AveragePool2d", "MaxPool2d", "Reshape")


@dataclass
class Link:
    """Activations whose channels are scaled together, the layers that write and that read them."""

    values: List[str]
    writers: List[Node]
    readers: List[Node]


def _is_open(node: Node) -> bool:
    """Whether scaling a channel passes the fused clamp: none, or one at 0."""
    low, high = node.attrs.get("lo", -np.inf), node.attrs.get("hi", np.inf)
    return bool(low in (-np.inf, 0.0) and high == np.inf)


def _keeps(graph: Graph, node: Node) -> bool:
    if node.op not in _KEEPS or not _is_open(node):
        return False
    x, y = graph.values[node.inputs[0]].shape, graph.values[node.outputs[0]].shape
    if node.op == "ReduceMean":
        return int(node.attrs["last_axis"]) < len(x) - 1
    return x[-1] == y[-1]


def _is_layer(graph: Graph, node: Node) -> bool:
    """Whether weights can take the scales of channels up."""
    if node.op == "FullyConnected":
        return True
    if node.op != "Conv2d":
        return False
    groups = int(node.attrs.get("groups", 1))
    return groups == 1 or graph.values[node.inputs[1]].shape[-1] == 1


def links(graph: Graph) -> List[Link]:
    """The groups of activations of a lowered f32 graph whose channels can be scaled."""
    joined, fixed = SharedScales(), set(graph.output_values())
    fixed.update(port.value for port in graph.inputs)
    writers: Dict[str, List[Node]] = {}
    readers: Dict[str, List[Node]] = {}
    for node in graph.nodes:
        inputs = [n for n in node.inputs if n and not graph.values[n].is_constant]
        y = node.outputs[0]
        if node.op in _SUMS and len(inputs) == 2 and _is_open(node):
            shapes = {graph.values[name].shape for name in (*inputs, y)}
            if len(shapes) == 1:
                joined.join([*inputs, y])
                continue
        if _keeps(graph, node):
            joined.join([inputs[0], y])
            continue
        if _is_layer(graph, node):
            readers.setdefault(inputs[0], []).append(node)
            writers.setdefault(y, []).append(node)
            if not _is_open(node):
                fixed.add(y)
            fixed.update(inputs[1:])
            continue
        fixed.update(inputs)
        fixed.update(node.outputs)
    members: Dict[str, List[str]] = {}
    for value in graph.values.values():
        if not value.is_constant:
            members.setdefault(joined.find(value.name), []).append(value.name)
    result = []
    for names in members.values():
        made = [node for name in names for node in writers.get(name, [])]
        read = [node for name in names for node in readers.get(name, [])]
        channels = {graph.values[name].shape[-1] for name in names if graph.values[name].shape}
        if made and read and len(channels) == 1 and not fixed.intersection(names):
            result.append(Link(names, made, read))
    return result


def equalize(
    graph: Graph, reach: Mapping[str, Tuple[Doubles, Doubles]], strength: float
) -> Dict[str, Doubles]:
    """Scales channels in place; returns value name -> what its channels were multiplied with.

    reach: least and largest value of each channel, by value name. strength: 1 makes all ranges
    alike, 0 none.
    """
    changed: Dict[str, Doubles] = {}
    for link in links(graph):
        known = [reach[name] for name in link.values if name in reach]
        if not known:
            continue
        extent = np.max([np.maximum(high, 0) - np.minimum(low, 0) for low, high in known], axis=0)
        if extent.max() <= 0:
            continue
        usual = float(np.exp(np.log(extent[extent > 0]).mean()))
        factor = np.where(extent > 0, (usual / np.maximum(extent, 1e-30)) ** strength, 1.0)
        # Coarse steps: the same scales from ranges that differ by a rounding.
        factor = np.exp2(np.rint(4.0 * np.log2(np.clip(factor, 1.0 / _MOST, _MOST))) / 4.0)
        for node in link.writers:
            _scale(graph, node, factor, 0)
        for node in link.readers:
            _scale(graph, node, factor, -1)
        changed.update(dict.fromkeys(link.values, factor))
    return changed


def _scale(graph: Graph, node: Node, factor: Doubles, axis: int) -> None:
    """Multiplies what a layer writes (axis 0), or undoes the scaling of what it reads (-1)."""
    weights = graph.values[node.inputs[1]]
    data: Any = weights.data
    assert data is not None
    is_depthwise = node.op == "Conv2d" and int(node.attrs.get("groups", 1)) > 1
    along = np.repeat(factor, len(data) // len(factor)) if is_depthwise else factor
    shape = [1] * data.ndim
    at = 0 if axis == 0 or is_depthwise else data.ndim - 1
    shape[at] = data.shape[at]
    by = (along if axis == 0 else 1.0 / along).reshape(shape)
    scaled = (data.astype(np.float64) * by).astype(np.float32)
    node.inputs[1] = graph.constant(f"{weights.name}.equalized", scaled, "f32").name
    if axis == 0 and len(node.inputs) > 2 and node.inputs[2]:
        bias = graph.values[node.inputs[2]]
        assert bias.data is not None
        both = (bias.data.astype(np.float64) * along).astype(np.float32)
        node.inputs[2] = graph.constant(f"{bias.name}.equalized", both, "f32").name
