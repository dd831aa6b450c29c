"""How ops that only move data move the labels of channels (edgecv.compress.channels)."""

from __future__ import annotations

from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from edgecv.compress.channels import ChannelMap, Cut, Entry, Labels
from edgecv.compress.network import Network, attributes


def move_labels(found: ChannelMap, index: int, node: Any) -> bool:
    """Ops whose result has the same elements, or copies of them, in another shape."""
    if found.of(node, 0) is None:
        return True
    net, name = found.net, node.output[0]
    result = net.known(name)
    full = found.full(node.input[0])
    attrs = attributes(node)
    if node.op_type in ("Reshape", "Expand") and net.weight(node, 1) is None:
        return False
    if node.op_type == "Reshape" and attrs.get("allowzero", 0):
        return False
    if node.op_type == "Transpose":
        found.set_full(name, full.transpose(attrs.get("perm")))
        return True
    if node.op_type == "Expand":
        found.set_full(name, np.broadcast_to(full, result))
    else:
        found.set_full(name, full.reshape(result))
    after = found.tensors.get(name)
    if after is not None and node.op_type in ("Reshape", "Expand"):
        wanted = net.weight(node, 1)
        assert wanted is not None
        at = after.axis - (len(result) - len(wanted))
        if at >= 0 and (node.op_type == "Reshape" or wanted[at] != 1):
            found.entries.append(Entry(index, 1, at, after.labels))
    return True


def space_labels(found: ChannelMap, index: int, node: Any) -> bool:
    """DepthToSpace and SpaceToDepth."""
    if found.of(node, 0) is None:
        return True
    attrs = attributes(node)
    n, c, h, w = found.net.known(node.input[0])
    b = attrs["blocksize"]
    x = found.full(node.input[0])
    if node.op_type == "SpaceToDepth":
        y = x.reshape(n, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4)
    elif attrs.get("mode", b"DCR") == b"CRD":
        y = x.reshape(n, c // b**2, b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
    else:
        y = x.reshape(n, b, b, c // b**2, h, w).transpose(0, 3, 4, 1, 5, 2)
    found.set_full(node.output[0], y.reshape(found.net.known(node.output[0])))
    return True


def concat_labels(found: ChannelMap, index: int, node: Any) -> bool:
    """Concat along any axis."""
    if not any(name in found.tensors for name in node.input):
        return True
    result = found.net.known(node.output[0])
    axis = attributes(node)["axis"] % len(result)
    axes = {found.tensors[name].axis for name in node.input if name in found.tensors} | {axis}
    parts = []
    for name in node.input:
        full = found.full(name)
        index_of = tuple(slice(None) if a in axes else slice(0, 1) for a in range(full.ndim))
        parts.append(full[index_of])
    if any(len({part.shape[a] for part in parts}) > 1 for a in axes - {axis}):
        return False
    found.set_full(node.output[0], np.concatenate(parts, axis))
    return True


def split_labels(found: ChannelMap, index: int, node: Any) -> bool:
    """Split: along channels, its sizes count them."""
    x = found.of(node, 0)
    if x is None:
        return True
    shape = found.net.known(node.input[0])
    axis = attributes(node).get("axis", 0) % len(shape)
    if len(node.input) > 1 and node.input[1] and found.net.weight(node, 1) is None:
        return False
    parts: List[Labels] = []
    start = 0
    for name in node.output:
        part = found.net.known(name)
        labels = x.labels[start : start + part[axis]] if axis == x.axis else x.labels
        start += part[axis]
        parts.append(labels)
        found.set(name, x.axis, labels)
    if axis == x.axis:
        found.splits.append(Cut(index, x.labels, parts))
    return True


def slice_labels(found: ChannelMap, index: int, node: Any) -> bool:
    """Slice: along channels, its bounds count them."""
    x = found.of(node, 0)
    if x is None:
        return True
    shape = found.net.shape(node.input[0])
    bounds = slice_bounds(found.net, node)
    if bounds is None or shape is None:
        return False
    for position, (start, end, axis, step) in enumerate(bounds):
        if axis % len(shape) != x.axis:
            continue
        if step != 1 or len(node.input) < 3:
            return False
        part = x.labels[slice(start, end)]
        found.slices.append(Cut(index, x.labels, [part], position))
        found.set(node.output[0], x.axis, part)
        return True
    found.set(node.output[0], x.axis, x.labels)
    return True


def slice_bounds(net: Network, node: Any) -> Optional[List[Tuple[int, int, int, int]]]:
    """(start, end, axis, step) for each axis of a Slice, None when they are not constants."""
    attrs = attributes(node)
    if len(node.input) < 3:
        starts, ends = attrs.get("starts"), attrs.get("ends")
        if starts is None or ends is None:
            return None
        axes: Sequence[int] = attrs.get("axes", range(len(starts)))
        return [(s, e, a, 1) for s, e, a in zip(starts, ends, axes)]
    columns: List[Any] = []
    for slot in range(1, 5):
        given = slot < len(node.input) and node.input[slot]
        value = net.weight(node, slot)
        if given and value is None:
            return None
        columns.append(None if value is None else value.tolist())
    count = len(columns[0])
    columns[2] = list(range(count)) if columns[2] is None else columns[2]
    columns[3] = [1] * count if columns[3] is None else columns[3]
    return list(zip(*columns))
