"""100,000 runs of a small model leave the resident memory where it was."""

from __future__ import annotations

import os

import numpy as np
import pytest
import small_models

import edgecv


def resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_resident_memory_is_flat() -> None:
    with edgecv.load(small_models.small_file(), threads=1) as model:
        feed = model.example_inputs(1)
        want = model.run(feed)["scores"]
        for _ in range(2000):
            model.run(feed)
        before = resident_bytes()
        for _ in range(100_000):
            got = model.run(feed)["scores"]
        grown = resident_bytes() - before
    np.testing.assert_array_equal(got, want)
    # A leak of one byte a run would be 100 kB; the interpreter's own pools move by a few pages.
    assert grown < 64 * 1024, f"{grown} bytes more after 100,000 runs"
