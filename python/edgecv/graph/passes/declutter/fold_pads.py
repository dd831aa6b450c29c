"""Folds a Pad of the image's sides into the op that reads it.

Cases:
1. Pad with 0 before Conv -> its pads.
2. Pad with 0 before AveragePool that has no pads of its own, or counts them -> its pads, with
   count_include_pad.
3. Pad with -inf before MaxPool -> its pads; also with 0 when the padded value is at least 0
   everywhere (Relu, Clip from 0, Sigmoid, HardSigmoid).

Only when each window still touches the image.
"""

from __future__ import annotations

from typing import List, Optional

import numpy as np

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.declutter.match import clip_bounds
from edgecv.graph.passes.rewrite import (
    Result,
    View,
    constant,
    input_name,
    known,
    pad_widths,
    remove,
    shape_of,
)


def fold_pads(graph: Graph) -> Result:
    """Runs the pass."""
    result = Result()
    view = View(graph)
    for node in list(graph.nodes):
        if node.op != "Pad" or not known(graph, node):
            continue
        readers = view.readers(node.outputs[0])
        if not readers or any(r.op not in ("Conv", "AveragePool", "MaxPool") for r in readers):
            continue
        widths = _widths(graph, node)
        if widths is None:
            result.refuse(node, "it pads other axes than the image's, not by a constant, or crops")
            continue
        reasons = [_reason(graph, node, reader, widths) for reader in readers]
        if view.is_output(node.outputs[0]) or any(reasons):
            result.refuse(node, next((r for r in reasons if r), "it is a graph output"))
            continue
        for reader in readers:
            own = reader.attrs["pads"]
            reader.attrs["pads"] = [a + b for a, b in zip(own, widths)]
            if reader.op == "AveragePool":
                reader.attrs["count_include_pad"] = 1
            reader.inputs[0] = node.inputs[0]
        remove(graph, [node])
        result.changed = True
        view.renew()
    if result.changed:
        graph.drop_unused()
    return result


def _fill(graph: Graph, node: Node) -> Optional[float]:
    name = input_name(node, 2)
    data = constant(graph, name)
    if not name:
        return 0.0
    return None if data is None else float(data.reshape(-1)[0])


def _widths(graph: Graph, node: Node) -> Optional[List[int]]:
    """ONNX pads of the spatial axes, None when the Pad cannot be pads of a window."""
    rank = len(shape_of(graph, node.inputs[0]))
    pads, axes = input_name(node, 1), input_name(node, 3)
    if node.attrs.get("mode", "constant") != "constant" or constant(graph, pads) is None:
        return None
    if axes and constant(graph, axes) is None:
        return None
    widths = pad_widths(graph, node)
    if rank < 3 or np.any(np.array(widths) < 0) or np.any(np.array(widths[:2])):
        return None
    return [first for first, _ in widths[2:]] + [last for _, last in widths[2:]]


def _reason(graph: Graph, pad: Node, reader: Node, widths: List[int]) -> str:
    fill = _fill(graph, pad)
    if reader.inputs[0] != pad.outputs[0] or pad.outputs[0] in reader.inputs[1:]:
        return f"{reader.name} reads it as weights"
    if reader.attrs.get("auto_pad", "NOTSET") != "NOTSET" or "pads" not in reader.attrs:
        return f"the pads of {reader.name} are not resolved"
    if reader.op == "Conv":
        return "" if fill == 0.0 else f"Conv pads with 0, this with {fill}"
    own = reader.attrs["pads"]
    kernel = reader.attrs["kernel_shape"]
    dilations = reader.attrs.get("dilations") or [1] * len(kernel)
    for axis, size in enumerate(kernel):
        reach = (size - 1) * dilations[axis] + 1
        count = len(kernel)
        if max(own[axis] + widths[axis], own[axis + count] + widths[axis + count]) >= reach:
            return f"a window of {reader.name} would see padding only"
    if reader.attrs.get("ceil_mode", 0):
        return f"{reader.name} has ceil_mode"
    if reader.op == "AveragePool":
        if any(own) and not reader.attrs.get("count_include_pad", 0):
            return f"{reader.name} has pads that it does not count"
        return "" if fill == 0.0 else f"AveragePool pads with 0, this with {fill}"
    if any(own) and fill != -np.inf:
        return f"{reader.name} has pads of its own"
    if fill is not None and (fill == -np.inf or fill <= float(np.finfo(np.float32).min)):
        return ""
    if fill == 0.0 and _not_negative(graph, pad.inputs[0]):
        return ""
    return f"MaxPool ignores padding, this pads with {fill}"


def _not_negative(graph: Graph, name: str) -> bool:
    view = View(graph)
    node = view.producer(name, "Relu", "Clip", "Sigmoid", "HardSigmoid", "MaxPool")
    if node is None:
        return False
    if node.op == "MaxPool":
        return _not_negative(graph, node.inputs[0])
    return node.op not in ("Relu", "Clip") or clip_bounds(view, node)[0] >= 0.0
