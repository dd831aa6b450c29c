"""Ops that move values: most cost nothing, because a layout absorbs them."""

from __future__ import annotations

from typing import List

import numpy as np

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.lower.context import Lowering
from edgecv.graph.passes.lower.elementwise import common_layout
from edgecv.graph.passes.lower.layout import Layout, layout_for, reshape_groups
from edgecv.graph.passes.lower.rule import Rule, Rules, anything
from edgecv.graph.passes.rewrite import (
    constant,
    input_name,
    int_list,
    normal_axis,
    pad_widths,
    shape_of,
)


def _lower_transpose(low: Lowering, node: Node) -> None:
    stored, layout = low.where(node.inputs[0])
    perm = node.attrs.get("perm", list(reversed(range(len(layout.perm)))))
    renamed = Layout(tuple(layout.perm[axis] for axis in perm), layout.rank)
    low.alias(node.outputs[0], stored, renamed)


def _lower_reshape(low: Lowering, node: Node) -> None:
    """Splits and merges axes where they are stored; axes that merge are brought together first."""
    x, output = node.inputs[0], node.outputs[0]
    before, after = low.shape(x), low.shape(output)
    groups = reshape_groups(before, after)
    assert groups is not None
    stored, layout = low.where(x)
    place = {axis: index for index, axis in enumerate(layout.order_of_data(before))}
    together = all(
        [place[axis] for axis in ins] == list(range(place[ins[0]], place[ins[0]] + len(ins)))
        for ins, _ in groups
    )
    # Groups keep the order of their last axes: channels, stored last, stay last.
    groups.sort(key=lambda group: max(place[axis] for axis in group[0]))
    if not together:
        wanted = [axis for ins, _ in groups for axis in ins]
        small = [axis for axis in layout.order() if axis not in wanted]
        target = Layout.of_order(small + wanted)
        stored = low.convert(stored, before, layout, target)
    result = layout_for([axis for _, outs in groups for axis in outs], after)
    dims = result.stored(after)
    if low.graph.values[stored].shape == dims:
        low.alias(output, stored, result)
    else:
        low.define(output, "Reshape", [stored], result)


def _check_reshape(graph: Graph, node: Node) -> List[str]:
    before, after = shape_of(graph, node.inputs[0]), shape_of(graph, node.outputs[0])
    return [] if reshape_groups(before, after) is not None else ["the sizes do not match"]


def _lower_concat(low: Lowering, node: Node) -> None:
    output = node.outputs[0]
    rank = len(low.shape(output))
    layout = common_layout(low, node.inputs, rank)
    axis = layout.perm[normal_axis(int(node.attrs["axis"]), rank)]
    inputs = [low.get(name, layout) for name in node.inputs]
    low.define(output, "Concat", inputs, layout, {"axis": axis})


def _check_concat(graph: Graph, node: Node) -> List[str]:
    if all(constant(graph, name) is not None for name in node.inputs):
        return ["all operands are constant"]
    return []


def _check_slice(graph: Graph, node: Node) -> List[str]:
    reasons = []
    for index, name in ((1, "starts"), (2, "ends"), (3, "axes"), (4, "steps")):
        value = input_name(node, index)
        if value and constant(graph, value) is None:
            reasons.append(f"{name} are not constant")
    steps = int_list(graph, node, 4, "steps")
    if steps is not None and any(step < 1 for step in steps):
        reasons.append("a step is negative")
    return reasons


def _lower_slice(low: Lowering, node: Node) -> None:
    x, output = node.inputs[0], node.outputs[0]
    shape = low.shape(x)
    stored, layout = low.where(x)
    starts = int_list(low.source, node, 1, "starts")
    assert starts is not None
    axes = int_list(low.source, node, 3, "axes") or list(range(len(starts)))
    steps = int_list(low.source, node, 4, "steps") or [1] * len(starts)
    start, step = [0] * layout.rank, [1] * layout.rank
    for axis, first, stride in zip(axes, starts, steps):
        axis = normal_axis(axis, len(shape))
        first = max(first + shape[axis], 0) if first < 0 else min(first, shape[axis])
        start[layout.perm[axis]], step[layout.perm[axis]] = first, stride
    low.define(output, "Slice", [stored], layout, {"start": start, "step": step})


def _check_pad(graph: Graph, node: Node) -> List[str]:
    reasons = []
    if node.attrs.get("mode", "constant") != "constant":
        reasons.append(f"mode is {node.attrs['mode']}, not constant")
    pads = constant(graph, input_name(node, 1))
    if pads is None:
        reasons.append("pads are not constant")
    elif np.any(pads < 0):
        reasons.append("pads are negative")
    fill, axes = input_name(node, 2), input_name(node, 3)
    if (fill and constant(graph, fill) is None) or (axes and constant(graph, axes) is None):
        reasons.append("the fill value or the axes are not constant")
    return reasons


def _lower_pad(low: Lowering, node: Node) -> None:
    x, output = node.inputs[0], node.outputs[0]
    stored, layout = low.where(x)
    before = [0] * layout.rank
    for axis, (first, _) in enumerate(pad_widths(low.source, node)):
        before[layout.perm[axis]] = first
    data = low.constant(input_name(node, 2))
    fill = 0.0 if data is None else float(data.reshape(-1)[0])
    attrs = {"before": before, "fill_f32": fill}
    low.define(output, "Pad", [stored], layout, attrs)


RULES: Rules = {
    "Transpose": Rule(anything, _lower_transpose, "Transpose"),
    "Reshape": Rule(_check_reshape, _lower_reshape, "Reshape to a constant shape"),
    "Concat": Rule(_check_concat, _lower_concat, "Concat of f32"),
    "Slice": Rule(_check_slice, _lower_slice, "Slice with constant starts, ends, steps >= 1"),
    "Pad": Rule(_check_pad, _lower_pad, "Pad with mode constant and constant pads >= 0"),
}
