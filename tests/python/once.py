"""What several test processes share: made by the first that asks, found by the others.

The folder is the test run's own: conftest.py makes it before pytest-xdist starts its workers, names
it in EDGECV_TEST_FOLDER, and removes it at the end.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Callable

FOLDER = "EDGECV_TEST_FOLDER"


def folder() -> Path:
    """The run's folder."""
    return Path(os.environ[FOLDER])


def made(name: str, make: Callable[[Path], object]) -> Path:
    """The path ``name`` in the run's folder, a file or a folder, made by ``make(path)``.

    One process makes it while the others wait. When ``make`` fails, whoever asks next tries again.
    """
    place = folder() / name
    place.parent.mkdir(parents=True, exist_ok=True)
    done = place.parent / f".{place.name}.done"
    with open(place.parent / f".{place.name}.lock", "a+", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.is_file():
            make(place)
            done.touch()
    return place
