"""Which calibration samples show the same: several sizes of one photograph count as one."""

from __future__ import annotations

from typing import Any, List, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_ALIKE = 0.95  # correlation of two small pictures from which on they count as one
_SIDE = 12  # of small pictures


def kinds_of(samples: Sequence[Mapping[str, NDArray[Any]]]) -> List[List[int]]:
    """Indices of the samples, those nearly alike (sizes of one photograph) together; the smallest
    groups first.
    """
    small = np.stack([_small(sample) for sample in samples])
    kinds: List[List[int]] = []
    heads = np.empty_like(small)  # the first of each kind
    for index, one in enumerate(small):
        alike = np.flatnonzero(heads[: len(kinds)] @ one > _ALIKE)
        if alike.size:
            kinds[int(alike[0])].append(index)
        else:
            heads[len(kinds)] = one
            kinds.append([index])
    return sorted(kinds, key=len)


def _small(sample: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """A sample as a vector of length 1 and mean 0."""
    parts = []
    for array in sample.values():
        x = np.asarray(array, np.float64)
        for axis in range(1, x.ndim):
            if x.shape[axis] > _SIDE:
                edges = np.arange(_SIDE) * x.shape[axis] // _SIDE
                counts = np.diff(np.append(edges, x.shape[axis]))
                shape = [1] * x.ndim
                shape[axis] = _SIDE
                x = np.add.reduceat(x, edges, axis=axis) / counts.reshape(shape)
        parts.append(x.ravel())
    flat = np.concatenate(parts)
    flat = flat - flat.mean()
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-30))
