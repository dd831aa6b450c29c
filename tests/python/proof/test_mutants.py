"""The faults of tools/mutants.py still apply to the sources; the tool itself is for `make slow`."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


def load_tool() -> Any:
    spec = importlib.util.spec_from_file_location("mutants", ROOT / "tools" / "mutants.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


TOOL = load_tool()


def test_the_kinds() -> None:
    names = [mutant.name for mutant in TOOL.MUTANTS]
    assert names == [
        "sign", "tail", "zero point", "rounding", "stride", "pad", "clamp", "operand swap",
        "off-by-one", "lane bound", "sparse bound", "sparse place", "pair bound",
        "stripe", "ISA bit",
    ]  # fmt: skip


def test_the_copy_holds_what_a_build_of_the_tests_adds() -> None:
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    added = re.findall(r"add_subdirectory\((\S+)\)", text)
    assert "tests/cpp" in added
    for folder in added:
        if not folder.startswith("benchmarks/"):
            assert any(folder == name or folder.startswith(name + "/") for name in TOOL.SOURCES)


@pytest.mark.parametrize("mutant", TOOL.MUTANTS, ids=lambda mutant: mutant.name)
def test_a_fault_applies(mutant: Any, tmp_path: Path) -> None:
    target = tmp_path / mutant.file
    target.parent.mkdir(parents=True)
    shutil.copyfile(ROOT / mutant.file, target)
    before = TOOL.apply(mutant, tmp_path)
    assert before == (ROOT / mutant.file).read_text(encoding="utf-8")
    assert target.read_text(encoding="utf-8") != before
    assert (ROOT / "tests" / "cpp" / f"{mutant.test}.cpp").is_file()


def test_a_fault_that_no_longer_applies_is_reported(tmp_path: Path) -> None:
    mutant = TOOL.MUTANTS[0]
    target = tmp_path / mutant.file
    target.parent.mkdir(parents=True)
    target.write_text("int x;\n", encoding="utf-8")
    with pytest.raises(TOOL.ToolError, match="0 times"):
        TOOL.apply(mutant, tmp_path)
