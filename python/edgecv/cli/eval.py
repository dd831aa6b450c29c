"""Measure accuracy and agreement on labelled pictures.

--labels is a text file with one picture a line: its name within --images, a tab, and the accepted
class numbers separated by commas. Without it, only agreement with --against is measured. --against
runs the float ONNX model in onnxruntime on the same pixels.

examples:
  edgecv eval m.ecv --images val/ --labels val.tsv
  edgecv eval m.ecv --images val/ --labels val.tsv --against m.onnx
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Dict, FrozenSet, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.cli import console
from edgecv.errors import Error

Labels = Optional[FrozenSet[int]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("model", help=".ecv file")
    parser.add_argument("--images", required=True, metavar="DIR", help="folder of pictures")
    parser.add_argument("--labels", metavar="FILE", help="picture TAB class[,class...] a line")
    parser.add_argument("--against", metavar="M.onnx", help="float model to compare with")
    parser.add_argument("--threads", type=int, help="threads to run with (default: all allowed)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def read_truth(path: str) -> Dict[str, FrozenSet[int]]:
    """Picture name -> accepted classes."""
    truth: Dict[str, FrozenSet[int]] = {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as cause:
        raise Error(f"{path}: cannot read the labels ({cause})") from cause
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, classes = line.partition("\t")
        try:
            truth[name] = frozenset(int(c) for c in classes.split("\t")[0].split(","))
        except ValueError as cause:
            raise Error(
                f"{path}, line {number}: write the picture's name, a tab, and class numbers "
                "separated by commas"
            ) from cause
    return truth


@dataclass
class Score:
    """Counts over n pictures; flips are pictures right before and wrong after, and the other
    way.
    """

    n: int = 0
    labelled: int = 0
    top1: int = 0
    top5: int = 0
    reference_top1: int = 0
    agree: int = 0
    lost: int = 0
    won: int = 0

    def count(
        self, scores: NDArray[Any], accepted: Labels, reference: Optional[NDArray[Any]]
    ) -> None:
        """Adds one picture."""
        order = np.argsort(-scores.ravel(), kind="stable")[:5]
        best = int(order[0])
        self.n += 1
        right = accepted is not None and best in accepted
        if accepted is not None:
            self.labelled += 1
            self.top1 += right
            self.top5 += any(int(i) in accepted for i in order)
        if reference is not None:
            wanted = int(np.argmax(reference))
            self.agree += best == wanted
            if accepted is not None:
                before = wanted in accepted
                self.reference_top1 += before
                self.lost += before and not right
                self.won += right and not before


def _reference(path: str) -> Callable[[NDArray[Any]], NDArray[Any]]:
    import onnx
    import onnxruntime

    if not Path(path).is_file():
        raise Error(f"{path}: no such ONNX file")
    try:
        proto = onnx.load(path)
        # onnx may be newer than onnxruntime; the container's version says nothing about the ops.
        proto.ir_version = min(proto.ir_version, 10)
        session = onnxruntime.InferenceSession(
            proto.SerializeToString(), providers=["CPUExecutionProvider"]
        )
    except Exception as cause:
        reason = (str(cause).splitlines() or [type(cause).__name__])[0]
        raise Error(f"{path}: onnxruntime cannot load it ({reason})") from cause
    names = [port.name for port in session.get_inputs()]
    if len(names) != 1:
        raise Error(f"{path}: the model to compare with takes one picture, not {len(names)} inputs")

    def scores(x: NDArray[Any]) -> NDArray[Any]:
        try:
            return np.asarray(session.run(None, {names[0]: x})[0])
        except Exception as cause:
            reason = (str(cause).splitlines() or [type(cause).__name__])[0]
            raise Error(
                f"{path}: does not take the pictures of the .ecv file ({reason})"
            ) from cause

    return scores


def _pictures(folder: str, truth: Optional[Dict[str, FrozenSet[int]]]) -> List[Tuple[Path, Labels]]:
    from edgecv.images import list_images

    if truth is None:
        return [(path, None) for path in list_images(folder)]
    missing = [name for name in truth if not (Path(folder) / name).is_file()]
    if missing:
        raise Error(
            f"{folder}: {len(missing)} pictures of the label file are not there, "
            f"first {missing[0]!r}"
        )
    return [(Path(folder) / name, classes) for name, classes in truth.items()]


def run(args: argparse.Namespace) -> int:
    """Evaluates and prints counts."""
    import edgecv
    from edgecv.images import read_image

    truth = read_truth(args.labels) if args.labels else None
    if truth is None and args.against is None:
        raise Error("nothing to compare with: give --labels, --against or both")
    pictures = _pictures(args.images, truth)
    if not pictures:
        raise Error(f"{args.labels}: the file names no picture")
    score = Score()
    with edgecv.load(args.model, threads=args.threads) as model, console.Progress() as progress:
        reference = _reference(args.against) if args.against else None
        for done, (path, accepted) in enumerate(pictures, 1):
            image = read_image(path)
            scores = next(iter(model.run_image(image).values()))
            expected = reference(model.preprocess_image(image)) if reference else None
            if expected is not None and expected.size != scores.size:
                raise Error(
                    f"{args.against}: gives {expected.size} scores, the .ecv file {scores.size}"
                )
            wrong = [c for c in accepted or () if not 0 <= c < scores.size]
            if wrong:
                raise Error(f"{path.name}: class {wrong[0]} is none of the {scores.size} scores")
            score.count(scores, accepted, expected)
            progress("evaluate", done, len(pictures))
    if args.json:
        print(json.dumps(asdict(score)))
        return 0

    def share(count: int, n: int) -> str:
        return f"{count} of {n} ({100.0 * count / n:.1f}%)"

    print(f"pictures         {score.n}")
    if score.labelled:
        print(f"top-1            {share(score.top1, score.labelled)}")
        print(f"top-5            {share(score.top5, score.labelled)}")
    if reference is not None:
        print(f"label agreement  {share(score.agree, score.n)} with {args.against}")
        if score.labelled:
            print(f"float top-1      {share(score.reference_top1, score.labelled)}")
            print(f"flips            {score.lost} lost, {score.won} won")
    return 0
