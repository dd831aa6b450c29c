"""Turn an ONNX or TFLite model into an .ecv file.

With --calibrate the file is int8: give a folder of pictures that look like what the camera will see
(64 or more), or a .npz/.npy file with samples along axis 0. Without it the file is fp32.

examples:
  edgecv convert m.onnx -o m.ecv --calibrate photos/ \\
      --preprocess resize=256,crop=224,mean=127,std=128
  edgecv convert m.onnx -o m.ecv --calibrate samples.npz --method mse \\
      --keep-float Softmax --keep-float 'head/*'
  edgecv convert m.onnx -o m.ecv --encodings m.encodings
  edgecv convert m.onnx -o m.ecv --calibrate samples.npz --weight-bits 6 \\
      --weight-bits 'head/*=8'
  edgecv convert m.onnx -o m.ecv --calibrate samples.npz --plan m.plan

Integer weights are lane-safe by default: chosen so that the sum of 4 products of weights and
activations (--lane-group) never leaves 16 bits. The fastest kernels need that to be exact, and
check it themselves when a model is loaded; accuracy stays that of plain rounding, or better. Groups
of 8 are faster still on some CPUs and cost a little accuracy, groups of 2 less of both. --weights
plain rounds each weight to nearest; it runs on kernels that are exact for any weights, slower ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Dict, List, Optional, Union

from edgecv import report_files
from edgecv.cli import console
from edgecv.errors import Error
from edgecv.report import ConversionReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("model", help="ONNX file, opset 9 or newer, or TFLite file")
    parser.add_argument("-o", "--output", required=True, help="the .ecv file to write")
    add_quantization_arguments(parser)
    parser.add_argument(
        "--encodings",
        metavar="FILE",
        help="encodings that AIMET wrote beside a float model: scales, offsets and widths of its "
        "tensors, which are kept",
    )
    parser.add_argument(
        "--storage",
        default="raw",
        choices=("smallest", "raw"),
        help="smallest: constants coded without loss, decoded when the file is loaded; raw (the "
        "default): as they are, which loads faster",
    )
    parser.add_argument(
        "--target-bytes",
        metavar="SIZE",
        help="the most bytes an int8 file may have, e.g. 3.2MB: weights get as coarse as that "
        "takes, where it harms least, and are stored as by --storage smallest",
    )
    parser.add_argument(
        "--cut-weights",
        action="store_true",
        help="of a model that is quantized already, turn weights of -128 into -127 where they "
        "would be multiplied in two parts: faster, and the report says by how much outputs can "
        "move",
    )
    parser.add_argument(
        "--labels", metavar="FILE", help="class names, one a line, stored in the file"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--report",
        metavar="FILE",
        help="run the file here and save the report with what each layer takes: .json or .html",
    )


def add_quantization_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that decide the integers."""
    parser.add_argument("--calibrate", metavar="DIR|FILE", help="calibration pictures or arrays")
    parser.add_argument(
        "--preprocess",
        metavar="SPEC",
        help="how a picture becomes the input, e.g. resize=256,crop=224,mean=127,std=128,order=rgb",
    )
    parser.add_argument(
        "--method",
        default="auto",
        choices=("auto", "minmax", "percentile", "kl", "mse"),
        help="how activation ranges are chosen (default: auto, which is mse for sums that nothing "
        "clamps and minmax for all else)",
    )
    parser.add_argument(
        "--percent",
        type=float,
        default=99.99,
        help="what --method percentile keeps (default: 99.99)",
    )
    parser.add_argument(
        "--weights",
        default="lane-safe",
        choices=("lane-safe", "plain"),
        help="how integer weights are chosen (default: lane-safe)",
    )
    parser.add_argument(
        "--lane-group",
        type=int,
        default=4,
        choices=(2, 4, 8),
        help="how many products must sum exactly in 16 bits (default: 4)",
    )
    parser.add_argument(
        "--weight-bits",
        action="append",
        default=[],
        metavar="BITS|RULE=BITS",
        help="width of weights, 8 to 4 (default: 8), of all layers but depthwise ones, or of those "
        "a rule names as in --keep-float; may be given again, the last that fits wins",
    )
    parser.add_argument(
        "--activation-bits",
        type=int,
        default=8,
        choices=(8, 7),
        help="7 leaves half of the steps of activations unused: faster, less precise (default: 8)",
    )
    parser.add_argument(
        "--keep-float",
        action="append",
        default=[],
        metavar="RULE",
        help="a node name (wildcards allowed) or an op that stays fp32; may be given again",
    )
    parser.add_argument(
        "--plan",
        metavar="FILE",
        help="a plan, as `edgecv doctor` writes it, in place of all options from --method to "
        "--keep-float",
    )
    parser.add_argument(
        "--input-shape",
        action="append",
        default=[],
        metavar="NAME=1,3,224,224",
        help="shape of an input with symbolic dims",
    )


