"""Check the built distributions: one wheel of at most 2 MB with the module inside, and one sdist.

    python tools/check_wheel.py [--several] DIST_FOLDER

With --several: one wheel or more (of other Pythons and architectures).

Exit code: 0 good, 1 a violation.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

MAX_WHEEL_BYTES = 2_000_000
REQUIRED = ("edgecv/__init__.py", "edgecv/py.typed", "edgecv/_core.pyi")


def main(arguments: list[str]) -> int:
    """Print the sizes and what is wrong."""
    several = "--several" in arguments
    folder = Path(arguments[-1])
    wheels = sorted(folder.glob("*.whl"))
    sdists = sorted(folder.glob("*.tar.gz"))
    problems = []
    if len(sdists) != 1 or not wheels or (len(wheels) > 1 and not several):
        problems.append(f"want one wheel and one sdist, found {len(wheels)} and {len(sdists)}")
    for wheel in wheels:
        size = wheel.stat().st_size
        print(f"{wheel.name}: {size:,} bytes")
        if size > MAX_WHEEL_BYTES:
            problems.append(f"{wheel.name}: larger than {MAX_WHEEL_BYTES:,} bytes")
        names = zipfile.ZipFile(wheel).namelist()
        problems += [f"{wheel.name}: {name} is missing" for name in REQUIRED if name not in names]
        if not any(n.startswith("edgecv/_core.") and n.endswith(".so") for n in names):
            problems.append(f"{wheel.name}: the compiled module edgecv/_core is missing")
        problems += [f"{wheel.name}: holds {n}" for n in names if not n.startswith("edgecv")]
    for sdist in sdists:
        print(f"{sdist.name}: {sdist.stat().st_size:,} bytes")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
