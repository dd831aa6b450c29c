"""The score sets are what they claim to be: fp32 scores on them are known numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import realmodels

from edgecv import zoo

pytestmark = pytest.mark.network


@pytest.mark.parametrize(
    ("name", "tux", "foolbox"), [("efficientnet-lite0", 110, 18), ("mobilenet-v2", 112, 17)]
)
def test_fp32_scores(name: str, tux: int, foolbox: int) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    session = onnxruntime.InferenceSession(
        str(realmodels.onnx_path(name)), providers=["CPUExecutionProvider"]
    )
    preprocess = zoo.find_model(name).preprocess
    for set_name, n, expected in (("tux139", 139, tux), ("foolbox20", 20, foolbox)):
        pictures = realmodels.scores(set_name)
        assert len(pictures) == n
        right = 0
        for picture, accepted in zip(pictures.references(), pictures.accepted):
            x = (picture - np.float32(preprocess.mean)) / np.float32(preprocess.std)
            logits = session.run(None, {"input": x.transpose(2, 0, 1)[None]})[0]
            right += int(logits.argmax()) in accepted
        # fp32 sums differ by their order; a margin of one picture allows for other CPUs.
        assert abs(right - expected) <= 1


def test_unlabelled_sets_are_disjoint() -> None:
    calibration, natural = realmodels.scores("calib64"), realmodels.scores("natural108")
    assert (len(calibration), len(natural)) == (64, 108)
    assert not any(calibration.accepted)
    assert not any(natural.accepted)
    seen = {picture.sha256 for picture in calibration.pictures}
    assert (len(seen), len({picture.sha256 for picture in natural.pictures})) == (42, 76)
    assert not seen & {picture.sha256 for picture in natural.pictures}
    assert not seen & {picture.sha256 for picture in realmodels.scores("tux139").pictures}


def test_composition_and_export(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="needs Pillow")
    for name in ("tux139", "foolbox20"):
        score_set = realmodels.scores(name)
        whole, reference = score_set.image(0), score_set.reference(0)
        assert (reference.shape, reference.dtype) == ((224, 224, 3), np.uint8)
        np.testing.assert_array_equal(reference, score_set.references()[0])
        folder = score_set.export(tmp_path / name)
        files = sorted(folder.iterdir())
        assert len(files) == len(score_set)
        with image.open(files[0]) as opened:
            np.testing.assert_array_equal(np.asarray(opened.convert("RGB")), whole)
    stamp = realmodels.scores("tux139").image(0)
    assert stamp.shape[0] == stamp.shape[1]
    assert (stamp[0] == 255).all()
