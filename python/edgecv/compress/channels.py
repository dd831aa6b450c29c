"""Which channels of a network belong together, so that one can only go with the others.

Every channel that a layer computes gets a label. Labels follow the data through the graph; where
two channels must stay at the same place (the operands of a residual sum, a depthwise filter and its
input, the scale of squeeze and excitation) their labels become one. What reaches a graph output, or
an op whose result depends on the number of channels, gets the label 0, which stays.

Data movement (reshape, transpose, split, ...) is done on the labels themselves, as the op does it
on data. In the end every tensor has at most one axis along which labels differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.compress.network import Network

Labels = NDArray[np.int64]
PINNED = 0


@dataclass
class Channels:
    """The axis of a tensor whose positions have labels."""

    axis: int
    labels: Labels


@dataclass
class Take:
    """An initializer that loses what its axis loses.

    ``role``: "out" for the filters that make channels, "in" for those that read them, "scale" for
    the factor of a BatchNormalization, "follow" for the rest.
    """

    node: int
    slot: int
    axis: int
    labels: Labels
    role: str


@dataclass
class Entry:
    """An element of an integer initializer that counts the channels of an axis."""

    node: int
    slot: int
    index: int
    labels: Labels


@dataclass
class Cut:
    """A Slice, Split or grouped Conv whose numbers count channels; ``parts`` are the results."""

    node: int
    labels: Labels
    parts: List[Labels]
    index: int = 0


@dataclass
class Cost:
    """The work of a node: ``macs`` when all its channels are there."""

    node: int
    macs: int
    inputs: Optional[Labels]
    outputs: Optional[Labels]


class ChannelMap:
    """What is known of a network's channels; ``edgecv.compress.trace`` fills it."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.tensors: Dict[str, Channels] = {}
        self.takes: List[Take] = []
        self.entries: List[Entry] = []
        self.slices: List[Cut] = []
        self.splits: List[Cut] = []
        self.groups: List[Cut] = []
        self.costs: List[Cost] = []
        self._parent = [PINNED]

    # Labels ---------------------------------------------------------------------------------------

    def new(self, count: int) -> Labels:
        """Labels nobody has."""
        first = len(self._parent)
        self._parent.extend(range(first, first + count))
        return np.arange(first, first + count)

    def find(self, label: int) -> int:
        """The label that stands for all that are one with ``label``."""
        parent = self._parent
        root = label
        while parent[root] != root:
            root = parent[root]
        while parent[label] != root:
            parent[label], label = root, parent[label]
        return root

    def roots(self) -> Labels:
        """find() of every label."""
        return np.array([self.find(label) for label in range(len(self._parent))])

    def unite(self, a: Labels, b: Labels) -> None:
        """Makes labels one, position by position."""
        for x, y in zip(a.reshape(-1).tolist(), b.reshape(-1).tolist()):
            x, y = self.find(x), self.find(y)
            if x != y:
                self._parent[max(x, y)] = min(x, y)  # 0 always wins

    def pin(self, labels: Labels) -> None:
        """Keeps channels."""
        self.unite(labels, np.zeros_like(labels))

    def pin_tensor(self, name: str) -> None:
        """Keeps the channels of a tensor."""
        if name in self.tensors:
            self.pin(self.tensors.pop(name).labels)

    # Tensors --------------------------------------------------------------------------------------

    def set(self, name: str, axis: int, labels: Labels) -> None:
        """Says which labels a tensor has. An axis of one channel cannot lose it."""
        if len(labels) > 1:
            self.tensors[name] = Channels(axis, labels)
        else:
            self.pin(labels)

    def full(self, name: str) -> Labels:
        """The label of every element; zeros for a tensor without."""
        shape = self.net.known(name)
        channels = self.tensors.get(name)
        if channels is None:
            return np.zeros(shape, np.int64)
        view = [1] * len(shape)
        view[channels.axis] = -1
        return np.broadcast_to(channels.labels.reshape(view), shape)

    def set_full(self, name: str, labels: Labels) -> None:
        """Takes the label of every element; where they differ along several axes, one remains."""
        axes = [
            axis
            for axis in range(labels.ndim)
            if labels.shape[axis] > 1 and np.any(np.diff(labels, axis=axis))
        ]
        if not axes:
            self.pin(np.unique(labels))
            return
        main = max(axes, key=lambda axis: (labels.shape[axis], -axis))
        for axis in range(labels.ndim):
            if axis != main and axis not in axes:
                labels = labels.take([0], axis=axis)
        columns = np.moveaxis(labels, main, 0).reshape(labels.shape[main], -1)
        first = np.ascontiguousarray(columns[:, 0])
        for other in columns.T[1:]:
            self.unite(first, other)
        self.set(name, main, first)

    def keep_none_apart(self) -> List[Tuple[Labels, int]]:
        """Pairs (roots, multiplicity): channels no tensor tells apart, each pair in label order.

        Of channels in one pair any may go as long as one stays, and no tensor is left without.
        ``multiplicity``: how many filters of the layer with the most of them one label stands for.
        """
        roots = self.roots()
        filters = np.ones(len(roots), np.int64)
        for take in self.takes:
            if take.role == "out":
                found, counts = np.unique(roots[take.labels], return_counts=True)
                filters[found] = np.maximum(filters[found], counts)
        seen: Dict[int, List[Tuple[int, int]]] = {}
        for index, channels in enumerate(self.tensors.values()):
            found, counts = np.unique(roots[channels.labels], return_counts=True)
            for root, count in zip(found.tolist(), counts.tolist()):
                if root != PINNED:
                    seen.setdefault(root, []).append((index, count))
        together: Dict[Tuple[Tuple[int, int], ...], List[int]] = {}
        for root in sorted(seen):
            together.setdefault(tuple(seen[root]), []).append(root)
        return [(np.array(members), int(filters[members].max())) for members in together.values()]

    def of(self, node: Any, slot: int) -> Optional[Channels]:
        """The channels of an input of a node."""
        return self.tensors.get(node.input[slot]) if slot < len(node.input) else None
