"""Writes the window attributes of convolutions and pools in full.

Cases:
1. kernel_shape of Conv and ConvTranspose from the weights.
2. auto_pad SAME_UPPER, SAME_LOWER, VALID -> pads.
3. output_shape of ConvTranspose -> pads and output_padding.
"""

from __future__ import annotations

from typing import List, Tuple

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.rewrite import Result, known, shape_of

_OPS = ("Conv", "ConvTranspose", "MaxPool", "AveragePool")


def resolve_windows(graph: Graph) -> Result:
    """Runs the pass."""
    result = Result()
    for node in graph.nodes:
        if node.op in _OPS and known_input(graph, node):
            before = dict(node.attrs)
            _resolve(graph, node)
            result.changed |= before != node.attrs
    return result


def known_input(graph: Graph, node: Node) -> bool:
    """True when a node's shapes are known and its image has spatial axes."""
    return known(graph, node) and len(shape_of(graph, node.inputs[0])) > 2


def _resolve(graph: Graph, node: Node) -> None:
    attrs = node.attrs
    if node.op in ("Conv", "ConvTranspose"):
        attrs["kernel_shape"] = list(shape_of(graph, node.inputs[1])[2:])
    kernel: List[int] = list(attrs["kernel_shape"])
    count = len(kernel)
    mode = attrs.pop("auto_pad", "NOTSET") or "NOTSET"
    strides = list(attrs.get("strides") or [1] * count)
    dilations = list(attrs.get("dilations") or [1] * count)
    attrs["strides"], attrs["dilations"] = strides, dilations
    image = shape_of(graph, node.inputs[0])[2:]
    result = shape_of(graph, node.outputs[0])[2:]
    if node.op == "ConvTranspose":
        _resolve_transpose(node, mode, image, result)
        return
    pads = list(attrs.get("pads") or [0] * (2 * count))
    if mode == "VALID":
        pads = [0] * (2 * count)
    elif mode in ("SAME_UPPER", "SAME_LOWER"):
        for axis in range(count):
            reach = (kernel[axis] - 1) * dilations[axis] + 1
            total = max(0, (result[axis] - 1) * strides[axis] + reach - image[axis])
            pads[axis], pads[axis + count] = _split(total, mode)
        attrs.pop("ceil_mode", None)
    attrs["pads"] = pads


def _split(total: int, mode: str) -> Tuple[int, int]:
    small, large = total // 2, total - total // 2
    return (large, small) if mode == "SAME_LOWER" else (small, large)


def _resolve_transpose(
    node: Node, mode: str, image: Tuple[int, ...], result: Tuple[int, ...]
) -> None:
    attrs = node.attrs
    kernel, strides, dilations = attrs["kernel_shape"], attrs["strides"], attrs["dilations"]
    count = len(kernel)
    extra = list(attrs.get("output_padding") or [0] * count)
    pads = list(attrs.get("pads") or [0] * (2 * count))
    if mode == "VALID":
        pads = [0] * (2 * count)
    given = attrs.pop("output_shape", None)
    if given or mode in ("SAME_UPPER", "SAME_LOWER"):
        for axis in range(count):
            full = strides[axis] * (image[axis] - 1) + (kernel[axis] - 1) * dilations[axis] + 1
            total = full + extra[axis] - result[axis]
            if total < 0:
                extra[axis] -= total
                total = 0
            # ONNX: the larger half goes before, unless auto_pad is SAME_UPPER.
            halves = _split(total, "SAME_UPPER" if mode == "SAME_UPPER" else "SAME_LOWER")
            pads[axis], pads[axis + count] = halves
    attrs["pads"], attrs["output_padding"] = pads, extra
