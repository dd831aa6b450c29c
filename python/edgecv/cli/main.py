"""Entry point of the ``edgecv`` command.

Exit codes: 0 good, 1 the check failed, 2 usage or bad input with one clear line on stderr.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from typing import List, Optional

from edgecv import __version__
from edgecv.cli.console import add_commands
from edgecv.errors import Error

# One line a command: (name, what it does). The module edgecv.cli.<name> has add_arguments(parser)
# and run(args) -> int.
COMMANDS = (
    ("convert", "turn an ONNX or TFLite model into an .ecv file, int8 when calibrated"),
    ("compress", "make a float ONNX model smaller: prune, factor, share or zero its weights"),
    ("doctor", "find what int8 costs a model, why, and a plan that costs less"),
    ("export-qdq", "write an int8 model as ONNX QDQ for other runtimes"),
    ("run", "run a model on a picture and print the labels"),
    ("inspect", "show what is in an .ecv file, and the plan for this machine"),
    ("verify", "prove that this machine computes what the file says"),
    ("bench", "measure latency, whole or per layer"),
    ("eval", "measure accuracy and agreement on labelled pictures"),
    ("info", "show version, CPU, instruction sets and kernels"),
    ("zoo", "build a real ONNX model from weights in public packages"),
    ("demo", "do it all once: zoo, convert, run on photographs"),
)

_BAD_INPUT = 2


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="edgecv",
        description="Convert, run, check and measure computer-vision models on edge devices.",
        epilog="`edgecv COMMAND --help` explains a command, with examples.",
    )
    top.add_argument("--version", action="version", version=f"edgecv {__version__}")
    top.add_argument("-v", "--verbose", action="store_true", help="log what happens to stderr")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    add_commands(commands, "edgecv.cli.", COMMANDS, "run")
    return top


def main(argv: Optional[List[str]] = None) -> int:
    """Runs one command and returns its exit code."""
    args = parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO if args.verbose else logging.WARNING, format="%(levelname)s: %(message)s"
    )
    try:
        return int(args.run(args))
    except Error as error:
        print(f"edgecv {args.command}: {error}", file=sys.stderr)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError) as error:
        print(f"edgecv {args.command}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"edgecv {args.command}: interrupted", file=sys.stderr)
        return 130
    except ImportError as error:
        print(
            f"edgecv {args.command}: {error.name or error} is not installed: "
            "pip install 'edgecv[convert]'",
            file=sys.stderr,
        )
    return _BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
