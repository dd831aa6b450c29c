"""Takes channels out of a network."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.compress.channels import ChannelMap, Cost, Labels
from edgecv.compress.moves import slice_bounds
from edgecv.compress.network import Network, attributes, set_attribute
from edgecv.errors import Error
from edgecv.onnx.load import opset_of

Mask = NDArray[np.bool_]


def macs_of(cost: Cost, kept: Mask) -> int:
    """Multiply-accumulates of a node with the channels that stay."""
    share = 1.0
    for labels in (cost.inputs, cost.outputs):
        if labels is not None:
            share *= float(kept[labels].mean())
    return round(cost.macs * share)


def total_macs(found: ChannelMap, kept: Mask) -> int:
    """Multiply-accumulates of the network with the channels that stay."""
    return sum(macs_of(cost, kept) for cost in found.costs)


def remove_channels(found: ChannelMap, kept: Mask) -> Any:
    """Rewrites the network of ``found`` to the channels that stay; returns its checked ModelProto.

    The shape of every tensor of the result is compared with the plan: an op whose treatment here is
    wrong raises an Error and nothing is returned.
    """
    net = found.net
    expected = _expected_shapes(found, kept)
    nodes = net.nodes
    changed = [cut for cut in found.slices if not kept[cut.labels].all()]
    for cut in changed:
        _slice(net, nodes[cut.node], cut.index, cut.labels, cut.parts[0], kept)
    for cut in found.splits:
        if not kept[cut.labels].all():
            _split(net, nodes[cut.node], [int(kept[part].sum()) for part in cut.parts])
    for cut in found.groups:
        if not kept[cut.labels].all():
            set_attribute(nodes[cut.node], "group", int(kept[cut.labels].sum()))
    _entries(found, kept)
    _takes(found, kept)
    proto = net.finish()
    for name, shape in expected.items():
        if net.shapes.get(name) != shape:
            raise Error(
                f"removing channels is wrong for this model: {name!r} would have shape "
                f"{net.shapes.get(name)}, not {shape}"
            )
    return proto


def _expected_shapes(found: ChannelMap, kept: Mask) -> Dict[str, Tuple[int, ...]]:
    made = {name for node in found.net.nodes for name in node.output if name}
    expected = {}
    for name in made:
        shape = found.net.shape(name)
        if shape is None:
            continue
        channels = found.tensors.get(name)
        if channels is not None:
            count = int(kept[channels.labels].sum())
            if count == 0:
                raise Error(f"{name!r} would have no channels")
            shape = (*shape[: channels.axis], count, *shape[channels.axis + 1 :])
        expected[name] = shape
    return expected


def _takes(found: ChannelMap, kept: Mask) -> None:
    """Slices initializers; one that different nodes read in different forms becomes several."""
    net, nodes = found.net, found.net.nodes
    wanted: Dict[Tuple[int, int], List[Tuple[int, Labels]]] = {}
    for take in found.takes:
        if not kept[take.labels].all():
            wanted.setdefault((take.node, take.slot), []).append((take.axis, take.labels))
    uses: Dict[str, List[Tuple[int, int]]] = {}
    for index, node in enumerate(nodes):
        for slot, name in enumerate(node.input):
            uses.setdefault(name, []).append((index, slot))
    for name in {nodes[index].input[slot] for index, slot in wanted}:
        forms: Dict[Any, str] = {}
        original = net.weights[name]
        for index, slot in uses[name]:
            value, key = original, []
            for axis, labels in wanted.get((index, slot), []):
                value = np.compress(kept[labels], value, axis=axis)
                key.append((axis, kept[labels].tobytes()))
            form = tuple(sorted(key))
            if form not in forms:
                forms[form] = name if not forms else net.fresh(name)
                net.set_weight(forms[form], value)
            nodes[index].input[slot] = forms[form]


def _entries(found: ChannelMap, kept: Mask) -> None:
    net, nodes = found.net, found.net.nodes
    for entry in found.entries:
        count = int(kept[entry.labels].sum())
        if count == len(entry.labels):
            continue
        node = nodes[entry.node]
        value = net.weights[node.input[entry.slot]].copy()
        if value[entry.index] == -1:
            continue
        value[entry.index] = count
        node.input[entry.slot] = _constant(net, node.input[entry.slot], value)


def _constant(net: Network, name: str, value: NDArray[Any]) -> str:
    fresh = net.fresh(name)
    net.set_weight(fresh, value)
    return fresh


def _slice(
    net: Network, node: Any, position: int, labels: Labels, part: Labels, kept: Mask
) -> None:
    bounds = slice_bounds(net, node)
    assert bounds is not None
    first = slice(bounds[position][0], bounds[position][1]).indices(len(labels))[0]
    start = int(kept[labels[:first]].sum())
    for slot, bound in ((1, start), (2, start + int(kept[part].sum()))):
        value = net.weights[node.input[slot]].copy()
        value[position] = bound
        node.input[slot] = _constant(net, node.input[slot], value)


def _split(net: Network, node: Any, sizes: List[int]) -> None:
    if opset_of(net.proto) < 13:
        set_attribute(node, "split", sizes)
        return
    name = _constant(net, f"{node.name or node.output[0]}.split", np.array(sizes, np.int64))
    del node.input[1:]
    node.input.append(name)
    if "num_outputs" in attributes(node):
        kept = [attr for attr in node.attribute if attr.name != "num_outputs"]
        copies = [type(attr).FromString(attr.SerializeToString()) for attr in kept]
        del node.attribute[:]
        node.attribute.extend(copies)
