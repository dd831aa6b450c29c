"""How the axes of an ONNX tensor lie in the stored one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.graph.ir import Shape


@dataclass(frozen=True)
class Layout:
    """ONNX axis ``i`` is stored axis ``perm[i]`` of ``rank``; stored axes not named have size 1."""

    perm: Tuple[int, ...]
    rank: int

    @staticmethod
    def identity(rank: int) -> Layout:
        """The ONNX order."""
        return Layout(tuple(range(rank)), rank)

    @staticmethod
    def image(rank: int) -> Layout:
        """NHWC of an ONNX NCHW tensor (rank 4), or of N, C, L (rank 3) with H = 1."""
        return Layout((0, 3, 1, 2), 4) if rank == 4 else Layout((0, 3, 2), 4)

    @staticmethod
    def of_order(order: Sequence[int]) -> Layout:
        """The layout whose stored axis ``k`` is ONNX axis ``order[k]``."""
        return Layout(tuple(list(order).index(axis) for axis in range(len(order))), len(order))

    @property
    def full(self) -> bool:
        """True when every stored axis is an ONNX axis."""
        return self.rank == len(self.perm)

    def order(self) -> List[int]:
        """ONNX axes in the order in which they are stored."""
        return sorted(range(len(self.perm)), key=lambda axis: self.perm[axis])

    def compact(self) -> Layout:
        """The same order without stored axes that are no ONNX axis."""
        return Layout.of_order(self.order())

    def stored(self, shape: Sequence[int]) -> Shape:
        """The stored shape of an ONNX shape."""
        dims = [1] * self.rank
        for axis, size in enumerate(shape):
            dims[self.perm[axis]] = int(size)
        return tuple(dims)

    def store(self, data: NDArray[Any]) -> NDArray[Any]:
        """The stored form of an ONNX array."""
        return np.ascontiguousarray(data.transpose(self.order()).reshape(self.stored(data.shape)))

    def prepend(self, count: int) -> Layout:
        """The layout after ``count`` axes of size 1 are put before the ONNX shape."""
        first = tuple(range(count))
        return Layout((*first, *(axis + count for axis in self.perm)), self.rank + count)

    def order_of_data(self, shape: Sequence[int]) -> List[int]:
        """ONNX axes larger than 1, in stored order: what decides where each number lies."""
        return [axis for axis in self.order() if shape[axis] != 1]


def reshape_groups(
    before: Sequence[int], after: Sequence[int]
) -> Optional[List[Tuple[List[int], List[int]]]]:
    """Splits a reshape into independent ones: (axes before, axes after), axes of size 1 left out.

    None when the element counts differ.
    """
    left = [axis for axis, size in enumerate(before) if size != 1]
    right = [axis for axis, size in enumerate(after) if size != 1]
    groups: List[Tuple[List[int], List[int]]] = []
    i = j = 0
    while i < len(left) and j < len(right):
        ins, outs = [left[i]], [right[j]]
        a, b = before[left[i]], after[right[j]]
        i, j = i + 1, j + 1
        while a != b:
            if a < b:
                if i == len(left):
                    return None
                a *= before[left[i]]
                ins.append(left[i])
                i += 1
            else:
                if j == len(right):
                    return None
                b *= after[right[j]]
                outs.append(right[j])
                j += 1
        groups.append((ins, outs))
    return groups if i == len(left) and j == len(right) else None


def layout_for(order: Sequence[int], shape: Sequence[int]) -> Layout:
    """A layout of ``shape`` whose axes larger than 1 are stored in ``order``."""
    rank = len(shape)
    wanted = list(order)
    candidates = [Layout.identity(rank)] + ([Layout.image(4)] if rank == 4 else [])
    for candidate in candidates:
        if candidate.order_of_data(shape) == wanted:
            return candidate
    full: List[int] = wanted[:]
    for axis in range(rank):
        if axis not in full:
            full.insert(full.index(axis - 1) + 1 if axis else 0, axis)
    return Layout.of_order(full)
