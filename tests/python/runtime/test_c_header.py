"""The public header compiles alone, as C99 and as C++17, with every warning an error."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Callable

import pytest

INCLUDE = Path(__file__).resolve().parents[3] / "cpp" / "include"
PROGRAM = """
#include <edgecv/edgecv.h>
int main(void) {
  edgecv_load_options options = {0};
  edgecv_model* model = 0;
  edgecv_error error;
  options.size = sizeof(options);
  return edgecv_model_load("m.ecv", &options, &model, &error) == EDGECV_STATUS_OK;
}
"""
STRICT = ["-fsyntax-only", "-pedantic-errors", "-Wall", "-Wextra", "-Werror", "-Wconversion"]


@pytest.mark.system
@pytest.mark.parametrize(("compiler", "language"), [("cc", "c99"), ("c++", "c++17")])
def test_header(
    compiler: str, language: str, tmp_path: Path, need_program: Callable[[str, str], str]
) -> None:
    program = need_program(compiler, "g++")
    source = tmp_path / ("main.c" if language == "c99" else "main.cpp")
    source.write_text(
        PROGRAM if language == "c99" else PROGRAM.replace("{0}", "{}").replace("= 0", "= nullptr")
    )
    flags = [*STRICT, "-Wstrict-prototypes"] if language == "c99" else [*STRICT, "-Wold-style-cast"]
    subprocess.run([program, f"-std={language}", *flags, f"-I{INCLUDE}", str(source)], check=True)
