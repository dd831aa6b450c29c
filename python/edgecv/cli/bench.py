"""Measure latency on this machine: minimum, p50, p95 and p99, whole or per layer.

Inputs are generated; accuracy is not the point here. A think gap sleeps between runs, as an
application does that waits for its next frame: caches cool and the processor clocks down, so the
figures are what the application sees.

--per-layer lists every kernel call with the median of its times; steps with the same chain number
run together a stripe of rows at a time, and the time of the chain is divided among them. --trace
writes one run as a Chrome trace: open it in Perfetto or chrome://tracing.

examples:
  edgecv bench m.ecv --threads 1
  edgecv bench m.ecv --per-layer --top 10
  edgecv bench m.ecv --threads 1 --trace trace.json
  edgecv bench m.ecv --think 33 --runs 100
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any, Dict, List, Sequence

import numpy as np

from edgecv.cli import console
from edgecv.errors import Error
from edgecv.infos import StepInfo


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("model", help=".ecv file")
    parser.add_argument("--threads", type=int, help="threads to run with (default: all allowed)")
    parser.add_argument("--runs", type=int, default=100, help="measured runs (default: 100)")
    parser.add_argument("--warmup", type=int, default=5, help="runs before measuring (default: 5)")
    parser.add_argument("--think", type=float, default=0.0, metavar="MS", help="sleep between runs")
    parser.add_argument("--per-layer", action="store_true", help="time each step of the plan")
    parser.add_argument("--top", type=int, metavar="N", help="list the N slowest steps alone")
    parser.add_argument(
        "--trace", metavar="FILE", help="write the steps of one run as Chrome trace"
    )
    parser.add_argument("--isa", help="force an instruction set, e.g. reference")
    parser.add_argument(
        "--chains",
        choices=("auto", "off", "all"),
        help="run layers a stripe of rows at a time: where faster, nowhere, wherever possible",
    )
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


def layer(step: StepInfo) -> Dict[str, Any]:
    """A step as plain data."""
    return {
        "name": step.name,
        "op": step.op,
        "kernel": step.kernel,
        "shape": list(step.shape),
        "macs": step.macs,
        "chain": step.chain,
        "parallel": step.parallel,
        "ms": step.milliseconds,
    }


def chrome_trace(name: str, threads: int, steps: Sequence[StepInfo]) -> Dict[str, Any]:
    """The steps of one run, one after the other, as a Chrome trace; a chain encloses its steps.

    Times are in microseconds from the start of the run.
    """
    events: List[Dict[str, Any]] = [
        {"name": "process_name", "ph": "M", "pid": 1, "tid": 1, "args": {"name": name}},
        {"name": "thread_name", "ph": "M", "pid": 1, "tid": 1,
         "args": {"name": f"steps, {threads} thread(s)"}},
    ]  # fmt: skip
    at = 0.0
    enclosing: Dict[str, Any] = {}
    for step in steps:
        took = step.milliseconds * 1e3
        common = {"ph": "X", "pid": 1, "tid": 1, "ts": at}
        if step.chain is None:
            enclosing = {}
        elif enclosing.get("args", {}).get("chain") == step.chain:
            enclosing["dur"] += took
        else:
            enclosing = {**common, "name": f"chain {step.chain}", "cat": "chain", "dur": took,
                         "args": {"chain": step.chain}}  # fmt: skip
            events.append(enclosing)
        args = layer(step)
        args["GMAC/s"] = step.macs / took / 1e3 if took > 0 else 0.0
        events.append({**common, "name": step.name, "cat": step.op, "dur": took, "args": args})
        at += took
    return {"displayTimeUnit": "ms", "traceEvents": events}


def _write(path: str, document: Dict[str, Any]) -> None:
    try:
        Path(path).write_text(json.dumps(document) + "\n", encoding="utf-8")
    except OSError as cause:
        raise Error(f"{path}: cannot write the trace ({cause})") from cause


def _print_layers(steps: Sequence[StepInfo], top: int) -> None:
    total = sum(step.milliseconds for step in steps)
    listed = sorted(steps, key=lambda step: -step.milliseconds)[:top] if top else steps
    rows = [
        (
            step.name,
            step.op,
            "x".join(map(str, step.shape)),
            step.kernel,
            "" if step.chain is None else step.chain,
            f"{step.milliseconds:.4f}",
            f"{100 * step.milliseconds / total:.1f}" if total > 0 else "",
            f"{step.macs / step.milliseconds / 1e6:.1f}"
            if step.macs and step.milliseconds > 0
            else "",
        )
        for step in listed
    ]
    header = ("node", "op", "output", "kernel", "chain", "ms", "%", "GMAC/s")
    console.table("", header, rows, right=(4, 5, 6, 7))
    print(f"{len(listed)} of {len(steps)} steps; all of them take {total:.3f} ms")


def run(args: argparse.Namespace) -> int:
    """Measures and prints."""
    import edgecv

    if args.runs < 1 or args.warmup < 0 or not 0 <= args.think <= 60_000:
        raise Error("--runs takes at least 1, --warmup at least 0, --think 0 to 60000 ms")
    if args.top is not None and args.top < 1:
        raise Error("--top takes at least 1")
    start = time.perf_counter()
    with edgecv.load(args.model, threads=args.threads, isa=args.isa, chains=args.chains) as model:
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
        per_layer = args.per_layer or args.top is not None
        steps = model.profile(feed, runs=args.runs) if per_layer else []
        threads, isa, name = model.threads, model.isa, model.name or Path(args.model).stem
        if args.trace:
            _write(args.trace, chrome_trace(name, threads, model.profile(feed, runs=1)))
    result = percentiles(times)
    if args.json:
        document = {
            "load_ms": load_ms, "threads": threads, "isa": isa, "runs": args.runs,
            "think_ms": args.think, "latency_ms": result, "layers": [layer(s) for s in steps],
        }  # fmt: skip
        print(json.dumps(document))
        return 0
    print(f"load {load_ms:.1f} ms, {threads} thread(s), {isa}, {args.runs} runs")
    print("latency ms: " + "  ".join(f"{what} {value:.3f}" for what, value in result.items()))
    if steps:
        _print_layers(steps, args.top or 0)
    if args.trace:
        print(f"trace of one run: {args.trace}")
    return 0
