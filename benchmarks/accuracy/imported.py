#!/usr/bin/env python3
"""Import the zoo's networks as third-party tools quantize them, and hold them against onnxruntime.

For every tool configuration: each layer on onnxruntime's own inputs (values that differ, and by
more than one step), then the whole network, run by edgecv's core from the picture on, where
differences of one step travel on: the share of all quantized values, and of the output, within one
step of onnxruntime, and how often the label is the same. Real pictures (tux139); calibrated on
calib64.

    python benchmarks/accuracy/imported.py [--pictures N] [--model NAME] [--file MODEL ...]

``--file`` adds files that other tools made of the same network: an ONNX model (NNCF, PyTorch), one
with MODEL.encodings of AIMET beside it, or a TFLite model with MODEL.npz of LiteRT's tensors beside
it; ``third_party/`` has the scripts that make them. They take their pictures from the file that
``--save FILE.npz`` writes, with the same ``--pictures``. Nothing else is written but a table in
Markdown on standard output.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import scoresets
import stepwise
from models import inputs
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

import edgecv
from edgecv import zoo
from edgecv.format.reader import read
from edgecv.format.to_graph import to_graph
from edgecv.onnx.apply_encodings import apply_encodings
from edgecv.onnx.encodings import read_encodings

QDQ, QOP = quantization.QuantFormat.QDQ, quantization.QuantFormat.QOperator
U8, S8 = quantization.QuantType.QUInt8, quantization.QuantType.QInt8
S4 = quantization.QuantType.QInt4
CONFIGS: dict[str, dict[str, Any]] = {
    "QDQ u8s8, channel": {"quant_format": QDQ, "per_channel": True, "activation_type": U8},
    "QOperator u8s8, channel": {"quant_format": QOP, "per_channel": True, "activation_type": U8},
    "QDQ s8s8, channel": {"quant_format": QDQ, "per_channel": True, "activation_type": S8},
    "QOperator s8s8, tensor": {"quant_format": QOP, "activation_type": S8},
    "QDQ u8s8, tensor": {"quant_format": QDQ, "activation_type": U8},
    "QDQ u8s8, 7-bit weights": {
        "quant_format": QDQ, "per_channel": True, "activation_type": U8, "reduce_range": True,
    },
    "QDQ u8u8, tensor": {"quant_format": QDQ, "activation_type": U8, "weight_type": U8},
    "QOperator u8u8, tensor": {"quant_format": QOP, "activation_type": U8, "weight_type": U8},
    "QDQ u8s4, tensor": {"quant_format": QDQ, "activation_type": U8, "weight_type": S4},
}  # fmt: skip
HEADER = (
    "network", "file", "layers", "values", "differ", "by > 1 step", "whole: equal",
    "within 1 step", "output within 1 step", "same label", "remarks",
)  # fmt: skip


class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, unused-ignore]
    """Hands out calibration pictures."""

    def __init__(self, arrays: Any) -> None:
        self.arrays = iter(arrays)

    def get_next(self) -> dict[str, Any] | None:
        """The next feed."""
        x = next(self.arrays, None)
        return None if x is None else {"input": x}


class Recorded:
    """LiteRT's tensors of one picture after the other, where onnxruntime would run."""

    def __init__(self, path: Path, graph: Any) -> None:
        self.outputs = [graph.outputs[0].name]
        self._ends = {graph.inputs[0].value: "input", graph.outputs[0].value: "output"}
        self._file = np.load(path)
        self._names = [str(name) for name in self._file["names"]]
        self._picture = 0

    def run(self, _: Any) -> dict[str, Any]:
        """The tensors as onnxruntime has them: signed, planar."""
        at, self._picture = self._picture, self._picture + 1
        found = {
            name: planar(self._file[f"{at}|{i}"])
            for i, name in enumerate(self._names)
            if f"{at}|{i}" in self._file
        }
        for value, end in self._ends.items():
            found[value] = planar(self._file[f"{at}|{end}"])
        found.setdefault(self.outputs[0], planar(self._file[f"{at}|output"]))
        return found


def planar(array: Any) -> Any:
    """A tensor of LiteRT as one of onnxruntime: u8 less 128, [N, C, H, W]."""
    if array.dtype == np.uint8:
        array = (array.astype(np.int16) - 128).astype(np.int8)
    return array.transpose(0, 3, 1, 2) if array.ndim == 4 else array


