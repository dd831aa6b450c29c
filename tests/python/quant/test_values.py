"""Weights that share values are rounded by value: equal ones stay equal, within the lane bound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecv.compress.share import codebook
from edgecv.quant.lanes import GROUPS, lane_bound, lane_maps, largest_lane_sum
from edgecv.quant.rounding import Limits
from edgecv.quant.values import MOST_VALUES, are_shared, round_values

Array = np.ndarray[Any, Any]


def shared(rows: int, shape: tuple[int, ...], values: int, seed: int = 0) -> Array:
    """Weights [rows, *shape] with so many values a row."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(rows, *shape)).astype(np.float32) * rng.uniform(0.01, 3, size=(rows, 1))[
        (...,) + (None,) * (len(shape) - 1)
    ].astype(np.float32)
    return np.stack([codebook(row.reshape(-1), values)[0].reshape(shape) for row in w])


def test_what_counts_as_shared() -> None:
    w = shared(8, (128,), 16)
    assert are_shared(w)
    assert are_shared(shared(8, (512,), 64))
    assert are_shared(np.where(np.arange(128) % 3 == 0, 0, w).astype(np.float32))
    for values in (MOST_VALUES, MOST_VALUES + 1):
        many = np.tile(np.arange(1, values + 1, dtype=np.float32), (4, 5))
        assert are_shared(many) == (values == MOST_VALUES)
    assert not are_shared(shared(8, (128,), 64))  # each value stands for two weights
    twice = np.tile(np.arange(1, 17, dtype=np.float32), (4, 2))
    assert are_shared(twice)
    assert not are_shared(twice[:, :31])  # more values than half of the weights
    assert not are_shared(np.zeros((8, 128), np.float32))
    w[5] = np.random.default_rng(1).normal(size=128)
    assert not are_shared(w)
    # Zeros are no weights that share a value: a sparse layer has as many values as weights.
    sparse = np.random.default_rng(2).normal(size=(4, 640)).astype(np.float32)
    sparse[:, 64:] = 0
    assert not are_shared(sparse)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("group", [1, *GROUPS])
@pytest.mark.parametrize("shape", [(1, 1, 96), (3, 3, 18), (3, 3, 3)])
def test_equal_weights_become_equal_integers(
    shape: tuple[int, int, int], group: int, bits: int
) -> None:
    w = shared(12, shape, 8, seed=group)
    w[3] = 0
    w[4] = np.abs(w[4])
    maps = lane_maps(shape[:2], shape[2], group) if group > 1 else []
    limits = Limits(2 ** (bits - 1) - 1, lane_bound(255), maps)
    flat = w.reshape(12, -1)
    h = np.random.default_rng(5).uniform(0.5, 2, size=flat.shape[1]).astype(np.float32)
    floor = np.full(12, 1e-6)
    floor[7] = np.abs(flat[7]).max() / 5
    found = round_values(flat, h, floor, limits)
    for row, q in zip(flat, found.q):
        pairs = np.unique(np.stack([row, q.astype(np.float32)]), axis=1)
        assert pairs.shape[1] == len(np.unique(row))
    assert np.abs(found.q.astype(int)).max() <= limits.qmax
    assert (found.scale >= floor.astype(np.float32)).all()
    if group > 1:
        assert largest_lane_sum(found.q.reshape(w.shape), group) <= lane_bound(255)
    real = found.q * found.scale[:, None].astype(np.float64)
    noise = np.square(flat - real) @ h
    signal = np.square(flat) @ h
    kept = np.flatnonzero((signal > 0) & (np.arange(12) != 7))
    assert (signal[kept] / noise[kept] > 10 ** (3.0 if bits == 8 else 1.2)).all()
    assert not found.q[3].any()


def test_the_scale_is_searched() -> None:
    """Less error than at the least scale that keeps the bound, rounded to nearest."""
    w = shared(64, (128,), 16, seed=9)
    limits = Limits(127, lane_bound(255), [])
    h = np.ones(128, np.float32)
    found = round_values(w, h, np.zeros(64), limits)
    step = np.abs(w).max(axis=1, keepdims=True) / 127
    nearest = np.square(w - np.rint(w / step) * step).sum()
    assert np.square(w - found.q * found.scale[:, None]).sum() < 0.9 * nearest
