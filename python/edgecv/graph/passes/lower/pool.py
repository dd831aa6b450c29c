"""Pools and means -> MaxPool2d, AveragePool2d, ReduceMean."""

from __future__ import annotations

from typing import Any, Dict, List

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.lower.context import Lowering, lists
from edgecv.graph.passes.lower.conv import check_window, window
from edgecv.graph.passes.lower.layout import Layout
from edgecv.graph.passes.lower.rule import Rule, Rules
from edgecv.graph.passes.rewrite import int_list, normal_axis, shape_of


def _kernel(node: Node) -> List[int]:
    kernel = lists(node, "kernel_shape", [])
    return [1, *kernel] if len(kernel) == 1 else kernel


def _check_pool(graph: Graph, node: Node) -> List[str]:
    reasons = check_window(graph, node)
    if reasons:
        return reasons
    if len(node.outputs) > 1:
        reasons.append("the indices output is used")
    rank = len(shape_of(graph, node.inputs[0]))
    attrs = window(node, rank)
    kernel = _kernel(node)
    for size, axis in (("h", 0), ("w", 1)):
        side = ("top", "bottom") if size == "h" else ("left", "right")
        reach = (kernel[axis] - 1) * attrs[f"dilation_{size}"] + 1
        if max(attrs[f"pad_{item}"] for item in side) >= reach:
            reasons.append("a window sees padding only")
            break
    if node.op == "AveragePool" and max(attrs["dilation_h"], attrs["dilation_w"]) > 1:
        reasons.append("an average pool has dilations")
    return reasons


def _lower_pool(low: Lowering, node: Node) -> None:
    x, output = node.inputs[0], node.outputs[0]
    rank = len(low.shape(x))
    image = Layout.image(rank)
    kernel = _kernel(node)
    attrs: Dict[str, Any] = {"kernel_h": kernel[0], "kernel_w": kernel[1], **window(node, rank)}
    declared = (attrs["pad_bottom"], attrs["pad_right"])
    if node.attrs.get("ceil_mode", 0):
        before = image.stored(low.shape(x))
        after = image.stored(low.shape(output))
        for axis, size, first, last in ((1, "h", "top", "bottom"), (2, "w", "left", "right")):
            reach = (attrs[f"kernel_{size}"] - 1) * attrs[f"dilation_{size}"] + 1
            covered = (after[axis] - 1) * attrs[f"stride_{size}"] + reach
            attrs[f"pad_{last}"] = max(0, covered - before[axis] - attrs[f"pad_{first}"])
    op = "MaxPool2d"
    if node.op == "AveragePool":
        op = "AveragePool2d"
        attrs["count_include_pad"] = int(node.attrs.get("count_include_pad", 0))
        attrs["declared_pad_bottom"], attrs["declared_pad_right"] = declared
    low.define(output, op, [low.get(x, image)], image, attrs)


def _lower_global_max(low: Lowering, node: Node) -> None:
    x = node.inputs[0]
    rank = len(low.shape(x))
    image = Layout.image(rank)
    _, height, width, _ = image.stored(low.shape(x))
    attrs = {
        "kernel_h": height,
        "kernel_w": width,
        **window(Node("MaxPool", "", [], []), rank),
    }
    low.define(node.outputs[0], "MaxPool2d", [low.get(x, image)], image, attrs)


def _check_global(graph: Graph, node: Node) -> List[str]:
    rank = len(shape_of(graph, node.inputs[0]))
    return [] if rank in (3, 4) else [f"the input has rank {rank}, not 3 or 4"]


def _reduced(graph: Graph, node: Node) -> List[int]:
    rank = len(shape_of(graph, node.inputs[0]))
    axes = int_list(graph, node, 1, "axes")
    if not axes:
        return [] if node.attrs.get("noop_with_empty_axes", 0) else list(range(rank))
    return sorted(normal_axis(axis, rank) for axis in axes)


def _check_mean(graph: Graph, node: Node) -> List[str]:
    if not shape_of(graph, node.inputs[0]):
        return ["the input is a scalar"]
    return [] if _reduced(graph, node) else ["no axes are reduced"]


def _lower_mean(low: Lowering, node: Node) -> None:
    if node.op == "GlobalAveragePool":
        axes = list(range(2, len(low.shape(node.inputs[0]))))
        keep = True
    else:
        axes = _reduced(low.source, node)
        keep = bool(node.attrs.get("keepdims", 1))
    mean(low, node.inputs[0], axes, keep, node.outputs[0])


def mean(low: Lowering, x: str, axes: List[int], keep: bool, output: str) -> None:
    """Emits the mean of x over ONNX ``axes`` as the ONNX value ``output``."""
    shape = low.shape(x)
    layout = low.layout(x)
    positions = sorted(layout.perm[axis] for axis in axes if shape[axis] != 1)
    if not positions:
        positions = [layout.perm[axes[0]]]
    between = [
        axis
        for axis, position in enumerate(layout.perm)
        if positions[0] < position < positions[-1] and axis not in axes and shape[axis] != 1
    ]
    if between:
        rest = [axis for axis in layout.order() if axis not in axes]
        layout = Layout.of_order(rest + sorted(axes, key=lambda axis: layout.perm[axis]))
        positions = sorted(layout.perm[axis] for axis in axes if shape[axis] != 1)
    attrs = {"first_axis": positions[0], "last_axis": positions[-1]}
    after = layout
    if not keep:
        kept = [axis for axis in range(len(shape)) if axis not in axes]
        after = Layout(tuple(layout.perm[axis] for axis in kept), layout.rank)
    low.define(output, "ReduceMean", [low.get(x, layout)], after, attrs)


_POOL = "of rank 3 or 4 whose windows all touch the image"
RULES: Rules = {
    "MaxPool": Rule(_check_pool, _lower_pool, f"MaxPool {_POOL}, values output only"),
    "AveragePool": Rule(_check_pool, _lower_pool, f"AveragePool {_POOL}, without dilations"),
    "GlobalMaxPool": Rule(_check_global, _lower_global_max, "GlobalMaxPool of rank 3 or 4"),
    "GlobalAveragePool": Rule(_check_global, _lower_mean, "GlobalAveragePool of rank 3 or 4"),
    "ReduceMean": Rule(_check_mean, _lower_mean, "ReduceMean over at least one axis"),
}
