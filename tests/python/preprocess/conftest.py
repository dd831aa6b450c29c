"""Fixtures of the pre-processing tests."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

Picture = Callable[[int, int, str], NDArray[np.uint8]]


@pytest.fixture(scope="session")
def twin() -> ModuleType:
    """The numpy twin of docs/preprocess.md (twin.py beside this file)."""
    spec = importlib.util.spec_from_file_location("twin", Path(__file__).with_name("twin.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def picture() -> Picture:
    """make(width, height, kind): HWC RGB uint8.

    ``noise`` (all values), ``extreme`` (0 or 255 at random: the largest overshoot of a bicubic
    kernel), ``smooth`` (a photograph-like gradient with a little noise).
    """

    def make(width: int, height: int, kind: str) -> NDArray[np.uint8]:
        rng = np.random.default_rng([width, height, len(kind)])
        shape = (height, width, 3)
        if kind == "noise":
            return rng.integers(0, 256, shape, dtype=np.uint8)
        if kind == "extreme":
            return (rng.integers(0, 2, shape) * 255).astype(np.uint8)
        assert kind == "smooth"
        slope = np.add.outer(np.arange(height) * 0.4, np.arange(width) * 0.3)[:, :, None]
        return np.clip(slope % 230 + rng.integers(0, 12, shape), 0, 255).astype(np.uint8)

    return make
