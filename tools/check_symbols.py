"""Check the symbols of a built core: ISA objects stay apart, the core never allocates or throws.

    python tools/check_symbols.py BUILD_FOLDER...

1. Objects of an instruction-set folder (all but the reference) define no weak symbol: an inline or
   template function instantiated there could be the copy the linker keeps for everyone, and then an
   older CPU stops with SIGILL.
2. The core archive refers to no allocating or throwing function; only base/allocator calls libc's.
3. The shared library exports the functions of edgecv.h and nothing else.

Exit code: 0 good, 1 a violation, 2 nothing to check.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Iterator, NamedTuple

LIBC_ALLOCATION = {
    "malloc",
    "calloc",
    "realloc",
    "free",
    "posix_memalign",
    "aligned_alloc",
    "memalign",
    "valloc",
    "strdup",
    "strndup",
}
# Mangled operator new and delete, the exception run time, and everything in namespace std.
FORBIDDEN_CXX = re.compile(
    r"^_Z(n[wa]|d[la])|^__cxa_(throw|rethrow|allocate_exception|begin_catch|get_exception)"
    r"|^_Unwind_|^__gxx_personality|^_ZN?K?S[tabsiod]"
)
ALLOCATOR_OBJECTS = {"allocator.cpp.o"}
HEADER = Path(__file__).resolve().parent.parent / "cpp" / "include" / "edgecv" / "edgecv.h"


class Symbol(NamedTuple):
    """One line of nm: the object it stands in, its kind letter and its mangled name."""

    member: str
    kind: str
    name: str


def symbols(path: Path) -> Iterator[Symbol]:
    """Yield the symbols of an object or archive."""
    output = subprocess.run(
        ["nm", "-P", str(path)], check=True, capture_output=True, text=True
    ).stdout
    member = path.name
    for line in output.splitlines():
        fields = line.split()
        if len(fields) == 1 and line.endswith(":"):
            member = re.sub(r"^.*\[(.*)\]:$", r"\1", line)
        elif len(fields) >= 2:
            yield Symbol(member, fields[1], fields[0])


def demangle(name: str) -> str:
    """Return the C++ spelling of a mangled name, or the name itself."""
    result = subprocess.run(["c++filt", name], capture_output=True, text=True, check=False)
    return result.stdout.strip() or name


def check_isa_objects(build: Path) -> tuple[int, list[str]]:
    """Return how many ISA objects there are and the weak symbols they define."""
    count = 0
    problems = []
    for folder in sorted(build.glob("CMakeFiles/edgecv_kernels_*.dir")):
        isa = folder.name[len("edgecv_kernels_") : -len(".dir")]
        if isa == "reference":
            continue
        for path in sorted(folder.rglob("*.o")):
            count += 1
            # nm -P: W/V weak and defined, u unique (also merged across objects); w/v are undefined.
            problems += [
                f"{path}: weak symbol {demangle(s.name)} in the {isa} kernels"
                for s in symbols(path)
                if s.kind in "WVu"
            ]
    return count, problems


def check_core(archive: Path) -> list[str]:
    """Return the forbidden references of the core archive."""
    problems = []
    for symbol in symbols(archive):
        if symbol.kind not in "Uwv":
            continue
        allocates = symbol.name in LIBC_ALLOCATION and symbol.member not in ALLOCATOR_OBJECTS
        if allocates or FORBIDDEN_CXX.match(symbol.name):
            problems.append(f"{archive}({symbol.member}): refers to {demangle(symbol.name)}")
    return problems


def check_exports(library: Path, header: Path = HEADER) -> list[str]:
    """Return where the exports of the shared library and the functions of the header differ."""
    text = re.sub(r"/\*.*?\*/", "", header.read_text(encoding="utf-8"), flags=re.DOTALL)
    documented = set(re.findall(r"EDGECV_API\s[^;]*?\b(edgecv_\w+)\s*\(", text))
    output = subprocess.run(
        ["nm", "-P", "-D", "--defined-only", str(library)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    exported = {line.split()[0] for line in output.splitlines()}
    return [
        *(
            f"{library}: exports {name}, which {header.name} does not declare"
            for name in sorted(exported - documented)
        ),
        *(f"{library}: lacks {name} of {header.name}" for name in sorted(documented - exported)),
    ]


def main(arguments: list[str]) -> int:
    """Check every build folder named; one that was never built is passed over."""
    problems = []
    checked = 0
    for build in map(Path, arguments):
        archive = build / "libedgecv_core.a"
        if not archive.exists():
            continue
        checked += 1
        count, found = check_isa_objects(build)
        problems += found + check_core(archive)
        library = build / "libedgecv.so"
        if library.exists():
            problems += check_exports(library)
        print(f"{build}: {count} ISA objects and the core archive checked")
    for problem in problems:
        print(problem, file=sys.stderr)
    if checked == 0:
        print("check_symbols: no build folder holds libedgecv_core.a", file=sys.stderr)
        return 2
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
