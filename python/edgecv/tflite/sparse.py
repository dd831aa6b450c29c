"""Sparse constants of TFLite, made dense.

The format is TACO's: axes in the order of storage, each dense or compressed (CSR), the last ones
being those inside blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass
class Axis:
    """One axis of storage: dense of a size, or compressed."""

    size: int
    segments: Optional[Array] = None
    indices: Optional[Array] = None


def densify(
    values: Array, shape: Tuple[int, ...], order: List[int], blocks: List[int], axes: List[Axis]
) -> Array:
    """Returns the tensor; raises ValueError or IndexError when the parts do not fit.

    order: the axis of the tensor behind each axis of storage; from ``len(shape)`` on, the axis
    inside blocks of ``blocks[i]``.
    """
    rank = len(shape)
    if sorted(order) != list(range(rank + len(blocks))) or len(axes) != len(order):
        raise ValueError("the axes of a sparse tensor do not fit its shape")
    sizes = [axis.size for axis in axes]
    inner = [sizes[order.index(rank + i)] for i in range(len(blocks))]
    limit = int(np.prod(shape))
    # One row of positions for each stored value, an axis of storage at a time.
    places = np.zeros((1, 0), np.int64)
    for axis in axes:
        count = len(places)
        if axis.segments is None or axis.indices is None:
            if not 1 <= axis.size * max(count, 1) <= limit:
                raise ValueError("a dense axis of a sparse tensor does not fit its shape")
            index = np.tile(np.arange(axis.size), count)
            places = np.repeat(places, axis.size, axis=0)
        else:
            lengths = np.diff(axis.segments)
            if len(lengths) != count or (lengths < 0).any() or lengths.sum() != len(axis.indices):
                raise ValueError("the segments of a sparse tensor do not fit")
            index = axis.indices
            places = np.repeat(places, lengths, axis=0)
        places = np.concatenate((places, index[:, None]), axis=1)
    if len(places) > values.size:
        raise ValueError("a sparse tensor has too few values")
    position = np.zeros((rank, len(places)), np.int64)
    for column, axis_index in enumerate(order):
        if axis_index < rank:
            scale = inner[blocks.index(axis_index)] if axis_index in blocks else 1
            position[axis_index] += places[:, column] * scale
        else:
            position[blocks[axis_index - rank]] += places[:, column]
    if (position < 0).any() or (position >= np.array(shape)[:, None]).any():
        raise IndexError("a sparse tensor has values outside its shape")
    dense = np.zeros(shape, values.dtype)
    dense[tuple(position)] = values[: len(places)]
    return dense
