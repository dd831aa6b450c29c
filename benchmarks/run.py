#!/usr/bin/env python3
"""Latency of the real models on this machine: edgecv beside whatever other runtimes are installed.

    python benchmarks/run.py [options of benchmarks/peers/latency.py]

A runtime that is not installed is skipped and named; ``benchmarks/peers/setup.sh`` makes an
environment that has them all.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    script = Path(__file__).resolve().parent / "peers" / "latency.py"
    sys.path.insert(0, str(script.parent))
    sys.argv[0] = str(script)
    runpy.run_path(str(script), run_name="__main__")
