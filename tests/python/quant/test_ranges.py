"""Ranges from what calibration saw."""

from __future__ import annotations

import numpy as np
import pytest

from edgecv.quant.ranges import METHODS, Statistics, kl, minmax, mse, percentile


def seen(*arrays: np.ndarray) -> Statistics:
    stats = Statistics()
    for array in arrays:
        assert stats.see_range(array)
    for array in arrays:
        stats.see_values(array)
    return stats


def test_minmax_is_everything() -> None:
    assert minmax(seen(np.asarray([1.0, 2.0]), np.asarray([-3.0]))) == (-3.0, 2.0)


def test_nan_and_infinity_are_reported() -> None:
    assert not Statistics().see_range(np.asarray([1.0, np.nan]))
    assert not Statistics().see_range(np.asarray([1.0, np.inf]))


@pytest.mark.parametrize("method", ["percentile", "kl"])
def test_a_lone_outlier_is_cut(method: str) -> None:
    values = np.random.default_rng(0).normal(size=200000).astype(np.float32)
    values[0] = 80.0
    low, high = METHODS[method](seen(values))
    assert 2.0 < high < 40.0
    assert -6.0 < low < -2.0


def test_percentile_keeps_that_share() -> None:
    values = np.random.default_rng(0).uniform(-1, 1, 100000)
    low, high = percentile(seen(values), 90.0)
    kept = ((values >= low) & (values <= high)).mean()
    assert abs(kept - 0.90) < 0.005


def test_one_sided_data_keep_zero() -> None:
    values = np.random.default_rng(0).exponential(size=100000)
    for method in (percentile, kl, mse):
        low, high = method(seen(values))
        assert 0.0 <= low <= values.min()
        assert high <= values.max()


def test_mse_is_near_the_best_cut_of_a_grid() -> None:
    values = np.random.default_rng(2).laplace(size=400000)
    values[0] = 60.0

    def error(low: float, high: float) -> float:
        scale = (high - low) / 255
        kept = np.clip(np.rint(values / scale) * scale, low, high)
        return float(((values - kept) ** 2).mean())

    stats = seen(values)
    found = error(*mse(stats))
    best = min(error(stats.low, stats.high * f) for f in np.linspace(0.1, 1.0, 37))
    assert found < 0.8 * error(*minmax(stats))
    assert found < 1.02 * best


def test_constant_activation() -> None:
    stats = seen(np.full(10, 2.5))
    for method in METHODS.values():
        assert method(stats) == (2.5, 2.5)
