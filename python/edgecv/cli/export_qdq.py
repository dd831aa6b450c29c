"""Write an int8 model as ONNX with QuantizeLinear and DequantizeLinear (QDQ).

Give an .ecv file, or an ONNX model with the options of `edgecv convert`. Other runtimes (ONNX
Runtime, OpenVINO, TensorRT, ...) turn the result into their own int8 kernels: activations are u8,
weights s8 with a scale a channel, biases s32. Ranges, weights and multipliers are those of the .ecv
file, so convolutions give the same integers as edgecv where the runtime's arithmetic is exact.

On x86 CPUs without VNNI many runtimes add pairs of products in 16 bits, which saturates with
ordinary weights and silently costs accuracy. Lane-safe weights (the default of `edgecv convert`)
never saturate there: the exported model gives the exact answer in such a runtime, too.

Functions that an .ecv file holds as a table become float ops between quantizers where the table is
that of a known function (HardSwish, SiLU, Sigmoid, ...), else a Gather from the table.

examples:
  edgecv export-qdq m.ecv -o m.qdq.onnx
  edgecv export-qdq m.onnx -o m.qdq.onnx --calibrate photos/ \\
      --preprocess resize=256,crop=224,mean=127,std=128
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from edgecv.cli import console, convert
from edgecv.errors import Error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("model", help=".ecv file, or ONNX file to convert first")
    parser.add_argument("-o", "--output", required=True, help="the ONNX file to write")
    convert.add_quantization_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Converts if need be, exports and says what was written."""
    from edgecv.onnx.qdq import export_qdq

    source = Path(args.model)
    if source.exists() and Path(args.output).exists() and source.samefile(args.output):
        raise Error(f"{args.output}: is the model itself, give another name")
    if source.suffix == ".ecv":
        if args.calibrate:
            raise Error(f"{source} is converted already: --calibrate is for ONNX models")
        proto = export_qdq(source, args.output)
    elif not args.calibrate:
        raise Error(f"{source}: an ONNX model needs --calibrate, as in `edgecv convert`")
    else:
        with tempfile.TemporaryDirectory(prefix="edgecv-") as folder:
            file = Path(folder, "model.ecv")
            with console.Progress() as progress:
                convert.convert_from(args, file, progress)
            proto = export_qdq(file, args.output)
    counts = [node.op_type for node in proto.graph.node]
    print(
        f"{args.output}: {len(counts)} nodes, {counts.count('QuantizeLinear')} QuantizeLinear, "
        f"opset {proto.opset_import[0].version}"
    )
    return 0
