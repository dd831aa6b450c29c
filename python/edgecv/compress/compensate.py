"""Uses calibration data to lose less: the layers that read a channel make up for it when it goes.

A removed channel is predicted from those that stay, by least squares over what the layer reads; the
weights that read it move to its predictors and, for its mean, to the bias. Which channels go first
follows from the same statistics: those whose loss is made up for best.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.compress.channels import ChannelMap, Take
from edgecv.compress.network import Network, attributes
from edgecv.compress.surgery import Mask
from edgecv.graph.passes import pipeline
from edgecv.onnx.importer import import_model
from edgecv.preprocess import Preprocess
from edgecv.quant.data import CalibrationSet
from edgecv.quant.layer_inputs import input_moments
from edgecv.quant.moments import Moments
from edgecv.quant.progress import Progress

Floats = NDArray[np.float64]
_RIDGE = 0.01  # of the mean variance, added to each: few samples overstate what predicts what
_NOISE = 1e-3  # of the mean square
_ELIMINATED = 0.75
_DENSE = ("Conv2d", "FullyConnected")


@dataclass
class Seen:
    """Mean and covariance of what a layer reads, channel by channel."""

    mean: Floats
    covariance: Floats


def observe(
    model: Any,
    calibration: Any,
    preprocess: Optional[Any] = None,
    input_shapes: Optional[Mapping[str, Sequence[int]]] = None,
    progress: Optional[Progress] = None,
) -> Dict[str, Seen]:
    """What each dense layer of a model reads over calibration data, by the name of its node."""
    if isinstance(preprocess, str):
        preprocess = Preprocess.parse(preprocess)
    graph = pipeline.declutter(import_model(model, input_shapes=input_shapes))
    data = CalibrationSet(calibration, graph.inputs, preprocess)
    lowered = pipeline.lower(graph)
    nodes = [
        node
        for node in lowered.nodes
        if node.op in _DENSE and lowered.values[node.inputs[1]].shape[-1] > 1
    ]
    moments = input_moments(lowered, nodes, data, progress)
    return {node.name: _seen(moments[node.inputs[0]]) for node in nodes}


def _seen(moments: Moments) -> Seen:
    count = max(moments.count, 1)
    mean = moments.sums / count
    if moments.products.ndim == 2:
        covariance = moments.products / count - np.outer(mean, mean)
        # Few samples of many channels seem to predict each other: what they say counts by how many.
        variances = np.diagonal(covariance).copy()
        covariance *= count / (count + len(mean))
        np.fill_diagonal(covariance, variances)
    else:
        covariance = np.diag(moments.products / count - np.square(mean))
    # The products are sums in f32: channels that do not vary have the variance of its noise.
    noise = _NOISE * float(np.square(mean).mean())
    ridge = _RIDGE * max(float(np.diagonal(covariance).mean()), noise, 1e-12)
    return Seen(mean, covariance + ridge * np.eye(len(mean)))


@dataclass
class Reader:
    """A layer whose reading of channels can be made up for."""

    take: Take
    seen: Seen
    rows: Floats  # weights by input channel, [inputs, rest]


def readers(found: ChannelMap, seen: Mapping[str, Seen]) -> List[Reader]:
    """The layers that are known by name and read every channel once."""
    nodes = found.net.nodes
    uses: Dict[str, int] = {}
    for node in nodes:
        for name in node.input:
            uses[name] = uses.get(name, 0) + 1
    result = []
    for take in found.takes:
        node = nodes[take.node]
        if take.role != "in" or node.name not in seen or uses[node.input[take.slot]] > 1:
            continue
        if node.op_type not in ("Conv", "Gemm") or attributes(node).get("group", 1) != 1:
            continue
        weights = found.net.weights[node.input[take.slot]]
        if len(seen[node.name].mean) != weights.shape[take.axis]:
            continue  # pixels are inputs, too
        rows = np.moveaxis(np.asarray(weights, np.float64), take.axis, 0)
        result.append(Reader(take, seen[node.name], rows.reshape(len(rows), -1)))
    return result


def elimination(
    group: NDArray[np.int64], roots: NDArray[np.int64], found: Sequence[Reader]
) -> Optional[Tuple[NDArray[np.int64], Floats]]:
    """(order, losses) for the channels of a group: which goes first, and what each costs then.

    A loss is the error that remains in the outputs of the readers, as a share of their energy,
    after the others have made up for the channel. One at a time goes, the cheapest first, until a
    share of _ELIMINATED is gone; the rest follows in the order of what each would cost then.
    """
    parts = []
    for reader in found:
        at = _positions(group, roots[reader.take.labels])
        if at is not None:
            energy = float(np.einsum("ij,ik,kj->", reader.rows, reader.seen.covariance,
                                     reader.rows, optimize=True))  # fmt: skip
            inverse = np.asarray(np.linalg.inv(reader.seen.covariance), np.float64)
            parts.append(_Part(at, inverse, reader.rows.copy(), max(energy, 1e-30)))
    if not parts:
        return None
    count = len(group)
    left = np.ones(count, bool)
    order = np.zeros(count, np.int64)
    losses = np.zeros(count)
    most = max(1, round(_ELIMINATED * count))
    for step in range(most):
        candidates, loss = np.flatnonzero(left), _losses(parts, left)
        gone = int(candidates[np.argmin(loss[candidates])])
        order[step], losses[step], left[gone] = gone, loss[gone], False
        for part in parts:
            part.remove(gone)
        if step % 32 == 31:
            for part in parts:
                part.compact(left)
    rest = _losses(parts, left)[left]
    sure = np.argsort(rest, kind="stable")
    order[most:] = np.flatnonzero(left)[sure]
    losses[most:] = np.maximum(rest[sure], losses[most - 1])
    return order, losses


def _losses(parts: Sequence[_Part], left: NDArray[np.bool_]) -> Floats:
    loss = np.zeros(len(left))
    for part in parts:
        at = part.at[left]
        diagonal = np.maximum(np.diagonal(part.inverse)[at], 1e-30)
        loss[left] += np.square(part.rows[at]).sum(1) / diagonal / part.energy
    return loss


@dataclass
class _Part:
    """A layer during elimination: ``at`` is where it reads each channel of the group, ``inverse``
    that of the covariance of the channels that are left.
    """

    at: NDArray[np.int64]
    inverse: Floats
    rows: Floats
    energy: float

    def remove(self, gone: int) -> None:
        """The others make up for a channel."""
        c = int(self.at[gone])
        column = self.inverse[:, c] / max(float(self.inverse[c, c]), 1e-30)
        self.rows -= np.outer(column, self.rows[c])
        self.inverse -= np.outer(column, self.inverse[c].copy())

    def compact(self, left: NDArray[np.bool_]) -> None:
        """Drops what is gone from the matrices, which makes the next steps faster."""
        stays = np.ones(len(self.rows), bool)
        stays[self.at[~left & (self.at >= 0)]] = False
        places = np.cumsum(stays) - 1
        self.inverse = self.inverse[np.ix_(stays, stays)]
        self.rows = self.rows[stays]
        self.at = np.where(left, places[self.at], -1)


def _positions(group: NDArray[np.int64], labels: NDArray[np.int64]) -> Optional[NDArray[np.int64]]:
    """Where a layer reads each channel of a group; None unless it reads each once."""
    order = np.argsort(labels, kind="stable")
    at = np.searchsorted(labels[order], group)
    if len(at) == 0 or at.max() >= len(labels) or not np.array_equal(labels[order][at], group):
        return None
    if np.isin(labels, group).sum() != len(group):
        return None
    return order[at]


def add_biases(net: Network) -> None:
    """Gives every Conv and Gemm a bias, of zeros, so that there is one to move means to."""
    for node in net.nodes:
        weights = net.weight(node, 1)
        if node.op_type not in ("Conv", "Gemm") or weights is None or len(node.input) != 2:
            continue
        axis = 0 if node.op_type == "Conv" or attributes(node).get("transB", 0) else 1
        name = net.fresh(f"{node.name or node.output[0]}.bias")
        net.set_weight(name, np.zeros(weights.shape[axis], weights.dtype))
        node.input.append(name)


def make_up(found: ChannelMap, kept: Mask, seen: Mapping[str, Seen]) -> int:
    """Moves the weights of channels that go to those that stay; returns how many layers gain."""
    net, nodes = found.net, found.net.nodes
    count = 0
    for reader in readers(found, seen):
        take, node = reader.take, nodes[reader.take.node]
        stays = kept[take.labels]
        bias = net.weight(node, 2)
        if stays.all() or bias is None or bias.ndim != 1:
            continue
        weights = net.weights[node.input[take.slot]]
        covariance, mean = reader.seen.covariance, reader.seen.mean
        predict = np.linalg.solve(
            covariance[np.ix_(stays, stays)], covariance[np.ix_(stays, ~stays)]
        )
        moved = np.moveaxis(np.asarray(weights, np.float64), take.axis, 0).copy()
        gone = moved[~stays]
        moved[stays] += np.tensordot(predict, gone, axes=1)
        constant = mean[~stays] - predict.T @ mean[stays]
        extra = np.tensordot(constant, gone, axes=1).reshape(gone.shape[1], -1).sum(1)
        attrs = attributes(node)
        if node.op_type == "Gemm":
            extra = extra * attrs.get("alpha", 1.0) / attrs.get("beta", 1.0)
        net.set_weight(
            node.input[take.slot], np.moveaxis(moved, 0, take.axis).astype(weights.dtype)
        )
        private = net.fresh(f"{node.input[2]}.made_up")
        net.set_weight(private, (bias + extra).astype(bias.dtype))
        node.input[2] = private
        count += 1
    return count
