"""Real pictures and real models for tests, as fixtures and loaders.

What they need (a package index, apt-get) is skipped aloud with a reason that begins with "needs ",
which EDGECV_REQUIRE turns into a failure. A test that uses them carries ``@pytest.mark.network``.

    from realdata import load_set, onnx_model
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator

import numpy as np
import pytest

from edgecv import zoo
from edgecv.errors import DownloadError
from edgecv.zoo import packages

ACCURACY = Path(__file__).resolve().parents[2] / "benchmarks" / "accuracy"
if str(ACCURACY) not in sys.path:
    sys.path.append(str(ACCURACY))

if TYPE_CHECKING:
    from scoresets import ScoreSet


@functools.lru_cache(maxsize=None)
def load_set(name: str) -> ScoreSet:
    """Return ``tux139``, ``foolbox20``, ``calib64`` or ``natural108`` (see scoresets.py)."""
    pytest.importorskip("PIL", reason="needs Pillow")
    import scoresets

    try:
        return scoresets.load(name)
    except DownloadError as error:
        pytest.skip(f"needs the pictures of {name}: {error}")


@functools.lru_cache(maxsize=None)
def onnx_model(name: str) -> Path:
    """Return the path of a zoo model's ONNX file, built once into the cache."""
    pytest.importorskip("onnx", reason="needs onnx")
    path = packages.cache_dir() / "tests" / f"{name}.onnx"
    try:
        return zoo.build(name, path)
    except DownloadError as error:
        pytest.skip(f"needs the weights of {name}: {error}")


def model_inputs(name: str, pictures: np.ndarray) -> Iterator[np.ndarray]:
    """Yield what a zoo model gets for each of Nx224x224x3 RGB uint8: 1x3x224x224 float32."""
    preprocess = zoo.find_model(name).preprocess
    mean, std = np.array(preprocess.mean, np.float32), np.array(preprocess.std, np.float32)
    for picture in pictures:
        x = (picture.astype(np.float32) - mean) / std
        yield np.ascontiguousarray(x.transpose(2, 0, 1)[None])


@functools.lru_cache(maxsize=None)
def reference_logits(name: str, set_name: str) -> np.ndarray:
    """Return onnxruntime's fp32 logits (Nx1000) of a zoo model on a score set."""
    onnxruntime: Any = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    session = onnxruntime.InferenceSession(
        str(onnx_model(name)), providers=["CPUExecutionProvider"]
    )
    inputs = model_inputs(name, load_set(set_name).references())
    return np.concatenate([session.run(None, {"input": x})[0] for x in inputs])


def count_right(logits: np.ndarray, accepted: tuple[tuple[int, ...], ...]) -> int:
    """Return on how many pictures the top label is one of the accepted ones."""
    return sum(int(row.argmax()) in ids for row, ids in zip(logits, accepted))
