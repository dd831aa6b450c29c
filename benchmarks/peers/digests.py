#!/usr/bin/env python3
"""Print the digest of every model's outputs, by instruction set and thread count.

    digests.py --folder .peers/models [--models NAME,...] [--threads 1,2,4]

All digests of a file must be equal: the reference's, every instruction set's of this CPU, with
every number of threads, with and without chains. Exit code: 0 they are, 1 one differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

import edgecv
from edgecv import _core

VARIANTS = "ecv,plain.ecv,w4.ecv,a7.ecv"


def digest(path: Path, isa: str, threads: int, x: np.ndarray) -> str:
    """Return the digest of all outputs as stored, of two runs in a row that must agree."""
    with edgecv.load(str(path), threads=threads, isa=isa) as model:
        found = []
        for _ in range(2 if isa != "reference" else 1):
            sha = hashlib.sha256()
            for name, y in sorted(model.run(x, raw=False).items()):
                sha.update(
                    name.encode() + str(y.shape).encode() + np.ascontiguousarray(y).tobytes()
                )
            found.append(sha.hexdigest()[:16])
    return found[0] if len(set(found)) == 1 else "/".join(found)


def main() -> int:
    """Go through files, instruction sets and thread counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--models", default="all")
    parser.add_argument(
        "--variants", default=VARIANTS, help=f"default: {VARIANTS}; missing: skipped"
    )
    parser.add_argument("--threads", default="1,2,4")
    parser.add_argument("--isas", default="", help="default: all of this CPU")
    options = parser.parse_args()
    info = json.loads((options.folder / "info.json").read_text(encoding="utf-8"))
    names = list(info) if options.models == "all" else options.models.split(",")
    isas = options.isas.split(",") if options.isas else [n for n, usable in _core.isas() if usable]
    counts = [int(word) for word in options.threads.split(",")]
    different = files = 0
    for name in names:
        size = info[name]["hw"]
        x = np.fromfile(options.folder / f"{name}.input.f32", np.float32).reshape(1, 3, size, size)
        for suffix in options.variants.split(","):
            path = options.folder / f"{name}.{suffix}"
            if not path.is_file():
                continue
            start, found = time.monotonic(), {}
            for isa in isas:
                for threads in counts if isa != "reference" else counts[:2]:
                    for chains in ("auto", "all", "off") if isa != "reference" else ("auto",):
                        os.environ["EDGECV_CHAINS"] = chains
                        word = f"{isa}/{threads}" + ("" if chains == "auto" else f"/{chains}")
                        found[word] = digest(path, isa, threads, x)
            files += 1
            values = set(found.values())
            good = len(values) == 1
            different += not good
            text = f"{values.pop()} in all of {' '.join(found)}" if good else f"DIFFERENT: {found}"
            print(f"{path.name}: {text} ({time.monotonic() - start:.0f} s)", flush=True)
    print(f"{files} files, {different} with differing digests")
    return 1 if different or not files else 0


if __name__ == "__main__":
    sys.exit(main())
