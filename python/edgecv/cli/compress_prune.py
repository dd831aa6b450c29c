"""Remove channels from an ONNX model, with all that depends on them.

Channels that must stay at the same place (residual sums, depthwise filters, squeeze and excitation)
go together. --macs and --channels take the same share everywhere; --target-ms times the layers on
this machine and takes channels where they cost the most time for the least importance, as --by-time
does for --macs. Counts of channels are rounded to what the kernels like (--snap).

Accuracy drops until the result is fine-tuned. Importance by magnitude (l1, l2, bn-scale) needs
nothing else; taylor takes gradients of the loss, a .npz of arrays called as the initializers. With
--make-up, the layers that read a removed channel make up for it as far as the channels that stay
predict it on the calibration data; less is lost, and fine-tuning has less to do.

examples:
  edgecv compress prune m.onnx -o small.onnx --macs -30%
  edgecv compress prune m.onnx -o small.onnx --macs -30% --by-time --measure
  edgecv compress prune m.onnx -o small.onnx --target-ms 2.5 --calibrate photos/ \\
      --preprocess resize=256,crop=224,mean=127,std=128
  edgecv compress prune m.onnx -o small.onnx --macs -10% --make-up --calibrate samples.npz
  edgecv compress prune m.onnx -o small.onnx --channels -25% --importance taylor \\
      --gradients gradients.npz --keep 'head/*'
"""

from __future__ import annotations

import argparse
import re
from typing import Any, Dict

from edgecv.cli import compress, console
from edgecv.errors import Error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    compress.add_common(parser)
    # argparse takes what looks like a negative number for a value; -30% shall be one, too.
    parser._negative_number_matcher = re.compile(r"^-\d*\.?\d+%?$")
    much = parser.add_mutually_exclusive_group(required=True)
    much.add_argument("--macs", metavar="-30%", help="multiply-accumulates that go")
    much.add_argument("--channels", metavar="-25%", help="channels of every group that go")
    much.add_argument("--target-ms", type=float, metavar="MS", help="time of a run to reach")
    parser.add_argument(
        "--by-time", action="store_true", help="with --macs: choose by measured time"
    )
    parser.add_argument(
        "--greedy",
        action="store_true",
        help="with --macs: not the same share everywhere, but where the most work goes for the "
        "least importance (the default with --make-up)",
    )
    parser.add_argument(
        "--importance",
        choices=("l1", "l2", "bn-scale", "taylor", "output"),
        help="which channels go first (default: l2, with --make-up output)",
    )
    parser.add_argument(
        "--make-up",
        action="store_true",
        help="let the layers that read a removed channel make up for it (needs --calibrate)",
    )
    parser.add_argument("--gradients", metavar="FILE.npz", help="for --importance taylor")
    parser.add_argument(
        "--snap",
        type=int,
        metavar="N",
        help="round counts of channels to multiples of N (default: 8, from 64 channels on 16)",
    )


def run(args: argparse.Namespace) -> int:
    """Prunes, writes and reports."""
    from edgecv.compress.compensate import observe
    from edgecv.compress.latency import prune_by_latency
    from edgecv.compress.prune import prune

    if args.by_time and args.macs is None:
        raise Error("--by-time goes with --macs")
    if (args.make_up or args.importance == "output") and not args.calibrate:
        raise Error("--make-up and --importance output need --calibrate")
    seen = None
    if args.make_up or args.importance == "output":
        with console.Progress() as progress:
            seen = observe(
                args.model, args.calibrate, args.preprocess, compress.shapes_of(args), progress
            )
    options: Dict[str, Any] = {
        "importance": args.importance or ("output" if args.make_up else "l2"),
        "seen": seen,
        "gradients": _gradients(args.gradients) if args.gradients else None,
        "snap": args.snap,
        "keep": args.keep,
        "input_shapes": compress.shapes_of(args),
    }
    macs = compress.share_of(args.macs, "--macs") if args.macs else None
    if args.by_time or args.target_ms is not None:
        with console.Progress() as progress:
            more = {"preprocess": args.preprocess, "progress": progress}
            proto, report = prune_by_latency(
                args.model, target_ms=args.target_ms, macs=macs, calibration=args.calibrate,
                threads=args.threads, convert_options=more, **options,
            )  # fmt: skip
    else:
        share = compress.share_of(args.channels, "--channels") if args.channels else None
        greedy = args.greedy or (args.make_up and macs is not None)
        proto, report = prune(args.model, macs=macs, share=share, greedy=greedy, **options)
    rows = [(group.name, group.channels, group.kept) for group in report.groups]
    return compress.finish(args, proto, report, ("group of", "channels", "kept"), rows, (1, 2))


def _gradients(path: str) -> Dict[str, Any]:
    import numpy as np

    try:
        with np.load(path) as arrays:
            return dict(arrays)
    except (OSError, ValueError) as cause:
        raise Error(f"{path}: is not a .npz file of arrays ({cause})") from cause
