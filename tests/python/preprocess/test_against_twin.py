"""The core against the numpy twin of docs/preprocess.md: equal bits, every mode and output."""

from __future__ import annotations

from fractions import Fraction
from types import ModuleType
from typing import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecv.preprocess import Preprocess

Picture = Callable[..., NDArray[np.uint8]]

TEXTS = [
    "order=rgb",
    "order=bgr,mean=103.53/116.28/123.675,std=57.375/57.12/58.395",
    "order=grey,mean=33.3,std=78.6",
    "resize=37,crop=32,mean=127,std=128",
    "resize=37,crop=32x20,interp=bicubic",
    "resize=37,crop=33x31,interp=bicubic,antialias=off",
    "resize=31,crop=40x29,fill=9/8/7",
    "resize=19",
    "resize=41x23,crop=20x23,interp=bicubic",
    "resize=41x23,antialias=off",
    "crop=24x24,fill=200",
    "letterbox=64x48,fill=114,std=255",
    "letterbox=33,interp=bicubic,order=bgr,fill=1/2/3",
    "letterbox=50x51,order=grey,fill=10/20/30",
    "imagenet",
    "yolo",
]
SIZES = [(1, 1), (2, 9), (60, 40), (40, 61), (57, 200), (200, 31), (24, 24), (23, 300)]


@pytest.mark.parametrize("size", SIZES, ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize("text", TEXTS)
def test_pixels(twin: ModuleType, picture: Picture, text: str, size: tuple[int, int]) -> None:
    pre = Preprocess.parse(text)
    for kind in ("noise", "extreme"):
        image = picture(*size, kind)
        np.testing.assert_array_equal(pre.pixels(image), twin.pixels(pre, image))


@pytest.mark.parametrize("text", TEXTS)
def test_float(twin: ModuleType, picture: Picture, text: str) -> None:
    pre = Preprocess.parse(text)
    image = picture(60, 41, "noise")
    got = pre.apply(image)
    want = twin.apply(pre, image)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got.view(np.uint32), want.view(np.uint32))


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    ("scale", "zero_point"),
    [(1.0, -128), (0.0186584, -14), (0.5, 0), (1 / 255, -128), (2.0, 127), (1e-30, 3), (1e30, -7)],
)
def test_quantized(
    twin: ModuleType, picture: Picture, text: str, scale: float, zero_point: int
) -> None:
    pre = Preprocess.parse(text)
    image = picture(60, 41, "noise")
    np.testing.assert_array_equal(
        pre.quantize(image, scale, zero_point), twin.quantize(pre, image, scale, zero_point)
    )


def test_halves_round_to_even() -> None:
    """Scale 2 and mean 0 put every odd grey level on a half: 1 -> 0, 3 -> 2, 5 -> 2, 7 -> 4."""
    image = np.repeat(np.arange(8, dtype=np.uint8).reshape(1, 8, 1), 3, axis=2)
    got = Preprocess().quantize(image, 2.0, 0)[0, :, 0]
    assert got.tolist() == [0, 0, 1, 2, 2, 2, 3, 4]


def test_the_scale_divides() -> None:
    """All quotients of a grey level and a whole scale, halves among them, against exact fractions.

    Multiplying by the reciprocal moves some halves: 91 / 14 is 6.5, 91 * f32(1 / 14) is not.
    """
    image = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 256, 1), 3, axis=2)
    for scale in range(1, 256):
        want = [min(127, round(Fraction(level, scale))) for level in range(256)]
        assert Preprocess().quantize(image, scale, 0)[0, :, 1].tolist() == want


def test_a_flat_picture_stays_flat() -> None:
    for value in (0, 1, 127, 254, 255):
        for size in ((1, 4096), (4096, 1), (777, 3), (5, 5), (1001, 999)):
            image = np.full((size[1], size[0], 3), value, dtype=np.uint8)
            for text in ("resize=7x5", "resize=300x1,interp=bicubic", "resize=1x1,interp=bicubic"):
                assert np.unique(Preprocess.parse(text).pixels(image)).tolist() == [value]


def test_strided_and_readonly_arrays(picture: Picture) -> None:
    pre = Preprocess.parse("resize=20x20")
    image = picture(50, 40, "noise")
    wide = np.zeros((40, 100, 3), dtype=np.uint8)
    wide[:, 20:70] = image
    np.testing.assert_array_equal(pre.pixels(wide[:, 20:70]), pre.pixels(image))
    flipped = image[::-1, ::-1]
    np.testing.assert_array_equal(pre.pixels(flipped), pre.pixels(np.ascontiguousarray(flipped)))
    image.setflags(write=False)
    assert pre.pixels(image).shape == (20, 20, 3)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
    ids=["2d", "rgba", "float", "batch"],
)
def test_other_arrays_are_refused(image: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match=r"shape \[height, width, 3\], RGB, uint8"):
        Preprocess().apply(image)


@pytest.mark.parametrize(
    ("text", "size", "words"),
    [
        ("resize=8x8", (0, 5), "empty"),
        ("resize=8x8", (40000, 1), "limit of a side is 32768"),
        ("order=rgb", (9000, 1), "limit of a side is 8192"),
        ("resize=1x1", (5000, 1), "shrink by more than 4096"),
        ("resize=100", (1, 500), "limit of a side is 8192"),
    ],
)
def test_limits(text: str, size: tuple[int, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Preprocess.parse(text).pixels(np.zeros((size[1], size[0], 3), np.uint8))
