"""The checks of tools/ fail when they should: each test plants one fault in a small tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Callable

import pytest

TOOLS = Path(__file__).resolve().parents[3] / "tools"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a small tree that every check accepts."""
    shutil.copytree(TOOLS, tmp_path / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in {
        "cpp/src/base/status.h": "#include <stdint.h>\n",
        "cpp/src/kernels/conv.h": '#include "base/status.h"\n',
        "cpp/src/kernels/avx2/conv.cpp": '#include <immintrin.h>\n#include "kernels/conv.h"\n',
        "cpp/src/ops/conv.cpp": '#include "kernels/conv.h"\n',
        "cpp/src/capi/api.h": "",
        "bindings/module.cpp": '#include <pybind11/pybind11.h>\n#include "capi/api.h"\n',
        "python/edgecv/__init__.py": "from edgecv.model import Model\n",
        "python/edgecv/model.py": "import numpy as np\n\nclass Model: pass\n",
        "python/edgecv/graph/__init__.py": "",
        "python/edgecv/graph/ir.py": "",
        "python/edgecv/graph/ops/conv.py": "from edgecv.graph import ir\n",
        "python/edgecv/onnx/__init__.py": "import onnx\nfrom edgecv.graph import ir\n",
        "python/edgecv/cli/main.py": "from edgecv import onnx\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def run(tree: Path, tool: str, *arguments: str) -> tuple[int, str]:
    """Run a tool of the copy; return its exit code and what it says on stderr."""
    result = subprocess.run(
        [sys.executable, str(tree / "tools" / tool), *arguments],
        capture_output=True,
        text=True,
        cwd=tree,
        check=False,
    )
    return result.returncode, result.stderr


@pytest.mark.parametrize("tool", ["check_deps.py", "check_clean.py"])
def test_good_tree_passes(tree: Path, tool: str) -> None:
    assert run(tree, tool) == (0, "")


@pytest.mark.parametrize(
    ("file", "line", "says"),
    [
        ("cpp/src/base/status.h", '#include "../kernels/conv.h"', "base must not include kernels"),
        ("cpp/src/kernels/conv.h", '#include "ops/conv.cpp"', "kernels must not include ops"),
        ("cpp/src/ops/conv.cpp", '#include "capi/api.h"', "ops must not include capi"),
        ("cpp/src/ops/conv.cpp", '#include "gone.h"', "is no file of the tree"),
        ("cpp/src/kernels/avx2/conv.cpp", "#include <algorithm>", "the avx2 flags compile"),
        ("bindings/module.cpp", '#include "ops/conv.cpp"', "bindings must not include ops"),
        ("python/edgecv/graph/ir.py", "import edgecv.onnx", "must not import edgecv.onnx"),
        ("python/edgecv/graph/ir.py", "from .ops import conv", "must not import edgecv.graph.ops"),
        ("python/edgecv/graph/ops/conv.py", "from edgecv.cli import main", "must not import"),
        ("python/edgecv/model.py", "def f():\n    import edgecv.onnx", "must not import"),
        ("python/edgecv/model.py", "import onnx", "would import onnx"),
        ("python/edgecv/__init__.py", "import edgecv.onnx", "would import onnx"),
        ("python/edgecv/model.py", "match 1:\n    case 1: pass", "not Python 3.8"),
    ],
)
def test_check_deps_names_the_fault(tree: Path, file: str, line: str, says: str) -> None:
    with (tree / file).open("a", encoding="utf-8") as out:
        out.write(line + "\n")
    code, errors = run(tree, "check_deps.py")
    assert code == 1
    assert says in errors
    assert file in errors or says.startswith("would")


def test_check_deps_accepts_what_runs_later(tree: Path) -> None:
    """A lazy import of the converter does not count as loaded by `import edgecv`."""
    with (tree / "python/edgecv/__init__.py").open("a", encoding="utf-8") as out:
        out.write("def convert():\n    import edgecv.onnx\n")
    assert run(tree, "check_deps.py") == (0, "")


@pytest.mark.parametrize("text", ["/".join(["", "work", "x"]), "pypi" + ".org", "/ho" + "me/me/x"])
def test_check_clean_names_the_line(tree: Path, text: str) -> None:
    (tree / "notes.md").write_text(f"good\nsee {text}\n", encoding="utf-8")
    code, errors = run(tree, "check_clean.py")
    assert code == 1
    assert "notes.md:2" in errors


@pytest.mark.parametrize(
    ("isa", "core", "says"),
    [
        ("static int f() { return 1; } int g() { return f(); }", "int h() { return 2; }", ""),
        ("inline int f(int x) { return x; } auto g = &f;", "int h() { return 2; }", "weak symbol"),
        (
            "template <class T> T f(T x) { return x; } auto g = &f<int>;",
            "int h() { return 2; }",
            "weak symbol",
        ),
        ("int g() { return 1; }", "int* h() { return new int; }", "operator new"),
        (
            "int g() { return 1; }",
            "#include <stdlib.h>\nvoid* h() { return malloc(3); }",
            "refers to malloc",
        ),
        ("int g() { return 1; }", "void h() { throw 1; }", "__cxa_throw"),
        (
            "int g() { return 1; }",
            "#include <string>\nint h(std::string& s) { s.append(9, 'x'); return 0; }",
            "std::",
        ),
    ],
)
def test_check_symbols(
    tree: Path, need_program: Callable[[str, str], str], isa: str, core: str, says: str
) -> None:
    compiler = need_program("c++", "g++")
    archiver = need_program("ar", "binutils")
    build = tree / "build"
    objects = build / "CMakeFiles" / "edgecv_kernels_avx2.dir"
    objects.mkdir(parents=True)
    environment = {**os.environ, "LC_ALL": "C"}
    for text, target in ((isa, objects / "conv.cpp.o"), (core, build / "core.cpp.o")):
        source = target.with_suffix("")
        source.write_text(text + "\n", encoding="utf-8")
        subprocess.run(
            [compiler, "-std=c++17", "-O0", "-c", str(source), "-o", str(target)],
            check=True,
            env=environment,
        )
    subprocess.run(
        [archiver, "qc", "libedgecv_core.a", "core.cpp.o"], cwd=build, check=True, env=environment
    )
    code, errors = run(tree, "check_symbols.py", "build")
    assert (code, errors) == (0, "") if not says else (code == 1 and says in errors)


@pytest.mark.system
@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ("EDGECV_API int edgecv_one(void);\nEDGECV_API\n  void edgecv_two(int a);", ""),
        ("EDGECV_API int edgecv_one(void); /* edgecv_two() */", "exports edgecv_two"),
        (
            "EDGECV_API int edgecv_one(void);\nEDGECV_API int edgecv_two(int);\n"
            "EDGECV_API int edgecv_three(void);",
            "lacks edgecv_three",
        ),
    ],
)
def test_check_symbols_of_the_shared_library(
    tree: Path, need_program: Callable[[str, str], str], declared: str, says: str
) -> None:
    compiler = need_program("c++", "g++")
    header = tree / "cpp" / "include" / "edgecv" / "edgecv.h"
    header.parent.mkdir(parents=True, exist_ok=True)
    header.write_text(f"#define EDGECV_API\n{declared}\n", encoding="utf-8")
    build = tree / "build"
    build.mkdir()
    source = tree / "two.c"
    source.write_text(
        "int edgecv_one(void) { return 1; }\nvoid edgecv_two(int a) { (void)a; }\n"
        "static int hidden(void) { return 2; }\nint (*edgecv_used(void))(void)"
        ' __attribute__((visibility("hidden")));\n'
        "int (*edgecv_used(void))(void) { return hidden; }\n",
        encoding="utf-8",
    )
    command = [compiler, "-x", "c", "-shared", "-fPIC", str(source), "-o", "libedgecv.so"]
    subprocess.run(command, cwd=build, check=True)
    subprocess.run(["ar", "qc", "libedgecv_core.a"], cwd=build, check=True)
    code, errors = run(tree, "check_symbols.py", "build")
    assert (code, errors) == (0, "") if not says else (code == 1 and says in errors)


