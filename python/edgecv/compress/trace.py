"""Follows channels through an ONNX graph, op by op (edgecv.compress.channels says what for)."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional, Tuple

import numpy as np

from edgecv.compress import moves
from edgecv.compress.channels import ChannelMap, Cost, Cut, Entry, Labels, Take
from edgecv.compress.network import Network, attributes, subgraphs

# Ops that compute every element from those at the same place of their operands.
_NAMES = (
    "Add Sub Mul Div Pow Min Max Sum Mean PRelu Where Clip And Or Xor Equal Less Greater "
    "LessOrEqual GreaterOrEqual Mod Relu LeakyRelu Elu Selu Celu Sigmoid HardSigmoid "
    "HardSwish Tanh Softplus Softsign Mish Gelu Swish ThresholdedRelu Abs Neg Exp Log Sqrt "
    "Reciprocal Floor Ceil Round Sign Erf Identity Dropout Cast Not Sin Cos IsNaN IsInf "
    "Shrink"
)
ELEMENTWISE = frozenset(_NAMES.split())
# Ops that work on each channel (axis 1) by itself.
_PER_CHANNEL = frozenset(
    ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "AveragePool", "MaxPool", "LpPool")
)
_MOVES = frozenset(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand"))
_Handler = Callable[[ChannelMap, int, Any], bool]


def trace(net: Network) -> ChannelMap:
    """The channels of a network."""
    found = ChannelMap(net)
    shared: Dict[str, Tuple[Optional[Labels], Labels]] = {}
    for index, node in enumerate(net.nodes):
        handler = _HANDLERS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        known = all(net.shape(name) is not None for name in [*node.input, *node.output] if name)
        if handler is None or not known or not handler(found, index, node):
            for name in [*node.input, *node.output]:
                found.pin_tensor(name)
            for graph in subgraphs(node):
                _pin_captured(found, graph)
            continue
        _unite_shared(found, node, index, shared)
    for name in net.outputs:
        found.pin_tensor(name)
    return found


def _pin_captured(found: ChannelMap, graph: Any) -> None:
    for node in graph.node:
        for name in node.input:
            found.pin_tensor(name)
        for inner in subgraphs(node):
            _pin_captured(found, inner)
    for item in graph.output:
        found.pin_tensor(item.name)


def _unite_shared(
    found: ChannelMap, node: Any, index: int, shared: Dict[str, Tuple[Optional[Labels], Labels]]
) -> None:
    """Two layers with the same weights keep the same channels."""
    if len(node.input) < 2 or node.input[1] not in found.net.weights:
        return
    mine = [take for take in found.takes if take.node == index and take.slot == 1]
    outs = next((take.labels for take in mine if take.role == "out"), None)
    if outs is None:
        return
    ins = next((take.labels for take in mine if take.role == "in"), None)
    if node.input[1] not in shared:
        shared[node.input[1]] = (ins, outs)
        return
    other_ins, other_outs = shared[node.input[1]]
    found.unite(outs, other_outs)
    for one, other in ((ins, other_ins), (other_ins, ins)):
        if one is not None:
            found.unite(one, np.zeros_like(one) if other is None else other)


# Layers -------------------------------------------------------------------------------------------


def _conv(found: ChannelMap, index: int, node: Any) -> bool:
    weights = found.net.weight(node, 1)
    transposed = node.op_type == "ConvTranspose"
    x = found.of(node, 0)
    if weights is None or (x is not None and x.axis != 1):
        return False
    group = attributes(node).get("group", 1)
    shape, result = found.net.known(node.input[0]), found.net.known(node.output[0])
    inputs, outputs = shape[1], result[1]
    labels = x.labels if x is not None else None
    in_axis, out_axis = (0, 1) if transposed else (1, 0)
    pixels = int(np.prod((shape if transposed else result)[2:], dtype=np.int64)) * result[0]
    macs = pixels * int(weights.size)
    if group == inputs and group > 1 and weights.shape[in_axis] == 1 and not transposed:
        if labels is None:
            found.costs.append(Cost(index, macs, None, None))
            return True
        made = np.repeat(labels, outputs // inputs)
        found.groups.append(Cut(index, labels, []))
        found.takes.append(Take(index, 1, 0, made, "out"))
        found.costs.append(Cost(index, macs, None, made))
    elif transposed and group > 1:
        return False
    else:
        made = found.new(outputs)
        if group > 1:
            per_group = made.reshape(group, -1)
            found.unite(np.broadcast_to(per_group[0], per_group.shape), per_group)
            if labels is not None:
                parts = labels.reshape(group, -1)
                found.unite(np.broadcast_to(parts[0], parts.shape), parts)
        found.takes.append(Take(index, 1, out_axis, made, "out"))
        if labels is not None:
            own = labels[: inputs // group]
            found.takes.append(Take(index, 1, in_axis, own, "in"))
        found.costs.append(Cost(index, macs, labels, made))
    if len(node.input) > 2 and node.input[2]:
        if found.net.weight(node, 2) is None:
            found.pin(made)
        found.takes.append(Take(index, 2, 0, made, "follow"))
    found.set(node.output[0], 1, made)
    return True


def _gemm(found: ChannelMap, index: int, node: Any) -> bool:
    attrs = attributes(node)
    weights = found.net.weight(node, 1)
    x = found.of(node, 0)
    if weights is None or attrs.get("transA", 0) or (x is not None and x.axis != 1):
        return False
    k_axis, n_axis = (1, 0) if attrs.get("transB", 0) else (0, 1)
    made = _dense(found, index, node, k_axis, n_axis)
    if len(node.input) > 2 and node.input[2]:
        bias = found.net.weight(node, 2)
        if bias is None:
            found.pin(made)
        elif bias.ndim and bias.shape[-1] > 1:
            found.takes.append(Take(index, 2, bias.ndim - 1, made, "follow"))
    return True


def _matmul(found: ChannelMap, index: int, node: Any) -> bool:
    weights = found.net.weight(node, 1)
    x = found.of(node, 0)
    shape = found.net.shape(node.input[0])
    if weights is None or weights.ndim != 2 or shape is None or len(shape) < 2:
        return False
    if x is not None and x.axis != len(shape) - 1:
        found.set(node.output[0], x.axis, x.labels)
        return True
    _dense(found, index, node, 0, 1)
    return True


def _dense(found: ChannelMap, index: int, node: Any, k_axis: int, n_axis: int) -> Labels:
    x, weights = found.of(node, 0), found.net.weight(node, 1)
    result = found.net.known(node.output[0])
    assert weights is not None
    made = found.new(weights.shape[n_axis])
    found.takes.append(Take(index, 1, n_axis, made, "out"))
    if x is not None:
        found.takes.append(Take(index, 1, k_axis, x.labels, "in"))
    rows = int(np.prod(result[:-1], dtype=np.int64))
    labels = x.labels if x is not None else None
    found.costs.append(Cost(index, rows * int(weights.size), labels, made))
    found.set(node.output[0], len(result) - 1, made)
    return made


def _norm(found: ChannelMap, index: int, node: Any) -> bool:
    x = found.of(node, 0)
    if x is None:
        return True
    if x.axis != 1 or any(name not in found.net.weights for name in node.input[1:]):
        return False
    for slot in range(1, len(node.input)):
        found.takes.append(Take(index, slot, 0, x.labels, "scale" if slot == 1 else "follow"))
    found.set(node.output[0], 1, x.labels)
    return len(node.output) == 1


# Elementwise ops and those along other axes -------------------------------------------------------


def _elementwise(found: ChannelMap, index: int, node: Any) -> bool:
    net = found.net
    result = net.known(node.output[0])
    operands = []
    for slot, name in enumerate(node.input):
        shape = net.shape(name)
        if name and shape is not None:
            operands.append((slot, name, shape, len(result) - len(shape)))
    labelled = [
        (name, found.tensors[name], found.tensors[name].axis + shift)
        for _, name, _, shift in operands
        if name in found.tensors
    ]
    if not labelled:
        return True
    axis = labelled[0][2]
    if any(other != axis for _, _, other in labelled):
        return False
    labels = labelled[0][1].labels
    for _, channels, _ in labelled[1:]:
        found.unite(labels, channels.labels)
    for slot, name, shape, shift in operands:
        own = axis - shift
        if name in found.tensors or own < 0 or shape[own] == 1:
            continue
        if name in net.weights:
            found.takes.append(Take(index, slot, own, labels, "follow"))
        else:
            found.pin(labels)
    found.set(node.output[0], axis, labels)
    return True


def _per_channel(found: ChannelMap, index: int, node: Any) -> bool:
    x = found.of(node, 0)
    if x is None:
        return True
    if x.axis != 1 or len(node.output) > 1:
        return False
    found.set(node.output[0], 1, x.labels)
    return True


def _pad(found: ChannelMap, index: int, node: Any) -> bool:
    x = found.of(node, 0)
    if x is None:
        return True
    rank = len(found.net.known(node.input[0]))
    pads = found.net.weight(node, 1)
    attr = attributes(node).get("pads")
    if pads is None and attr is None:
        return False
    if len(node.input) > 3 and node.input[3]:
        return False  # pads for some axes
    amounts = np.asarray(attr if pads is None else pads)
    if amounts[x.axis] or amounts[x.axis + rank]:
        return False
    found.set(node.output[0], x.axis, x.labels)
    return True


def _resize(found: ChannelMap, index: int, node: Any) -> bool:
    x = found.of(node, 0)
    if x is None:
        return True
    before, after = found.net.known(node.input[0]), found.net.known(node.output[0])
    attrs = attributes(node)
    if before[x.axis] != after[x.axis] or "axes" in attrs:
        return False
    if attrs.get("coordinate_transformation_mode") == b"tf_crop_and_resize":
        return False
    if node.op_type == "Resize" and len(node.input) > 3 and node.input[3]:
        if found.net.weight(node, 3) is None:
            return False
        found.entries.append(Entry(index, 3, x.axis, x.labels))
    found.set(node.output[0], x.axis, x.labels)
    return True


def _reduce(found: ChannelMap, index: int, node: Any) -> bool:
    x = found.of(node, 0)
    if x is None:
        return True
    attrs = attributes(node)
    axes = attrs.get("axes")
    if len(node.input) > 1 and node.input[1]:
        weight = found.net.weight(node, 1)
        axes = None if weight is None else weight.tolist()
    shape = found.net.shape(node.input[0])
    if axes is None or shape is None:
        return False
    gone = sorted(int(axis) % len(shape) for axis in axes)
    if x.axis in gone:
        return False
    moved = 0 if attrs.get("keepdims", 1) else sum(axis < x.axis for axis in gone)
    found.set(node.output[0], x.axis - moved, x.labels)
    return True


def _shape(found: ChannelMap, index: int, node: Any) -> bool:
    """Shape and Size: a computation on the number of channels is not followed."""
    return found.of(node, 0) is None


_HANDLERS: Dict[str, _Handler] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys(_PER_CHANNEL, _per_channel),
    **dict.fromkeys(_MOVES, moves.move_labels),
    **{f"Reduce{kind}": _reduce for kind in
       ("Mean", "Sum", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSum", "LogSumExp")},
    "Conv": _conv,
    "ConvTranspose": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": _norm,
    "InstanceNormalization": _norm,
    "Pad": _pad,
    "Resize": _resize,
    "Upsample": _resize,
    "DepthToSpace": moves.space_labels,
    "SpaceToDepth": moves.space_labels,
    "Concat": moves.concat_labels,
    "Split": moves.split_labels,
    "Slice": moves.slice_labels,
    "Shape": _shape,
    "Size": _shape,
}  # fmt: skip
