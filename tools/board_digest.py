"""Print what a model answers, in a form to compare between machines; needs edgecv and numpy alone.

    python tools/board_digest.py MODEL.ecv [PICTURE.npy ...]

Verifies the model against its stored digests, then prints one SHA-256 a line: of the stored outputs
for generated inputs, and for each picture (uint8, [height, width, 3]).
"""

from __future__ import annotations

import hashlib
import sys
from typing import Any, Dict, List

import numpy as np
from numpy.typing import NDArray

import edgecv


def digest(outputs: Dict[str, NDArray[Any]]) -> str:
    """Digest of names, types, shapes and bytes."""
    total = hashlib.sha256()
    for name, array in sorted(outputs.items()):
        total.update(f"{name} {array.dtype.str} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def main(arguments: List[str]) -> int:
    """Print the digests; on standard error which kernels gave them."""
    with edgecv.load(arguments[0]) as model:
        print(f"edgecv {edgecv.__version__}, numpy {np.__version__}, {model.isa}", file=sys.stderr)
        report = model.verify()
        print("verify", "passed" if report.passed else "FAILED", report.digests)
        print("generated", digest(model.run(model.example_inputs(7), raw=True)))
        for path in arguments[1:]:
            print("picture", digest(model.run_image(np.load(path), raw=True)))
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
