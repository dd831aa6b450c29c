"""How much each channel matters, as one number a label."""

from __future__ import annotations

from typing import Any, Mapping, Optional

import numpy as np
from numpy.typing import NDArray

from edgecv.compress.channels import ChannelMap
from edgecv.errors import Error

CRITERIA = ("l1", "l2", "bn-scale", "taylor")
Scores = NDArray[np.float64]


def scores(
    found: ChannelMap, criterion: str, gradients: Optional[Mapping[str, NDArray[Any]]] = None
) -> Scores:
    """The importance of every root label.

    Each layer gives its channels a score, as a share of the layer's mean, so that layers of large
    and of small weights compare; a channel that several layers compute (residual sums) has the mean
    of theirs. ``l1``, ``l2``: the norm of the filter. ``bn-scale``: the factor of the
    BatchNormalization behind it. ``taylor``: |sum of weight * gradient|, the first-order change of
    the loss when the filter goes, with ``gradients`` by the names of initializers.
    """
    if criterion not in CRITERIA:
        raise Error(f"importance is {criterion!r}: it takes {', '.join(CRITERIA)}")
    if (criterion == "taylor") != (gradients is not None):
        raise Error("gradients and importance 'taylor' belong together")
    role = "scale" if criterion == "bn-scale" else "out"
    roots = found.roots()
    total = np.zeros(len(roots))
    count = np.zeros(len(roots))
    nodes = found.net.nodes
    for take in found.takes:
        if take.role != role:
            continue
        name = nodes[take.node].input[take.slot]
        weights = np.asarray(found.net.weights[name], np.float64)
        if gradients is not None:
            weights = weights * _gradient(gradients, name, weights.shape)
        rows = np.moveaxis(weights, take.axis, 0).reshape(len(take.labels), -1)
        if criterion == "l2":
            norms = np.sqrt(np.square(rows).sum(1))
        elif criterion == "taylor":
            norms = np.abs(rows.sum(1))
        else:
            norms = np.abs(rows).sum(1)
        mean = norms.mean()
        np.add.at(total, roots[take.labels], norms / mean if mean > 0 else norms)
        np.add.at(count, roots[take.labels], 1)
    if not count.any():
        raise Error(f"importance {criterion!r}: the model has no weights to judge by")
    result: Scores = np.where(count > 0, total / np.maximum(count, 1), np.inf)
    return result


def _gradient(gradients: Mapping[str, NDArray[Any]], name: str, shape: Any) -> NDArray[Any]:
    if name not in gradients:
        raise Error(f"gradients lack the initializer {name!r}")
    gradient = np.asarray(gradients[name], np.float64)
    if gradient.shape != shape:
        raise Error(f"the gradient of {name!r} has shape {gradient.shape}, not {shape}")
    if not np.isfinite(gradient).all():
        raise Error(f"the gradient of {name!r} is not finite")
    return gradient
