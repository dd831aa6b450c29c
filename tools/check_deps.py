"""Check that dependencies between rooms point one way (docs/adding.md shows the rooms).

    python tools/check_deps.py

C++:    base <- format, kernels <- ops <- runtime <- capi <- bindings; vision stands on kernels.
Python: graph.ir <- graph.ops <- quant arithmetic <- graph.passes <- onnx, tflite, format,
calibration; zoo, compress and cli on top. What `import edgecv` loads needs numpy alone, in Python
3.8 syntax.

Exit code: 0 good, 1 a violation.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Iterator

ROOT = Path(__file__).resolve().parent.parent
CPP = ROOT / "cpp" / "src"
PYTHON = ROOT / "python"

# Each room with the rooms below it; a room may always include itself.
CPP_ROOMS: dict[str, set[str]] = {
    "base": set(),
    "format": {"base"},
    "kernels": {"base"},
    "vision": {"base", "kernels"},
    "ops": {"base", "format", "kernels"},
    "runtime": {"base", "format", "kernels", "ops", "vision"},
    "capi": {"base", "format", "kernels", "ops", "runtime", "vision"},
    "bindings": {"capi"},
}
# Lists of pure data that any room may include: the op codes are part of the file format.
SHARED_LISTS = {"ops/op_list.inc"}
# What an instruction-set folder may include from the system: intrinsics and C headers without code
# of their own, since any inline function would be compiled with the folder's flags.
ISA_SYSTEM_HEADERS = {"immintrin.h", "arm_neon.h", "stddef.h", "stdint.h", "string.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)

# Python rooms: a module may import rooms of its own level and below. The first match counts. quant
# stands on two levels: its arithmetic is what the passes apply, calibration runs whole models.
# Single modules of the package stand at the bottom when `import edgecv` loads them, else as high as
# the highest module they import.
PYTHON_LEVELS: list[tuple[str, int]] = [
    ("edgecv.cli", 7),
    ("edgecv.zoo", 6),
    ("edgecv.doctor", 6),
    ("edgecv.compress", 6),
    ("edgecv.onnx", 5),
    ("edgecv.tflite", 5),
    ("edgecv.quant.bias", 5),
    ("edgecv.quant.calibration", 5),
    ("edgecv.quant.data", 5),
    ("edgecv.quant.layer_inputs", 5),
    ("edgecv.quant.target", 5),
    ("edgecv.format", 5),
    ("edgecv.graph.passes", 4),
    ("edgecv.quant", 3),
    ("edgecv.graph.interpret", 3),
    ("edgecv.graph.verify", 3),
    ("edgecv.graph.ops", 2),
    ("edgecv.graph", 1),
    ("edgecv.errors", 0),
    ("edgecv._core", 0),
]
RUNTIME_PACKAGES = {"numpy", "edgecv"}


def cpp_files() -> Iterator[tuple[str, Path]]:
    """Yield (room, file) of the core and the bindings."""
    for room in CPP_ROOMS:
        folder = ROOT / "bindings" if room == "bindings" else CPP / room
        for suffix in ("h", "hpp", "cpp", "inc"):
            for path in sorted(folder.rglob(f"*.{suffix}")):
                yield room, path


def include_room(path: Path, name: str) -> str | None:
    """Return the room of a quoted include, 'public' for cpp/include, None when it is no file."""
    for base in (path.parent, CPP):
        target = (base / name).resolve()
        if target.is_file():
            for room in CPP_ROOMS:
                folder = ROOT / "bindings" if room == "bindings" else CPP / room
                if folder in target.parents:
                    return room
    return "public" if (ROOT / "cpp" / "include" / name).is_file() else None


def check_cpp() -> list[str]:
    """Return the includes that point the wrong way."""
    problems = []
    for room, path in cpp_files():
        where = path.relative_to(ROOT)
        isa = path.parent.name if room == "kernels" and path.parent.parent.name == "kernels" else ""
        for kind, name in INCLUDE.findall(path.read_text(encoding="utf-8")):
            if kind == "<":
                if isa not in ("", "reference") and name not in ISA_SYSTEM_HEADERS:
                    problems.append(f"{where}: <{name}> may hold code that the {isa} flags compile")
                continue
            if name in SHARED_LISTS:
                continue
            target = include_room(path, name)
            if target is None:
                problems.append(f'{where}: "{name}" is no file of the tree')
            elif target != "public" and target != room and target not in CPP_ROOMS[room]:
                problems.append(f'{where}: {room} must not include {target} ("{name}")')
    return problems


def module_name(path: Path) -> str:
    """Return the dotted name of a Python file of the package."""
    parts = list(path.relative_to(PYTHON).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(node: ast.AST, module: str, package: bool) -> Iterator[str]:
    """Yield what one import statement may load; `from a import b` gives a and a.b."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parts = module.split(".")
            parts = parts[: len(parts) - node.level + (1 if package else 0)]
            base = ".".join(parts + ([node.module] if node.module else []))
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)


