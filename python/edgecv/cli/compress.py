"""Make a float ONNX model smaller before it is converted.

The result is an ONNX model with the same inputs and outputs: fine-tune it in the framework it came
from, or convert it as it is. `edgecv compress HOW --help` explains each way.

examples:
  edgecv compress prune m.onnx -o small.onnx --macs -30%
  edgecv compress prune m.onnx -o small.onnx --target-ms 2.5 --calibrate photos/ \\
      --preprocess resize=256,crop=224,mean=127,std=128
  edgecv compress lowrank m.onnx -o small.onnx --energy 0.98
  edgecv compress share m.onnx -o shared.onnx --bits 4
  edgecv compress sparsify m.onnx -o sparse.onnx --pattern 1x4 --amount 75%
  edgecv compress look m.onnx
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from edgecv.cli.console import Progress, add_commands, table
from edgecv.errors import Error
from edgecv.report_files import FIGURES, check_name

# One line a way: (name, what it does). The module edgecv.cli.compress_<name> has
# add_arguments(parser) and run(args) -> int.
WAYS = (
    ("prune", "remove channels, with all that depends on them"),
    ("lowrank", "replace layers by two or three of lower rank, where faster"),
    ("share", "let the weights of a layer share 16 or 256 values"),
    ("sparsify", "set weights to zero in a pattern, which kernels skip or files do not store"),
    ("look", "say which weights are zero, and in which pattern"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The ways as commands of their own."""
    ways = parser.add_subparsers(dest="way", metavar="HOW", required=True)
    add_commands(ways, "edgecv.cli.compress_", WAYS, "run_way")


def run(args: argparse.Namespace) -> int:
    """Runs one way."""
    if getattr(args, "report", None):
        check_name(args.report)
    if getattr(args, "output", None):
        check_target(args.output, args.model)
        if args.threads < 1:
            raise Error(f"--threads is {args.threads}: it takes 1 or more")
    return int(args.run_way(args))


# What the ways share ------------------------------------------------------------------------------


def add_common(parser: argparse.ArgumentParser, output: bool = True) -> None:
    """The model, where the result goes, and how it is measured."""
    parser.add_argument("model", help="float ONNX file, opset 9 or newer")
    if output:
        parser.add_argument("-o", "--output", required=True, help="the ONNX file to write")
        parser.add_argument(
            "--keep", action="append", default=[], metavar="NODE",
            help="a node (wildcards allowed) to leave as it is; may be given again",
        )  # fmt: skip
        parser.add_argument(
            "--measure",
            action="store_true",
            help="convert the model before and after to int8, and time both in turn",
        )
        parser.add_argument(
            "--report",
            metavar="FILE",
            help="measure, and save the report layer by layer: .json or .html",
        )
        parser.add_argument(
            "--calibrate", metavar="DIR|FILE",
            help="calibration pictures or arrays for the int8 files (default: generated data)",
        )  # fmt: skip
        parser.add_argument("--preprocess", metavar="SPEC", help="as `edgecv convert` takes it")
        parser.add_argument("--threads", type=int, default=1, help="for timing (default: 1)")
    parser.add_argument(
        "--input-shape", action="append", default=[], metavar="NAME=1,3,224,224",
        help="shape of an input with symbolic dims",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def shapes_of(args: argparse.Namespace) -> Optional[Dict[str, List[int]]]:
    """--input-shape as a mapping."""
    from edgecv.cli.convert import parse_shapes

    return parse_shapes(args.input_shape) or None


def check_target(path: str, source: str) -> None:
    """Refuses, before long work, a file that cannot be written."""
    target = Path(path)
    if target.exists() and Path(source).exists() and target.samefile(source):
        raise Error(f"{path}: is the model itself, give another name for the result")
    if target.is_dir() or not target.absolute().parent.is_dir():
        raise Error(f"{path}: is a folder, or in one that is not there")


def write_model(path: str, proto: Any) -> None:
    """Writes the result, whole or not at all."""
    target = Path(path)
    part = target.with_name(target.name + ".part")
    try:
        part.write_bytes(proto.SerializeToString(deterministic=True))
        part.replace(target)
    except OSError as cause:
        part.unlink(missing_ok=True)
        raise Error(f"{path}: cannot write here ({cause.strerror})") from cause


def share_of(text: str, option: str, example: str = "-30%") -> float:
    """ "-30%", "30%" or "0.3" as 0.3; an error shows the example."""
    number = text[:-1] if text.endswith("%") else text
    try:
        value = abs(float(number)) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise Error(f"{option} {text!r}: write it as {example}")
    return value


def measured(args: argparse.Namespace, proto: Any, report: Any) -> Optional[Dict[str, Any]]:
    """With --measure or --report, converts before and after and times both in turn.

    Returns the totals; saves the report.
    """
    if not (args.measure or args.report):
        return None
    from edgecv.compress.measure import convert_for_timing, interleave
    from edgecv.report_files import save_comparison, totals

    files, reports = [], []
    with Progress() as progress:
        for name, model in (("before", args.model), ("after", proto)):
            progress(f"convert ({name})", 0, 1)
            blob, conversion = convert_for_timing(
                model, args.calibrate, shapes_of(args),
                preprocess=args.preprocess, progress=progress,
            )  # fmt: skip
            conversion.measure(blob, threads=args.threads)
            files.append(blob)
            reports.append(conversion)
    for conversion, timing in zip(reports, interleave(files, threads=args.threads)):
        assert conversion.measured is not None
        conversion.measured.ms = timing.ms
        conversion.measured.median_ms = timing.median_ms
    before, after = reports
    before.path, after.path = "before.ecv", "after.ecv"
    if args.report:
        facts = [("", line) for line in str(report).splitlines()]
        title = f"edgecv compress {args.way} {Path(args.model).name}"
        save_comparison(args.report, title, facts, report.to_dict(), before, after)
    return totals(before, after)


def finish(
    args: argparse.Namespace,
    proto: Any,
    report: Any,
    header: Sequence[str],
    rows: Sequence[Sequence[Any]],
    right: Sequence[int],
) -> int:
    """Measures where asked to, writes the model, prints the report; the end of every way."""
    figures = measured(args, proto, report)
    write_model(args.output, proto)
    if args.json:
        print(json.dumps({**report.to_dict(), "measured": figures}, indent=2))
        return 0
    table("", header, rows, right=right)
    print(report)
    print_measured(figures)
    return 0


def print_measured(figures: Optional[Dict[str, Any]]) -> None:
    """The figures before and after, with ratios."""
    if figures is None:
        return
    before, after = figures["before"], figures["after"]
    rows = []
    for key, what, form in FIGURES:
        change = 100 * (after[key] / before[key] - 1)
        rows.append((what, form.format(before[key]), form.format(after[key]), f"{change:+.1f}%"))
    table("", ("measured here", "before", "after", "change"), rows, right=(1, 2, 3))
