"""Pillow is the reference of the resize: the same bits where the pass order is the same.

Pillow below 13 always resizes along the row first; 13 blends rows first when the height shrinks by
more than twice what the width does, and so does edgecv. Pictures for which the order differs are
left out with an old Pillow.
"""

from __future__ import annotations

import platform
from typing import Callable

import numpy as np
import PIL
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgecv.preprocess import Preprocess

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
# Other compilers may contract the double arithmetic of Pillow's own weights: one level is then due.
TOLERANCE = 0 if platform.machine() == "x86_64" else 1
PILLOW_ROWS_FIRST = int(PIL.__version__.split(".")[0]) >= 13

SIZES = [
    # from, to: both down, both up, one of each, odd sizes, one pixel, extreme ratios, same size
    ((600, 400), (336, 224)),
    ((400, 600), (224, 336)),
    ((500, 375), (224, 224)),
    ((333, 501), (97, 131)),
    ((100, 80), (224, 179)),
    ((31, 17), (257, 129)),
    ((300, 40), (60, 111)),
    ((40, 300), (111, 60)),
    ((200, 1000), (224, 300)),
    ((1, 1), (5, 7)),
    ((1, 1), (1, 1)),
    ((7, 9), (1, 1)),
    ((1, 300), (3, 20)),
    ((300, 1), (20, 3)),
    ((2, 2), (3, 3)),
    ((3, 1500), (224, 224)),
    ((1500, 3), (224, 224)),
    ((2000, 2), (2, 200)),
    ((2, 2000), (200, 2)),
    ((224, 224), (224, 224)),
    ((224, 300), (224, 150)),
    ((300, 224), (150, 224)),
    ((225, 225), (224, 224)),
    ((224, 224), (225, 225)),
]


def pillow(image: NDArray[np.uint8], size: tuple[int, int], name: str) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(image).resize(size, FILTERS[name]))


def check(got: NDArray[np.uint8], want: NDArray[np.uint8]) -> None:
    assert got.shape == want.shape
    difference = np.abs(got.astype(int) - want.astype(int))
    assert difference.max() <= TOLERANCE, f"{np.count_nonzero(difference)} of {difference.size}"


def same_order(source: tuple[int, int], target: tuple[int, int]) -> bool:
    shrink_x, shrink_y = source[0] - target[0], source[1] - target[1]
    return PILLOW_ROWS_FIRST or not (shrink_y > 0 and shrink_y > 2 * shrink_x)


@pytest.mark.parametrize("interpolation", sorted(FILTERS))
@pytest.mark.parametrize("kind", ["noise", "extreme", "smooth"])
@pytest.mark.parametrize(("source", "target"), SIZES)
def test_resize(
    picture: Callable[..., NDArray[np.uint8]],
    source: tuple[int, int],
    target: tuple[int, int],
    kind: str,
    interpolation: str,
) -> None:
    if not same_order(source, target):
        pytest.skip("Pillow below 13 resizes tall pictures in another order")
    image = picture(*source, kind)
    pre = Preprocess(resize_mode="stretch", resize=target, interpolation=interpolation)
    check(pre.pixels(image), pillow(image, target, interpolation))


@pytest.mark.parametrize("seed", range(4))
def test_random_sizes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    compared = 0
    while compared < 60:
        source, target = (
            tuple(int(rng.integers(1, rng.choice([5, 50, 500]))) for _ in range(2))
            for _ in range(2)
        )
        if not same_order(source, target):
            continue
        image = rng.integers(0, 256, (source[1], source[0], 3), dtype=np.uint8)
        for interpolation in FILTERS:
            pre = Preprocess(resize_mode="stretch", resize=target, interpolation=interpolation)
            check(pre.pixels(image), pillow(image, target, interpolation))
        compared += 1


@pytest.mark.parametrize("interpolation", sorted(FILTERS))
@pytest.mark.parametrize(
    ("size", "short", "crop"),
    [
        ((600, 400), 256, (224, 224)),
        ((401, 600), 256, (224, 224)),
        ((640, 479), 232, (225, 224)),
        ((90, 123), 256, (224, 224)),
        ((1280, 720), 224, (224, 224)),
        ((512, 512), 224, (224, 224)),
        ((300, 301), 299, (298, 297)),
    ],
)
def test_shorter_side_and_crop(
    picture: Callable[..., NDArray[np.uint8]],
    size: tuple[int, int],
    short: int,
    crop: tuple[int, int],
    interpolation: str,
) -> None:
    """The pipeline of torchvision on PIL pictures: Resize(short), CenterCrop(crop)."""
    image = picture(*size, "noise")
    longer = int(short * max(size) / min(size))
    target = (short, longer) if size[0] <= size[1] else (longer, short)
    assert same_order(size, target)
    left = round((target[0] - crop[0]) / 2.0)
    top = round((target[1] - crop[1]) / 2.0)
    want = pillow(image, target, interpolation)[top : top + crop[1], left : left + crop[0]]
    pre = Preprocess(
        resize_mode="shorter", resize=(short, short), crop=crop, interpolation=interpolation
    )
    check(pre.pixels(image), want)


def test_grey(picture: Callable[..., NDArray[np.uint8]]) -> None:
    image = picture(256, 256, "noise")
    want = np.asarray(Image.fromarray(image).convert("L"))[:, :, None]
    check(Preprocess(order="grey").pixels(image), want)