def at_import_time(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes that run at import: no function bodies, nothing under TYPE_CHECKING."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            pending.extend(node.orelse)
            continue
        yield node
        pending.extend(ast.iter_child_nodes(node))


def module_path(name: str) -> Path | None:
    """Return the file of a module of the package, or None."""
    stem = PYTHON.joinpath(*name.split("."))
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return path
    return None


def module_exists(name: str) -> bool:
    """Tell whether a dotted name is a module of the package rather than a name inside one."""
    return module_path(name) is not None or PYTHON.joinpath(*name.split(".")).is_dir()


def load_runtime() -> tuple[set[str], list[str]]:
    """Follow `import edgecv`.

    Returns the modules of the package it loads, and the problems: packages beyond numpy, and files
    that Python 3.8 cannot read.
    """
    problems = []
    seen: set[str] = set()
    pending = ["edgecv"]
    while pending:
        module = pending.pop()
        path = module_path(module)
        if module in seen or path is None:
            continue
        seen.add(module)
        where = path.relative_to(ROOT)
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
        except SyntaxError as error:
            problems.append(f"{where}:{error.lineno}: not Python 3.8: {error.msg}")
            continue
        for node in at_import_time(tree):
            for name in imports(node, module, path.name == "__init__.py"):
                top = name.split(".")[0]
                if top == "edgecv":
                    parts = name.split(".")
                    pending += [".".join(parts[: i + 1]) for i in range(len(parts))]
                elif top not in RUNTIME_PACKAGES and top not in sys.stdlib_module_names:
                    problems.append(f"{where}: `import edgecv` would import {top}")
    return seen, problems


def module_imports(module: str) -> list[tuple[int, str]]:
    """Return (line, module of the package) for every import of a module, lazy ones included."""
    path = module_path(module)
    if path is None:
        return []
    return [
        (getattr(node, "lineno", 0), name)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in imports(node, module, path.name == "__init__.py")
        # `from edgecv import __version__` names the package, not a room.
        if name.startswith("edgecv.") and module_exists(name)
    ]


class Levels:
    """How high each module stands, given the modules that `import edgecv` loads."""

    def __init__(self, runtime: set[str]) -> None:
        self._known: dict[str, int] = dict.fromkeys(runtime, 0)
        self._known["edgecv"] = max(height for _, height in PYTHON_LEVELS)

    def of(self, module: str) -> int:
        """Return the level of one module."""
        for name, height in PYTHON_LEVELS:
            if module == name or module.startswith(name + "."):
                return height
        if module not in self._known:
            self._known[module] = 0  # ends the recursion of modules that import each other
            heights = [self.of(name) for _, name in module_imports(module)]
            self._known[module] = max(heights, default=0)
        return self._known[module]


def check_python(runtime: set[str]) -> list[str]:
    """Return the imports that point up."""
    levels = Levels(runtime)
    problems = []
    for path in sorted(PYTHON.rglob("*.py")):
        module = module_name(path)
        for line, name in module_imports(module):
            if levels.of(name) > levels.of(module):
                where = path.relative_to(ROOT)
                problems.append(f"{where}:{line}: {module} must not import {name}")
    return problems


def main() -> int:
    """Run the three checks."""
    runtime, problems = load_runtime()
    problems += check_cpp() + check_python(runtime)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print("dependencies point one way")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
