"""Real networks converted once per test run: paths of ONNX and `.ecv` files.

Everything comes from pinned packages through the zoo's cache; without a package index the tests
skip and say so.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import once
import pytest
import scoresets
from numpy.typing import NDArray

from edgecv import zoo
from edgecv.convert import convert
from edgecv.errors import DownloadError
from edgecv.preprocess import Preprocess

NAMES = ("efficientnet-lite0", "mobilenet-v2")


@functools.lru_cache(maxsize=None)
def onnx_path(name: str) -> Path:
    """The float ONNX file of a zoo model."""
    try:
        return once.made(f"{name}.onnx", lambda path: zoo.build(name, path))
    except DownloadError as error:
        pytest.skip(f"needs a package index: {error}")


@functools.lru_cache(maxsize=None)
def fp32_path(name: str) -> Path:
    """The fp32 `.ecv` file of a zoo model."""
    source, preprocess = onnx_path(name), zoo.find_model(name).preprocess
    return once.made(f"{name}-fp32.ecv", lambda path: convert(source, path, preprocess=preprocess))


@functools.lru_cache(maxsize=None)
def int8_path(name: str) -> Path:
    """The int8 `.ecv` file of a zoo model, by default options on the 64 calibration pictures.

    They are cropped as the accuracy comparison crops them, so that every runtime in it sees the
    same pixels.
    """
    return _convert(name, f"{name}.ecv")


@functools.lru_cache(maxsize=None)
def plain_path(name: str) -> Path:
    """The same with weights rounded to nearest and minmax ranges: what lane-safe weights are held
    against.
    """
    return _convert(name, f"{name}-plain.ecv", weights="plain", method="minmax")


def _convert(name: str, file: str, **options: Any) -> Path:
    source, preprocess = onnx_path(name), zoo.find_model(name).preprocess

    def make(path: Path) -> None:
        crops = scores("calib64").references()
        samples = (score_input(preprocess, crop) for crop in crops)
        convert(source, path, samples, preprocess=preprocess, **options)

    return once.made(file, make)


@functools.lru_cache(maxsize=None)
def scores(name: str) -> scoresets.ScoreSet:
    """A score set, or a skip."""
    try:
        once.made(f"scores/{name}", lambda _: scoresets.load(name))  # one process downloads
        return scoresets.load(name)
    except DownloadError as error:
        pytest.skip(f"needs a package index: {error}")


def model_input(preprocess: Preprocess, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A picture as a 1 x C x H x W model input."""
    return np.ascontiguousarray(preprocess.apply(image).transpose(2, 0, 1)[None])


def score_input(preprocess: Preprocess, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    """An already resized and cropped picture as a model input: only mean and std are left to do."""
    return model_input(replace(preprocess, resize_mode="none", resize=(0, 0), crop=(0, 0)), crop)
