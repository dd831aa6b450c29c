"""Camera frames against the contract in docs/preprocess.md and against the standards' formulas."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edgecv
from edgecv import Frame
from edgecv.frames import COLORS, FORMATS
from edgecv.preprocess import Preprocess

GOLDEN = Path(__file__).resolve().parents[2] / "data" / "golden"

# offset, ky, vr, ug, vg, ub
MATRICES = {
    "bt601": (16, 9539, 13075, 3209, 6660, 16525),
    "bt601-full": (0, 8192, 11485, 2819, 5850, 14516),
    "bt709": (16, 9539, 14686, 1747, 4366, 17305),
    "bt709-full": (0, 8192, 12901, 1535, 3835, 15201),
}


def frame_bytes(format: str, width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    pairs, rows = (width + 1) // 2, (height + 1) // 2
    size = {
        "rgb": 3 * width * height,
        "bgr": 3 * width * height,
        "grey": width * height,
        "nv12": width * height + 2 * pairs * rows,
        "nv21": width * height + 2 * pairs * rows,
        "yuyv": 4 * pairs * height,
    }[format]
    random = np.random.default_rng(seed)
    data = random.integers(0, 256, size).astype(np.uint8)
    data[random.random(size) < 0.2] = 255
    data[random.random(size) < 0.2] = 0
    return data


def samples(format: str, data: NDArray[np.uint8], width: int, height: int) -> NDArray[np.int64]:
    """Y, U, V of every pixel, [height, width, 3]."""
    pairs, rows = (width + 1) // 2, (height + 1) // 2
    y, x = np.mgrid[0:height, 0:width]
    if format == "yuyv":
        quads = data.reshape(height, pairs, 4).astype(np.int64)
        luma = quads[y, x // 2, 2 * (x % 2)]
        u, v = quads[y, x // 2, 1], quads[y, x // 2, 3]
    else:
        luma = data[: width * height].reshape(height, width).astype(np.int64)
        uv = data[width * height :].reshape(rows, pairs, 2).astype(np.int64)[y // 2, x // 2]
        u, v = (uv[..., 0], uv[..., 1]) if format == "nv12" else (uv[..., 1], uv[..., 0])
    return np.stack([luma, u, v], axis=-1)


def twin_rgb(
    format: str, data: NDArray[np.uint8], width: int, height: int, color: str
) -> NDArray[np.uint8]:
    if format in ("rgb", "bgr"):
        picture = data.reshape(height, width, 3)
        return picture if format == "rgb" else np.ascontiguousarray(picture[..., ::-1])
    if format == "grey":
        return np.repeat(data.reshape(height, width, 1), 3, axis=2)
    offset, ky, vr, ug, vg, ub = MATRICES[color]
    yuv = samples(format, data, width, height)
    c, d, e = yuv[..., 0] - offset, yuv[..., 1] - 128, yuv[..., 2] - 128
    sums = [ky * c + vr * e, ky * c - ug * d - vg * e, ky * c + ub * d]
    rgb = np.stack([(one + 4096) >> 13 for one in sums], axis=-1)
    return np.clip(rgb, 0, 255).astype(np.uint8)


def float_rgb(yuv: NDArray[np.int64], color: str) -> NDArray[np.float64]:
    """The standards' formula in double, clamped, not rounded."""
    kr, kb = (0.299, 0.114) if color.startswith("bt601") else (0.2126, 0.0722)
    full = color.endswith("full")
    y = (yuv[..., 0] - (0 if full else 16)) / (255.0 if full else 219.0)
    cb = (yuv[..., 1] - 128) / (255.0 if full else 224.0)
    cr = (yuv[..., 2] - 128) / (255.0 if full else 224.0)
    r = y + 2 * (1 - kr) * cr
    b = y + 2 * (1 - kb) * cb
    g = (y - kr * r - kb * b) / (1 - kr - kb)
    return np.clip(np.stack([r, g, b], axis=-1) * 255.0, 0.0, 255.0)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (7, 5), (33, 18), (64, 3), (40, 40)])
def test_rgb_matches_the_twin(format: str, size: tuple[int, int]) -> None:
    for color in COLORS:
        data = frame_bytes(format, *size)
        want = twin_rgb(format, data, *size, color)
        assert Frame(format, data, *size, color).rgb().tobytes() == want.tobytes()
        assert Frame(format, data.tobytes(), *size, color).rgb().tobytes() == want.tobytes()


@pytest.mark.parametrize("format", ["nv12", "nv21", "yuyv"])
@pytest.mark.parametrize("color", COLORS)
def test_rgb_is_the_standards_within_one_level(format: str, color: str) -> None:
    data = frame_bytes(format, 120, 90, 1)
    got = Frame(format, data, 120, 90, color).rgb().astype(np.float64)
    error = np.abs(got - float_rgb(samples(format, data, 120, 90), color))
    # Half a level of rounding, less than a tenth of the rounded matrix.
    assert error.max() < 0.6