def test_check_symbols_needs_a_build(tree: Path) -> None:
    code, errors = run(tree, "check_symbols.py", "build")
    assert code == 2
    assert "no build folder" in errors


def make_wheel(folder: Path, extra: dict[str, bytes]) -> None:
    folder.mkdir()
    (folder / "edgecv-1.tar.gz").write_bytes(b"")
    files = {
        "edgecv/__init__.py": b"",
        "edgecv/py.typed": b"",
        "edgecv/_core.pyi": b"",
        "edgecv/_core.abi3.so": b"",
        **extra,
    }
    with zipfile.ZipFile(folder / "edgecv-1-py3-none-any.whl", "w") as wheel:
        for name, data in files.items():
            wheel.writestr(name, data)


def test_check_wheel(tree: Path) -> None:
    make_wheel(tree / "good", {})
    assert run(tree, "check_wheel.py", "good") == (0, "")
    make_wheel(tree / "large", {"edgecv/blob": b"\0" * 2_000_001})
    assert "larger than" in run(tree, "check_wheel.py", "large")[1]
    make_wheel(tree / "stray", {"tests/x.py": b""})
    assert "holds tests/x.py" in run(tree, "check_wheel.py", "stray")[1]
    (tree / "empty").mkdir()
    assert run(tree, "check_wheel.py", "empty")[0] == 1
