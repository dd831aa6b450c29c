"""Check that the files of the tree name nothing of one machine: local paths, package index hosts.

    python tools/check_clean.py

Looks at every file git tracks or would track. Exit code: 0 good, 1 a violation.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Spelled so that this file does not match itself.
FORBIDDEN = [
    (re.compile(r"/(?:work|farm|tmp/[a-z_]+_jobs)/"), "a path of one machine"),
    (re.compile(r"/(?:home|Users)/[a-z]+/"), "a path of one machine"),
    (re.compile(r"(?<![\w./])/(?:root)/"), "a path of one machine"),
    (re.compile(r"\.\./(?:\.library|shared)\b"), "a path outside the project"),
    (re.compile(r"deb\.debian\.org|snapshot\.debian"), "a package index host"),
    (re.compile(r"pypi\.org|files\.pythonhosted|registry\.npmjs"), "a package index host"),
]


def main() -> int:
    """Read every text file git knows and report the lines that match."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    count = 0
    problems = []
    for name in filter(None, listing.split("\0")):
        path = ROOT / name
        if not path.is_file():
            continue
        data = path.read_bytes()
        if b"\0" in data:
            continue
        count += 1
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            for pattern, what in FORBIDDEN:
                if pattern.search(line):
                    problems.append(f"{name}:{number}: {what}: {line.strip()[:100]}")
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"{count} text files are clean of local paths and hosts")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
