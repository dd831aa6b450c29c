"""Set weights of an ONNX model to zero, in a pattern that kernels or files gain from.

Patterns: 1x4 takes blocks of four inputs side by side of pointwise and fully connected layers,
which the int8 kernels of x86 skip where that is faster; 2:4 and unstructured gain at most a smaller
file. Accuracy drops until the result is fine-tuned, with the zeros held at zero; with --calibrate
and --make-up less is lost.

examples:
  edgecv compress sparsify m.onnx -o sparse.onnx --pattern 1x4 --amount 75% --measure
  edgecv compress sparsify m.onnx -o sparse.onnx --amount 50% --make-up --calibrate samples.npz
"""

from __future__ import annotations

import argparse

from edgecv.cli import compress, console
from edgecv.errors import Error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    compress.add_common(parser)
    parser.add_argument(
        "--pattern",
        default="1x4",
        choices=("1x4", "2:4", "unstructured"),
        help="which weights go together (default: 1x4)",
    )
    parser.add_argument(
        "--amount",
        metavar="75%",
        help="share of each layer's weights that becomes zero (default: 75%%); 2:4 takes half",
    )
    parser.add_argument(
        "--make-up",
        action="store_true",
        help="let the weights that stay make up for those that go (needs --calibrate)",
    )


def run(args: argparse.Namespace) -> int:
    """Sets to zero, writes and reports."""
    from edgecv.compress.compensate import observe
    from edgecv.compress.sparsify import sparsify

    if args.make_up and not args.calibrate:
        raise Error("--make-up needs --calibrate")
    default = "50%" if args.pattern == "2:4" else "75%"
    amount = compress.share_of(default if args.amount is None else args.amount, "--amount", "75%")
    if args.pattern == "2:4" and amount != 0.5:
        raise Error(f"--amount {args.amount!r}: --pattern 2:4 takes half of the weights")
    seen = None
    if args.calibrate:
        with console.Progress() as progress:
            seen = observe(
                args.model, args.calibrate, args.preprocess, compress.shapes_of(args), progress
            )
    proto, report = sparsify(
        args.model, pattern=args.pattern, amount=amount, seen=seen, make_up=args.make_up,
        keep=args.keep, input_shapes=compress.shapes_of(args),
    )  # fmt: skip
    rows = [
        (
            layer.name,
            "x".join(map(str, layer.shape)),
            f"{100 * layer.zeros_before:.1f}",
            f"{100 * layer.zeros:.1f}",
            "" if layer.error is None else f"{100 * layer.error:.1f}",
            layer.why or "sparse",
        )
        for layer in report.layers
    ]
    header = ("layer", "weights", "% zeros before", "after", "% error", "result")
    return compress.finish(args, proto, report, header, rows, (2, 3, 4))
