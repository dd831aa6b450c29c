"""Make the int8 models that stand for real ones on ARM: those of the zoo, by default options.

    python benchmarks/arm/make_models.py FOLDER NAME...

Writes FOLDER/NAME.ecv, calibrated on the zoo's photographs and with digests of one input, unless
it is newer than the converter.
Needs edgecv[convert]; weights and photographs come from the zoo's cache or, once, a package index.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import edgecv
from edgecv import zoo


def say(line: str) -> None:
    """Progress, on standard error."""
    print(line, file=sys.stderr)


def is_current(path: Path) -> bool:
    """Whether nothing of the converter is newer than the file."""
    package = Path(edgecv.__file__).parent
    sources = [*package.rglob("*.py"), *package.glob("_core*.so"), Path(__file__)]
    return path.exists() and all(s.stat().st_mtime < path.stat().st_mtime for s in sources)


def make(name: str, folder: Path) -> Path:
    """Convert one model of the zoo."""
    path = folder / f"{name}.ecv"
    if is_current(path):
        return path
    folder.mkdir(parents=True, exist_ok=True)
    onnx = zoo.build(name, folder / f"{name}.onnx", report=say)
    pictures = zoo.calibration_pictures(None, report=say)
    prep = zoo.find_model(name).preprocess
    edgecv.convert(onnx, path, pictures, preprocess=prep, golden_seeds=(1,))
    return path


def main() -> int:
    """Make the models named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+", metavar="NAME")
    args = parser.parse_args()
    for name in args.names:
        print(make(name, args.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
