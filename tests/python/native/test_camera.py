"""The camera examples: real video frames in, the labels that Python computes out."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import realmodels
import videoframes
from numpy.typing import NDArray
from PIL import Image

import edgecv
from edgecv import Frame

from .conftest import ROOT, run

pytestmark = pytest.mark.system

GOLDEN = ROOT / "tests" / "data" / "golden" / "convnet.ecv"


def expected(model: edgecv.Model, frames: list[Frame], top: int) -> str:
    labels = model.labels or []
    text = ""
    for number, frame in enumerate(frames):
        scores = next(iter(model.run_image(frame).values())).ravel()
        best = np.argsort(-scores, kind="stable")[:top]
        found = (f" {i} {scores[i]:.4f} {labels[i] if labels else ''}" for i in best)
        text += f"frame {number}:" + ";".join(found) + "\n"
    return text


@pytest.mark.network
@pytest.mark.parametrize("format", ["nv12", "nv21", "yuyv"])
def test_video_frames_give_pythons_labels(
    build_example: Callable[[str], Path], tmp_path: Path, format: str
) -> None:
    pictures = videoframes.frames(8)
    height, width, _ = pictures[0].shape
    data = [videoframes.to_yuv(picture, format) for picture in pictures]
    (tmp_path / "frames.raw").write_bytes(b"".join(data))
    path = realmodels.int8_path("efficientnet-lite0")
    region = (101, 51, 401, 401)
    frames = [Frame(format, one, width, height, "bt601-full", region) for one in data]
    # Colours survive: what the frame shows is what the video showed, but for the chroma's size.
    whole = Frame(format, data[0], width, height, "bt601-full").rgb().astype(int)
    assert np.abs(whole - pictures[0].astype(int)).mean() < 3
    with edgecv.load(path) as model:
        want = expected(model, frames, 3)
    camera = build_example("cpp/camera") / "camera"
    options = ("--format", format, "--size", f"{width}x{height}", "--color", "bt601-full")
    options += ("--region", ",".join(map(str, region)), "--top", "3")
    assert run(camera, path, "--raw", tmp_path / "frames.raw", *options) == want
    with open(tmp_path / "frames.raw", "rb") as stream:
        assert run(camera, path, "--raw", "-", *options, stdin=stream) == want


def jpeg(picture: NDArray[np.uint8], **options: Any) -> bytes:
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "JPEG", **options)
    return data.getvalue()


def without_huffman_tables(data: bytes) -> bytes:
    """As JPEG cameras send their frames: the standard's tables are understood."""
    out, at = data[:2], 2
    while data[at + 1] != 0xDA:
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] != 0xC4:
            out += data[at : at + 2 + size]
        at += 2 + size
    return out + data[at:]


@pytest.fixture(scope="module")
def jpeg_camera(build_example: Callable[[str], Path]) -> Path:
    camera = build_example("cpp/camera") / "camera"
    result = subprocess.run(
        [camera, GOLDEN, "--mjpeg", "/dev/null"], capture_output=True, text=True, check=False
    )
    if "without libjpeg" in result.stderr:
        pytest.skip("needs libjpeg (Debian, Ubuntu: apt-get install libjpeg-dev)")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    return camera


@pytest.mark.network
def test_jpeg_frames_give_pythons_labels(jpeg_camera: Path, tmp_path: Path) -> None:
    pictures = videoframes.frames(6)
    data = [jpeg(picture, quality=90) for picture in pictures]
    data[1] = without_huffman_tables(data[1])
    data[2] = jpeg(pictures[2], quality=90, progressive=True, optimize=True)
    data[3] = jpeg(pictures[3], quality=90, restart_marker_blocks=7, comment=b"\xff\xd9 no end")
    (tmp_path / "frames.mjpeg").write_bytes(b"".join(data))
    path = realmodels.int8_path("efficientnet-lite0")
    with edgecv.load(path) as model:
        decoded = [np.asarray(Image.open(io.BytesIO(one))) for one in data]
        want = [next(iter(model.run_image(one).values())).ravel() for one in decoded]
    texts = [run(jpeg_camera, path, "--mjpeg", tmp_path / "frames.mjpeg")]
    with open(tmp_path / "frames.mjpeg", "rb") as stream:
        texts.append(run(jpeg_camera, path, "--mjpeg", "-", stdin=stream))
    for text in texts:
        found = re.findall(r"^frame (\d+): (\d+) ([\d.]+) ", text, re.MULTILINE)
        assert [int(number) for number, _, _ in found] == list(range(6))
        for (_, label, score), scores in zip(found, want):
            # Decoders may differ by a grey level.
            assert int(label) == scores.argmax()
            assert abs(float(score) - scores.max()) < 0.02


