"""Resize -> Resize2d with tables of indices and weights."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.lower.context import Lowering
from edgecv.graph.passes.lower.layout import Layout
from edgecv.graph.passes.lower.rule import Rule, Rules
from edgecv.graph.passes.rewrite import constant, input_name, normal_axis, shape_of

Array = NDArray[Any]
_MODES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")
_NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def _scales(graph: Graph, node: Node) -> List[float]:
    """The scale of each axis: as given, or output size / input size."""
    before, after = shape_of(graph, node.inputs[0]), shape_of(graph, node.outputs[0])
    scales = [out / size for size, out in zip(before, after)]
    given = constant(graph, input_name(node, 2))
    axes = node.attrs.get("axes") or list(range(len(before)))
    if given is not None and given.size:
        for axis, scale in zip(axes, given.reshape(-1)):
            scales[normal_axis(int(axis), len(before))] = float(scale)
    return scales


def _check(graph: Graph, node: Node) -> List[str]:
    before, after = shape_of(graph, node.inputs[0]), shape_of(graph, node.outputs[0])
    reasons = []
    if len(before) not in (3, 4):
        reasons.append(f"the input has rank {len(before)}, not 3 or 4")
    elif before[:2] != after[:2]:
        reasons.append("batch or channels are resized")
    if node.attrs.get("mode", "nearest") not in ("nearest", "linear"):
        reasons.append(f"mode is {node.attrs['mode']}")
    if node.attrs.get("coordinate_transformation_mode", "half_pixel") not in _MODES:
        reasons.append(f"coordinates are {node.attrs['coordinate_transformation_mode']}")
    if node.attrs.get("nearest_mode", "round_prefer_floor") not in _NEAREST:
        reasons.append(f"nearest_mode is {node.attrs['nearest_mode']}")
    if node.attrs.get("antialias", 0) and any(out < size for size, out in zip(before, after)):
        reasons.append("antialias is set and the image shrinks")
    return reasons


def _coordinates(mode: str, size: int, out: int, scale: float) -> Array:
    """Positions in the input of the pixels of the output, as ONNX defines them, in float64."""
    x = np.arange(out, dtype=np.float64)
    if mode == "align_corners":
        return x * (size - 1) / (out - 1) if out > 1 else np.zeros(1)
    if mode == "asymmetric":
        return x / scale
    if mode == "pytorch_half_pixel" and out == 1:
        return np.zeros(1)
    if mode == "half_pixel_symmetric":
        adjustment = out / (scale * size)
        return size / 2 * (1 - adjustment) + (x + 0.5) / scale - 0.5
    return (x + 0.5) / scale - 0.5


def tables(
    mode: str, coordinate_mode: str, nearest_mode: str, size: int, out: int, scale: float
) -> Tuple[Array, Array]:
    """(index s32 [2, out], weight f32 [out] of the second index) of one axis."""
    x = _coordinates(coordinate_mode, size, out, scale)
    if mode == "nearest":
        rounders: Dict[str, Callable[[Array], Array]] = {
            "round_prefer_floor": lambda v: np.ceil(v - 0.5),
            "round_prefer_ceil": lambda v: np.floor(v + 0.5),
            "floor": np.floor,
            "ceil": np.ceil,
        }
        index = np.clip(rounders[nearest_mode](x), 0, size - 1).astype(np.int32)
        return np.stack([index, index]), np.zeros(out, np.float32)
    x = np.clip(x, 0, size - 1)
    low = np.floor(x)
    index = np.stack([low, np.minimum(low + 1, size - 1)]).astype(np.int32)
    return index, (x - low).astype(np.float32)


def _lower(low: Lowering, node: Node) -> None:
    x, output = node.inputs[0], node.outputs[0]
    rank = len(low.shape(x))
    image = Layout.image(rank)
    before, after = image.stored(low.shape(x)), image.stored(low.shape(output))
    spatial = _scales(low.source, node)[2:]
    scales = [1.0, *spatial] if rank == 3 else spatial
    mode = str(node.attrs.get("mode", "nearest"))
    coordinate_mode = str(node.attrs.get("coordinate_transformation_mode", "half_pixel"))
    nearest_mode = str(node.attrs.get("nearest_mode", "round_prefer_floor"))
    inputs = [low.get(x, image)]
    for axis, name in ((1, "y"), (2, "x")):
        index, weight = tables(
            mode, coordinate_mode, nearest_mode, before[axis], after[axis], scales[axis - 1]
        )
        inputs.append(low.add_constant(f"{output}.{name}_index", index, "s32"))
        inputs.append(low.add_constant(f"{output}.{name}_weight", weight))
    low.define(output, "Resize2d", inputs, image)


RULES: Rules = {
    "Resize": Rule(
        _check,
        _lower,
        "Resize of height and width, mode nearest or linear, coordinates " + ", ".join(_MODES),
    ),
}
