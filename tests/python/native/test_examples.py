"""The native examples, built from an installed prefix, print what Python computes."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import numpy as np
import pytest
import realmodels

import edgecv
from edgecv import zoo
from edgecv.images import read_image

from .conftest import ROOT, run, write_ppm

pytestmark = pytest.mark.system


def test_minimal_is_short() -> None:
    text = (ROOT / "examples" / "c" / "minimal.c").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60


@pytest.mark.network
@pytest.mark.parametrize("name", ["coffee", "chelsea"])
def test_minimal_prints_pythons_labels(
    build_example: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    path = realmodels.int8_path("efficientnet-lite0")
    picture = read_image(zoo.demo_pictures()[name])
    with edgecv.load(path) as model:
        scores = next(iter(model.run_image(picture).values())).ravel()
        labels = model.labels
    best = np.argsort(-scores, kind="stable")[:5]
    expected = "".join(f"{i} {scores[i]:.6f} {labels[i] if labels else ''}\n" for i in best)
    ppm = write_ppm(tmp_path / "picture.ppm", picture)
    assert run(build_example("c") / "minimal", path, ppm) == expected
