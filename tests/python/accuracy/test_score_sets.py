"""Accuracy of the real networks in int8 on labelled pictures, against floors.

The floors are those of exact int8 arithmetic with a margin of one or two pictures; n = 139 tells
nothing finer. Pictures are pre-processed by the file's own recipe.
"""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import realmodels

import edgecv
from edgecv import zoo

pytestmark = pytest.mark.network


@pytest.mark.parametrize(
    ("name", "top1", "agreement"), [("efficientnet-lite0", 112, 127), ("mobilenet-v2", 112, 125)]
)
def test_tux(name: str, top1: int, agreement: int) -> None:
    pictures = realmodels.scores("tux139")
    preprocess = zoo.find_model(name).preprocess
    session = onnxruntime.InferenceSession(
        str(realmodels.onnx_path(name)), providers=["CPUExecutionProvider"]
    )
    right = agree = 0
    with edgecv.load(realmodels.int8_path(name)) as model:
        for i, accepted in enumerate(pictures.accepted):
            x = realmodels.score_input(preprocess, pictures.reference(i))
            best = int(np.argmax(model.run(x)["logits"]))
            right += best in accepted
            agree += best == int(np.argmax(session.run(None, {"input": x})[0]))
    print(f"{name}: top-1 {right}, agreement {agree} of {len(pictures)}")
    assert right >= top1
    assert agree >= agreement


def test_foolbox() -> None:
    pictures = realmodels.scores("foolbox20")
    preprocess = zoo.find_model("efficientnet-lite0").preprocess
    right = 0
    with edgecv.load(realmodels.int8_path("efficientnet-lite0")) as model:
        for i, accepted in enumerate(pictures.accepted):
            x = realmodels.score_input(preprocess, pictures.reference(i))
            right += int(np.argmax(model.run(x)["logits"])) in accepted
    assert right >= 18


def test_file_size() -> None:
    assert realmodels.int8_path("efficientnet-lite0").stat().st_size <= 5.0e6