def oracle_of(path: Path, graph: Any) -> Any:
    """Who says what is right about a file."""
    if path.suffix == ".tflite":
        return Recorded(path.with_suffix(".npz"), graph)
    encodings = path.with_suffix(".encodings")
    model = onnx.load(str(path))
    if encodings.exists():
        apply_encodings(model, read_encodings(encodings), str(encodings))
    return stepwise.Oracle(model, graph)


def row(network: str, name: str, path: Path, arrays: list[Any], folder: Path) -> list[str]:
    """Imports one file and compares it on all arrays."""
    target = folder / "m.ecv"
    encodings = path.with_suffix(".encodings")
    report = edgecv.convert(path, target, encodings=encodings if encodings.exists() else None)
    graph = to_graph(read(target.read_bytes()))
    oracle = oracle_of(path, graph)
    seen = stepwise.Comparison()
    whole, last, labels = np.zeros(3, np.int64), np.zeros(3, np.int64), 0
    port, first = graph.outputs[0], graph.values[graph.inputs[0].value]
    with edgecv.load(target) as model:
        for x in arrays:
            theirs = stepwise.compare(graph, oracle, x, seen)
            feed = x if first.dtype == "s8" else stepwise.stored(x, first.shape)
            ours = model.trace(feed, raw=True)
            for value in graph.values.values():
                if value.name in theirs and value.name in ours and value.dtype == "s8":
                    counts = apart(value, ours, theirs)
                    whole += counts
                    last += counts if value.name == port.value else 0
            answer = next(iter(model.run(x).values()))
            labels += int(answer.argmax() == theirs[oracle.outputs[0]].argmax())
    total = seen.total()
    layers = [node for node in graph.nodes if node.name in seen.steps]
    return [
        network, name, str(len(layers)), f"{total.values:,}",
        f"{total.unequal:,}", f"{total.far:,}", share(whole[0], whole[2], 2),
        share(whole[1], whole[2], 3), share(last[1], last[2], 2, "f32"),
        f"{labels} of {len(arrays)}", str(len(report.remarks)),
    ]  # fmt: skip


def share(part: int, whole: int, digits: int, none: str = "") -> str:
    """Percent, or what stands for none."""
    return f"{100 * part / whole:.{digits}f} %" if whole else none


def apart(value: Any, ours: Any, theirs: Any) -> Any:
    """(equal, within one step, all) of an s8 value."""
    reference = stepwise.stored(stepwise.integers(theirs[value.name], value), value.shape)
    distance = np.abs(ours[value.name].astype(np.int32) - reference)
    return np.array([(distance == 0).sum(), (distance <= 1).sum(), distance.size])


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Hold imported models against onnxruntime.")
    parser.add_argument("--pictures", type=int, default=10, help="of tux139, spread over it")
    parser.add_argument("--model", action="append", help="a network of the zoo")
    parser.add_argument("--only", default="", help="part of a configuration's name")
    parser.add_argument("--file", action="append", default=[], type=Path)
    parser.add_argument("--save", type=Path, help="write the pictures for other tools, and stop")
    args = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)
    print("| " + " | ".join(HEADER) + " |\n|" + "---|" * len(HEADER))
    for model in zoo.list_models("classification"):
        if args.model and model.name not in args.model:
            continue
        pictures = list(inputs(model, scoresets.load("tux139")))
        arrays = pictures[:: max(1, len(pictures) // args.pictures)][: args.pictures]
        if args.save:
            calibration = itertools.islice(inputs(model, scoresets.load("calib64")), 16)
            np.savez(args.save, pics=np.concatenate(arrays), calib=np.concatenate([*calibration]))
            return 0
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            source, prepared = zoo.build(model.name, folder / "f.onnx"), folder / "p.onnx"
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            for name, options in CONFIGS.items():
                if args.only not in name:
                    continue
                path = folder / "q.onnx"
                calibration = itertools.islice(inputs(model, scoresets.load("calib64")), 16)
                quantization.quantize_static(
                    str(prepared), str(path), Reader(calibration),
                    **{"weight_type": S8, **options},
                )  # fmt: skip
                print("| " + " | ".join(row(model.name, name, path, arrays, folder)) + " |")
            for path in args.file:
                cells = row(model.name, path.stem, path, arrays, folder)
                print("| " + " | ".join(cells) + " |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
