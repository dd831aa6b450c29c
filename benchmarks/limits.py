#!/usr/bin/env python3
"""Where a model's time goes: its steps against what the machine could do.

    limits.py [--top N] [--runs N] [--peaks JSON] FILE.ecv...

A step's limit is its multiply-accumulates at the peak rate of its arithmetic (dense int8 layers:
four products summed in 16 bits, or a dot product instruction; depthwise: widened products; floats:
FMA) or the bytes it reads and writes, weights included, at the copy rate, whichever takes longer.
It leaves out requantizing, borders and loads, so nothing reaches it; it shows where most is left.
Peaks come from ``bench_kernels --peaks`` (default: those of a 3.2 GHz core with AVX2). One thread.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import edgecv

PEAKS = {"wide": 84.0, "sum4": 125.0, "dot4": 0.0, "f32": 52.0, "copy": 60.0}


def limit_ms(step: Any, depthwise: bool, moved: int, peaks: dict[str, float]) -> float:
    """Return the least time of a step by the peaks."""
    if "f32" in step.family:
        rate = peaks["f32"]
    else:
        rate = max(peaks["wide" if depthwise else "sum4"], peaks["dot4"])
    return max(step.macs / rate, moved / peaks["copy"]) / 1e6


def rows(path: str, runs: int, peaks: dict[str, float]) -> list[tuple[Any, float]]:
    """Return (step, limit) in the order of the plan."""
    with edgecv.load(path, threads=1) as model:
        sizes = {info.name: _bytes(info.shape, info.dtype) for info in model.inputs}
        moved = {}
        for op in model.ops:
            sizes[op.output] = _bytes(op.shape, op.dtype)
            inputs = sum(sizes.get(name, 0) for name in op.inputs if name is not None)
            moved[op.name] = (sizes[op.output] + inputs, len(op.steps))
        steps = model.profile(model.example_inputs(seed=1), runs=runs)
    found = []
    for step in steps:
        size, count = moved.get(step.name, (0, 1))
        depthwise = step.kernel.startswith("dwconv")
        found.append((step, limit_ms(step, depthwise, size // count + step.packed_bytes, peaks)))
    return found


def _bytes(shape: tuple[int, ...], dtype: Any) -> int:
    return int(np.prod(shape)) * int(np.dtype(dtype).itemsize)


def table(name: str, found: list[tuple[Any, float]], top: int) -> str:
    """Return a Markdown table of the steps with most time over their limit."""
    total = sum(step.milliseconds for step, _ in found)
    least = sum(limit for _, limit in found)
    lines = [
        f"**{name}**: {len(found)} steps, {total:.2f} ms; "
        f"limit {least:.2f} ms ({least / total:.0%})",
        "",
        "| node | output | kernel | chain | ms | limit ms | GMAC/s | over limit, % of all |",
        "|---" * 8 + "|",
    ]
    worst = sorted(found, key=lambda pair: pair[1] - pair[0].milliseconds)[:top]
    for step, limit in worst:
        ms = step.milliseconds
        rate = f"{step.macs / ms / 1e6:.1f}" if step.macs and ms > 0 else ""
        shape = "x".join(map(str, step.shape))
        chain = "" if step.chain is None else str(step.chain)
        over = 100 * (ms - limit) / total
        lines.append(
            f"| {step.name} | {shape} | {step.kernel} | {chain} | {ms:.3f} | {limit:.3f} | {rate} "
            f"| {over:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the tables of all files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+")
    parser.add_argument("--top", type=int, default=8, help="steps listed (default: 8)")
    parser.add_argument("--runs", type=int, default=50, help="median of N runs (default: 50)")
    parser.add_argument("--peaks", type=json.loads, default=PEAKS, metavar="JSON")
    options = parser.parse_args()
    for path in options.files:
        found = rows(path, options.runs, {**PEAKS, **options.peaks})
        print(table(Path(path).name, found, options.top))
    return 0


if __name__ == "__main__":
    sys.exit(main())
