"""Count the inferences of another runtime; runs inside the emulated Python (rivals.py starts it).

    python rival_worker.py ort|litert MODEL RUNS

Prints a line of instructions for each inference after the first. A count holds the call from
Python, from an input array to output arrays, some ten thousand instructions.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "peers"))

import runners

COUNTERS, READ = 4242, 1  # counters.h


def instructions() -> int:
    """What the plugin has counted so far; 0 without it."""
    counters = (ctypes.c_uint64 * 4)()
    ctypes.CDLL(None).syscall(COUNTERS, READ, ctypes.byref(counters))
    return int(counters[0])


def main() -> int:
    """Open, warm up, count."""
    runtime, path, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    feed = getattr(runners, f"open_{runtime}")("", path, 1)
    picture = np.random.default_rng(1).uniform(-2, 2, (1, 3, 224, 224)).astype(np.float32)
    run = feed(picture)
    run()
    for _ in range(runs):
        before = instructions()
        outputs = run()
        print(instructions() - before, flush=True)
        if not all(np.isfinite(output).all() for output in outputs):
            sys.exit("rival_worker.py: an output is not finite")
    return 0


if __name__ == "__main__":
    sys.exit(main())
