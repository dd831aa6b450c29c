"""Conv, ConvTranspose and BatchNormalization -> Conv2d, ConvTranspose2d."""

from __future__ import annotations

from typing import Any, Dict, List

import numpy as np

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.lower.context import NO_CLAMP, Lowering, lists
from edgecv.graph.passes.lower.layout import Layout
from edgecv.graph.passes.lower.rule import Rule, Rules
from edgecv.graph.passes.rewrite import constant, input_name, shape_of


def window(node: Node, rank: int) -> Dict[str, int]:
    """Strides, dilations and pads of a convolution or pool of rank 3 (H = 1) or 4."""
    count = rank - 2
    strides = lists(node, "strides", [1] * count)
    dilations = lists(node, "dilations", [1] * count)
    pads = lists(node, "pads", [0] * (2 * count))
    if rank == 3:
        strides, dilations, pads = [1, *strides], [1, *dilations], [0, pads[0], 0, pads[1]]
    return {
        "stride_h": strides[0],
        "stride_w": strides[1],
        "dilation_h": dilations[0],
        "dilation_w": dilations[1],
        "pad_top": pads[0],
        "pad_left": pads[1],
        "pad_bottom": pads[2],
        "pad_right": pads[3],
    }


def check_window(graph: Graph, node: Node) -> List[str]:
    """Reasons that hold for every op with a window over an image."""
    reasons = []
    rank = len(shape_of(graph, node.inputs[0]))
    if rank not in (3, 4):
        reasons.append(f"the input has rank {rank}, not 3 or 4")
    if node.attrs.get("auto_pad", "NOTSET") not in ("NOTSET", ""):
        reasons.append(f"auto_pad {node.attrs['auto_pad']} is not resolved")
    if any(pad < 0 for pad in lists(node, "pads", [0])):
        reasons.append("pads are negative")
    return reasons


def _check_conv(graph: Graph, node: Node) -> List[str]:
    reasons = check_window(graph, node)
    if constant(graph, node.inputs[1]) is None:
        reasons.append("the weights are not constant")
    bias = input_name(node, 2)
    if bias and constant(graph, bias) is None:
        reasons.append("the bias is not constant")
    if not reasons:
        reasons += _check_shapes(graph, node)
    if node.op == "ConvTranspose" and not reasons:
        rank = len(shape_of(graph, node.inputs[0]))
        extra = lists(node, "output_padding", [0] * (rank - 2))
        if any(item < 0 for item in extra):
            reasons.append("output_padding is negative")
    return reasons


def _check_shapes(graph: Graph, node: Node) -> List[str]:
    """What ONNX's shape inference lets pass."""
    x, w, y = (shape_of(graph, name) for name in (*node.inputs[:2], node.outputs[0]))
    groups = int(node.attrs.get("group", 1))
    if len(w) != len(x) or len(y) != len(x):
        return ["the ranks of input and weights differ"]
    ins, outs = (w[1] * groups, w[0]) if node.op == "Conv" else (w[0], w[1] * groups)
    if ins != x[1] or groups < 1 or ins % groups or outs % groups or y[1] != outs:
        return [f"{x[1]} channels do not fit the weights and {groups} groups"]
    bias = input_name(node, 2)
    if bias and shape_of(graph, bias) != (outs,):
        return ["the bias does not fit the weights"]
    return []


def _lower_conv(low: Lowering, node: Node) -> None:
    x, output = node.inputs[0], node.outputs[0]
    rank = len(low.shape(x))
    w = low.constant(node.inputs[1])
    assert w is not None
    groups = int(node.attrs.get("group", 1))
    attrs: Dict[str, Any] = {**window(node, rank), "groups": groups, **NO_CLAMP}
    if rank == 3:
        w = w[:, :, None, :]
    op = "Conv2d"
    if node.op == "ConvTranspose":
        op = "ConvTranspose2d"
        # [C, OC/groups, KH, KW] -> [OC, C/groups, KH, KW]
        c, per_group = w.shape[:2]
        w = w.reshape(groups, c // groups, per_group, *w.shape[2:]).transpose(0, 2, 1, 3, 4)
        w = w.reshape(groups * per_group, c // groups, *w.shape[3:])
        extra = lists(node, "output_padding", [0] * (rank - 2))
        extra = [0, *extra] if rank == 3 else extra
        attrs.update(output_pad_h=extra[0], output_pad_w=extra[1])
    image = Layout.image(rank)
    inputs = [low.get(x, image), low.add_constant(node.inputs[1], w.transpose(0, 2, 3, 1))]
    bias = low.constant(input_name(node, 2))
    if bias is not None:
        inputs.append(low.add_constant(node.inputs[2], bias))
    low.define(output, op, inputs, image, attrs)


def _check_batch_norm(graph: Graph, node: Node) -> List[str]:
    reasons = []
    channels = shape_of(graph, node.inputs[0])[1:2]
    parameters = [constant(graph, name) for name in node.inputs[1:5]]
    if any(item is None or item.shape != channels for item in parameters):
        reasons.append("scale, bias, mean or variance is not a constant vector")
    if len(node.outputs) > 1 or node.attrs.get("training_mode", 0):
        reasons.append("it is in training mode")
    return reasons


def _lower_batch_norm(low: Lowering, node: Node) -> None:
    x, output = node.inputs[0], node.outputs[0]
    rank = len(low.shape(x))
    scale, bias, mean, variance = (low.constant(name) for name in node.inputs[1:5])
    assert scale is not None
    assert bias is not None
    assert mean is not None
    assert variance is not None
    root = np.sqrt(variance.astype(np.float64) + float(node.attrs.get("epsilon", 1e-5)))
    factor = scale / root
    offset = bias - mean * factor
    if rank in (3, 4):
        w = low.add_constant(f"{output}.weight", factor.reshape(-1, 1, 1, 1))
        b = low.add_constant(f"{output}.bias", offset)
        attrs: Dict[str, Any] = {
            **window(Node("Conv", "", [], []), rank),
            "groups": int(factor.size),
            **NO_CLAMP,
        }
        image = Layout.image(rank)
        low.define(output, "Conv2d", [low.get(x, image), w, b], image, attrs)
        return
    stored, layout = low.where(x)
    shape = [1] * rank
    shape[1 if rank > 1 else 0] = int(factor.size)
    constants = [
        low.add_constant(f"{output}.{name}", layout.store(data.reshape(shape)))
        for name, data in (("factor", factor), ("offset", offset))
    ]
    dims = layout.stored(low.shape(x))
    product = low.temp(f"{output}.product", "Mul", [stored, constants[0]], dims, NO_CLAMP)
    low.define(output, "Add", [product, constants[1]], layout, NO_CLAMP)


_FORM = "{} of rank 3 or 4 with constant weights and bias"
RULES: Rules = {
    "Conv": Rule(_check_conv, _lower_conv, _FORM.format("Conv")),
    "ConvTranspose": Rule(_check_conv, _lower_conv, _FORM.format("ConvTranspose")),
    "BatchNormalization": Rule(
        _check_batch_norm, _lower_batch_norm, "BatchNormalization with constant parameters"
    ),
}
