#!/usr/bin/env python3
"""Measure latency of edgecv and of the runtimes it is compared with, taking turns.

Each runtime is a process of its own. All processes of a model are alive at the same time and run
a few inferences each in turn, A B C C B A A B C ..., with a short pause between, so that a slow
drift or a noisy neighbour hits all alike. Everything runs at batch 1 and one thread by default.

Reported: minimum, median and 95th percentile of wall time, and minimum and median of CPU time.
When other programs share the cores, wall times say little; at one thread CPU time still shows about
what an idle machine would. The load average is printed with the result.

Writes latency-tN.md and latency-tN.json (N threads) into ``--out``. Needs
``benchmarks/peers/setup.sh``.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import runtimes

ROOT = Path(__file__).resolve().parent.parent.parent
OURS = "edgecv int8"
START_SECONDS = 300


def worker(name: str, folder: Path, model: str, threads: int, cpu: int) -> None:
    """Serve timings: per line "WARM COUNT" on stdin one JSON line of wall and CPU ms on stdout."""
    answers = os.dup(1)
    os.dup2(2, 1)  # runtimes print to stdout; the answers must stay clean
    if cpu >= 0:
        os.sched_setaffinity(0, {cpu})
    run = runtimes.find_runtime(name).open(folder, model, threads)
    x = np.load(folder / f"{model}.input.npy")
    logits = np.array(run(x), np.float64)

    def say(record: dict[str, Any]) -> None:
        os.write(answers, (json.dumps(record) + "\n").encode())

    say({"finite": bool(np.isfinite(logits).all()), "label": int(logits.argmax())})
    for line in sys.stdin:
        warm, count = (int(word) for word in line.split())
        for _ in range(warm):
            run(x)
        wall, busy = [], []
        for _ in range(count):
            start, start_busy = time.perf_counter(), time.process_time()
            run(x)
            busy.append((time.process_time() - start_busy) * 1e3)
            wall.append((time.perf_counter() - start) * 1e3)
        say({"wall": wall, "cpu": busy})


class Peer:
    """A worker process of one runtime and the times it has reported so far."""

    def __init__(self, name: str, folder: Path, model: str, threads: int, cpu: int) -> None:
        self.name = name
        self.wall: list[float] = []
        self.cpu: list[float] = []
        command = [sys.executable, os.path.abspath(__file__), "--worker", name]
        command += ["--models", str(folder), "--model", model]
        command += ["--threads", str(threads), "--cpu", str(cpu)]
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(threads),
            "OPENBLAS_NUM_THREADS": "1",
        }
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        self.first = self._read()

    def _read(self) -> dict[str, Any]:
        output = self._process.stdout
        assert output is not None
        ready, _, _ = select.select([output], [], [], START_SECONDS)
        line = output.readline() if ready else b""
        if not line:
            self._process.kill()
            _, errors = self._process.communicate()
            last = (errors.decode("utf-8", "replace").strip().splitlines() or ["no word"])[-1]
            raise RuntimeError(f"the worker ended: {last}")
        record: dict[str, Any] = json.loads(line)
        return record

    def turn(self, warm: int, count: int) -> None:
        """Run ``count`` timed inferences after ``warm`` untimed ones."""
        pipe = self._process.stdin
        assert pipe is not None
        pipe.write(f"{warm} {count}\n".encode())
        pipe.flush()
        record = self._read()
        self.wall += record["wall"]
        self.cpu += record["cpu"]

    def close(self) -> None:
        """End the worker."""
        self._process.communicate()

    def summary(self) -> dict[str, Any]:
        """Return the statistics of all turns, in ms."""
        ordered = sorted(self.wall)
        return {
            "n": len(ordered),
            "min_ms": ordered[0],
            "p50_ms": statistics.median(ordered),
            "p95_ms": ordered[int(len(ordered) * 0.95)],
            "cpu_p50_ms": statistics.median(self.cpu),
            "cpu_min_ms": min(self.cpu),
            **self.first,
        }


def measure(folder: Path, model: str, names: list[str], options: argparse.Namespace) -> Any:
    """Time every runtime of ``names`` on one model; return runtime -> statistics or an error."""
    result: dict[str, Any] = {}
    peers = []
    for name in names:
        if not (folder / (model + runtimes.find_runtime(name).suffix)).is_file():
            print(f"SKIPPED: {model} in {name}: no model file", file=sys.stderr)
            continue
        try:
            peers.append(Peer(name, folder, model, options.threads, options.cpu))
        except RuntimeError as error:
            print(f"SKIPPED: {model} in {name}: {error}", file=sys.stderr)
            result[name] = {"error": str(error)}
    for turn in range(options.rounds):
        for peer in peers if turn % 2 == 0 else peers[::-1]:
            time.sleep(options.settle / 1e3)
            peer.turn(2, options.runs)
    for peer in peers:
        peer.close()
        result[peer.name] = peer.summary()
    return {name: result[name] for name in names if name in result}


def table(result: dict[str, Any]) -> str:
    """Return the result as Markdown, times in ms; a ratio above 1 is slower than edgecv int8."""
    shown = ("min_ms", "p50_ms", "p95_ms", "cpu_min_ms", "cpu_p50_ms")
    compared = ("min_ms", "p50_ms", "cpu_min_ms", "cpu_p50_ms")
    words = {"min_ms": "min", "p50_ms": "p50", "p95_ms": "p95"}
    words.update({"cpu_min_ms": "CPU min", "cpu_p50_ms": "CPU p50"})
    lines = []
    for model, rows in result.items():
        ours = rows.get(OURS, {})
        header = [model, *(words[key] for key in shown), *(f"{words[k]} / ours" for k in compared)]
        lines += ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
        for name, row in rows.items():
            if "error" in row:
                lines.append(f"| {name} | {row['error']} |" + " |" * (len(header) - 2))
                continue
            cells = [f"{row[key]:.2f}" for key in shown]
            cells += [f"{row[key] / ours[key]:.2f}" if key in ours else "-" for key in compared]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=Path, default=ROOT / ".peers" / "models")
    parser.add_argument("--out", type=Path, default=ROOT / ".peers" / "results")
    parser.add_argument("--model", action="append", help="only this model (may be repeated)")
    parser.add_argument("--runtime", action="append", help="only this runtime (may be repeated)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=40, help="turns of each runtime")
    parser.add_argument("--runs", type=int, default=5, help="timed inferences in a turn")
    parser.add_argument("--settle", type=float, default=5.0, help="pause before a turn, in ms")
    parser.add_argument("--cpu", type=int, default=-1, help="pin every runtime to this CPU")
    parser.add_argument("--keep", action="store_true", help="do not make the .ecv files again")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Make the models, measure, write and print the tables."""
    options = parse()
    if options.worker:
        worker(options.worker, options.models, options.model[0], options.threads, options.cpu)
        return 0
    import models as peer_models
    import scoresets

    import edgecv

    try:
        models = peer_models.make_models(options.models, keep_ecv=options.keep)
        coffee = scoresets.load("calib64").pictures[2]
    except edgecv.Error as error:
        print(f"latency.py: {error}", file=sys.stderr)
        return 2
    assert coffee.member.endswith("coffee.png")
    names = [runtime.name for runtime in runtimes.RUNTIMES]
    names = [name for name in names if name in (options.runtime or names)]
    load = os.getloadavg()[0]
    result = {}
    for model in models:
        if model.name not in (options.model or [model.name]):
            continue
        pictures = peer_models.inputs(model, scoresets.ScoreSet("calib64", 256, (coffee,)))
        np.save(options.models / f"{model.name}.input.npy", next(pictures))
        result[model.name] = measure(options.models, model.name, names, options)
    about: dict[str, Any] = {
        "machine": runtimes.machine(),
        "versions": runtimes.versions(),
        "threads": options.threads,
        "load_before": load,
        "load_after": os.getloadavg()[0],
    }
    machine, versions = about["machine"], about["versions"]
    text = f"{machine['cpu']} ({machine['int8']}), {options.threads} thread(s), "
    text += ", ".join(f"{name} {version}" for name, version in versions.items())
    text += f", load average {load:.1f} before, {about['load_after']:.1f} after\n\n"
    text += table(result)
    options.out.mkdir(parents=True, exist_ok=True)
    stem = f"latency-t{options.threads}"
    (options.out / f"{stem}.md").write_text(text, encoding="utf-8")
    record = json.dumps({**about, "result": result}, indent=1) + "\n"
    (options.out / f"{stem}.json").write_text(record, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
