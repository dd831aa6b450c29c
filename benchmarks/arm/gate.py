"""Hold the instructions of real models on emulated ARM CPUs against stored counts.

    python benchmarks/arm/gate.py --library libedgecv.a MODEL.ecv... [--update]

Counts are exact for one compiler and one library of C, so counts.json stores them by the compiler's
version; a compiler it has none of is not judged, which is said aloud. Exit code 1: an inference
takes over 1% more instructions than stored.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import emulate

STORED = emulate.HERE / "counts.json"
ALLOWED = 0.01
Counts = dict[str, dict[str, int]]  # model -> CPU -> instructions


def read_stored() -> dict[str, Counts]:
    """Counts by compiler."""
    if not STORED.exists():
        return {}
    stored: dict[str, Counts] = json.loads(STORED.read_text())
    return stored


def judge(name: str, cpu: str, count: int, stored: int | None) -> bool:
    """Print one count; False when it is too high."""
    text = f"{name}, {cpu}: {count / 1e6:.2f} million instructions"
    if stored is None:
        print(f"{text}; none stored")
        return True
    change = count / stored - 1
    text += f", {change:+.2%} of the stored {stored / 1e6:.2f}"
    if change > ALLOWED:
        print(f"{text}: FAILED, at most {ALLOWED:+.0%} is allowed")
        return False
    print(text + (": store the new count by --update" if change < -ALLOWED else ""))
    return True


def main() -> int:
    """Count and compare, or count and store."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL.ecv")
    parser.add_argument("--library", type=Path, required=True, help="libedgecv.a for aarch64")
    parser.add_argument("--work", type=Path, help="folder for what is compiled (default: its own)")
    parser.add_argument("--update", action="store_true", help="store the counts of this compiler")
    args = parser.parse_args()
    work = args.work or args.library.parent / "count"
    try:
        compiler = emulate.compiler()
        plugin = emulate.build_plugin(work)
        program = emulate.build_program(work, args.library)
        jobs = [(model, cpu) for model in args.models for cpu in emulate.CPUS]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            results = pool.map(lambda job: emulate.count(plugin, program, *job), jobs)
            counts: Counts = {model.stem: {} for model in args.models}
            for (model, cpu), result in zip(jobs, results):
                counts[model.stem][cpu] = result.instructions
    except emulate.NotAvailableError as reason:
        print(f"SKIPPED, instructions are not counted: {reason}")
        return 0
    everything = read_stored()
    if args.update:
        everything.setdefault(compiler, {}).update(counts)
        STORED.write_text(json.dumps(everything, indent=2, sort_keys=True) + "\n")
    if compiler not in everything:
        print(f"SKIPPED, no counts are stored for {compiler}: add them by --update")
    stored = everything.get(compiler, {})
    good = [
        judge(name, cpu, count, stored.get(name, {}).get(cpu))
        for name, by_cpu in counts.items()
        for cpu, count in by_cpu.items()
    ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
