"""What every Python test shares: a folder of the run, and skips that a gate can forbid.

A test that lacks something installable skips with a reason that begins with "needs ", by
`need_program` or `pytest.skip("needs ...")`. With EDGECV_REQUIRE set, such a skip is a failure, so
that a gate cannot pass by lacking what it should have installed. Skips for other reasons (a CPU
without AVX2) stay skips.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any, Callable, Generator

import hypothesis
import once
import pytest

# A busy machine is no failure: other processes run tests at the same time.
hypothesis.settings.register_profile(
    "edgecv", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("edgecv")
# Several processes take whole files in this order; what takes longest must not be left to the end.
LONGEST = ("proof", "accuracy", "int8", "native")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest folders first, and leave the order else as it is."""
    items.sort(
        key=lambda item: (
            LONGEST.index(room) if (room := item.path.parent.name) in LONGEST else len(LONGEST)
        )
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder that the run's processes share (see once.py); workers find it named."""
    if not hasattr(config, "workerinput"):
        os.environ[once.FOLDER] = tempfile.mkdtemp(prefix="edgecv-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove it."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(once.FOLDER), ignore_errors=True)


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
