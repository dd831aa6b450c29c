"""An installed prefix of the native build, for tests that use edgecv as a C or C++ program does."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Callable

import numpy as np
import once
import pytest
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[3]
TARGETS = ("edgecv_static", "edgecv_shared", "edgecv-run")


def run(*command: Any, **options: Any) -> str:
    """Run a command that must succeed; return its standard output."""
    result = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **options
    )
    assert result.returncode == 0, f"{command}:\n{result.stdout}\n{result.stderr}"
    return result.stdout


def write_ppm(path: Path, picture: NDArray[np.uint8]) -> Path:
    """Write an RGB picture as binary PPM."""
    height, width, _ = picture.shape
    path.write_bytes(
        b"P6\n%d %d\n255\n" % (width, height) + np.ascontiguousarray(picture).tobytes()
    )
    return path


@pytest.fixture(scope="session")
def prefix() -> Path:
    """`cmake --install` of EDGECV_NATIVE_BUILD or build/dev, or of a build of its own."""
    for program, package in (("cmake", "cmake"), ("c++", "g++")):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program} (Debian, Ubuntu: apt-get install {package})")

    def install(place: Path) -> None:
        build = Path(os.environ.get("EDGECV_NATIVE_BUILD", ROOT / "build" / "dev"))
        if not (build / "CMakeCache.txt").is_file():
            build = once.folder() / "native-build"
            options = ("-DCMAKE_BUILD_TYPE=Release", "-DEDGECV_BUILD_TOOLS=ON")
            run("cmake", "-S", ROOT, "-B", build, *options)
        targets = [part for target in TARGETS for part in ("--target", target)]
        run("cmake", "--build", build, *targets)
        run("cmake", "--install", build, "--prefix", place)

    return once.made("prefix", install)


@pytest.fixture(scope="session")
def build_example(prefix: Path) -> Callable[[str], Path]:
    """Return build(folder): an example built outside the tree against the prefix; its folder."""

    def build(folder: str) -> Path:
        def make(place: Path) -> None:
            source = ROOT / "examples" / folder
            run("cmake", "-S", source, "-B", place, f"-DCMAKE_PREFIX_PATH={prefix}")
            run("cmake", "--build", place)

        return once.made(f"examples/{folder}", make)

    return build
