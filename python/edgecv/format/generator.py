"""The generator of golden inputs: splitmix64, as docs/format.md defines it."""

from __future__ import annotations

from typing import Any, Tuple

import numpy as np
from numpy.typing import NDArray


def generator_words(seed: int, count: int) -> NDArray[np.uint64]:
    """The first ``count`` 64-bit words of the stream of ``seed`` (taken modulo 2^64)."""
    index = np.arange(1, count + 1, dtype=np.uint64)
    z = np.uint64(seed % 2**64) + index * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def generate(seed: int, dtype: str, shape: Tuple[int, ...]) -> NDArray[Any]:
    """A golden input of ``dtype`` (``f32``, ``s8`` or ``s32``) and stored ``shape``.

    The input with index i, of the graph or of an op that runs alone, takes ``seed + i``.
    """
    count = int(np.prod(shape, dtype=np.int64))
    if dtype == "s8":
        words = generator_words(seed, (count + 7) // 8)
        return words.astype("<u8").view(np.int8)[:count].reshape(shape)
    words = generator_words(seed, count)
    if dtype == "s32":
        return (words & np.uint64(0xFFFFFFFF)).astype("<u4").view(np.int32).reshape(shape)
    if dtype == "f32":
        # Exact: 24 bits scaled by a power of two; the difference is a multiple of 2^-22 below 2.
        bits = (words >> np.uint64(40)).astype(np.float32)
        return (bits * np.float32(2.0**-22) - np.float32(2.0)).reshape(shape)
    raise ValueError(f"no golden input of dtype {dtype!r}")
