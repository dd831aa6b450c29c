"""Prove that this machine computes what the file says.

Runs the golden inputs stored in the file and compares digests; the first op and kernel that differ
are named. Exit code 0: PASS, 1: FAIL, 2: the file cannot be read.

example:
  edgecv verify m.ecv
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("model", help=".ecv file")
    parser.add_argument("--threads", type=int, help="threads to run with (default: all allowed)")
    parser.add_argument("--isa", help="force an instruction set, e.g. reference")


def run(args: argparse.Namespace) -> int:
    """Verifies and prints one line."""
    import edgecv

    with edgecv.load(args.model, threads=args.threads, isa=args.isa) as model:
        report = model.verify()
    print(report)
    return 0 if report.passed else 1
