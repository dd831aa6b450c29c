"""Measure latency on this machine: minimum, p50, p95 and p99, whole or per layer.

Inputs are generated; accuracy is not the point here. A think gap sleeps between runs, as an
application does that waits for its next frame: caches cool and the processor clocks down, so the
figures are what the application sees.

examples:
  edgecv bench m.ecv --threads 1
  edgecv bench m.ecv --per-layer
  edgecv bench m.ecv --think 33 --runs 100
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Dict, List

import numpy as np

from edgecv.cli import console
from edgecv.errors import Error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("model", help=".ecv file")
    parser.add_argument("--threads", type=int, help="threads to run with (default: all allowed)")
    parser.add_argument("--runs", type=int, default=100, help="measured runs (default: 100)")
    parser.add_argument("--warmup", type=int, default=5, help="runs before measuring (default: 5)")
    parser.add_argument("--think", type=float, default=0.0, metavar="MS", help="sleep between runs")
    parser.add_argument("--per-layer", action="store_true", help="time each step of the plan")
    parser.add_argument("--isa", help="force an instruction set, e.g. reference")
    parser.add_argument("--json", action="store_true", help="print JSON")


def percentiles(milliseconds: List[float]) -> Dict[str, float]:
    """min, p50, p95, p99 and mean of a list of times."""
    times = np.asarray(milliseconds)
    return {
        "min": float(times.min()),
        "p50": float(np.percentile(times, 50)),
        "p95": float(np.percentile(times, 95)),
        "p99": float(np.percentile(times, 99)),
        "mean": float(times.mean()),
    }


def run(args: argparse.Namespace) -> int:
    """Measures and prints."""
    import edgecv

    if args.runs < 1 or args.warmup < 0 or not 0 <= args.think <= 60_000:
        raise Error("--runs takes at least 1, --warmup at least 0, --think 0 to 60000 ms")
    start = time.perf_counter()
    with edgecv.load(args.model, threads=args.threads, isa=args.isa) as model:
        load_ms = (time.perf_counter() - start) * 1e3
        feed = model.example_inputs(seed=1)
        times: List[float] = []
        with console.Progress() as progress:
            for i in range(args.warmup + args.runs):
                if args.think:
                    time.sleep(args.think / 1e3)
                start = time.perf_counter()
                model.run(feed)
                if i >= args.warmup:
                    times.append((time.perf_counter() - start) * 1e3)
                    progress("bench", len(times), args.runs)
        layers = model.profile(feed, runs=args.runs) if args.per_layer else []
        threads = model.threads
    result = percentiles(times)
    if args.json:
        document = {
            "load_ms": load_ms, "threads": threads, "runs": args.runs, "think_ms": args.think,
            "latency_ms": result,
            "layers": [
                {"op": s.op, "name": s.name, "kernel": s.kernel, "macs": s.macs,
                 "ms": s.milliseconds}
                for s in layers
            ],
        }  # fmt: skip
        print(json.dumps(document))
        return 0
    print(f"load {load_ms:.1f} ms, {threads} thread(s), {args.runs} runs")
    print("latency ms: " + "  ".join(f"{what} {value:.3f}" for what, value in result.items()))
    if layers:
        total = sum(s.milliseconds for s in layers)
        rows = [
            (
                s.name,
                s.op,
                s.kernel,
                f"{s.milliseconds:.4f}",
                f"{100 * s.milliseconds / total:.1f}",
                f"{s.macs / s.milliseconds / 1e6:.1f}" if s.macs and s.milliseconds > 0 else "",
            )
            for s in layers
        ]
        console.table("", ("node", "op", "kernel", "ms", "%", "GMAC/s"), rows, right=(3, 4, 5))
    return 0
