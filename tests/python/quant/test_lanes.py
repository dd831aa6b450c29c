"""Lane sets, and weights that keep their bound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgecv.quant.lanes import (
    GROUPS,
    lane_bound,
    lane_maps,
    lane_sums,
    lanes_of,
    largest_lane_sum,
    safe_group,
)
from edgecv.quant.moments import Moments
from edgecv.quant.parameters import QuantParams
from edgecv.quant.rounding import Limits, pull_back, round_rows
from edgecv.quant.taps import keeps_taps
from edgecv.quant.weights import ENOUGH_DB, MOST_LOSS_DB, Layer, lane_safe, plain

X = QuantParams(float(np.float32(0.02)), -128)
Y = QuantParams(float(np.float32(0.1)), 3)
SETS = {
    2: [{0, 1}, {2, 3}, {4, 5}, {14, 15}],
    4: [{0, 1, 4, 5}, {2, 3, 6, 7}, {8, 9, 12, 13}, {10, 11, 14, 15}],
    8: [{0, 1, 4, 5, 8, 9, 12, 13}, {2, 3, 6, 7, 10, 11, 14, 15}],
}


def layer(
    weights: np.ndarray, groups: int = 1, moments: Moments | None = None, input_range: int = 255
) -> Layer:
    weights = weights.astype(np.float32)
    bias = np.linspace(-1, 1, len(weights)).astype(np.float32)
    return Layer(weights, bias, groups, X, Y, input_range, moments)


def seen(channels: int, seed: int = 0) -> Moments:
    """Moments of correlated channels, one of which is dead."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(300, channels)) @ rng.normal(size=(channels, channels))
    x = np.maximum(x + 0.5, 0).astype(np.float32)
    x[:, -1] = 0
    moments = Moments.empty(channels, True)
    moments.see(x)
    moments.flush()
    return moments


@pytest.mark.parametrize("group", GROUPS)
def test_sets_are_those_of_the_kernels(group: int) -> None:
    lanes = lanes_of(np.arange(32), group)
    found = [set(np.flatnonzero(lanes == lane).tolist()) for lane in np.unique(lanes)]
    assert len(found) == 32 // group
    for wanted in SETS[group]:
        assert wanted in found


