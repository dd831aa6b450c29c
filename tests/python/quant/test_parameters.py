"""Scales, zero points, integer weights and bounds."""

from __future__ import annotations

import numpy as np
import pytest

from edgecv.quant.lookup import lookup_table
from edgecv.quant.parameters import (
    QuantParams,
    activation_params,
    clamp_bounds,
    dequantize,
    quantize,
    quantize_weights,
)


@pytest.mark.parametrize(
    ("low", "high"), [(-1.0, 3.0), (0.0, 6.0), (2.0, 5.0), (-7.0, -1.0), (-1e-3, 1e3)]
)
def test_range_holds_zero_exactly_and_its_ends_within_a_step(low: float, high: float) -> None:
    params = activation_params(low, high)
    assert dequantize(quantize(np.zeros(1), params), params)[0] == 0.0
    ends = np.asarray([min(low, 0.0), max(high, 0.0)])
    assert np.abs(dequantize(quantize(ends, params), params) - ends).max() <= params.scale * 0.51


def test_relu_range_uses_all_steps() -> None:
    params = activation_params(0.0, 6.0)
    assert params.zero_point == -128
    assert params.scale == float(np.float32(6.0 / 255.0))


def test_empty_range_has_a_sane_scale() -> None:
    assert activation_params(0.0, 0.0) == QuantParams(1.0, 0)


def test_quantize_rounds_half_to_even_and_saturates() -> None:
    q = quantize(np.asarray([0.5, 1.5, 2.5, -0.5, 1e9, -1e9], np.float32), QuantParams(1.0, 3))
    assert q.tolist() == [3, 5, 5, 3, 127, -128]


def test_clamp_bounds() -> None:
    params = QuantParams(0.5, -28)
    assert clamp_bounds(0.0, 6.0, params) == (-28, -16)
    assert clamp_bounds(-np.inf, np.inf, params) == (-128, 127)


def test_weights_are_symmetric_and_multipliers_single_f32_steps() -> None:
    rng = np.random.default_rng(1)
    w = rng.normal(size=(5, 3, 3, 4)).astype(np.float32)
    b = rng.normal(size=5).astype(np.float32)
    x, y = QuantParams(float(np.float32(0.02)), 5), QuantParams(float(np.float32(0.1)), -3)
    q = quantize_weights(w, b, x, y)
    assert np.abs(q.weights).max(axis=(1, 2, 3)).tolist() == [127] * 5
    expected = np.float32(x.scale) * q.scale / np.float32(y.scale)
    assert q.multiplier.dtype == np.float32
    assert (q.multiplier == expected).all()
    real = q.bias * (x.scale * q.scale.astype(np.float64))
    assert np.abs(real - b).max() <= (x.scale * q.scale).max() * 0.5001


def test_tiny_channel_with_large_bias_gets_a_larger_scale() -> None:
    w = np.zeros((2, 1, 1, 8), np.float32)
    w[0] = 1e-12
    b = np.asarray([5.0, 2.0], np.float32)
    x, y = QuantParams(0.05, 0), QuantParams(0.05, 0)
    q = quantize_weights(w, b, x, y)
    assert np.abs(q.bias.astype(np.int64)).max() <= 2**30 + 1
    constant = np.rint(q.bias.astype(np.float64) * q.multiplier) * y.scale
    assert np.allclose(constant, b, atol=y.scale)


def test_overflowing_accumulator_is_refused_by_channel() -> None:
    w = np.ones((2, 1, 1, 150000), np.float32)
    x = QuantParams(0.05, -128)
    with pytest.raises(ValueError, match="channel 0 can leave 32 bits"):
        quantize_weights(w, np.zeros(2, np.float32), x, QuantParams(100.0, 0))


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 16, 18, 19])
def test_tables_are_monotone_where_the_function_is_and_within_half_a_step(code: int) -> None:
    x = activation_params(-4.0, 4.0)
    y = activation_params(-4.0, 4.1)
    table = lookup_table(code, 0.2, 0.5, x, y)
    real = dequantize(np.arange(-128, 128).astype(np.int8), x).astype(np.float64)
    alone = {
        1: np.maximum(real, 0), 2: np.clip(real, 0.2, 0.5), 3: np.where(real < 0, 0.2 * real, real),
        4: 1 / (1 + np.exp(-real)), 5: np.clip(0.2 * real + 0.5, 0, 1),
        6: real * np.clip(real / 6 + 0.5, 0, 1), 7: real / (1 + np.exp(-real)), 8: np.tanh(real),
        15: np.abs(real), 16: -real, 18: np.where(real < 0, 0.2 * (np.exp(real) - 1), real),
        19: np.log1p(np.exp(real)),
    }  # fmt: skip
    if code not in alone:
        assert table.min() < table.max()
        return
    assert np.abs(dequantize(table, y) - np.clip(alone[code], -4.0, 4.1)).max() <= y.scale * 0.51


def test_identity_table_changes_the_scale() -> None:
    x, y = QuantParams(0.5, 0), QuantParams(1.0, 0)
    table = lookup_table(None, 0, 0, x, y)
    assert table[128 + 4] == 2
    assert table[128 + 3] == 2  # 1.5 rounds to even