@pytest.mark.parametrize(
    ("cut", "says"),
    [
        (slice(0, -2), "ends inside"),
        (slice(0, 30), "ends inside"),
        (slice(0, 1), "no JPEG"),
        (slice(2, None), "no JPEG"),
    ],
)
def test_jpeg_streams_that_end_early(
    jpeg_camera: Path, tmp_path: Path, cut: slice, says: str
) -> None:
    picture = np.random.default_rng(5).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    data = jpeg(picture)
    (tmp_path / "frames.mjpeg").write_bytes(data + data[cut])
    result = subprocess.run(
        [jpeg_camera, GOLDEN, "--mjpeg", tmp_path / "frames.mjpeg"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stdout.startswith("frame 0: ")
    assert result.stdout.count("\n") == 1
    assert says in result.stderr


def test_damaged_jpeg_is_an_error(jpeg_camera: Path, tmp_path: Path) -> None:
    data = bytearray(jpeg(np.full((64, 64, 3), 90, np.uint8), quality=100))
    for size in (b"\xff\xff\xff\xff", b"\x00\x00\x00\x00"):  # of the picture, in SOF0
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = size
        (tmp_path / "frames.mjpeg").write_bytes(data)
        result = subprocess.run(
            [jpeg_camera, GOLDEN, "--mjpeg", tmp_path / "frames.mjpeg"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 1
        assert result.stdout == ""
        assert "frames.mjpeg: " in result.stderr


def test_python_prints_the_same(build_example: Callable[[str], Path], tmp_path: Path) -> None:
    width, height = 38, 26
    data = np.random.default_rng(8).integers(0, 256, 5 * width * height * 2, dtype=np.uint8)
    raw = tmp_path / "frames.raw"
    raw.write_bytes(data.tobytes())
    options = ("--raw", raw, "--format", "yuyv", "--size", f"{width}x{height}", "--color", "bt709")
    native = run(build_example("cpp/camera") / "camera", GOLDEN, *options)
    assert native.count("\n") == 5
    script = ROOT / "examples" / "python" / "camera.py"
    assert run(sys.executable, script, GOLDEN, *options) == native
    with open(raw, "rb") as stream:
        assert (
            run(sys.executable, script, GOLDEN, "--raw", "-", *options[2:], stdin=stream) == native
        )


def test_v4l2_negotiation_against_a_fake(build_example: Callable[[str], Path]) -> None:
    assert run(build_example("cpp/camera") / "v4l2_test") == "good\n"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--raw", "/no/such/file", "--format", "rgb"], 1, "/no/such/file"),
        (["--v4l2", "/no/such/device"], 1, "cannot open the camera"),
        (["--v4l2", "/dev/null"], 1, "no video device"),
        (["--raw", str(GOLDEN), "--format", "rgb"], 1, "inside a frame"),
        (["--mjpeg", "/no/such/file"], 1, "camera: "),
        (["--mjpeg", "-", "--raw", "-", "--format", "rgb"], 2, "--mjpeg"),
        (["--v4l2", "/dev/null", "--jpeg", "maybe"], 2, "--jpeg"),
        (["--raw", "-"], 2, "--format"),
        (["--raw", "-", "--format", "i420"], 2, "--format"),
        ([], 2, "--v4l2"),
    ],
)
def test_errors(
    build_example: Callable[[str], Path], arguments: list[str], code: int, says: str
) -> None:
    camera = build_example("cpp/camera") / "camera"
    result = subprocess.run(
        [camera, GOLDEN, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == code
    assert says in result.stderr
