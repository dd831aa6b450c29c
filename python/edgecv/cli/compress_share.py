"""Let the weights of a layer share 16 or 256 values, chosen by k-means.

Weights are replaced by the nearest value of a codebook; the ONNX file stays as large, what becomes
smaller is a format that stores indices: convert the result with --storage smallest. Rounding to
integers keeps weights equal that are.

examples:
  edgecv compress share m.onnx -o shared.onnx --bits 4
  edgecv compress share m.onnx -o shared.onnx --bits 8 --per layer --keep 'head/*'
"""

from __future__ import annotations

import argparse

from edgecv.cli import compress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    compress.add_common(parser)
    parser.add_argument(
        "--bits", type=int, default=4, choices=(4, 8), help="of an index (default: 4)"
    )
    parser.add_argument(
        "--per",
        default="channel",
        choices=("channel", "layer"),
        help="what has a codebook of its own (default: channel)",
    )


def run(args: argparse.Namespace) -> int:
    """Shares, writes and reports."""
    from edgecv.compress.share import share

    proto, report = share(
        args.model, bits=args.bits, per=args.per, keep=args.keep,
        input_shapes=compress.shapes_of(args),
    )  # fmt: skip
    rows = [
        (
            layer.name,
            "x".join(map(str, layer.shape)),
            layer.codebooks,
            layer.values,
            "" if layer.sqnr_db is None else f"{layer.sqnr_db:.1f}",
            layer.why or "shared",
        )
        for layer in report.layers
    ]
    header = ("layer", "weights", "codebooks", "values", "SQNR dB", "result")
    return compress.finish(args, proto, report, header, rows, (2, 3, 4))
