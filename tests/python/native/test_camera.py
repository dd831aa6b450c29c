"""The camera examples: real video frames in, the labels that Python computes out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Callable

import numpy as np
import pytest
import realmodels
import videoframes

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
