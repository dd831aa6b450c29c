"""Find what int8 costs a float model, say why, and search a plan that costs less.

Half of the calibration data fits, the other half checks, and the other way round: layer by layer
SQNR, the error that each layer makes alone, and causes in words. With --fix a ladder of changes is
climbed, each kept only where it surely brings answers closer to the float model's on pictures that
did not fit, and the model takes at most 1.05 times the time of the default conversion. The plan
that is found is a text file for `edgecv convert --plan`. Measurements are kept in the --state
folder: a run that was interrupted goes on where it stopped. docs/doctor.md explains every rule and
step.

examples:
  edgecv doctor m.onnx --calibrate photos/ --preprocess imagenet
  edgecv doctor m.onnx --calibrate samples.npz --fix -o m.ecv
  edgecv doctor m.onnx --calibrate photos/ --preprocess imagenet --fix --max-drop 3 \\
      --eval val/ --labels val.tsv -o m.ecv

Exit code 1: --max-drop or --max-ms was asked for and not reached.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Dict, FrozenSet, List, Optional, Tuple

from edgecv.cli import console
from edgecv.cli.convert import parse_shapes
from edgecv.cli.eval import read_truth
from edgecv.errors import Error

if TYPE_CHECKING:
    from edgecv.doctor.doctor import Doctor, Evaluation, Report
    from edgecv.preprocess import Preprocess
    from edgecv.quant.plan import Plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("model", help="float ONNX file, opset 9 or newer")
    parser.add_argument(
        "--calibrate", required=True, metavar="DIR|FILE", help="calibration pictures or arrays"
    )
    parser.add_argument("--preprocess", metavar="SPEC", help="as of `edgecv convert`")
    parser.add_argument("--plan", metavar="FILE", help="the plan to begin with")
    parser.add_argument(
        "--method",
        choices=("auto", "minmax", "percentile", "kl", "mse"),
        help="begin with ranges by this method",
    )
    parser.add_argument("--percent", type=float, help="of --method percentile")
    parser.add_argument("--fix", action="store_true", help="search a better plan")
    parser.add_argument("-o", "--output", help="the .ecv file to write by the plan found")
    parser.add_argument(
        "--max-drop",
        type=float,
        metavar="PERCENT",
        help="stop when at most this share of labels differs from the float model's (of models "
        "without classes: this error)",
    )
    parser.add_argument("--max-ms", type=float, metavar="MS", help="on this machine, one thread")
    parser.add_argument(
        "--max-slowdown",
        type=float,
        default=1.05,
        metavar="RATIO",
        help="most time of the default conversion's (default: 1.05)",
    )
    parser.add_argument(
        "--speed", action="store_true", help="then spend up to a tenth more error on larger lane "
        "groups, which are faster",
    )  # fmt: skip
    parser.add_argument("--eval", metavar="DIR|FILE", help="more pictures, for before and after")
    parser.add_argument("--labels", metavar="FILE", help="of --eval, as of `edgecv eval`")
    parser.add_argument(
        "--agreement",
        action="store_true",
        help="--fix keeps what brings more labels to agree with the float model's, and judges by "
        "errors only where as many agree",
    )
    parser.add_argument(
        "--state", metavar="DIR", help="folder of measurements and reports (default: NAME.doctor)"
    )
    parser.add_argument(
        "--input-shape", action="append", default=[], metavar="NAME=1,3,224,224",
        help="shape of an input with symbolic dims",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


class Told(console.Progress):
    """Progress with the time that is left; on stderr that is no terminal, a line now and then."""

    _EVERY = 15.0

    def __init__(self) -> None:
        super().__init__()
        self._told = time.monotonic()
        self._began: Dict[str, Tuple[float, int]] = {}
        self._last: Dict[str, int] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Shows that ``done`` of ``total`` steps of ``what`` are over."""
        super().__call__(what, done, total)
        now = time.monotonic()
        stage = what.split(":")[0]  # stages that others interrupt go on
        if done <= self._last.get(stage, done):
            self._began[stage] = now, done  # a new one, or the same once more
        self._last[stage] = done
        if not sys.stderr.isatty() and now - self._told > self._EVERY:
            since, first = self._began[stage]
            left = (now - since) / (done - first) * (total - done) if done > first else None
            words = "" if left is None else f", about {left:.0f} s left"
            print(f"{what} {done}/{total}{words}", file=sys.stderr, flush=True)
            self._told = now


