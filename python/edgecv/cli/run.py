"""Run a model on a picture and print the most likely labels.

The picture goes through the pre-processing stored in the file.

examples:
  edgecv run m.ecv cat.jpg
  edgecv run m.ecv cat.jpg --labels names.txt --top 3 --json
"""

from __future__ import annotations

import argparse
import json
import time
from typing import List, Optional, Sequence

import numpy as np

from edgecv.cli import console
from edgecv.errors import Error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("model", help=".ecv file")
    parser.add_argument("image", help="a picture file")
    parser.add_argument(
        "--labels", metavar="FILE", help="class names, one a line (default: the file's own)"
    )
    parser.add_argument("--top", type=int, default=5, help="how many labels to print (default: 5)")
    parser.add_argument("--threads", type=int, help="threads to run with (default: all allowed)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def label_of(labels: Optional[Sequence[str]], index: int) -> str:
    """The name of a class, or its number."""
    return labels[index] if labels and index < len(labels) else f"class {index}"


def run(args: argparse.Namespace) -> int:
    """Runs once and prints labels, or the outputs' shapes where they are no scores."""
    import edgecv
    from edgecv.cli.convert import read_labels

    if args.top < 1:
        raise Error("--top takes a number of at least 1")
    with edgecv.load(args.model, threads=args.threads) as model:
        labels = read_labels(args.labels) if args.labels else model.labels
        start = time.perf_counter()
        outputs = model.run_image(args.image)
        elapsed = (time.perf_counter() - start) * 1e3
    scores = next(iter(outputs.values()))
    if len(outputs) != 1 or scores.size != scores.shape[-1]:
        rows = [
            (
                name,
                "x".join(map(str, y.shape)),
                f"{y.min():.6g}",
                f"{y.max():.6g}",
                f"{y.mean():.6g}",
            )
            for name, y in outputs.items()
        ]
        if args.json:
            print(json.dumps({"outputs": {name: y.tolist() for name, y in outputs.items()}}))
        else:
            console.table("", ("output", "shape", "min", "max", "mean"), rows, right=(2, 3, 4))
        return 0
    flat = scores.ravel().astype(np.float64)
    top: List[int] = [int(i) for i in np.argsort(-flat, kind="stable")[: args.top]]
    if args.json:
        found = [{"index": i, "label": label_of(labels, i), "score": float(flat[i])} for i in top]
        print(json.dumps({"top": found, "milliseconds": elapsed}))
        return 0
    for i in top:
        print(f"{flat[i]:9.4f}  {label_of(labels, i)}")
    return 0
