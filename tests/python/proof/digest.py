"""Prints the instruction sets of a model's kernels, and the digests of its outputs, as JSON.

Run as a program, under an emulator too: python digest.py FILE.ecv [ISA]. Needs edgecv and numpy.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import numpy as np

import edgecv


def output_digest(model: edgecv.Model, seed: int = 3) -> str:
    """SHA-256 over the raw outputs of one run on random inputs."""
    outputs = model.run(model.example_inputs(seed), raw=True)
    sha = hashlib.sha256()
    for name in sorted(outputs):
        sha.update(np.ascontiguousarray(outputs[name]).tobytes())
    return sha.hexdigest()


def describe(path: str, isa: str | None = None) -> dict[str, Any]:
    """What main prints."""
    with edgecv.load(path, threads=1, isa=isa) as model:
        report = model.verify()
        return {
            "isa": model.isa,
            "isas": sorted({step.isa for step in model.steps}),
            "verify": str(report),
            "passed": report.passed,
            "outputs": output_digest(model),
        }


if __name__ == "__main__":
    print(json.dumps(describe(*sys.argv[1:])))
