"""Calibration samples as a doctor uses them: sides that share no photograph, and other views of
each picture.
"""

from __future__ import annotations

from typing import Any, List, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import CalibrationError
from edgecv.quant.alike import kinds_of
from edgecv.quant.data import Sample

_LEAST = 6  # pixels a side of pictures that have other views


def split(samples: Sequence[Sample]) -> List[Tuple[List[int], List[int]]]:
    """Two folds: indices of the samples to fit with and of those to check with, about half each,
    in the second fold with swapped roles.

    Samples nearly alike all go to one side: else the check would see what the fit has seen. Of
    those the check takes one: else one close call would count many times.
    """
    kinds = kinds_of(samples)
    sides = kinds[::2], kinds[1::2]
    if not sides[1]:
        raise CalibrationError(
            f"{len(samples)} calibration samples are all alike: a doctor fits with some and checks "
            "with others, and needs at least two different ones"
        )
    every = [sorted(index for kind in side for index in kind) for side in sides]
    first = [sorted(kind[0] for kind in side) for side in sides]
    return [(every[0], first[1]), (every[1], first[0])]


def views(sample: Sample) -> List[Sample]:
    """The sample itself, and other pictures made of its pictures [N, C, H, W], unlike those that
    ranges were fitted to: mirrored, two thirds as large, on a ground of their brightest value; and
    the middle two thirds enlarged, with three quarters of the contrast.
    """
    if not any(_is_picture(array) for array in sample.values()):
        return [sample]
    made = [sample]
    for change in (_on_plain_ground, _enlarged):
        made.append({k: change(v) if _is_picture(v) else v for k, v in sample.items()})
    return made


def _is_picture(array: NDArray[Any]) -> bool:
    return array.ndim == 4 and min(array.shape[2:]) >= _LEAST


def _on_plain_ground(array: NDArray[Any]) -> NDArray[np.float32]:
    result = np.empty(array.shape, np.float32)
    result[:] = array.max(axis=(2, 3), keepdims=True)
    height, width = (2 * side // 3 for side in array.shape[2:])
    top, left = (array.shape[2] - height) // 2, (array.shape[3] - width) // 2
    small = _resized(array[..., ::-1], height, width)
    result[:, :, top : top + height, left : left + width] = small
    return result


def _enlarged(array: NDArray[Any]) -> NDArray[np.float32]:
    height, width = array.shape[2:]
    top, left = height // 6, width // 6
    middle = array[:, :, top : height - top, left : width - left]
    large = _resized(middle, height, width)
    mean = large.mean(axis=(2, 3), keepdims=True)
    return np.asarray(mean + np.float32(0.75) * (large - mean), np.float32)


def _resized(array: NDArray[Any], height: int, width: int) -> NDArray[np.float32]:
    """Linear between pixels, over at least two of them: single ones would make edges that no camera
    sees.
    """
    result = np.asarray(array, np.float32)
    for axis, size in ((2, height), (3, width)):
        at = (np.arange(size) + 0.5) * array.shape[axis] / size - 0.5
        at = np.clip(at, 0, array.shape[axis] - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, array.shape[axis] - 1)
        shape = [1] * 4
        shape[axis] = size
        share = (at - low).astype(np.float32).reshape(shape)
        result = result.take(low, axis) * (1 - share) + result.take(high, axis) * share
    return result
