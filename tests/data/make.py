"""Writes tests/data/golden and tests/data/bad: run it from anywhere, with edgecv installed.

Golden files are read for ever: a change of the writer that changes one of them needs a new file
beside it. A test compares what this writes with what is committed.
"""

from __future__ import annotations

import sys
from pathlib import Path

DATA = Path(__file__).resolve().parent
sys.path.insert(0, str(DATA.parent / "python"))

from format.damage import bad_files  # noqa: E402
from format.golden import GOLDEN  # noqa: E402


def main() -> None:
    golden = {name: build() for name, build in GOLDEN.items()}
    bad = bad_files(golden)
    for folder, files in (("golden", golden), ("bad", bad)):
        (DATA / folder).mkdir(exist_ok=True)
        for old in (DATA / folder).glob("*.ecv"):
            if folder == "bad" or old.stem in files:
                old.unlink()
        for name, data in files.items():
            (DATA / folder / f"{name}.ecv").write_bytes(data)
    print(f"{len(golden)} golden files, {len(bad)} bad files")


if __name__ == "__main__":
    main()
