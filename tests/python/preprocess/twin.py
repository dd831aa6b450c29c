"""Pre-processing once more, from docs/preprocess.md alone: no core, no Pillow.

It resizes whole pictures and crops afterwards, so it also judges the core's habit of computing
only what the crop shows. Python floats are IEEE doubles; numpy is used for integers and for f32.
"""

from __future__ import annotations

import math
from typing import Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.preprocess import Preprocess

BITS = 22


def kernel(interpolation: str, x: float) -> float:
    x = abs(x)
    if interpolation == "bilinear":
        return 1.0 - x if x < 1.0 else 0.0
    a = -0.5
    if x < 1.0:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    if x < 2.0:
        return (((x - 5.0) * x + 8.0) * x - 4.0) * a
    return 0.0


def weights(
    in_size: int, out_size: int, interpolation: str, antialias: bool, i: int
) -> Tuple[int, NDArray[np.int64]]:
    """Return the first input sample of output ``i`` and the integer weights from there."""
    scale = in_size / out_size
    stretch = max(scale, 1.0) if antialias else 1.0
    support = (2.0 if interpolation == "bicubic" else 1.0) * stretch
    inverse = 1.0 / stretch
    center = (i + 0.5) * scale
    start = max(0, math.floor(center - support + 0.5))
    end = min(in_size, math.floor(center + support + 0.5))
    values = [kernel(interpolation, (k - center + 0.5) * inverse) for k in range(start, end)]
    total = 0.0
    for value in values:
        total += value
    fixed = []
    for value in values:
        scaled = value / total * float(1 << BITS)
        fixed.append(math.floor(scaled + 0.5) if scaled >= 0.0 else math.ceil(scaled - 0.5))
    return start, np.array(fixed, dtype=np.int64)


def resize_axis(
    image: NDArray[np.uint8], axis: int, out_size: int, interpolation: str, antialias: bool
) -> NDArray[np.uint8]:
    moved = np.moveaxis(image, axis, 0)
    out = np.empty((out_size, *moved.shape[1:]), dtype=np.uint8)
    for i in range(out_size):
        start, w = weights(moved.shape[0], out_size, interpolation, antialias, i)
        acc = np.tensordot(w, moved[start : start + len(w)].astype(np.int64), axes=1)
        out[i] = np.clip((acc + (1 << (BITS - 1))) >> BITS, 0, 255)
    return np.moveaxis(out, 0, axis)


def rows_first(width: int, height: int, new_width: int, new_height: int) -> bool:
    return height > new_height and height - new_height > 2 * (width - new_width)


def resize(
    image: NDArray[np.uint8], width: int, height: int, interpolation: str, antialias: bool = True
) -> NDArray[np.uint8]:
    old_height, old_width = image.shape[:2]
    axes = [(1, width), (0, height)]
    if rows_first(old_width, old_height, width, height):
        axes.reverse()
    for axis, size in axes:
        image = resize_axis(image, axis, size, interpolation, antialias)
    return image


def resized_size(pre: Preprocess, width: int, height: int) -> Tuple[int, int]:
    if pre.resize_mode == "none":
        return width, height
    if pre.resize_mode == "shorter":  # torchvision's words
        side = pre.resize[0]
        longer = int(side * max(width, height) / min(width, height))
        return (side, longer) if width <= height else (longer, side)
    if pre.resize_mode == "stretch":
        return pre.resize
    box_width, box_height = pre.resize
    if box_width * height <= box_height * width:
        return box_width, max(1, (2 * height * box_width + width) // (2 * width))
    return max(1, (2 * width * box_height + height) // (2 * height)), box_height


def pixels(pre: Preprocess, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    width, height = resized_size(pre, image.shape[1], image.shape[0])
    image = resize(image, width, height, pre.interpolation, pre.antialias)
    if pre.resize_mode == "letterbox":
        pads = []
        for box, size in ((pre.resize[1], height), (pre.resize[0], width)):
            before = (box - size) // 2
            pads.append((before, box - size - before))
        image = pad(image, pads, pre.fill)
    if pre.crop != (0, 0):  # torchvision's words: pad what is too small, then round()
        wanted = (pre.crop[1], pre.crop[0])
        lacks = [max(0, wanted[axis] - image.shape[axis]) for axis in (0, 1)]
        image = pad(image, [(lack // 2, (lack + 1) // 2) for lack in lacks], pre.fill)
        top = round((image.shape[0] - wanted[0]) / 2.0)
        left = round((image.shape[1] - wanted[1]) / 2.0)
        image = image[top : top + wanted[0], left : left + wanted[1]]
    if pre.order == "bgr":
        image = image[:, :, ::-1]
    elif pre.order == "grey":
        r, g, b = (image[:, :, c].astype(np.int64) for c in range(3))
        image = ((19595 * r + 38470 * g + 7471 * b + 32768) >> 16).astype(np.uint8)[:, :, None]
    return np.ascontiguousarray(image)


def pad(
    image: NDArray[np.uint8], pads: list[Tuple[int, int]], fill: Tuple[int, int, int]
) -> NDArray[np.uint8]:
    planes = [np.pad(image[:, :, c], pads, constant_values=fill[c]) for c in range(3)]
    return np.stack(planes, axis=2)


def apply(pre: Preprocess, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    mean = np.array(pre.mean, dtype=np.float32)
    std = np.array(pre.std, dtype=np.float32)
    return (pixels(pre, image).astype(np.float32) - mean) / std


def quantize(
    pre: Preprocess, image: NDArray[np.uint8], scale: float, zero_point: int
) -> NDArray[np.int8]:
    with np.errstate(over="ignore"):
        v = apply(pre, image) / np.float32(scale)
    rounded = np.rint(np.clip(v, np.float32(-512), np.float32(512))).astype(np.int64)
    return np.clip(rounded + zero_point, -128, 127).astype(np.int8)
