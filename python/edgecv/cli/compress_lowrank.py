"""Replace layers of an ONNX model by two or three of lower rank, where that is faster.

1x1 and fully connected layers are split by their singular values; k x k ones into a column and a
row (spatial), or into 1x1, k x k and 1x1 (Tucker-2), whichever is predicted faster. The rank is the
smallest that keeps --energy of the squared singular values. A layer whose factors would not be
faster stays as it is; --time-layers measures that on this machine instead of predicting it.

examples:
  edgecv compress lowrank m.onnx -o small.onnx --energy 0.98
  edgecv compress lowrank m.onnx -o small.onnx --energy 0.95 --time-layers --measure
  edgecv compress lowrank m.onnx -o small.onnx --method tucker --keep 'head/*'
"""

from __future__ import annotations

import argparse

from edgecv.cli import compress, console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    compress.add_common(parser)
    parser.add_argument(
        "--energy", type=float, default=0.99, help="share of the energy that stays (default: 0.99)"
    )
    parser.add_argument(
        "--method",
        action="append",
        choices=("svd", "spatial", "tucker"),
        help="allow this form; may be given again (default: all)",
    )
    parser.add_argument(
        "--snap", type=int, default=8, help="round ranks up to multiples of it (default: 8)"
    )
    parser.add_argument(
        "--time-layers", action="store_true", help="decide by measured time, not by prediction"
    )
    parser.add_argument(
        "--always", action="store_true", help="factor layers that do not become faster, too"
    )


def run(args: argparse.Namespace) -> int:
    """Factors, writes and reports."""
    from edgecv.compress.lowrank import METHODS, factorize

    with console.Progress() as progress:
        proto, report = factorize(
            args.model, energy=args.energy, methods=args.method or METHODS, snap=args.snap,
            keep=args.keep, measure=args.time_layers, threads=args.threads, always=args.always,
            input_shapes=compress.shapes_of(args), progress=progress,
        )  # fmt: skip
    rows = [
        (
            layer.name,
            "x".join(map(str, layer.shape)),
            layer.method or "",
            "x".join(map(str, layer.ranks)),
            "" if layer.why else f"{layer.error:.4f}",
            "" if layer.predicted is None else f"{layer.predicted:.2f}",
            "" if layer.measured is None else f"{layer.measured:.2f}",
            layer.why or "factored",
        )
        for layer in report.layers
    ]
    header = ("layer", "weights", "form", "rank", "error", "predicted", "measured", "result")
    return compress.finish(args, proto, report, header, rows, (3, 4, 5, 6))
