"""The scoring of benchmarks/accuracy/nanodet.py: boxes of made-up outputs, overlap, matching."""

from __future__ import annotations

import nanodet
import numpy as np


def outputs() -> dict[str, np.ndarray]:
    """No score anywhere; all distances nought."""
    made = {}
    for stride in nanodet.STRIDES:
        cells = (nanodet.SIZE // stride) ** 2
        made[f"scores{stride}"] = np.zeros((1, cells, 80), np.float32)
        logits = np.full((1, cells, 4, nanodet.BINS), -100.0, np.float32)
        logits[..., 0] = 0.0
        made[f"distances{stride}"] = logits.reshape(1, cells, -1)
    return made


def put(made: dict[str, np.ndarray], row: int, column: int, score: float, bins: list[int]) -> None:
    """A person on the grid of 16 pixels."""
    cell = row * 26 + column
    made["scores16"][0, cell, 0] = score
    logits = np.full((4, nanodet.BINS), -100.0, np.float32)
    logits[np.arange(4), bins] = 0.0
    made["distances16"][0, cell] = logits.ravel()


def test_persons_are_decoded_the_surest_first_and_suppressed() -> None:
    made = outputs()
    assert nanodet.persons(made).shape == (0, 4)
    made["scores8"][0, 0, 1] = 0.9  # another class
    put(made, 3, 5, 0.4, [1, 2, 3, 4])
    put(made, 3, 6, 0.5, [2, 2, 2, 4])  # the same box, one cell to the right
    put(made, 20, 20, 0.45, [1, 1, 1, 1])
    put(made, 9, 9, 0.35, [1, 1, 1, 1])  # not above the least score
    want = [[71.5, 23.5, 135.5, 119.5], [311.5, 311.5, 343.5, 343.5]]
    np.testing.assert_allclose(nanodet.persons(made), want, rtol=0, atol=1e-9)


def test_distances_are_means_of_the_softmax() -> None:
    made = outputs()
    put(made, 0, 0, 0.4, [0, 0, 0, 0])
    made["distances16"][0, 0] = 0.0  # all bins alike: five cells
    np.testing.assert_allclose(nanodet.persons(made), [[-72.5, -72.5, 87.5, 87.5]])


def test_each_box_is_matched_once() -> None:
    a = np.array([[0.0, 0, 10, 10], [0, 2, 10, 12]])
    assert nanodet.overlap(a, a)[0, 1] == 80 / 120
    assert nanodet.matched(a, a[:1]) == 1
    assert nanodet.matched(a, a[::-1]) == 2
    assert nanodet.matched(a, a + np.array([5.1, 0, 5.1, 0])) == 0
    assert nanodet.matched(a[:0], a) == 0
