"""Turn an ONNX model into an .ecv file.

With --calibrate the file is int8: give a folder of pictures that look like what the camera will see
(64 or more), or a .npz/.npy file with samples along axis 0. Without it the file is fp32.

examples:
  edgecv convert m.onnx -o m.ecv --calibrate photos/ \\
      --preprocess resize=256,crop=224,mean=127,std=128
  edgecv convert m.onnx -o m.ecv --calibrate samples.npz --method mse \\
      --keep-float Softmax --keep-float 'head/*'
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Dict, List

from edgecv.cli import console
from edgecv.errors import Error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("model", help="ONNX file, opset 9 or newer")
    parser.add_argument("-o", "--output", required=True, help="the .ecv file to write")
    parser.add_argument("--calibrate", metavar="DIR|FILE", help="calibration pictures or arrays")
    parser.add_argument(
        "--preprocess",
        metavar="SPEC",
        help="how a picture becomes the input, e.g. resize=256,crop=224,mean=127,std=128,order=rgb",
    )
    parser.add_argument(
        "--method",
        default="minmax",
        choices=("minmax", "percentile", "kl", "mse"),
        help="how activation ranges are chosen (default: minmax)",
    )
    parser.add_argument(
        "--percent",
        type=float,
        default=99.99,
        help="what --method percentile keeps (default: 99.99)",
    )
    parser.add_argument(
        "--keep-float",
        action="append",
        default=[],
        metavar="RULE",
        help="a node name (wildcards allowed) or an op that stays fp32; may be given again",
    )
    parser.add_argument(
        "--input-shape",
        action="append",
        default=[],
        metavar="NAME=1,3,224,224",
        help="shape of an input with symbolic dims",
    )
    parser.add_argument(
        "--labels", metavar="FILE", help="class names, one a line, stored in the file"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def parse_shapes(texts: List[str]) -> Dict[str, List[int]]:
    """["x=1,3,8,8"] -> {"x": [1, 3, 8, 8]}."""
    shapes = {}
    for text in texts:
        name, _, dims = text.rpartition("=")
        try:
            shapes[name] = [int(dim) for dim in dims.split(",")]
        except ValueError:
            name = ""
        if not name:
            raise Error(f"--input-shape {text!r}: write it as NAME=1,3,224,224")
    return shapes


def read_labels(path: str) -> List[str]:
    """Class names, one a line."""
    try:
        labels = Path(path).read_text(encoding="utf-8-sig").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as cause:
        raise Error(f"{path}: cannot read the labels ({cause})") from cause
    if labels == [""]:
        raise Error(f"{path}: holds no class names")
    return labels


def run(args: argparse.Namespace) -> int:
    """Converts and prints the report."""
    from edgecv.convert import convert

    with console.Progress() as progress:
        report = convert(
            args.model,
            args.output,
            args.calibrate,
            preprocess=args.preprocess,
            method=args.method,
            percent=args.percent,
            keep_float=args.keep_float,
            input_shapes=parse_shapes(args.input_shape) or None,
            labels=read_labels(args.labels) if args.labels else None,
            progress=progress,
        )
    if args.json:
        print(report.to_json())
        return 0
    rows = [
        (
            layer.name,
            layer.op,
            layer.dtype,
            "x".join(map(str, layer.shape)),
            f"{layer.macs / 1e6:.2f}",
            f"{layer.weight_bytes:,}",
            "" if layer.sqnr_db is None else f"{layer.sqnr_db:.1f}",
        )
        for layer in report.layers
    ]
    header = ("node", "op", "dtype", "output", "MMAC", "constant bytes", "weight SQNR dB")
    console.table("", header, rows, right=(4, 5, 6))
    print(report)
    return 0
