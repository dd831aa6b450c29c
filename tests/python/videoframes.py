"""Frames of a real video: pedestrians on a street, ``vtest.avi`` of Debian's opencv-doc.

The package is downloaded by ``apt-get download`` once; the video alone is kept in the zoo's cache.
OpenCV decodes it. Without either the tests skip and say so.
"""

from __future__ import annotations

import functools
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import once
import pytest
from numpy.typing import NDArray

from edgecv.zoo import packages

PACKAGE = "opencv-doc"
MEMBER = "usr/share/doc/opencv-doc/examples/data/vtest.avi"
SHA256 = "45cddc9490be69345cbdab64ca583be65987e864ca408038e648db99e10516cf"


@functools.lru_cache(maxsize=None)
def video() -> Path:
    """The video file."""
    path = packages.cache_dir(None) / "tests" / "vtest.avi"
    once.made("video", lambda _: _fetch(path))
    return path


def _fetch(path: Path) -> None:
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == SHA256:
        return
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            pytest.skip(f"needs Debian's {PACKAGE}, and so {program}")
    with tempfile.TemporaryDirectory(prefix="edgecv-deb-") as folder:
        done = subprocess.run(
            ["apt-get", "download", "-q", PACKAGE], cwd=folder, capture_output=True, check=False
        )
        debs = list(Path(folder).glob("*.deb"))
        if done.returncode != 0 or len(debs) != 1:
            pytest.skip(f"needs Debian's {PACKAGE}: apt-get download failed (apt-get update?)")
        subprocess.run(["dpkg-deb", "-x", str(debs[0]), folder], check=True)
        data = Path(folder, MEMBER).read_bytes()
    assert hashlib.sha256(data).hexdigest() == SHA256, "another vtest.avi than the tests know"
    packages.write_atomically(path, data)


@functools.lru_cache(maxsize=None)
def frames(count: int) -> list[NDArray[np.uint8]]:
    """``count`` frames, spread over the video, HWC RGB."""
    try:
        import cv2
    except ImportError:
        pytest.skip("needs opencv-python-headless")
    capture = cv2.VideoCapture(str(video()))
    pictures = []
    for number in range(count * 90):
        good, picture = capture.read()
        if not good:
            break
        if number % 90 == 0:
            pictures.append(np.ascontiguousarray(picture[..., ::-1]))
    assert len(pictures) == count
    return pictures


def to_yuv(rgb: NDArray[np.uint8], format: str) -> bytes:
    """A picture of even sides as full-range BT.601 NV12, NV21 or YUYV."""
    r, g, b = (rgb[..., c].astype(np.float64) for c in range(3))
    y = 0.299 * r + 0.587 * g + 0.114 * b
    u = (b - y) / 1.772 + 128
    v = (r - y) / 1.402 + 128
    luma = np.clip(np.rint(y), 0, 255).astype(np.uint8)

    def shrink(plane: NDArray[np.float64], rows: int) -> NDArray[np.uint8]:
        height, width = plane.shape
        mean = plane.reshape(height // rows, rows, width // 2, 2).mean(axis=(1, 3))
        return np.clip(np.rint(mean), 0, 255).astype(np.uint8)

    if format == "yuyv":
        u, v = shrink(u, 1), shrink(v, 1)
        quads = np.stack([luma[:, 0::2], u, luma[:, 1::2], v], axis=-1)
        return quads.tobytes()
    pair = [shrink(u, 2), shrink(v, 2)]
    return luma.tobytes() + np.stack(pair if format == "nv12" else pair[::-1], axis=-1).tobytes()