def run(args: argparse.Namespace) -> int:
    """Examines and prints."""
    from edgecv.convert import check_target
    from edgecv.doctor.doctor import Doctor
    from edgecv.doctor.ladder import Limits
    from edgecv.preprocess import Preprocess

    start = _start(args)
    if args.output and not args.fix:
        raise Error("-o writes the file of the plan that --fix finds: give --fix as well")
    if args.speed and not args.fix:
        raise Error("--speed spends what --fix gains: give --fix as well")
    if args.agreement and not args.fix:
        raise Error("--agreement is how --fix judges: give --fix as well")
    if args.labels and not args.eval:
        raise Error("--labels is of --eval: give its pictures as well")
    if not args.max_slowdown > 0 or (args.max_ms is not None and not args.max_ms > 0):
        raise Error("--max-slowdown and --max-ms take numbers above 0")
    if args.max_drop is not None and not args.max_drop >= 0:
        raise Error(f"--max-drop is {args.max_drop}: it takes 0 or more")
    if args.output:
        check_target(Path(args.output), args.model)
    preprocess = None if args.preprocess is None else Preprocess.parse(args.preprocess)
    folder = Path(args.state) if args.state else _folder(args)
    with console.Progress() if sys.stderr.isatty() else Told() as progress:
        doctor = Doctor(
            args.model, args.calibrate, preprocess=preprocess,
            input_shapes=parse_shapes(args.input_shape) or None,
            start=start, folder=folder, progress=progress,
        )  # fmt: skip
        evaluation = _evaluation(args, doctor, preprocess)
        limits = Limits(args.max_slowdown, args.max_ms, args.max_drop, args.speed, args.agreement)
        report = doctor.examine(args.fix, limits, evaluation)
        files = _write(report, folder, args, preprocess, doctor)
    if args.json:
        print(report.to_json())
    else:
        _print(report)
        for file in files:
            print(f"wrote {file}")
        if not report.reached:
            print("--max-drop or --max-ms: what was asked for was not reached", file=sys.stderr)
    return 0 if report.reached else 1


def _start(args: argparse.Namespace) -> Plan:
    from edgecv.quant.plan import Plan, load

    if args.plan and (args.method or args.percent is not None):
        raise Error("give either --plan or --method and --percent")
    if args.plan:
        return load(Path(args.plan))
    plan = Plan()
    if args.method:
        plan = replace(plan, method=args.method)
    if args.percent is not None:
        if args.method != "percentile":
            raise Error("--percent is of --method percentile")
        plan = replace(plan, percent=args.percent)
    return plan.check()


def _folder(args: argparse.Namespace) -> Path:
    target = Path(args.output) if args.output else Path(Path(args.model).name)
    return target.with_suffix(".doctor")


def _evaluation(
    args: argparse.Namespace, doctor: Doctor, preprocess: Optional[Preprocess]
) -> Optional[Evaluation]:
    from edgecv.doctor.doctor import Evaluation
    from edgecv.images import list_images
    from edgecv.quant.data import CalibrationSet

    if not args.eval:
        return None
    samples = list(CalibrationSet(args.eval, doctor.graph.inputs, preprocess))
    accepted: Optional[List[FrozenSet[int]]] = None
    if args.labels:
        truth = read_truth(args.labels)
        if not Path(args.eval).is_dir() or len(next(iter(samples[0].values()))) != 1:
            raise Error("--labels is for a folder of pictures and a model of batch 1")
        names = [path.relative_to(args.eval).as_posix() for path in list_images(args.eval)]
        missing = [name for name in names if name not in truth]
        if missing:
            raise Error(f"{args.labels}: no label for {len(missing)} pictures, first {missing[0]}")
        accepted = [truth[name] for name in names]
    return Evaluation(samples, accepted)


def _write(
    report: Report,
    folder: Path,
    args: argparse.Namespace,
    preprocess: Optional[Preprocess],
    doctor: Doctor,
) -> List[Path]:
    from edgecv.convert import convert
    from edgecv.doctor import page

    stem = Path(args.model).stem
    files = [folder / "report.json", folder / "report.html"]
    files[0].write_text(report.to_json() + "\n", encoding="utf-8")
    files[1].write_text(page.html(report), encoding="utf-8")
    if report.rows:
        files.append(folder / f"{stem}.plan")
        comment = (
            f"# chosen by edgecv doctor: error {100 * report.proofs[-1].score.error:.2f}% on "
            f"{report.pictures} pictures\n"
        )
        files[-1].write_text(comment + report.plan.to_text(), encoding="utf-8")
        files.append(folder / "pareto.svg")
        files[-1].write_text(page.svg(report.rows) + "\n", encoding="utf-8")
        if page.write_png(folder / "pareto.png", report.rows):
            files.append(folder / "pareto.png")
    if args.output:
        convert(
            args.model, args.output, doctor.samples, preprocess=preprocess,
            plan=folder / f"{stem}.plan", cache=doctor.weights_folder,
            input_shapes=parse_shapes(args.input_shape) or None, progress=doctor.progress,
        )  # fmt: skip
        files.append(Path(args.output))
    return files


def _print(report: Report) -> None:
    from edgecv.doctor import page

    console.table("", page.LAYER_HEADER, page.layer_rows(report), right=(2, 3, 4, 5))
    print("\ncauses")
    for line in page.finding_lines(report):
        print(f"  {line}")
    print()
    if report.rows:
        console.table(
            "candidates", page.CANDIDATE_HEADER, page.candidate_rows(report.rows), (2, 3, 4, 5)
        )
        print()
    console.table(
        "before and after", page.PROOF_HEADER, page.proof_rows(report.proofs), (1, 2, 3, 4)
    )
    print(f"({page.how_checked(report)})")