_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "KIB": 2**10, "MIB": 2**20}


def parse_size(text: Optional[str]) -> Optional[int]:
    """ "3.2MB" -> 3200000; None for None."""
    if text is None:
        return None
    number = text.strip().upper().rstrip("BIKM")
    unit = text.strip().upper()[len(number) :]
    try:
        size = float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        size = 0.0
    if not 1 <= size < 2**31:
        raise Error(f"--target-bytes {text!r}: write it as 3200000, 3200KB or 3.2MB")
    return int(size)


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


def parse_weight_bits(texts: List[str]) -> Union[int, Dict[str, int]]:
    """["6", "head/*=8"] -> 6, or the rules in order, "" for a number alone."""
    rules: Dict[str, int] = {}
    for text in texts:
        rule, _, bits = text.rpartition("=")
        if not bits.isdecimal():
            raise Error(f"--weight-bits {text!r}: write it as 6 or NAME=6")
        rules.pop(rule, None)
        rules[rule] = int(bits)
    if set(rules) <= {""}:
        return rules.get("", 8)
    return rules


def read_labels(path: str) -> List[str]:
    """Class names, one a line."""
    try:
        labels = Path(path).read_text(encoding="utf-8-sig").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as cause:
        raise Error(f"{path}: cannot read the labels ({cause})") from cause
    if labels == [""]:
        raise Error(f"{path}: holds no class names")
    return labels


def convert_from(
    args: argparse.Namespace,
    output: Union[str, Path],
    progress: console.Progress,
    labels: Optional[List[str]] = None,
) -> ConversionReport:
    """Converts as the options of add_quantization_arguments say."""
    from edgecv.convert import convert

    return convert(
        args.model,
        output,
        args.calibrate,
        preprocess=args.preprocess,
        method=args.method,
        percent=args.percent,
        weights=args.weights,
        lane_group=args.lane_group,
        weight_bits=parse_weight_bits(args.weight_bits),
        activation_bits=args.activation_bits,
        keep_float=args.keep_float,
        plan=args.plan,
        input_shapes=parse_shapes(args.input_shape) or None,
        encodings=getattr(args, "encodings", None),
        cut_weights=getattr(args, "cut_weights", False),
        storage=getattr(args, "storage", "raw"),
        target_bytes=parse_size(getattr(args, "target_bytes", None)),
        labels=labels,
        progress=progress,
    )


def run(args: argparse.Namespace) -> int:
    """Converts and prints the report."""
    labels = read_labels(args.labels) if args.labels else None
    if args.report:
        report_files.check_name(args.report)
    with console.Progress() as progress:
        report = convert_from(args, args.output, progress, labels)
    if args.report:
        report.measure()
        report_files.save_conversion(args.report, report)
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
            "" if layer.stored_bits is None else f"{layer.stored_bits:.1f}",
            "" if layer.sqnr_db is None else f"{layer.sqnr_db:.1f}",
        )
        for layer in report.layers
    ]
    header = ("node", "op", "dtype", "output", "MMAC", "constant bytes", "bits", "weight SQNR dB")
    console.table("", header, rows, right=(4, 5, 6, 7))
    print(report)
    return 0