@pytest.mark.parametrize("group", [4, 8])
def test_a_set_holds_whole_sets_of_the_smaller_group(group: int) -> None:
    k = np.arange(64)
    larger, smaller = lanes_of(k, group), lanes_of(k, group // 2)
    for lane in np.unique(smaller):
        assert len(np.unique(larger[smaller == lane])) == 1


def test_sets_restart_at_every_tap_and_few_channels_keep_every_count() -> None:
    assert [len(lane_maps((3, 3), c, 4)) for c in (8, 64)] == [1, 1]
    assert len(lane_maps((1, 1), 3, 4)) == 1
    maps = lane_maps((3, 3), 3, 4)
    assert len(maps) > 2
    # A row of three RGB pixels read as nine values: {0,1,4,5} crosses two taps.
    assert any(len({int(m[i]) for i in (0, 1, 4, 5)}) == 1 for m in maps)
    # Every pixel padded to four channels: the same two channels of neighbours.
    assert any(len({int(m[i]) for i in (0, 1, 3, 4)}) == 1 for m in maps)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 8).flatmap(
        lambda g: arrays.arrays(np.float32, (6, g), elements=st.floats(0, 250, width=32))
    ),
    st.integers(0, 300),
    st.integers(0, 2**31),
)
def test_pull_back_keeps_the_bound_and_beats_clipping(v: np.ndarray, bound: int, seed: int) -> None:
    h = np.random.default_rng(seed).uniform(0.05, 3, v.shape).astype(np.float32)
    q = np.minimum(np.rint(v), 127).astype(np.float32)
    p = pull_back(v, q, h, bound)
    assert (p == np.rint(p)).all()
    assert (p >= 0).all()
    assert (p <= q).all()
    assert (p.sum(axis=1) <= bound).all()
    total = np.maximum(q.sum(axis=1, keepdims=True), 1)
    scaled = np.where(total > bound, np.floor(q * bound / total), q)
    even = np.minimum(q, bound // v.shape[1])
    for clipped in (scaled, even):
        assert (
            (h * (v - p) ** 2).sum(axis=1) <= (h * (v - clipped) ** 2).sum(axis=1) * 1.0001 + 1e-3
        ).all()


def test_pull_back_finds_the_least_error() -> None:
    """Against every choice of two integers."""
    rng = np.random.default_rng(3)
    v = rng.uniform(0, 20, (200, 2)).astype(np.float32)
    h = rng.uniform(0.1, 2, v.shape).astype(np.float32)
    q = np.rint(v)
    a, b = np.meshgrid(np.arange(21), np.arange(21))
    a, b = a.ravel(), b.ravel()
    p = pull_back(v, q, h, 17)
    for i in range(len(v)):
        allowed = (a + b <= 17) & (a <= q[i, 0]) & (b <= q[i, 1])
        errors = h[i, 0] * (v[i, 0] - a) ** 2 + h[i, 1] * (v[i, 1] - b) ** 2
        best = errors[allowed].min()
        assert (h[i] * (v[i] - p[i]) ** 2).sum() <= best * 1.0001 + 1e-4


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([(1, 1), (3, 3), (1, 5)]),
    st.integers(1, 40),
    st.integers(1, 5),
    st.sampled_from(GROUPS),
    st.sampled_from([8, 7, 6, 5, 4]),
    st.sampled_from([255, 127]),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_every_lane_set_keeps_the_bound(
    taps: tuple[int, int],
    channels: int,
    outputs: int,
    group: int,
    bits: int,
    input_range: int,
    knows_input: bool,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    w = rng.standard_t(3, (outputs, *taps, channels)) + rng.choice([0.0, 0.5])
    w[0] *= rng.choice([0.0, 1e-20, 1.0])
    moments = seen(channels, seed % 7) if knows_input else None
    choice = lane_safe(layer(w, 1, moments, input_range), group, bits)
    q = choice.weights.weights
    assert np.abs(q.astype(int)).max() <= 2 ** (bits - 1) - 1
    if channels == 1:  # depthwise: plain, or bounds of its own (test_taps.py)
        assert choice.group == 1 or (group == 8 and keeps_taps(q, input_range))
        return
    for smaller in GROUPS:
        if smaller <= choice.group:
            assert largest_lane_sum(q, smaller) <= lane_bound(input_range)
            for lanes in lane_maps(taps, channels, smaller):
                for part in lane_sums(q.reshape(outputs, -1), lanes):
                    assert part.max() * input_range <= 32767
    assert safe_group(q, input_range) >= choice.group


def test_plain_weights_break_the_bound() -> None:
    """The property tests could not fail otherwise."""
    w = np.random.default_rng(0).normal(size=(32, 1, 1, 64))
    assert largest_lane_sum(plain(layer(w)).weights.weights, 4) > lane_bound(255)
    assert safe_group(plain(layer(w)).weights.weights, 255) < 4


def test_grouped_weights_keep_the_bound_in_every_group() -> None:
    w = np.random.default_rng(0).normal(size=(8, 3, 3, 12))
    choice = lane_safe(layer(w, 2, seen(24)), 4)
    assert choice.group == 4
    assert largest_lane_sum(choice.weights.weights, 4) <= 128


def test_a_layer_that_would_lose_too_much_takes_a_smaller_group() -> None:
    """Four large weights in each set of 8, two in each of 4, one in each pair."""
    rng = np.random.default_rng(0)
    w = np.zeros((4, 1, 1, 64))
    w[:, :, :, ::4] = rng.uniform(0.9, 1.0, (4, 1, 1, 16))
    assert [lane_safe(layer(w), group).group for group in (2, 4, 8)] == [2, 4, 4]
    # Scales finer than the nearest ones cannot help where even pairs are full.
    w[:] = rng.uniform(0.9, 1.0, w.shape)
    assert lane_safe(layer(w), 8).group == 2


def test_a_layer_with_little_noise_keeps_its_group_whatever_plain_weights_have() -> None:
    w = np.random.default_rng(0).uniform(-1, 1, (64, 1, 1, 256))
    choice = lane_safe(layer(w), 4)
    assert choice.group == 4
    assert ENOUGH_DB <= choice.sqnr_db < plain(layer(w)).sqnr_db - MOST_LOSS_DB


def test_known_inputs_lower_the_error_of_the_output() -> None:
    rng = np.random.default_rng(5)
    mixing = rng.normal(size=(48, 48))
    x = (rng.normal(size=(2000, 48)) @ mixing + rng.normal(size=48)).astype(np.float32)
    moments = Moments.empty(48, True)
    moments.see(x[:1000])
    moments.flush()
    w = rng.normal(size=(16, 48)).astype(np.float32)
    errors = []
    for known in (None, moments):
        q = lane_safe(layer(w, 1, known), 4).weights
        bias = q.bias * (np.float64(X.scale) * q.scale)
        y = x[1000:] @ (q.weights * q.scale[:, None]).T + bias
        wanted = x[1000:] @ w.T + np.linspace(-1, 1, 16)
        errors.append(float(((y - wanted) ** 2).mean()))
    assert errors[1] < 0.7 * errors[0]


def test_the_bias_takes_up_the_mean_error() -> None:
    rng = np.random.default_rng(6)
    w = rng.normal(size=(8, 3, 3, 1)).astype(np.float32)
    moments = Moments.empty(8, False)
    moments.see((rng.normal(size=(100, 8)) + 5).astype(np.float32))
    moments.flush()
    one = layer(w, 8, moments)
    q = lane_safe(one, 4).weights
    off = (w - q.weights * q.scale[:, None, None, None]).sum(axis=(1, 2, 3)) * moments.mean()
    bias = q.bias * (np.float64(X.scale) * q.scale)
    assert np.abs(bias - one.bias - off).max() <= (X.scale * q.scale).max() * 0.51


def test_depthwise_errors_cancel_where_taps_see_the_same() -> None:
    """A smooth image: the sums over taps matter most."""
    rng = np.random.default_rng(8)
    w = rng.normal(size=(64, 3, 3, 1)).astype(np.float32)
    moments = Moments.empty(64, False)
    moments.see(rng.normal(size=(100, 64)).astype(np.float32))
    moments.flush()
    one = layer(w, 64, moments)

    def off(q: np.ndarray, scale: np.ndarray) -> float:
        return float((((w - q * scale[:, None, None, None]).sum(axis=(1, 2, 3))) ** 2).mean())

    nearest, found = plain(one).weights, lane_safe(one, 4).weights
    assert (found.scale == nearest.scale).all()
    assert np.abs(found.weights.astype(int)).max() <= 127
    assert off(found.weights, found.scale) < 0.25 * off(nearest.weights, nearest.scale)
    assert lane_safe(one, 4).sqnr_db > plain(one).sqnr_db + 2


def test_dead_channels_have_a_sane_scale() -> None:
    w = np.random.default_rng(0).normal(size=(4, 1, 1, 16))
    w[1] = 0
    q = lane_safe(layer(w, 1, seen(16)), 4).weights
    assert (q.weights[1] == 0).all()
    assert np.isclose(q.multiplier[1], 2.0**-16)
    assert np.isfinite(q.multiplier).all()


def test_rounding_is_repeatable() -> None:
    w = np.random.default_rng(0).normal(size=(64, 40)).astype(np.float32)
    h = np.ones(40, np.float32)
    limits = Limits(127, 128, [lanes_of(np.arange(40), 4)])
    one, two = (round_rows(w, h, np.eye(40, dtype=np.float32), np.zeros(64), limits, 1)
                for _ in range(2))  # fmt: skip
    assert (one.q == two.q).all()
    assert (one.scale == two.scale).all()
