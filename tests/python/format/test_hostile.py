"""Damaged files: each gives a status, the same one in both readers."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from edgecv import _core
from edgecv.format.reader import judge

from .damage import bad_files, repair
from .golden import GOLDEN

DATA = Path(__file__).resolve().parents[2] / "data"
BAD = sorted(path.stem for path in (DATA / "bad").glob("*.ecv"))
STATUSES = {"ok", "not_ecv", "version", "truncated", "checksum", "corrupt", "limit"}


def load(name: str) -> bytes:
    return (DATA / "golden" / f"{name}.ecv").read_bytes()


def both(data: bytes) -> str:
    """The status both readers give."""
    status = judge(data)
    assert status in STATUSES
    assert _core.judge(data)[0] == status
    return status


@pytest.mark.parametrize("name", BAD)
def test_bad_file(name: str) -> None:
    data = (DATA / "bad" / f"{name}.ecv").read_bytes()
    assert judge(data) == name.split("__")[0]
    status, text = _core.judge(data)
    assert status == name.split("__")[0]
    assert "\n" not in text
    assert len(text) > 10


def test_bad_files_are_those_the_script_makes() -> None:
    made = bad_files({name: load(name) for name in GOLDEN})
    assert sorted(made) == BAD
    for name, data in made.items():
        assert (DATA / "bad" / f"{name}.ecv").read_bytes() == data, name


def test_every_truncation_of_the_smallest() -> None:
    whole = load("mlp")
    for size in range(len(whole)):
        assert both(whole[:size]) == "truncated"


def test_bit_flips_of_the_smallest() -> None:
    """Every seventh bit, which visits every place within a byte; the C++ tests flip them all."""
    whole = bytearray(load("mlp"))
    for bit in range(0, 8 * len(whole), 7):
        whole[bit // 8] ^= 1 << bit % 8
        assert both(bytes(whole)) != "ok"
        both(repair(bytes(whole)))
        whole[bit // 8] ^= 1 << bit % 8


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_random_damage(name: str) -> None:
    """One to four random edits, some of them of whole 32-bit words; the seed names the case."""
    whole = load(name)
    extremes = [0, 1, 2, 127, 128, 255, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 0x7FC00000]
    for seed in range(600):
        rng = random.Random(seed)
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data) // 4) * 4
            if rng.random() < 0.33:
                data[at : at + 4] = rng.choice(extremes).to_bytes(4, "little")
            else:
                data[at + rng.randrange(4)] = rng.randrange(256)
        status = judge(repaired := repair(bytes(data)))
        assert _core.judge(repaired)[0] == status, f"{name}, seed {seed}"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_bit_flips(name: str) -> None:
    """Some 3,000 of a file's bits, every place within a byte; the C++ tests flip them all."""
    whole = load(name)
    for bit in range(0, 8 * len(whole), max(1, len(whole) // 3_000 * 8) | 1):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        both(repair(bytes(flipped)))
