"""From torch to ONNX to edgecv."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Optional

import onnx
import torch
from torch import nn

import edgecv
from edgecv.zoo.packages import write_atomically

from .data import LABELS, SIDE, Pictures

# A grey picture of 28 x 28; bytes become values from 0 to 1.
PREPROCESS = f"crop={SIDE},order=grey,std=255"


def to_onnx(net: nn.Module, *, folded: bool = True) -> onnx.ModelProto:
    """The ONNX model of a module.

    folded: batch normalization goes into the convolutions, for running. Without, initializers keep
        the names and the values of the module's state_dict, which is what pruning needs.
    """
    net.eval()
    file = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter that writes the graph as traced, with names kept, calls itself deprecated.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (torch.zeros(1, 1, SIDE, SIDE),),
            file,
            input_names=["picture"],
            output_names=["logits"],
            opset_version=17,
            dynamo=False,
            do_constant_folding=folded,
            training=torch.onnx.TrainingMode.EVAL if folded else torch.onnx.TrainingMode.PRESERVE,
        )
    proto = onnx.load_from_string(file.getvalue())
    for node in proto.graph.node:
        node.doc_string = ""
    return proto


def write_files(net: nn.Module, path: Path, calibration: Optional[Pictures], *, name: str) -> None:
    """PATH/NAME.onnx, NAME.fp32.ecv and, with calibration pictures, NAME.int8.ecv beside it."""
    proto = to_onnx(net)
    write_atomically(path / f"{name}.onnx", proto.SerializeToString())
    convert(proto, path / f"{name}.fp32.ecv")
    if calibration is not None:
        convert(proto, path / f"{name}.int8.ecv", calibration)


def convert(
    proto: onnx.ModelProto, path: Path, calibration: Optional[Pictures] = None
) -> edgecv.report.ConversionReport:
    """An `.ecv` file that takes pictures as they are and knows the classes."""
    return edgecv.convert(
        proto,
        path,
        None if calibration is None else calibration.inputs(),
        preprocess=PREPROCESS,
        labels=LABELS,
    )
