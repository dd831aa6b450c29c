"""The score sets are what they claim to be: fp32 scores on them are known numbers."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))

from realdata import count_right, load_set, reference_logits

pytestmark = pytest.mark.network


@pytest.mark.parametrize(
    ("model", "tux", "foolbox"), [("efficientnet-lite0", 110, 18), ("mobilenet-v2", 112, 17)]
)
def test_fp32_scores(model: str, tux: int, foolbox: int) -> None:
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    stamps, pictures = load_set("tux139"), load_set("foolbox20")
    assert (len(stamps), len(pictures)) == (139, 20)
    # fp32 sums differ by the order of addition; a margin of one picture allows for other CPUs.
    assert abs(count_right(reference_logits(model, "tux139"), stamps.accepted) - tux) <= 1
    assert abs(count_right(reference_logits(model, "foolbox20"), pictures.accepted) - foolbox) <= 1


def test_unlabelled_sets_are_disjoint() -> None:
    calibration, natural = load_set("calib64"), load_set("natural108")
    assert (len(calibration), len(natural)) == (64, 108)
    assert not any(calibration.accepted)
    assert not any(natural.accepted)
    seen = {picture.sha256 for picture in calibration.pictures}
    assert len(seen) == 42
    assert not seen & {picture.sha256 for picture in natural.pictures}
    assert not seen & {picture.sha256 for picture in load_set("tux139").pictures}


def test_composition_and_export(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="needs Pillow")
    for name in ("tux139", "foolbox20"):
        score_set = load_set(name)
        whole, reference = score_set.image(0), score_set.reference(0)
        assert (reference.shape, reference.dtype) == ((224, 224, 3), np.uint8)
        np.testing.assert_array_equal(reference, score_set.references()[0])
        folder = score_set.export(tmp_path / name)
        files = sorted(folder.iterdir())
        assert len(files) == len(score_set)
        with image.open(files[0]) as opened:
            np.testing.assert_array_equal(np.asarray(opened.convert("RGB")), whole)
    stamp = load_set("tux139").image(0)
    assert stamp.shape[0] == stamp.shape[1]
    assert (stamp[0] == 255).all()
