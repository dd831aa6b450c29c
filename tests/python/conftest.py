"""What every Python test shares: skips that a gate can forbid.

A test that lacks something installable skips with a reason that begins with "needs ", by
`need_program` or `pytest.skip("needs ...")`. With EDGECV_REQUIRE set, such a skip is a failure, so
that a gate cannot pass by lacking what it should have installed. Skips for other reasons (a CPU
without AVX2) stay skips.
"""

from __future__ import annotations

import os
import shutil
from typing import Any, Callable, Generator

import pytest


@pytest.fixture
def need_program() -> Callable[[str, str], str]:
    """Return find(program, package): the program's path, or a skip that names the package."""

    def find(program: str, package: str) -> str:
        path = shutil.which(program)
        if path is None:
            pytest.skip(f"needs {program} (Debian, Ubuntu: apt-get install {package})")
        return path

    return find


def forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip for something installable into a failure when EDGECV_REQUIRE is set."""
    if not (os.environ.get("EDGECV_REQUIRE") and report.outcome == "skipped"):
        return
    if isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2]).replace("Skipped: ", "", 1)
        if reason.startswith("needs "):
            report.outcome = "failed"
            report.longrepr = f"EDGECV_REQUIRE is set and the test skipped: {reason}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, None]:
    """See forbid_skip."""
    outcome = yield
    forbid_skip(outcome.get_result())


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, None]:
    """See forbid_skip; this one is for skips of a whole module."""
    outcome = yield
    forbid_skip(outcome.get_result())
