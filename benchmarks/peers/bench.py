#!/usr/bin/env python3
"""Measure edgecv beside the runtimes it is compared with.

  bench.py                                  latency at 1 and 2 threads; tables with ratios and bars
  bench.py --threads 1 --models mobilenet_v2,resnet18 --peers edgecv,ort,litert
  bench.py --build old=FOLDER               also edgecv as found in FOLDER, taking turns with this
  bench.py --cold --models mobilenet_v2     process start to first result, and peak memory
  bench.py --check                          are the outputs sane? correlation with fp32
  bench.py --sizes                          installed size of every peer

Peers that are never the fastest run only when they are named (--peers all: every one). All work in
turns, see measure.py. Batch 1; every peer goes from a numpy array to numpy arrays through its
Python API. On a busy machine compare minima. Results are written as .json and .md into --out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import about
import check
import measure
import networks
import peers
import report

ROOT = Path(__file__).resolve().parent.parent.parent


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options of the given or the command line's arguments."""
    root = Path(os.environ.get("PEERS_ROOT", ROOT / ".peers"))
    text = __doc__ or ""
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--cold", action="store_true", help="cold starts instead of latency")
    what.add_argument("--check", action="store_true", help="correlation of outputs with fp32")
    what.add_argument("--sizes", action="store_true", help="installed size of every peer")
    parser.add_argument("--models", default="all", help='names, comma-separated (default: "all")')
    parser.add_argument("--peers", default="default", help='names, "default" or "all"')
    parser.add_argument("--build", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--threads", default="1,2", help="thread counts (default: 1,2)")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each peer (default: 9)")
    parser.add_argument("--runs", type=int, default=6, help="timed runs in a turn (default: 6)")
    parser.add_argument("--settle", type=float, default=10.0, help="ms before a turn (default: 10)")
    parser.add_argument("--pin", default=None, help='CPUs, e.g. "1"; "" for none (default: last N)')
    parser.add_argument("--repeats", type=int, default=7, help="cold starts of each (default: 7)")
    parser.add_argument("--root", type=Path, default=root, help="default: .peers or $PEERS_ROOT")
    parser.add_argument("--folder", type=Path, help="models (default: ROOT/models)")
    parser.add_argument("--out", type=Path, help="where results go (default: ROOT/results)")
    parser.add_argument("--python", default="", help="run every peer in this interpreter")
    parser.add_argument("--edgecv", default="", metavar="FOLDER", help="where to import it from")
    return parser.parse_args(arguments)


def find_models(folder: Path, names: str) -> list[measure.Model]:
    """Return the models of a folder that a comma-separated list names."""
    path = folder / "info.json"
    if not path.is_file():
        raise SystemExit(f"{folder} holds no models: run `make bench-peers`, which makes them")
    info = json.loads(path.read_text(encoding="utf-8"))
    timed = [name for name in info if name != networks.PROBE]
    chosen = timed if names == "all" else [name.strip() for name in names.split(",")]
    unknown = [name for name in chosen if name not in info]
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; there are: {', '.join(info)}")
    return [measure.Model(name, info[name]["hw"], info[name]["macs"]) for name in chosen]


def choose_cpus(pin: str | None, threads: int) -> str:
    """Return the CPUs to pin to: as asked, or the last ``threads`` this process may use."""
    if pin is not None:
        return pin
    allowed = sorted(os.sched_getaffinity(0))
    return ",".join(map(str, allowed[-threads:]))


def facts_of(setup: measure.Setup, load: float) -> dict[str, Any]:
    """Return what a result has to name: machine, versions, load."""
    return {
        "machine": about.machine(),
        "versions": about.versions(),
        "time": time.strftime("%Y-%m-%d %H:%M"),
        "cpus": setup.cpus,
        "load_before": load,
        "load_after": os.getloadavg()[0],
    }


def heading(facts: dict[str, Any]) -> str:
    """Return ``facts_of`` as a line of text."""
    machine = facts["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    load = f"load average {facts['load_before']:.1f} to {facts['load_after']:.1f}"
    return f"{machine['cpu']} ({machine['int8']}); {versions}; {facts['time']}, {load}\n"


def save(out: Path, stem: str, record: dict[str, Any], text: str) -> None:
    """Write NAME.json and NAME.md."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{stem}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (out / f"{stem}.md").write_text(text, encoding="utf-8")


def run_latency(options: argparse.Namespace, setup: measure.Setup) -> None:
    """Measure latency at every thread count."""
    chosen = peers.select(options.peers, options.build)
    models = find_models(setup.models, options.models)
    results: dict[int, Any] = {}
    for threads in (int(word) for word in options.threads.split(",")):
        load, start = os.getloadavg()[0], time.monotonic()
        setup.threads, setup.cpus = threads, choose_cpus(options.pin, threads)
        rows: dict[str, Any] = {}
        for model in models:
            found = measure.latency(setup, chosen, model, options.rounds, options.runs)
            rows[model.name] = found.rows
            name, ms = report.fastest(found.rows, "min_ms")
            ours = report.time_of(found.rows, peers.OURS, "min_ms")
            print(
                f"{model.name} {threads} thread(s): {peers.OURS} {ours:.2f} ms, {name} {ms:.2f} ms",
                f"({time.monotonic() - start:.0f} s, load {os.getloadavg()[0]:.1f})",
                file=sys.stderr,
                flush=True,
            )
            facts = facts_of(setup, load)
            record = {**facts, "threads": threads, "runs": options.rounds * options.runs}
            record.update(macs={model.name: model.macs for model in models}, result=rows)
            text = heading(facts) + report.latency_tables(rows, threads)
            save(options.out, f"latency-t{threads}", record, text)
        results[threads] = rows
        print(text, flush=True)
    if 1 in results and 2 in results:
        text = "### edgecv at two threads\n\n" + report.scaling_table(results[1], results[2])
        (options.out / "latency-scaling.md").write_text(text, encoding="utf-8")
        print(text)


def run_cold(options: argparse.Namespace, setup: measure.Setup) -> None:
    """Measure cold starts, next to a process that imports numpy alone."""
    floor = peers.Peer("numpy", "numpy", "none", ())
    chosen = [floor, *peers.select(options.peers, options.build)]
    load, result, text = os.getloadavg()[0], {}, ""
    setup.threads = int(options.threads.split(",")[0])
    for model in find_models(setup.models, options.models):
        result[model.name] = measure.cold(setup, chosen, model, options.repeats)
        text += report.cold_table(model.name, result[model.name]) + "\n"
    facts = facts_of(setup, load)
    text = heading(facts) + "\n" + text
    save(options.out, "cold", {**facts, "result": result}, text)
    print(text)


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks for."""
    options = parse(arguments)
    options.out = options.out or options.root / "results"
    models = options.folder or options.root / "models"
    setup = measure.Setup(options.root, models, settle=options.settle, python=options.python)
    if options.edgecv:
        os.environ["PYTHONPATH"] = os.path.abspath(options.edgecv)
    if options.sizes:
        sizes = check.sizes(setup)
        save(options.out, "sizes", sizes, text := check.sizes_table(sizes))
        print(text)
    elif options.check:
        chosen = peers.select(options.peers, options.build)
        names = options.models
        if names == "all" and (models / f"{networks.PROBE}.onnx").is_file():
            names = ",".join(networks.EVERYTHING)
        result = check.check(setup, chosen, find_models(models, names))
        save(options.out, "check", result, text := check.check_table(result))
        print(text)
    elif options.cold:
        run_cold(options, setup)
    else:
        run_latency(options, setup)
    return 0


if __name__ == "__main__":
    sys.exit(main())
