"""test_chain.py needs PyTorch, which the environment of the other tests lacks."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave test_chain.py to `pytest -m recipes`."""
    is_asked_for = config.getoption("markexpr") == "recipes"
    return True if collection_path.name == "test_chain.py" and not is_asked_for else None
