"""Say which weights of an ONNX model are zero, in which pattern, and what that is worth.

Patterns: whole filters, 1x4 blocks and 2:4 (both along the inputs of a channel), unstructured.

examples:
  edgecv compress look m.onnx
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from edgecv.cli import compress, console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    compress.add_common(parser, output=False)


def run(args: argparse.Namespace) -> int:
    """Looks and prints."""
    from edgecv.compress.look import look

    layers = look(args.model, compress.shapes_of(args))
    if args.json:
        print(json.dumps([asdict(layer) for layer in layers], indent=2))
        return 0
    rows = [
        (
            layer.name,
            "x".join(map(str, layer.shape)),
            f"{100 * layer.zeros:.1f}",
            layer.pattern or "",
            layer.distinct,
            layer.advice,
        )
        for layer in layers
    ]
    header = ("layer", "weights", "% zeros", "pattern", "distinct", "worth")
    console.table("", header, rows, right=(2, 4))
    return 0
