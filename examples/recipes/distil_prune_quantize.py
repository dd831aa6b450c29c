#!/usr/bin/env python3
"""A float teacher becomes an int8 student of a fifth of its size: the whole chain on Fashion-MNIST.

  1 teacher   a small ResNet learns the 60,000 training pictures
  2 answers   what it thinks of augmented views of them is kept: soft labels
  3 student   a small MobileNet learns to answer likewise (distillation)
  4 prune     `edgecv.compress.prune` takes 40% of its multiply-accumulates away, in ONNX; the
              channels that stay go back into the torch module
  5 tune      the pruned network is trained on (fine-tuning), again by the teacher's answers
  6 qat       and then with weights and activations rounded as edgecv rounds them
  7 files     every network becomes ONNX and `.ecv`; the last keeps the scales it was trained with

then edgecv itself scores every file on the 10,000 test pictures and times the files in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import List

EPILOG = """\
Needs edgecv[recipes]: PyTorch is an extra, 190 MB as its CPU-only wheel. The pictures are a Debian
package (30 MB), fetched by apt-get download into edgecv's cache (EDGECV_CACHE).

A seed takes some 8 minutes of one core, --quick two. Stop it whenever you like: the same
command goes on behind the last whole stage, within training behind the last epoch. A stage whose
settings changed is done again, with all behind it.

In OUT: table.md and table.json; of each seed a folder with the networks (.pt, .onnx, .ecv) and
what each stage took and gave (.json). seedN/qat.int8.ecv is the result: it takes grey pictures as
they are (`edgecv run`), and `edgecv verify` proves on a device that it computes the same there.

To make it yours: data.py (pictures), models.py (networks; mark with Point what int8 rounds).
The explanation is docs/recipes.md.
"""


def parse(arguments: List[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out", type=Path, metavar="OUT", help="default: build/recipes/full, quick"
    )
    parser.add_argument(
        "--quick", action="store_true", help="few pictures, one seed: is everything there?"
    )
    parser.add_argument("--seeds", metavar="N,N,..", help="default: 0,1,2; with --quick 0")
    parser.add_argument("--jobs", type=int, default=1, help="seeds at a time, one core each")
    parser.add_argument(
        "--check",
        action="store_true",
        help="exit code 1 unless every seed's int8 student is within 0.5 points of its own fp32 (3 "
        "with --quick), 4 times smaller and 3 times faster than its teacher in int8",
    )
    parser.add_argument("--no-table", action="store_true", help="do the stages, measure nothing")
    args = parser.parse_args(arguments)
    try:
        seeds = args.seeds or ("0" if args.quick else "0,1,2")
        args.seeds = [int(seed) for seed in seeds.split(",")]
    except ValueError:
        parser.error(f"--seeds takes numbers, such as 0,1,2: not {seeds!r}")
    args.out = args.out or Path("build", "recipes", "quick" if args.quick else "full")
    return args


def run_seeds(args: argparse.Namespace) -> int:
    """The stages of every seed, some seeds at a time, each a process of its own.

    Returns the first exit code that is not 0; no seed is begun after it.
    """
    waiting, failed = list(args.seeds), 0
    running: List[subprocess.Popen[bytes]] = []
    while running or (waiting and not failed):
        while waiting and not failed and len(running) < max(1, args.jobs):
            command = [sys.executable, __file__, "--out", str(args.out), "--no-table"]
            command += ["--seeds", str(waiting.pop(0))] + ["--quick"] * args.quick
            running.append(subprocess.Popen(command))
        process = _ended(running)
        running.remove(process)
        failed = failed or process.returncode
    return failed


def _ended(running: List[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Waits until a process ends: that process."""
    while True:
        for process in running:
            try:
                process.wait(timeout=0.2)
                return process
            except subprocess.TimeoutExpired:
                pass


def run_stages(args: argparse.Namespace) -> int:
    """The stages of one seed, in this process."""
    import torch
    from fashion_mnist import data
    from fashion_mnist.chain import QUICK, Chain, Settings

    torch.set_num_threads(1)
    train, test = data.load()
    settings = QUICK if args.quick else Settings()
    for seed in args.seeds:
        Chain(args.out / f"seed{seed}", seed, settings, train, test).run()
    return 0


def main(arguments: List[str]) -> int:
    """Exit code: 0 good, 1 a stage or --check failed, 2 something is missing."""
    args = parse(arguments)
    try:
        if args.no_table:
            return run_stages(args)
        import torch  # noqa: F401
    except ImportError as error:
        print(f"{error}: pip install 'edgecv[recipes]'", file=sys.stderr)
        return 2
    from fashion_mnist import data, table
    from fashion_mnist.chain import QUICK, Settings

    from edgecv.errors import Error

    try:
        train, test = data.load()
    except Error as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{len(train):,} pictures to train with, {len(test):,} to score; results in {args.out}")
    if run_seeds(args):
        return 1
    test = test.first((QUICK if args.quick else Settings()).test)  # those PyTorch scored, too
    found = table.measure(args.out, args.seeds, test, 2.0 if args.quick else 10.0)
    text = table.markdown(found)
    (args.out / "table.json").write_text(json.dumps(found, indent=1) + "\n")
    (args.out / "table.md").write_text(text)
    print("\n" + text)
    missed = table.failures(found, 3.0 if args.quick else table.MOST_LOST)
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return 1 if args.check and missed else 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main(sys.argv[1:]))