@pytest.mark.parametrize("format", FORMATS)
def test_regions_cut_the_whole_frames_rgb(format: str) -> None:
    data = frame_bytes(format, 31, 22)
    whole = Frame(format, data, 31, 22).rgb()
    for region in ((0, 0, 31, 22), (1, 1, 29, 20), (30, 21, 1, 1), (5, 3, 17, 9), (4, 0, 3, 22)):
        left, top, width, height = region
        got = Frame(format, data, 31, 22, region=region)
        assert got.size == (width, height)
        want = whole[top : top + height, left : left + width]
        np.testing.assert_array_equal(got.rgb(), want)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "text",
    [
        "resize=20,crop=16,mean=127,std=128",
        "resize=17x9,interp=bicubic,order=bgr",
        "letterbox=24,fill=114,std=255",
        "resize=12x30,antialias=off,order=grey,mean=100",
        "crop=16x50",
    ],
)
def test_preprocessing_matches_the_twin(twin: ModuleType, format: str, text: str) -> None:
    pre = Preprocess.parse(text)
    for width, height, region in (
        (37, 29, None),
        (21, 120, None),
        (50, 90, (3, 5, 33, 81)),
    ):
        data = frame_bytes(format, width, height)
        frame = Frame(format, data, width, height, "bt709", region)
        left, top, w, h = region or (0, 0, width, height)
        rgb = twin_rgb(format, data, width, height, "bt709")[top : top + h, left : left + w]
        rgb = np.ascontiguousarray(rgb)
        np.testing.assert_array_equal(pre.pixels(frame), twin.pixels(pre, rgb))
        np.testing.assert_array_equal(pre.apply(frame), twin.apply(pre, rgb))
        np.testing.assert_array_equal(
            pre.quantize(frame, 0.0186584, -14), twin.quantize(pre, rgb, 0.0186584, -14)
        )


def test_planes_with_gaps() -> None:
    data = frame_bytes("nv12", 18, 10)
    luma = np.full((10, 32), 7, np.uint8)
    chroma = np.full((5, 24), 9, np.uint8)
    luma[:, :18] = data[:180].reshape(10, 18)
    chroma[:, :18] = data[180:].reshape(5, 18)
    want = Frame("nv12", data, 18, 10).rgb()
    np.testing.assert_array_equal(Frame("nv12", (luma, chroma), 18, 10).rgb(), want)
    np.testing.assert_array_equal(Frame("nv12", [luma[:, :18], chroma], 18, 10).rgb(), want)
    # Every second row of a larger array: a stride of two rows.
    tall = np.repeat(data[:180].reshape(10, 18), 2, axis=0)
    np.testing.assert_array_equal(Frame("nv12", (tall[::2], chroma), 18, 10).rgb(), want)


def test_a_model_runs_on_a_frame() -> None:
    data = frame_bytes("nv21", 30, 20)
    frame = Frame("nv21", data, 30, 20, region=(2, 1, 27, 18))
    with edgecv.load(GOLDEN / "convnet.ecv") as model:
        got, want = model.run_image(frame), model.run_image(frame.rgb())
        np.testing.assert_array_equal(
            model.preprocess_image(frame), model.preprocess_image(frame.rgb())
        )
    assert all(got[name].tobytes() == want[name].tobytes() for name in want)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("i420", b"", 2, 2), "format 'i420' is unknown"),
        (("rgb", bytes(12), 2, 2, "srgb"), "color 'srgb' is unknown"),
        (("rgb", bytes(11), 2, 2), "are 12 bytes, not 11"),
        (("nv12", bytes(7), 2, 2), "are 6 bytes, not 7"),
        (("nv12", bytes(6), 0, 2), "0 x 2"),
        (("rgb", bytes(12), 2, 2, "bt601", (1, 0, 2, 2)), "does not lie in the frame"),
        (("rgb", bytes(12), 2, 2, "bt601", (0, 0, 0, 2)), "does not lie in the frame"),
        (("rgb", bytes(12), 2, 2, "bt601", (-1, 0, 1, 1)), "does not lie in the frame"),
        (("rgb", np.zeros((2, 2, 3), np.float32), 2, 2), "array of uint8"),
        (("rgb", np.zeros((4, 2, 3), np.uint8)[::2], 2, 2), "contiguous"),
        (("nv12", [np.zeros((2, 2), np.uint8)], 2, 2), "has 2 plane"),
        (("nv12", [np.zeros((2, 2), np.uint8), np.zeros((1, 1), np.uint8)], 2, 2), "1 rows of 2"),
        (("grey", [np.zeros((2, 2), np.int8)], 2, 2), "uint8"),
    ],
)
def test_refuses(arguments: tuple[Any, ...], says: str) -> None:
    with pytest.raises(edgecv.InputError, match=says.replace("(", r"\(")):
        Frame(*arguments)


def test_the_private_module_trusts_nobody() -> None:
    """Wrong tuples are a ValueError, never a read past a plane."""
    from edgecv import _core

    plane = np.zeros((2, 6), np.uint8)
    good = (0, 0, 2, 2, 0, 0, 2, 2, (plane,))
    assert _core.frame_rgb(good).shape == (2, 2, 3)
    for index, value in (
        (0, 6),
        (0, 3),
        (2, 3),
        (3, 3),
        (4, 1),
        (5, -1),
        (6, 0),
        (8, ()),
        (8, (plane[:, :5],)),
        (8, (plane.T,)),
        (8, (plane.astype(np.int8),)),
        (8, (np.broadcast_to(plane[:1], (2, 6)),)),
        (8, (np.zeros((2, 12), np.uint8)[:, ::2],)),
    ):
        bad = (*good[:index], value, *good[index + 1 :])
        with pytest.raises((ValueError, edgecv.Error)):
            _core.frame_rgb(bad)
