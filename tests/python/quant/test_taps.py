"""Depthwise weights whose sums over all taps stay in 16 bits."""

from __future__ import annotations

import numpy as np
import pytest

from edgecv.quant.lanes import lane_bound
from edgecv.quant.moments import Moments
from edgecv.quant.parameters import QuantParams
from edgecv.quant.refine import Refiner
from edgecv.quant.taps import BIAS_BITS, fits, keeps_taps, tap_pairs, total_bound
from edgecv.quant.weights import PLAIN_GROUP, TAPS_GROUP, Layer, QuantOptions, choose

X = QuantParams(float(np.float32(0.02)), -128)
Y = QuantParams(float(np.float32(0.1)), 3)


def layer(w: np.ndarray, bias: float = 1.0, known: bool = True, input_range: int = 255) -> Layer:
    channels = len(w)
    moments = None
    if known:
        moments = Moments.empty(channels, False)
        moments.see(np.random.default_rng(3).normal(size=(64, channels)).astype(np.float32))
        moments.flush()
    biases = np.linspace(-bias, bias, channels).astype(np.float32)
    return Layer(w.astype(np.float32), biases, channels, X, Y, input_range, moments)


def kernels(size: int, channels: int = 48, seed: int = 0) -> np.ndarray:
    """Smooth, edge-like and single-tap kernels."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(channels, size, size, 1))
    w[::4] = np.abs(w[::4]) + 0.5
    w[1::4] *= 0.02
    w[1::4, size // 2, size // 2] = 1.0
    w[5] = 0.0
    return w


def bounded(one: Layer) -> np.ndarray:
    choice = choose(one, QuantOptions(group_of_node={"dw": TAPS_GROUP}), "dw")
    assert choice.group == TAPS_GROUP
    return choice.weights.weights


def test_pairs_are_those_of_the_kernels() -> None:
    def members(size: int) -> list[set[int]]:
        pairs = tap_pairs((size, size))
        assert pairs is not None
        return [set(np.flatnonzero(pairs == i).tolist()) for i in range(int(pairs.max()) + 1)]

    assert sorted(map(sorted, members(3))) == [[0, 6], [1, 7], [2, 8], [3, 5], [4]]
    five = members(5)
    for pair in ({0, 20}, {4, 24}, {5, 15}, {9, 19}, {10, 11}, {12}, {13, 14}):
        assert pair in five
    assert len(five) == 13
    for taps in ((7, 7), (3, 5), (1, 1)):
        assert tap_pairs(taps) is None


@pytest.mark.parametrize("input_range", [255, 200, 127])
@pytest.mark.parametrize("size", [3, 5])
def test_rounded_weights_keep_both_bounds(size: int, input_range: int) -> None:
    q = bounded(layer(kernels(size), input_range=input_range)).astype(int)
    assert np.abs(q).sum(axis=(1, 2, 3)).max() <= 65535 // input_range
    top, bottom = np.maximum(q, 0), np.maximum(-q, 0)
    for part in (top, bottom):
        for row in range(size // 2):
            assert (part[:, row] + part[:, size - 1 - row]).max() <= 32767 // input_range
        middle = part[:, size // 2, :, 0]
        for first, second in ((0, 2),) if size == 3 else ((0, 1), (3, 4)):
            assert (middle[:, first] + middle[:, second]).max() <= 32767 // input_range
    assert keeps_taps(q.astype(np.int8), input_range)
    # What is there to use is used.
    assert np.median(np.abs(q).sum(axis=(1, 2, 3))) > 0.8 * min(65535 // input_range, 300)


def test_one_more_breaks_a_bound() -> None:
    pairs = tap_pairs((3, 3))
    assert pairs is not None
    q = np.zeros((4, 9), np.float32)
    q[0] = [28, 28, 28, 29, 30, 29, 28, 28, 29]  # 257
    q[1] = q[0] + np.eye(9, dtype=np.float32)[4]
    q[2, [0, 6]] = 64, 64
    q[3, [0, 6]] = 64, 65
    assert fits(q, pairs, 255).tolist() == [True, False, True, False]
    assert fits(-q, pairs, 255).tolist() == [True, False, True, False]
    assert lane_bound(255) == 128
    assert total_bound(255) == 257


def test_noise_stays_small_and_the_rule_decides() -> None:
    one = layer(kernels(3))
    asked = choose(one, QuantOptions(group=8), "dw")
    usual = choose(one, QuantOptions(), "dw")
    assert asked.group == TAPS_GROUP
    assert usual.group == PLAIN_GROUP
    assert asked.sqnr_db > 38
    # Without calibration nothing tells the noise of sums: plain.
    assert choose(layer(kernels(3), known=False), QuantOptions(group=8), "dw").group == PLAIN_GROUP
    # A kernel that no form takes.
    assert choose(layer(kernels(7)), QuantOptions(group=8), "dw").group == PLAIN_GROUP


def test_large_biases_leave_room_for_sums_in_f32() -> None:
    w = kernels(3)
    w[:24] *= 1e-6
    choice = choose(layer(w, bias=20.0), QuantOptions(group_of_node={"dw": TAPS_GROUP}), "dw")
    assert np.abs(choice.weights.bias.astype(np.int64)).max() <= 1.01 * 2**BIAS_BITS
    assert keeps_taps(choice.weights.weights, 255)


def test_steps_keep_the_sum_of_magnitudes() -> None:
    rng = np.random.default_rng(1)
    v = (rng.normal(size=(20, 9)) * 40).astype(np.float32)
    start = np.trunc(v / 3)
    total = int(np.abs(start).sum(axis=1).max()) + 2
    alone = np.arange(9)
    covariance = np.eye(9, dtype=np.float32)
    q = Refiner(v, start, covariance, 127, 127, [alone], total).run(5)
    assert np.abs(q).sum(axis=1).max() <= total
    assert np.abs(q).sum(axis=1).max() > np.abs(start).sum(axis=1).max()
